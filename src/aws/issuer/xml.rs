//! XML that is in canonical form as it is written (Exclusive XML Canonicalization 1.0), so that the
//! bytes written are the bytes hashed.
//!
//! Who writes with it keeps the rest of that form: attributes in the order of their names, namespace
//! declarations first and each where it is used for the first time, no empty-element tags. Never
//! here: what the document says. Entry points: [`text`], [`attribute`], [`unwritable`].

use std::fmt::Write as _;

/// The first character that no XML 1.0 document can hold, escaped or not (XML 1.0, production 2).
pub(super) fn unwritable(text: &str) -> Option<char> {
    text.chars().find(|c| {
        !matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
    })
}

/// Writes character data. What [`unwritable`] finds must not be in it.
pub(super) fn text(out: &mut String, text: &str) {
    escaped(out, text, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '\r' => Some("&#xD;"),
        _ => None,
    });
}

/// Writes ` name="value"`. What [`unwritable`] finds must not be in the value.
pub(super) fn attribute(out: &mut String, name: &str, value: &str) {
    // Writing to a String cannot fail.
    let _ = write!(out, " {name}=\"");
    escaped(out, value, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '"' => Some("&quot;"),
        '\t' => Some("&#x9;"),
        '\n' => Some("&#xA;"),
        '\r' => Some("&#xD;"),
        _ => None,
    });
    out.push('"');
}

fn escaped(out: &mut String, text: &str, escape: impl Fn(char) -> Option<&'static str>) {
    let mut written = 0;
    for (at, c) in text.char_indices() {
        if let Some(escape) = escape(c) {
            out.push_str(&text[written..at]);
            out.push_str(escape);
            written = at + c.len_utf8();
        }
    }
    out.push_str(&text[written..]);
}

/// Writes `<name>text</name>`.
pub(super) fn element(out: &mut String, name: &str, content: &str) {
    let _ = write!(out, "<{name}>");
    text(out, content);
    let _ = write!(out, "</{name}>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_xml_means_nothing() {
        let mut out = String::new();
        element(&mut out, "a", "]]></a><b c='\"'>&amp;\r\n\t\u{202E}𐍈");
        assert_eq!(
            out,
            "<a>]]&gt;&lt;/a&gt;&lt;b c='\"'&gt;&amp;amp;&#xD;\n\t\u{202E}𐍈</a>"
        );
        out.clear();
        attribute(&mut out, "n", "\"><&\r\n\t'");
        assert_eq!(out, " n=\"&quot;>&lt;&amp;&#xD;&#xA;&#x9;'\"");
    }

    #[test]
    fn what_xml_cannot_hold_is_found() {
        for (text, found) in [
            ("plain\t\r\n", None),
            ("𐍈 \u{202E}\u{FFFD}\u{10FFFF}", None),
            ("a\0b", Some('\0')),
            ("\u{1B}[31m", Some('\u{1B}')),
            ("\u{FFFE}", Some('\u{FFFE}')),
            ("\u{FFFF}", Some('\u{FFFF}')),
        ] {
            assert_eq!(unwritable(text), found, "{text:?}");
        }
    }
}
