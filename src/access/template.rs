//! Session policies, session tags and public values with values of the person in them.
//!
//! Whatever a directory calls somebody must not reach further than their own: each value is put in
//! by one encoding ([`encoded`]) that leaves no character with a meaning to IAM, and where a text is
//! a pattern it may stand in few places only. Never here: which person may open what. Entry points:
//! [`check_session_policy`], [`check_session_tag`] and [`check_public_value`] when a row is written, [`Values`] when it is
//! used.

mod place;
mod text;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde_json::Value;

use self::{
    place::{Filled, each_text, read},
    text::{Part, Placeholder, parts},
};
use super::{AUDIT_TAG, Dn, Group, Identity, NotEntitled, TargetArn};

/// Characters of an inline session policy and managed policies together (AWS API, AssumeRole).
pub const LONGEST_POLICY: usize = 2_048;
/// Characters of a session tag's key.
const LONGEST_TAG_KEY: usize = 128;
/// Characters of a session tag's value.
const LONGEST_TAG_VALUE: usize = 256;

/// How many public values a role may have, and as many again its account.
pub const PUBLIC_VALUES: usize = 20;
/// Characters of a public value's name.
const LONGEST_PUBLIC_NAME: usize = 40;
/// Characters of a public value as it is written.
const LONGEST_PUBLIC_VALUE: usize = 500;

/// The one form in which a person's value stands in policies and tags.
///
/// Bytes but `A-Z a-z 0-9 _ . @ + -` become `=XX`, and so do the dots of a value that is nothing
/// else. No two values share a form, each can be read back, and all are legal in tags, in object
/// keys and, without a meaning of their own, in IAM's patterns.
pub fn encoded(value: &str) -> String {
    let is_dots = value.bytes().all(|byte| byte == b'.');
    let mut form = String::with_capacity(value.len());
    for byte in value.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"_.@+-".contains(&byte);
        if is_plain && !is_dots {
            form.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(form, "={byte:02X}");
        }
    }
    form
}

/// Says what keeps `text` from being a session policy, placeholders and all.
///
/// # Errors
/// Which text in it, and what would be right.
pub fn check_session_policy(text: &str) -> Result<(), String> {
    let policy = read(text)?;
    check_characters(text)?;
    let mut is_filled = false;
    each_text(&policy, &mut |text, place| {
        let parts = parts(text)?;
        is_filled |= parts.iter().any(|part| part.placeholder().is_some());
        place.check(text, &parts)?;
        Ok::<_, String>(Filled::One(String::new()))
    })?;
    if is_filled {
        // It is written anew, without escapes.
        check_characters(&policy.to_string())?;
    }
    Ok(())
}

fn check_characters(policy: &str) -> Result<(), String> {
    let is_legal = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
    match policy.chars().find(|c| !is_legal(*c)) {
        Some(character) => Err(format!("AWS takes no {character:?} in a session policy")),
        None => Ok(()),
    }
}

/// Says which text of a session policy two people of different connectors could share.
///
/// # Errors
/// That text, and what would be right.
pub(super) fn check_for_many_connectors(policy: &str) -> Result<(), String> {
    let policy = read(policy)?;
    each_text(&policy, &mut |text, place| {
        place.check_for_many(text, &parts(text)?)?;
        Ok(Filled::One(String::new()))
    })
    .map(|_: Value| ())
}

/// Says what keeps a key and a value from being a session tag, placeholders and all.
///
/// # Errors
/// Which tag, and what would be right.
pub fn check_session_tag(key: &str, value: &str) -> Result<(), String> {
    if key.eq_ignore_ascii_case(AUDIT_TAG) {
        return Err(format!(
            "the tag {key:?} is the audit log's own: write audit_tag = true"
        ));
    }
    if key.to_lowercase().starts_with("aws:") {
        return Err(format!(
            "the tag {key:?} begins with aws:, which AWS keeps for itself"
        ));
    }
    if !(1..=LONGEST_TAG_KEY).contains(&key.chars().count()) {
        return Err(format!(
            "a tag's key has 1 to {LONGEST_TAG_KEY} characters: {key:?}"
        ));
    }
    let parts = parts(value).map_err(|error| format!("the tag {key:?}: {error}"))?;
    let fixed = || parts.iter().filter_map(Part::fixed).flat_map(str::chars);
    if fixed().count() > LONGEST_TAG_VALUE {
        return Err(format!(
            "the tag {key:?} has more than {LONGEST_TAG_VALUE} characters"
        ));
    }
    let is_legal = |c: char| {
        c.is_alphanumeric() || (c.is_whitespace() && !c.is_control()) || "_.:/=+-@".contains(c)
    };
    if let Some(character) = key.chars().chain(fixed()).find(|c| !is_legal(*c)) {
        return Err(format!(
            "the tag {key:?} has {character:?}; AWS takes letters, digits, spaces and _.:/=+-@"
        ));
    }
    text::apart(&parts).map_err(|error| format!("the tag {key:?}: {error}"))
}

