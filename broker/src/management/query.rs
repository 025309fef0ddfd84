//! What a list can be asked for: some columns, an order, a page of it, names that match.

use std::cmp::Ordering;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::response::Response;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use super::Shared;
use super::reply::{self, Error, Reply};
use crate::auth::Pattern;

/// The longest page.
const PAGE_SIZE_MAX: usize = 500;
const PAGE_SIZE: usize = 100;

/// The query of a request.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl FromRequestParts<Shared> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Error> {
        Ok(Query::read(parts.uri.query().unwrap_or_default()))
    }
}

/// Tells whether a name is wanted.
type NameFilter = Box<dyn Fn(&str) -> bool>;

/// One page.
struct Page {
    number: usize,
    size: usize,
}

impl Query {
    fn read(text: &str) -> Self {
        let decode = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).map(|(k, v)| (decode(k), decode(v))).collect(),
        )
    }

    /// The value of that name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }

    /// One object, with the columns that were asked for.
    pub(super) fn one(&self, object: Value) -> Response {
        reply::ok(&self.columns(object))
    }

    /// A list of whatever `show` turns into JSON: filtered by name, sorted, and one page of it if that was asked for. The
    /// work is done beside the connections', not between them.
    pub(super) async fn list<T: Send + 'static>(
        self,
        items: Vec<T>,
        name: impl Fn(&T) -> &str + Send + 'static,
        show: impl Fn(&T) -> Value + Send + 'static,
    ) -> Reply {
        let work = tokio::task::spawn_blocking(move || self.select(items, name, show).map(|value| reply::ok(&value)));
        work.await.unwrap_or_else(|_| Err(Error::internal()))
    }

    fn select<T>(
        &self,
        mut items: Vec<T>,
        name: impl Fn(&T) -> &str,
        show: impl Fn(&T) -> Value,
    ) -> Result<Value, Error> {
        let page = self.page()?;
        let total = items.len();
        if page.is_some()
            && let Some(matches) = self.name_filter()?
        {
            items.retain(|item| matches(name(item)));
        }
        let filtered = items.len();
        let range = match &page {
            Some(page) => {
                let start = (page.number - 1).saturating_mul(page.size).min(filtered);
                start..start.saturating_add(page.size).min(filtered)
            }
            None => 0..filtered,
        };
        let shown: Vec<Value> = match self.value("sort").filter(|sort| !sort.is_empty()) {
            Some(sort) => {
                let mut all: Vec<Value> = items.iter().map(show).collect();
                all.sort_by(|a, b| compare(dotted(a, sort), dotted(b, sort)));
                if self.is_set("sort_reverse") {
                    all.reverse();
                }
                all.drain(range).map(|value| self.columns(value)).collect()
            }
            None => items[range].iter().map(|item| self.columns(show(item))).collect(),
        };
        let Some(page) = page else { return Ok(shown.into()) };
        Ok(json!({
            "filtered_count": filtered,
            "item_count": shown.len(),
            "items": shown,
            "page": page.number,
            "page_count": filtered.div_ceil(page.size),
            "page_size": page.size,
            "total_count": total,
        }))
    }

    fn page(&self) -> Result<Option<Page>, Error> {
        let Some(page) = self.value("page") else { return Ok(None) };
        let size = self.value("page_size");
        let number = |text: &str| text.parse().map_err(|_| Error::bad_request("Pagination parameters are invalid"));
        let (number, given) = (number(page)?, size.map(number).transpose()?);
        match given.unwrap_or(PAGE_SIZE) {
            size @ 1..=PAGE_SIZE_MAX if number > 0 => Ok(Some(Page { number, size })),
            _ => {
                let size = size.unwrap_or("undefined");
                let text = format!("Invalid pagination parameters: page number {number}, page size {size}");
                Err(Error::bad_page(text))
            }
        }
    }

    /// A filter for names: any case, a part of the name or a regular expression that matches within its limits.
    fn name_filter(&self) -> Result<Option<NameFilter>, Error> {
        let Some(wanted) = self.value("name").filter(|name| !name.is_empty()) else { return Ok(None) };
        if self.is_set("use_regex") {
            let pattern = Pattern::new(&format!("(?i){wanted}"));
            let pattern = pattern.map_err(|_| Error::bad_request("Pagination parameters are invalid"))?;
            return Ok(Some(Box::new(move |name| pattern.matches(name))));
        }
        let wanted = wanted.to_lowercase();
        Ok(Some(Box::new(move |name| name.to_lowercase().contains(&wanted))))
    }

    fn columns(&self, object: Value) -> Value {
        let Some(columns) = self.value("columns").filter(|columns| !columns.is_empty()) else { return object };
        let mut kept = Map::new();
        for column in columns.split(',') {
            if let Some(value) = dotted(&object, column) {
                insert(&mut kept, column, value.clone());
            }
        }
        kept.into()
    }
}

/// `message_stats.publish`: a value within a value.
fn dotted<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

fn insert(object: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => drop(object.insert(path.into(), value)),
        Some((first, rest)) => {
            if let Value::Object(inner) = object.entry(first).or_insert_with(|| json!({})) {
                insert(inner, rest, value);
            }
        }
    }
}

/// Numbers by size, texts by letter, what is not there first.
fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Some(Value::String(a)), Some(Value::String(b))) => a.cmp(b),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(query: &str) -> Result<Value, Error> {
        let items = vec![("Beta", 2), ("alpha", 10), ("gamma", 1)];
        Query::read(query).select(items, |(name, _)| name, |(name, n)| json!({"name": name, "n": {"x": n}, "y": 0}))
    }

    #[test]
    fn columns_may_be_deep_and_order_may_be_reversed() {
        assert_eq!(select("columns=n.x&sort=n.x").unwrap(), json!([{"n":{"x":1}},{"n":{"x":2}},{"n":{"x":10}}]));
        let names = json!([{"name":"gamma"},{"name":"alpha"},{"name":"Beta"}]);
        assert_eq!(select("columns=name&sort=name&sort_reverse=true").unwrap(), names);
    }

    #[test]
    fn a_page_counts_what_it_leaves_out() {
        let page = select("page=1&page_size=1&name=A%6Dm&columns=name").unwrap();
        assert_eq!(
            page,
            json!({"filtered_count":1,"item_count":1,"items":[{"name":"gamma"}],"page":1,"page_count":1,"page_size":1,
                   "total_count":3})
        );
        let last = select("page=7&page_size=2").unwrap();
        assert_eq!((&last["item_count"], &last["page_count"]), (&json!(0), &json!(2)));
        assert_eq!(select("page=1&use_regex=true&name=^(al|be)").unwrap()["item_count"], json!(2));
    }

    #[test]
    fn pages_that_cannot_be_are_refused() {
        for query in ["page=0", "page=a", "page=1&page_size=501", "page=1&page_size=0", "page=1&use_regex=true&name=("]
        {
            assert!(select(query).is_err(), "{query}");
        }
        assert!(select("page=18446744073709551615&page_size=500").is_ok());
    }
}
