//! The program in a directory of its own, ended in order or killed, and started again: what is durable is there as it was.
#![expect(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

#[expect(dead_code, reason = "other tests look at more of an answer")]
#[path = "support/http.rs"]
mod http;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use leveret::{Broker, Config};
use leveret_client::spec::{TableBuf, Value as Field};
use leveret_client::{Channel, Connection, ExchangeBind, ExchangeDeclare, QueueBind, QueueDeclare, QueueDelete};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leveret-restart-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    fn program(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_leveret"));
        command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log", "error", "--data-dir"]).arg(&self.0);
        command
    }

    fn start(&self) -> Program {
        self.start_with(&[])
    }

    fn start_with(&self, more: &[&str]) -> Program {
        let mut child = self.program().args(more).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let word = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)).map(str::trim);
        assert_eq!(word("data="), self.0.to_str(), "{line}");
        let (amqp, http) = (word("amqp=").unwrap().parse().unwrap(), word("http=").unwrap().parse().unwrap());
        Program { child, amqp, http }
    }

    /// A program that does not start.
    fn fails(&self) -> Output {
        self.program().output().unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A broker that runs.
struct Program {
    child: Child,
    amqp: SocketAddr,
    http: SocketAddr,
}

#[derive(Clone, Copy, Debug)]
enum End {
    InOrder,
    Killed,
}

impl Program {
    fn end(mut self, how: End) {
        match how {
            End::InOrder => {
                kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
                assert_eq!(self.child.wait().unwrap().code(), Some(0));
            }
            End::Killed => {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
            }
        }
    }

    fn get_as(&self, login: &str, path: &str) -> http::Reply {
        http::request(self.http, "GET", path, Some(login), None)
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        let reply = self.get_as("guest:guest", path);
        assert_eq!(reply.status, 200, "{path}");
        reply.json
    }

    #[track_caller]
    fn change(&self, method: &str, path: &str, body: Value) {
        let body = (!body.is_null()).then(|| body.to_string());
        let reply = http::request(self.http, method, path, Some("guest:guest"), body.as_deref());
        assert!(matches!(reply.status, 201 | 204), "{method} {path}: {} {}", reply.status, reply.json);
    }

    #[track_caller]
    fn put(&self, path: &str, body: Value) {
        self.change("PUT", path, body);
    }

    fn url(&self) -> String {
        format!("amqp://guest:guest@{}/v", self.amqp)
    }

    /// All that was declared and configured.
    fn definitions(&self) -> Value {
        let mut definitions = self.get("/api/definitions");
        for list in ["bindings", "exchanges", "queues"] {
            definitions[list].as_array_mut().unwrap().sort_by_key(Value::to_string);
        }
        definitions
    }
}

/// A test that fails leaves no broker behind.
impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn odd_arguments() -> TableBuf {
    let mut table = TableBuf::new();
    let inner = TableBuf::new().with("in", 1.5f64).unwrap();
    for (name, value) in [
        ("x-max-length", Field::I16(7)),
        ("x-message-ttl", Field::U32(60_000)),
        ("text", "ä".into()),
        ("when", Field::Timestamp(1)),
        ("nothing", Field::Void),
        ("inner", inner.as_table().into()),
    ] {
        table.insert(name, value).unwrap();
    }
    table
}

fn durable_queue(name: &str) -> QueueDeclare<'_> {
    QueueDeclare::new(name).durable().arguments(odd_arguments())
}

fn durable_exchange<'a>(name: &'a str, kind: &'a str) -> ExchangeDeclare<'a> {
    ExchangeDeclare::new(name, kind).durable().arguments(odd_arguments())
}

