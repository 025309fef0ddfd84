//! Short strings (section 4.2.5.3): at most 255 bytes, which is checked where one is made.

use std::fmt;
use std::ops::Deref;

use crate::wire::Malformed;

/// A text or key is longer than the 255 bytes of a short string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("longer than the 255 bytes of an AMQP short string")
    }
}

impl std::error::Error for TooLong {}

/// A short string that is text: names, tags, reply texts. UTF-8, as RabbitMQ demands outside basic.publish.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortStr<'a>(&'a str);

/// A short string of any bytes: what basic.publish carries and content properties hold.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShortBytes<'a>(&'a [u8]);

impl<'a> ShortStr<'a> {
    /// Checks the length.
    ///
    /// # Errors
    /// `TooLong` above 255 bytes.
    pub const fn new(text: &'a str) -> Result<Self, TooLong> {
        if text.len() > 255 { Err(TooLong) } else { Ok(ShortStr(text)) }
    }

    /// As much of the text as fits into 255 bytes, cut between characters: for reply texts (RabbitMQ cuts them too).
    pub fn cut(text: &'a str) -> Self {
        ShortStr(&text[..text.floor_char_boundary(255)])
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        std::str::from_utf8(bytes).map(ShortStr).map_err(|_| Malformed("Malformed UTF-8 in shortstr"))
    }
}

impl<'a> ShortBytes<'a> {
    /// Checks the length.
    ///
    /// # Errors
    /// `TooLong` above 255 bytes.
    pub const fn new(bytes: &'a [u8]) -> Result<Self, TooLong> {
        if bytes.len() > 255 { Err(TooLong) } else { Ok(ShortBytes(bytes)) }
    }

    /// The bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// For bytes that came with a length octet.
    pub(crate) const fn of_octet(bytes: &'a [u8]) -> Self {
        ShortBytes(bytes)
    }
}

impl Deref for ShortStr<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        self.0
    }
}

impl Deref for ShortBytes<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl<'a> TryFrom<&'a str> for ShortStr<'a> {
    type Error = TooLong;
    fn try_from(text: &'a str) -> Result<Self, TooLong> {
        ShortStr::new(text)
    }
}

impl<'a> TryFrom<&'a str> for ShortBytes<'a> {
    type Error = TooLong;
    fn try_from(text: &'a str) -> Result<Self, TooLong> {
        ShortBytes::new(text.as_bytes())
    }
}

impl<'a> From<ShortStr<'a>> for ShortBytes<'a> {
    fn from(text: ShortStr<'a>) -> Self {
        ShortBytes(text.0.as_bytes())
    }
}

impl fmt::Display for ShortStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for ShortStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

/// Bytes that are not UTF-8 print as replacement characters.
impl fmt::Display for ShortBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.0))
    }
}

impl fmt::Debug for ShortBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(self.0), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_string_is_at_most_255_bytes() {
        let longest = "x".repeat(255);
        assert_eq!(ShortStr::new(&longest).map(|s| s.len()), Ok(255));
        assert_eq!(ShortStr::new(&"x".repeat(256)), Err(TooLong));
        assert_eq!(ShortBytes::new(&[0; 256]), Err(TooLong));
    }

    #[test]
    fn a_reply_text_is_cut_between_characters() {
        let text = "x".repeat(254) + "é";
        assert_eq!(ShortStr::cut(&text).as_str(), "x".repeat(254));
        assert_eq!(ShortStr::cut("short").as_str(), "short");
    }
}
