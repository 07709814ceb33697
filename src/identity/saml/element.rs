//! XML elements as a small tree, for messages whose text passed the gate.
//!
//! Reading is linear and never recovers; comments and signatures are left out, namespaces are
//! resolved. Never here: trust. What is read may be unverified; the caller knows. Entry point:
//! [`Element::read`].

use quick_xml::{
    NsReader, XmlVersion,
    events::{BytesRef, BytesStart, Event},
    name::{NamespaceResolver, ResolveResult},
};

use super::refusal::{Reason, Refused};

/// The namespaces of which elements are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Namespace {
    /// `urn:oasis:names:tc:SAML:2.0:assertion`
    Assertion,
    /// `urn:oasis:names:tc:SAML:2.0:protocol`
    Protocol,
    /// `http://www.w3.org/2000/09/xmldsig#`
    Signature,
    /// `http://www.w3.org/2001/04/xmlenc#`
    Encryption,
    /// `http://www.w3.org/2009/xmlenc11#`
    Encryption11,
    /// Any other, or none.
    Other,
}

/// The namespace of `xsi:nil`.
const SCHEMA_INSTANCE: &[u8] = b"http://www.w3.org/2001/XMLSchema-instance";

impl Namespace {
    fn of(resolved: &ResolveResult<'_>) -> Self {
        let ResolveResult::Bound(namespace) = resolved else {
            return Self::Other;
        };
        match namespace.into_inner() {
            b"urn:oasis:names:tc:SAML:2.0:assertion" => Self::Assertion,
            b"urn:oasis:names:tc:SAML:2.0:protocol" => Self::Protocol,
            b"http://www.w3.org/2000/09/xmldsig#" => Self::Signature,
            b"http://www.w3.org/2001/04/xmlenc#" => Self::Encryption,
            b"http://www.w3.org/2009/xmlenc11#" => Self::Encryption11,
            _ => Self::Other,
        }
    }
}

/// One element.
#[derive(Debug)]
pub(super) struct Element {
    namespace: Namespace,
    name: String,
    /// Those without a prefix.
    attributes: Vec<(String, String)>,
    /// Its own text, without that of its children.
    text: String,
    children: Vec<Element>,
    is_nil: bool,
}

impl Element {
    /// Reads a document.
    ///
    /// # Errors
    /// [`Reason::Malformed`] for what the gate does not let through.
    pub(super) fn read(text: &str) -> Result<Self, Refused> {
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        loop {
            let (resolved, event) = reader.read_resolved_event().map_err(malformed)?;
            match event {
                Event::Start(start) => {
                    let namespace = Namespace::of(&resolved);
                    let element = Self::start(namespace, &start, reader.resolver())?;
                    if element.is(Namespace::Signature, "Signature") {
                        reader.read_to_end(start.name()).map_err(malformed)?;
                    } else if root.is_some() {
                        return Err(Refused::new(Reason::Malformed, "two root elements"));
                    } else {
                        open.push(element);
                    }
                }
                Event::End(_) => {
                    let Some(element) = open.pop() else {
                        return Err(Refused::new(Reason::Malformed, "an end without a start"));
                    };
                    match open.last_mut() {
                        Some(parent) => parent.children.push(element),
                        None => root = Some(element),
                    }
                }
                Event::Text(text) => {
                    append(&mut open, &text.xml10_content().map_err(malformed)?);
                }
                Event::CData(text) => {
                    append(&mut open, &text.xml10_content().map_err(malformed)?);
                }
                Event::GeneralRef(reference) => {
                    let mut buffer = [0; 4];
                    append(&mut open, character(&reference)?.encode_utf8(&mut buffer));
                }
                Event::Comment(_) | Event::Decl(_) => {}
                Event::Eof => break,
                Event::Empty(_) | Event::PI(_) | Event::DocType(_) => {
                    return Err(Refused::new(Reason::Malformed, "an instruction"));
                }
            }
        }
        match root {
            Some(root) if open.is_empty() => Ok(root),
            _ => Err(Refused::new(Reason::Malformed, "no whole root element")),
        }
    }

