//! A strict XML reader that makes a small tree, for metadata and for messages whose signature has
//! been verified already.
//!
//! Never here: what an element means, and anything whose structure decides about a signature; that
//! is the gate's. Entry point: [`Element::parse`].

use quick_xml::{
    NsReader, XmlVersion,
    escape::{resolve_predefined_entity, unescape},
    events::{BytesStart, Event},
    name::ResolveResult,
};

/// The deepest nesting that is read.
const DEEPEST: usize = 32;
/// The most elements that are read.
const MOST_ELEMENTS: usize = 100_000;
/// The most attributes of one element, namespace declarations among them.
const MOST_ATTRIBUTES: usize = 64;

/// One element with all that is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Element {
    namespace: String,
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// Reads a whole document. What is wrong comes back as words for behind the document's name.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut reader = NsReader::from_str(text);
        reader.config_mut().enable_all_checks(true);
        let mut tree = Tree::default();
        loop {
            let event = reader
                .read_event()
                .map_err(|error| malformed(&reader, &error.to_string()))?;
            match event {
                Event::Eof => break,
                Event::Start(start) => {
                    let element = Self::opened(&reader, &start)?;
                    tree.open(element)?;
                }
                Event::Empty(start) => {
                    let element = Self::opened(&reader, &start)?;
                    tree.open(element)?;
                    tree.close()?;
                }
                Event::End(_) => tree.close()?,
                Event::Text(text) => {
                    let content = text
                        .xml10_content()
                        .map_err(|error| malformed(&reader, &error.to_string()))?;
                    tree.text(&content)?;
                }
                Event::CData(text) => {
                    let content = text
                        .xml10_content()
                        .map_err(|error| malformed(&reader, &error.to_string()))?;
                    tree.text(&content)?;
                }
                Event::GeneralRef(reference) => {
                    let name = reference
                        .decode()
                        .map_err(|error| malformed(&reader, &error.to_string()))?;
                    tree.text(&referenced(&name)?)?;
                }
                Event::Comment(_) => {}
                Event::Decl(declaration) => {
                    let encoding = declaration.encoding();
                    let is_utf8 = match encoding {
                        None => true,
                        Some(Ok(name)) => name.eq_ignore_ascii_case(b"utf-8"),
                        Some(Err(_)) => false,
                    };
                    if !is_utf8 {
                        return Err("declares an encoding other than UTF-8".to_owned());
                    }
                }
                Event::PI(_) => return Err("has a processing instruction".to_owned()),
                Event::DocType(_) => return Err("has a document type declaration".to_owned()),
            }
        }
        tree.whole()
    }

    fn opened(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Self, String> {
        let (namespace, name) = reader.resolver().resolve_element(start.name());
        let mut attributes: Vec<(String, String)> = Vec::new();
        for (count, attribute) in start.attributes().enumerate() {
            let attribute = attribute.map_err(|error| malformed(reader, &error.to_string()))?;
            if count == MOST_ATTRIBUTES {
                return Err(format!(
                    "has an element with over {MOST_ATTRIBUTES} attributes"
                ));
            }
            if attribute.key.as_namespace_binding().is_some() {
                continue;
            }
            let (namespace, name) = reader.resolver().resolve_attribute(attribute.key);
            let name = qualified(&namespaced(&namespace)?, &utf8(name.into_inner())?);
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| malformed(reader, &error.to_string()))?;
            if attributes.iter().any(|(known, _)| *known == name) {
                return Err(format!("has the attribute {name:?} twice"));
            }
            attributes.push((name, value.into_owned()));
        }
        Ok(Self {
            namespace: namespaced(&namespace)?,
            name: utf8(name.into_inner())?,
            attributes,
            text: String::new(),
            children: Vec::new(),
        })
    }

    /// Whether it is this element.
    pub(super) fn is(&self, namespace: &str, name: &str) -> bool {
        self.name == name && self.namespace == namespace
    }

    /// The local name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// An attribute without a namespace.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Its own text, without blanks at the ends.
    pub(super) fn text(&self) -> &str {
        self.text.trim()
    }

    /// Its own text as it stands.
    pub(super) fn exact_text(&self) -> &str {
        &self.text
    }

    /// Whether nothing but text is in it.
    pub(super) fn is_text(&self) -> bool {
        self.children.is_empty()
    }

    /// Its children of one name.
    pub(super) fn children<'e>(
        &'e self,
        namespace: &'e str,
        name: &'e str,
    ) -> impl Iterator<Item = &'e Self> {
        let is_named = move |child: &&Self| child.is(namespace, name);
        self.children.iter().filter(is_named)
    }

    /// How many children it has, of whatever name.
    pub(super) fn children_count(&self) -> usize {
        self.children.len()
    }

    /// How many elements of a name are in it, at any depth.
    pub(super) fn count(&self, namespace: &str, name: &str) -> usize {
        let below = self
            .children
            .iter()
            .map(|child| child.count(namespace, name));
        below.sum::<usize>() + usize::from(self.is(namespace, name))
    }

    /// Its one child of a name; none where there is none, or more than one.
    pub(super) fn child(&self, namespace: &str, name: &str) -> Option<&Self> {
        let mut found = self
            .children
            .iter()
            .filter(|child| child.is(namespace, name));
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }
}

