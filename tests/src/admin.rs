//! What an administrator makes: users, virtual hosts, permissions, policies and limits. They go when the test is over.

use crate::http::{done, request, segment};
use crate::peer::{Peer, Visit};
use crate::target::target;
use crate::unique;

/// A user of the test's own.
#[derive(Debug)]
pub struct User {
    /// The name, and the password too.
    pub name: String,
}

/// A virtual host of the test's own, in which the tests' user may do everything.
#[derive(Debug)]
pub struct Vhost {
    /// The name.
    pub name: String,
}

/// A policy or an operator policy.
#[derive(Debug)]
pub struct Policy {
    path: String,
}

impl User {
    /// A user who may do nothing yet.
    #[track_caller]
    pub fn new() -> User {
        User::tagged("")
    }

    /// A user with these tags, separated by commas, who may do nothing yet.
    #[track_caller]
    pub fn tagged(tags: &str) -> User {
        let name = unique("user");
        done("PUT", &format!("users/{name}"), &format!(r#"{{"password":"{name}","tags":"{tags}"}}"#));
        User { name }
    }

    /// A user who may configure, write and read what these patterns match, in the virtual host of the tests.
    #[track_caller]
    pub fn allowed(configure: &str, write: &str, read: &str) -> User {
        let user = User::new();
        user.allow(target().vhost(), configure, write, read);
        user
    }

    /// Sets the permissions in a virtual host.
    #[track_caller]
    pub fn allow(&self, vhost: &str, configure: &str, write: &str, read: &str) {
        let body = format!(r#"{{"configure":"{configure}","write":"{write}","read":"{read}"}}"#);
        done("PUT", &format!("permissions/{}/{}", segment(vhost), self.name), &body);
    }

    /// Takes the permissions in a virtual host away.
    #[track_caller]
    pub fn forbid(&self, vhost: &str) {
        done("DELETE", &format!("permissions/{}/{}", segment(vhost), self.name), "");
    }

    /// Sets the topic permissions for an exchange of the tests' virtual host.
    #[track_caller]
    pub fn allow_topics(&self, exchange: &str, write: &str, read: &str) {
        let body = format!(r#"{{"exchange":"{exchange}","write":"{write}","read":"{read}"}}"#);
        done("PUT", &format!("topic-permissions/{}/{}", segment(target().vhost()), self.name), &body);
    }

    /// Sets a limit: `max-connections` or `max-channels`.
    #[track_caller]
    pub fn limit(&self, limit: &str, value: i64) {
        done("PUT", &format!("user-limits/{}/{limit}", self.name), &format!(r#"{{"value":{value}}}"#));
    }

    /// How to visit the broker as this user.
    pub fn visit(&self) -> Visit {
        Visit { user: self.name.clone(), password: self.name.clone(), ..Visit::default() }
    }

    /// A connection of this user, with channel 1 open on it.
    #[track_caller]
    pub fn with_channel(&self) -> Peer {
        let mut peer = Peer::visit(&self.visit());
        peer.open_channel(1);
        peer
    }
}

impl Default for User {
    fn default() -> Self {
        User::new()
    }
}

impl Vhost {
    /// A new virtual host.
    #[track_caller]
    pub fn new() -> Vhost {
        let name = unique("vhost");
        done("PUT", &format!("vhosts/{name}"), "");
        let body = r#"{"configure":".*","write":".*","read":".*"}"#;
        done("PUT", &format!("permissions/{name}/{}", segment(target().user())), body);
        Vhost { name }
    }

    /// Sets a limit: `max-connections` or `max-queues`.
    #[track_caller]
    pub fn limit(&self, limit: &str, value: i64) {
        done("PUT", &format!("vhost-limits/{}/{limit}", self.name), &format!(r#"{{"value":{value}}}"#));
    }

    /// Switches the firehose on or off.
    #[track_caller]
    pub fn trace(&self, on: bool) {
        done("PUT", &format!("vhosts/{}", self.name), &format!(r#"{{"tracing":{on}}}"#));
    }

    /// Removes it, with all that is in it.
    #[track_caller]
    pub fn delete(&self) {
        done("DELETE", &format!("vhosts/{}", self.name), "");
    }

    /// How to visit it.
    pub fn visit(&self) -> Visit {
        Visit { vhost: self.name.clone(), ..Visit::default() }
    }

    /// A connection to it, with channel 1 open.
    #[track_caller]
    pub fn with_channel(&self) -> Peer {
        let mut peer = Peer::visit(&self.visit());
        peer.open_channel(1);
        peer
    }
}

impl Default for Vhost {
    fn default() -> Self {
        Vhost::new()
    }
}

impl Policy {
    /// A policy for what a pattern matches: `applies_to` is `queues`, `exchanges` or `all`, `definition` the inside of a
    /// JSON object.
    #[track_caller]
    pub fn new(pattern: &str, applies_to: &str, definition: &str) -> Policy {
        Policy::ranked(0, pattern, applies_to, definition)
    }

    /// A policy with a priority.
    #[track_caller]
    pub fn ranked(priority: i32, pattern: &str, applies_to: &str, definition: &str) -> Policy {
        Policy::put("policies", priority, pattern, applies_to, definition)
    }

    /// A policy that users cannot outbid.
    #[track_caller]
    pub fn of_operator(pattern: &str, applies_to: &str, definition: &str) -> Policy {
        Policy::put("operator-policies", 0, pattern, applies_to, definition)
    }

    /// Removes it.
    pub fn delete(self) {
        drop(self);
    }

    #[track_caller]
    fn put(kind: &str, priority: i32, pattern: &str, applies_to: &str, definition: &str) -> Policy {
        let path = format!("{kind}/{}/{}", segment(target().vhost()), unique("policy"));
        let body = format!(
            r#"{{"pattern":"{pattern}","apply-to":"{applies_to}","priority":{priority},"definition":{{{definition}}}}}"#
        );
        done("PUT", &path, &body);
        Policy { path }
    }
}

// The test's opinion of the broker is known when these run; that something is gone already is no failure.

impl Drop for User {
    fn drop(&mut self) {
        request("DELETE", &format!("users/{}", self.name), "");
    }
}

impl Drop for Vhost {
    fn drop(&mut self) {
        request("DELETE", &format!("vhosts/{}", self.name), "");
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        request("DELETE", &self.path, "");
    }
}