    fn start(
        namespace: Namespace,
        start: &BytesStart<'_>,
        resolver: &NamespaceResolver,
    ) -> Result<Self, Refused> {
        let name = start.local_name();
        let mut element = Self {
            namespace,
            name: std::str::from_utf8(name.as_ref())
                .map_err(malformed)?
                .to_owned(),
            attributes: Vec::new(),
            text: String::new(),
            children: Vec::new(),
            is_nil: false,
        };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(malformed)?;
            let value = attribute
                .normalized_value(XmlVersion::Explicit1_0)
                .map_err(malformed)?;
            let (resolved, name) = resolver.resolve_attribute(attribute.key);
            match resolved {
                ResolveResult::Bound(namespace) => {
                    let is_nil = namespace.into_inner() == SCHEMA_INSTANCE
                        && name.as_ref() == b"nil"
                        && matches!(&*value, "true" | "1");
                    element.is_nil |= is_nil;
                }
                ResolveResult::Unbound if attribute.key.as_namespace_binding().is_none() => {
                    let name = std::str::from_utf8(name.as_ref()).map_err(malformed)?;
                    element
                        .attributes
                        .push((name.to_owned(), value.into_owned()));
                }
                ResolveResult::Unbound | ResolveResult::Unknown(_) => {}
            }
        }
        Ok(element)
    }

    /// Whether it is this element.
    pub(super) fn is(&self, namespace: Namespace, name: &str) -> bool {
        self.namespace == namespace && self.name == name
    }

    /// Its namespace.
    pub(super) fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// Its name without a prefix.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether `xsi:nil` says that it has no value.
    pub(super) fn is_nil(&self) -> bool {
        self.is_nil
    }

    /// Whether its own text is nothing but white space.
    pub(super) fn is_blank(&self) -> bool {
        self.text.trim_ascii().is_empty()
    }

    /// The value of an attribute without a prefix.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        let mut attributes = self.attributes.iter();
        let found = attributes.find(|(attribute, _)| attribute == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every child element.
    pub(super) fn children(&self) -> &[Self] {
        &self.children
    }

    /// The child elements of one name.
    pub(super) fn named(
        &self,
        namespace: Namespace,
        name: &'static str,
    ) -> impl Iterator<Item = &Self> {
        (self.children.iter()).filter(move |child| child.is(namespace, name))
    }

    /// The one child element of a name.
    ///
    /// # Errors
    /// [`Reason::UnexpectedElement`] when there are several.
    pub(super) fn only(
        &self,
        namespace: Namespace,
        name: &'static str,
    ) -> Result<Option<&Self>, Refused> {
        let mut children = self.named(namespace, name);
        let child = children.next();
        if children.next().is_some() {
            return Err(Refused::new(
                Reason::UnexpectedElement,
                format!("{} has more than one {name}", self.name),
            ));
        }
        Ok(child)
    }

    /// The text of an element that has nothing but text.
    ///
    /// # Errors
    /// [`Reason::MixedContent`] when it has child elements.
    pub(super) fn value(&self) -> Result<&str, Refused> {
        if self.children.is_empty() {
            Ok(&self.text)
        } else {
            Err(Refused::new(
                Reason::MixedContent,
                format!("{} has elements inside its value", self.name),
            ))
        }
    }
}

/// Adds to the text of the element that is open. Outside the root there are blanks alone, which the
/// gate saw to.
fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// The character that a reference means: by number, or one of XML's five.
fn character(reference: &BytesRef<'_>) -> Result<char, Refused> {
    if let Some(character) = reference.resolve_char_ref().map_err(malformed)? {
        return Ok(character);
    }
    match &*reference.decode().map_err(malformed)? {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(Refused::new(Reason::DocumentType, "an unknown entity")),
    }
}

fn malformed(error: impl std::fmt::Display) -> Refused {
    Refused::new(Reason::Malformed, error.to_string())
}
