//! `leveret bench` against a broker of its own: each scenario runs for a moment, finds nothing lost, and says what it should.
#![expect(clippy::unwrap_used, reason = "that is how a test fails")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};

use leveret::{Broker, Config};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A broker that listens, as long as it is kept.
struct Listening {
    _runtime: Runtime,
    broker: Broker,
}

impl Listening {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let config = Config::in_memory().listen(([127, 0, 0, 1], 0).into()).http(([127, 0, 0, 1], 0).into());
        let broker = runtime.block_on(Broker::start(config)).unwrap();
        Listening { _runtime: runtime, broker }
    }

    fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2F", self.broker.amqp_addresses()[0])
    }

    /// What the HTTP API answers to a path: head and body.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.broker.http_address().unwrap()).unwrap();
        let head = "host: test\r\nconnection: close\r\nauthorization: Basic Z3Vlc3Q6Z3Vlc3Q=";
        write!(stream, "GET {path} HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// The report of one scenario, of which every check must have held.
    #[track_caller]
    fn bench(&self, words: &str) -> Value {
        let pid = std::process::id().to_string();
        let common = ["--json", "--seconds", "0.1", "--url", &self.url(), "--server-pid", &pid];
        let output = bench(words.split(' ').chain(common));
        let text = String::from_utf8(output.stdout).unwrap();
        let faults = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && faults.is_empty(), "{words}: {text}{faults}");
        let report: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&report["ok"], &report["faults"]), (&true.into(), &Value::Array(vec![])));
        assert_eq!(report["scenario"], *words.split(' ').next().unwrap());
        report
    }
}

fn bench<'a>(words: impl IntoIterator<Item = &'a str>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leveret")).arg("bench").args(words).output().unwrap()
}

/// The part has these figures, and counted something: within its moment or, on a busy machine, after it.
#[track_caller]
fn assert_part(report: &Value, part: &str, figures: &[&str]) {
    let part = &report["parts"][part];
    let counts = [&part["count"], &part["latency"]["count"]];
    assert!(counts.iter().any(|count| count.as_u64().is_some_and(|count| count > 0)), "{report}");
    for figure in figures {
        let value = figure.split('.').fold(part, |value, name| &value[name]);
        assert!(value.is_number(), "{figure} in {report}");
    }
}

const LATENCY: [&str; 6] =
    ["latency.count", "latency.p50_us", "latency.p90_us", "latency.p99_us", "latency.p99_9_us", "latency.max_us"];
const COSTS: [&str; 3] = ["per_second", "broker_cpu_us", "bench_cpu_us"];

/// Every kind of exchange, with and without confirms and acknowledgements, alone and in company.
#[test]
fn nothing_is_lost_at_full_speed() {
    let broker = Listening::start();
    for words in [
        "throughput",
        "throughput --confirms 0 --ack 0 --size 16",
        "throughput --confirms 1 --prefetch 1 --ack 1 --size 20000",
        "throughput --producers 3 --consumers 2 --queues 5 --persistent",
        "throughput --producers 2 --consumers 4 --queues 2 --confirms 64",
        "throughput --exchange direct --queues 3 --bindings 7",
        "throughput --exchange topic --queues 2 --bindings 6 --producers 2",
        "throughput --exchange headers --queues 2",
        "throughput --exchange fanout --queues 3 --producers 2",
    ] {
        let report = broker.bench(words);
        assert_part(&report, "published", &["per_second"]);
        assert_part(&report, "consumed", &[&LATENCY[..], &COSTS].concat());
    }
}

#[test]
fn a_fixed_rate_gives_latencies_of_deliveries_and_confirms() {
    let broker = Listening::start();
    let report = broker.bench("latency --rate 3000 --producers 2 --consumers 2 --queues 2");
    assert_part(&report, "delivered", &[&LATENCY[..], &COSTS].concat());
    assert_part(&report, "confirmed", &LATENCY);
    assert_part(&report, "bench late", &LATENCY);
    assert_eq!(report["settings"]["rate"], 3000.0);
    let report = broker.bench("latency --rate 3000 --confirms 0 --ack 0");
    assert!(report["parts"].get("confirmed").is_none());
}

