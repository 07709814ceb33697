//! Just enough XML to read an assertion and an identity provider's metadata.

use quick_xml::{
    NsReader, XmlVersion,
    events::{BytesStart, Event},
    name::ResolveResult,
};

/// One element with everything in it; text is what stands directly in it.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) text: String,
    attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// Reads a document; `None` for what is no well-formed XML in UTF-8, or has a document type.
    pub(super) fn parse(document: &str) -> Option<Self> {
        let mut reader = NsReader::from_str(document);
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        loop {
            let (namespace, event) = reader.read_resolved_event().ok()?;
            let namespace = match namespace {
                ResolveResult::Bound(namespace) => {
                    String::from_utf8(namespace.into_inner().to_vec()).ok()?
                }
                ResolveResult::Unbound => String::new(),
                ResolveResult::Unknown(_) => return None,
            };
            match event {
                Event::Start(start) => open.push(Self::opened(namespace, &start)?),
                Event::Empty(start) => {
                    close(Self::opened(namespace, &start)?, &mut open, &mut root)?;
                }
                Event::End(_) => {
                    let element = open.pop()?;
                    close(element, &mut open, &mut root)?;
                }
                Event::Text(text) => {
                    let text = text.decode().ok()?;
                    match open.last_mut() {
                        Some(element) => element.text.push_str(&text),
                        None if text.trim().is_empty() => {}
                        None => return None,
                    }
                }
                Event::CData(text) => open.last_mut()?.text.push_str(&text.decode().ok()?),
                Event::GeneralRef(reference) => {
                    let character = match reference.resolve_char_ref().ok()? {
                        Some(character) => character,
                        None => predefined(&reference.decode().ok()?)?,
                    };
                    open.last_mut()?.text.push(character);
                }
                Event::Eof => break,
                Event::DocType(_) | Event::PI(_) => return None,
                Event::Decl(_) | Event::Comment(_) => {}
            }
        }
        root.filter(|_| open.is_empty())
    }

    fn opened(namespace: String, start: &BytesStart<'_>) -> Option<Self> {
        let name = String::from_utf8(start.local_name().as_ref().to_vec()).ok()?;
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.ok()?;
            let name = String::from_utf8(attribute.key.local_name().as_ref().to_vec()).ok()?;
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
            Some((name, value.into_owned()))
        });
        Some(Self {
            namespace,
            name,
            attributes: attributes.collect::<Option<_>>()?,
            ..Self::default()
        })
    }

    pub(super) fn is(&self, namespace: &str, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// The value of an attribute, by its local name.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The children of one name.
    pub(super) fn all<'a>(
        &'a self,
        namespace: &'a str,
        name: &'a str,
    ) -> impl Iterator<Item = &'a Self> {
        (self.children.iter()).filter(move |child| child.is(namespace, name))
    }

    /// The first child of a name.
    pub(super) fn child(&self, namespace: &str, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.is(namespace, name))
    }

    /// This element and everything below, in document order.
    pub(super) fn descendants(&self) -> Vec<&Self> {
        let mut found = vec![self];
        for child in &self.children {
            found.extend(child.descendants());
        }
        found
    }
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Option<()> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return None,
    }
    Some(())
}

fn predefined(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Element;

    #[test]
    fn documents_are_read_with_their_namespaces() {
        let document = "<?xml version='1.0'?><a:x xmlns:a='urn:a' Id='1&amp;2'>\
                        <!-- c -->t&lt;&#65;<a:y/><y xmlns='urn:b'><![CDATA[<z>]]></y></a:x>";
        let root = Element::parse(document).unwrap();
        assert!(root.is("urn:a", "x"));
        assert_eq!(
            (root.attribute("Id"), root.text.as_str()),
            (Some("1&2"), "t<A")
        );
        assert_eq!(root.child("urn:b", "y").unwrap().text, "<z>");
        assert_eq!(root.descendants().len(), 3);
    }

    #[test]
    fn what_is_no_document_is_not_read() {
        for text in [
            "",
            "text",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<p:a/>",
            "<!DOCTYPE a><a/>",
            "<a>&unknown;</a>",
        ] {
            assert!(Element::parse(text).is_none(), "{text}");
        }
    }
}
