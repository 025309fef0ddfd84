//! Policies: settings for all queues and exchanges whose names match, changed while they live.
//!
//! The policy of the highest priority that matches counts, alone; an operator policy is merged into it. Arguments of the
//! declaration stand beside them: of two numbers the smaller holds, of two texts the argument's. A change touches only
//! those queues and exchanges for which something else holds than before.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::auth::Pattern;

/// One value of a definition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Term {
    Number(i64),
    Text(String),
    Flag(bool),
}

/// Settings by RabbitMQ's names.
pub(crate) type Definition = BTreeMap<String, Term>;

/// What a policy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ApplyTo {
    #[default]
    All,
    Queues,
    ClassicQueues,
    QuorumQueues,
    Exchanges,
}

/// A policy, or an operator policy.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) name: Arc<str>,
    pub(crate) pattern: Pattern,
    pub(crate) apply_to: ApplyTo,
    pub(crate) priority: i64,
    pub(crate) definition: Definition,
}

/// The two kinds of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyKind {
    User,
    /// Bounds that an operator sets and users cannot lift.
    Operator,
}

/// What holds for one queue or exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Applied {
    /// The policy's name.
    pub(crate) policy: Option<Arc<str>>,
    /// The operator policy's name.
    pub(crate) operator_policy: Option<Arc<str>>,
    /// Both merged.
    pub(crate) definition: Definition,
}

/// A virtual host's policies, by name.
#[derive(Default)]
pub(crate) struct Policies {
    user: BTreeMap<Arc<str>, Arc<Policy>>,
    operator: BTreeMap<Arc<str>, Arc<Policy>>,
}

/// What a name belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    ClassicQueue,
    QuorumQueue,
    Exchange,
}

impl ApplyTo {
    const NAMES: [(ApplyTo, &str); 5] = [
        (ApplyTo::All, "all"),
        (ApplyTo::Queues, "queues"),
        (ApplyTo::ClassicQueues, "classic_queues"),
        (ApplyTo::QuorumQueues, "quorum_queues"),
        (ApplyTo::Exchanges, "exchanges"),
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(a, _)| *a == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(apply_to, _)| *apply_to)
    }

    fn includes(self, target: Target) -> bool {
        match self {
            ApplyTo::All => true,
            ApplyTo::Queues => target != Target::Exchange,
            ApplyTo::ClassicQueues => target == Target::ClassicQueue,
            ApplyTo::QuorumQueues => target == Target::QuorumQueue,
            ApplyTo::Exchanges => target == Target::Exchange,
        }
    }
}

/// Whether a value can be had.
type Check = fn(&Term) -> bool;

/// The settings that a policy may have, and what their values may be.
const KEYS: &[(&str, Check)] = &[
    ("message-ttl", not_negative),
    ("expires", positive),
    ("max-length", not_negative),
    ("max-length-bytes", not_negative),
    ("delivery-limit", number),
    ("overflow", overflow),
    ("dead-letter-exchange", text),
    ("dead-letter-routing-key", text),
    ("dead-letter-strategy", text),
    ("alternate-exchange", text),
    ("queue-mode", text),
    ("queue-version", number),
    ("queue-leader-locator", text),
    ("queue-master-locator", text),
    ("consumer-timeout", positive),
    ("ha-mode", text),
    ("ha-sync-mode", text),
    ("target-group-size", positive),
];

/// The settings that an operator policy may have.
const OPERATOR_KEYS: &[&str] =
    &["expires", "message-ttl", "max-length", "max-length-bytes", "delivery-limit", "overflow", "queue-version"];

fn number(term: &Term) -> bool {
    matches!(term, Term::Number(_))
}

fn not_negative(term: &Term) -> bool {
    matches!(term, Term::Number(0..))
}

fn positive(term: &Term) -> bool {
    matches!(term, Term::Number(1..))
}

fn text(term: &Term) -> bool {
    matches!(term, Term::Text(_))
}

fn overflow(term: &Term) -> bool {
    matches!(term, Term::Text(t) if matches!(t.as_str(), "drop-head" | "reject-publish" | "reject-publish-dlx"))
}

impl Policy {
    /// Checks the definition.
    ///
    /// # Errors
    /// One sentence that names the first setting that is unknown or has a value that it cannot have.
    pub(crate) fn check(&self, kind: PolicyKind) -> Result<(), String> {
        if self.definition.is_empty() {
            return Err("a policy needs at least one setting".into());
        }
        for (key, term) in &self.definition {
            let known = KEYS.iter().find(|(name, _)| name == key);
            let Some((_, allowed)) =
                known.filter(|_| kind == PolicyKind::User || OPERATOR_KEYS.contains(&key.as_str()))
            else {
                return Err(format!("[{{<<\"{key}\">>,{term:?}}}] are not recognised policy settings"));
            };
            if !allowed(term) {
                return Err(format!("<<\"{term:?}\">> is not a valid value for {key}"));
            }
        }
        Ok(())
    }
}

