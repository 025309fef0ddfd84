//! The SASL mechanisms: how user and password stand in connection.start-ok's response.

use leveret_spec::{Table, Value};

/// What somebody claims to be.
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Vec<u8>,
}

/// A way to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mechanism {
    /// RFC 4616: authorisation id, NUL, user, NUL, password.
    Plain,
    /// A field table without its length, with LOGIN and PASSWORD.
    AmqPlain,
}

impl Mechanism {
    /// What connection.start offers.
    pub(crate) const OFFERED: &str = "PLAIN AMQPLAIN";

    /// The mechanism of that name.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "PLAIN" => Some(Mechanism::Plain),
            "AMQPLAIN" => Some(Mechanism::AmqPlain),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::AmqPlain => "AMQPLAIN",
        }
    }

    /// The credentials in a response; `None` if it is malformed.
    pub(crate) fn read(self, response: &[u8]) -> Option<Credentials> {
        let (user, password) = match self {
            Mechanism::Plain => {
                let mut parts = response.splitn(3, |&b| b == 0);
                let _authorisation_id = parts.next()?;
                (parts.next()?, parts.next()?)
            }
            Mechanism::AmqPlain => {
                let table = Table::validate(response).ok()?;
                (text(table.lookup("LOGIN")?)?, text(table.lookup("PASSWORD")?)?)
            }
        };
        Some(Credentials { user: String::from_utf8(user.into()).ok()?, password: password.into() })
    }
}

fn text(value: Value<'_>) -> Option<&[u8]> {
    match value {
        Value::LongStr(text) | Value::Bytes(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use leveret_spec::TableBuf;

    use super::*;

    fn read(mechanism: Mechanism, response: &[u8]) -> Option<(String, Vec<u8>)> {
        mechanism.read(response).map(|c| (c.user, c.password))
    }

    #[test]
    fn plain_ignores_the_authorisation_id() {
        let found = Some(("guest".to_owned(), b"pa\0ss".to_vec()));
        assert_eq!(read(Mechanism::Plain, b"\0guest\0pa\0ss"), found);
        assert_eq!(read(Mechanism::Plain, b"admin\0guest\0pa\0ss"), found);
        assert_eq!(read(Mechanism::Plain, b"guest"), None);
    }

    #[test]
    fn amqplain_is_a_table_without_length() {
        let table = TableBuf::new().with("LOGIN", "guest").unwrap().with("PASSWORD", "secret").unwrap();
        let response = table.as_table().as_bytes();
        assert_eq!(read(Mechanism::AmqPlain, response), Some(("guest".to_owned(), b"secret".to_vec())));
        assert_eq!(read(Mechanism::AmqPlain, &response[1..]), None);
    }
}
