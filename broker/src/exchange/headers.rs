//! headers: the message's headers against the binding's arguments; the routing key does not matter.
//!
//! `x-match` says how many must agree: `all` (the default) or `any` of the arguments that do not begin with `x-`;
//! `all-with-x` and `any-with-x` count those too. An argument without a value (void) asks only that the header is there.

use std::sync::Arc;

use leveret_spec::{Table, Value};

use super::{Binding, Destination};
use crate::failure::Soft;

#[derive(Default)]
pub(super) struct Matches(Vec<Arc<Binding>>);

/// How arguments decide.
#[derive(Clone, Copy)]
struct Rule {
    any: bool,
    with_x: bool,
}

impl Rule {
    fn of(arguments: Table<'_>) -> Option<Rule> {
        let Some(value) = arguments.lookup("x-match") else { return Some(Rule { any: false, with_x: false }) };
        Some(match value.as_str()? {
            "all" => Rule { any: false, with_x: false },
            "any" => Rule { any: true, with_x: false },
            "all-with-x" => Rule { any: false, with_x: true },
            "any-with-x" => Rule { any: true, with_x: true },
            _ => return None,
        })
    }

    fn matches(self, arguments: Table<'_>, headers: Table<'_>) -> bool {
        let mut counted =
            arguments.iter().filter(|(k, _)| &k[..] != b"x-match" && (self.with_x || !k.starts_with(b"x-")));
        let agrees = |(key, wanted): (leveret_spec::ShortBytes<'_>, Value<'_>)| {
            headers
                .iter()
                .find(|(k, _)| *k == key)
                .is_some_and(|(_, found)| wanted == Value::Void || same(wanted, found))
        };
        if self.any { counted.any(agrees) } else { counted.all(agrees) }
    }
}

/// Equal in kind and value; integers of different widths are of one kind.
fn same(a: Value<'_>, b: Value<'_>) -> bool {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Checks a binding's arguments.
///
/// # Errors
/// 406 for an unknown `x-match`.
pub(crate) fn check(arguments: Table<'_>) -> Result<(), Soft> {
    if Rule::of(arguments).is_some() {
        return Ok(());
    }
    let shown = match arguments.lookup("x-match") {
        Some(Value::LongStr(text)) => format!("Invalid x-match field value <<\"{}\">>", String::from_utf8_lossy(text)),
        _ => "Invalid x-match field type".into(),
    };
    Err(Soft::precondition_failed(format!("{shown}; expected all, any, all-with-x, or any-with-x")))
}

impl Matches {
    pub(super) fn add(&mut self, binding: Arc<Binding>) {
        self.0.push(binding);
    }

    pub(super) fn remove(&mut self, binding: &Binding) {
        self.0.retain(|b| **b != *binding);
    }

    pub(super) fn route(&self, headers: Table<'_>, found: &mut dyn FnMut(&Destination)) {
        for binding in &self.0 {
            let arguments = binding.arguments.as_table();
            if Rule::of(arguments).is_some_and(|rule| rule.matches(arguments, headers)) {
                found(&binding.destination);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use leveret_spec::TableBuf;

    use super::super::testing::{binding, names};
    use super::*;

    fn table(entries: &[(&str, Value<'_>)]) -> TableBuf {
        let mut table = TableBuf::new();
        for (key, value) in entries {
            table.insert(key, *value).unwrap();
        }
        table
    }

    fn routed(arguments: &[(&str, Value<'_>)], headers: &[(&str, Value<'_>)]) -> bool {
        let mut matches = Matches::default();
        matches.add(binding("q", "", table(arguments)));
        !names(|found| matches.route(table(headers).as_table(), found)).is_empty()
    }

    #[test]
    fn all_is_the_default_and_ignores_arguments_with_x() {
        let both = [("a", Value::I32(1)), ("b", Value::from("2"))];
        assert!(routed(&[("a", Value::I64(1)), ("x-other", Value::I32(9))], &both));
        assert!(!routed(&[("a", Value::I32(1)), ("c", Value::Void)], &both));
        assert!(routed(&[("x-match", "all".into())], &[]));
        assert!(!routed(&[("x-match", "all-with-x".into()), ("x-other", Value::I32(9))], &both));
    }

    #[test]
    fn any_needs_one_that_agrees() {
        let any = [("x-match", "any".into()), ("a", Value::I32(1)), ("b", Value::Void)];
        assert!(routed(&any, &[("b", Value::Bool(false))]));
        assert!(!routed(&any, &[("a", Value::I32(2))]));
        assert!(!routed(&[("x-match", "any".into())], &[("a", Value::I32(2))]));
    }

    #[test]
    fn kinds_are_not_mixed() {
        assert!(!routed(&[("a", Value::I32(1))], &[("a", "1".into())]));
        assert!(!routed(&[("a", Value::I32(1))], &[("a", Value::F64(1.0))]));
        assert!(routed(&[("a", Value::Timestamp(5))], &[("a", Value::Timestamp(5))]));
    }

    #[test]
    fn an_unknown_rule_is_refused() {
        let refused = check(table(&[("x-match", "some".into())]).as_table()).unwrap_err();
        assert_eq!(
            refused.text,
            "Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x"
        );
    }
}
