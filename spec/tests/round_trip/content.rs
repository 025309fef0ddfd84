//! Content headers with every subset of the 14 properties.

use leveret_spec::content::encode_header;
use leveret_spec::{ContentHeader, Properties, RawProperties, ShortBytes, Table, TableBuf};
use proptest::array::uniform10;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::tables::{entries, table_of};
use crate::{Verdict, damage, damaged, encoded, short_bytes};

/// What properties are made of: the flags say which of them there are.
#[derive(Clone, Debug)]
struct Content {
    body_size: u64,
    flags: u16,
    short: [Vec<u8>; 10],
    headers: TableBuf,
    delivery_mode: u8,
    priority: u8,
    timestamp: u64,
}

impl Content {
    fn properties(&self) -> Properties<'_> {
        let is_set = |bit: u16| self.flags >> bit & 1 == 1;
        let short = |bit, at: usize| is_set(bit).then(|| ShortBytes::new(&self.short[at]).expect("at most 255 bytes"));
        Properties {
            content_type: short(15, 0),
            content_encoding: short(14, 1),
            headers: is_set(13).then(|| self.headers.as_table()),
            delivery_mode: is_set(12).then_some(self.delivery_mode),
            priority: is_set(11).then_some(self.priority),
            correlation_id: short(10, 2),
            reply_to: short(9, 3),
            expiration: short(8, 4),
            message_id: short(7, 5),
            timestamp: is_set(6).then_some(self.timestamp),
            message_type: short(5, 6),
            user_id: short(4, 7),
            app_id: short(3, 8),
            cluster_id: short(2, 9),
        }
    }

    fn encode(&self) -> Vec<u8> {
        encoded(|out| encode_header(out, self.body_size, &self.properties()))
    }
}

fn content() -> impl Strategy<Value = Content> {
    let flags = prop_oneof![4 => any::<u16>(), 1 => Just(u16::MAX), 1 => Just(0)].prop_map(|flags| flags & !3);
    let headers = entries().prop_map(|entries| table_of(&entries));
    let short = uniform10(short_bytes());
    (any::<u64>(), flags, short, headers, any::<u8>(), any::<u8>(), any::<u64>()).prop_map(
        |(body_size, flags, short, headers, delivery_mode, priority, timestamp)| Content {
            body_size,
            flags,
            short,
            headers,
            delivery_mode,
            priority,
            timestamp,
        },
    )
}

proptest! {
    #[test]
    fn every_subset_of_the_properties_survives_the_round_trip(content in content()) {
        let payload = content.encode();
        prop_assert_eq!(&payload[ContentHeader::FIXED..][..2], content.flags.to_be_bytes());
        let header = ContentHeader::decode(&payload)?;
        header.properties.validate()?;
        prop_assert_eq!((header.class, header.body_size), (60, content.body_size));
        prop_assert_eq!(header.properties.decode(), content.properties());
        let headers = header.properties.headers_range().map(|range| &header.properties.as_bytes()[range]);
        prop_assert_eq!(headers, content.properties().headers.map(Table::as_bytes));
        prop_assert_eq!(encoded(|out| header.encode(out)), payload);
    }

    #[test]
    fn every_cut_of_a_content_header_is_refused(content in content()) {
        let payload = content.encode();
        for cut in 0..payload.len() {
            let refused = ContentHeader::decode(&payload[..cut]).and_then(|header| header.properties.validate());
            prop_assert!(refused.is_err(), "cut at {}", cut);
        }
    }

    #[test]
    fn flags_that_no_property_has_are_refused(content in content(), unknown in 1..=3u8) {
        let mut payload = content.encode();
        payload[ContentHeader::FIXED + 1] |= unknown;
        prop_assert!(ContentHeader::decode(&payload)?.properties.validate().is_err());
    }

    #[test]
    fn a_damaged_content_header_is_refused_or_survives_the_round_trip(content in content(), damage in damage()) {
        let payload = damaged(content.encode(), &damage);
        properties_survive(ContentHeader::decode(&payload)?.properties)?;
    }

    #[test]
    fn any_bytes_are_refused_or_read_as_properties(bytes in vec(any::<u8>(), 2..60)) {
        properties_survive(RawProperties::of(&bytes)?)?;
    }
}

fn properties_survive(properties: RawProperties<'_>) -> Verdict {
    let decoded = properties.decode();
    let within = properties.headers_range().is_none_or(|range| properties.as_bytes().get(range).is_some());
    prop_assert!(within, "the headers reach beyond the properties");
    if properties.validate().is_ok() {
        prop_assert_eq!(encoded(|out| decoded.encode(out)), properties.as_bytes());
    }
    Ok(())
}
