//! The routes: the page and its files, letters in, events out. What a stranger sends is only ever sent back as JSON.

use super::feed::{Feed, Watcher};
use super::text;
use super::uploads::{Refused, Uploads};
use crate::letters;
use crate::stop::Stop;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_core::Stream;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};

/// Largest letter that is taken.
pub(super) const LETTER_BYTES_MAX: usize = 16 << 20;
/// How much of a letter that is too large is read, so that its sender is there to hear why it was refused.
const REFUSED_BYTES_MAX: usize = 64 << 20;
/// How many letters are read at a time; the next ones wait.
const READING_MAX: usize = 4;
/// How long reading a letter may take.
const READING_TIME_MAX: Duration = Duration::from_secs(120);
/// After so long without news the browser hears that the page is still there, or the server that the browser is not.
const QUIET_MAX: Duration = Duration::from_secs(15);
/// How soon a browser asks for the events again when they end.
const RETRY: Duration = Duration::from_secs(1);

/// Sent with everything.
const HEADERS: [(&str, &str); 6] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// What requests are answered from.
#[derive(Clone)]
struct Page {
    feed: Arc<Feed>,
    uploads: Arc<Uploads>,
    reading: Arc<Semaphore>,
    /// Does the page listen for this machine alone?
    local: bool,
    stop: Stop,
}

/// All that is served.
pub(super) fn routes(feed: Arc<Feed>, uploads: Arc<Uploads>, local: bool, stop: Stop) -> Router {
    let page = Page { feed, uploads, reading: Arc::new(Semaphore::new(READING_MAX)), local, stop };
    Router::new()
        .route("/", get(|| file("text/html; charset=utf-8", include_str!("page/index.html"))))
        .route("/page.css", get(|| file("text/css; charset=utf-8", include_str!("page/page.css"))))
        .route("/page.js", get(|| file("text/javascript; charset=utf-8", include_str!("page/page.js"))))
        .route("/flow.js", get(|| file("text/javascript; charset=utf-8", include_str!("page/flow.js"))))
        .route("/icon.svg", get(|| file("image/svg+xml", include_str!("page/icon.svg"))))
        .route("/examples", get(examples))
        .route("/events", get(events))
        .route("/letters/{name}", post(letter))
        .fallback(|| async { refusal(StatusCode::NOT_FOUND, "there is nothing here") })
        .method_not_allowed_fallback(|| async { refusal(StatusCode::METHOD_NOT_ALLOWED, "not with this method") })
        .layer(middleware::from_fn_with_state(page.clone(), guard))
        .with_state(page)
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind)], text).into_response()
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn refusal(status: StatusCode, why: &str) -> Response {
    json(status, &serde_json::json!({ "error": why }))
}

/// Turns away what other sites make a browser send, and gives every answer its headers.
async fn guard(State(page): State<Page>, request: Request, next: Next) -> Response {
    let mut response = match is_from_here(request.headers(), page.local) {
        true => next.run(request).await,
        false => refusal(StatusCode::FORBIDDEN, "this page is not for other sites"),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A request from a page of another site names that one as its origin. A name that leads here only by another site's
/// word (DNS rebinding) is no name of this machine.
fn is_from_here(headers: &HeaderMap, local: bool) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or_default());
    let host = text(HOST);
    let same_origin = match (text(ORIGIN), host) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(host)),
        (Some(_), None) => false,
        (None, _) => true,
    };
    same_origin && (!local || host.is_none_or(is_local_name))
}

fn is_local_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok()
}

/// The example letters, to be put into the text box.
async fn examples() -> Response {
    let all = letters::all().map(|(name, text)| serde_json::json!({ "name": name, "text": text }));
    json(StatusCode::OK, &all.collect())
}

/// Takes a letter in: it will be crunched, whatever happens to the broker, and to who sent it once it is here.
async fn letter(State(page): State<Page>, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let reading = page.reading.clone();
    let Ok(_turn) = reading.acquire().await else { return busy() };
    let bytes = match tokio::time::timeout(READING_TIME_MAX, read(&headers, body)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(refused)) => return refused,
        Err(_) => return refusal(StatusCode::REQUEST_TIMEOUT, "the letter takes too long to come"),
    };
    if bytes.is_empty() {
        return refusal(StatusCode::BAD_REQUEST, "the letter is empty");
    }
    // In a task of its own: this one is dropped when the sender hangs up, and the letter would keep its place for ever.
    tokio::spawn(async move { keep(&page, &name, &bytes).await }).await.unwrap_or_else(|_| busy())
}

async fn keep(page: &Page, name: &str, bytes: &[u8]) -> Response {
    let number = match page.uploads.store(name, &text::of(bytes)).await {
        Ok(number) => number,
        Err(why @ Refused::Busy) => return refusal(StatusCode::SERVICE_UNAVAILABLE, &why.to_string()),
        Err(why @ Refused::Io(_)) => return refusal(StatusCode::INSUFFICIENT_STORAGE, &why.to_string()),
    };
    page.feed.tell(|board| board.letter(&page.uploads.label(number), name, bytes.len()));
    page.uploads.release(number);
    json(StatusCode::ACCEPTED, &serde_json::json!({ "letter": number }))
}

