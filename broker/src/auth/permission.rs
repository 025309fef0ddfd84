//! What a user may do in a virtual host: three patterns for the names that he may configure, write and read.

use std::sync::Arc;

use fancy_regex::{Regex, RegexBuilder};

use crate::failure::Soft;

/// The longest pattern, in bytes, and the steps that matching may take (RabbitMQ's limits).
const PATTERN_BYTES_MAX: usize = 1024;
const STEPS_MAX: usize = 50_000;

/// A regular expression over names: not anchored, and an empty one matches only the empty name, as with RabbitMQ.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: Arc<str>,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Everything,
    Nothing,
    Regex(Arc<Regex>),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// One sentence if it is too long or no regular expression.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("a pattern is at most {PATTERN_BYTES_MAX} bytes long"));
        }
        let matcher = match text {
            "" => Matcher::Nothing,
            ".*" => Matcher::Everything,
            _ => {
                let regex = RegexBuilder::new(text).backtrack_limit(STEPS_MAX).build();
                Matcher::Regex(Arc::new(regex.map_err(|e| format!("'{text}' is no regular expression: {e}"))?))
            }
        };
        Ok(Pattern { text: text.into(), matcher })
    }

    /// Matches every name.
    pub(crate) fn everything() -> Self {
        Pattern { text: ".*".into(), matcher: Matcher::Everything }
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// True if the name matches; one that takes too many steps to tell does not.
    pub(crate) fn matches(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::Everything => true,
            Matcher::Nothing => name.is_empty(),
            Matcher::Regex(regex) => regex.is_match(name).unwrap_or(false),
        }
    }
}

/// What somebody wants to do with a queue or exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Configure,
    Write,
    Read,
}

impl Access {
    fn name(self) -> &'static str {
        match self {
            Access::Configure => "configure",
            Access::Write => "write",
            Access::Read => "read",
        }
    }
}

/// What it is done with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Resource<'n> {
    Queue(&'n str),
    Exchange(&'n str),
}

impl<'n> Resource<'n> {
    /// The name that patterns see: the default exchange has one of its own for this.
    fn name(self) -> &'n str {
        match self {
            Resource::Exchange("") => "amq.default",
            Resource::Queue(name) | Resource::Exchange(name) => name,
        }
    }
}

/// A user's permissions in a virtual host.
#[derive(Clone, Debug)]
pub(crate) struct Permission {
    pub(crate) configure: Pattern,
    pub(crate) write: Pattern,
    pub(crate) read: Pattern,
}

impl Permission {
    /// Permission for every name.
    pub(crate) fn everything() -> Self {
        let all = Pattern::everything();
        Permission { configure: all.clone(), write: all.clone(), read: all }
    }

    fn of(&self, access: Access) -> &Pattern {
        match access {
            Access::Configure => &self.configure,
            Access::Write => &self.write,
            Access::Read => &self.read,
        }
    }
}

/// What routing and binding keys a user may use on one topic exchange.
#[derive(Clone, Debug)]
pub(crate) struct TopicPermission {
    pub(crate) exchange: String,
    pub(crate) write: String,
    pub(crate) read: String,
}

/// What one user may do in one virtual host, as a connection keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Rights {
    pub(crate) user: Arc<str>,
    pub(crate) vhost: Arc<str>,
    /// True if messages may bear other users' names.
    pub(crate) impersonator: bool,
    permission: Permission,
    topics: Vec<(String, Pattern, Pattern)>,
}

impl Rights {
    /// Puts rights together; in the patterns for topics `{username}` and `{vhost}` stand for what they say.
    pub(crate) fn new(
        user: Arc<str>,
        vhost: Arc<str>,
        impersonator: bool,
        permission: Permission,
        topics: &[TopicPermission],
    ) -> Self {
        let fill = |pattern: &str| {
            let filled = pattern.replace("{username}", &user).replace("{vhost}", &vhost);
            // What could be compiled before the names were put in may not be any more: then nothing matches.
            Pattern::new(&filled).unwrap_or(Pattern { text: filled.into(), matcher: Matcher::Nothing })
        };
        let topics = topics.iter().map(|t| (t.exchange.clone(), fill(&t.write), fill(&t.read))).collect();
        Rights { user, vhost, impersonator, permission, topics }
    }

