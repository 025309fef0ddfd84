//! Accepts connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::{Shared, StartError};
use crate::config::Config;
use crate::connection::Peer;
use crate::roster::Addresses;

/// Connections that the kernel holds until they are accepted.
const BACKLOG: u32 = 1024;
/// The pause after a failed accept, which would fail again at once: no file descriptors, mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens; `flag` is what the address was given with.
pub(super) async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener, StartError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => " - is another broker running? Port 0 takes a free port",
            std::io::ErrorKind::PermissionDenied => " - ports below 1024 need privileges",
            _ => "",
        };
        StartError(format!("--{flag} {address}: {error}{hint}"))
    })
}

/// Where AMQP clients connect, with the real ports.
#[derive(Debug, Default)]
pub(super) struct Listening {
    pub(super) amqp: Vec<SocketAddr>,
    /// With TLS.
    pub(super) amqps: Vec<SocketAddr>,
}

impl Shared {
    /// Listens where AMQP clients connect.
    pub(super) async fn listen(
        self: &Arc<Self>,
        config: &Config,
        stopped: &watch::Receiver<bool>,
    ) -> Result<Listening, StartError> {
        let mut listening = Listening::default();
        for address in &config.amqp {
            let listener = bind(*address, "listen").await?;
            listening.amqp.push(listener.local_addr().map_err(|error| StartError(error.to_string()))?);
            self.spawn(accept(listener, self.clone(), stopped.clone(), serve));
        }
        #[cfg(feature = "tls")]
        if !config.amqps.is_empty() {
            listening.amqps = super::tls::listen(&config.amqps, &config.tls, self, stopped).await?;
        }
        Ok(listening)
    }
}

/// Accepts connections until the broker ends, and has each of them served.
pub(super) async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stopped: watch::Receiver<bool>,
    serve: impl Fn(TcpStream, Addresses, &Arc<Shared>),
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|&stopped| stopped) => return,
        };
        match accepted {
            Ok(_) if shared.node.switches.refuses_connections() => {}
            Ok((stream, address)) => {
                // Output is written in bursts, so there is nothing to gain from waiting for more.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY");
                }
                // A socket that has no address any more is gone.
                if let Ok(local) = stream.local_addr() {
                    serve(stream, Addresses { peer: address, local }, &shared);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a connection as it is.
pub(super) fn serve(stream: TcpStream, addresses: Addresses, shared: &Arc<Shared>) {
    let (source, sink) = stream.into_split();
    shared.serve(source, sink, Peer::over_tcp(addresses), shared.clock.now());
}
