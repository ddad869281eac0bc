//! Names come from other people's files: what of them may reach a terminal, a browser or a parser.

/// What stands for a character that must not be shown.
const REPLACEMENT: char = '\u{FFFD}';

/// Without what a terminal would obey, XML forbids, or turns the direction of reading.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' | '\n' | '\r' => c,
            '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FFFE}' | '\u{FFFF}' => {
                REPLACEMENT
            }
            c if c.is_control() => REPLACEMENT,
            c => c,
        })
        .collect()
}

/// The same on one line.
#[must_use]
pub fn one_line(text: &str) -> String {
    clean(text).replace(['\t', '\n', '\r'], " ")
}

/// At most so many characters; an ellipsis says that there were more.
#[must_use]
pub fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// A JSON document without what a terminal would obey. JSON lets such characters stand in strings, and nowhere else.
#[must_use]
pub fn json(document: &str) -> String {
    let mut out = String::with_capacity(document.len() + 1);
    for c in document.chars() {
        if c != '\n' && c.is_control() {
            out.extend([format!("\\u{:04x}", u32::from(c))]);
        } else {
            out.push(c);
        }
    }
    out
}

/// For XML and HTML, in text and in quoted attributes.
#[must_use]
pub fn xml(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // An attribute would turn these into spaces.
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_means_something_elsewhere_is_left() {
        assert_eq!(
            xml("<a b=\"c\">]]>&'"),
            "&lt;a b=&quot;c&quot;&gt;]]&gt;&amp;&#39;"
        );
        assert_eq!(clean("\x1b[31m\0\u{9b}\u{202e}ü"), "�[31m���ü");
        assert_eq!(json("{\n\"\u{7f}ü\"}"), "{\n\"\\u007fü\"}");
        assert_eq!(one_line("a\r\nb\tc"), "a  b c");
        assert_eq!(
            (shortened("üüü", 2), shortened("üü", 2)),
            ("üü…".into(), "üü".into())
        );
    }
}
