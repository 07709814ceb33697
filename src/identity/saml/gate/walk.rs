//! The walk over the elements of a message: each is checked where it opens and where it closes.

use super::{
    Allowances, AssertionShape, DEEPEST, MOST_ELEMENTS, MOST_ENCRYPTED_KEYS, MOST_NAMESPACE_LOOKS,
    Root, Shape, algorithm,
    grammar::{Content, Kind},
    namespace::{Namespace, Scope},
    syntax::{self, Attribute, Tag},
};
use crate::identity::saml::refusal::{Reason, Refused};

const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const ENCRYPTED_ELEMENT: &str = "http://www.w3.org/2001/04/xmlenc#Element";
const ENCRYPTED_KEY: &str = "http://www.w3.org/2001/04/xmlenc#EncryptedKey";

/// Where the walk stands.
pub(super) struct Walk<'a> {
    root: Root,
    allowances: Allowances,
    open: Vec<Frame<'a>>,
    scope: Scope<'a>,
    tag: Tag<'a>,
    elements: usize,
    namespace_looks: usize,
    has_root: bool,
    ids: Vec<&'a str>,
    /// `Id`s of encrypted keys, and what refers to one.
    key_ids: Vec<&'a str>,
    key_references: Vec<&'a str>,
    encrypted_keys: usize,
    second_status: Option<String>,
    shape: Shape,
}

/// An element that is open.
#[derive(Debug)]
struct Frame<'a> {
    kind: Kind,
    /// How many bindings were in scope before it.
    scope: usize,
    /// Its ID.
    id: Option<&'a str>,
    /// The ranks of its children so far, as bits.
    seen: u16,
    last_rank: u8,
    children: usize,
    has_text: bool,
    has_comment: bool,
    /// Whether its algorithm takes parameters as children.
    takes_parameters: bool,
}

impl<'a> Walk<'a> {
    /// A walk that has seen nothing.
    pub(super) fn new(root: Root, allowances: Allowances) -> Self {
        Self {
            root,
            allowances,
            open: Vec::with_capacity(16),
            scope: Scope::default(),
            tag: Tag::default(),
            elements: 0,
            namespace_looks: 0,
            has_root: false,
            ids: Vec::new(),
            key_ids: Vec::new(),
            key_references: Vec::new(),
            encrypted_keys: 0,
            second_status: None,
            shape: Shape {
                id: String::new(),
                in_response_to: None,
                destination: None,
                issuer: None,
                status: None,
                is_signed: false,
                assertion: None,
                uses_cbc: false,
            },
        }
    }

    /// An element opens; `content` is what stands in its start tag.
    pub(super) fn open(&mut self, content: &'a str) -> Result<(), Refused> {
        self.elements += 1;
        if self.open.len() == DEEPEST || self.elements > MOST_ELEMENTS {
            return Err(Refused::new(
                Reason::TooComplex,
                format!("nested deeper than {DEEPEST}, or more than {MOST_ELEMENTS} elements"),
            ));
        }
        let mut tag = std::mem::take(&mut self.tag);
        tag.read(content)?;
        let scope = self.scope.len();
        self.scope.enter(&tag.declarations)?;
        self.count_namespace_looks()?;
        let namespace = self.scope.of_element(tag.prefix)?;
        let kind = self.kind(namespace, tag.local);
        self.check_place(kind, tag.local)?;
        let id = self.check_attributes(namespace, kind, &tag)?;
        self.open.push(Frame {
            kind,
            scope,
            id,
            seen: 0,
            last_rank: 0,
            children: 0,
            has_text: false,
            has_comment: false,
            takes_parameters: false,
        });
        self.check_element(kind, &tag)?;
        self.tag = tag;
        Ok(())
    }

