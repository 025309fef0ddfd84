//! AMQP over TLS, with certificates that the tests make.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use leveret::config::Tls;
use leveret::spec::{Properties, TableBuf};
use leveret::{Broker, Config};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};

use super::peer::{Peer, is_refused};

/// A folder with a CA's certificate, and those that it has signed.
struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("leveret-tls-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        fs::write(folder.join("ca.pem"), parameters.self_signed(&key).unwrap().pem()).unwrap();
        Authority { folder, issuer: Issuer::new(parameters, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A certificate and its key, as `NAME.pem` and `NAME.key`.
    fn sign(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &self.issuer);
        fs::write(self.path(&format!("{name}.pem")), certificate.unwrap().pem()).unwrap();
        fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// What a server needs.
    fn server(&self) -> Tls {
        self.sign("server");
        Tls::new(self.path("server.pem"), self.path("server.key"))
    }

    /// A client that trusts this CA, with a certificate of that one if there is one.
    async fn connect(&self, broker: &Broker, own: Option<&Authority>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                authority.sign("client");
                let certificate = CertificateDer::from_pem_file(authority.path("client.pem")).unwrap();
                let key = PrivateKeyDer::from_pem_file(authority.path("client.key")).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let stream = TcpStream::connect(broker.amqps_addresses()[0]).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn listening(tls: Tls) -> Config {
    Config::in_memory().listen_tls("127.0.0.1:0".parse().unwrap(), tls)
}

/// More than any buffer on the way holds, so that each of them is emptied in time.
#[tokio::test]
async fn messages_go_over_tls_and_come_back() {
    let authority = Authority::new();
    let broker = Broker::start(listening(authority.server())).await.unwrap();
    let mut peer = Peer::log_in(authority.connect(&broker, None).await.unwrap(), "test").await;
    peer.declare("q", &TableBuf::new()).await;
    let body = |n: usize| format!("{n:0>20000}");
    for n in 0..300 {
        peer.publish("", "q", &Properties::default(), &body(n)).await;
    }
    let queue = broker.queue("/", "q").unwrap();
    broker.wait_until(|_| queue.ready() == 300).await.unwrap();
    peer.consume("q").await;
    for n in 0..300 {
        assert_eq!(peer.delivery().await, body(n));
    }
    assert_eq!(broker.connections()[0].tls, Some("tlsv1.3"));
    assert_eq!(broker.faults().drop_connections().await, 1);
    peer.hears_the_end().await;
    let last = Peer::log_in(authority.connect(&broker, None).await.unwrap(), "test").await;
    drop(last);
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_client_needs_a_certificate_if_the_broker_says_so() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let tls = authority.server().require_peer_certificate(authority.path("ca.pem"));
    let broker = Broker::start(listening(tls)).await.unwrap();
    Peer::log_in(authority.connect(&broker, Some(&authority)).await.unwrap(), "test").await;
    for wrong in [None, Some(&stranger)] {
        // With TLS 1.3 the client is done before the server has seen its certificate.
        let refused = match authority.connect(&broker, wrong).await {
            Ok(stream) => is_refused(stream).await,
            Err(_) => true,
        };
        assert!(refused);
    }
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_certificate_that_is_asked_for_may_be_left_out_but_not_be_false() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let mut tls = authority.server().require_peer_certificate(authority.path("ca.pem"));
    tls.fail_if_no_peer_cert = false;
    let broker = Broker::start(listening(tls)).await.unwrap();
    Peer::log_in(authority.connect(&broker, None).await.unwrap(), "test").await;
    let refused = match authority.connect(&broker, Some(&stranger)).await {
        Ok(stream) => is_refused(stream).await,
        Err(_) => true,
    };
    assert!(refused);
    broker.shutdown().await.unwrap();
}

/// It says something else, or nothing for too long.
#[tokio::test]
async fn a_client_that_does_not_speak_tls_is_sent_away() {
    let authority = Authority::new();
    let mut tls = authority.server();
    tls.handshake_timeout = Duration::from_millis(50);
    let broker = Broker::start(listening(tls)).await.unwrap();
    let mut silent = TcpStream::connect(broker.amqps_addresses()[0]).await.unwrap();
    let mut input = vec![];
    // What is there is the end of the stream.
    assert_eq!(silent.read_to_end(&mut input).await.unwrap(), 0);
    let mut plain = TcpStream::connect(broker.amqps_addresses()[0]).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"AMQP\x00\x00\x09\x01").await.unwrap();
    let _ = plain.read_to_end(&mut input).await;
    assert!(input.first().is_none_or(|&kind| kind == 21), "nothing but an alert of TLS: {input:?}");
    assert!(broker.connections().is_empty());
    broker.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_with_the_certificate_is_said_at_the_start() {
    let (authority, other) = (Authority::new(), Authority::new());
    let (good, another) = (authority.server(), other.server());
    let path = |name| authority.path(name).display().to_string();
    let refusal = async |tls: Tls| Broker::start(listening(tls)).await.map(drop).unwrap_err().to_string();
    let changed = |change: &dyn Fn(&mut Tls)| {
        let mut tls = good.clone();
        change(&mut tls);
        tls
    };
    for (tls, text) in [
        (Tls::default(), "ssl_options.certfile (--tls-cert) is missing, which a TLS listener needs".to_owned()),
        (
            changed(&|tls| tls.keyfile = None),
            "ssl_options.keyfile (--tls-key) is missing, which a TLS listener needs".to_owned(),
        ),
        (
            changed(&|tls| tls.certfile = Some("/nowhere.pem".into())),
            "ssl_options.certfile /nowhere.pem: No such file or directory (os error 2)".to_owned(),
        ),
        (
            changed(&|tls| tls.certfile = tls.keyfile.clone()),
            format!("ssl_options.certfile {}: there is no certificate in it", path("server.key")),
        ),
        (
            changed(&|tls| tls.keyfile = tls.certfile.clone()),
            format!("ssl_options.keyfile {}: there is no private key in it", path("server.pem")),
        ),
        (
            changed(&|tls| tls.verify_peer = true),
            "ssl_options.verify = verify_peer needs ssl_options.cacertfile (--tls-ca)".to_owned(),
        ),
        (
            changed(&|tls| tls.fail_if_no_peer_cert = true),
            "ssl_options.fail_if_no_peer_cert = true needs ssl_options.verify = verify_peer".to_owned(),
        ),
    ] {
        assert_eq!(refusal(tls).await, text);
    }
    let mixed = refusal(changed(&|tls| tls.keyfile = another.keyfile.clone())).await;
    assert!(
        mixed.starts_with(&format!("ssl_options.certfile {} and ssl_options.keyfile", path("server.pem"))),
        "{mixed}"
    );
}
