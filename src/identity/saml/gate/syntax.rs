//! XML 1.0 below the level of elements: characters, names, references, tags.
//!
//! It checks what the pull parser leaves out and is stricter than XML where SAML never needs the
//! rest: names and IDs are ASCII, and there is no byte order mark. Never here: namespaces, SAML.

use std::borrow::Cow;

use super::{LARGEST, MOST_ATTRIBUTES, MOST_NAMESPACES};
use crate::identity::saml::refusal::{Reason, Refused};

/// The message as text: UTF-8, not too large, nothing but characters of XML 1.0.
pub(super) fn text(message: &[u8]) -> Result<&str, Refused> {
    if message.len() > LARGEST {
        return Err(Refused::new(
            Reason::TooLarge,
            format!("{} bytes; at most {LARGEST} are read", message.len()),
        ));
    }
    let text = std::str::from_utf8(message).map_err(|error| {
        Refused::new(
            Reason::NotUtf8,
            format!("byte {} is not UTF-8", error.valid_up_to()),
        )
    })?;
    if text.starts_with('\u{feff}') {
        return Err(Refused::new(Reason::NotUtf8, "a byte order mark"));
    }
    let has_control = message
        .iter()
        .any(|&byte| byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r'));
    if has_control {
        let reason = if message.contains(&0) {
            Reason::NotUtf8
        } else {
            Reason::Malformed
        };
        return Err(Refused::new(reason, "a control character"));
    }
    if !text.is_ascii() && text.contains(['\u{fffe}', '\u{ffff}']) {
        return Err(Refused::new(
            Reason::Malformed,
            "a code point that is no character",
        ));
    }
    Ok(text)
}

/// Whether this is white space of XML.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Whether this is an NCName of ASCII letters, digits, `_`, `-` and `.`.
pub(super) fn is_ncname(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(is_name_byte)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Checks `<?xml …?>`, given whole: version 1.0, and UTF-8 where an encoding is declared.
pub(super) fn declaration(raw: &str) -> Result<(), Refused> {
    let malformed = || Refused::new(Reason::Malformed, "a broken XML declaration");
    let content = raw
        .strip_prefix("<?xml")
        .and_then(|rest| rest.strip_suffix("?>"))
        .ok_or_else(malformed)?;
    let mut rest = Cursor(content);
    let mut names = ["version", "encoding", "standalone"].iter().peekable();
    let mut is_first = true;
    while let Some((name, value)) = rest.attribute()? {
        // In this order, the version always, the others perhaps.
        if is_first && name != "version" || !names.any(|expected| *expected == name) {
            return Err(malformed());
        }
        is_first = false;
        let (is_right, reason) = match name {
            "version" => (value == "1.0", Reason::Malformed),
            "encoding" => (value.eq_ignore_ascii_case("UTF-8"), Reason::NotUtf8),
            _ => (matches!(value, "yes" | "no"), Reason::Malformed),
        };
        if !is_right {
            return Err(Refused::new(reason, format!("{name}={value:?} declared")));
        }
    }
    if is_first {
        return Err(malformed());
    }
    Ok(())
}

/// The character behind `&…;`, given without `&` and `;`.
pub(super) fn reference(name: &str) -> Result<char, Refused> {
    let Some(number) = name.strip_prefix('#') else {
        return match name {
            "amp" => Ok('&'),
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "quot" => Ok('"'),
            "apos" => Ok('\''),
            _ => Err(Refused::new(
                Reason::DocumentType,
                format!("an entity other than XML's five: {name:?}"),
            )),
        };
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // `from_str_radix` would take a sign.
    let is_number = digits
        .chars()
        .all(|digit| digit.is_digit(radix) && digits.len() <= 8);
    u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| is_number)
        .and_then(char::from_u32)
        .filter(|&c| is_character(c))
        .ok_or_else(|| {
            Refused::new(
                Reason::Malformed,
                format!("a reference to no character: {name:?}"),
            )
        })
}

fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && !matches!(c, '\u{fffe}' | '\u{ffff}'))
}

/// An attribute's value as XML reads it: references replaced, white space made blanks.
pub(super) fn value(raw: &str) -> Result<Cow<'_, str>, Refused> {
    if !raw.bytes().any(|byte| byte == b'&' || byte < b' ') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\n', '\r']) {
        value.push_str(&rest[..at]);
        let from = &rest[at..];
        rest = if from.starts_with('&') {
            let end = from.find(';').ok_or_else(unclosed)?;
            value.push(reference(&from[1..end])?);
            &from[end + 1..]
        } else {
            value.push(' ');
            from.strip_prefix("\r\n").unwrap_or(&from[1..])
        };
    }
    value.push_str(rest);
    Ok(Cow::Owned(value))
}

fn unclosed() -> Refused {
    Refused::new(Reason::Malformed, "a reference that does not end")
}

