//! Entries and their attributes, with values kept beside the keys they are matched by.

use std::fmt;

use aws_lc_rs::digest;

use super::dn::{Dn, fold};

/// Attributes that a search returns only when asked for by name or by `+` (RFC 4512 section 3.4).
const OPERATIONAL: [&str; 3] = ["entryuuid", "entrydn", LOCKED_TIME_KEY];
/// Attributes that no search may return or test.
const HIDDEN: [&str; 1] = ["userpassword"];
/// Attributes whose values are distinguished names.
const NAMES: [&str; 7] = [
    "entrydn",
    "member",
    "uniquemember",
    "memberof",
    "owner",
    "manager",
    "seealso",
];
/// What slapd's password policy puts on a locked entry.
pub(super) const LOCKED_TIME: &str = "pwdAccountLockedTime";
const LOCKED_TIME_KEY: &str = "pwdaccountlockedtime";

/// One directory entry; `userPassword` is what a bind is checked against and is never shown.
#[derive(Clone)]
pub struct Entry {
    pub(super) dn: String,
    pub(super) attributes: Vec<Attribute>,
}

#[derive(Clone)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) values: Vec<String>,
    match_keys: Vec<String>,
}

impl Entry {
    /// An entry without attributes; the attribute of its RDN is not added by itself.
    pub fn new(dn: impl Into<String>) -> Self {
        Self {
            dn: dn.into(),
            attributes: Vec::new(),
        }
    }

    /// The name as it was given.
    pub fn dn(&self) -> &str {
        &self.dn
    }

    /// Adds values to an attribute. A given `entryUUID` replaces the one derived from the DN.
    #[must_use]
    pub fn with<V: Into<String>>(
        mut self,
        attribute: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        for value in values {
            self.add(attribute, value.into());
        }
        self
    }

    /// The attribute with this name in lower case.
    pub(super) fn attribute(&self, key: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.key == key)
    }

    pub(super) fn add(&mut self, name: &str, value: String) {
        let key = name.to_ascii_lowercase();
        let match_key = match_key(&key, &value);
        if let Some(attribute) = self
            .attributes
            .iter_mut()
            .find(|attribute| attribute.key == key)
        {
            if !attribute.match_keys.contains(&match_key) {
                attribute.values.push(value);
                attribute.match_keys.push(match_key);
            }
            return;
        }
        self.attributes.push(Attribute {
            name: name.to_owned(),
            key,
            values: vec![value],
            match_keys: vec![match_key],
        });
    }

    pub(super) fn remove_value(&mut self, name: &str, value: &str) {
        let key = name.to_ascii_lowercase();
        let match_key = match_key(&key, value);
        for attribute in self
            .attributes
            .iter_mut()
            .filter(|attribute| attribute.key == key)
        {
            if let Some(index) = attribute
                .match_keys
                .iter()
                .position(|known| *known == match_key)
            {
                attribute.match_keys.remove(index);
                attribute.values.remove(index);
            }
        }
        self.attributes
            .retain(|attribute| !attribute.values.is_empty());
    }

    pub(super) fn remove_attribute(&mut self, name: &str) {
        let key = name.to_ascii_lowercase();
        self.attributes.retain(|attribute| attribute.key != key);
    }

    pub(super) fn is_locked(&self) -> bool {
        self.attribute(LOCKED_TIME_KEY).is_some()
    }

    /// Gives the entry its `entryDN` (RFC 5020), and the `entryUUID` that follows from its name
    /// unless it has one.
    pub(super) fn identified(mut self) -> Self {
        self.remove_attribute("entryDN");
        self.add("entryDN", self.dn.clone());
        if self.attribute("entryuuid").is_none() {
            let name = self.dn.to_lowercase();
            let hash = digest::digest(&digest::SHA256, name.as_bytes());
            let mut bytes = [0_u8; 16];
            for (byte, source) in bytes.iter_mut().zip(hash.as_ref()) {
                *byte = *source;
            }
            let uuid = uuid::Builder::from_random_bytes(bytes).into_uuid();
            self.add("entryUUID", uuid.to_string());
        }
        self
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Entry").field(&self.dn).finish()
    }
}

impl Attribute {
    pub(super) fn is_operational(&self) -> bool {
        OPERATIONAL.contains(&self.key.as_str())
    }

    pub(super) fn is_hidden(&self) -> bool {
        HIDDEN.contains(&self.key.as_str())
    }

    /// Whether one of the values has this [`match_key`].
    pub(super) fn holds(&self, match_key: &str) -> bool {
        self.match_keys.iter().any(|known| known == match_key)
    }

    pub(super) fn folded(&self) -> impl Iterator<Item = String> + '_ {
        self.values.iter().map(|value| fold(value))
    }
}

/// What two values are compared by: the name for DN attributes, folded text for all others.
pub(super) fn match_key(attribute_key: &str, value: &str) -> String {
    if NAMES.contains(&attribute_key)
        && let Some(dn) = Dn::parse(value)
    {
        return dn.key();
    }
    fold(value)
}