/// What is to stay, over AMQP and over HTTP.
async fn furnish(program: &Program) {
    program.put("/api/vhosts/v", json!({"description": "the one", "tags": "a,b", "default_queue_type": "classic"}));
    program.put("/api/vhost-limits/v/max-queues", json!({"value": 70}));
    program.put("/api/users/u", json!({"password": "secret", "tags": "monitoring,own"}));
    program.put("/api/user-limits/u/max-channels", json!({"value": 9}));
    program.put("/api/permissions/v/u", json!({"configure": "", "write": "^w", "read": ".*"}));
    program.put("/api/topic-permissions/v/u", json!({"exchange": "t", "write": "^{username}", "read": "x"}));
    program.put("/api/policies/v/p", json!({"pattern": "^kept", "definition": {"max-length": 5}, "priority": 2}));
    let bound = json!({"pattern": "kept", "definition": {"max-length": 4}, "apply-to": "queues"});
    program.put("/api/operator-policies/v/bound", bound);
    let connection = Connection::open(&program.url()).await.unwrap();
    let channel = connection.open_channel().await.unwrap();
    channel.exchange_declare(durable_exchange("t", "topic")).await.unwrap();
    channel.exchange_declare(durable_exchange("in", "headers").internal()).await.unwrap();
    channel.queue_declare(durable_queue("kept")).await.unwrap();
    channel.queue_declare(durable_queue("kept too").auto_delete()).await.unwrap();
    let quorum = QueueDeclare::new("kept quorum").durable().argument("x-queue-type", "quorum");
    channel.queue_declare(quorum).await.unwrap();
    channel.queue_bind(QueueBind::new("kept", "t").routing_key("a.#")).await.unwrap();
    channel.queue_bind(QueueBind::new("kept", "t").routing_key("a.#").arguments(odd_arguments())).await.unwrap();
    channel.queue_bind(QueueBind::new("kept too", "amq.direct").routing_key("k")).await.unwrap();
    channel.exchange_bind(ExchangeBind::new("in", "t").routing_key("b")).await.unwrap();
    connection.close().await.unwrap();
}

/// What ends with the broker, and what was deleted before that.
async fn clutter(channel: &Channel) {
    channel.exchange_declare(ExchangeDeclare::new("passing", "fanout")).await.unwrap();
    channel.queue_declare(QueueDeclare::new("passing")).await.unwrap();
    channel.queue_declare(QueueDeclare::new("own").durable().exclusive()).await.unwrap();
    for (queue, exchange) in [("passing", "t"), ("own", "t"), ("kept", "passing"), ("passing", "passing")] {
        channel.queue_bind(QueueBind::new(queue, exchange)).await.unwrap();
    }
    channel.exchange_declare(durable_exchange("last", "fanout").auto_delete()).await.unwrap();
    channel.queue_declare(durable_queue("deleted")).await.unwrap();
    channel.queue_bind(QueueBind::new("deleted", "last")).await.unwrap();
    channel.queue_bind(QueueBind::new("kept", "t").routing_key("unbound")).await.unwrap();
    channel.queue_unbind(QueueBind::new("kept", "t").routing_key("unbound")).await.unwrap();
    channel.queue_delete(QueueDelete::new("deleted")).await.unwrap();
}

/// Virtual hosts, users, permissions, policies, exchanges, queues and bindings are there again, whether the broker was ended or
/// killed, and again after that; what is transient or exclusive is not.
#[test]
fn what_is_durable_is_there_again() {
    for end in [End::InOrder, End::Killed] {
        let folder = Folder::new(&format!("{end:?}"));
        let runtime = Runtime::new().unwrap();
        let program = folder.start();
        runtime.block_on(furnish(&program));
        let before = program.definitions();
        let connection = runtime.block_on(async {
            let connection = Connection::open(&program.url()).await.unwrap();
            clutter(&connection.open_channel().await.unwrap()).await;
            connection
        });
        // Its answer means that everything before it is on disk as well.
        program.put("/api/users/gone", json!({"password": "x", "tags": ""}));
        program.change("DELETE", "/api/users/gone", Value::Null);
        assert_ne!(program.definitions(), before);
        program.end(end);
        drop(connection);
        for again in [end, End::Killed, end] {
            let program = folder.start();
            assert_eq!(program.definitions(), before, "{end:?}, {again:?}");
            program.end(again);
        }
        let program = folder.start();
        let kept = program.get("/api/queues/v/kept");
        assert_eq!((&kept["policy"], &kept["operator_policy"]), (&json!("p"), &json!("bound")), "policies hold");
        let as_user = |login, path| program.get_as(login, path).status;
        assert_eq!(as_user("u:secret", "/api/queues/v"), 200, "the password is right, and the tag counts");
        assert_eq!((as_user("u:wrong", "/api/queues/v"), as_user("u:secret", "/api/users")), (401, 401));
        runtime.block_on(declare_again(&program));
        program.end(end);
    }
}

/// Arguments have kept their types: an equal declaration is taken, and another one is not.
async fn declare_again(program: &Program) {
    let connection = Connection::open(&program.url()).await.unwrap();
    let channel = connection.open_channel().await.unwrap();
    channel.queue_declare(durable_queue("kept")).await.unwrap();
    channel.exchange_declare(durable_exchange("t", "topic")).await.unwrap();
    let other = QueueDeclare::new("kept").durable().argument("x-max-length", 8);
    assert!(channel.queue_declare(other).await.is_err(), "the length is 7");
    connection.close().await.unwrap();
}

