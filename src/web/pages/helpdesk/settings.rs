//! The settings of accounts and roles as a form: what is there becomes fields, and what was typed
//! becomes a row again, or sentences about what cannot be used.

use std::collections::BTreeMap;

use super::super::super::views::helpdesk::roles::{Setting, SettingKind};
use crate::access::{
    Account, AccountId, ConsoleWay, GrantMethod, NameTemplate, Role, RoleDefaults, SamlProviderArn,
    SessionDuration, TargetArn,
};

/// The longest line of text, in characters.
const LONGEST_LINE: usize = 500;
/// AWS's limit for a session policy, in characters without blanks between the words.
const LONGEST_POLICY: usize = 2_048;
/// AWS's limit for managed session policies.
const MOST_POLICY_ARNS: usize = 10;

/// What was typed, by field, and what is wrong with it.
#[derive(Debug, Clone, Default)]
pub(super) struct Typed {
    values: BTreeMap<String, String>,
    errors: BTreeMap<&'static str, String>,
}

impl Typed {
    /// The fields of a form; the first of a name counts.
    pub(super) fn of_form(fields: Vec<(String, String)>) -> Self {
        let mut typed = Self::default();
        for (name, value) in fields {
            typed.values.entry(name).or_insert(value);
        }
        typed
    }

    /// What was typed, without blanks around it.
    pub(super) fn text(&self, name: &str) -> &str {
        self.values.get(name).map_or("", |value| value.trim())
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_owned(), value.into());
    }

    fn is_checked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// Whether all of it can be used.
    pub(super) fn is_fine(&self) -> bool {
        self.errors.is_empty()
    }

    fn wrong(&mut self, name: &'static str, message: impl Into<String>) {
        self.errors.entry(name).or_insert_with(|| message.into());
    }

    fn line(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name).to_owned();
        if text.chars().count() > LONGEST_LINE {
            self.wrong(name, format!("At most {LONGEST_LINE} characters fit here."));
        }
        (!text.is_empty()).then_some(text)
    }

    /// Reads a field by what its type says is right; nothing where nothing was typed.
    fn parsed<T>(&mut self, name: &'static str) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.text(name);
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let error = sentence(&error.to_string());
                self.wrong(name, error);
                None
            }
        }
    }

    fn setting(
        &self,
        name: &'static str,
        (label, hint): (&'static str, &'static str),
        kind: SettingKind,
    ) -> Setting {
        let value = self.values.get(name).cloned().unwrap_or_default();
        Setting {
            name,
            label,
            hint,
            value,
            error: self.errors.get(name).cloned(),
            kind,
        }
    }
}

/// An error's text as a sentence for people, who are not shown backticks.
fn sentence(text: &str) -> String {
    let text = text.replace('`', "");
    let mut characters = text.chars();
    let first = characters.next();
    let mut sentence: String = first.into_iter().flat_map(char::to_uppercase).collect();
    sentence.extend(characters);
    if !sentence.ends_with('.') {
        sentence.push('.');
    }
    sentence
}

/// A duration as people type it.
fn as_typed(duration: SessionDuration) -> String {
    let seconds = duration.seconds();
    if seconds.is_multiple_of(3_600) {
        format!("{}h", seconds / 3_600)
    } else if seconds.is_multiple_of(60) {
        format!("{}m", seconds / 60)
    } else {
        seconds.to_string()
    }
}

fn choices(of: &[(&str, &str)]) -> SettingKind {
    SettingKind::Choice(
        of.iter()
            .map(|(value, words)| ((*value).to_owned(), (*words).to_owned()))
            .collect(),
    )
}

/// The colours that an account may have, beside its environment's own.
const COLOURS: [&str; 5] = ["red", "amber", "green", "blue", "grey"];

/// An account's row as it was typed.
pub(super) fn typed_account(account: &Account) -> Typed {
    let mut typed = Typed::default();
    typed.set("name", account.name.clone());
    let lines = [
        ("alias", &account.alias),
        ("environment", &account.environment),
        ("colour", &account.colour),
        ("description", &account.description),
        ("owner", &account.owner),
    ];
    for (name, value) in lines {
        typed.set(name, value.clone().unwrap_or_default());
    }
    typed.set("protected", if account.protected { "yes" } else { "" });
    type_defaults(&mut typed, &account.role_defaults);
    typed
}

