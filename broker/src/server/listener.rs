//! Accepts connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

use super::{Shared, StartError};
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

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|&stopped| stopped) => return,
        };
        match accepted {
            Ok((stream, address)) => serve(stream, address, &shared),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn serve(stream: TcpStream, address: SocketAddr, shared: &Arc<Shared>) {
    // Output is written in bursts, so there is nothing to gain from waiting for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    // A socket that has no address any more is gone.
    let Ok(local) = stream.local_addr() else { return };
    let (source, sink) = stream.into_split();
    shared.serve(source, sink, Peer::over_tcp(Addresses { peer: address, local }));
}