#[test]
fn copies_and_patterns_are_complete() {
    let broker = Listening::start();
    let report = broker.bench("fanout --queues 20 --consumers 2");
    assert_part(&report, "consumed", &[&LATENCY[..], &COSTS].concat());
    let report = broker.bench("topic --bindings 50 --queues 2");
    assert_part(&report, "direct", &COSTS);
    assert_part(&report, "topic", &[&COSTS[..], &["ratio_to_direct"]].concat());
}

#[test]
fn replies_find_who_asked() {
    let report = Listening::start().bench("rpc --clients 2");
    for part in ["queue", "direct"] {
        assert_part(&report, part, &[&LATENCY[..], &COSTS].concat());
    }
}

#[test]
fn connections_and_queues_come_and_go() {
    let broker = Listening::start();
    let report = broker.bench("churn --workers 2");
    assert_part(&report, "cycle", &[&LATENCY[..], &COSTS].concat());
    for step in ["connect", "open", "declare", "close"] {
        assert_part(&report, step, &LATENCY);
    }
    let report = broker.bench("connections --connections 30 --channels 2");
    assert_part(&report, "open", &["per_second", "memory_kib", "broker_cpu_us"]);
    assert_part(&report, "close", &["per_second"]);
    let report = broker.bench("queues --queues 100");
    assert_part(&report, "declare", &["per_second", "memory_kib", "broker_cpu_us"]);
    assert_eq!(report["parts"]["delete"]["count"], 100);
}

#[test]
fn a_backlog_comes_out_as_it_went_in() {
    let report = Listening::start().bench("backlog --messages 5000 --size 1000 --prefetch 100");
    assert_part(&report, "fill", &[&COSTS[..], &["memory_kib"]].concat());
    assert_eq!((&report["parts"]["fill"]["count"], &report["parts"]["drain"]["count"]), (&5000.into(), &5000.into()));
}

#[test]
fn a_quiet_pair_is_measured_alone_and_beside_a_flood() {
    let report = Listening::start().bench("neighbour --pairs 2");
    assert_part(&report, "alone", &LATENCY);
    assert_part(&report, "beside", &LATENCY);
    assert_part(&report, "flood", &COSTS);
}

/// Nothing of a run stays at the broker.
#[test]
fn a_run_takes_away_what_it_declared() {
    let broker = Listening::start();
    for words in ["throughput --exchange topic --queues 3", "backlog --messages 10", "rpc", "queues --queues 5"] {
        broker.bench(words);
    }
    assert!(broker.get("/api/queues").ends_with("\r\n\r\n[]"), "{}", broker.get("/api/queues"));
    assert!(!broker.get("/api/exchanges").contains("leveret-bench"));
}

/// What fails is one sentence on standard error, and exit code 1; a wrong word is 2.
#[test]
fn errors_are_one_sentence() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("amqp://guest:secret@{unused}");
    for (words, said) in [
        (vec!["rpc", "--url", &url], format!("cannot connect to {unused}: connection refused")),
        (vec!["throughput", "--url", &url, "--size", "15"], String::from("--size must be at least 16")),
        (vec!["churn", "--server-pid", "4294967295"], String::from("there is no process 4294967295")),
    ] {
        let output = bench(words);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with(&format!("leveret: {said}")) && text.lines().count() == 1, "{text}");
        assert_eq!((output.status.code(), output.stdout.is_empty()), (Some(1), true));
    }
    assert_eq!(bench(["sideways"]).status.code(), Some(2));
}

/// People get a table.
#[test]
fn without_json_there_is_a_table() {
    let broker = Listening::start();
    let output = bench(["all", "--seconds", "0.05", "--url", &broker.url()]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    for scenario in
        ["throughput", "latency", "fanout", "topic", "rpc", "churn", "connections", "queues", "backlog", "neighbour"]
    {
        assert!(text.lines().any(|line| line.starts_with(scenario)), "{scenario} in\n{text}");
    }
}
