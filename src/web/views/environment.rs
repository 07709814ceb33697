//! Which environment an account belongs to, as a word and a colour.

use crate::access::Account;

/// The colour family of an environment, never shown without its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Red.
    Production,
    /// Amber.
    Test,
    /// Green.
    Development,
    /// Grey.
    Other,
}

impl Tone {
    /// The name in class names and in the picker's JSON.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Test => "test",
            Self::Development => "development",
            Self::Other => "other",
        }
    }
}

/// An environment as the picker shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    /// The organisation's word, or ours where the name alone told.
    pub(crate) word: String,
    /// The colour beside it.
    pub(crate) tone: Tone,
}

impl Environment {
    /// What the account says, else what its name suggests.
    pub(crate) fn of(account: Option<&Account>) -> Self {
        let Some(account) = account else {
            return Self {
                word: String::new(),
                tone: Tone::Other,
            };
        };
        if let Some(word) = account
            .environment
            .as_deref()
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            return Self {
                word: word.to_owned(),
                tone: tone_of(word),
            };
        }
        let tone = tone_of(&account.name);
        let word = match tone {
            Tone::Production => "prod",
            Tone::Test => "test",
            Tone::Development => "dev",
            Tone::Other => "",
        };
        Self {
            word: word.to_owned(),
            tone,
        }
    }
}

/// Whole words only, so that `Products` and `Latest` are not taken for something else; anything
/// that is called non-production is not red.
fn tone_of(name: &str) -> Tone {
    let name = name.to_lowercase();
    let words: Vec<&str> = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    let has = |known: &[&str]| words.iter().any(|word| known.contains(word));
    if has(&[
        "nonprod",
        "nonproduction",
        "non",
        "preprod",
        "test",
        "testing",
    ]) || has(&["stage", "staging", "stg", "uat", "qa", "integration", "pre"])
    {
        Tone::Test
    } else if has(&["prod", "prd", "production", "live"]) {
        Tone::Production
    } else if has(&["dev", "development", "sandbox", "lab", "playground"]) {
        Tone::Development
    } else {
        Tone::Other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_word_by_word() {
        for (name, tone) in [
            ("Payments production", Tone::Production),
            ("payments-prod", Tone::Production),
            ("Products catalogue", Tone::Other),
            ("payments-non-prod", Tone::Test),
            ("Latest", Tone::Other),
            ("QA", Tone::Test),
            ("sandbox_ada", Tone::Development),
            ("", Tone::Other),
        ] {
            assert_eq!(tone_of(name), tone, "{name}");
        }
    }
}
