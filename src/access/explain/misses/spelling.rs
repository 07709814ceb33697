//! Group names as people mix them up: case, blanks, a distinguished name and its first value.
//!
//! Never used to decide, only to point out. Entry points: [`Spelling`], [`Spellings`].

use crate::access::{
    Dn, Group, GroupKey, Identity,
    explain::words::{is_distinguished, shortened},
};

/// One group's name in the forms that are compared.
pub(super) struct Spelling {
    folded: String,
    /// In normal form, where it is a distinguished name.
    distinguished: Option<String>,
    /// The first value of a distinguished name, folded.
    leading: String,
}

impl Spelling {
    pub(super) fn of(value: &str) -> Self {
        let parsed = value.parse::<Dn>().ok();
        let dn = parsed.filter(|_| is_distinguished(value));
        Self {
            folded: fold(value),
            leading: fold(&shortened(value)),
            distinguished: dn.map(|dn| dn.normalised()),
        }
    }

    /// Whether both can be meant to be the same name. Two whole distinguished names are the same
    /// only where every part of them is.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (&self.distinguished, &other.distinguished) {
            (Some(one), Some(another)) => one == another,
            (None, None) => self.folded == other.folded,
            _ => self.leading == other.leading,
        }
    }
}

fn fold(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").to_lowercase()
}

/// What a rule may have been meant to match: the name, and the ways it is commonly written.
pub(super) fn readings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned()];
    let words: Vec<&str> = name.split_whitespace().collect();
    for other in [words.join(" "), shortened(name)] {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}

/// A person's groups with their names, ready to be compared with a whole table.
pub(super) struct Spellings<'i> {
    pub(super) groups: Vec<(&'i Group, Spelling)>,
}

impl<'i> Spellings<'i> {
    pub(super) fn of(identity: &'i Identity) -> Self {
        let spelled = |group: &'i Group| (group, Spelling::of(group.key.value()));
        Self {
            groups: identity.groups.iter().map(spelled).collect(),
        }
    }

    /// Whether the person has just this group.
    pub(super) fn holds(&self, key: &GroupKey) -> bool {
        self.groups.iter().any(|(group, _)| group.key == *key)
    }

    /// The person's group of another key with that stable id.
    pub(super) fn with_id(&self, id: &str, key: &GroupKey) -> Option<&'i Group> {
        let mut groups = self.groups.iter().map(|(group, _)| *group);
        groups.find(|group| {
            group.stable_id.as_deref() == Some(id)
                && group.key != *key
                && group.key.connector() == key.connector()
        })
    }

    /// The person's group whose name is written like this one, at the same connector or elsewhere.
    pub(super) fn like(&self, key: &GroupKey, at_same_connector: bool) -> Option<&'i Group> {
        let wanted = Spelling::of(key.value());
        let mut groups = self.groups.iter();
        let found = groups.find(|(group, spelling)| {
            let is_same = group.key.connector() == key.connector();
            is_same == at_same_connector && group.key != *key && spelling.is_like(&wanted)
        });
        found.map(|(group, _)| *group)
    }
}