    /// Rights that nothing is refused to.
    pub(crate) fn everything(user: Arc<str>, vhost: Arc<str>) -> Self {
        Rights { user, vhost, impersonator: true, permission: Permission::everything(), topics: vec![] }
    }

    /// # Errors
    /// 403 with RabbitMQ's text.
    pub(crate) fn check(&self, access: Access, resource: Resource<'_>) -> Result<(), Soft> {
        if self.permission.of(access).matches(resource.name()) {
            return Ok(());
        }
        let kind = if matches!(resource, Resource::Queue(_)) { "queue" } else { "exchange" };
        let (access, name) = (access.name(), resource.name());
        Err(Soft::access_refused(format!(
            "{access} access to {kind} '{name}' in vhost '{}' refused for user '{}'",
            self.vhost, self.user
        )))
    }

    /// Passes with any right on the resource: what it takes to learn that it exists.
    ///
    /// # Errors
    /// 403 as for configure.
    pub(crate) fn check_any(&self, resource: Resource<'_>) -> Result<(), Soft> {
        let any = [Access::Read, Access::Write].into_iter().any(|access| self.check(access, resource).is_ok());
        if any { Ok(()) } else { self.check(Access::Configure, resource) }
    }

    /// A key on a topic exchange; exchanges that nobody has restricted are open.
    ///
    /// # Errors
    /// 403 with RabbitMQ's text.
    pub(crate) fn check_topic(&self, access: Access, exchange: &str, key: &[u8]) -> Result<(), Soft> {
        let Some((_, write, read)) = self.topics.iter().find(|(name, ..)| name == exchange) else { return Ok(()) };
        let pattern = if access == Access::Write { write } else { read };
        let key = String::from_utf8_lossy(key);
        if pattern.matches(&key) {
            return Ok(());
        }
        Err(Soft::access_refused(format!(
            "{} access to topic '{key}' in exchange '{exchange}' in vhost '{}' refused for user '{}'",
            access.name(),
            self.vhost,
            self.user
        )))
    }

    /// True if there is anything to check about keys.
    pub(crate) fn has_topics(&self) -> bool {
        !self.topics.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(configure: &str, write: &str, read: &str) -> Rights {
        let pattern = |text| Pattern::new(text).unwrap();
        let permission = Permission { configure: pattern(configure), write: pattern(write), read: pattern(read) };
        let topic = TopicPermission { exchange: "t".into(), write: "^{username}[.]".into(), read: ".*".into() };
        Rights::new("u".into(), "/".into(), false, permission, &[topic])
    }

    #[test]
    fn patterns_are_not_anchored_and_an_empty_one_matches_nothing() {
        let rights = rights("^a", "b", "");
        assert!(rights.check(Access::Configure, Resource::Queue("abc")).is_ok());
        assert!(rights.check(Access::Write, Resource::Queue("abc")).is_ok());
        assert!(rights.check(Access::Read, Resource::Queue("abc")).is_err());
    }

    #[test]
    fn refusals_speak_as_rabbitmq_does() {
        let refused = rights("^$", "^$", "^$").check(Access::Write, Resource::Exchange("")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'u'"
        );
    }

    #[test]
    fn topic_patterns_know_the_user() {
        let rights = rights(".*", ".*", ".*");
        assert!(rights.check_topic(Access::Write, "t", b"u.x").is_ok());
        assert!(rights.check_topic(Access::Write, "other", b"v.x").is_ok());
        let refused = rights.check_topic(Access::Write, "t", b"v.x").unwrap_err();
        assert_eq!(refused.text, "write access to topic 'v.x' in exchange 't' in vhost '/' refused for user 'u'");
    }

    #[test]
    fn look_ahead_works_and_too_many_steps_do_not_match() {
        assert!(Pattern::new("^(?!amq[.]).*").unwrap().matches("mine"));
        assert!(!Pattern::new("^(?!amq[.]).*").unwrap().matches("amq.x"));
        assert!(!Pattern::new("^(?=(a+)+b)").unwrap().matches(&"a".repeat(200)));
        assert!(Pattern::new("(").is_err() && Pattern::new(&"x".repeat(2000)).is_err());
    }
}
