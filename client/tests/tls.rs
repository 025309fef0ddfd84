//! `amqps://` against an embedded broker behind TLS, with certificates that are made here.
#![cfg(feature = "tls")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use leveret_client::{Connection, Error, Options, Tls};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

type Anything<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A certificate authority with its certificate in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

/// A certificate and its key, in files.
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

fn authority(folder: &Path, name: &str) -> Anything<Authority> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    let file = folder.join(format!("{name}.pem"));
    std::fs::write(&file, params.self_signed(&key)?.pem())?;
    Ok(Authority { issuer: Issuer::new(params, key), file })
}

impl Authority {
    fn identity(&self, folder: &Path, host: &str, last_year: Option<i32>) -> Anything<Identity> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![String::from(host)])?;
        if let Some(year) = last_year {
            params.not_before = date_time_ymd(year - 1, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
        }
        let file = |what: &str| folder.join(format!("{host}-{last_year:?}.{what}"));
        let identity = Identity { certificate: file("pem"), key: file("key") };
        std::fs::write(&identity.certificate, params.signed_by(&key, &self.issuer)?.pem())?;
        std::fs::write(&identity.key, key.serialize_pem())?;
        Ok(identity)
    }
}

fn acceptor(identity: &Identity, clients: Option<&Authority>) -> Anything<TlsAcceptor> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ClientCertVerifier> = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(&authority.file)?)?;
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?
        }
        None => Arc::new(NoClientAuth),
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&identity.certificate)?],
            PrivateKeyDer::from_pem_file(&identity.key)?,
        )?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A broker behind TLS; its port.
async fn secure_broker(identity: &Identity, clients: Option<&Authority>) -> Anything<u16> {
    let acceptor = acceptor(identity, clients)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let broker = leveret::Broker::start(leveret::Config::in_memory()).await?;
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // A client that does not like the certificate hangs up.
            if let Ok(mut stream) = acceptor.accept(socket).await {
                let mut inside = broker.connect();
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut inside).await });
            }
        }
    });
    Ok(port)
}

/// A folder that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Anything<Folder> {
        let path = std::env::temp_dir().join(format!("leveret-client-tls-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[track_caller]
fn assert_tls(opened: Result<Connection, Error>, word: &str) {
    let why = opened.as_ref().err().map(ToString::to_string).unwrap_or_default();
    assert!(matches!(opened, Err(Error::Tls(_))) && why.contains(word), "{opened:?}");
}

#[tokio::test]
async fn a_broker_is_trusted_by_its_authority_its_name_and_its_dates() -> Anything<()> {
    let folder = Folder::new("server")?;
    let (ours, theirs) = (authority(&folder.0, "ours")?, authority(&folder.0, "theirs")?);
    let port = secure_broker(&ours.identity(&folder.0, "localhost", None)?, None).await?;
    let uri = |ca: &Authority, more: &str| format!("amqps://localhost:{port}?cacertfile={}{more}", ca.file.display());

    let connection = Connection::open(&uri(&ours, "")).await?;
    connection.open_channel().await?.close().await?;
    connection.close().await?;
    assert_tls(Connection::open(&uri(&theirs, "")).await, "UnknownIssuer");
    // The system does not know the authority, if it knows any.
    assert_tls(Connection::open(&format!("amqps://localhost:{port}")).await, "");
    assert_tls(Connection::open(&uri(&ours, "&server_name_indication=elsewhere.example")).await, "not valid for name");

    let by_address = format!("amqps://127.0.0.1:{port}");
    let tls = Tls::new().ca_file(&ours.file);
    assert_tls(Connection::open_with(&by_address, |options| options.tls(tls.clone())).await, "not valid for name");
    let named = tls.server_name("localhost");
    Connection::open_with(&by_address, |options| options.tls(named)).await?.close().await?;

    let old = secure_broker(&ours.identity(&folder.0, "localhost", Some(2020))?, None).await?;
    let old = format!("amqps://localhost:{old}?cacertfile={}", ours.file.display());
    assert_tls(Connection::open(&old).await, "expired");
    Ok(())
}

#[tokio::test]
async fn tls_that_breaks_on_an_open_connection_is_a_network_that_failed() -> Anything<()> {
    let folder = Folder::new("broken")?;
    let ours = authority(&folder.0, "ours")?;
    let acceptor = acceptor(&ours.identity(&folder.0, "localhost", None)?, None)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("amqps://localhost:{}?cacertfile={}", listener.local_addr()?.port(), ours.file.display());
    let broker = leveret::Broker::start(leveret::Config::in_memory()).await?;
    let (break_it, broken) = oneshot::channel::<()>();
    let server = tokio::spawn(async move {
        let mut stream = acceptor.accept(listener.accept().await?.0).await?;
        let mut inside = broker.connect();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut stream, &mut inside) => {}
            _ = broken => stream.get_mut().0.write_all(b"this is no record of TLS").await?,
        }
        Anything::Ok(stream)
    });
    let connection = Connection::open_with(&uri, |options| options.without_recovery()).await?;
    drop(break_it);
    let why = connection.closed().await;
    assert!(matches!(&why, Error::Io(_)) && why.is_retryable(), "{why:?}");
    server.await??;
    Ok(())
}

#[tokio::test]
async fn verification_is_switched_off_by_the_program_alone() -> Anything<()> {
    let folder = Folder::new("off")?;
    let port = secure_broker(&authority(&folder.0, "ours")?.identity(&folder.0, "elsewhere", None)?, None).await?;
    let uri = format!("amqps://localhost:{port}?verify=verify_none");
    assert!(matches!(Connection::open(&uri).await, Err(Error::InvalidUri(why)) if why.contains("dangerously")));
    let replaced = |options: Options| options.tls(Tls::new());
    assert!(matches!(Connection::open_with(&uri, replaced).await, Err(Error::InvalidUri(_))));
    let consent = |options: Options| options.tls(Tls::new().dangerously_accept_any_server());
    Connection::open_with(&uri, consent).await?.close().await?;
    Ok(())
}

#[tokio::test]
async fn a_client_shows_its_certificate_to_a_broker_that_asks_for_it() -> Anything<()> {
    let folder = Folder::new("client")?;
    let ours = authority(&folder.0, "ours")?;
    let port = secure_broker(&ours.identity(&folder.0, "localhost", None)?, Some(&ours)).await?;
    let uri = format!("amqps://localhost:{port}?cacertfile={}", ours.file.display());
    let me = ours.identity(&folder.0, "me", None)?;
    let shown = format!("{uri}&certfile={}&keyfile={}", me.certificate.display(), me.key.display());
    Connection::open(&shown).await?.close().await?;
    assert_tls(Connection::open(&uri).await, "CertificateRequired");
    assert_tls(Connection::open(&format!("{uri}&certfile={}", me.certificate.display())).await, "both");
    let missing = format!("{uri}&certfile=/nowhere&keyfile={}", me.key.display());
    assert_tls(Connection::open(&missing).await, "/nowhere");
    Ok(())
}
