//! The readable text of HTML: tags gone, entities decoded, `mailto:` targets kept.

use percent_encoding::percent_decode_str;

/// Tags that do not separate words: `ann<b>@</b>apple.com` is read as one.
const INLINE: [&str; 20] = [
    "a", "abbr", "b", "big", "code", "em", "font", "i", "ins", "kbd", "mark", "s", "small", "span", "strong", "sub",
    "sup", "tt", "u", "wbr",
];

/// Spelled-out address marks that only look like tags: `ann <at> apple <dot> com`.
const NO_TAGS: [&str; 2] = ["at", "dot"];

/// Longest tag that is read as one, so that a text of opening brackets costs no more than its length.
const TAG_BYTES_MAX: usize = 16 << 10;

/// Is `text` HTML rather than text with a few angle brackets?
pub(super) fn is_html(text: &str) -> bool {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find('<')) {
        let rest = text.get(from + at + 1..).unwrap_or_default();
        if rest.starts_with("!--") || rest.strip_prefix('/').is_some_and(|name| tag_name(name).is_some()) {
            return true;
        }
        if rest.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("!doctype")) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// The text of `html`, entities decoded.
pub(super) fn text_of(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (before, tagged) = rest.split_at(at);
        text.push_str(before);
        rest = match markup(tagged, &mut text) {
            Some(after) => after,
            None => {
                text.push('<');
                tagged.get(1..).unwrap_or_default()
            }
        };
    }
    text.push_str(rest);
    decoded(&text)
}

/// `text` with its HTML entities (`&#64;`, `&commat;`, `&amp;` ...) decoded.
pub(super) fn decoded(text: &str) -> String {
    html_escape::decode_html_entities(text).into_owned()
}

/// Reads one comment, element to skip or tag from the start of `tagged`; gives what follows it, or nothing when
/// this `<` begins none of them.
fn markup<'t>(tagged: &'t str, text: &mut String) -> Option<&'t str> {
    if let Some(comment) = tagged.strip_prefix("<!--") {
        return Some(comment.split_once("-->").map_or("", |(_, after)| after));
    }
    let inner = tagged.get(1..)?;
    if inner.starts_with('!') {
        return inner.get(tag_end(inner)? + 1..);
    }
    let (closing, named) = inner.strip_prefix('/').map_or((false, inner), |named| (true, named));
    let name = tag_name(named)?.to_ascii_lowercase();
    let end = tag_end(named)?;
    let (attributes, after) = (named.get(name.len()..end)?, named.get(end + 1..)?);
    if !closing && (name == "script" || name == "style") {
        return Some(after_element(after, &name));
    }
    if !INLINE.contains(&name.as_str()) {
        text.push(' ');
    }
    if let Some(target) = mail_target(attributes) {
        text.push_str(&format!(" {target} "));
    }
    Some(after)
}

/// The name at the start of `named` if it is a tag's: letters and digits up to a space, `/` or `>`.
fn tag_name(named: &str) -> Option<&str> {
    let end = named.find(|c: char| !c.is_ascii_alphanumeric())?;
    let name = named.get(..end)?;
    let ends_as_tag = named.get(end..)?.starts_with(|c: char| c == '>' || c == '/' || c.is_whitespace());
    let is_tag =
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && !NO_TAGS.contains(&name.to_lowercase().as_str());
    (ends_as_tag && is_tag).then_some(name)
}

/// Where the tag's `>` is; one inside a quoted attribute does not count, unless the quote is never closed.
fn tag_end(named: &str) -> Option<usize> {
    let (mut quote, mut first) = (None, None);
    for (at, c) in named.char_indices().take_while(|(at, _)| *at < TAG_BYTES_MAX) {
        match (quote, c) {
            (None, '>') => return Some(at),
            (None, '<') => return None,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (Some(_), '>') => first = first.or(Some(at)),
            _ => {}
        }
    }
    first
}

fn after_element<'t>(after: &'t str, name: &str) -> &'t str {
    let close = format!("</{name}");
    let at = after.as_bytes().windows(close.len()).position(|window| window.eq_ignore_ascii_case(close.as_bytes()));
    let element = at.and_then(|at| after.get(at..)).unwrap_or_default();
    element.split_once('>').map_or("", |(_, rest)| rest)
}

/// The addresses of a `mailto:` link, percent-decoded, without its subject and so on.
fn mail_target(attributes: &str) -> Option<String> {
    let attributes = decoded(attributes);
    let at = attributes.to_ascii_lowercase().find("mailto:")?;
    let target = attributes.get(at + "mailto:".len()..)?;
    let end = target.find(['"', '\'', '?', ' ', '>']).unwrap_or(target.len());
    Some(percent_decode_str(target.get(..end)?).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_decoded() {
        assert_eq!(
            decoded("ann&#64;apple&period;com &#x61;&commat;b &amp; &nonsense;"),
            "ann@apple.com a@b & &nonsense;"
        );
    }

    #[test]
    fn inline_tags_and_comments_vanish_others_separate() {
        assert_eq!(text_of("ann<b>@</b><!-- no -->apple.com"), "ann@apple.com");
        assert_eq!(text_of("ann@apple.com<br>bob@apple.com"), "ann@apple.com bob@apple.com");
    }

    #[test]
    fn the_target_of_a_mail_link_is_text() {
        let html = r#"<a class="x>y" href="mailto:ann%40apple.com?subject=hi">write</a>"#;
        assert_eq!(text_of(html), " ann@apple.com write");
    }

    #[test]
    fn scripts_and_styles_are_not_read() {
        assert_eq!(text_of("a<script>x@apple.com</SCRIPT>b<style>y</style>c"), "abc");
        assert_eq!(text_of("a<script>never closed"), "a");
    }

    #[test]
    fn an_address_in_angle_brackets_is_no_tag() {
        assert_eq!(text_of("Ann <ann@apple.com> <at> <b"), "Ann <ann@apple.com> <at> <b");
        assert!(!is_html("Ann <ann@apple.com>, 1 < 2"));
        assert!(is_html("<p>hello</p>"));
    }
}