impl Policies {
    pub(crate) fn of(&mut self, kind: PolicyKind) -> &mut BTreeMap<Arc<str>, Arc<Policy>> {
        match kind {
            PolicyKind::User => &mut self.user,
            PolicyKind::Operator => &mut self.operator,
        }
    }

    /// What holds for a name; `None` if no policy matches.
    pub(crate) fn effective(&self, target: Target, name: &str) -> Option<Arc<Applied>> {
        let best = |policies: &BTreeMap<_, Arc<Policy>>| {
            let matching = policies.values().filter(|p| p.apply_to.includes(target) && p.pattern.matches(name));
            matching.max_by_key(|policy| policy.priority).cloned()
        };
        let (user, operator) = (best(&self.user), best(&self.operator));
        if user.is_none() && operator.is_none() {
            return None;
        }
        let mut definition = user.as_ref().map(|p| p.definition.clone()).unwrap_or_default();
        for (key, bound) in operator.iter().flat_map(|p| &p.definition) {
            let merged = match (definition.get(key), bound) {
                (Some(Term::Number(own)), Term::Number(bound)) => Term::Number(*own.min(bound)),
                _ => bound.clone(),
            };
            definition.insert(key.clone(), merged);
        }
        let name = |policy: Option<Arc<Policy>>| policy.map(|p| p.name.clone());
        Some(Arc::new(Applied { policy: name(user), operator_policy: name(operator), definition }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, pattern: &str, priority: i64, definition: &[(&str, i64)]) -> Arc<Policy> {
        let definition = definition.iter().map(|&(k, v)| (k.into(), Term::Number(v))).collect();
        let pattern = Pattern::new(pattern).unwrap();
        Arc::new(Policy { name: name.into(), pattern, apply_to: ApplyTo::Queues, priority, definition })
    }

    fn policies(user: &[Arc<Policy>], operator: &[Arc<Policy>]) -> Policies {
        let by_name = |list: &[Arc<Policy>]| list.iter().map(|p| (p.name.clone(), p.clone())).collect();
        Policies { user: by_name(user), operator: by_name(operator) }
    }

    fn definition(policies: &Policies, name: &str) -> Option<Vec<(String, Term)>> {
        policies.effective(Target::ClassicQueue, name).map(|a| a.definition.clone().into_iter().collect())
    }

    #[test]
    fn the_highest_priority_counts_alone() {
        let user = [
            policy("low", "^a", 0, &[("expires", 1), ("max-length", 9)]),
            policy("high", "b", 5, &[("max-length", 3)]),
        ];
        let policies = policies(&user, &[]);
        assert_eq!(definition(&policies, "ab"), Some(vec![("max-length".into(), Term::Number(3))]));
        assert_eq!(definition(&policies, "ac").map(|d| d.len()), Some(2));
        assert_eq!(definition(&policies, "c"), None);
        assert_eq!(policies.effective(Target::Exchange, "ab"), None);
    }

    #[test]
    fn an_operator_bounds_what_users_set() {
        let user = [policy("u", ".*", 0, &[("max-length", 100), ("expires", 5)])];
        let operator = [policy("o", "^a", 0, &[("max-length", 10), ("message-ttl", 7)])];
        let policies = policies(&user, &operator);
        let n = |key: &str, n| (key.to_owned(), Term::Number(n));
        assert_eq!(definition(&policies, "a"), Some(vec![n("expires", 5), n("max-length", 10), n("message-ttl", 7)]));
        assert_eq!(definition(&policies, "b"), Some(vec![n("expires", 5), n("max-length", 100)]));
    }

    #[test]
    fn unknown_settings_and_bad_values_are_refused() {
        let check = |definition: &[(&str, i64)], kind| policy("p", "", 0, definition).check(kind);
        assert_eq!(check(&[("max-length", 0)], PolicyKind::User), Ok(()));
        assert!(check(&[("max-lenght", 1)], PolicyKind::User).is_err());
        assert!(check(&[("max-length", -1)], PolicyKind::User).is_err());
        assert!(check(&[("queue-leader-locator", 1)], PolicyKind::Operator).is_err());
        assert!(check(&[], PolicyKind::User).is_err());
    }
}
