//! What a stranger hands in becomes text that every cruncher can read: UTF-8.

/// The text of `bytes`: UTF-8, UTF-16 with its mark in front, and where neither fits, Latin-1, as in old mails. Nothing
/// is refused: addresses can stand in any file.
pub(super) fn of(bytes: &[u8]) -> String {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8_or_latin1(rest),
        bytes => utf8_or_latin1(bytes),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let (pairs, _) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|&pair| unit(pair));
    char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn utf8_or_latin1(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|&byte| char::from(byte)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn text_is_read_in_the_encoding_it_has() {
        assert_eq!(of("J\u{f6}rg <joerg@apple.com>".as_bytes()), "J\u{f6}rg <joerg@apple.com>");
        assert_eq!(of(b"J\xf6rg <joerg@apple.com>"), "J\u{f6}rg <joerg@apple.com>");
        assert_eq!(of(b"\xef\xbb\xbfann@apple.com"), "ann@apple.com");
        assert_eq!(of(b"\xff\xfea\0@\0b\0"), "a@b");
        assert_eq!(of(b"\xfe\xff\0a\0@\0b\0"), "a@b");
    }

    #[test]
    fn no_bytes_are_refused() {
        assert_eq!(of(b""), "");
        assert_eq!(of(b"\xff\xfe\x00\xd8a"), "\u{fffd}");
        assert_eq!(of(b"\0\x80ann@apple.com\xe2\x82"), "\0\u{80}ann@apple.com\u{e2}\u{82}");
    }
}
