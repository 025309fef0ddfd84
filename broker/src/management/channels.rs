//! Channels: list and look at.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::auth::Caller;
use super::query::Query;
use super::reply::{Error, Reply};
use super::{Api, Shared, connections, consumers};
use crate::node;
use crate::roster::{Channel, Connection};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/channels", get(all))
        .route("/api/channels/{name}", get(one))
        .route("/api/connections/{name}/channels", get(of_connection))
        .route("/api/vhosts/{vhost}/channels", get(of_vhost))
}

/// A channel and its name: the connection's name, and the number in brackets.
struct Row {
    name: String,
    connection: Arc<Connection>,
    channel: Arc<Channel>,
}

fn rows(connection: Arc<Connection>) -> impl Iterator<Item = Row> {
    let channels = connection.channels();
    channels.into_iter().map(move |channel| Row {
        name: name(&connection, &channel),
        connection: connection.clone(),
        channel,
    })
}

fn name(connection: &Connection, channel: &Channel) -> String {
    format!("{} ({})", connection.facts.name, channel.number)
}

fn seen(api: &Api, caller: &Caller) -> impl Iterator<Item = Row> {
    connections::seen(api, caller).into_iter().flat_map(rows)
}

async fn all(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    list(query, seen(&api, &caller).collect()).await
}

async fn of_vhost(State(api): State<Shared>, caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    let vhost = caller.vhost(&vhost)?;
    list(query, seen(&api, &caller).filter(|row| row.connection.facts.vhost == vhost.name).collect()).await
}

async fn of_connection(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, query: Query) -> Reply {
    list(query, rows(connections::named(&api, &caller, &name)?).collect()).await
}

async fn one(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, query: Query) -> Reply {
    let row = seen(&api, &caller).find(|row| row.name == name).ok_or_else(Error::not_found)?;
    let mut object = row.show();
    object["consumer_details"] = consumers::of_channel(&row.connection, &row.channel).into();
    Ok(query.one(object))
}

async fn list(query: Query, rows: Vec<Row>) -> Reply {
    query.list(rows, |row| &row.name, Row::show).await
}

impl Row {
    fn show(&self) -> Value {
        let (facts, channel) = (&self.connection.facts, &self.channel);
        let mut connection = json!({"name": &*facts.name});
        connections::insert_addresses(&mut connection, facts);
        json!({
            "name": self.name,
            "number": channel.number,
            "connection_details": connection,
            "node": node::NAME,
            "user": &*facts.user,
            "vhost": &*facts.vhost,
            "state": "running",
            "consumer_count": channel.consumer_count(),
            "confirm": channel.confirms.load(Relaxed),
            "transactional": channel.transactional.load(Relaxed),
            "prefetch_count": channel.prefetch.load(Relaxed),
            "global_prefetch_count": channel.shared_prefetch.load(Relaxed),
            "messages_unacknowledged": channel.unacked.load(Relaxed),
            // Between turns nothing waits for its confirm.
            "messages_unconfirmed": 0,
        })
    }
}

/// A channel as its consumers show it.
pub(super) fn details(connection: &Connection, channel: &Channel) -> Value {
    let facts = &connection.facts;
    let mut details = json!({
        "name": name(connection, channel),
        "number": channel.number,
        "connection_name": &*facts.name,
        "node": node::NAME,
        "user": &*facts.user,
    });
    connections::insert_addresses(&mut details, facts);
    details
}