/// The elements that are open, and the root once it is closed.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    count: usize,
}

impl Tree {
    fn open(&mut self, element: Element) -> Result<(), String> {
        if self.root.is_some() {
            return Err("has a second root element".to_owned());
        }
        self.count += 1;
        if self.open.len() == DEEPEST || self.count > MOST_ELEMENTS {
            return Err(format!(
                "nests deeper than {DEEPEST} elements or has over {MOST_ELEMENTS}"
            ));
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let closed = self.open.pop();
        let closed = closed.ok_or_else(|| "closes an element that is not open".to_owned())?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => self.root = Some(closed),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        if text.contains('\0') {
            return Err("contains a NUL".to_owned());
        }
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err("has text outside its root element".to_owned()),
        }
        Ok(())
    }

    fn whole(self) -> Result<Element, String> {
        match self.root {
            Some(root) if self.open.is_empty() => Ok(root),
            _ => Err("is no whole XML document".to_owned()),
        }
    }
}

fn malformed(reader: &NsReader<&[u8]>, problem: &str) -> String {
    format!(
        "is not well-formed XML at byte {}: {problem}",
        reader.error_position()
    )
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    Ok(text.to_owned())
}

fn namespaced(namespace: &ResolveResult<'_>) -> Result<String, String> {
    match namespace {
        ResolveResult::Bound(namespace) => {
            let text = utf8(namespace.into_inner())?;
            unescape(&text)
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| "has a namespace that is none".to_owned())
        }
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Unknown(prefix) => Err(format!(
            "uses the prefix {:?} without a namespace",
            String::from_utf8_lossy(prefix)
        )),
    }
}

fn qualified(namespace: &str, name: &str) -> String {
    if namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{{{namespace}}}{name}")
    }
}

/// A character reference or one of XML's five entities.
fn referenced(name: &str) -> Result<String, String> {
    if let Some(text) = resolve_predefined_entity(name) {
        return Ok(text.to_owned());
    }
    if name.starts_with('#')
        && let Ok(text) = unescape(&format!("&{name};"))
    {
        return Ok(text.into_owned());
    }
    Err("refers to an entity that XML does not know".to_owned())
}

/// Text as the content of an element or the value of an attribute in double quotes.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            // XML 1.0 has no way to write the other control characters.
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_by_their_namespace_and_not_by_their_prefix() {
        let root = Element::parse("<a:x xmlns:a='urn:1'><y xmlns='urn:2' v='1'>t</y></a:x>")
            .expect("a document");
        assert!(root.is("urn:1", "x"));
        let child = root.child("urn:2", "y").expect("a child");
        assert_eq!((child.attribute("v"), child.text()), (Some("1"), "t"));
    }

    #[test]
    fn what_was_escaped_comes_back_as_it_was() {
        let hostile = "<x a=\"1\">&amp;'\t\r\n]]>é";
        let text = format!("<r v=\"{0}\">{0}</r>", escaped(hostile));
        let root = Element::parse(&text).expect("a document");
        assert_eq!(root.exact_text(), hostile);
        assert_eq!(root.attribute("v"), Some(hostile));
    }

    #[test]
    fn a_comment_does_not_cut_a_text() {
        let root = Element::parse("<r>a<!-- x -->b</r>").expect("a document");
        assert_eq!(root.text(), "ab");
    }

    #[test]
    fn what_is_not_plain_well_formed_xml_is_refused() {
        for (text, problem) in [
            ("<!DOCTYPE r><r/>", "document type"),
            ("<?php x?><r/>", "processing instruction"),
            ("<r/><r/>", "second root"),
            ("<r>", "no whole"),
            ("<r></s>", "well-formed"),
            ("<r>&x;</r>", "entity"),
            ("<p:r/>", "prefix"),
            ("<r a='1' a='2'/>", "well-formed"),
            (
                "<r xmlns:a='urn:1' xmlns:b='urn:1' a:x='1' b:x='2'/>",
                "twice",
            ),
            ("<?xml version='1.0' encoding='UTF-7'?><r/>", "encoding"),
            ("text", "outside"),
            ("", "no whole"),
        ] {
            let told = Element::parse(text).expect_err(text);
            assert!(told.contains(problem), "{text}: {told}");
        }
        let deep = "<a>".repeat(DEEPEST + 1);
        assert!(Element::parse(&deep).expect_err("deep").contains("deeper"));
    }
}
