//! AMQP over TLS 1.2 and 1.3: the certificate, and how a client becomes a connection like any other.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoClientAuth, WebPkiClientVerifier};
use tokio_rustls::rustls::{CipherSuite, RootCertStore, ServerConfig, ServerConnection};

use super::source::ReadAhead;
use super::{Shared, StartError, listener};
use crate::config::Tls;
use crate::connection::Peer;
use crate::roster::{Addresses, TlsSession};

/// What a client and the broker may agree on, under RabbitMQ's names.
const SESSIONS: &[(CipherSuite, TlsSession)] = &[
    (CipherSuite::TLS13_AES_256_GCM_SHA384, session("tlsv1.3", "any", "aes_256_gcm")),
    (CipherSuite::TLS13_AES_128_GCM_SHA256, session("tlsv1.3", "any", "aes_128_gcm")),
    (CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, session("tlsv1.3", "any", "chacha20_poly1305")),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, session("tlsv1.2", "ecdhe_ecdsa", "aes_256_gcm")),
    (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, session("tlsv1.2", "ecdhe_ecdsa", "aes_128_gcm")),
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        session("tlsv1.2", "ecdhe_ecdsa", "chacha20_poly1305"),
    ),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, session("tlsv1.2", "ecdhe_rsa", "aes_256_gcm")),
    (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, session("tlsv1.2", "ecdhe_rsa", "aes_128_gcm")),
    (CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, session("tlsv1.2", "ecdhe_rsa", "chacha20_poly1305")),
];

const fn session(protocol: &'static str, key_exchange: &'static str, cipher: &'static str) -> TlsSession {
    TlsSession { protocol, key_exchange, cipher }
}

/// What was agreed on.
fn agreed(connection: &ServerConnection) -> Option<&'static TlsSession> {
    let suite = connection.negotiated_cipher_suite()?.suite();
    SESSIONS.iter().find(|(other, _)| *other == suite).map(|(_, session)| session)
}

/// Reads the certificate and all that belongs to it.
fn configure(tls: &Tls) -> Result<ServerConfig, String> {
    let (certfile, keyfile) = (needed(&tls.certfile, "certfile")?, needed(&tls.keyfile, "keyfile")?);
    let certificates = certificates(certfile, "certfile")?;
    let key = PrivateKeyDer::from_pem_file(keyfile)
        .map_err(|error| format!("ssl_options.keyfile {}: {}", keyfile.display(), sentence(&error, "private key")))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = builder.with_client_cert_verifier(verifier(tls, provider)?);
    builder.with_single_cert(certificates, key).map_err(|error| {
        format!("ssl_options.certfile {} and ssl_options.keyfile {}: {error}", certfile.display(), keyfile.display())
    })
}

/// What looks at clients' certificates.
fn verifier(tls: &Tls, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, String> {
    if !tls.verify_peer {
        return match tls.fail_if_no_peer_cert {
            true => Err("ssl_options.fail_if_no_peer_cert = true needs ssl_options.verify = verify_peer".into()),
            false => Ok(Arc::new(NoClientAuth)),
        };
    }
    let Some(cacertfile) = &tls.cacertfile else {
        return Err("ssl_options.verify = verify_peer needs ssl_options.cacertfile (--tls-ca)".into());
    };
    let wrong = |error: &dyn std::fmt::Display| format!("ssl_options.cacertfile {}: {error}", cacertfile.display());
    let mut roots = RootCertStore::empty();
    for certificate in certificates(cacertfile, "cacertfile")? {
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if tls.fail_if_no_peer_cert { builder } else { builder.allow_unauthenticated() };
    let verifier = builder.build().map_err(|error| wrong(&error))?;
    Ok(verifier)
}

fn needed<'t>(file: &'t Option<PathBuf>, key: &str) -> Result<&'t Path, String> {
    let flag = if key == "certfile" { "--tls-cert" } else { "--tls-key" };
    file.as_deref().ok_or_else(|| format!("ssl_options.{key} ({flag}) is missing, which a TLS listener needs"))
}

fn certificates(file: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |error| format!("ssl_options.{key} {}: {}", file.display(), sentence(&error, "certificate"));
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).map_err(wrong)?.collect();
    match read.map_err(wrong)? {
        none if none.is_empty() => Err(wrong(pem::Error::NoItemsFound)),
        found => Ok(found),
    }
}

fn sentence(error: &pem::Error, what: &str) -> String {
    match error {
        pem::Error::NoItemsFound => format!("there is no {what} in it"),
        pem::Error::Io(error) => error.to_string(),
        other => format!("{other:?}"),
    }
}

/// Listens for clients that speak TLS; where, with the real ports.
pub(super) async fn listen(
    addresses: &[SocketAddr],
    tls: &Tls,
    shared: &Arc<Shared>,
    stopped: &watch::Receiver<bool>,
) -> Result<Vec<SocketAddr>, StartError> {
    let acceptor = TlsAcceptor::from(Arc::new(configure(tls).map_err(StartError)?));
    let door = Door { acceptor, handshake_timeout: tls.handshake_timeout, stopped: stopped.clone() };
    let mut listening = vec![];
    for address in addresses {
        let listener = listener::bind(*address, "tls-listen").await?;
        let address = listener.local_addr().map_err(|error| StartError(error.to_string()))?;
        // Container tools wait for these words.
        tracing::info!("started TLS (SSL) listener on {address}");
        listening.push(address);
        let door = door.clone();
        shared.spawn(listener::accept(listener, shared.clone(), stopped.clone(), move |stream, addresses, shared| {
            // On the heap for the moment that it takes.
            shared.spawn(Box::pin(door.clone().let_in(stream, addresses, shared.clone())));
        }));
    }
    Ok(listening)
}

/// What it takes to let a client in.
#[derive(Clone)]
struct Door {
    acceptor: TlsAcceptor,
    /// How long a client may take.
    handshake_timeout: Duration,
    stopped: watch::Receiver<bool>,
}

impl Door {
    /// Agrees on TLS with a client and serves it.
    async fn let_in(mut self, stream: TcpStream, addresses: Addresses, shared: Arc<Shared>) {
        let begin = shared.clock.now();
        let peer = Peer::over_tcp(addresses);
        let outcome = tokio::select! {
            outcome = timeout(self.handshake_timeout, self.acceptor.accept(stream)) => outcome,
            _ = self.stopped.wait_for(|&stopped| stopped) => return,
        };
        let stream = match outcome {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::warn!(peer = &*peer.name, %error, "no TLS with this peer");
                return;
            }
            Err(_) => {
                tracing::warn!(peer = &*peer.name, "no TLS within {:?}", self.handshake_timeout);
                return;
            }
        };
        let tls = agreed(stream.get_ref().1);
        let (source, sink) = tokio::io::split(stream);
        shared.serve(ReadAhead::new(source), sink, Peer { tls, ..peer }, begin);
    }
}
