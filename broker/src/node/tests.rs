//! What is durable is there again when a broker starts, as it was; everything else is not.

use std::fs;
use std::path::PathBuf;

use leveret_spec::{TableBuf, Value};

use super::*;
use crate::auth::{Pattern, TopicPermission};
use crate::exchange::{self, Destination};
use crate::policy::{ApplyTo, Policy, PolicyKind, Term};
use crate::queue;
use crate::store::Options;
use crate::vhost::Ends;

/// A directory that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("leveret-node-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Folder(path)
    }

    /// The broker that has the directory; the last one is closed.
    fn start(&self) -> Node {
        let opened = Storage::open(&self.0, &Options::new(7), 0).unwrap();
        let node = Node::recovered(&Config::in_memory(), 0, opened, true).unwrap();
        node.has_begun();
        node
    }

    /// What is there after an end and a start.
    fn restart(&self, node: Node) -> Node {
        node.storage.as_ref().unwrap().close();
        drop(node);
        self.start()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Everything in a broker, a line each.
fn shown(node: &Node) -> Vec<String> {
    let mut lines = vec![];
    for (name, user) in node.users.all() {
        let hash = user.password.as_ref().map(PasswordHash::encode);
        lines.push(format!("user {name}: {hash:?} {user:?}"));
    }
    for vhost in node.all_vhosts() {
        lines.push(format!("vhost {}: {:?}", vhost.name, vhost.metadata()));
        for kind in [PolicyKind::User, PolicyKind::Operator] {
            lines.extend(vhost.policies(kind).iter().map(|policy| format!("{kind:?} policy {policy:?}")));
        }
        for exchange in vhost.all_exchanges() {
            lines.push(format!("{exchange}: {:?} {:?}", exchange.declaration, exchange.applied()));
            let mut bindings: Vec<_> =
                exchange.bindings().iter().map(|binding| binding_shown(&exchange, binding)).collect();
            bindings.sort();
            lines.extend(bindings);
        }
        for queue in vhost.all_queues() {
            lines.push(format!("{queue}: {:?} {:?} {:?}", queue.id(), queue.declaration, queue.applied()));
            let to = vhost.bindings_to(&exchange::DestinationId::Queue(queue.name.clone()));
            let mut bindings: Vec<_> = to.iter().map(|(source, binding)| binding_shown(source, binding)).collect();
            bindings.sort();
            lines.extend(bindings);
        }
    }
    lines
}

fn binding_shown(source: &exchange::Exchange, binding: &exchange::Binding) -> String {
    format!(
        "  {} -> {:?} {:?} {:?}",
        source.name,
        binding.destination.id(),
        binding.key.escape_ascii().to_string(),
        binding.arguments
    )
}

fn odd_arguments() -> TableBuf {
    let mut table = TableBuf::new();
    let deep = TableBuf::new().with("deep", Value::Timestamp(9)).unwrap();
    for (name, value) in [
        ("x-max-length", Value::U8(200)),
        ("x-odd", Value::Decimal { scale: 2, value: 5 }),
        ("x-odd", Value::Void),
        ("ä", Value::LongStr(b"\xff")),
        ("deep", deep.as_table().into()),
    ] {
        table.insert(name, value).unwrap();
    }
    table
}

fn exchange(vhost: &Vhost, name: &str, kind: exchange::Kind, durable: bool, auto_delete: bool) {
    let declaration =
        exchange::Declaration { kind, durable, auto_delete, internal: !durable, arguments: odd_arguments() };
    vhost.declare_exchange(name, declaration).unwrap();
}

fn queue(vhost: &Vhost, name: &str, declaration: queue::Declaration) -> Arc<Queue> {
    vhost.declare_queue(name, declaration, Moment::default()).unwrap().0
}

fn durable() -> queue::Declaration {
    queue::Declaration { durable: true, arguments: odd_arguments(), ..Default::default() }
}

fn ends(vhost: &Vhost, source: &str, kind: &str, destination: &str) -> Ends {
    let destination = match kind {
        "q" => Destination::Queue(vhost.queue(destination).unwrap()),
        _ => Destination::Exchange(vhost.exchange(destination).unwrap()),
    };
    Ends { source: vhost.exchange(source).unwrap(), destination }
}

fn bind(vhost: &Vhost, (source, kind, destination): (&str, &str, &str), key: &[u8], arguments: &TableBuf) {
    vhost.bind(ends(vhost, source, kind, destination), key, arguments.as_table(), |_| Ok(())).unwrap();
}

fn unbind(vhost: &Vhost, (source, kind, destination): (&str, &str, &str), key: &[u8], arguments: &TableBuf) {
    vhost.unbind(ends(vhost, source, kind, destination), key, arguments.as_table(), |_| Ok(())).unwrap();
}

fn delete(vhost: &Vhost, queue: &str) {
    let queue = vhost.queue(queue).unwrap();
    vhost.delete_queue(&queue, DeleteCondition::default(), &mut Turn::default()).unwrap();
}

fn policy(name: &str, pattern: &str) -> Policy {
    let terms =
        [("max-length", Term::Number(-9)), ("overflow", Term::Text("drop-head".into())), ("x", Term::Flag(true))];
    Policy {
        name: name.into(),
        pattern: Pattern::new(pattern).unwrap(),
        apply_to: ApplyTo::Queues,
        priority: -3,
        definition: terms.into_iter().map(|(name, term)| (name.to_owned(), term)).collect(),
    }
}

/// A broker with everything that can be durable.
fn furnish(node: &Node) -> Arc<Vhost> {
    node.change_user("u", |user| {
        user.password = Some(PasswordHash::of(&crate::auth::Secret::new("secret")));
        user.tags = vec!["monitoring".into(), "own".into()];
        (user.connections_max, user.channels_max) = (Some(3), Some(0));
        user.permissions
            .insert("/".into(), Permission { write: Pattern::new("^a").unwrap(), ..Permission::everything() });
        let topic = TopicPermission { exchange: "t".into(), write: "^{username}".into(), read: ".*".into() };
        user.topics.insert("/".into(), vec![topic]);
    });
    node.create_vhost("other").unwrap();
    let vhost = node.vhost("other").unwrap();
    vhost.change_metadata(|metadata| {
        metadata.description = "of others".into();
        metadata.tags = vec!["one".into(), "two".into()];
        metadata.default_queue_type = Some("classic".into());
        (metadata.connections_max, metadata.queues_max) = (Some(9), Some(90));
    });
    vhost.set_policy(PolicyKind::User, policy("p", "^kept"), &mut Turn::default());
    vhost.set_policy(PolicyKind::Operator, policy("p", "2$"), &mut Turn::default());
    for (name, kind) in [("d", exchange::Kind::Direct), ("h", exchange::Kind::Headers), ("t", exchange::Kind::Topic)] {
        exchange(&vhost, name, kind, true, false);
    }
    queue(&vhost, "kept", durable());
    queue(&vhost, "kept 2", queue::Declaration { auto_delete: true, ..durable() });
    let (none, some) = (TableBuf::new(), odd_arguments());
    bind(&vhost, ("d", "q", "kept"), b"key", &none);
    bind(&vhost, ("d", "q", "kept"), b"key", &some);
    bind(&vhost, ("d", "q", "kept"), b"\xff\0", &none);
    bind(&vhost, ("h", "q", "kept 2"), b"", &some);
    bind(&vhost, ("d", "e", "t"), b"to t", &none);
    bind(&vhost, ("amq.topic", "q", "kept"), b"a.*", &none);
    vhost
}

/// All that is durable is there again, as it was declared; policies hold for it.
#[test]
fn everything_durable_is_there_again() {
    let folder = Folder::new("durable");
    let node = folder.start();
    let vhost = furnish(&node);
    assert!(vhost.queue("kept 2").unwrap().applied().is_some_and(|applied| applied.operator_policy.is_some()));
    let before = shown(&node);
    drop(vhost);
    let node = folder.restart(node);
    assert_eq!(shown(&node), before);
    assert_eq!(shown(&folder.restart(node)), before, "and it stays so");
}

/// What is transient, or somebody's own, ends with the broker, and so do bindings with one end that does.
#[test]
fn what_is_not_durable_is_gone() {
    let folder = Folder::new("transient");
    let node = folder.start();
    let vhost = furnish(&node);
    let before = shown(&node);
    let none = TableBuf::new();
    exchange(&vhost, "transient", exchange::Kind::Fanout, false, false);
    queue(&vhost, "transient", Default::default());
    queue(&vhost, "own", queue::Declaration { owner: Some(ConnectionId(1)), ..durable() });
    for (source, kind, destination) in [
        ("d", "q", "transient"),
        ("d", "q", "own"),
        ("transient", "q", "kept"),
        ("d", "e", "transient"),
        ("transient", "e", "t"),
        ("transient", "q", "transient"),
    ] {
        bind(&vhost, (source, kind, destination), b"", &none);
    }
    drop(vhost);
    assert_eq!(shown(&folder.restart(node)), before);
}

/// What was deleted does not come back: not what was deleted by name, not what went with it, and not when something of the same
/// name is declared again.
#[test]
fn what_was_deleted_does_not_come_back() {
    let folder = Folder::new("deleted");
    let node = folder.start();
    let vhost = furnish(&node);
    let mut expected = shown(&node);
    let (none, some) = (TableBuf::new(), odd_arguments());
    node.change_user("gone", |user| user.tags = vec!["x".into()]);
    node.remove_user("gone");
    vhost.set_policy(PolicyKind::User, policy("gone", "^none$"), &mut Turn::default());
    vhost.clear_policy(PolicyKind::User, "gone", &mut Turn::default());
    // An exchange that goes with its last binding, which goes with its queue; and one before it.
    exchange(&vhost, "last", exchange::Kind::Fanout, true, true);
    exchange(&vhost, "before", exchange::Kind::Fanout, true, true);
    queue(&vhost, "short", durable());
    bind(&vhost, ("before", "e", "last"), b"", &none);
    bind(&vhost, ("last", "q", "short"), b"", &some);
    bind(&vhost, ("d", "q", "short"), b"", &some);
    delete(&vhost, "short");
    assert!(vhost.exchange("before").is_err());
    // Bindings go with their exchange, whichever end it is.
    exchange(&vhost, "middle", exchange::Kind::Topic, true, false);
    bind(&vhost, ("d", "e", "middle"), b"", &none);
    bind(&vhost, ("middle", "q", "kept"), b"", &none);
    vhost.delete_exchange("middle", false).unwrap();
    // One of two that differ in their arguments alone.
    unbind(&vhost, ("d", "q", "kept"), b"key", &some);
    expected.retain(|line| !line.contains("  d -> Queue(\"kept\") \"key\" {\"x-max-length\""));
    assert_eq!(shown(&node), expected);
    drop(vhost);
    let node = folder.restart(node);
    assert_eq!(shown(&node), expected);
    // In the same life as the deletion, too.
    let vhost = node.vhost("other").unwrap();
    for _ in 0..2 {
        exchange(&vhost, "middle", exchange::Kind::Topic, true, false);
        queue(&vhost, "short", durable());
        bind(&vhost, ("middle", "q", "short"), b"", &none);
        vhost.delete_exchange("middle", false).unwrap();
        exchange(&vhost, "middle", exchange::Kind::Topic, true, false);
        bind(&vhost, ("middle", "q", "short"), b"other", &none);
        delete(&vhost, "short");
        queue(&vhost, "short", durable());
        vhost.delete_exchange("middle", false).unwrap();
        delete(&vhost, "short");
    }
    exchange(&vhost, "middle", exchange::Kind::Topic, true, false);
    queue(&vhost, "short", durable());
    let expected = shown(&node);
    drop(vhost);
    assert_eq!(shown(&folder.restart(node)), expected);
}

/// With a virtual host goes all that is in it, and the permissions for it; whoever is still in it leaves nothing behind in the
/// next one of its name.
#[test]
fn a_virtual_host_leaves_nothing_behind() {
    let folder = Folder::new("vhost");
    let node = folder.start();
    let before = shown(&node);
    let old = furnish(&node);
    node.change_user("u", |user| drop(user.permissions.insert("other".into(), Permission::everything())));
    node.remove_vhost("other").unwrap();
    queue(&old, "late", durable());
    old.change_metadata(|metadata| metadata.description = "late".into());
    node.create_vhost("other").unwrap();
    queue(&old, "later", durable());
    delete(&old, "kept");
    drop(old);
    let node = folder.restart(node);
    let vhost = node.vhost("other").unwrap();
    assert_eq!((vhost.all_queues().len(), vhost.metadata().description.as_str()), (0, ""));
    assert!(node.users.user("u").unwrap().permissions.keys().eq(["/"]));
    node.remove_vhost("other");
    node.remove_user("u");
    drop(vhost);
    assert_eq!(shown(&folder.restart(node)), before);
}

/// A queue keeps its number, and a new one of the same name has another.
#[test]
fn a_queue_keeps_its_number() {
    let folder = Folder::new("number");
    let node = folder.start();
    let id = |node: &Node| node.vhost("/").unwrap().queue("q").unwrap().id().unwrap();
    queue(&node.vhost("/").unwrap(), "q", durable());
    let first = id(&node);
    let node = folder.restart(node);
    assert_eq!(id(&node), first);
    delete(&node.vhost("/").unwrap(), "q");
    queue(&node.vhost("/").unwrap(), "q", durable());
    let second = id(&node);
    assert_eq!((second > first, id(&folder.restart(node))), (true, second));
}

/// The first user and virtual host are made once: who has deleted them does not get them back.
#[test]
fn the_defaults_are_made_once() {
    let folder = Folder::new("defaults");
    let node = folder.start();
    assert!(node.users.user("guest").is_some() && node.vhost("/").is_some());
    node.change_user("guest", |user| user.password = None);
    let node = folder.restart(node);
    assert!(node.users.user("guest").unwrap().password.is_none());
    node.remove_user("guest");
    node.remove_vhost("/");
    let node = folder.restart(node);
    assert!(node.users.user("guest").is_none() && node.vhost("/").is_none());
}

/// The log is nothing without the catalog: who has lost it is told so, and the messages are left alone.
#[test]
fn messages_without_their_catalog_are_left_alone() {
    let folder = Folder::new("lost");
    let node = folder.start();
    node.storage.as_ref().unwrap().close();
    drop(node);
    let file = folder.0.join(crate::catalog::FILE);
    fs::remove_file(&file).unwrap();
    for _ in 0..2 {
        let error = Storage::open(&folder.0, &Options::new(7), 0).map(drop).unwrap_err();
        assert_eq!(error, format!("{0}/log has messages, but {0}/meta.redb is missing", folder.0.display()));
    }
}
