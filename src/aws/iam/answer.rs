//! What the query protocol answers, as a small tree.
//!
//! Reading never recovers: what is not well-formed, or deeper than AWS writes it, is no answer.
//! Never here: what an answer means. Entry point: [`Element::read`].

use quick_xml::{Reader, events::Event};

/// Deeper than any answer of IAM.
const DEEPEST: usize = 32;

/// One element. Namespaces and attributes tell nothing here.
#[derive(Debug, Default)]
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a document; none where it is not well-formed or has a document type.
    pub(super) fn read(document: &str) -> Option<Self> {
        let mut reader = Reader::from_str(document);
        reader.config_mut().expand_empty_elements = true;
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        loop {
            match reader.read_event().ok()? {
                Event::Start(start) => {
                    if root.is_some() || open.len() == DEEPEST {
                        return None;
                    }
                    let name = std::str::from_utf8(start.local_name().into_inner()).ok()?;
                    open.push(Self {
                        name: name.to_owned(),
                        ..Self::default()
                    });
                }
                Event::End(_) => {
                    let element = open.pop()?;
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => root = Some(element),
                    }
                }
                Event::Text(text) => append(&mut open, &text.xml10_content().ok()?)?,
                Event::CData(text) => append(&mut open, &text.xml10_content().ok()?)?,
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref().ok()? {
                        Some(character) => character,
                        None => predefined(&reference.decode().ok()?)?,
                    };
                    append(&mut open, character.encode_utf8(&mut [0; 4]))?;
                }
                Event::Decl(_) | Event::Comment(_) => {}
                Event::Eof => break,
                Event::Empty(_) | Event::PI(_) | Event::DocType(_) => return None,
            }
        }
        root.filter(|_| open.is_empty())
    }

    /// The first child of a name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The children of a name.
    pub(super) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of a name.
    pub(super) fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The first element of a name, wherever it is in this one.
    pub(super) fn find(&self, name: &str) -> Option<&Self> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(name))
    }
}

/// Adds to the open element; blanks alone may stand outside of the root.
fn append(open: &mut [Element], text: &str) -> Option<()> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim_ascii().is_empty() => {}
        None => return None,
    }
    Some(())
}

fn predefined(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

/// Decodes what IAM encodes by RFC 3986: a plus is a plus. None where it is not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digit(digits[0])? * 16 + digit(digits[1])?;
        decoded.push(u8::try_from(value).ok()?);
        rest = after;
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_and_broken_ones_are_none() {
        let read = Element::read(
            "<?xml version=\"1.0\"?>\n<a xmlns=\"urn:x\"><b>1 &lt; &#50;</b><b/><c><d>deep</d></c></a>\n",
        );
        let read = read.unwrap();
        assert_eq!(read.name, "a");
        assert_eq!(read.text_of("b"), Some("1 < 2"));
        assert_eq!(read.children("b").count(), 2);
        assert!(read.find("d").is_some() && read.child("d").is_none());
        for broken in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>text",
            "<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
            "<a>&unknown;</a>",
        ] {
            assert!(Element::read(broken).is_none(), "{broken}");
        }
        let deep = "<a>".repeat(DEEPEST + 1) + &"</a>".repeat(DEEPEST + 1);
        assert!(Element::read(&deep).is_none());
    }

    #[test]
    fn a_plus_is_a_plus_and_half_a_code_is_none() {
        let decoded = percent_decoded("%7B%22a%22%3A%20%22b+c%C3%A9%22%7d");
        assert_eq!(decoded.as_deref(), Some("{\"a\": \"b+cé\"}"));
        for broken in ["%", "%2", "%zz", "%+1", "%FF"] {
            assert_eq!(percent_decoded(broken), None, "{broken}");
        }
    }
}
