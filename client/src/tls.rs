//! TLS, with rustls: whom to trust, and who this client is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{self, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::error::{Error, Result};

/// How a connection to `amqps://` is protected. By default the broker's certificate is verified as the platform does it,
/// against the certificate authorities that the system trusts and the host's name.
///
/// ```no_run
/// # async fn example() -> leveret_client::Result<()> {
/// use leveret_client::{Connection, Tls};
///
/// let tls = Tls::new().ca_file("/etc/broker/ca.pem").client_certificate("/etc/me/cert.pem", "/etc/me/key.pem");
/// let connection = Connection::open_with("amqps://broker.example", |options| options.tls(tls)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "pass it to Options::tls"]
pub struct Tls {
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) certificate_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
    /// A URI asks for `verify=verify_none`.
    pub(crate) asked_not_to_verify: bool,
    accepts_any_server: bool,
}

impl Tls {
    /// The platform's verification, and no client certificate.
    pub fn new() -> Self {
        Tls::default()
    }

    /// Trusts the certificate authorities in this PEM file, and no others.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// Shows this certificate chain to a broker that asks for one; both files are PEM.
    pub fn client_certificate(mut self, certificate_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        self.certificate_file = Some(certificate_file.into());
        self.key_file = Some(key_file.into());
        self
    }

    /// The name that the broker's certificate must have, if it is not the host's.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Accepts every certificate of every server. Whoever can reach the network between can read the password and all
    /// messages, and change them. This also lets a URI say `verify=verify_none`, which is refused otherwise.
    pub fn dangerously_accept_any_server(mut self) -> Self {
        self.accepts_any_server = true;
        self
    }

    /// A URI, which may come from anywhere, cannot switch verification off.
    pub(crate) fn check(&self) -> Result<()> {
        if self.asked_not_to_verify && !self.accepts_any_server {
            let why = "verify_none needs the program's consent, Tls::dangerously_accept_any_server";
            return Err(Error::InvalidUri(String::from(why)));
        }
        Ok(())
    }

    fn config(&self) -> Result<ClientConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let builder = builder.map_err(failed)?;
        let verified: ConfigBuilder<_, WantsClientCert> = if self.accepts_any_server {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        } else if let Some(path) = &self.ca_file {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(failed)?;
            }
            builder.with_root_certificates(roots)
        } else {
            builder.with_platform_verifier().map_err(failed)?
        };
        match (&self.certificate_file, &self.key_file) {
            (Some(chain), Some(key)) => {
                let private = PrivateKeyDer::from_pem_file(key).map_err(|why| unusable(key, &why))?;
                verified.with_client_auth_cert(certificates(chain)?, private).map_err(failed)
            }
            (None, None) => Ok(verified.with_no_client_auth()),
            _ => Err(Error::Tls(String::from("a client certificate needs both its file and the key's"))),
        }
    }
}

/// Begins TLS on a stream to `host`.
pub(crate) async fn connect<S>(tls: &Tls, host: &str, stream: S) -> Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = tls.server_name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned()).map_err(failed)?;
    Ok(TlsConnector::from(Arc::new(tls.config()?)).connect(name, stream).await?)
}

/// Tells what rustls does not agree with, while a connection is opened, from a network that fails.
pub(crate) fn blame(error: Error) -> Error {
    match &error {
        Error::Io(io) => match io.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(why) => failed(why),
            None => error,
        },
        _ => error,
    }
}

fn failed(why: impl fmt::Display) -> Error {
    Error::Tls(why.to_string())
}

fn unusable(path: &std::path::Path, why: &dyn fmt::Display) -> Error {
    Error::Tls(format!("{}: {why}", path.display()))
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let found = read.map_err(|why| unusable(path, &why))?;
    if found.is_empty() { Err(unusable(path, &"it has no certificate")) } else { Ok(found) }
}

/// Looks at no certificate. It still demands that the server has the key of the one it shows.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
