//! The roles that a person can open, and what somebody means who types a part of a name.
//!
//! Pure. Entry points: [`OfferedRole`], [`find`].

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How many roles an error names.
const NAMED: usize = 10;
/// Below that likeness a name is no help.
const ALIKE: f64 = 0.6;

/// A role that the server offers; what this client does not know of it is left out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what the server's answer says of a role, each apart"
)]
pub struct OfferedRole {
    /// Its ARN.
    pub arn: String,
    /// Its name, which is unique within the account.
    pub name: String,
    /// The account it is in.
    pub account: Account,
    /// What it is for.
    #[serde(default)]
    pub description: Option<String>,
    /// How the server opens it.
    #[serde(default)]
    pub grant_method: Option<String>,
    /// The longest session.
    #[serde(default)]
    pub longest_seconds: Option<u64>,
    /// Whether the person has to say why.
    #[serde(default)]
    pub requires_reason: bool,
    /// Whether a code of an MFA device is asked for.
    #[serde(default)]
    pub requires_code: bool,
    /// Whether it only reads.
    #[serde(default)]
    pub read_only: bool,
    /// Whether it opens the console.
    #[serde(default = "is_open")]
    pub opens_console: bool,
    /// Whether it gives credentials.
    #[serde(default = "is_open")]
    pub opens_credentials: bool,
    /// Where it works.
    #[serde(default)]
    pub region: Option<String>,
    /// What the last probe found.
    #[serde(default)]
    pub state: Option<String>,
    /// What its mapping tells applications, such as a bucket.
    #[serde(default)]
    pub public_values: serde_json::Map<String, serde_json::Value>,
}

/// An AWS account, as people know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    /// Twelve digits.
    pub id: String,
    /// What it is called.
    #[serde(default)]
    pub name: Option<String>,
    /// `production`, `test`, …
    #[serde(default)]
    pub environment: Option<String>,
}

fn is_open() -> bool {
    true
}

impl OfferedRole {
    /// `Payments production/ReadOnly`.
    pub fn label(&self) -> String {
        format!("{}/{}", self.account.label(), self.name)
    }

    /// Whether a program can take it without asking its person anything.
    pub fn needs_nobody(&self) -> bool {
        self.opens_credentials && !self.requires_reason && !self.requires_code
    }

    /// Everything that names it, in lower case.
    fn names(&self) -> Vec<String> {
        let path = self.arn.split_once(":role/").map_or("", |(_, path)| path);
        let mut names = vec![self.arn.to_lowercase()];
        for account in self.account.names() {
            names.push(format!("{account}/{}", self.name).to_lowercase());
            if !path.is_empty() {
                names.push(format!("{account}/{path}").to_lowercase());
            }
        }
        names
    }
}

impl Account {
    /// Its name, or its id where it has none.
    pub fn label(&self) -> &str {
        self.names().last().unwrap_or(&self.id)
    }

    fn names(&self) -> impl DoubleEndedIterator<Item = &str> {
        let name = self.name.as_deref().filter(|name| !name.is_empty());
        std::iter::once(self.id.as_str()).chain(name)
    }
}

/// A text that names no role, or not one alone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotFound {
    /// Several roles fit.
    #[error("`{text}` could be any of these; write more of it, or the ARN:\n{}", listed(.candidates))]
    Ambiguous {
        /// What was typed.
        text: String,
        /// `account/role (ARN)` of each.
        candidates: Vec<String>,
    },
    /// None fits.
    #[error("none of your roles is called `{text}`{}", suggested(.nearest))]
    Unknown {
        /// What was typed.
        text: String,
        /// `account/role (ARN)` of those that are written alike.
        nearest: Vec<String>,
    },
}

fn listed(names: &[String]) -> String {
    let mut lines: Vec<String> = names.iter().take(NAMED).map(|n| format!("  {n}")).collect();
    if names.len() > NAMED {
        lines.push(format!("  and {} more", names.len() - NAMED));
    }
    lines.join("\n")
}

fn suggested(names: &[String]) -> String {
    if names.is_empty() {
        return "; `rolegate roles` lists what you can open".to_owned();
    }
    format!("; perhaps you mean:\n{}", listed(names))
}

/// What a text says about a role.
#[derive(Debug, Clone, Copy)]
pub struct Match<'a> {
    /// The role.
    pub role: &'a OfferedRole,
    /// Whether the text is its whole name, so that another role could never be meant later.
    pub is_whole: bool,
}

type IsMeant<'a> = &'a dyn Fn(&OfferedRole) -> bool;

