//! Brokers come and go in one process, and leave nothing behind. It is a program of its own, since it counts what the whole
//! process has.

#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

use std::fs;
use std::time::{Duration, Instant};

use leveret::{Broker, Config};
use leveret_client::{Connection, Publish, QueueDeclare};
use tokio::runtime::{Handle, Runtime};

const PATIENCE: Duration = Duration::from_secs(60);

fn listening() -> Config {
    Config::in_memory().listen("127.0.0.1:0".parse().unwrap())
}

/// Open files of this process.
fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Threads of this process that belong to a store or a catalog.
fn threads_of_brokers() -> usize {
    let names = fs::read_dir("/proc/self/task").unwrap().filter_map(|thread| {
        // One that has just ended has no name any more.
        fs::read_to_string(thread.ok()?.path().join("comm")).ok()
    });
    names.filter(|name| name.starts_with("store") || name.starts_with("catalog")).count()
}

/// Waits until there is no more than before: clients' tasks end in their own time.
async fn settles(what: &str, count: impl Fn() -> usize, before: usize) {
    let start = Instant::now();
    while count() > before {
        assert!(start.elapsed() < PATIENCE, "{} {what} are left over", count() - before);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn use_broker(broker: &Broker, over_tcp: bool) -> Connection {
    let connection = match over_tcp {
        true => Connection::open(broker.amqp_url().unwrap()).await.unwrap(),
        false => Connection::over(broker.connect(), Default::default()).await.unwrap(),
    };
    let channel = connection.open_channel().await.unwrap();
    channel.queue_declare(QueueDeclare::new("q").durable()).await.unwrap();
    let message = Publish::to_queue("q").persistent().body("message");
    assert!(channel.publish_confirmed(message).await.unwrap().is_acked());
    connection
}

/// Clients that have said goodbye, that have not, and that are cut off; brokers that are shut down, and that are dropped.
async fn cycle(n: usize, config: Config) {
    let broker = Broker::start(config).await.unwrap();
    let connection = use_broker(&broker, n.is_multiple_of(2)).await;
    match n % 4 {
        0 => connection.close().await.unwrap(),
        1 => assert_eq!(broker.faults().drop_connections().await, 1),
        _ => {}
    }
    match n % 8 {
        7 => drop(broker),
        _ => broker.shutdown().await.unwrap(),
    }
}

#[test]
fn a_thousand_brokers_leave_nothing_behind() {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let tasks = || Handle::current().metrics().num_alive_tasks();
        // What the first one opens for good: the runtime's own files.
        cycle(0, listening()).await;
        settles("tasks", tasks, 0).await;
        let before = descriptors();
        for n in 0..1000 {
            cycle(n, listening()).await;
        }
        settles("tasks", tasks, 0).await;
        settles("descriptors", descriptors, before).await;

        let directory = std::env::temp_dir().join(format!("leveret-start-stop-{}", std::process::id()));
        for n in 0..7 {
            let mut config = Config::durable(&directory);
            config.amqp = listening().amqp;
            cycle(n, config).await;
        }
        settles("tasks", tasks, 0).await;
        settles("descriptors", descriptors, before).await;
        assert_eq!(threads_of_brokers(), 0);
        fs::remove_dir_all(directory).unwrap();

        let mut brokers = vec![];
        for n in 0..100 {
            let broker = Broker::start(listening()).await.unwrap();
            let connection = use_broker(&broker, n % 2 == 0).await;
            brokers.push((broker, connection));
        }
        for (broker, _) in &brokers {
            // Each has what was published to it, and nothing of the others.
            assert_eq!((broker.queue("/", "q").unwrap().ready(), broker.connections().len()), (1, 1));
        }
        for (broker, connection) in brokers {
            broker.shutdown().await.unwrap();
            drop(connection);
        }
        settles("tasks", tasks, 0).await;
        settles("descriptors", descriptors, before).await;
    });
}