    fn count_namespace_looks(&mut self) -> Result<(), Refused> {
        let in_scope = self.scope.len();
        self.namespace_looks += in_scope * (in_scope + self.open.len());
        if self.namespace_looks <= MOST_NAMESPACE_LOOKS {
            return Ok(());
        }
        Err(Refused::new(
            Reason::TooComplex,
            "too many elements for so many namespaces and so deep a nesting",
        ))
    }

    fn kind(&self, namespace: Namespace, local: &str) -> Kind {
        let parent = self.open.last().map(|frame| frame.kind);
        match (Kind::of(namespace, local), parent) {
            (Kind::KeyInfo, Some(Kind::EncryptedData)) => Kind::DataKeyInfo,
            (Kind::KeyInfo, Some(Kind::EncryptedKey)) => Kind::RecipientKeyInfo,
            (kind, _) => kind,
        }
    }

    fn check_place(&mut self, kind: Kind, local: &str) -> Result<(), Refused> {
        let Some(parent) = self.open.last_mut() else {
            return self.check_root(kind, local);
        };
        let misplaced = |what: &str| {
            Err(Refused::new(
                kind.misplaced(parent.kind),
                format!("{local} {what} in {:?}", parent.kind),
            ))
        };
        let Some(place) = kind.place(parent.kind) else {
            return misplaced("does not belong");
        };
        let bit = 1_u16 << (place.rank & 15);
        if parent.seen & bit != 0 && !place.repeats {
            return misplaced("stands twice");
        }
        if parent.seen != 0 && place.rank < parent.last_rank {
            return misplaced("stands too late");
        }
        parent.seen |= bit;
        parent.last_rank = place.rank;
        parent.children += 1;
        check_mixture(parent)
    }

    fn check_root(&mut self, kind: Kind, local: &str) -> Result<(), Refused> {
        if self.has_root {
            return Err(Refused::new(Reason::Malformed, "a second root element"));
        }
        self.has_root = true;
        let expected = match self.root {
            Root::Response => Kind::Response,
            Root::Assertion => Kind::Assertion,
            Root::LogoutRequest => Kind::LogoutRequest,
            Root::LogoutResponse => Kind::LogoutResponse,
        };
        if kind == expected {
            return Ok(());
        }
        Err(Refused::new(
            Reason::WrongMessage,
            format!("the root is {local}; a SAML 2.0 {expected:?} is expected"),
        ))
    }

