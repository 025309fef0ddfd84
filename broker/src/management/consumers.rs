//! Consumers: list.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::auth::Caller;
use super::query::Query;
use super::reply::Reply;
use super::{Api, Shared, channels, json};
use crate::queue::Queue;
use crate::roster::{Channel, Connection, Consumer};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/api/consumers", get(all)).route("/api/consumers/{vhost}", get(of_vhost))
}

async fn all(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    let vhosts: Vec<_> = caller.vhosts().iter().map(|vhost| vhost.name.clone()).collect();
    list(&api, query, |consumer| vhosts.contains(&consumer.connection.facts.vhost)).await
}

async fn of_vhost(State(api): State<Shared>, caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    let vhost = caller.vhost(&vhost)?;
    list(&api, query, |consumer| consumer.connection.facts.vhost == vhost.name).await
}

async fn list(api: &Api, query: Query, mine: impl Fn(&Row) -> bool) -> Reply {
    let rows: Vec<Row> = rows(api).filter(mine).collect();
    query.list(rows, |row| &row.tag, Row::show).await
}

/// A consumer with what it belongs to.
struct Row {
    connection: Arc<Connection>,
    channel: Arc<Channel>,
    tag: Box<str>,
    consumer: Consumer,
}

fn rows(api: &Api) -> impl Iterator<Item = Row> {
    api.node.roster.connections().into_iter().flat_map(|connection| {
        let channels = connection.channels();
        channels.into_iter().flat_map(move |channel| {
            let connection = connection.clone();
            let row = move |(tag, consumer), channel: &Arc<Channel>| Row {
                connection: connection.clone(),
                channel: channel.clone(),
                tag,
                consumer,
            };
            channel.consumers().into_iter().map(move |consumer| row(consumer, &channel))
        })
    })
}

/// The consumers of a queue.
pub(super) fn of_queue(api: &Api, queue: &Arc<Queue>) -> Vec<Value> {
    rows(api).filter(|row| Arc::ptr_eq(&row.consumer.queue, queue)).map(|row| row.show()).collect()
}

/// The consumers of a channel.
pub(super) fn of_channel(connection: &Arc<Connection>, channel: &Arc<Channel>) -> Vec<Value> {
    let (connection, channel) = (connection.clone(), channel.clone());
    let show = |(tag, consumer)| Row { connection: connection.clone(), channel: channel.clone(), tag, consumer }.show();
    channel.consumers().into_iter().map(show).collect()
}

impl Row {
    fn show(&self) -> Value {
        let Consumer { queue, key, no_ack, exclusive, prefetch, arguments } = &self.consumer;
        let active = queue.is_served(*key);
        json!({
            "consumer_tag": &*self.tag,
            "queue": {"name": &*queue.name, "vhost": &*queue.vhost},
            "channel_details": channels::details(&self.connection, &self.channel),
            "ack_required": !no_ack,
            "exclusive": exclusive,
            "prefetch_count": prefetch,
            "active": active,
            "activity_status": if active { "up" } else { "waiting" },
            "arguments": json::of_table(arguments.as_table()),
        })
    }
}
