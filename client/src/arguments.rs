//! Names and argument tables of the option structs. What is too long is noticed where it is built, and reported by the
//! call that uses it, so that building never needs a `?`.

use leveret_spec::{ShortBytes, ShortStr, Table, TableBuf, Value};

use crate::error::{Error, Result};

/// A name as the protocol wants it.
pub(crate) fn short<'a>(what: &'static str, text: &'a str) -> Result<ShortStr<'a>> {
    ShortStr::new(text).map_err(|_| Error::TooLong(what))
}

/// An argument table that is being built.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arguments {
    table: TableBuf,
    key_too_long: bool,
}

impl Arguments {
    pub(crate) fn insert<'v>(&mut self, key: &str, value: impl Into<Value<'v>>) {
        match ShortBytes::try_from(key) {
            Ok(key) => self.table.push(key, value.into()),
            Err(_) => self.key_too_long = true,
        }
    }

    pub(crate) fn replace(&mut self, table: TableBuf) {
        *self = Arguments { table, key_too_long: false };
    }

    pub(crate) fn table(&self) -> Result<Table<'_>> {
        if self.key_too_long { Err(Error::TooLong("an argument's key")) } else { Ok(self.table.as_table()) }
    }
}

/// Builder methods that switch a flag on.
macro_rules! flags {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        pub fn $name(mut self) -> Self {
            self.$name = true;
            self
        }
    )*};
}

/// The two builder methods for arguments.
macro_rules! argument_methods {
    () => {
        /// Adds an argument, such as `x-max-length`. A key above 255 bytes makes the call fail with `TooLong`.
        pub fn argument<'v>(mut self, key: &str, value: impl Into<leveret_spec::Value<'v>>) -> Self {
            self.arguments.insert(key, value);
            self
        }

        /// Sets all arguments.
        pub fn arguments(mut self, arguments: leveret_spec::TableBuf) -> Self {
            self.arguments.replace(arguments);
            self
        }
    };
}

pub(crate) use {argument_methods, flags};
