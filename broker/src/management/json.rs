//! Between AMQP's values and JSON's, and what a request's body may be.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use leveret_spec::table::ArrayBuf;
use leveret_spec::{Array, RawProperties, ShortBytes, Table, TableBuf, Value as Field};
use serde_json::{Map, Value, json};

use super::Shared;
use super::reply::Error;

/// The largest body of a request.
const BODY_BYTES_MAX: usize = 10_000_000;
/// How deep arguments may nest, well below what tables allow.
const DEPTH_MAX: usize = 32;

/// A request's body: an object, or nothing.
#[derive(Debug, Default)]
pub(super) struct Object(pub(super) Map<String, Value>);

impl FromRequest<Shared> for Object {
    type Rejection = Error;

    async fn from_request(request: Request, _: &Shared) -> Result<Self, Error> {
        let bytes = to_bytes(request.into_body(), BODY_BYTES_MAX).await.map_err(|_| Error::too_large())?;
        if bytes.is_empty() {
            return Ok(Object::default());
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => Ok(Object(object)),
            _ => Err(Error::bad_request("not_json")),
        }
    }
}

impl Object {
    /// The value of that name, if it is neither absent nor null.
    pub(super) fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// # Errors
    /// 400 if it is no text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        self.value(name).map(|v| v.as_str().ok_or_else(|| Error::bad_request(json!(["not_string", v])))).transpose()
    }

    /// # Errors
    /// 400 if it is not there, or no text.
    pub(super) fn required_text(&self, name: &str) -> Result<&str, Error> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// Some tools write numbers as text.
    ///
    /// # Errors
    /// 400 if it is no whole number.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Error> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        number.map(Some).ok_or_else(|| Error::bad_request(json!(["not_int", name])))
    }

    /// # Errors
    /// 400 if it is not there, or no whole number.
    pub(super) fn required_number(&self, name: &str) -> Result<i64, Error> {
        self.number(name)?.ok_or_else(|| missing(name))
    }

    /// False if it is not there; also taken as a text.
    ///
    /// # Errors
    /// 400 if it is neither true nor false.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Error> {
        match self.value(name) {
            None | Some(Value::Bool(false)) => Ok(false),
            Some(Value::Bool(true)) => Ok(true),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" || text.is_empty() => Ok(false),
            Some(other) => Err(Error::bad_request(json!(["not_boolean", other]))),
        }
    }

    /// A list of texts, or one text with commas between them; none if it is not there.
    ///
    /// # Errors
    /// 400 if it is neither.
    pub(super) fn list(&self, name: &str) -> Result<Option<Vec<String>>, Error> {
        let wrong = || Error::bad_request(format!("{name} is neither a list of texts nor a text"));
        let Some(value) = self.value(name) else { return Ok(None) };
        let list: Option<Vec<String>> = match value {
            Value::Array(list) => list.iter().map(|item| item.as_str().map(Into::into)).collect(),
            Value::String(text) => Some(text.split(',').map(|item| item.trim().into()).collect()),
            _ => None,
        };
        Ok(Some(list.ok_or_else(wrong)?.into_iter().filter(|item: &String| !item.is_empty()).collect()))
    }

    /// The object of that name; empty if it is not there.
    ///
    /// # Errors
    /// 400 if it is something else.
    pub(super) fn object(&self, name: &str) -> Result<Object, Error> {
        match self.value(name) {
            None => Ok(Object::default()),
            Some(Value::Object(object)) => Ok(Object(object.clone())),
            // What some tools make of an empty object.
            Some(Value::Array(list)) if list.is_empty() => Ok(Object::default()),
            Some(_) => Err(Error::bad_request(format!("{name} is no object"))),
        }
    }

    /// The field table of that name; empty if it is not there.
    ///
    /// # Errors
    /// 400 if it is no object, or cannot be a table.
    pub(super) fn table(&self, name: &str) -> Result<TableBuf, Error> {
        table_of(&self.object(name)?.0, 0)
    }
}

pub(super) fn missing(name: &str) -> Error {
    Error::bad_request(format!("[{{key_missing,{name}}}]"))
}

