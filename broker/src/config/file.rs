//! The configuration file, in the grammar of RabbitMQ's rabbitmq.conf: `key = value`, one a line, `#` for comments.

/// A line that says something.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) number: usize,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// The lines that set something.
///
/// # Errors
/// The number and text of a line that is neither empty, nor a comment, nor `key = value`.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Result<Line<'_>, (usize, &str)>> {
    text.lines().enumerate().filter_map(|(at, line)| {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let number = at + 1;
        Some(match line.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Line { number, key: key.trim(), value: unquoted(value) })
            }
            _ => Err((number, line)),
        })
    })
}

/// Without the comment behind it, and without quotes around it.
fn unquoted(value: &str) -> &str {
    let value = value.trim();
    if let Some(inner) = value.strip_prefix('\'').and_then(|v| v.split_once('\'')) {
        return inner.0;
    }
    value.split_once(" #").map_or(value, |(value, _comment)| value.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_say_nothing() {
        let text = "# one\n\nheartbeat = 30  # seconds\n  default_pass='a # b'\nnonsense\n";
        let found: Vec<_> = lines(text).collect();
        assert_eq!(
            found,
            [
                Ok(Line { number: 3, key: "heartbeat", value: "30" }),
                Ok(Line { number: 4, key: "default_pass", value: "a # b" }),
                Err((5, "nonsense")),
            ]
        );
    }
}
