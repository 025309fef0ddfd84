//! The listener: one task for each connection, and bounds for everything that a peer may send.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use super::{Api, reply, routes};

/// Connections at once; the next one has to wait.
const CONNECTIONS_MAX: usize = 256;
/// All headers of a request together, and how many they may be.
const HEADER_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
/// How long the headers of a request may take, the wait for them included.
const HEADER_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a request may take from its headers to its answer.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a connection may last, so that nobody who does not read keeps it for ever.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(600);
/// The pause after a failed accept, which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a request comes from.
#[derive(Clone, Copy)]
pub(super) struct CallerAddress(pub(super) SocketAddr);

/// Serves until the broker ends; every connection holds a clone of `alive`.
pub(crate) async fn run(
    listener: TcpListener,
    api: Arc<Api>,
    mut stopped: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let router = routes(api);
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = end(&mut stopped) => return,
        };
        match accepted {
            Ok((stream, address)) => {
                let (router, stopped, alive) = (router.clone(), stopped.clone(), alive.clone());
                tokio::spawn(async move {
                    serve(stream, address, router, stopped).await;
                    drop((place, alive));
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept an HTTP connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Waits for the broker's end.
async fn end(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|&stopped| stopped).await;
}

async fn serve(stream: TcpStream, address: SocketAddr, router: Router, mut stopped: watch::Receiver<bool>) {
    let service = service_fn(move |request| answer(router.clone(), address, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(CONNECTION_TIME_MAX, connection.as_mut()) => outcome.unwrap_or(Ok(())),
        () = end(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, peer = %address, "HTTP connection ended");
    }
}

async fn answer(router: Router, address: SocketAddr, request: Request<Incoming>) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    without_trailing_slash(request.uri_mut());
    request.extensions_mut().insert(CallerAddress(address));
    let answer = tokio::time::timeout(REQUEST_TIME_MAX, TowerToHyperService::new(router).call(request)).await;
    let response = match answer {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        Err(_) => reply::Error::too_slow().into_response(),
    };
    Ok(reply::finish(response))
}

/// `/api/queues/` is `/api/queues`; `/api/queues//` is nothing. Before any percent-decoding, so that names may have slashes.
fn without_trailing_slash(uri: &mut Uri) {
    let path = uri.path();
    if path.len() < 2 || !path.ends_with('/') || path.ends_with("//") {
        return;
    }
    let path = &path[..path.len() - 1];
    let shorter = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    if let Ok(shorter) = shorter.parse() {
        *uri = shorter;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slash_at_the_end_does_not_count() {
        for (given, meant) in [
            ("/api/queues/", "/api/queues"),
            ("/api/queues/%2F/?page=1", "/api/queues/%2F?page=1"),
            ("/api/queues//", "/api/queues//"),
            ("/", "/"),
            ("/api/queues/%2F", "/api/queues/%2F"),
        ] {
            let mut uri: Uri = given.parse().unwrap();
            without_trailing_slash(&mut uri);
            assert_eq!(uri.to_string(), meant);
        }
    }
}