/// The fields of an account.
pub(super) fn account_settings(typed: &Typed, is_new: bool) -> Vec<Setting> {
    use SettingKind::{Check, Text};
    let mut colours = vec![("", "The environment's own")];
    colours.extend(COLOURS.map(|colour| (colour, colour)));
    let mut settings = Vec::new();
    if is_new {
        settings.push(typed.setting("id", ("Account id", "Twelve digits."), Text));
    }
    settings.extend([
        typed.setting("name", ("Name", "What people call it."), Text),
        typed.setting("alias", ("Alias", "The IAM account alias."), Text),
        typed.setting(
            "environment",
            (
                "Environment",
                "production, test, development, or your own word.",
            ),
            Text,
        ),
        typed.setting("colour", ("Colour", ""), choices(&colours)),
        typed.setting("description", ("Description", "A line for people."), Text),
        typed.setting(
            "owner",
            ("Owner", "Whom to ask: a team, a person, an address."),
            Text,
        ),
        typed.setting(
            "protected",
            ("Protected: edits that touch it need a second person", ""),
            Check,
        ),
    ]);
    settings.extend(default_settings(typed));
    settings
}

/// The account that was typed; none where something cannot be used, which `typed` then tells.
pub(super) fn account_of(typed: &mut Typed, id: Option<&AccountId>) -> Option<Account> {
    let id = match id {
        Some(id) => Some(id.clone()),
        None => {
            if typed.text("id").is_empty() {
                typed.wrong("id", "Give the account's twelve digits.");
            }
            typed.parsed("id")
        }
    };
    let name = typed.line("name");
    if name.is_none() {
        typed.wrong(
            "name",
            "Give it a name, so that people know which one it is.",
        );
    }
    let colour = typed.line("colour");
    if colour
        .as_deref()
        .is_some_and(|colour| !COLOURS.contains(&colour))
    {
        typed.wrong("colour", format!("Choose one of {}.", COLOURS.join(", ")));
    }
    let [alias, environment, description, owner] =
        ["alias", "environment", "description", "owner"].map(|name| typed.line(name));
    let role_defaults = defaults_of(typed);
    let account = Account {
        id: id?,
        name: name.unwrap_or_default(),
        alias,
        environment,
        colour,
        description,
        owner,
        protected: typed.is_checked("protected"),
        role_defaults,
    };
    typed.is_fine().then_some(account)
}

fn type_defaults(typed: &mut Typed, defaults: &RoleDefaults) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    typed.set(
        "grant_method",
        defaults.grant_method.map_or("", GrantMethod::as_str),
    );
    typed.set("credential_source", text(&defaults.credential_source));
    typed.set("external_id", text(&defaults.external_id));
    typed.set(
        "max_duration",
        defaults.max_duration.map(as_typed).unwrap_or_default(),
    );
    typed.set("region", text(&defaults.region));
    typed.set(
        "source_identity",
        defaults
            .source_identity
            .as_ref()
            .map_or("", NameTemplate::as_str),
    );
    typed.set("saml_provider_arn", text(&defaults.saml_provider_arn));
    let tag = match defaults.audit_tag {
        Some(true) => "true",
        Some(false) => "false",
        None => "",
    };
    typed.set("audit_tag", tag);
    typed.set("console", defaults.console.map_or("", ConsoleWay::as_str));
}

fn default_settings(typed: &Typed) -> [Setting; 9] {
    use SettingKind::Text;
    let mut methods = vec![("", "As set for all")];
    methods.extend(GrantMethod::ALL.map(|method| (method.as_str(), method.as_str())));
    let ways = [
        ("", "As set for all"),
        ("federation", "Through Rolegate, by federation"),
        ("idp-initiated", "By the identity provider itself"),
    ];
    [
        typed.setting("grant_method", ("Grant method", ""), choices(&methods)),
        typed.setting(
            "max_duration",
            ("Longest session", "Between 15m and 12h, such as 4h."),
            Text,
        ),
        typed.setting("region", ("Region", "Such as eu-west-1."), Text),
        typed.setting(
            "external_id",
            ("External id", "What the trust policy asks for."),
            Text,
        ),
        typed.setting(
            "credential_source",
            ("Credential source", "Its id in the configuration."),
            Text,
        ),
        typed.setting(
            "source_identity",
            (
                "SourceIdentity",
                "Such as {username}; the trust policy needs sts:SetSourceIdentity.",
            ),
            Text,
        ),
        typed.setting(
            "saml_provider_arn",
            (
                "SAML provider",
                "An IAM provider's ARN; {account} stands for the role's account.",
            ),
            Text,
        ),
        typed.setting("console", ("Console", ""), choices(&ways)),
        typed.setting(
            "audit_tag",
            (
                "Audit log's head as a session tag",
                "CloudTrail then witnesses the log; the trust policy needs sts:TagSession.",
            ),
            choices(&[
                ("", "As set for all"),
                ("true", "Sent"),
                ("false", "Not sent"),
            ]),
        ),
    ]
}

fn defaults_of(typed: &mut Typed) -> RoleDefaults {
    RoleDefaults {
        grant_method: typed.parsed("grant_method"),
        credential_source: typed.line("credential_source"),
        external_id: typed.line("external_id"),
        max_duration: typed.parsed("max_duration"),
        region: typed.line("region"),
        source_identity: typed.parsed("source_identity"),
        saml_provider_arn: typed.line("saml_provider_arn"),
        console: typed.parsed("console"),
        audit_tag: typed.parsed("audit_tag"),
    }
}

