//! Every row of the method table, with payloads put together from the types of its arguments alone: a second way to the
//! bytes, beside the code under test.

use leveret_spec::Method;
use leveret_spec::method::{Kind, Row};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::tables::{entries, table_of};
use crate::{Verdict, bytes, damage, damaged, encoded, short_bytes};

/// Cases for each row of the method table.
const CASES_PER_ROW: u32 = 24;

fn prefixed<const N: usize>(
    bytes: impl Strategy<Value = Vec<u8>> + 'static,
    length: fn(usize) -> [u8; N],
) -> BoxedStrategy<Vec<u8>> {
    bytes.prop_map(move |bytes| [length(bytes.len()).to_vec(), bytes].concat()).boxed()
}

/// The bytes of one argument, or of up to eight neighbouring bits, which share an octet.
fn argument(kind: Kind, bits: usize) -> BoxedStrategy<Vec<u8>> {
    let octet = |length: usize| [length as u8];
    let long = |length: usize| (length as u32).to_be_bytes();
    match kind {
        Kind::Bit => (0..=u8::MAX >> (8 - bits)).prop_map(|octet| vec![octet]).boxed(),
        Kind::Octet => vec(any::<u8>(), 1).boxed(),
        Kind::Short => vec(any::<u8>(), 2).boxed(),
        Kind::Long => vec(any::<u8>(), 4).boxed(),
        Kind::LongLong => vec(any::<u8>(), 8).boxed(),
        Kind::ShortStr => prefixed("\\PC{0,60}".prop_map(String::into_bytes), octet),
        Kind::ShortBytes => prefixed(short_bytes(), octet),
        Kind::LongStr => prefixed(bytes(300), long),
        Kind::Table => prefixed(entries().prop_map(|entries| table_of(&entries).as_table().as_bytes().to_vec()), long),
    }
}

fn arguments(row: &Row) -> impl Strategy<Value = Vec<u8>> + use<> {
    let runs = row.arguments.chunk_by(|(_, a), (_, b)| (a, b) == (&Kind::Bit, &Kind::Bit));
    let strategies: Vec<_> = runs.flat_map(|run| run.chunks(8)).map(|run| argument(run[0].1, run.len())).collect();
    strategies.prop_map(|arguments| arguments.concat())
}

/// Runs a test for every row of the method table, with random payloads and damages.
fn every_method(test: impl Fn(&Row, Vec<u8>, Vec<(Index, u8)>) -> Verdict) {
    for row in Method::ROWS {
        let ids = [row.class.to_be_bytes(), row.method.to_be_bytes()].concat();
        let payload = arguments(row).prop_map(move |arguments| [&ids[..], &arguments].concat());
        let config = Config { cases: CASES_PER_ROW, failure_persistence: None, ..Config::default() };
        let run = TestRunner::new(config).run(&(payload, damage()), |(payload, damage)| test(row, payload, damage));
        assert!(run.is_ok(), "{}: {run:?}", row.name);
    }
}

#[test]
fn every_method_decodes_and_encodes_to_the_same_bytes() {
    every_method(|row, payload, _| {
        let method = Method::decode(&payload).map_err(|why| TestCaseError::fail(format!("{why:?}")))?;
        prop_assert_eq!(method.row(), *row);
        let again = encoded(|out| method.encode(out));
        prop_assert_eq!(Method::decode(&again), Ok(method));
        prop_assert_eq!(&again, &payload);
        let longer = [&payload[..], &[0xCE]].concat();
        prop_assert_eq!(Method::decode(&longer), Ok(method), "bytes after the last argument are ignored");
        Ok(())
    });
}

#[test]
fn every_cut_of_every_method_is_refused() {
    every_method(|_, payload, _| {
        for cut in 0..payload.len() {
            prop_assert!(Method::decode(&payload[..cut]).is_err(), "cut at {}", cut);
        }
        Ok(())
    });
}

#[test]
fn every_damaged_method_is_refused_or_survives_the_round_trip() {
    every_method(|_, payload, damage| method_survives(&damaged(payload, &damage)));
}

proptest! {
    #[test]
    fn any_bytes_under_any_ids_are_refused_or_survive_the_round_trip(row in any::<Index>(), bytes in bytes(60)) {
        let row = row.get(Method::ROWS);
        method_survives(&bytes)?;
        method_survives(&[&row.class.to_be_bytes(), &row.method.to_be_bytes(), &bytes[..]].concat())?;
    }
}

fn method_survives(payload: &[u8]) -> Verdict {
    let Ok(method) = Method::decode(payload) else { return Ok(()) };
    let again = encoded(|out| method.encode(out));
    prop_assert_eq!(Method::decode(&again), Ok(method));
    prop_assert_ne!(format!("{method:?}"), "");
    Ok(())
}