/// Says what keeps a name and a text from being a public value, placeholders and all.
///
/// # Errors
/// Which value, and what would be right.
pub fn check_public_value(name: &str, value: &str) -> Result<(), String> {
    let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    if !begins_well || !name.bytes().all(is_legal) || name.len() > LONGEST_PUBLIC_NAME {
        return Err(format!(
            "{name:?} cannot name a public value: write a small letter and then small letters, \
             digits and _, such as bucket; {LONGEST_PUBLIC_NAME} characters at most"
        ));
    }
    if value.chars().count() > LONGEST_PUBLIC_VALUE {
        return Err(format!(
            "the public value {name:?} has more than {LONGEST_PUBLIC_VALUE} characters"
        ));
    }
    if let Some(character) = value.chars().find(|character| character.is_control()) {
        return Err(format!(
            "the public value {name:?} has {character:?}: write one line"
        ));
    }
    let parts = parts(value).map_err(|error| format!("the public value {name:?}: {error}"))?;
    text::apart(&parts).map_err(|error| format!("the public value {name:?}: {error}"))
}

/// What the placeholders stand for: one person, and the role that they open.
pub(super) struct Values<'a> {
    pub(super) identity: &'a Identity,
    pub(super) target: &'a TargetArn,
}

/// A placeholder that nothing can be put in for, and why.
struct Missing(Placeholder, &'static str);

impl Values<'_> {
    /// A session policy as it goes to AWS beside `policy_arns`. One without placeholders stays as
    /// it is written.
    ///
    /// # Errors
    /// [`NotEntitled::Template`], where a value is missing or all of it is longer than AWS takes.
    pub(super) fn policy(
        &self,
        template: &str,
        policy_arns: &[String],
    ) -> Result<String, NotEntitled> {
        let key = "session_policy";
        let mut used = BTreeSet::new();
        let filled = if holds_none(template) {
            template.to_owned()
        } else {
            let refused = |problem: String| unfilled(key, "what it is not", problem);
            // The row was checked by the same steps, so that only values can be missing.
            let policy = read(template).map_err(refused)?;
            let policy = each_text(&policy, &mut |text, place| {
                let parts = parts(text).map_err(refused)?;
                place.check(text, &parts).map_err(refused)?;
                used.extend(parts.iter().filter_map(Part::placeholder));
                self.texts(&parts).map_err(|miss| miss.of(key))
            })?;
            if used.is_empty() {
                template.to_owned()
            } else {
                policy.to_string()
            }
        };
        let arns = policy_arns.iter().map(|arn| arn.chars().count());
        let total = filled.chars().count() + arns.sum::<usize>();
        if total > LONGEST_POLICY {
            let problem = format!(
                "and has {total} characters with it, policy_arns included, of which AWS takes \
                 {LONGEST_POLICY}"
            );
            return Err(unfilled(key, &listed(&used), problem));
        }
        Ok(filled)
    }

    /// Session tags as they go to AWS.
    ///
    /// # Errors
    /// [`NotEntitled::Template`], where a value is missing or a tag is longer than AWS takes.
    pub(super) fn tags(
        &self,
        templates: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, NotEntitled> {
        let filled = templates.iter().map(|(tag, template)| {
            let value = self.tag(tag, template)?;
            Ok((tag.clone(), value))
        });
        filled.collect()
    }

    /// Public values as applications are told them. Where the person has nothing to put in, a value
    /// is left out rather than told with a gap: `home//` would be somebody else's.
    pub(super) fn public_values(
        &self,
        templates: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let filled = templates.iter().filter_map(|(name, template)| {
            let parts = parts(template).ok()?;
            let names_groups = parts.contains(&Part::Value(Placeholder::Groups));
            let value = if names_groups {
                self.joined(&parts)
            } else {
                self.text(&parts, "")
            };
            Some((name.clone(), value.ok()?))
        });
        filled.collect()
    }

    fn tag(&self, tag: &str, template: &str) -> Result<String, NotEntitled> {
        let key = "session_tags";
        let refused = |problem: String| unfilled(key, "what it is not", problem);
        let parts = parts(template).map_err(refused)?;
        let value = match self.texts(&parts).map_err(|miss| miss.of(key))? {
            Filled::One(value) => value,
            // Handled as one text, for a tag has one value; encoded values have no colon.
            Filled::Each(_) => self.joined(&parts).map_err(|miss| miss.of(key))?,
        };
        let length = value.chars().count();
        if length > LONGEST_TAG_VALUE {
            let used: BTreeSet<_> = parts.iter().filter_map(Part::placeholder).collect();
            let problem = format!(
                "with which the tag {tag} has {length} characters, and AWS takes \
                 {LONGEST_TAG_VALUE}"
            );
            return Err(unfilled(key, &listed(&used), problem));
        }
        Ok(value)
    }

    /// One text, or one for each group where it names them.
    fn texts(&self, parts: &[Part<'_>]) -> Result<Filled, Missing> {
        let names_groups = parts.contains(&Part::Value(Placeholder::Groups));
        if !names_groups {
            return self.text(parts, "").map(Filled::One);
        }
        let each = self.groups()?.into_iter();
        let each: Result<Vec<String>, Missing> =
            each.map(|group| self.text(parts, &group)).collect();
        each.map(Filled::Each)
    }

    /// One text, the groups one behind the other with colons between.
    fn joined(&self, parts: &[Part<'_>]) -> Result<String, Missing> {
        let groups: Vec<String> = self.groups()?.into_iter().collect();
        self.text(parts, &groups.join(":"))
    }

    fn text(&self, parts: &[Part<'_>], groups: &str) -> Result<String, Missing> {
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Fixed(fixed) => text.push_str(fixed),
                Part::Value(Placeholder::Groups) => text.push_str(groups),
                Part::Value(placeholder) => text.push_str(&self.value(*placeholder)?),
            }
        }
        Ok(text)
    }

    fn value(&self, placeholder: Placeholder) -> Result<String, Missing> {
        let Self { identity, target } = self;
        let value = match placeholder {
            Placeholder::Username => identity.username.as_str(),
            Placeholder::Email => identity.email.as_deref().unwrap_or_default(),
            Placeholder::Subject => identity.subject.as_str(),
            Placeholder::Connector => identity.connector.as_str(),
            Placeholder::DisplayName => identity.display_name.as_deref().unwrap_or_default(),
            Placeholder::Account => target.account_digits(),
            Placeholder::Role => target.name(),
            Placeholder::Groups => "",
        };
        if value.is_empty() {
            return Err(Missing(placeholder, "and the person has none"));
        }
        Ok(encoded(value))
    }

    /// The short names of the person's groups, encoded, each once.
    fn groups(&self) -> Result<BTreeSet<String>, Missing> {
        let groups = self.identity.groups.iter();
        let names: BTreeSet<String> = groups
            .map(|group| encoded(&short_name(group)))
            .filter(|name| !name.is_empty())
            .collect();
        if names.is_empty() {
            return Err(Missing(
                Placeholder::Groups,
                "and the person is in no group",
            ));
        }
        Ok(names)
    }
}

impl Missing {
    fn of(self, key: &'static str) -> NotEntitled {
        let Self(placeholder, problem) = self;
        unfilled(key, &placeholder.to_string(), problem.to_owned())
    }
}

/// The CN of a group that is told by its distinguished name; else what the provider calls it.
fn short_name(group: &Group) -> String {
    let name = group.name.parse::<Dn>().ok();
    let common = name.as_ref().and_then(Dn::common_name);
    common.unwrap_or(&group.name).to_owned()
}

/// Whether a policy needs nothing put in, so that it goes to AWS as written.
fn holds_none(policy: &str) -> bool {
    let mut names = Placeholder::ALL.iter();
    // A brace can be written `\u007b` in JSON.
    !policy.contains("\\u") && names.all(|placeholder| !policy.contains(&placeholder.to_string()))
}

fn unfilled(key: &'static str, placeholder: &str, problem: String) -> NotEntitled {
    NotEntitled::Template {
        key,
        placeholder: placeholder.to_owned(),
        problem,
    }
}

fn listed(used: &BTreeSet<Placeholder>) -> String {
    if used.is_empty() {
        return "fewer characters".to_owned();
    }
    let names: Vec<String> = used.iter().map(Placeholder::to_string).collect();
    names.join(" and ")
}

#[cfg(test)]
mod tests;
