//! The one node: what it is and what it uses of the machine.

use std::fs;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::get;
use serde_json::{Value, json};

use super::auth::Caller;
use super::query::Query;
use super::reply::{Error, Reply};
use super::{Api, Shared, overview};
use crate::alarms::Resource;
use crate::auth::Mechanism;
use crate::node;

/// The size of a page where /proc counts in pages, in bytes.
const PAGE_BYTES: u64 = 4096;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/nodes", get(all))
        .route("/api/nodes/{node}", get(one))
        .route("/api/nodes/{node}/memory", get(memory))
}

async fn all(State(api): State<Shared>, caller: Caller, query: Query) -> Reply {
    caller.monitors()?;
    query.list(vec![api], |_| node::NAME, |api| of_node(api)).await
}

async fn one(State(api): State<Shared>, caller: Caller, Path(name): Path<String>, query: Query) -> Reply {
    caller.monitors()?;
    if name == node::NAME { Ok(query.one(of_node(&api))) } else { Err(Error::not_found()) }
}

/// Which part of the broker uses how much is not known.
async fn memory(caller: Caller, Path(name): Path<String>, query: Query) -> Reply {
    caller.monitors()?;
    if name == node::NAME { Ok(query.one(json!({"memory": "not_available"}))) } else { Err(Error::not_found()) }
}

fn of_node(api: &Api) -> Value {
    let (files_max, alarms) = (files_max(), &api.node.alarms);
    let files = fs::read_dir("/proc/self/fd").map_or(0, |open| open.count());
    let version = api.rabbitmq_version();
    let mechanism = |name| json!({"name": name, "description": format!("SASL {name}"), "enabled": true});
    json!({
        "name": node::NAME,
        "type": "disc",
        "running": true,
        "being_drained": false,
        "uptime": (api.clock)().since_start().as_millis() as u64,
        "os_pid": std::process::id().to_string(),
        "processors": std::thread::available_parallelism().map_or(1, usize::from),
        "run_queue": 0,
        "rates_mode": "none",
        "rabbitmq_version": version,
        "applications": [{"name": "rabbit", "description": api.node.identity.product, "version": version}],
        "enabled_plugins": ["rabbitmq_management"],
        "auth_mechanisms": Mechanism::OFFERED.split(' ').map(mechanism).collect::<Vec<_>>(),
        "exchange_types": overview::exchange_types(),
        "partitions": [],
        "cluster_links": [],
        "config_files": [],
        "log_files": [],
        "contexts": [],
        "mem_used": memory_used(),
        "mem_limit": alarms.memory_limit().unwrap_or(u64::MAX >> 1),
        "mem_alarm": alarms.is_short(Resource::Memory),
        "disk_free": alarms.disk_free(),
        "disk_free_limit": alarms.disk_limit(),
        "disk_free_alarm": alarms.is_short(Resource::Disk),
        "fd_used": files,
        "fd_total": files_max,
        "sockets_used": api.node.roster.connections().len(),
        "sockets_total": files_max,
        // Nothing here is a process of its own but the broker.
        "proc_used": 1,
        "proc_total": 1,
    })
}

/// Resident memory, in bytes; 0 where there is no way to know.
fn memory_used() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE_BYTES
}

/// Files that may be open at once; 0 where there is no way to know.
fn files_max() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
