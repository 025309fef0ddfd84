//! How a user is written in the catalog, and read again. Of the password there is a salted hash.

use leveret_spec::table::ArrayBuf;
use leveret_spec::{Table, TableBuf, Value};

use super::password::{Algorithm, PasswordHash};
use super::permission::{Pattern, Permission, TopicPermission};
use super::users::User;

fn push(table: &mut TableBuf, name: &str, value: Value<'_>) {
    // Names of our own are short.
    let _ = table.insert(name, value);
}

/// A list of tables of texts.
fn rows<const N: usize>(rows: impl Iterator<Item = [(&'static str, String); N]>) -> ArrayBuf {
    let mut list = ArrayBuf::new();
    for row in rows {
        let mut table = TableBuf::new();
        row.iter().for_each(|(name, text)| push(&mut table, name, text.as_str().into()));
        list.push(table.as_table());
    }
    list
}

fn list<'t>(table: Table<'t>, name: &str) -> Option<impl Iterator<Item = Value<'t>> + use<'t>> {
    if let Some(Value::Array(items)) = table.lookup(name) { Some(items.iter()) } else { None }
}

fn text(table: Table<'_>, name: &str) -> Option<String> {
    table.lookup(name)?.as_str().map(str::to_owned)
}

fn pattern(table: Table<'_>, name: &str) -> Option<Pattern> {
    Pattern::new(&text(table, name)?).ok()
}

fn limit(table: Table<'_>, name: &str) -> Option<usize> {
    usize::try_from(table.lookup(name)?.as_i64()?).ok()
}

impl User {
    pub(crate) fn record(&self) -> TableBuf {
        let mut table = TableBuf::new();
        if let Some(password) = &self.password {
            push(&mut table, "password_hash", password.encode().as_str().into());
            push(&mut table, "hashing_algorithm", password.algorithm.name().into());
        }
        let mut tags = ArrayBuf::new();
        for tag in &self.tags {
            tags.push(tag.as_str());
        }
        push(&mut table, "tags", tags.as_array().into());
        let limits = [("max_connections", self.connections_max), ("max_channels", self.channels_max)];
        for (name, limit) in limits.into_iter().filter_map(|(name, limit)| Some((name, limit?))) {
            push(&mut table, name, Value::I64(limit as i64));
        }
        let permissions = self.permissions.iter().map(|(vhost, permission)| {
            let of = |pattern: &Pattern| pattern.text().to_owned();
            let Permission { configure, write, read } = permission;
            [("vhost", vhost.clone()), ("configure", of(configure)), ("write", of(write)), ("read", of(read))]
        });
        push(&mut table, "permissions", rows(permissions).as_array().into());
        let topics = self.topics.iter().flat_map(|(vhost, topics)| topics.iter().map(move |topic| (vhost, topic)));
        let topics = topics.map(|(vhost, topic)| {
            let TopicPermission { exchange, write, read } = topic.clone();
            [("vhost", vhost.clone()), ("exchange", exchange), ("write", write), ("read", read)]
        });
        push(&mut table, "topic_permissions", rows(topics).as_array().into());
        table
    }

    /// What was recorded; none if it cannot be.
    pub(crate) fn recorded(record: Table<'_>) -> Option<Self> {
        let mut user = User {
            password: None,
            tags: list(record, "tags")?.map(|tag| tag.as_str().map(str::to_owned)).collect::<Option<_>>()?,
            connections_max: limit(record, "max_connections"),
            channels_max: limit(record, "max_channels"),
            ..User::default()
        };
        if let Some(hash) = text(record, "password_hash") {
            let algorithm = Algorithm::of(&text(record, "hashing_algorithm")?)?;
            user.password = Some(PasswordHash::decode(&hash, algorithm)?);
        }
        for row in list(record, "permissions")? {
            let Value::Table(row) = row else { return None };
            let (configure, write) = (pattern(row, "configure")?, pattern(row, "write")?);
            let permission = Permission { configure, write, read: pattern(row, "read")? };
            user.permissions.insert(text(row, "vhost")?, permission);
        }
        for row in list(record, "topic_permissions")? {
            let Value::Table(row) = row else { return None };
            let (exchange, write) = (text(row, "exchange")?, text(row, "write")?);
            let topic = TopicPermission { exchange, write, read: text(row, "read")? };
            user.topics.entry(text(row, "vhost")?).or_default().push(topic);
        }
        Some(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Secret;

    /// A user is read as he was written, with everything that he has, and without his password.
    #[test]
    fn a_user_is_read_as_he_was_written() {
        let mut user = User { tags: vec!["management".into(), "odd\u{0}".into()], ..User::default() };
        assert_eq!(shown(&User::recorded(user.record().as_table()).unwrap()), shown(&user));
        user.password = Some(PasswordHash::of(&Secret::new("hunter2")));
        (user.connections_max, user.channels_max) = (Some(0), Some(7));
        user.permissions.insert("/".into(), Permission { read: Pattern::new("").unwrap(), ..Permission::everything() });
        user.permissions
            .insert("ä".into(), Permission { write: Pattern::new("^a|b$").unwrap(), ..Permission::everything() });
        let topic = |exchange: &str| TopicPermission {
            exchange: exchange.into(),
            write: "^{username}".into(),
            read: "(?!x)".into(),
        };
        user.topics.insert("/".into(), vec![topic("t"), topic("amq.topic")]);
        let record = user.record();
        assert_eq!(shown(&User::recorded(record.as_table()).unwrap()), shown(&user));
        assert!(!record.as_table().as_bytes().windows(7).any(|bytes| bytes == b"hunter2"));
        assert!(User::recorded(Table::default()).is_none(), "a table without a user in it is none");
    }

    /// All of a user, with the hash.
    fn shown(user: &User) -> String {
        format!("{user:?} {:?}", user.password.as_ref().map(PasswordHash::encode))
    }
}