fn table_of(object: &Map<String, Value>, depth: usize) -> Result<TableBuf, Error> {
    let mut table = TableBuf::new();
    for (key, value) in object {
        let key =
            ShortBytes::try_from(key.as_str()).map_err(|_| Error::bad_request("a key is longer than 255 bytes"))?;
        with_field(value, depth, &mut |field| table.push(key, field))?;
    }
    Ok(table)
}

/// Hands a value over as a field: whole numbers are `long`, as with RabbitMQ.
fn with_field(value: &Value, depth: usize, put: &mut dyn FnMut(Field<'_>)) -> Result<(), Error> {
    if depth > DEPTH_MAX {
        return Err(Error::bad_request("arguments are nested too deep"));
    }
    match value {
        Value::Null => put(Field::Void),
        Value::Bool(bit) => put(Field::Bool(*bit)),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => put(Field::I64(whole)),
            (None, Some(float)) => put(Field::F64(float)),
            (None, None) => return Err(Error::bad_request("a number is too large")),
        },
        Value::String(text) => put(Field::LongStr(text.as_bytes())),
        Value::Array(list) => {
            let mut array = ArrayBuf::new();
            for item in list {
                with_field(item, depth + 1, &mut |field| {
                    array.push(field);
                })?;
            }
            put(Field::Array(array.as_array()));
        }
        Value::Object(object) => put(Field::Table(table_of(object, depth + 1)?.as_table())),
    }
    Ok(())
}

/// A table as an object.
pub(super) fn of_table(table: Table<'_>) -> Value {
    Value::Object(table.iter().map(|(key, value)| (key.to_string(), of_field(value))).collect())
}

fn of_array(array: Array<'_>) -> Value {
    array.iter().map(of_field).collect()
}

fn of_field(field: Field<'_>) -> Value {
    match field {
        Field::Bool(bit) => bit.into(),
        Field::F32(number) => f64::from(number).into(),
        Field::F64(number) => number.into(),
        Field::Decimal { scale, value } => (f64::from(value) / 10f64.powi(scale.into())).into(),
        Field::LongStr(text) | Field::Bytes(text) => String::from_utf8_lossy(text).into(),
        Field::Timestamp(seconds) => seconds.into(),
        Field::Array(array) => of_array(array),
        Field::Table(table) => of_table(table),
        Field::Void => Value::Null,
        integer => integer.as_i64().into(),
    }
}

/// A message's properties as an object.
pub(super) fn of_properties(raw: RawProperties<'_>) -> Value {
    let p = raw.decode();
    let text = |text: Option<ShortBytes<'_>>| text.map(|text| Value::from(text.to_string()));
    let properties = [
        ("content_type", text(p.content_type)),
        ("content_encoding", text(p.content_encoding)),
        ("headers", p.headers.map(of_table)),
        ("delivery_mode", p.delivery_mode.map(Into::into)),
        ("priority", p.priority.map(Into::into)),
        ("correlation_id", text(p.correlation_id)),
        ("reply_to", text(p.reply_to)),
        ("expiration", text(p.expiration)),
        ("message_id", text(p.message_id)),
        ("timestamp", p.timestamp.map(Into::into)),
        ("type", text(p.message_type)),
        ("user_id", text(p.user_id)),
        ("app_id", text(p.app_id)),
        ("cluster_id", text(p.cluster_id)),
    ];
    Value::Object(properties.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(value: &Value) -> Value {
        let object = Object(Map::from_iter([("arguments".into(), value.clone())]));
        of_table(object.table("arguments").unwrap().as_table())
    }

    #[test]
    fn arguments_survive_the_way_through_a_table() {
        let arguments =
            json!({"n": -5, "f": 1.5, "t": true, "s": "é", "v": null, "a": [1, ["x"], {}], "o": {"p": {"q": 1}}});
        assert_eq!(round_trip(&arguments), arguments);
        assert_eq!(round_trip(&json!([])), json!({}));
    }

    #[test]
    fn what_cannot_be_a_table_is_refused() {
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        for wrong in [json!("x"), json!([1]), json!({"k": deep}), json!({"x".repeat(256): 1})] {
            assert!(Object(Map::from_iter([("arguments".into(), wrong)])).table("arguments").is_err());
        }
    }
}