/// A start tag with its attributes. One is used again and again, so that a tag allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Tag<'a> {
    /// The element's prefix, or nothing.
    pub(super) prefix: &'a str,
    /// The element's name without the prefix.
    pub(super) local: &'a str,
    /// All attributes but the namespace declarations.
    pub(super) attributes: Vec<Attribute<'a>>,
    /// Prefix (empty: the default) and raw value of each namespace declaration.
    pub(super) declarations: Vec<(&'a str, &'a str)>,
}

/// An attribute that is no namespace declaration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute<'a> {
    /// The prefix, or nothing.
    pub(super) prefix: &'a str,
    /// The name without the prefix.
    pub(super) local: &'a str,
    /// What stands between the quotes.
    pub(super) raw: &'a str,
}

impl<'a> Tag<'a> {
    /// Reads what stands between `<` and `>` or `/>`.
    pub(super) fn read(&mut self, content: &'a str) -> Result<(), Refused> {
        self.attributes.clear();
        self.declarations.clear();
        let mut rest = Cursor(content);
        (self.prefix, self.local) = qualified(rest.name()?)?;
        while let Some((name, raw)) = rest.attribute()? {
            check_value(raw)?;
            let (prefix, local) = qualified(name)?;
            match (prefix, local) {
                ("", "xmlns") => self.declarations.push(("", raw)),
                ("xmlns", prefix) => self.declarations.push((prefix, raw)),
                _ => self.attributes.push(Attribute { prefix, local, raw }),
            }
            if self.attributes.len() > MOST_ATTRIBUTES || self.declarations.len() > MOST_NAMESPACES
            {
                return Err(Refused::new(
                    Reason::TooComplex,
                    format!(
                        "more than {MOST_ATTRIBUTES} attributes or {MOST_NAMESPACES} namespaces \
                         on {}",
                        self.local
                    ),
                ));
            }
        }
        Ok(())
    }

    /// The raw value of the attribute of that name, without a prefix.
    pub(super) fn raw(&self, local: &str) -> Option<&'a str> {
        self.attributes
            .iter()
            .find(|attribute| attribute.prefix.is_empty() && attribute.local == local)
            .map(|attribute| attribute.raw)
    }

    /// The value of the attribute of that name, without a prefix.
    pub(super) fn value(&self, local: &str) -> Result<Option<String>, Refused> {
        self.raw(local)
            .map(|raw| value(raw).map(Cow::into_owned))
            .transpose()
    }
}

fn qualified(name: &str) -> Result<(&str, &str), Refused> {
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, local)) => (prefix, local),
        None => ("", name),
    };
    // The parts hold name bytes alone but for a further colon, since the cursor stops elsewhere.
    if is_ncname(local) && (prefix.len() + local.len() == name.len() || is_ncname(prefix)) {
        Ok((prefix, local))
    } else {
        Err(Refused::new(
            Reason::Malformed,
            format!("a name that is none: {name:?}"),
        ))
    }
}

fn check_value(raw: &str) -> Result<(), Refused> {
    let mut needs_care = false;
    for byte in raw.bytes() {
        needs_care |= byte == b'&' || byte == b'<';
    }
    if !needs_care {
        return Ok(());
    }
    if raw.contains('<') {
        return Err(Refused::new(
            Reason::Malformed,
            "a < in an attribute's value",
        ));
    }
    value(raw).map(drop)
}

/// What is left of a tag.
struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    /// The longest run of name bytes and colons; perhaps empty.
    fn name(&mut self) -> Result<&'a str, Refused> {
        let end = self
            .0
            .bytes()
            .position(|byte| !is_name_byte(byte) && byte != b':')
            .unwrap_or(self.0.len());
        let (name, rest) = self.0.split_at_checked(end).ok_or_else(broken_tag)?;
        self.0 = rest;
        Ok(name)
    }

    fn skip_space(&mut self) -> bool {
        let before = self.0.len();
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
        self.0.len() < before
    }

    /// The next `name="value"` with the white space before it; none at the end.
    fn attribute(&mut self) -> Result<Option<(&'a str, &'a str)>, Refused> {
        let is_apart = self.skip_space();
        if self.0.is_empty() {
            return Ok(None);
        }
        if !is_apart {
            return Err(broken_tag());
        }
        let name = self.name()?;
        self.skip_space();
        self.0 = self.0.strip_prefix('=').ok_or_else(broken_tag)?;
        self.skip_space();
        let quote = match self.0.as_bytes().first() {
            Some(b'"') => b'"',
            Some(b'\'') => b'\'',
            _ => return Err(broken_tag()),
        };
        let value = &self.0[1..];
        let end = value
            .bytes()
            .position(|byte| byte == quote)
            .ok_or_else(broken_tag)?;
        self.0 = &value[end + 1..];
        Ok(Some((name, &value[..end])))
    }
}

fn broken_tag() -> Refused {
    Refused::new(Reason::Malformed, "a tag that is not well-formed")
}
