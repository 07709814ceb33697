//! Which environment an account belongs to, as a word and a colour.

use crate::{access::Account, web::EnvironmentRule};

/// An environment as the picker shows it: a colour, never without its word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Environment {
    /// What the account says, else the rule's word.
    pub(crate) word: String,
    /// The rule's colour, as in class names and the picker's JSON.
    pub(crate) colour: String,
}

impl Environment {
    /// By the first rule that matches the account's own label, or its name where it has none.
    pub(crate) fn of(account: Option<&Account>, rules: &[EnvironmentRule]) -> Self {
        let label = account
            .and_then(|account| account.environment.as_deref())
            .map(str::trim);
        let label = label.filter(|label| !label.is_empty());
        let text = label
            .or(account.map(|account| account.name.as_str()))
            .unwrap_or_default();
        let rule = rules.iter().find(|rule| rule.pattern.is_match(text));
        Self {
            word: label
                .or(rule.map(|rule| rule.name.as_str()))
                .unwrap_or_default()
                .to_owned(),
            colour: rule.map_or("grey", |rule| rule.colour.as_str()).to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use super::*;

    fn environment(name: &str, label: Option<&str>) -> (String, String) {
        let rule = |name: &str, pattern: &str, colour: &str| EnvironmentRule {
            name: name.to_owned(),
            pattern: Regex::new(pattern).unwrap(),
            colour: colour.to_owned(),
        };
        let rules = [
            rule("test", "non-?prod|test", "amber"),
            rule("production", "prod", "red"),
        ];
        let account = Account {
            colour: None,
            owner: None,
            id: "111122223333".parse().unwrap(),
            name: name.to_owned(),
            alias: None,
            environment: label.map(str::to_owned),
            description: None,
            protected: false,
            role_defaults: crate::access::RoleDefaults::default(),
        };
        let Environment { word, colour } = Environment::of(Some(&account), &rules);
        (word, colour)
    }

    #[test]
    fn the_first_rule_that_matches_gives_word_and_colour() {
        let is = |word: &str, colour: &str| (word.to_owned(), colour.to_owned());
        assert_eq!(environment("pay-prod", None), is("production", "red"));
        assert_eq!(environment("pay-nonprod", None), is("test", "amber"));
        assert_eq!(environment("pay", None), is("", "grey"));
    }

    #[test]
    fn an_accounts_own_label_counts_before_its_name() {
        let (word, colour) = environment("pay-prod", Some("test bench"));
        assert_eq!((word.as_str(), colour.as_str()), ("test bench", "amber"));
    }
}