/// The first user is made once, and whoever has deleted him does not find him again.
#[test]
fn a_deleted_guest_does_not_come_back() {
    let folder = Folder::new("guest");
    let program = folder.start();
    program.put("/api/users/root", json!({"password": "secret", "tags": "administrator"}));
    program.change("DELETE", "/api/users/guest", Value::Null);
    program.end(End::Killed);
    let program = folder.start_with(&["--set", "default_pass=other"]);
    for login in ["guest:guest", "guest:other"] {
        assert_eq!(program.get_as(login, "/api/overview").status, 401);
    }
    assert_eq!(program.get_as("root:secret", "/api/overview").status, 200);
}

/// Definitions are taken in at every start, into what is there; with them there is no first user.
#[test]
fn definitions_are_taken_in_at_every_start() {
    let folder = Folder::new("definitions");
    fs::create_dir_all(&folder.0).unwrap();
    let file = folder.0.join("definitions.json");
    let write = |queue: &str| {
        let definitions = json!({
            "users": [{"name": "guest", "password": "guest", "tags": "administrator"}],
            "vhosts": [{"name": "v"}],
            "permissions": [{"user": "guest", "vhost": "v", "configure": ".*", "write": ".*", "read": ".*"}],
            "queues": [{"name": queue, "vhost": "v", "durable": true, "auto_delete": false, "arguments": {}}],
        });
        fs::write(&file, definitions.to_string()).unwrap();
    };
    let names = |program: &Program| {
        let queues = program.get("/api/queues/v");
        queues.as_array().unwrap().iter().map(|queue| queue["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let with = ["--definitions", file.to_str().unwrap()];
    write("first");
    let program = folder.start_with(&with);
    assert_eq!(names(&program), ["first"]);
    assert_eq!(program.get("/api/vhosts").as_array().unwrap().len(), 1, "no first virtual host");
    program.put("/api/queues/v/declared", json!({"durable": true}));
    program.end(End::Killed);
    write("second");
    let program = folder.start_with(&with);
    assert_eq!(names(&program), ["declared", "first", "second"]);
    program.end(End::InOrder);
    assert_eq!(names(&folder.start()), ["declared", "first", "second"]);
}

/// One broker has a directory: a second one says so in one line, and the first goes on.
#[test]
fn a_second_broker_is_refused() {
    let folder = Folder::new("second");
    let program = folder.start();
    let output = folder.fails();
    let text = format!("leveret: another broker has {}\n", folder.0.display());
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(1), text));
    assert!(output.stdout.is_empty());
    program.put("/api/users/later", json!({"password": "x", "tags": ""}));
    program.end(End::InOrder);
    assert_eq!(folder.start().get("/api/users/later")["name"], "later");
}

/// A directory that cannot be used is named in one line.
#[test]
fn a_broken_directory_is_named() {
    let folder = Folder::new("broken");
    fs::create_dir_all(&folder.0).unwrap();
    fs::write(folder.0.join("meta.redb"), "something else").unwrap();
    let output = folder.fails();
    let text = String::from_utf8(output.stderr).unwrap();
    let begins = format!("leveret: {}/meta.redb is corrupt: ", folder.0.display());
    assert!(text.starts_with(&begins) && text.lines().count() == 1, "{text}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(fs::read(folder.0.join("meta.redb")).unwrap(), b"something else", "it is left alone");
}

/// To be in memory and in a directory is a mistake in usage that names both flags.
#[test]
fn memory_and_a_directory_exclude_each_other() {
    let folder = Folder::new("both");
    let output = folder.program().arg("--in-memory").output().unwrap();
    let text = "leveret: --in-memory and --data-dir: only one of them can be\n";
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(2), text));
    assert!(!folder.0.exists());
}

/// A broker inside a program gives its directory up when its shutdown returns, clients or not; the next one has it at once.
#[test]
fn an_embedded_broker_gives_its_directory_up() {
    let folder = Folder::new("embedded");
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    Runtime::new().unwrap().block_on(async {
        for n in 0..20 {
            let broker = Broker::start(Config::durable(&folder.0).listen(anywhere).http(anywhere)).await.unwrap();
            assert_eq!(broker.data_dir(), Some(&*folder.0));
            let connection = Connection::over(broker.connect(), Default::default()).await.unwrap();
            let channel = connection.open_channel().await.unwrap();
            if n > 0 {
                channel.queue_declare(QueueDeclare::new(&format!("q{}", n - 1)).passive()).await.unwrap();
            }
            channel.queue_declare(QueueDeclare::new(&format!("q{n}")).durable()).await.unwrap();
            broker.shutdown().await.unwrap();
        }
    });
}
