//! The HTTP management API: RabbitMQ's paths, methods and field names over this broker's own nouns.
//!
//! ```text
//! server   accepts, bounds what a peer may send, hands requests to the routes, finishes the replies
//! auth     who calls, and what he may see and do
//! query    columns, sorting and pages of a list
//! reply    JSON replies and errors
//! durable  a change is answered when it stays
//! session  a caller as an AMQP client: what changes queues, exchanges and bindings goes through the same checks as AMQP
//! ```
//!
//! The other files have a noun each, with its routes and how it looks in JSON. Figures that nobody knows are left out.

mod auth;
mod bindings;
mod channels;
mod connections;
mod consumers;
mod definitions;
mod durable;
mod exchanges;
mod health;
mod json;
mod limits;
mod messages;
mod nodes;
mod overview;
mod parameters;
mod permissions;
mod policies;
mod query;
mod queues;
mod reply;
mod server;
mod session;
mod users;
mod vhosts;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;

use crate::node::Node;
use crate::time::Moment;
use crate::vhost::Vhost;

pub(crate) use definitions::{import, load};
pub(crate) use server::run;

/// The RabbitMQ whose API this is, for tools that choose by version.
const COMPATIBLE_VERSION: &str = "4.2.0";

/// What requests are answered from.
pub(crate) struct Api {
    pub(crate) node: Arc<Node>,
    /// What time it is for the broker, which the server knows.
    pub(crate) clock: Box<dyn Fn() -> Moment + Send + Sync>,
    pub(crate) listeners: Vec<Listener>,
}

/// Where the broker listens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listener {
    pub(crate) protocol: &'static str,
    pub(crate) address: SocketAddr,
}

type Shared = Arc<Api>;

impl Api {
    /// The virtual host of that name.
    ///
    /// # Errors
    /// 404 if there is none.
    fn vhost(&self, name: &str) -> Result<Arc<Vhost>, reply::Error> {
        self.node.vhost(name).ok_or_else(reply::Error::not_found)
    }

    /// The version that tools for RabbitMQ are told.
    fn rabbitmq_version(&self) -> &str {
        let identity = &self.node.identity;
        if identity.product == "RabbitMQ" { &identity.version } else { COMPATIBLE_VERSION }
    }
}

fn routes(api: Shared) -> Router {
    Router::new()
        .merge(overview::routes())
        .merge(nodes::routes())
        .merge(health::routes())
        .merge(vhosts::routes())
        .merge(users::routes())
        .merge(permissions::routes())
        .merge(limits::routes())
        .merge(connections::routes())
        .merge(channels::routes())
        .merge(consumers::routes())
        .merge(exchanges::routes())
        .merge(queues::routes())
        .merge(messages::routes())
        .merge(bindings::routes())
        .merge(policies::routes())
        .merge(parameters::routes())
        .merge(definitions::routes())
        .layer(from_fn_with_state(api.clone(), durable::answer))
        .with_state(api)
}