fn busy() -> Response {
    refusal(StatusCode::SERVICE_UNAVAILABLE, "the page is busy; try again later")
}

fn too_large() -> Response {
    let why = format!("the letter is larger than {} MiB", LETTER_BYTES_MAX >> 20);
    refusal(StatusCode::PAYLOAD_TOO_LARGE, &why)
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Response> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > REFUSED_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let mut stream = body.into_data_stream();
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(chunk) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
        let chunk: Bytes = chunk.map_err(|_| refusal(StatusCode::BAD_REQUEST, "the letter broke off"))?;
        length = length.saturating_add(chunk.len());
        if length > REFUSED_BYTES_MAX {
            break;
        }
        if length <= LETTER_BYTES_MAX {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes = Vec::new();
        }
    }
    if length > LETTER_BYTES_MAX { Err(too_large()) } else { Ok(bytes) }
}

/// All of the board, then every change of it.
async fn events(State(page): State<Page>) -> Response {
    let Some(watcher) = page.feed.watch() else { return busy() };
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(forward(watcher, sender, page.stop.clone()));
    Sse::new(Events(receiver)).into_response()
}

/// Hands a browser its events as fast as it takes them.
async fn forward(mut watcher: Watcher, sender: mpsc::Sender<Event>, mut stop: Stop) {
    let mut retry = Some(RETRY);
    loop {
        let event = tokio::select! {
            () = stop.asked() => return,
            () = sender.closed() => return,
            change = tokio::time::timeout(QUIET_MAX, watcher.next()) => match change {
                Ok(change) => Event::default().data(&*change),
                Err(_) => Event::default().comment("no news"),
            },
        };
        let event = match retry.take() {
            Some(retry) => event.retry(retry),
            None => event,
        };
        if sender.send(event).await.is_err() {
            return;
        }
    }
}

struct Events(mpsc::Receiver<Event>);

impl Stream for Events {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|event| event.map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::Board;
    use super::super::rows::{Broker, Fixed, Link};
    use super::*;

    fn page() -> Page {
        let (run, domain) = ("run".to_owned(), String::new());
        let uploads = Arc::new(Uploads::new(&run).unwrap());
        let fixed = Fixed { run, domain, out: None, own_services: false, letter_bytes_max: LETTER_BYTES_MAX };
        let broker = Broker { link: Link::Connecting, address: String::new(), embedded: false, healed: 0 };
        let (feed, reading) = (Arc::new(Feed::new(Board::new(fixed, broker))), Arc::new(Semaphore::new(READING_MAX)));
        Page { feed, uploads, reading, local: true, stop: Stop::new().1 }
    }

    #[tokio::test]
    async fn a_letter_whose_sender_hangs_up_too_early_is_kept_all_the_same() {
        let page = page();
        let name = Path("a.txt".to_owned());
        let mut handler = Box::pin(letter(State(page.clone()), name, HeaderMap::new(), Body::from("ann@apple.com")));
        let answered = poll_fn(|cx| Poll::Ready(handler.as_mut().poll(cx).is_ready())).await;
        drop(handler);
        assert!(!answered, "it was to be dropped in the midst of it");

        let (number, path) = tokio::time::timeout(READING_TIME_MAX, page.uploads.next()).await.unwrap();
        assert_eq!((number, std::fs::read_to_string(&path).unwrap().as_str()), (1, "ann@apple.com"));
        assert_eq!(page.reading.available_permits(), READING_MAX);
        std::fs::remove_file(path).unwrap();
    }

    fn headers(origin: Option<&'static str>, host: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        origin.map(|origin| headers.insert(ORIGIN, HeaderValue::from_static(origin)));
        host.map(|host| headers.insert(HOST, HeaderValue::from_static(host)));
        headers
    }

    #[test]
    fn only_pages_from_here_may_ask() {
        let here = |origin, host| is_from_here(&headers(origin, host), true);
        assert!(here(None, Some("127.0.0.1:8080")) && here(None, Some("localhost")) && here(None, None));
        assert!(here(Some("http://[::1]:8080"), Some("[::1]:8080")));
        assert!(!here(Some("http://evil.example"), Some("127.0.0.1:8080")));
        assert!(!here(Some("null"), Some("127.0.0.1:8080")) && !here(Some("http://127.0.0.1"), None));
        assert!(!here(None, Some("evil.example:8080")));
    }

    #[test]
    fn a_page_for_the_network_goes_by_any_name() {
        assert!(is_from_here(&headers(Some("http://box.lan:80"), Some("box.lan:80")), false));
        assert!(!is_from_here(&headers(Some("http://other.lan:80"), Some("box.lan:80")), false));
    }
}
