//! Namespaces: which prefix stands for what, where.
//!
//! The number of bindings in scope is bounded, so that a lookup costs no more than a constant.

use super::MOST_IN_SCOPE;
use crate::identity::saml::refusal::{Reason, Refused};

/// A namespace as far as the gate tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Namespace {
    /// No namespace.
    None,
    /// `xml:`.
    Xml,
    /// XML Schema instance: `xsi:type`, `xsi:nil`.
    Instance,
    /// SAML 2.0 assertions.
    Assertion,
    /// SAML 2.0 protocol messages.
    Protocol,
    /// XML signatures 1.0.
    Signature,
    /// XML signatures 1.1, for keys.
    Signature11,
    /// XML encryption 1.0.
    Encryption,
    /// XML encryption 1.1.
    Encryption11,
    /// Exclusive canonicalization.
    Canonicalization,
    /// WS-Security, whose references to certificates stand in encrypted keys.
    Security,
    /// Any other.
    Other,
}

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

/// The bindings in scope, the innermost last.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    bindings: Vec<(&'a str, Namespace)>,
}

impl<'a> Scope<'a> {
    /// How many bindings are in scope; what [`Scope::leave`] takes.
    pub(super) fn len(&self) -> usize {
        self.bindings.len()
    }

    /// Forgets the bindings of the elements that have ended.
    pub(super) fn leave(&mut self, len: usize) {
        self.bindings.truncate(len);
    }

    /// Adds the declarations of one element: prefix (empty: the default) and raw value.
    pub(super) fn enter(&mut self, declarations: &[(&'a str, &'a str)]) -> Result<(), Refused> {
        let first = self.bindings.len();
        for &(prefix, uri) in declarations {
            if self.bindings[first..]
                .iter()
                .any(|(seen, _)| *seen == prefix)
            {
                return Err(Refused::new(
                    Reason::Malformed,
                    format!("the prefix {prefix:?} is declared twice on one element"),
                ));
            }
            self.bindings.push((prefix, declared(prefix, uri)?));
        }
        if self.bindings.len() > MOST_IN_SCOPE {
            return Err(Refused::new(
                Reason::TooComplex,
                format!("more than {MOST_IN_SCOPE} namespace declarations in scope"),
            ));
        }
        Ok(())
    }

    /// What an element's prefix stands for.
    pub(super) fn of_element(&self, prefix: &str) -> Result<Namespace, Refused> {
        let bound = self
            .bindings
            .iter()
            .rev()
            .find(|(bound, _)| *bound == prefix);
        match bound {
            Some((_, namespace)) => Ok(*namespace),
            None if prefix.is_empty() => Ok(Namespace::None),
            None if prefix == "xml" => Ok(Namespace::Xml),
            None => Err(Refused::new(
                Reason::Namespace,
                format!("the prefix {prefix:?} is not declared"),
            )),
        }
    }

    /// What an attribute's prefix stands for: without one, no namespace.
    pub(super) fn of_attribute(&self, prefix: &str) -> Result<Namespace, Refused> {
        if prefix.is_empty() {
            return Ok(Namespace::None);
        }
        self.of_element(prefix)
    }
}

fn declared(prefix: &str, uri: &str) -> Result<Namespace, Refused> {
    if matches!(prefix, "xml" | "xmlns") || matches!(uri, XML | XMLNS) {
        return Err(Refused::new(
            Reason::Namespace,
            "xml and xmlns are declared anew",
        ));
    }
    if uri.is_empty() && prefix.is_empty() {
        return Ok(Namespace::None);
    }
    Ok(match uri {
        "urn:oasis:names:tc:SAML:2.0:assertion" => Namespace::Assertion,
        "urn:oasis:names:tc:SAML:2.0:protocol" => Namespace::Protocol,
        "http://www.w3.org/2000/09/xmldsig#" => Namespace::Signature,
        "http://www.w3.org/2009/xmldsig11#" => Namespace::Signature11,
        "http://www.w3.org/2001/04/xmlenc#" => Namespace::Encryption,
        "http://www.w3.org/2009/xmlenc11#" => Namespace::Encryption11,
        "http://www.w3.org/2001/10/xml-exc-c14n#" => Namespace::Canonicalization,
        "http://www.w3.org/2001/XMLSchema-instance" => Namespace::Instance,
        "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd" => {
            Namespace::Security
        }
        _ if is_absolute(uri) => Namespace::Other,
        _ => {
            return Err(Refused::new(
                Reason::Namespace,
                format!("{uri:?} is no absolute namespace URI"),
            ));
        }
    })
}

/// Whether every reader takes this for an absolute URI. Canonicalization fails on others, and a
/// digest of nothing is easily known (CVE-2025-66568).
fn is_absolute(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let is_plain = rest
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$'()*+,;=:/?#@".contains(&byte));
    let fragments = rest.bytes().filter(|byte| *byte == b'#').count();
    is_scheme && is_plain && fragments <= 1 && has_host_or_path(rest)
}

fn has_host_or_path(rest: &str) -> bool {
    let Some(after) = rest.strip_prefix("//") else {
        return !rest.is_empty() && !rest.starts_with(['/', '?', '#']);
    };
    let end = after.find(['/', '?', '#']).unwrap_or(after.len());
    let (host, port) = after[..end].split_once(':').unwrap_or((&after[..end], "1"));
    !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && (1..=5).contains(&port.len())
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_uris_are_namespaces() {
        for right in [
            "urn:mace:shibboleth:2.0",
            "http://a.test:80/b#c",
            "https://h",
        ] {
            assert!(is_absolute(right), "{right}");
        }
        for wrong in [
            "",
            "relative",
            "../up",
            "#x",
            "urn:",
            "http:",
            "http://",
            "http:///x",
            "http://h:/",
            "http://h:x/",
            "urn:a b",
            "urn:a ",
            " urn:a",
            "1:a",
            "urn:a&amp;b",
            "urn:%zz",
            "http://[::1]/",
            "urn:a#b#c",
            "urn:\u{e9}",
            "urn:a\nb",
            "http:/x",
        ] {
            assert!(!is_absolute(wrong), "{wrong}");
        }
    }
}
