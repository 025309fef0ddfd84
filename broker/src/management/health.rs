//! Health checks: 200 if all is well, 503 with the reason if not.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};

use super::auth::Caller;
use super::reply::{self, Error, Reply};
use super::{Api, Shared};
use crate::alarms::Resource;
use crate::node;

pub(super) fn routes() -> Router<Shared> {
    let single = "single node cluster";
    let fine = |reason: Option<&'static str>| get(move |_: Caller| async move { well(reason) });
    Router::new()
        .route("/api/health/checks/alarms", get(alarms))
        .route("/api/health/checks/local-alarms", get(alarms))
        .route("/api/health/checks/virtual-hosts", fine(None))
        .route("/api/health/checks/node-is-quorum-critical", fine(Some(single)))
        .route("/api/health/checks/node-is-mirror-sync-critical", fine(Some(single)))
        .route("/api/health/checks/ready-to-serve-clients", fine(None))
        .route("/api/health/checks/is-in-service", fine(None))
        .route("/api/health/checks/below-node-connection-limit", fine(None))
        // Nothing has a certificate yet.
        .route("/api/health/checks/certificate-expiration/{within}/{unit}", fine(None))
        .route("/api/health/checks/port-listener/{port}", get(port_listener))
        .route("/api/health/checks/protocol-listener/{protocol}", get(protocol_listener))
        .route("/api/healthchecks/node", get(alarms))
        .route("/api/healthchecks/node/{node}", get(alarms))
}

fn well(reason: Option<&str>) -> Reply {
    Ok(reply::ok(&match reason {
        Some(reason) => json!({"status": "ok", "reason": reason}),
        None => json!({"status": "ok"}),
    }))
}

fn failed(mut why: Value) -> Reply {
    why["status"] = "failed".into();
    Ok(reply::with_status(StatusCode::SERVICE_UNAVAILABLE, &why))
}

async fn alarms(State(api): State<Shared>, _: Caller) -> Reply {
    let named = [(Resource::Memory, "memory"), (Resource::Disk, "disk")];
    let short = named.iter().filter(|(resource, _)| api.node.alarms.is_short(*resource));
    let alarms: Vec<Value> = short.map(|(_, name)| json!({"node": node::NAME, "resource": name})).collect();
    if alarms.is_empty() {
        return well(None);
    }
    failed(json!({"reason": "resource alarm(s) in effect", "alarms": alarms}))
}

async fn port_listener(State(api): State<Shared>, _: Caller, Path(port): Path<String>) -> Reply {
    let port: u16 = port.parse().map_err(|_| Error::bad_request("Invalid port"))?;
    let ports: Vec<u16> = api.listeners.iter().map(|listener| listener.address.port()).collect();
    match ports.contains(&port) {
        true => Ok(reply::ok(&json!({"status": "ok", "port": port}))),
        false => failed(json!({"reason": "No active listener", "missing": port, "ports": ports})),
    }
}

async fn protocol_listener(State(api): State<Shared>, _: Caller, Path(protocol): Path<String>) -> Reply {
    let protocols = protocols(&api);
    let meant = match protocol.as_str() {
        "amqp091" | "amqp0.9.1" => "amqp",
        other => other,
    };
    match protocols.contains(&meant) {
        true => Ok(reply::ok(&json!({"status": "ok", "protocol": protocol}))),
        false => failed(json!({"reason": "No active listener", "missing": protocol, "protocols": protocols})),
    }
}

fn protocols(api: &Api) -> Vec<&'static str> {
    let mut protocols: Vec<_> = api.listeners.iter().map(|listener| listener.protocol).collect();
    protocols.sort_unstable();
    protocols.dedup();
    protocols
}