/// A role's row as it was typed.
pub(super) fn typed_role(role: &Role) -> Typed {
    let mut typed = Typed::default();
    let yes = |is_set: bool| if is_set { "yes" } else { "" };
    typed.set("description", role.description.clone().unwrap_or_default());
    typed.set("owner", role.owner.clone().unwrap_or_default());
    typed.set("protected", yes(role.protected));
    typed.set("disabled", yes(role.disabled));
    type_defaults(&mut typed, &role.own);
    typed.set(
        "session_policy",
        role.session_policy.clone().unwrap_or_default(),
    );
    typed.set("policy_arns", role.policy_arns.join("\n"));
    let tags = role.session_tags.iter();
    let tags: Vec<String> = tags.map(|(key, value)| format!("{key}={value}")).collect();
    typed.set("session_tags", tags.join("\n"));
    typed
}

/// A new role's form; its account where one was named.
pub(super) fn typed_new_role(account: &str) -> Typed {
    let mut typed = Typed::default();
    if account.parse::<AccountId>().is_ok() {
        typed.set("arn", format!("arn:aws:iam::{account}:role/"));
    }
    typed
}

/// The fields of a role.
pub(super) fn role_settings(typed: &Typed, is_new: bool) -> Vec<Setting> {
    use SettingKind::{Area, Check, Text};
    let mut settings = Vec::new();
    if is_new {
        settings.push(typed.setting(
            "arn",
            ("ARN", "Such as arn:aws:iam::111122223333:role/ReadOnly."),
            Text,
        ));
    }
    settings.extend([
        typed.setting("description", ("Description", "A line for people."), Text),
        typed.setting(
            "owner",
            (
                "Owner",
                "Whom to ask, where that is not the account's owner.",
            ),
            Text,
        ),
        typed.setting(
            "protected",
            (
                "Protected: edits that touch it need a second person, and rules must say so to \
                 give it",
                "",
            ),
            Check,
        ),
        typed.setting(
            "disabled",
            ("Disabled: shown to nobody, opened by nobody", ""),
            Check,
        ),
    ]);
    settings.extend(default_settings(typed));
    settings.extend([
        typed.setting(
            "session_policy",
            (
                "Session policy",
                "JSON that narrows every session; at most 2,048 characters.",
            ),
            Area,
        ),
        typed.setting(
            "policy_arns",
            (
                "Managed session policies",
                "ARNs of policies that narrow every session, one a line; at most 10.",
            ),
            Area,
        ),
        typed.setting(
            "session_tags",
            (
                "Session tags",
                "key=value, one a line; the trust policy needs sts:TagSession.",
            ),
            Area,
        ),
    ]);
    settings
}

/// The role that was typed; none where something cannot be used, which `typed` then tells.
pub(super) fn role_of(typed: &mut Typed, arn: Option<&TargetArn>) -> Option<Role> {
    let arn = match arn {
        Some(arn) => Some(arn.clone()),
        None => {
            if typed.text("arn").is_empty() {
                typed.wrong("arn", "Give the role's ARN.");
            }
            typed.parsed("arn")
        }
    };
    let own = defaults_of(typed);
    if let (Some(template), Some(arn)) = (own.saml_provider_arn.as_deref(), &arn)
        && let Err(error) = SamlProviderArn::from_template(template, arn.account_digits())
    {
        let error = sentence(&error.to_string());
        typed.wrong("saml_provider_arn", error);
    }
    let description = typed.line("description");
    let owner = typed.line("owner");
    let session_policy = session_policy(typed);
    let policy_arns = policy_arns(typed);
    let session_tags = session_tags(typed);
    let role = Role {
        arn: arn?,
        description,
        owner,
        own,
        session_policy,
        policy_arns,
        session_tags,
        protected: typed.is_checked("protected"),
        disabled: typed.is_checked("disabled"),
    };
    typed.is_fine().then_some(role)
}

/// The policy as it goes to AWS: without the blanks between its words.
fn session_policy(typed: &mut Typed) -> Option<String> {
    let text = typed.text("session_policy");
    if text.is_empty() {
        return None;
    }
    let policy = match serde_json::from_str::<serde_json::Value>(text) {
        Ok(policy) if policy.is_object() => policy.to_string(),
        Ok(_) => {
            typed.wrong("session_policy", "A policy is a JSON object in braces.");
            return None;
        }
        Err(error) => {
            let message = format!("This is no JSON: {error}.");
            typed.wrong("session_policy", message);
            return None;
        }
    };
    let length = policy.chars().count();
    if length > LONGEST_POLICY {
        let message = format!("AWS takes 2,048 characters at most, and this has {length}.");
        typed.wrong("session_policy", message);
    }
    Some(policy)
}

