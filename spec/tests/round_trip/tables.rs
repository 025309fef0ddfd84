//! Field tables with values of every type, nested to the limit.

use leveret_spec::table::{ArrayBuf, DEPTH_MAX};
use leveret_spec::{Array, ShortBytes, Table, TableBuf, Value};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{Verdict, bytes, damage, damaged, short_bytes};

pub(crate) type Entries = Vec<(Vec<u8>, Node)>;

/// A field value that owns what it holds.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Fixed(Value<'static>),
    LongStr(Vec<u8>),
    Bytes(Vec<u8>),
    Array(Vec<Node>),
    Table(Entries),
}

impl Node {
    fn put(&self, put: impl FnOnce(Value<'_>)) {
        match self {
            Node::Fixed(value) => put(*value),
            Node::LongStr(text) => put(Value::LongStr(text)),
            Node::Bytes(bytes) => put(Value::Bytes(bytes)),
            Node::Array(nodes) => put(array_of(nodes).as_array().into()),
            Node::Table(entries) => put(table_of(entries).as_table().into()),
        }
    }

    fn depth(&self) -> usize {
        match self {
            Node::Array(nodes) => 1 + nodes.iter().map(Node::depth).max().unwrap_or(0),
            Node::Table(entries) => 1 + entries.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}

fn array_of(nodes: &[Node]) -> ArrayBuf {
    let mut array = ArrayBuf::new();
    for node in nodes {
        node.put(|value| {
            array.push(value);
        });
    }
    array
}

pub(crate) fn table_of(entries: &[(Vec<u8>, Node)]) -> TableBuf {
    let mut table = TableBuf::new();
    for (key, node) in entries {
        node.put(|value| table.push(ShortBytes::new(key).expect("at most 255 bytes"), value));
    }
    table
}

fn fixed() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<u8>().prop_map(Value::U8),
        any::<i16>().prop_map(Value::I16),
        any::<u16>().prop_map(Value::U16),
        any::<i32>().prop_map(Value::I32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::I64),
        any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        any::<(u8, u32)>().prop_map(|(scale, value)| Value::Decimal { scale, value }),
        any::<u64>().prop_map(Value::Timestamp),
        Just(Value::Void),
    ]
}

fn node() -> impl Strategy<Value = Node> {
    let flat = prop_oneof![
        13 => fixed().prop_map(Node::Fixed),
        1 => bytes(40).prop_map(Node::LongStr),
        1 => bytes(40).prop_map(Node::Bytes),
    ];
    flat.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Node::Array),
            vec((short_bytes(), inner), 0..4).prop_map(Node::Table),
        ]
    })
}

pub(crate) fn entries() -> impl Strategy<Value = Entries> {
    vec((short_bytes(), node()), 0..6)
}

fn rebuilt_value(value: Value<'_>, put: impl FnOnce(Value<'_>)) {
    match value {
        Value::Array(array) => put(rebuilt_array(array).as_array().into()),
        Value::Table(table) => put(rebuilt_table(table).as_table().into()),
        flat => put(flat),
    }
}

fn rebuilt_array(array: Array<'_>) -> ArrayBuf {
    let mut rebuilt = ArrayBuf::new();
    for value in array.iter() {
        rebuilt_value(value, |value| {
            rebuilt.push(value);
        });
    }
    rebuilt
}

fn rebuilt_table(table: Table<'_>) -> TableBuf {
    let mut rebuilt = TableBuf::new();
    for (key, value) in table.iter() {
        rebuilt_value(value, |value| rebuilt.push(key, value));
    }
    rebuilt
}

proptest! {
    #[test]
    fn a_table_rebuilt_from_its_entries_is_the_same_table(entries in entries()) {
        let table = table_of(&entries);
        let read = Table::validate(table.as_table().as_bytes())?;
        prop_assert_eq!(read.iter().count(), entries.len());
        prop_assert_eq!(rebuilt_table(read), TableBuf::from(read));
        let mut normal = read.as_bytes().to_vec();
        Table::normalize(&mut normal)?;
        prop_assert_eq!(normal, read.as_bytes(), "what is never written has nothing to normalize");
    }

    #[test]
    fn a_table_may_end_after_an_entry_and_nowhere_else(entries in entries()) {
        let table = table_of(&entries);
        let ends: Vec<usize> = (0..=entries.len()).map(|n| table_of(&entries[..n]).as_table().as_bytes().len()).collect();
        let bytes = table.as_table().as_bytes();
        for cut in 0..=bytes.len() {
            prop_assert_eq!(Table::validate(&bytes[..cut]).is_ok(), ends.contains(&cut), "cut at {}", cut);
        }
    }

    #[test]
    fn tables_and_arrays_nest_to_the_limit_and_no_deeper(core in node(), shells in vec(any::<bool>(), DEPTH_MAX)) {
        let wrap = |node: Node, table: bool| match table {
            true => Node::Table(vec![(b"in".to_vec(), node)]),
            false => Node::Array(vec![node]),
        };
        let room = DEPTH_MAX - core.depth();
        let deepest = shells[..room].iter().fold(core, |node, &table| wrap(node, table));
        let fits = table_of(&[(vec![], deepest.clone())]);
        prop_assert_eq!(rebuilt_table(Table::validate(fits.as_table().as_bytes())?), fits);
        let beyond = table_of(&[(vec![], wrap(deepest, shells[0]))]);
        prop_assert!(Table::validate(beyond.as_table().as_bytes()).is_err());
    }

    #[test]
    fn lookup_finds_the_first_entry_of_a_name(entries in vec(("[a-c]{0,2}".prop_map(Vec::from), node()), 0..12)) {
        let table = table_of(&entries);
        for name in ["", "a", "b", "c", "aa", "ab", "cc"] {
            let first = entries.iter().position(|(key, _)| key == name.as_bytes());
            let found = table.as_table().lookup(name);
            let value = first.and_then(|at| table.as_table().iter().nth(at)).map(|(_, value)| value);
            prop_assert_eq!(format!("{found:?}"), format!("{value:?}"), "NaN is not equal to itself");
        }
    }

    #[test]
    fn a_damaged_table_is_refused_or_reads_as_what_it_is_rebuilt_to(entries in entries(), damage in damage()) {
        table_survives(&damaged(table_of(&entries).as_table().as_bytes().to_vec(), &damage))?;
    }

    #[test]
    fn any_bytes_are_refused_or_read_as_a_table(bytes in bytes(60)) {
        table_survives(&bytes)?;
    }
}

/// Tags and booleans that are read but not written differ in the rebuilt bytes, so what is read is compared.
fn table_survives(bytes: &[u8]) -> Verdict {
    let mut normal = bytes.to_vec();
    let normalized = Table::normalize(&mut normal);
    let Ok(table) = Table::validate(bytes) else {
        prop_assert!(normalized.is_err());
        return Ok(());
    };
    let rebuilt = rebuilt_table(table);
    prop_assert_eq!(format!("{:?}", Table::validate(rebuilt.as_table().as_bytes())?), format!("{table:?}"));
    prop_assert_eq!(format!("{:?}", Table::validate(&normal)?), format!("{table:?}"));
    Ok(())
}
