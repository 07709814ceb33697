//! A text cut at its placeholders.

use std::fmt;

/// What may stand between braces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Placeholder {
    Username,
    Email,
    Subject,
    Connector,
    DisplayName,
    Groups,
    Account,
    Role,
}

impl Placeholder {
    pub(super) const ALL: [Self; 8] = [
        Self::Username,
        Self::Email,
        Self::Subject,
        Self::Connector,
        Self::DisplayName,
        Self::Groups,
        Self::Account,
        Self::Role,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Username => "username",
            Self::Email => "email",
            Self::Subject => "subject",
            Self::Connector => "connector",
            Self::DisplayName => "display_name",
            Self::Groups => "groups",
            Self::Account => "account",
            Self::Role => "role",
        }
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// Whether it is another for each person; the role's own account and name are like fixed text.
    pub(super) fn is_of_person(self) -> bool {
        !matches!(self, Self::Account | Self::Role)
    }

    /// Whether no two people of one connector have the same.
    pub(super) fn tells_people_apart(self) -> bool {
        matches!(self, Self::Username | Self::Subject)
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.name())
    }
}

/// A piece of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part<'t> {
    /// Never empty.
    Fixed(&'t str),
    Value(Placeholder),
}

impl<'t> Part<'t> {
    pub(super) fn fixed(&self) -> Option<&'t str> {
        match self {
            Self::Fixed(text) => Some(text),
            Self::Value(_) => None,
        }
    }

    pub(super) fn placeholder(&self) -> Option<Placeholder> {
        match self {
            Self::Fixed(_) => None,
            Self::Value(placeholder) => Some(*placeholder),
        }
    }
}

/// Cuts `text` at its placeholders. AWS's own variables, `${aws:username}`, are fixed text.
///
/// # Errors
/// A word between braces that is no placeholder, or a placeholder that AWS would take for its own.
pub(super) fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut fixed_from = 0;
    let mut at = 0;
    while let Some(brace) = text[at..].find('{').map(|found| at + found) {
        let Some(length) = text[brace + 1..].find('}') else {
            break;
        };
        let (name, end) = (&text[brace + 1..brace + 1 + length], brace + length + 2);
        let is_variable = text[..brace].ends_with('$');
        if is_variable {
            check_variable(text, name)?;
            at = end;
        } else if let Some(placeholder) = Placeholder::named(name) {
            push_fixed(&mut parts, &text[fixed_from..brace]);
            parts.push(Part::Value(placeholder));
            (fixed_from, at) = (end, end);
        } else if is_word(name) {
            return Err(format!(
                "{text:?}: there is no {{{name}}}; there are {}",
                known()
            ));
        } else {
            // A lone brace; another may begin a placeholder behind it.
            at = brace + 1;
        }
    }
    push_fixed(&mut parts, &text[fixed_from..]);
    Ok(parts)
}

/// Two values never touch: without a character between that no value has, two people could share
/// what comes out.
///
/// # Errors
/// Where they touch, and what would be right.
pub(super) fn apart(parts: &[Part<'_>]) -> Result<(), String> {
    let mut last: Option<Placeholder> = None;
    let mut is_apart = true;
    for part in parts {
        match part {
            Part::Fixed(fixed) => is_apart |= fixed.contains(['/', ':', ' ']),
            Part::Value(placeholder) => {
                if let Some(last) = last.filter(|_| !is_apart) {
                    return Err(format!(
                        "{last} and {placeholder} need one of / : or a space between them, for \
                         two people could share the value otherwise"
                    ));
                }
                (last, is_apart) = (Some(*placeholder), false);
            }
        }
    }
    Ok(())
}

fn push_fixed<'t>(parts: &mut Vec<Part<'t>>, text: &'t str) {
    if !text.is_empty() {
        parts.push(Part::Fixed(text));
    }
}

fn check_variable(text: &str, name: &str) -> Result<(), String> {
    if name.contains('{') {
        return Err(format!(
            "{text:?}: a placeholder cannot stand within ${{…}}, whose inside is AWS's"
        ));
    }
    match Placeholder::named(name) {
        Some(placeholder) => Err(format!(
            "{text:?}: ${placeholder} would be a variable of AWS's; write {placeholder}"
        )),
        None => Ok(()),
    }
}

fn is_word(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !name.is_empty() && name.bytes().all(is_word)
}

fn known() -> String {
    let names = Placeholder::ALL.map(|placeholder| placeholder.to_string());
    names.join(", ")
}
