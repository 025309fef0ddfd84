//! Messages: publish one, get some, and the round trip that shows that a virtual host is alive.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leveret_spec::{Method, Properties, ReplyCode, ShortBytes, TableBuf, queue};
use serde_json::{Value, json};

use super::auth::Caller;
use super::exchanges::name_in_path;
use super::json::{self, Object};
use super::reply::{self, Error, Reply};
use super::session::Session;
use super::{Shared, queues};
use crate::auth::{Access, Resource};
use crate::failure::Failure;
use crate::message::{self, Message};
use crate::queue::{Entry, Returning};

/// Messages that one request may get.
const COUNT_MAX: i64 = 10_000;
/// Bytes of bodies that one request gets before it stops.
const BYTES_MAX: usize = 64 << 20;
/// The queue of the round trip.
const ALIVENESS: &str = "aliveness-test";

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/exchanges/{vhost}/{exchange}/publish", post(publish))
        .route("/api/queues/{vhost}/{queue}/get", post(take))
        .route("/api/aliveness-test/{vhost}", get(aliveness))
}

async fn publish(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, exchange)): Path<(String, String)>,
    body: Object,
) -> Reply {
    let mut session = Session::enter(&api, &caller, &vhost)?;
    if body.value("properties").is_none() {
        return Err(json::missing("properties"));
    }
    let properties = body.object("properties")?;
    let headers = properties.table("headers")?;
    let has_headers = properties.value("headers").is_some();
    let properties = read_properties(&properties, has_headers.then_some(&headers))?;
    let (key, payload) = (body.required_text("routing_key")?, body.required_text("payload")?);
    let payload = match body.required_text("payload_encoding")? {
        "string" => payload.into(),
        "base64" => STANDARD.decode(payload).map_err(|_| Error::bad_request(json!(["not_base64", "payload"])))?,
        other => return Err(Error::bad_request(json!(["unsupported_encoding", other]))),
    };
    let message = Message::assemble(text(name_in_path(&exchange))?, text(key)?, &properties, &payload);
    match session.publish(message) {
        Ok(routed) => Ok(reply::ok(&json!({"routed": routed}))),
        // RabbitMQ's answer, with the code in front.
        Err(Failure::Soft(soft)) if soft.code == ReplyCode::NotFound => {
            Err(Error::bad_request(format!("{} {soft}", soft.code.code())))
        }
        Err(other) => Err(other.into()),
    }
}

fn text(text: &str) -> Result<ShortBytes<'_>, Error> {
    ShortBytes::try_from(text).map_err(|_| Error::bad_request("a name or property is longer than 255 bytes"))
}

fn read_properties<'p>(given: &'p Object, headers: Option<&'p TableBuf>) -> Result<Properties<'p>, Error> {
    let short = |name: &str| given.text(name)?.map(text).transpose();
    let octet = |name: &str| {
        let number = given.number(name)?.map(u8::try_from).transpose();
        number.map_err(|_| Error::bad_request(json!(["not_an_octet", name])))
    };
    let timestamp = given.number("timestamp")?.map(u64::try_from).transpose();
    Ok(Properties {
        content_type: short("content_type")?,
        content_encoding: short("content_encoding")?,
        headers: headers.map(TableBuf::as_table),
        delivery_mode: octet("delivery_mode")?,
        priority: octet("priority")?,
        correlation_id: short("correlation_id")?,
        reply_to: short("reply_to")?,
        expiration: short("expiration")?,
        message_id: short("message_id")?,
        timestamp: timestamp.map_err(|_| Error::bad_request(json!(["not_a_timestamp", "timestamp"])))?,
        message_type: short("type")?,
        user_id: short("user_id")?,
        app_id: short("app_id")?,
        cluster_id: short("cluster_id")?,
    })
}

/// What becomes of messages that were got.
struct Mode {
    requeue: bool,
    reject: bool,
}

