//! Policies and operator policies: list, look at, set, clear.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::auth::Caller;
use super::json::{self, Object};
use super::query::Query;
use super::queues::of_definition;
use super::reply::{self, Error, Reply};
use super::{Api, Shared};
use crate::auth::Pattern;
use crate::policy::{ApplyTo, Definition, Policy, PolicyKind, Term};
use crate::queue::Turn;
use crate::vhost::Vhost;

pub(super) fn routes() -> Router<Shared> {
    of_kind("policies", PolicyKind::User).merge(of_kind("operator-policies", PolicyKind::Operator))
}

fn of_kind(noun: &str, kind: PolicyKind) -> Router<Shared> {
    Router::new()
        .route(&format!("/api/{noun}"), get(async move |caller, query| all(kind, caller, query).await))
        .route(
            &format!("/api/{noun}/{{vhost}}"),
            get(async move |caller, vhost, query| of_vhost(kind, caller, vhost, query).await),
        )
        .route(
            &format!("/api/{noun}/{{vhost}}/{{name}}"),
            get(async move |caller, path, query| one(kind, caller, path, query).await)
                .put(async move |api, caller, path, body| put(kind, api, caller, path, body).await)
                .delete(async move |api, caller, path| remove(kind, api, caller, path).await),
        )
}

type Row = (Arc<str>, Arc<Policy>);

pub(super) fn rows(vhost: &Vhost, kind: PolicyKind) -> Vec<Row> {
    vhost.policies(kind).into_iter().map(|policy| (vhost.name.clone(), policy)).collect()
}

async fn all(kind: PolicyKind, caller: Caller, query: Query) -> Reply {
    list(query, caller.vhosts().iter().flat_map(|vhost| rows(vhost, kind)).collect()).await
}

async fn of_vhost(kind: PolicyKind, caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    list(query, rows(&*caller.vhost(&vhost)?, kind)).await
}

async fn list(query: Query, rows: Vec<Row>) -> Reply {
    query.list(rows, |(_, policy)| &policy.name, of_policy).await
}

async fn one(kind: PolicyKind, caller: Caller, Path((vhost, name)): Path<(String, String)>, query: Query) -> Reply {
    let rows = rows(&*caller.vhost(&vhost)?, kind);
    let row = rows.iter().find(|(_, policy)| *policy.name == *name).ok_or_else(Error::not_found)?;
    Ok(query.one(of_policy(row)))
}

/// Operator policies are an administrator's.
fn check(kind: PolicyKind, caller: &Caller) -> Result<(), Error> {
    match kind {
        PolicyKind::User => caller.makes_policies(),
        PolicyKind::Operator => caller.administers(),
    }
}

async fn put(
    kind: PolicyKind,
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
    body: Object,
) -> Reply {
    check(kind, &caller)?;
    let vhost = caller.vhost(&vhost)?;
    Ok(reply::put(set(&api, &vhost, kind, &name, &body)?))
}

/// Sets a policy as an object says; false if there was one of that name.
///
/// # Errors
/// 400 for what cannot be.
pub(super) fn set(api: &Api, vhost: &Vhost, kind: PolicyKind, name: &str, body: &Object) -> Result<bool, Error> {
    let pattern = body.required_text("pattern")?;
    let apply_to = match body.text("apply-to")? {
        None => ApplyTo::default(),
        Some(text) => ApplyTo::of(text).ok_or_else(|| invalid(format!("apply-to '{text}' is unknown")))?,
    };
    let policy = Policy {
        name: name.into(),
        pattern: Pattern::new(pattern).map_err(invalid)?,
        apply_to,
        priority: body.number("priority")?.unwrap_or(0),
        definition: definition(body.value("definition").ok_or_else(|| json::missing("definition"))?)?,
    };
    policy.check(kind).map_err(invalid)?;
    let mut turn = Turn::at((api.clock)());
    let new = vhost.set_policy(kind, policy, &mut turn);
    end(api, vhost, turn);
    Ok(new)
}

fn invalid(why: String) -> Error {
    Error::bad_request(format!("Validation failed\n\n{why}\n"))
}

fn definition(value: &Value) -> Result<Definition, Error> {
    let terms = value.as_object().ok_or_else(|| invalid("the definition is no object".into()))?;
    let term = |value: &Value| match value {
        Value::Number(number) => number.as_i64().map(Term::Number),
        Value::String(text) => Some(Term::Text(text.clone())),
        Value::Bool(flag) => Some(Term::Flag(*flag)),
        _ => None,
    };
    terms
        .iter()
        .map(|(key, value)| match term(value) {
            Some(term) => Ok((key.clone(), term)),
            None => Err(invalid(format!("{value} is not a valid value for {key}"))),
        })
        .collect()
}

/// What a policy has thrown out of queues is published as dead letters, and whoever can go on is woken.
fn end(api: &Api, vhost: &Vhost, mut turn: Turn) {
    vhost.publish_dead_letters(&mut turn, api.node.epoch_s);
    turn.finish();
}

async fn remove(
    kind: PolicyKind,
    State(api): State<Shared>,
    caller: Caller,
    Path((vhost, name)): Path<(String, String)>,
) -> Reply {
    check(kind, &caller)?;
    let vhost = caller.vhost(&vhost)?;
    let mut turn = Turn::at((api.clock)());
    let removed = vhost.clear_policy(kind, &name, &mut turn);
    end(&api, &vhost, turn);
    if removed { Ok(reply::done()) } else { Err(Error::not_found()) }
}

pub(super) fn of_policy((vhost, policy): &Row) -> Value {
    json!({
        "vhost": &**vhost,
        "name": &*policy.name,
        "pattern": policy.pattern.text(),
        "apply-to": policy.apply_to.name(),
        "priority": policy.priority,
        "definition": of_definition(&policy.definition),
    })
}
