//! The listener: one task for each connection, and bounds for everything that a peer may send.

use crate::stop::Stop;
use axum::Router;
use axum::body::Body;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections at once; the next one has to wait.
const CONNECTIONS_MAX: usize = 256;
/// All headers of a request together.
const HEADER_BYTES_MAX: usize = 16 << 10;
/// How long the headers of a request may take, the wait for them included.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a connection may last, so that nobody who does not read keeps it for ever. A browser that still watches
/// comes back at once.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(600);
/// How long the connections get for what they have in hand when all ends.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause after a failed accept, which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`.
pub(super) async fn run(listener: TcpListener, routes: Router, mut stop: Stop) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            () = stop.asked() => break,
            Some(_) = connections.join_next() => continue,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (routes, stop) = (routes.clone(), stop.clone());
                connections.spawn(async move {
                    serve(stream, routes, stop).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    let all = async { while connections.join_next().await.is_some() {} };
    // Who is not done by then is cut off with the set.
    let _ = tokio::time::timeout(END_TIMEOUT, all).await;
}

async fn serve(stream: TcpStream, routes: Router, mut stop: Stop) {
    let service = TowerToHyperService::new(routes);
    let service =
        service_fn(move |request: hyper::Request<hyper::body::Incoming>| service.call(request.map(Body::new)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // How a connection ends is the peer's affair.
    tokio::select! {
        _ = tokio::time::timeout(CONNECTION_TIME_MAX, connection.as_mut()) => {}
        () = stop.asked() => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
}