impl Mode {
    /// The old form is `requeue`, the new one `ackmode`.
    fn of(body: &Object) -> Result<Self, Error> {
        match (body.text("ackmode")?, body.value("requeue")) {
            (Some("ack_requeue_true"), _) => Ok(Mode { requeue: true, reject: false }),
            (Some("ack_requeue_false"), _) => Ok(Mode { requeue: false, reject: false }),
            (Some("reject_requeue_true"), _) => Ok(Mode { requeue: true, reject: true }),
            (Some("reject_requeue_false"), _) => Ok(Mode { requeue: false, reject: true }),
            (None, Some(_)) => Ok(Mode { requeue: body.flag("requeue")?, reject: false }),
            (None, None) => Err(json::missing("ackmode")),
            (Some(other), _) => Err(Error::bad_request(format!("unknown ackmode '{other}'"))),
        }
    }
}

async fn take(
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    body: Object,
) -> Reply {
    let mut session = Session::enter(&api, &caller, &vhost)?;
    let mode = Mode::of(&body)?;
    let count = body.required_number("count")?.clamp(0, COUNT_MAX);
    let as_base64 = match body.required_text("encoding")? {
        "auto" => false,
        "base64" => true,
        other => return Err(Error::bad_request(json!(["unsupported_encoding", other]))),
    };
    let truncate = body.number("truncate")?.map(|bytes| usize::try_from(bytes).unwrap_or(0));
    let link = session.link();
    link.rights()?.check(Access::Read, Resource::Queue(&name))?;
    let queue = link.vhost.queue(&name)?;
    queue.check_owner(link.id)?;
    let (mut taken, mut shown, mut bytes) = (vec![], vec![], 0);
    for _ in 0..count {
        let Some((entry, left)) = queue.get(false, &mut link.turn)? else { break };
        shown.push(show(&entry, left, as_base64, truncate));
        bytes += entry.message.body_len();
        taken.push(entry);
        if bytes > BYTES_MAX {
            break;
        }
    }
    let settled = taken.len();
    let stored = taken.iter().filter_map(Entry::stored).collect();
    match mode {
        Mode { requeue: true, .. } => {
            queue.requeue(None, Returning { delivered: taken, ..Returning::default() }, &mut link.turn);
        }
        Mode { reject, .. } => {
            if reject {
                queue.reject(taken, &mut link.turn);
            }
            queue.settle(None, settled, stored, &mut link.turn);
        }
    }
    Ok(reply::ok(&shown.into()))
}

fn show(entry: &Entry, left: usize, as_base64: bool, truncate: Option<usize>) -> Value {
    let (exchange, key) = message::split_address(entry.message.address());
    let body = entry.message.body();
    let shown = &body[..truncate.unwrap_or(body.len()).min(body.len())];
    let (payload, encoding) = match std::str::from_utf8(shown) {
        Ok(text) if !as_base64 => (text.to_owned(), "string"),
        _ => (STANDARD.encode(shown), "base64"),
    };
    json!({
        "payload_bytes": body.len(),
        "redelivered": entry.redelivered(),
        "exchange": exchange.to_string(),
        "routing_key": key.to_string(),
        "message_count": left,
        "properties": json::of_properties(entry.message.properties()),
        "payload": payload,
        "payload_encoding": encoding,
    })
}

/// Declares a queue, publishes to it and gets the message back, as RabbitMQ does.
async fn aliveness(State(api): State<Shared>, caller: Caller, Path(vhost): Path<String>) -> Reply {
    let mut session = Session::enter(&api, &caller, &vhost)?;
    let declare = queue::Declare { queue: queues::short(ALIVENESS)?, ..queue::Declare::default() };
    session.carry_out(Method::Queue(queue::Method::Declare(declare)))?;
    let message = Message::assemble(ShortBytes::default(), text(ALIVENESS)?, &Properties::default(), b"test_message");
    session.publish(message)?;
    let link = session.link();
    link.settle_publishes();
    link.rights()?.check(Access::Read, Resource::Queue(ALIVENESS))?;
    let found = link.vhost.queue(ALIVENESS)?.get(true, &mut link.turn)?;
    match found {
        Some(_) => Ok(reply::ok(&json!({"status": "ok"}))),
        None => Ok(reply::ok(&json!({"status": "failed"}))),
    }
}