fn policy_arns(typed: &mut Typed) -> Vec<String> {
    let arns: Vec<String> = lines(typed.text("policy_arns"));
    if let Some(wrong) = arns.iter().find(|arn| !is_policy_arn(arn)) {
        let message = format!(
            "{wrong} is no policy's ARN: write one such as arn:aws:iam::aws:policy/ReadOnlyAccess."
        );
        typed.wrong("policy_arns", message);
    }
    if arns.len() > MOST_POLICY_ARNS {
        typed.wrong("policy_arns", "AWS takes 10 policies at most.");
    }
    arns
}

fn is_policy_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", _, "iam", "", _, name] if name.starts_with("policy/"))
}

fn session_tags(typed: &mut Typed) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for line in lines(typed.text("session_tags")) {
        match line.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                let is_twice = tags
                    .insert(key.trim().to_owned(), value.trim().to_owned())
                    .is_some();
                if is_twice {
                    typed.wrong("session_tags", format!("{} is there twice.", key.trim()));
                }
            }
            _ => typed.wrong(
                "session_tags",
                format!("{line} is no tag: write key=value, such as team=payments."),
            ),
        }
    }
    tags
}

fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Typed {
        Typed::of_form(
            fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    fn role() -> Role {
        Role {
            arn: "arn:aws:iam::111122223333:role/team/Operator"
                .parse()
                .unwrap(),
            description: Some("Restart and scale".to_owned()),
            owner: Some("payments@example.com".to_owned()),
            own: RoleDefaults {
                grant_method: Some(GrantMethod::AssumeRole),
                credential_source: Some("default".to_owned()),
                external_id: Some("x1".to_owned()),
                max_duration: SessionDuration::from_seconds(5_400).ok(),
                region: Some("eu-west-1".to_owned()),
                source_identity: "{username}".parse().ok(),
                saml_provider_arn: Some("arn:aws:iam::{account}:saml-provider/p".to_owned()),
                console: Some(ConsoleWay::Federation),
                audit_tag: Some(false),
            },
            session_policy: Some("{\"Version\":\"2012-10-17\"}".to_owned()),
            policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
            session_tags: [("team".to_owned(), "a=b".to_owned())].into(),
            protected: true,
            disabled: true,
        }
    }

    #[test]
    fn a_role_comes_back_from_its_form_as_it_was() {
        let role = role();
        let mut typed = typed_role(&role);
        assert_eq!(role_of(&mut typed, Some(&role.arn)), Some(role));
    }

    #[test]
    fn an_account_comes_back_from_its_form_as_it_was() {
        let account = Account {
            id: "111122223333".parse().unwrap(),
            name: "Payments".to_owned(),
            alias: Some("pay".to_owned()),
            environment: Some("production".to_owned()),
            colour: Some("red".to_owned()),
            description: Some("d".to_owned()),
            owner: Some("o".to_owned()),
            protected: true,
            role_defaults: role().own,
        };
        let mut typed = typed_account(&account);
        assert_eq!(account_of(&mut typed, Some(&account.id)), Some(account));
    }

    #[test]
    fn every_mistake_is_told_beside_its_field_and_nothing_typed_is_lost() {
        let mut typed = form(&[
            ("arn", "arn:aws:iam::1:role/x"),
            ("max_duration", "99h"),
            ("grant_method", "magic"),
            ("session_policy", "{"),
            ("policy_arns", "ReadOnlyAccess"),
            ("session_tags", "team"),
            ("description", "kept"),
        ]);
        assert_eq!(role_of(&mut typed, None), None);
        let settings = role_settings(&typed, true);
        let wrong: Vec<&str> = settings
            .iter()
            .filter(|setting| setting.error.is_some())
            .map(|setting| setting.name)
            .collect();
        assert_eq!(
            wrong,
            [
                "arn",
                "grant_method",
                "max_duration",
                "session_policy",
                "policy_arns",
                "session_tags"
            ]
        );
        let of = |name: &str| {
            let setting = settings.iter().find(|setting| setting.name == name);
            setting.unwrap().clone()
        };
        for name in ["session_policy", "policy_arns", "session_tags"] {
            let error = of(name).error.unwrap();
            assert!(error.ends_with('.'), "{error}");
        }
        assert_eq!(of("description").value, "kept");
    }

    #[test]
    fn an_account_without_a_name_or_with_a_short_id_is_refused_in_words() {
        let mut typed = form(&[("id", "12")]);
        assert_eq!(account_of(&mut typed, None), None);
        let settings = account_settings(&typed, true);
        let errors: Vec<&str> = settings
            .iter()
            .filter_map(|setting| setting.error.as_deref())
            .collect();
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}
