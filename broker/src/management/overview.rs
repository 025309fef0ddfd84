//! The broker as a whole: what it is, what is in it, where it listens.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};

use super::auth::Caller;
use super::query::Query;
use super::reply::Reply;
use super::{Api, Shared, connections};
use crate::exchange::Kind;
use crate::node;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/overview", get(overview))
        .route("/api/cluster-name", get(cluster_name))
        .route("/api/version", get(version))
}

async fn cluster_name(_: Caller, query: Query) -> Reply {
    Ok(query.one(json!({"name": node::NAME})))
}

async fn version(State(api): State<Shared>, _: Caller) -> Reply {
    Ok(super::reply::ok(&api.rabbitmq_version().into()))
}

async fn overview(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    let identity = &api.node.identity;
    let vhosts = caller.vhosts();
    let (mut ready, mut unacked, mut queues, mut consumers) = (0, 0, 0, 0);
    for queue in vhosts.iter().flat_map(|vhost| vhost.all_queues()) {
        let figures = queue.figures();
        ready += figures.ready;
        unacked += figures.unacked;
        consumers += figures.consumers;
        queues += 1;
    }
    let connections = connections::seen(&api, &caller);
    let channels: usize = connections.iter().map(|connection| connection.channel_count()).sum();
    // Each virtual host has the default exchange besides those that it keeps.
    let exchanges: usize = vhosts.iter().map(|vhost| 1 + vhost.all_exchanges().len()).sum();
    let mut object = json!({
        "management_version": api.rabbitmq_version(),
        "rabbitmq_version": api.rabbitmq_version(),
        "product_name": identity.product,
        "product_version": identity.version,
        "cluster_name": node::NAME,
        "node": node::NAME,
        "rates_mode": "none",
        "disable_stats": false,
        "enable_queue_totals": false,
        "statistics_db_event_queue": 0,
        "exchange_types": exchange_types(),
        "queue_totals": {"messages": ready + unacked, "messages_ready": ready, "messages_unacknowledged": unacked},
        "object_totals": {
            "channels": channels,
            "connections": connections.len(),
            "consumers": consumers,
            "exchanges": exchanges,
            "queues": queues,
        },
        "message_stats": {},
        "churn_rates": {},
        "contexts": [],
    });
    if caller.is_monitor() {
        object["listeners"] = listeners(&api);
    }
    Ok(query.one(object))
}

/// The types that exchanges may have.
pub(super) fn exchange_types() -> Value {
    let show = |kind: Kind| json!({"name": kind.name(), "description": format!("AMQP {} exchange", kind.name()), "enabled": true});
    [Kind::Direct, Kind::Fanout, Kind::Headers, Kind::Topic].into_iter().map(show).collect()
}

fn listeners(api: &Api) -> Value {
    let show = |listener: &super::Listener| {
        json!({
            "node": node::NAME,
            "protocol": listener.protocol,
            "ip_address": listener.address.ip().to_string(),
            "port": listener.address.port(),
            "socket_opts": {},
        })
    };
    api.listeners.iter().map(show).collect()
}