/// The one role that a text means: its ARN or `account/role` (the account by id or name), the role's
/// name alone, the beginnings of these, or words out of them. Case does not count; what is meant
/// more exactly goes first.
///
/// # Errors
/// [`NotFound`], with the candidates.
pub fn find<'a>(text: &str, roles: &'a [OfferedRole]) -> Result<Match<'a>, NotFound> {
    let typed = text.trim().to_lowercase();
    let ways: [(IsMeant<'_>, bool); 5] = [
        (&|role| role.names().contains(&typed), true),
        (&|role| role.name.to_lowercase() == typed, false),
        (&|role| begins(&typed, role), false),
        (&|role| role.name.to_lowercase().starts_with(&typed), false),
        (&|role| has_words(&typed, role), false),
    ];
    let is_empty = !typed.chars().any(char::is_alphanumeric);
    for (is_meant, is_whole) in ways.into_iter().filter(|_| !is_empty) {
        let found: Vec<&OfferedRole> = roles.iter().filter(|role| is_meant(role)).collect();
        match found.as_slice() {
            [] => {}
            [role] => return Ok(Match { role, is_whole }),
            several => {
                return Err(NotFound::Ambiguous {
                    text: text.to_owned(),
                    candidates: several.iter().map(|role| described(role)).collect(),
                });
            }
        }
    }
    Err(NotFound::Unknown {
        text: text.to_owned(),
        nearest: alike(&typed, roles),
    })
}

fn described(role: &OfferedRole) -> String {
    format!("{} ({})", role.label(), role.arn)
}

/// `pay/read` begins `Payments production/ReadOnly`.
fn begins(typed: &str, role: &OfferedRole) -> bool {
    if role.names().iter().any(|name| name.starts_with(typed)) {
        return true;
    }
    let Some((account, name)) = typed.rsplit_once('/') else {
        return false;
    };
    let is_account = |whole: &str| whole.to_lowercase().starts_with(account);
    role.account.names().any(is_account) && role.name.to_lowercase().starts_with(name)
}

/// Each word, with slashes, blanks and hyphens between, is somewhere in the names.
fn has_words(typed: &str, role: &OfferedRole) -> bool {
    let whole = format!("{} {} {}", role.account.label(), role.account.id, role.name);
    let whole = whole.to_lowercase();
    let mut words = typed
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .peekable();
    words.peek().is_some() && words.all(|word| whole.contains(word))
}

fn alike(typed: &str, roles: &[OfferedRole]) -> Vec<String> {
    let mut ranked: Vec<(f64, &OfferedRole)> = roles
        .iter()
        .map(|role| {
            let name = role.name.to_lowercase();
            let names = role.names();
            let all = names.iter().chain(std::iter::once(&name));
            let likeness = all.map(|name| strsim::normalized_damerau_levenshtein(typed, name));
            (likeness.fold(0.0, f64::max), role)
        })
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    ranked.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    let nearest = ranked.iter().take(3);
    nearest.map(|(_, role)| described(role)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn role(id: &str, account: &str, path: &str) -> OfferedRole {
        let name = path.rsplit('/').next().unwrap();
        serde_json::from_value(serde_json::json!({
            "arn": format!("arn:aws:iam::{id}:role/{path}"),
            "name": name,
            "account": {"id": id, "name": account, "environment": null},
        }))
        .unwrap()
    }

    fn roles() -> Vec<OfferedRole> {
        vec![
            role("111122223333", "Payments production", "team/ReadOnly"),
            role("111122223333", "Payments production", "Operator"),
            role("444455556666", "Payments development", "Developer"),
            role("444455556666", "Payments development", "ReadOnly"),
            role("777788889999", "Data platform", "Admin"),
            role("777788889999", "Data platform", "AdminAudit"),
        ]
    }

    #[test]
    fn one_role_is_meant() {
        let roles = roles();
        for (text, index, is_whole) in [
            ("arn:aws:iam::111122223333:role/team/ReadOnly", 0, true),
            ("111122223333/readonly", 0, true),
            ("111122223333/team/ReadOnly", 0, true),
            ("payments production/ReadOnly", 0, true),
            ("Operator", 1, false),
            ("op", 1, false),
            ("payments d/read", 3, false),
            ("4444/dev", 2, false),
            ("data platform/admin", 4, true),
            ("admin", 4, false),
            ("adminA", 5, false),
            ("payments operator", 1, false),
            ("prod-read", 0, false),
        ] {
            let found = find(text, &roles).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(found.role.arn, roles[index].arn, "{text}");
            assert_eq!(found.is_whole, is_whole, "{text}");
        }
    }

    #[test]
    fn what_could_be_several_names_them_all() {
        let roles = roles();
        for (text, count) in [("ReadOnly", 2), ("payments", 4), ("data/adm", 2)] {
            match find(text, &roles) {
                Err(NotFound::Ambiguous { candidates, .. }) => {
                    assert_eq!(candidates.len(), count, "{text}: {candidates:?}");
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_none_names_what_is_written_alike() {
        let roles = roles();
        let told = find("Oeprator", &roles).unwrap_err().to_string();
        assert!(told.contains("Payments production/Operator"), "{told}");
        for text in ["", "  ", "-", "zzz"] {
            let told = find(text, &roles).unwrap_err().to_string();
            assert!(told.contains("`rolegate roles`"), "{text:?}: {told}");
        }
    }
}
