//! Runtime parameters, of which nothing here has any, and what else is always empty.

use axum::Router;
use axum::extract::Path;
use axum::routing::{MethodRouter, get, post};
use serde_json::json;

use super::Shared;
use super::auth::Caller;
use super::reply::{self, Error, Reply};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/parameters", nothing())
        .route("/api/parameters/{component}", nothing())
        .route("/api/parameters/{component}/{vhost}", nothing())
        .route("/api/parameters/{component}/{vhost}/{name}", get(missing).put(unknown_component).delete(missing))
        .route("/api/global-parameters", nothing())
        .route("/api/global-parameters/{name}", get(missing).delete(missing))
        .route("/api/extensions", nothing())
        .route("/api/feature-flags", nothing())
        .route("/api/deprecated-features", nothing())
        .route("/api/deprecated-features/used", nothing())
        .route("/api/federation-links", nothing())
        .route("/api/federation-links/{vhost}", nothing())
        .route("/api/shovels", nothing())
        .route("/api/shovels/{vhost}", nothing())
        .route("/api/rebalance/queues", post(rebalance))
}

fn nothing() -> MethodRouter<Shared> {
    get(async |_: Caller| reply::ok(&json!([])))
}

async fn missing(_: Caller) -> Reply {
    Err(Error::not_found())
}

async fn unknown_component(caller: Caller, Path((component, _vhost, _name)): Path<(String, String, String)>) -> Reply {
    caller.makes_policies()?;
    Err(Error::bad_request(format!("Validation failed\n\ncomponent {component} not found\n")))
}

/// There is nowhere else that a queue could be.
async fn rebalance(caller: Caller) -> Reply {
    caller.administers()?;
    Ok(reply::done())
}
