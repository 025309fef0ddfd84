//! TLS for AMQP listeners: which certificate, and whose certificates clients may have. The keys are RabbitMQ's.

use std::path::PathBuf;
use std::time::Duration;

/// What a TLS listener needs. Files are PEM, read when the broker starts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Tls {
    /// The server's certificate, with those that lead to its CA (`ssl_options.certfile`).
    pub certfile: Option<PathBuf>,
    /// The certificate's private key (`ssl_options.keyfile`).
    pub keyfile: Option<PathBuf>,
    /// The CAs that clients' certificates may come from (`ssl_options.cacertfile`); for `verify_peer` alone.
    pub cacertfile: Option<PathBuf>,
    /// Clients are asked for a certificate, and one that no CA of ours has signed is refused (`ssl_options.verify`).
    pub verify_peer: bool,
    /// Clients without a certificate are refused as well (`ssl_options.fail_if_no_peer_cert`).
    pub fail_if_no_peer_cert: bool,
    /// How long a client may take to agree on TLS; it counts for the time that all of the handshake may take.
    pub handshake_timeout: Duration,
}

impl Default for Tls {
    fn default() -> Self {
        Tls {
            certfile: None,
            keyfile: None,
            cacertfile: None,
            verify_peer: false,
            fail_if_no_peer_cert: false,
            handshake_timeout: Duration::from_secs(5),
        }
    }
}

impl Tls {
    /// With a certificate and its private key.
    pub fn new(certfile: impl Into<PathBuf>, keyfile: impl Into<PathBuf>) -> Self {
        Tls { certfile: Some(certfile.into()), keyfile: Some(keyfile.into()), ..Tls::default() }
    }

    /// The same, and clients need a certificate of one of these CAs.
    #[must_use]
    pub fn require_peer_certificate(mut self, cacertfile: impl Into<PathBuf>) -> Self {
        self.cacertfile = Some(cacertfile.into());
        (self.verify_peer, self.fail_if_no_peer_cert) = (true, true);
        self
    }
}
