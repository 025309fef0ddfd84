//! headers: the message's headers against the binding's arguments; the routing key does not matter.
//!
//! `x-match` says how many must agree: `all` (the default) or `any` of the arguments that do not begin with `x-`;
//! `all-with-x` and `any-with-x` count those too. An argument without a value (void) asks only that the header is there.
//!
//! Bindings are found by what they want: one that wants all of its arguments by a single one of them, one that wants any by
//! each. A message's headers lead to those that may match; whoever is found is asked, so that what leads there may be vague.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;

use leveret_spec::{ShortBytes, Table, Value};

use super::{Binding, Destination};
use crate::failure::Soft;

#[derive(Default)]
pub(super) struct Matches {
    /// Bindings by the fingerprint of a header that they want.
    wanted: HashMap<u64, Vec<Arc<Binding>>>,
    /// Those that want nothing, and match always.
    content: Vec<Arc<Binding>>,
    hasher: RandomState,
}

/// A header by its name, and its value if that matters. Different ones may have the same, and equal ones do.
type Fingerprint = u64;

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

    /// The arguments that count.
    fn counted(self, arguments: Table<'_>) -> impl Iterator<Item = (ShortBytes<'_>, Value<'_>)> {
        arguments.iter().filter(move |(k, _)| &k[..] != b"x-match" && (self.with_x || !k.starts_with(b"x-")))
    }

    fn matches(self, arguments: Table<'_>, headers: Table<'_>) -> bool {
        let mut counted = self.counted(arguments);
        let agrees = |(key, wanted): (ShortBytes<'_>, Value<'_>)| {
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

/// Feeds a value to a hasher: the same bytes for values that are the same.
fn hash(value: Value<'_>, hasher: &mut impl Hasher) {
    if let Some(number) = value.as_i64() {
        return (0u8, number).hash(hasher);
    }
    match value {
        Value::LongStr(text) => (1u8, text).hash(hasher),
        Value::Bool(is) => (2u8, is).hash(hasher),
        Value::Timestamp(seconds) => (3u8, seconds).hash(hasher),
        Value::Bytes(bytes) => (4u8, bytes).hash(hasher),
        Value::Decimal { scale, value } => (5u8, scale, value).hash(hasher),
        // There are two zeros, which are equal.
        Value::F32(number) => (6u8, (number + 0.0).to_bits()).hash(hasher),
        Value::F64(number) => (7u8, (number + 0.0).to_bits()).hash(hasher),
        Value::Table(table) => (8u8, table.as_bytes()).hash(hasher),
        Value::Array(array) => array.iter().for_each(|value| hash(value, hasher)),
        _ => 9u8.hash(hasher),
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
        let arguments = binding.arguments.as_table();
        let Some(rule) = Rule::of(arguments) else { return };
        let mut ways: Vec<_> = rule.counted(arguments).map(|wanted| self.way_to(wanted)).collect();
        if rule.any {
            ways.sort_unstable();
            ways.dedup();
            for way in ways {
                self.wanted.entry(way).or_default().push(binding.clone());
            }
            return;
        }
        // The way with the fewest bindings tells them apart best.
        match ways.into_iter().min_by_key(|way| self.wanted.get(way).map_or(0, Vec::len)) {
            Some(way) => self.wanted.entry(way).or_default().push(binding),
            None => self.content.push(binding),
        }
    }

    /// Removes a binding that was added.
    pub(super) fn remove(&mut self, binding: &Arc<Binding>) {
        let arguments = binding.arguments.as_table();
        let Some(rule) = Rule::of(arguments) else { return };
        for wanted in rule.counted(arguments) {
            let way = self.way_to(wanted);
            let Some(bindings) = self.wanted.get_mut(&way) else { continue };
            take_out(bindings, binding);
            if bindings.is_empty() {
                self.wanted.remove(&way);
            }
        }
        take_out(&mut self.content, binding);
    }

    pub(super) fn route(&self, headers: Table<'_>, found: &mut dyn FnMut(&Destination)) {
        self.content.iter().for_each(|binding| found(&binding.destination));
        if self.wanted.is_empty() {
            return;
        }
        let mut ways: Vec<_> = headers.iter().flat_map(|(name, value)| self.ways_from(name, value)).collect();
        // A name that comes again must not lead to the same bindings again.
        ways.sort_unstable();
        ways.dedup();
        for binding in ways.iter().filter_map(|way| self.wanted.get(way)).flatten() {
            let arguments = binding.arguments.as_table();
            if Rule::of(arguments).is_some_and(|rule| rule.matches(arguments, headers)) {
                found(&binding.destination);
            }
        }
    }

    /// The fingerprint of a header that a binding wants.
    fn way_to(&self, (name, value): (ShortBytes<'_>, Value<'_>)) -> Fingerprint {
        let value = Some(value).filter(|value| *value != Value::Void);
        self.fingerprint(name, value)
    }

    /// Those of a header that a message has: bindings may want this value, or any.
    fn ways_from(&self, name: ShortBytes<'_>, value: Value<'_>) -> [Fingerprint; 2] {
        [self.fingerprint(name, Some(value)), self.fingerprint(name, None)]
    }

    fn fingerprint(&self, name: ShortBytes<'_>, value: Option<Value<'_>>) -> Fingerprint {
        let mut hasher = self.hasher.build_hasher();
        name[..].hash(&mut hasher);
        if let Some(value) = value {
            hash(value, &mut hasher);
        }
        hasher.finish()
    }
}

fn take_out(bindings: &mut Vec<Arc<Binding>>, binding: &Arc<Binding>) {
    if let Some(at) = bindings.iter().position(|other| Arc::ptr_eq(other, binding)) {
        bindings.swap_remove(at);
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

    /// Every table with these keys that has one of these values, or none, for each; the first key twice, too.
    fn tables(keys: &[&str], values: &[Value<'_>]) -> Vec<Vec<u8>> {
        let one = |key: &str| {
            let entry = |value: &Value<'_>| table(&[(key, *value)]).as_table().as_bytes().to_vec();
            std::iter::once(vec![]).chain(values.iter().map(entry)).collect::<Vec<_>>()
        };
        let first = one(keys[0]);
        let twice = first[1..].iter().flat_map(|a| first[1..].iter().map(move |b| [&a[..], b].concat()));
        let mut all: Vec<_> = first.iter().cloned().chain(twice).collect();
        for key in &keys[1..] {
            all = all.iter().flat_map(|a| one(key).into_iter().map(move |b| [&a[..], &b].concat())).collect();
        }
        all
    }

    #[test]
    fn the_index_agrees_with_the_rule() {
        let nested = table(&[("k", Value::I32(1))]);
        let values = [
            Value::Void,
            Value::I32(1),
            Value::I64(1),
            Value::F64(0.0),
            Value::F64(-0.0),
            Value::F64(f64::NAN),
            Value::from("1"),
            Value::Table(nested.as_table()),
        ];
        let rules = ["all", "any", "all-with-x", "any-with-x", "some"].map(|rule| table(&[("x-match", rule.into())]));
        let rules: Vec<_> = rules.iter().map(|rule| rule.as_table().as_bytes()).chain([&[][..]]).collect();
        let mut matches = Matches::default();
        let mut bindings = vec![];
        for arguments in tables(&["a", "b", "x-c"], &values[..2]) {
            for rule in &rules {
                let arguments = [*rule, &arguments].concat();
                let arguments: TableBuf = Table::validate(&arguments).unwrap().into();
                bindings.push(binding(&bindings.len().to_string(), "", arguments));
            }
        }
        for arguments in tables(&["a"], &values) {
            bindings.push(binding(&bindings.len().to_string(), "", Table::validate(&arguments).unwrap().into()));
        }
        bindings.iter().for_each(|b| matches.add(b.clone()));
        let headers = [tables(&["a", "b", "x-c"], &values[1..3]), tables(&["a"], &values)].concat();
        let agree = |matches: &Matches, bindings: &[Arc<Binding>]| {
            for headers in &headers {
                let headers = Table::validate(headers).unwrap();
                let rule = |b: &Arc<Binding>| {
                    let arguments = b.arguments.as_table();
                    Rule::of(arguments).is_some_and(|rule| rule.matches(arguments, headers))
                };
                let matching = bindings.iter().filter(|b| rule(b));
                let right = names(|found| matching.for_each(|b| found(&b.destination)));
                assert_eq!(names(|found| matches.route(headers, found)), right, "{headers:?}");
            }
        };
        agree(&matches, &bindings);
        let (gone, left): (Vec<_>, Vec<_>) = bindings.into_iter().enumerate().partition(|(n, _)| n % 3 > 0);
        gone.iter().for_each(|(_, b)| matches.remove(b));
        let left: Vec<_> = left.into_iter().map(|(_, b)| b).collect();
        agree(&matches, &left);
        left.iter().for_each(|b| matches.remove(b));
        assert!(matches.wanted.is_empty() && matches.content.is_empty());
    }

    #[test]
    fn bindings_are_told_apart_by_what_is_rare() {
        let mut matches = Matches::default();
        for n in 0..100 {
            let arguments = table(&[("format", "pdf".into()), ("tenant", Value::I32(n)), ("x-other", Value::Void)]);
            matches.add(binding(&n.to_string(), "", arguments));
        }
        assert!(matches.wanted.values().all(|bindings| bindings.len() == 1));
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
