//! The HTTP management API over a real port, asked as the tools that use it ask.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Server, client::Amqp};

#[test]
fn without_credentials_nobody_learns_anything() {
    let server = Server::start();
    for credentials in [None, Some("guest:wrong"), Some("nobody:guest"), Some("guest")] {
        let reply = server.request("GET", "/api/overview", credentials, None);
        assert_eq!((reply.status, &reply.json["error"]), (401, &json!("not_authorized")), "{credentials:?}");
        assert!(reply.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic realm=")));
    }
    let reply = server.get("/api/overview");
    assert_eq!((reply.status, &reply.json["product_name"]), (200, &json!("Leveret")));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

#[test]
fn paths_are_split_before_they_are_decoded_and_may_end_with_a_slash() {
    let server = Server::start();
    assert_eq!(server.put("/api/queues/%2F/a%2Fb%20c", json!({})).status, 201);
    assert_eq!(server.put("/api/queues/%2F/a%2Fb%20c/", json!({})).status, 204);
    for path in ["/api/queues", "/api/queues/", "/api/queues/%2F", "/api/queues/%2F/", "/api/queues/%2f"] {
        let reply = server.get(path);
        assert_eq!((reply.status, &reply.json[0]["name"]), (200, &json!("a/b c")), "{path}");
    }
    assert_eq!(server.get("/api/queues/%2F/a%2Fb%20c").json["vhost"], "/");
    for path in ["/api/queues//", "/api/nope", "/", "/api/queues/%2F/a/b", "/api/queues/%2F/none", "/api/queues/none"] {
        let reply = server.get(path);
        assert_eq!((reply.status, &reply.json), (404, &json!({"error": "Object Not Found", "reason": "Not Found"})));
    }
    assert_eq!(server.get("/api/queues/%FF").status, 400);
    assert_eq!(server.request("POST", "/api/overview", GUEST, None).status, 405);
}

const GUEST: Option<&str> = Some("guest:guest");

#[test]
fn a_queue_is_declared_filled_looked_at_emptied_and_deleted() {
    let server = Server::start();
    let arguments = json!({"x-max-length": 10, "x-max-priority": 3});
    let declaration = json!({"durable": true, "auto_delete": false, "arguments": arguments});
    assert_eq!(server.put("/api/queues/%2F/q", declaration).status, 201);
    let other = server.put("/api/queues/%2F/q", json!({"durable": false}));
    let text = "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'";
    assert_eq!((other.status, &other.json), (400, &json!({"error": "bad_request", "reason": text})));

    let properties = json!({"delivery_mode": 2, "priority": 1, "headers": {"a": [1, {"b": true}]}});
    let message = |payload: &str, encoding: &str| json!({"properties": properties, "routing_key": "q", "payload": payload, "payload_encoding": encoding});
    let publish = "/api/exchanges/%2F/amq.default/publish";
    assert_eq!(server.post(publish, message("hello", "string")).json, json!({"routed": true}));
    assert_eq!(server.post(publish, message("/w==", "base64")).json, json!({"routed": true}));
    let queue = server.get("/api/queues/%2F/q").json;
    for (field, value) in [
        ("messages", json!(2)),
        ("messages_ready", json!(2)),
        ("messages_unacknowledged", json!(0)),
        ("consumers", json!(0)),
        ("type", json!("classic")),
        ("state", json!("running")),
        ("exclusive", json!(false)),
        ("policy", Value::Null),
        ("effective_policy_definition", json!({})),
        ("arguments", arguments),
    ] {
        assert_eq!(queue[field], value, "{field}");
    }

    let get = |body| server.post("/api/queues/%2F/q/get", body).json;
    let seen = get(json!({"count": 9, "ackmode": "ack_requeue_true", "encoding": "auto"}));
    assert_eq!((&seen[0]["payload"], &seen[0]["payload_encoding"]), (&json!("hello"), &json!("string")));
    assert_eq!((&seen[1]["payload"], &seen[1]["payload_encoding"]), (&json!("/w=="), &json!("base64")));
    assert_eq!((&seen[0]["properties"], &seen[0]["message_count"]), (&properties, &json!(1)));
    let taken = get(json!({"count": 1, "ackmode": "ack_requeue_false", "encoding": "auto", "truncate": 2}));
    assert_eq!((&taken[0]["payload"], &taken[0]["redelivered"]), (&json!("he"), &json!(true)));

    assert_eq!(server.delete("/api/queues/%2F/q?if-empty=true").status, 400);
    assert_eq!(server.delete("/api/queues/%2F/q/contents").status, 204);
    assert_eq!(server.get("/api/queues/%2F/q").json["messages"], 0);
    assert_eq!(server.delete("/api/queues/%2F/q?if-empty=true").status, 204);
    assert_eq!(server.delete("/api/queues/%2F/q").status, 404);
}

#[test]
fn what_a_publish_lacks_is_named() {
    let server = Server::start();
    let publish = |exchange: &str, body| {
        let reply = server.post(&format!("/api/exchanges/%2F/{exchange}/publish"), body);
        (reply.status, reply.json["reason"].clone())
    };
    let whole = json!({"properties": {}, "routing_key": "nobody", "payload": "x", "payload_encoding": "string"});
    assert_eq!(publish("amq.direct", whole.clone()), (200, Value::Null));
    let text = "404 NOT_FOUND - no exchange 'none' in vhost '/'";
    assert_eq!(publish("none", whole.clone()), (400, json!(text)));
    for (field, value, reason) in [
        ("properties", Value::Null, json!("[{key_missing,properties}]")),
        ("routing_key", Value::Null, json!("[{key_missing,routing_key}]")),
        ("payload_encoding", json!("utf"), json!(["unsupported_encoding", "utf"])),
        ("properties", json!({"priority": "x"}), json!(["not_int", "priority"])),
    ] {
        let mut body = whole.clone();
        body[field] = value;
        assert_eq!(publish("amq.direct", body), (400, reason));
    }
    assert_eq!(server.request("PUT", "/api/queues/%2F/q", GUEST, Some("junk")).json["reason"], "not_json");
}

#[test]
fn bindings_come_and_go_under_their_keys() {
    let server = Server::start();
    server.put("/api/queues/%2F/q", json!({}));
    assert_eq!(server.put("/api/exchanges/%2F/x", json!({"type": "topic"})).status, 201);
    assert_eq!(server.put("/api/exchanges/%2F/x", json!({"type": "fanout"})).status, 400);
    let ends = "/api/bindings/%2F/e/x/q/q";
    let bound = server.post(ends, json!({"routing_key": "a~/b", "arguments": {"n": 1}}));
    assert_eq!(bound.status, 201);
    let location = bound.header("location").unwrap();
    let key = location.strip_prefix("q/").unwrap();
    let one = server.get(&format!("{ends}/{key}")).json;
    assert_eq!((&one["routing_key"], &one["arguments"]), (&json!("a~/b"), &json!({"n": 1})));
    assert_eq!(server.post(ends, json!({})).header("location"), Some("q/~"));
    assert_eq!(server.post("/api/bindings/%2F/e/amq.fanout/e/x", json!({"routing_key": "k"})).status, 201);

    assert_eq!(server.get(ends).json.as_array().map(Vec::len), Some(2));
    assert_eq!(server.get("/api/queues/%2F/q/bindings").json.as_array().map(Vec::len), Some(3));
    assert_eq!(server.get("/api/exchanges/%2F/x/bindings/source").json.as_array().map(Vec::len), Some(2));
    assert_eq!(server.get("/api/exchanges/%2F/x/bindings/destination").json[0]["source"], "amq.fanout");
    assert_eq!(server.delete(&format!("{ends}/{key}")).status, 204);
    assert_eq!(server.delete(&format!("{ends}/{key}")).status, 404);
    assert_eq!(server.post("/api/bindings/%2F/e/x/q/none", json!({})).status, 404);
    assert_eq!(server.delete("/api/exchanges/%2F/x").status, 204);
    assert_eq!(server.get("/api/bindings/%2F").json.as_array().map(Vec::len), Some(1));
    assert_eq!(server.delete("/api/exchanges/%2F/amq.direct").status, 401);
}

#[test]
fn lists_have_columns_orders_and_pages() {
    let server = Server::start();
    for name in ["b", "a", "c"] {
        server.put(&format!("/api/queues/%2F/{name}"), json!({}));
    }
    let list = server.get("/api/queues?columns=name,messages&sort=name&sort_reverse=true").json;
    let row = |name: &str| json!({"name": name, "messages": 0});
    assert_eq!(list, json!([row("c"), row("b"), row("a")]));
    let page = server.get("/api/queues/%2F?page=1&page_size=1&use_regex=true&name=^[ab]&pagination=false").json;
    assert_eq!(
        (&page["items"][0]["name"], &page["page_count"], &page["total_count"]),
        (&json!("a"), &json!(2), &json!(3))
    );
    assert_eq!(server.get("/api/queues?page=0").json["error"], "invalid_pagination_parameters");
    // A pattern that would take for ever matches nothing.
    let name = "a".repeat(200);
    server.put(&format!("/api/queues/%2F/{name}"), json!({}));
    let page = server.get("/api/queues?page=1&use_regex=true&name=^(%3F%3D(a%2B)%2Bb)").json;
    assert_eq!(page["filtered_count"], 0);
}

#[test]
fn a_connection_shows_what_it_is_and_can_be_closed() {
    let server = Server::start();
    let mut amqp = Amqp::connect(&server);
    amqp.consume_exclusively("mine");
    let connections = server.get("/api/connections").json;
    let connection = &connections[0];
    let name = connection["name"].as_str().unwrap();
    assert_eq!(name, format!("{} -> {}", amqp.local(), server.amqp()));
    for (field, value) in [
        ("user", json!("guest")),
        ("vhost", json!("/")),
        ("user_provided_name", json!("a test")),
        ("client_properties", json!({"connection_name": "a test"})),
        ("peer_port", json!(amqp.local().port())),
        ("state", json!("running")),
        ("protocol", json!("AMQP 0-9-1")),
        ("channels", json!(1)),
        ("timeout", json!(60)),
    ] {
        assert_eq!(connection[field], value, "{field}");
    }
    let channel = &server.get("/api/channels").json[0];
    assert_eq!((&channel["number"], &channel["name"]), (&json!(1), &json!(format!("{name} (1)"))));
    assert_eq!((&channel["prefetch_count"], &channel["consumer_count"]), (&json!(7), &json!(1)));
    let queue = server.get("/api/queues/%2F/mine").json;
    assert_eq!((&queue["exclusive"], &queue["owner_pid_details"]["name"]), (&json!(true), &json!(name)));
    assert_eq!(queue["consumer_details"][0]["consumer_tag"], "tag");
    assert_eq!(server.get("/api/consumers/%2F").json[0]["queue"], json!({"name": "mine", "vhost": "/"}));
    let locked = server.delete("/api/queues/%2F/mine");
    assert_eq!(locked.status, 400);

    let path = format!("/api/connections/{}", support::quote(name));
    assert_eq!(server.get(&path).json["name"], json!(name));
    assert_eq!(server.delete(&path).status, 204);
    assert_eq!(amqp.closed_with(), (320, "CONNECTION_FORCED - Closed via management plugin".into()));
    // The connection has left before it says so.
    assert_eq!(server.get("/api/connections").json, json!([]));
    assert_eq!(server.delete(&path).status, 404);
}

#[test]
fn tags_decide_what_one_sees() {
    let server = Server::start();
    server.put("/api/vhosts/other", json!({}));
    server.put("/api/queues/%2F/q", json!({}));
    let put_user = |tags: Value| server.put("/api/users/u", json!({"password": "p", "tags": tags})).status;
    let as_u = |method, path: &str, body: Option<Value>| {
        let body = body.map(|body| body.to_string());
        server.request(method, path, Some("u:p"), body.as_deref())
    };
    assert_eq!(put_user(json!("")), 201);
    let reply = as_u("GET", "/api/whoami", None);
    assert_eq!((reply.status, &reply.json["reason"]), (401, &json!("Not management user")));

    assert_eq!(put_user(json!("management")), 204);
    assert_eq!(as_u("GET", "/api/queues", None).json, json!([]));
    assert_eq!(as_u("GET", "/api/queues/%2F", None).status, 401);
    for path in ["/api/users", "/api/nodes", "/api/permissions", "/api/definitions"] {
        assert_eq!(as_u("GET", path, None).status, 401, "{path}");
    }
    let permission = json!({"configure": "^c", "write": ".*", "read": "^$"});
    assert_eq!(server.put("/api/permissions/%2F/u", permission.clone()).status, 201);
    assert_eq!(server.put("/api/permissions/%2F/u", permission).status, 204);
    assert_eq!(as_u("GET", "/api/vhosts?columns=name", None).json, json!([{"name": "/"}]));
    assert_eq!(as_u("PUT", "/api/queues/%2F/c1", Some(json!({}))).status, 201);
    let refused = as_u("PUT", "/api/queues/%2F/d1", Some(json!({})));
    let text = "ACCESS_REFUSED - configure access to queue 'd1' in vhost '/' refused for user 'u'";
    assert_eq!((refused.status, &refused.json["reason"]), (401, &json!(text)));
    let get = json!({"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"});
    assert_eq!(as_u("POST", "/api/queues/%2F/q/get", Some(get)).status, 401);

    assert_eq!(put_user(json!(["monitoring"])), 204);
    assert_eq!(as_u("GET", "/api/vhosts", None).json.as_array().map(Vec::len), Some(2));
    assert_eq!(as_u("GET", "/api/nodes/leveret@localhost", None).json["running"], true);
    assert_eq!(as_u("PUT", "/api/vhosts/third", None).status, 401);
}

#[test]
fn users_keep_their_hashes_and_without_a_password_nobody_gets_in() {
    let server = Server::start();
    // RabbitMQ's documentation: the password is test12.
    let hash = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
    let user =
        json!({"password_hash": hash, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "management"});
    assert_eq!(server.put("/api/users/u", user).status, 201);
    assert_eq!(server.get("/api/users/u").json["password_hash"], hash);
    assert_eq!(server.request("GET", "/api/whoami", Some("u:test12"), None).json["name"], "u");
    for blank in [json!({"tags": "management"}), json!({"tags": "management", "password": ""})] {
        assert_eq!(server.put("/api/users/u", blank).status, 204);
        assert_eq!(server.request("GET", "/api/whoami", Some("u:"), None).status, 401);
    }
    assert_eq!(server.put("/api/users/v", json!({"password": "p"})).json["reason"], "tags_not_present");
    assert_eq!(server.delete("/api/users/u").status, 204);
    assert_eq!(server.delete("/api/users/u").status, 404);
}

#[test]
fn limits_hold_and_what_is_deleted_takes_its_connections_along() {
    let server = Server::start();
    assert_eq!(server.put("/api/vhosts/v", json!({"description": "d", "tags": "a,b"})).status, 201);
    assert_eq!(server.get("/api/vhosts/v").json["tags"], json!(["a", "b"]));
    assert_eq!(server.put("/api/vhost-limits/v/max-queues", json!({"value": 0})).status, 204);
    let full = server.put("/api/queues/v/q", json!({}));
    let text = "cannot declare queue 'q': queue limit in vhost 'v' (0) is reached";
    assert_eq!((full.status, &full.json["reason"]), (400, &json!(text)));
    assert_eq!(server.get("/api/vhost-limits/v").json, json!([{"vhost": "v", "value": {"max-queues": 0}}]));

    server.put("/api/vhost-limits/v/max-connections", json!({"value": 1}));
    let mut first = Amqp::open(&server, "guest", "guest", "v").opened();
    let mut second = Amqp::open(&server, "guest", "guest", "v");
    let text = "NOT_ALLOWED - access to vhost 'v' refused for user 'guest': connection limit (1) is reached";
    assert_eq!(second.closed_with(), (530, text.into()));
    assert_eq!(server.delete("/api/vhosts/v").status, 204);
    assert_eq!(first.closed_with(), (320, "CONNECTION_FORCED - vhost 'v' is deleted".into()));

    server.put("/api/users/u", json!({"password": "p", "tags": ""}));
    server.put("/api/permissions/%2F/u", json!({"configure": ".*", "write": ".*", "read": ".*"}));
    server.put("/api/user-limits/u/max-channels", json!({"value": 0}));
    let mut amqp = Amqp::open(&server, "u", "p", "/");
    amqp.open_channel();
    let text = "NOT_ALLOWED - number of channels opened for user 'u' has reached the maximum allowed user limit of 0";
    assert_eq!(amqp.closed_with(), (530, text.into()));
    server.delete("/api/user-limits/u/max-channels");
    let mut amqp = Amqp::open(&server, "u", "p", "/").opened();
    server.put("/api/user-limits/u/max-connections", json!({"value": 1}));
    let text = "NOT_ALLOWED - connection refused for user 'u': user connection limit (1) is reached";
    assert_eq!(Amqp::open(&server, "u", "p", "/").closed_with(), (530, text.into()));
    assert_eq!(server.delete("/api/users/u").status, 204);
    assert_eq!(amqp.closed_with(), (320, "CONNECTION_FORCED - user 'u' is deleted".into()));
}

#[test]
fn a_virtual_host_has_a_default_queue_type() {
    let server = Server::start();
    server.put("/api/vhosts/v", json!({"default_queue_type": "quorum"}));
    server.put("/api/queues/v/q", json!({}));
    server.put("/api/queues/v/short-lived", json!({"auto_delete": true}));
    assert_eq!(server.get("/api/queues/v/q").json["type"], "quorum");
    assert_eq!(server.put("/api/queues/v/q", json!({})).status, 204);
    assert_eq!(server.get("/api/queues/v/short-lived").json["type"], "classic");
    assert_eq!(server.put("/api/vhosts/v", json!({"default_queue_type": "stack"})).status, 400);
}

#[test]
fn topic_permissions_may_name_the_user() {
    let server = Server::start();
    let path = "/api/topic-permissions/%2F/guest";
    let topic = json!({"exchange": "amq.topic", "write": "^{username}[.]", "read": ".*"});
    assert_eq!(server.put(path, topic.clone()).status, 201);
    assert_eq!(server.put(path, topic).status, 204);
    let publish = |key| {
        let body = json!({"properties": {}, "routing_key": key, "payload": "", "payload_encoding": "string"});
        server.post("/api/exchanges/%2F/amq.topic/publish", body).status
    };
    assert_eq!((publish("guest.a"), publish("other.a")), (200, 401));
    assert_eq!(server.put(path, json!({"exchange": "x", "write": "(", "read": ""})).status, 400);
    assert_eq!(server.delete(path).status, 204);
    assert_eq!((publish("other.a"), server.delete(path).status), (200, 404));
}

#[test]
fn policies_hold_for_what_they_match() {
    let server = Server::start();
    server.put("/api/queues/%2F/abc", json!({}));
    let policy = json!({"pattern": "^a", "definition": {"max-length": 5}, "priority": 1, "apply-to": "queues"});
    assert_eq!(server.put("/api/policies/%2F/p", policy).status, 201);
    let bound = json!({"pattern": ".*", "definition": {"max-length": 3}});
    assert_eq!(server.put("/api/operator-policies/%2F/o", bound).status, 201);
    let queue = server.get("/api/queues/%2F/abc").json;
    assert_eq!((&queue["policy"], &queue["operator_policy"]), (&json!("p"), &json!("o")));
    assert_eq!(queue["effective_policy_definition"], json!({"max-length": 3}));
    let wrong = json!({"pattern": ".*", "definition": {"max-lenght": 3}});
    assert_eq!(server.put("/api/policies/%2F/w", wrong).status, 400);
    assert_eq!(server.get("/api/policies").json.as_array().map(Vec::len), Some(1));
    assert_eq!(server.delete("/api/policies/%2F/p").status, 204);
    assert_eq!(server.delete("/api/policies/%2F/p").status, 404);
}

#[test]
fn definitions_survive_the_way_out_and_in() {
    let first = Server::start();
    first.put("/api/vhosts/v", json!({"description": "d"}));
    first.put("/api/users/u", json!({"password": "p", "tags": "management"}));
    first.put("/api/permissions/v/u", json!({"configure": "c", "write": "w", "read": "r"}));
    first.put("/api/topic-permissions/v/u", json!({"exchange": "amq.topic", "write": "w", "read": "r"}));
    first.put("/api/queues/v/q", json!({"arguments": {"x-max-length": 3}}));
    first.put("/api/exchanges/v/x", json!({"type": "topic"}));
    first.post("/api/bindings/v/e/x/q/q", json!({"routing_key": "k"}));
    first.put("/api/policies/v/p", json!({"pattern": "^q", "definition": {"expires": 100_000}}));
    first.put("/api/operator-policies/v/o", json!({"pattern": "^q", "definition": {"max-length": 1}}));
    first.put("/api/vhost-limits/v/max-queues", json!({"value": 9}));
    let out = first.get("/api/definitions").json;
    let second = Server::start();
    assert_eq!(second.post("/api/definitions", out.clone()).status, 204);
    assert_eq!(second.post("/api/definitions", out.clone()).status, 204);
    assert_eq!(second.get("/api/definitions").json, out);
    let part = first.get("/api/definitions/v").json;
    assert_eq!(
        part["queues"],
        json!([{"name": "q", "durable": true, "auto_delete": false, "arguments": {"x-max-length": 3}}])
    );
    assert_eq!(second.post("/api/definitions/%2F", part).status, 204);
    assert_eq!(second.get("/api/queues/%2F/q/bindings").json.as_array().map(Vec::len), Some(2));
    assert_eq!(second.post("/api/definitions", json!({"queues": 5})).status, 400);
}

#[test]
fn health_is_a_status() {
    let server = Server::start();
    for path in [
        "alarms",
        "local-alarms",
        "virtual-hosts",
        "node-is-quorum-critical",
        "protocol-listener/amqp",
        "ready-to-serve-clients",
        &format!("port-listener/{}", server.amqp().port()),
    ] {
        let reply = server.get(&format!("/api/health/checks/{path}"));
        assert_eq!((reply.status, &reply.json["status"]), (200, &json!("ok")), "{path}");
    }
    for path in ["protocol-listener/mqtt", "port-listener/1"] {
        let reply = server.get(&format!("/api/health/checks/{path}"));
        assert_eq!((reply.status, &reply.json["status"]), (503, &json!("failed")), "{path}");
    }
    assert_eq!(server.get("/api/health/checks/port-listener/x").status, 400);
    assert_eq!(server.get("/api/aliveness-test/%2F").json, json!({"status": "ok"}));
}

#[test]
fn what_is_too_large_is_refused_while_it_arrives() {
    let server = Server::start();
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat(10_000_000));
    assert_eq!(server.request("PUT", "/api/queues/%2F/q", GUEST, Some(&body)).status, 413);
    let path = format!("/api/queues?name={}", "x".repeat(20_000));
    assert!(matches!(server.get(&path).status, 414 | 431));
}

#[test]
fn a_taken_port_is_named() {
    let server = Server::start();
    let taken = server.http();
    let error = server.start_another(taken).unwrap_err();
    assert!(error.starts_with(&format!("--http {taken}: ")) && error.contains("another broker"), "{error}");
}

/// Files of definitions, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, Value)]) -> std::io::Result<Self> {
        let folder = Folder(std::env::temp_dir().join(format!("leveret-{name}-{}", std::process::id())));
        fs::create_dir_all(&folder.0)?;
        for (file, definitions) in files {
            fs::write(folder.file(file), definitions.to_string())?;
        }
        Ok(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_broker_starts_with_the_definitions_of_a_folder_and_with_nobody_else() {
    let everything = json!({"user": "u", "vhost": "v", "configure": ".*", "write": ".*", "read": ".*"});
    let first = json!({
        "users": [{"name": "u", "password": "secret", "tags": "administrator"}],
        "vhosts": [{"name": "v"}],
        "permissions": [everything],
        "policies": [{"vhost": "v", "name": "p", "pattern": "^q", "definition": {"max-length": 3}}],
    });
    let second = json!({
        "queues": [{"name": "q", "vhost": "v", "durable": true, "auto_delete": false, "arguments": {}}],
        "bindings": [{"source": "amq.topic", "vhost": "v", "destination": "q", "destination_type": "queue",
                      "routing_key": "a.#", "arguments": {}}],
    });
    let folder = Folder::new("definitions", &[("2.json", second), ("1.json", first)]).unwrap();
    fs::write(folder.file("notes.txt"), "no definitions").unwrap();
    let server = Server::start_with(Some(folder.0.clone())).unwrap();
    assert_eq!(server.get("/api/overview").status, 401, "there is no guest");
    let queue = server.request("GET", "/api/queues/v/q", Some("u:secret"), None).json;
    assert_eq!((&queue["durable"], &queue["policy"]), (&json!(true), &json!("p")));
    let bindings = server.request("GET", "/api/queues/v/q/bindings", Some("u:secret"), None).json;
    assert_eq!(bindings[1]["routing_key"], "a.#");
    for list in ["/api/vhosts", "/api/users", "/api/permissions"] {
        let one = server.request("GET", list, Some("u:secret"), None).json;
        assert_eq!(one.as_array().map(Vec::len), Some(1), "{list} has what the definitions name, and nothing else");
    }
}

#[test]
fn a_broker_does_not_start_with_wrong_definitions_and_says_where() {
    let unknown = json!({"queues": [{"name": "q", "vhost": "none"}]});
    let folder = Folder::new("wrong", &[("unknown.json", unknown), ("list.json", json!([]))]).unwrap();
    fs::write(folder.file("cut.json"), "{\"users\": [").unwrap();
    let why = |path: &Path| Server::start_with(Some(path.to_owned())).err().unwrap_or_default();
    for (file, text) in [
        ("unknown.json", "vhost_not_found"),
        ("list.json", "expected a JSON object"),
        ("cut.json", "not JSON: EOF while parsing a list at line 1 column 11"),
        ("none.json", "No such file or directory (os error 2)"),
    ] {
        let path = folder.file(file);
        assert_eq!(why(&path), format!("definitions {}: {text}", path.display()));
    }
}

#[test]
fn virtual_hosts_queues_and_exchanges_are_no_more_than_the_broker_is_told() {
    let server = Server::configured(|config| {
        config.limits.vhosts_max = Some(2);
        config.limits.queues_max = Some(1);
        config.limits.exchanges_max = Some(15);
    });
    let server = server.unwrap();
    let refused = |path: &str, body: Value, reason: &str| {
        let reply = server.put(path, body);
        assert_eq!((reply.status, &reply.json), (400, &json!({"error": "bad_request", "reason": reason})));
    };
    assert_eq!(server.put("/api/vhosts/two", json!({})).status, 201);
    assert_eq!(server.put("/api/vhosts/two", json!({})).status, 204);
    let full = "cannot create vhost 'three': vhost limit of 2 is reached";
    refused("/api/vhosts/three", json!({}), full);
    let imported = server.post("/api/definitions", json!({"vhosts": [{"name": "three"}]}));
    assert_eq!((imported.status, &imported.json["reason"]), (400, &json!(full)));
    assert_eq!(server.put("/api/queues/two/q", json!({})).status, 201);
    refused("/api/queues/%2F/r", json!({}), "cannot declare queue 'r': queue limit in cluster (1) is reached");
    assert_eq!(server.put("/api/exchanges/two/x", json!({"type": "fanout"})).status, 201);
    let full = "cannot declare exchange 'y' in vhost '/': exchange limit of 15 is reached";
    refused("/api/exchanges/%2F/y", json!({"type": "fanout"}), full);
    // What was in a virtual host goes with it.
    assert_eq!(server.delete("/api/vhosts/two").status, 204);
    assert_eq!(server.put("/api/vhosts/three", json!({})).status, 201);
    assert_eq!(server.put("/api/queues/%2F/r", json!({})).status, 201);
    assert_eq!(server.put("/api/exchanges/%2F/y", json!({"type": "fanout"})).status, 201);
}
