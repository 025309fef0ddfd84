//! RabbitMQ's seven tutorials with this client, each beside its twin in Python with pika, which it works together with:
//!
//!     cargo run -p leveret-client --example tutorials -- receive
//!     cargo run -p leveret-client --example tutorials -- send
//!
//! The broker is at `$AMQP_URL`, or on this machine.
#![expect(clippy::print_stdout, reason = "the tutorials say what they do")]

#[path = "3_publish_subscribe/emit_log.rs"]
mod emit_log;
#[path = "4_routing/emit_log_direct.rs"]
mod emit_log_direct;
#[path = "5_topics/emit_log_topic.rs"]
mod emit_log_topic;
#[path = "2_work_queues/new_task.rs"]
mod new_task;
#[path = "7_publisher_confirms/publisher_confirms.rs"]
mod publisher_confirms;
#[path = "1_hello_world/receive.rs"]
mod receive;
#[path = "3_publish_subscribe/receive_logs.rs"]
mod receive_logs;
#[path = "4_routing/receive_logs_direct.rs"]
mod receive_logs_direct;
#[path = "5_topics/receive_logs_topic.rs"]
mod receive_logs_topic;
#[path = "6_rpc/rpc_client.rs"]
mod rpc_client;
#[path = "6_rpc/rpc_server.rs"]
mod rpc_server;
#[path = "1_hello_world/send.rs"]
mod send;
#[path = "2_work_queues/worker.rs"]
mod worker;

use leveret_client::{Connection, Error, Result};

/// What each tutorial begins with.
async fn connect() -> Result<Connection> {
    let url = std::env::var("AMQP_URL").unwrap_or_else(|_| String::from("amqp://guest:guest@localhost"));
    Connection::open(&url).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match &words[..] {
        ["send"] => send::run().await,
        ["receive"] => receive::run().await,
        ["new_task", message @ ..] => new_task::run(&message.join(" ")).await,
        ["worker"] => worker::run().await,
        ["emit_log", message @ ..] => emit_log::run(&message.join(" ")).await,
        ["receive_logs"] => receive_logs::run().await,
        ["emit_log_direct", severity, message @ ..] => emit_log_direct::run(severity, &message.join(" ")).await,
        ["receive_logs_direct", severities @ ..] => receive_logs_direct::run(severities).await,
        ["emit_log_topic", key, message @ ..] => emit_log_topic::run(key, &message.join(" ")).await,
        ["receive_logs_topic", patterns @ ..] => receive_logs_topic::run(patterns).await,
        ["rpc_server"] => rpc_server::run().await,
        ["rpc_client", number] => rpc_client::run(number).await,
        ["publisher_confirms"] => publisher_confirms::run().await,
        _ => Err(Error::Usage("which tutorial? send, receive, new_task, worker, emit_log ...; see the folders here")),
    }
}
