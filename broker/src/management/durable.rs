//! A request that changes something is answered when its change stays.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::reply::Error;

/// Around every route.
pub(super) async fn answer(State(api): State<Shared>, request: Request, next: Next) -> Response {
    let is_change = !request.method().is_safe();
    let response = next.run(request).await;
    match &api.node.storage {
        // What is refused has changed nothing, or something on the way to the refusal.
        Some(storage) if is_change && !storage.catalog.written().await => Error::internal().into_response(),
        _ => response,
    }
}
