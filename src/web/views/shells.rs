//! One value as a command of each shell, in quotes that leave it as it is. Entry point: [`Shell`].
//!
//! Never here: what the values are. What no quoting can carry is not written at all.

/// A shell that commands are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::enum_variant_names, reason = "PowerShell is its name")]
pub(super) enum Shell {
    /// bash, zsh, dash and every other shell after POSIX.
    Posix,
    /// fish
    Fish,
    /// PowerShell, on Windows and elsewhere.
    PowerShell,
    /// The Windows command prompt.
    Cmd,
}

impl Shell {
    /// The command that puts a value into the environment. None where the value cannot be pasted:
    /// control characters are keys to a terminal, and the command prompt expands `%NAME%` in quotes
    /// too.
    pub(super) fn variable(self, name: &str, value: &str) -> Option<String> {
        let value = self.quoted(value)?;
        Some(match self {
            Self::Posix => format!("export {name}={value}"),
            Self::Fish => format!("set -gx {name} {value}"),
            Self::PowerShell => format!("$Env:{name} = {value}"),
            Self::Cmd => format!("set \"{name}={value}\""),
        })
    }

    /// A value as one word of a command; for the command prompt, as it stands between quotes.
    pub(super) fn quoted(self, value: &str) -> Option<String> {
        if value.chars().any(char::is_control) {
            return None;
        }
        match self {
            Self::Posix => Some(format!("'{}'", value.replace('\'', r"'\''"))),
            Self::Fish => {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                Some(format!("'{value}'"))
            }
            Self::PowerShell => Some(powershell(value)),
            Self::Cmd => (!value.contains(['"', '%', '!'])).then(|| value.to_owned()),
        }
    }
}

/// PowerShell takes typographic quotes for plain ones, and two of any kind for one of them.
fn powershell(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 2);
    quoted.push('\'');
    for character in value.chars() {
        quoted.push(character);
        if is_powershell_quote(character) {
            quoted.push(character);
        }
    }
    quoted.push('\'');
    quoted
}

/// What PowerShell's lexical grammar calls single-quote-character.
fn is_powershell_quote(character: char) -> bool {
    matches!(character, '\'' | '\u{2018}'..='\u{201b}')
}

#[cfg(test)]
mod tests;
