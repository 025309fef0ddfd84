//! Definitions: everything that was declared and configured, as one object, to take out and to put in again.

use std::fmt::Display;
use std::path::Path as FilePath;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use leveret_spec::{Method, exchange, queue};
use serde_json::{Value, json};

use super::auth::Caller;
use super::json::Object;
use super::query::Query;
use super::queues::short;
use super::reply::{self, Error, Reply};
use super::session::Session;
use super::{Api, Shared, bindings, exchanges, limits, permissions, policies, queues, users, vhosts};
use crate::exchange::RESERVED_PREFIX;
use crate::policy::PolicyKind;
use crate::vhost::Vhost;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/definitions", get(all).post(import_all))
        .route("/api/definitions/{vhost}", get(of_vhost).post(import_into))
}

async fn all(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    caller.administers()?;
    let vhosts = api.node.all_vhosts();
    let users = api.node.users.all();
    let mut object = topology(&api, &vhosts);
    object["rabbitmq_definition_format"] = "cluster".into();
    object["users"] = users.iter().map(users::of_user).collect();
    object["vhosts"] = vhosts.iter().map(|vhost| vhosts::declaration(vhost)).collect();
    object["permissions"] = users.iter().flat_map(|(name, user)| permissions::permissions(name, user)).collect();
    object["topic_permissions"] =
        users.iter().flat_map(|(name, user)| permissions::topic_permissions(name, user)).collect();
    object["global_parameters"] = json!([]);
    Ok(query.one(object))
}

async fn of_vhost(State(api): State<Shared>, caller: Caller, Path(vhost): Path<String>, query: Query) -> Reply {
    caller.administers()?;
    let mut object = topology(&api, &[api.vhost(&vhost)?]);
    object["rabbitmq_definition_format"] = "single_virtual_host".into();
    // So that they can be put into another virtual host.
    for list in ["queues", "exchanges", "bindings", "policies", "parameters"] {
        for item in object[list].as_array_mut().into_iter().flatten() {
            item.as_object_mut().map(|item| item.remove("vhost"));
        }
    }
    Ok(query.one(object))
}

/// Queues, exchanges, bindings and policies, without what ends with its connection and what is there anyway.
fn topology(api: &Api, vhosts: &[Arc<Vhost>]) -> Value {
    let queues = vhosts.iter().flat_map(|vhost| vhost.all_queues()).filter(|queue| queue.declaration.owner.is_none());
    let exchanges = vhosts.iter().flat_map(|vhost| vhost.all_exchanges());
    let exchanges = exchanges.filter(|exchange| !exchange.name.starts_with(RESERVED_PREFIX));
    let bindings = vhosts.iter().flat_map(|vhost| {
        let kept = move |row: &bindings::Row| !row.comes_from("") && !row.leads_to_exclusive(vhost);
        bindings::all_of(vhost).into_iter().filter(kept)
    });
    let policies = vhosts.iter().flat_map(|vhost| policies::rows(vhost, PolicyKind::User));
    json!({
        "rabbit_version": api.rabbitmq_version(),
        "rabbitmq_version": api.rabbitmq_version(),
        "product_name": api.node.identity.product,
        "product_version": api.node.identity.version,
        "queues": queues.map(|queue| queues::declaration(&queue)).collect::<Vec<_>>(),
        "exchanges": exchanges.map(|exchange| exchanges::declaration(&exchange)).collect::<Vec<_>>(),
        "bindings": bindings.map(|row| row.declaration()).collect::<Vec<_>>(),
        "policies": policies.map(|row| policies::of_policy(&row)).collect::<Vec<_>>(),
        "parameters": parameters(vhosts),
    })
}

/// Operator policies and limits, which RabbitMQ keeps as parameters.
fn parameters(vhosts: &[Arc<Vhost>]) -> Vec<Value> {
    let operator = |vhost: &Vhost| {
        policies::rows(vhost, PolicyKind::Operator).into_iter().map(|row| {
            let value = policies::of_policy(&row);
            json!({"component": "operator_policy", "vhost": &*row.0, "name": &*row.1.name, "value": value})
        })
    };
    let limits = |vhost: &Vhost| {
        let value = limits::of_vhost(vhost);
        let any = value.as_object().is_some_and(|limits| !limits.is_empty());
        any.then(|| json!({"component": "vhost-limits", "vhost": &*vhost.name, "name": "limits", "value": value}))
    };
    vhosts.iter().flat_map(|vhost| operator(vhost).chain(limits(vhost))).collect()
}

async fn import_all(State(api): State<Shared>, caller: Caller, body: Object) -> Reply {
    caller.administers()?;
    put_in(&api, &caller, &body, None)?;
    Ok(reply::done())
}

async fn import_into(State(api): State<Shared>, caller: Caller, Path(vhost): Path<String>, body: Object) -> Reply {
    caller.administers()?;
    api.vhost(&vhost)?;
    put_in(&api, &caller, &body, Some(&vhost))?;
    Ok(reply::done())
}