    /// Checks what holds for the attributes of any element, and returns its ID.
    fn check_attributes(
        &mut self,
        namespace: Namespace,
        kind: Kind,
        tag: &Tag<'a>,
    ) -> Result<Option<&'a str>, Refused> {
        let mut id = None;
        for (position, attribute) in tag.attributes.iter().enumerate() {
            for earlier in &tag.attributes[..position] {
                check_pair(earlier, attribute)?;
            }
            if !attribute.prefix.is_empty() {
                let of = self.scope.of_attribute(attribute.prefix)?;
                check_qualified(namespace, kind, of, attribute.local)?;
            }
            if attribute.local.eq_ignore_ascii_case("id") {
                if !syntax::is_ncname(attribute.raw) {
                    return Err(Refused::new(
                        Reason::Id,
                        format!("the ID {:?} of {} is no NCName", attribute.raw, tag.local),
                    ));
                }
                self.ids.push(attribute.raw);
                id = Some(attribute.raw);
            }
        }
        Ok(id)
    }

    /// Checks what holds for this element alone.
    fn check_element(&mut self, kind: Kind, tag: &Tag<'a>) -> Result<(), Refused> {
        match kind {
            Kind::Response | Kind::LogoutRequest | Kind::LogoutResponse | Kind::Assertion => {
                self.check_message(kind, tag)
            }
            Kind::EncryptedAssertion => {
                self.shape.assertion = Some(AssertionShape::Encrypted);
                Ok(())
            }
            Kind::StatusCode => self.note_status(tag),
            Kind::Signature => {
                self.note_signature();
                only(tag, &["Id"], Reason::SignatureShape)
            }
            Kind::SignedInfo | Kind::SignatureValue => only(tag, &["Id"], Reason::SignatureShape),
            Kind::Transforms | Kind::DigestValue => only(tag, &[], Reason::SignatureShape),
            Kind::Reference => self.check_reference(tag),
            Kind::InclusiveNamespaces => self.check_parameters(tag, &["PrefixList"]),
            Kind::CanonicalizationMethod
            | Kind::SignatureMethod
            | Kind::Transform
            | Kind::DigestMethod
            | Kind::EncryptionMethod
            | Kind::MaskGeneration => self.check_algorithm(kind, tag),
            Kind::EncryptedData
            | Kind::EncryptedKey
            | Kind::RetrievalMethod
            | Kind::DataReference => self.check_encryption(kind, tag),
            _ => Ok(()),
        }
    }

    fn check_message(&mut self, kind: Kind, tag: &Tag<'a>) -> Result<(), Refused> {
        let id = tag
            .raw("ID")
            .ok_or_else(|| Refused::new(Reason::Id, format!("the {kind:?} has no ID")))?;
        if tag.raw("Version") != Some("2.0") {
            return Err(Refused::new(
                Reason::Version,
                format!("the {kind:?} is not of Version 2.0"),
            ));
        }
        if self.open.len() > 1 {
            self.shape.assertion = Some(AssertionShape::Plain {
                id: id.to_owned(),
                is_signed: false,
            });
            return Ok(());
        }
        id.clone_into(&mut self.shape.id);
        if kind != Kind::Assertion {
            self.shape.in_response_to = tag.value("InResponseTo")?;
            self.shape.destination = tag.value("Destination")?;
        }
        Ok(())
    }

    fn note_status(&mut self, tag: &Tag<'a>) -> Result<(), Refused> {
        let value = tag.value("Value")?;
        match self.parent_kind(1) {
            Some(Kind::Status) => self.shape.status = value,
            _ if self.second_status.is_none() => self.second_status = value,
            _ => {}
        }
        Ok(())
    }

    fn note_signature(&mut self) {
        if self.open.len() == 2 {
            self.shape.is_signed = true;
        } else if let Some(AssertionShape::Plain { is_signed, .. }) = &mut self.shape.assertion {
            *is_signed = true;
        }
    }

    fn check_reference(&self, tag: &Tag<'a>) -> Result<(), Refused> {
        only(tag, &["Id", "URI"], Reason::Reference)?;
        // Of the frames, the last three are the signature, its SignedInfo and this.
        let owner = self.ancestor(3).and_then(|frame| frame.id);
        let target = tag.raw("URI").and_then(|uri| uri.strip_prefix('#'));
        if target.is_some() && target == owner {
            return Ok(());
        }
        Err(Refused::new(
            Reason::Reference,
            format!(
                "the reference {:?} is not to the ID of the signature's own parent, {:?}",
                tag.raw("URI").unwrap_or_default(),
                owner.unwrap_or_default()
            ),
        ))
    }

    fn check_parameters(&self, tag: &Tag<'a>, names: &[&str]) -> Result<(), Refused> {
        if self
            .ancestor(1)
            .is_some_and(|parent| parent.takes_parameters)
        {
            return only(tag, names, Reason::Transform);
        }
        Err(Refused::new(
            Reason::Transform,
            format!("{} where the algorithm takes no parameter", tag.local),
        ))
    }

    fn check_algorithm(&mut self, kind: Kind, tag: &Tag<'a>) -> Result<(), Refused> {
        let uri = tag.raw("Algorithm").unwrap_or_default();
        let parent = self.ancestor(1);
        let parent_kind = parent.map(|frame| frame.kind);
        let has_parameters = parent.is_some_and(|frame| frame.takes_parameters);
        let sha1 = self.allowances.sha1;
        let (is_allowed, reason) = match kind {
            Kind::CanonicalizationMethod => {
                (algorithm::is_canonicalization(uri), Reason::Transform)
            }
            Kind::Transform => {
                let position = parent.map_or(0, |frame| frame.children);
                let is_allowed = match position {
                    1 => uri == algorithm::ENVELOPED,
                    2 => algorithm::is_canonicalization(uri),
                    _ => false,
                };
                (is_allowed, Reason::Transform)
            }
            Kind::SignatureMethod => (algorithm::is_signature(uri, sha1), Reason::Algorithm),
            Kind::DigestMethod if parent_kind == Some(Kind::Reference) => {
                (algorithm::is_digest(uri, sha1), Reason::Algorithm)
            }
            Kind::DigestMethod => (
                has_parameters && algorithm::is_padding_digest(uri),
                Reason::Encryption,
            ),
            Kind::MaskGeneration => (
                has_parameters && algorithm::is_mask(uri),
                Reason::Encryption,
            ),
            _ if parent_kind == Some(Kind::EncryptedData) => {
                self.shape.uses_cbc |= algorithm::is_cbc(uri);
                (algorithm::is_data_encryption(uri), Reason::Encryption)
            }
            _ => (algorithm::is_key_encryption(uri), Reason::Encryption),
        };
        if !is_allowed {
            return Err(Refused::new(
                reason,
                format!("{} {uri:?} is not allowed here", tag.local),
            ));
        }
        if let Some(frame) = self.open.last_mut() {
            frame.takes_parameters =
                algorithm::is_exclusive(uri) || algorithm::is_key_encryption(uri);
        }
        only(tag, &["Algorithm"], reason)
    }

    fn check_encryption(&mut self, kind: Kind, tag: &Tag<'a>) -> Result<(), Refused> {
        let (names, of_type): (&[&str], _) = match kind {
            Kind::EncryptedData => (&["Id", "Type", "MimeType"], ENCRYPTED_ELEMENT),
            Kind::EncryptedKey => (&["Id", "Type", "Recipient"], ENCRYPTED_KEY),
            _ => (&["URI", "Type"], ENCRYPTED_KEY),
        };
        only(tag, names, Reason::Encryption)?;
        if tag.raw("Type").is_some_and(|found| found != of_type) {
            return Err(Refused::new(
                Reason::Encryption,
                format!("{} of a Type other than {of_type}", tag.local),
            ));
        }
        match kind {
            Kind::EncryptedKey => {
                self.encrypted_keys += 1;
                self.key_ids.extend(tag.raw("Id"));
            }
            Kind::RetrievalMethod | Kind::DataReference => {
                let target = tag.raw("URI").and_then(|uri| uri.strip_prefix('#'));
                let target = target.filter(|id| syntax::is_ncname(id)).ok_or_else(|| {
                    Refused::new(
                        Reason::Encryption,
                        format!("{} to something outside the message", tag.local),
                    )
                })?;
                if kind == Kind::RetrievalMethod {
                    self.key_references.push(target);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The element ends that was opened last.
    pub(super) fn close(&mut self) -> Result<(), Refused> {
        let frame = self
            .open
            .pop()
            .ok_or_else(|| Refused::new(Reason::Malformed, "an end tag too many"))?;
        self.scope.leave(frame.scope);
        let needs = frame.kind.needs();
        let is_empty_value =
            matches!(frame.kind, Kind::DigestValue | Kind::SignatureValue) && !frame.has_text;
        if frame.seen & needs == needs && !is_empty_value {
            return Ok(());
        }
        let reason = match frame.kind {
            Kind::Transforms => Reason::Transform,
            Kind::Status => Reason::UnexpectedElement,
            Kind::Signature
            | Kind::SignedInfo
            | Kind::Reference
            | Kind::DigestValue
            | Kind::SignatureValue => Reason::SignatureShape,
            _ => Reason::Encryption,
        };
        Err(Refused::new(
            reason,
            format!("{:?} lacks what it has to hold", frame.kind),
        ))
    }

    /// Text between tags, as it stands there, without references.
    pub(super) fn text(&mut self, raw: &'a str) -> Result<(), Refused> {
        if raw.as_bytes().contains(&b'>') && raw.contains("]]>") {
            return Err(Refused::new(Reason::Malformed, "]]> in text"));
        }
        let is_blank = raw.bytes().all(syntax::is_space);
        self.note_text(is_blank)?;
        if self.is_in_issuer() {
            let issuer = self.shape.issuer.get_or_insert_default();
            if raw.contains('\r') {
                issuer.push_str(&raw.replace("\r\n", "\n").replace('\r', "\n"));
            } else {
                issuer.push_str(raw);
            }
        }
        Ok(())
    }

    /// A reference between tags, without `&` and `;`.
    pub(super) fn reference(&mut self, name: &str) -> Result<(), Refused> {
        let character = syntax::reference(name)?;
        if self.open.is_empty() {
            return Err(Refused::new(
                Reason::Malformed,
                "a reference outside the root element",
            ));
        }
        self.note_text(matches!(character, ' ' | '\t' | '\r' | '\n'))?;
        if self.is_in_issuer() {
            self.shape.issuer.get_or_insert_default().push(character);
        }
        Ok(())
    }

    fn note_text(&mut self, is_blank: bool) -> Result<(), Refused> {
        if is_blank {
            return Ok(());
        }
        let Some(frame) = self.open.last_mut() else {
            return Err(Refused::new(
                Reason::Malformed,
                "text outside the root element",
            ));
        };
        frame.has_text = true;
        check_mixture(frame)
    }

    /// A comment, without its marks.
    pub(super) fn comment(&mut self, content: &str) -> Result<(), Refused> {
        if content.contains("--") || content.ends_with('-') {
            return Err(Refused::new(Reason::Malformed, "-- in a comment"));
        }
        let Some(frame) = self.open.last_mut() else {
            return Ok(());
        };
        frame.has_comment = true;
        check_mixture(frame)
    }

    /// The message has ended: what can only be seen from the whole.
    pub(super) fn finish(mut self) -> Result<Shape, Refused> {
        if !self.has_root || !self.open.is_empty() {
            return Err(Refused::new(
                Reason::Malformed,
                "the message ends before its root element does",
            ));
        }
        self.check_ids()?;
        self.check_keys()?;
        if self.root == Root::Response {
            self.check_response()?;
        }
        Ok(self.shape)
    }

    fn check_ids(&mut self) -> Result<(), Refused> {
        self.ids.sort_unstable();
        match self.ids.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(Refused::new(
                Reason::Id,
                format!("the ID {:?} stands twice", pair[0]),
            )),
            None => Ok(()),
        }
    }

    fn check_keys(&self) -> Result<(), Refused> {
        let is_encrypted = self.shape.assertion == Some(AssertionShape::Encrypted);
        if self.encrypted_keys > MOST_ENCRYPTED_KEYS || (is_encrypted && self.encrypted_keys == 0) {
            return Err(Refused::new(
                Reason::Encryption,
                format!(
                    "{} encrypted keys; 1 to {MOST_ENCRYPTED_KEYS} are read",
                    self.encrypted_keys
                ),
            ));
        }
        // At most a key's worth of ids: this is no square.
        let lost = self
            .key_references
            .iter()
            .find(|reference| !self.key_ids.contains(reference));
        match lost {
            Some(reference) => Err(Refused::new(
                Reason::Encryption,
                format!("no encrypted key has the Id {reference:?}"),
            )),
            None => Ok(()),
        }
    }

    fn check_response(&self) -> Result<(), Refused> {
        match &self.shape.assertion {
            Some(AssertionShape::Plain { is_signed, .. }) if *is_signed || self.shape.is_signed => {
                Ok(())
            }
            Some(AssertionShape::Plain { .. }) => Err(Refused::new(
                Reason::Unsigned,
                "neither the response nor its assertion is signed",
            )),
            Some(AssertionShape::Encrypted) => Ok(()),
            None => Err(match self.shape.status.as_deref() {
                Some(status) if status != SUCCESS => Refused::new(
                    Reason::Status,
                    format!(
                        "the provider answers {status} {}",
                        self.second_status.as_deref().unwrap_or_default()
                    ),
                ),
                _ => Refused::new(Reason::AssertionCount, "the response holds no assertion"),
            }),
        }
    }

    /// The frame so many above the one that was opened last.
    fn ancestor(&self, above: usize) -> Option<&Frame<'a>> {
        let position = self.open.len().checked_sub(above + 1)?;
        self.open.get(position)
    }

    fn parent_kind(&self, above: usize) -> Option<Kind> {
        self.ancestor(above).map(|frame| frame.kind)
    }

    fn is_in_issuer(&self) -> bool {
        matches!(self.open.as_slice(), [_, inner] if inner.kind == Kind::Issuer)
    }
}

/// Text and what else stands in an element.
fn check_mixture(frame: &Frame<'_>) -> Result<(), Refused> {
    let is_pure = match frame.kind.content() {
        Content::Text => frame.children == 0 && !frame.has_comment,
        Content::Elements => !frame.has_text,
        Content::Either => !frame.has_text || (frame.children == 0 && !frame.has_comment),
        Content::Value => !frame.has_comment && (!frame.has_text || frame.children == 0),
    };
    if is_pure {
        return Ok(());
    }
    Err(Refused::new(
        Reason::MixedContent,
        format!("text, elements or comments mixed in {:?}", frame.kind),
    ))
}

/// Two attributes of one element may not be taken for each other, whatever a reader makes of
/// prefixes and case (CVE-2025-66567). This holds back equal expanded names too.
fn check_pair(earlier: &Attribute<'_>, later: &Attribute<'_>) -> Result<(), Refused> {
    if !earlier.local.eq_ignore_ascii_case(later.local) {
        return Ok(());
    }
    let reason = if (earlier.prefix, earlier.local) == (later.prefix, later.local) {
        Reason::Malformed
    } else {
        Reason::Namespace
    };
    Err(Refused::new(
        reason,
        format!("two attributes of one element are called {}", later.local),
    ))
}

/// An attribute with a prefix. SAML's, XML signatures' and XML encryption's own have none, but
/// samael reads them with any.
fn check_qualified(
    element: Namespace,
    kind: Kind,
    attribute: Namespace,
    local: &str,
) -> Result<(), Refused> {
    let is_known = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(local));
    let is_allowed = match attribute {
        // xml:base would move a reference, xml:id would be one more ID.
        Namespace::Xml => matches!(local, "lang" | "space"),
        Namespace::Instance => matches!(
            local,
            "type" | "nil" | "schemaLocation" | "noNamespaceSchemaLocation"
        ),
        Namespace::Other | Namespace::Security => match element {
            Namespace::Other | Namespace::None | Namespace::Security => true,
            _ => {
                matches!(kind, Kind::Attribute | Kind::AttributeValue)
                    && !is_known(&["Name", "NameFormat", "FriendlyName", "ID"])
            }
        },
        _ => false,
    };
    if is_allowed {
        return Ok(());
    }
    Err(Refused::new(
        Reason::Namespace,
        format!("an attribute {local} with a prefix that does not belong on {kind:?}"),
    ))
}

fn only(tag: &Tag<'_>, names: &[&str], reason: Reason) -> Result<(), Refused> {
    let other = tag
        .attributes
        .iter()
        .find(|found| !found.prefix.is_empty() || !names.contains(&found.local));
    match other {
        Some(found) => Err(Refused::new(
            reason,
            format!(
                "the attribute {} does not belong on {}",
                found.local, tag.local
            ),
        )),
        None => Ok(()),
    }
}