/// Takes in the file of definitions that the broker is started with, or all files of a folder in the order of their names.
///
/// # Errors
/// One sentence with the file and what is wrong with it.
pub(crate) fn load(api: Arc<Api>, path: &FilePath) -> Result<(), String> {
    let fail = |path: &FilePath, error: &dyn Display| format!("definitions {}: {error}", path.display());
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = path.read_dir().map_err(|error| fail(path, &error))?;
        files = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
    }
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| fail(&file, &error))?;
        import(api.clone(), &text).map_err(|error| fail(&file, &error))?;
        tracing::info!(file = %file.display(), "definitions taken in");
    }
    Ok(())
}

/// Takes in definitions, as the broker itself.
///
/// # Errors
/// One sentence that says what is wrong with them.
pub(crate) fn import(api: Arc<Api>, text: &str) -> Result<(), String> {
    let object = match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Object(object),
        Ok(_) => return Err("expected a JSON object".into()),
        Err(error) => return Err(format!("not JSON: {error}")),
    };
    let caller = Caller::broker(api.clone());
    put_in(&api, &caller, &object, None).map_err(|error| error.to_string())
}

/// Puts definitions in, in an order in which each finds what it needs; `into` is the virtual host for all that name none.
/// What is there already stays.
fn put_in(api: &Api, caller: &Caller, body: &Object, into: Option<&str>) -> Result<(), Error> {
    if into.is_none() {
        for item in items(body, "users")? {
            let name = item.required_text("name")?;
            users::set(api, name, &item)?;
            for limit in limits::read_all(&item.object("limits")?) {
                let (limit, value) = limit?;
                limits::set_for_user(api, name, limit, value)?;
            }
        }
        for item in items(body, "vhosts")? {
            let name = item.required_text("name")?;
            let change = vhosts::Change::read(&item)?;
            vhosts::create(api, name, &caller.name)?;
            api.vhost(name)?.change_with(change);
        }
        for item in items(body, "permissions")? {
            permissions::set(api, item.required_text("vhost")?, item.required_text("user")?, &item)?;
        }
        for item in items(body, "topic_permissions")? {
            permissions::set_topic(api, item.required_text("vhost")?, item.required_text("user")?, &item)?;
        }
    }
    for item in items(body, "parameters")? {
        let vhost = api.vhost(vhost_of(&item, into)?)?;
        let value = item.object("value")?;
        match item.required_text("component")? {
            "operator_policy" => {
                policies::set(api, &vhost, PolicyKind::Operator, item.required_text("name")?, &value)?;
            }
            "vhost-limits" => {
                for limit in limits::read_all(&value) {
                    let (limit, value) = limit?;
                    limits::set_for_vhost(&vhost, limit, value)?;
                }
            }
            other => tracing::info!(component = other, "parameter of an unknown component left out"),
        }
    }
    for item in items(body, "policies")? {
        let vhost = api.vhost(vhost_of(&item, into)?)?;
        policies::set(api, &vhost, PolicyKind::User, item.required_text("name")?, &item)?;
    }
    put_in_topology(api, caller, body, into)
}

fn put_in_topology(api: &Api, caller: &Caller, body: &Object, into: Option<&str>) -> Result<(), Error> {
    for item in items(body, "queues")? {
        let arguments = item.table("arguments")?;
        let method = queue::Declare {
            queue: short(item.required_text("name")?)?,
            durable: item.flag("durable")?,
            auto_delete: item.flag("auto_delete")?,
            arguments: arguments.as_table(),
            ..queue::Declare::default()
        };
        let mut session = Session::enter(api, caller, vhost_of(&item, into)?)?;
        session.carry_out(Method::Queue(queue::Method::Declare(method)))?;
    }
    for item in items(body, "exchanges")? {
        let arguments = item.table("arguments")?;
        let method = exchange::Declare {
            exchange: short(item.required_text("name")?)?,
            kind: short(item.required_text("type")?)?,
            durable: item.flag("durable")?,
            auto_delete: item.flag("auto_delete")?,
            internal: item.flag("internal")?,
            arguments: arguments.as_table(),
            ..exchange::Declare::default()
        };
        let mut session = Session::enter(api, caller, vhost_of(&item, into)?)?;
        session.carry_out(Method::Exchange(exchange::Method::Declare(method)))?;
    }
    for item in items(body, "bindings")? {
        let vhost = vhost_of(&item, into)?;
        let row = bindings::Row::read(vhost, &item)?;
        Session::enter(api, caller, vhost)?.carry_out(row.bind()?)?;
    }
    Ok(())
}

fn vhost_of<'v>(item: &'v Object, into: Option<&'v str>) -> Result<&'v str, Error> {
    match into {
        Some(vhost) => Ok(vhost),
        None => item.required_text("vhost"),
    }
}

/// The objects of a list; none if it is not there.
fn items(body: &Object, name: &str) -> Result<Vec<Object>, Error> {
    let wrong = || Error::bad_request(format!("{name} is no list of objects"));
    let Some(list) = body.value(name) else { return Ok(vec![]) };
    let list = list.as_array().ok_or_else(wrong)?;
    list.iter().map(|item| item.as_object().cloned().map(Object).ok_or_else(wrong)).collect()
}
