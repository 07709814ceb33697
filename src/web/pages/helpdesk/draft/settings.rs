//! Accounts and roles as forms: what is there becomes fields, and what was typed becomes a row again,
//! or sentences about what cannot be used.

use std::collections::BTreeMap;

use super::{
    super::{
        super::super::views::helpdesk::{
            edit::{EditForm, Field, Kind},
            links, wording,
        },
        fields::{Fields, longest_as_written, seen_field, sentence},
    },
    Errors, Reading, Sheet, mapping, reason,
};
use crate::{
    access::{
        Account, AccountId, Change, ConsoleWay, GrantMethod, LONGEST_POLICY, NameTemplate,
        PUBLIC_VALUES, Role, RoleDefaults, Row, RowName, SamlProviderArn, TargetArn, Voucher,
        check_public_value, check_session_policy, check_session_tag, mfa_serial,
    },
    broker::{EditDraft, fresh_external_id},
};

/// The longest line of text, in characters.
const LONGEST_LINE: usize = 500;
/// AWS's limit for managed session policies.
const MOST_POLICY_ARNS: usize = 10;

/// The box that asks for an ExternalId of our making.
const GENERATE: &str = "generate_external_id";
/// The ExternalId that comes with a form, so that it is the same when it is saved as when it was
/// shown.
const FRESH: &str = "fresh_external_id";

/// What was typed, by field, and what is wrong with it.
struct Typed<'a> {
    fields: &'a Fields,
    errors: Errors,
}

impl<'a> Typed<'a> {
    fn of(fields: &'a Fields) -> Self {
        Self {
            fields,
            errors: Errors::new(),
        }
    }

    /// What was typed, without blanks around it; what the form made, where that was asked for.
    fn text(&self, name: &str) -> &'a str {
        match name {
            "external_id" if self.fields.is_set(GENERATE) => self.fields.one(FRESH),
            _ => self.fields.one(name),
        }
    }

    /// Whether all of it can be used.
    fn is_fine(&self) -> bool {
        self.errors.is_empty()
    }

    fn wrong(&mut self, name: &'static str, message: impl Into<String>) {
        self.errors.entry(name).or_insert_with(|| message.into());
    }

    fn line(&mut self, name: &'static str) -> Option<String> {
        let text = self.text(name);
        if text.chars().count() > LONGEST_LINE {
            self.wrong(name, format!("At most {LONGEST_LINE} characters fit here."));
        }
        (!text.is_empty()).then(|| text.to_owned())
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
                self.wrong(name, sentence(&error.to_string()));
                None
            }
        }
    }

    fn field(
        &self,
        name: &'static str,
        (label, hint): (&'static str, &'static str),
        kind: Kind,
    ) -> Field {
        Field {
            kind,
            ..Field::text(name, label, self.text(name))
                .hint(hint)
                .error(self.errors.get(name).cloned())
        }
    }
}

const LINE: Kind = Kind::Text {
    suggest: None,
    offers: Vec::new(),
};
const LINES: Kind = Kind::Area { rows: 4 };

fn choices(of: &[(&str, &str)]) -> Kind {
    Kind::Choice(
        of.iter()
            .map(|(value, words)| ((*value).to_owned(), (*words).to_owned()))
            .collect(),
    )
}

/// What a form of a row says about itself.
struct Words {
    kind: &'static str,
    fresh: &'static str,
    change: &'static str,
    remove: &'static str,
}

/// A form around `fields`, for the row of that name and page; for a new one without.
fn form(
    sheet: &Sheet<'_>,
    words: &Words,
    (name, page): (Option<RowName>, Option<String>),
    fields: Vec<Field>,
    errors: &Errors,
) -> EditForm {
    let title = if name.is_some() {
        words.change
    } else {
        words.fresh
    };
    let cancel = page.unwrap_or_else(|| "/helpdesk/roles".to_owned());
    let mut form = sheet.form(title.to_owned(), cancel);
    form.hidden = mapping::hidden(sheet.fields, words.kind);
    let fresh = match sheet.fields.one(FRESH) {
        "" => fresh_external_id(),
        fresh => Some(fresh.to_owned()),
    };
    form.hidden
        .extend(fresh.map(|fresh| (FRESH.to_owned(), fresh)));
    form.fields = fields;
    form.fields.push(sheet.reason_field(errors));
    if let Some(name) = name {
        let seen = sheet.fields.0.iter().filter(|(name, _)| name == "seen");
        let mut removal = Fields::of(&[("edit", "end"), ("row", &wording::name_text(&name))]).0;
        removal.extend(seen.cloned());
        form.other = Some((words.remove.to_owned(), removal));
        let history = wording::history_link(&name);
        form.links = vec![(history, "History".to_owned())];
    }
    form
}

/// What fields say, without those that say nothing.
fn facts(fields: Vec<Field>) -> Vec<(&'static str, String)> {
    let told =
        (fields.into_iter()).filter(|field| !field.value.is_empty() && field.name != GENERATE);
    told.map(|field| (field.label, field.fact())).collect()
}

fn as_seen(row: &Row) -> (String, String) {
    seen_field(&(row.name(), Some(row.revision())))
}

/// The edit that a form asks for. A row that the form has not seen is taken for a new one, so that
/// nothing is overwritten.
fn draft(change: Change, name: RowName, typed: &mut Typed<'_>) -> EditDraft {
    let mut carried = typed.fields.seen().into_iter();
    let seen = carried.find(|(other, _)| *other == name);
    EditDraft {
        changes: vec![change],
        seen: vec![seen.unwrap_or((name, None))],
        reason: reason(typed.fields, &mut typed.errors),
        undoes: None,
    }
}

/// The colours that an account may have, beside its environment's own.
const COLOURS: [&str; 5] = ["red", "amber", "green", "blue", "grey"];

/// The fields of a new account.
pub(in super::super) fn fresh_account() -> Fields {
    Fields::of(&[("edit", "account")])
}

/// The fields of an account as it stands in the table.
pub(in super::super) fn of_account(account: &Account) -> Fields {
    let mut typed = Fields::of(&[
        ("edit", "account"),
        ("row", account.id.as_str()),
        ("name", &account.name),
    ]);
    typed.0.push(as_seen(&Row::Account(account.clone())));
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

/// The form of an account with what was entered.
pub(in super::super) fn account_form(sheet: &Sheet<'_>) -> EditForm {
    account_form_of(sheet, &Typed::of(sheet.fields))
}

fn account_form_of(sheet: &Sheet<'_>, typed: &Typed<'_>) -> EditForm {
    let id: Option<AccountId> = typed.text("row").parse().ok();
    let words = Words {
        kind: "account",
        fresh: "Add an account",
        change: "Settings of the account",
        remove: "Remove this account…",
    };
    let fields = account_fields(typed, id.is_none());
    let page = id.as_ref().map(links::account);
    form(
        sheet,
        &words,
        (id.map(RowName::Account), page),
        fields,
        &typed.errors,
    )
}

/// What is set of an account, for those who may only read it.
pub(in super::super) fn account_facts(fields: &Fields) -> Vec<(&'static str, String)> {
    facts(account_fields(&Typed::of(fields), false))
}

/// Reads the form of an account.
pub(super) fn read_account(sheet: &Sheet<'_>) -> Reading {
    let mut typed = Typed::of(sheet.fields);
    let id: Option<AccountId> = typed.text("row").parse().ok();
    let account = account_of(&mut typed, id.as_ref());
    let draft = account.map(|account| {
        let name = RowName::Account(account.id.clone());
        draft(Change::PutAccount(account), name, &mut typed)
    });
    if draft.is_none() {
        reason(sheet.fields, &mut typed.errors);
    }
    Reading {
        form: account_form_of(sheet, &typed),
        draft,
        trouble: Vec::new(),
    }
}

fn account_fields(typed: &Typed<'_>, is_new: bool) -> Vec<Field> {
    let mut colours = vec![("", "The environment's own")];
    colours.extend(COLOURS.map(|colour| (colour, colour)));
    let mut settings = Vec::new();
    if is_new {
        settings.push(typed.field("id", ("Account id", "Twelve digits."), LINE));
    }
    settings.extend([
        typed.field("name", ("Name", "What people call it."), LINE),
        typed.field("alias", ("Alias", "The IAM account alias."), LINE),
        typed.field(
            "environment",
            (
                "Environment",
                "production, test, development, or your own word.",
            ),
            LINE,
        ),
        typed.field("colour", ("Colour", ""), choices(&colours)),
        typed.field("description", ("Description", "A line for people."), LINE),
        typed.field(
            "owner",
            ("Owner", "Whom to ask: a team, a person, an address."),
            LINE,
        ),
        typed.field(
            "protected",
            ("Protected: edits that touch it need a second person", ""),
            Kind::Check,
        ),
    ]);
    settings.extend(default_fields(typed, false));
    settings
}

/// The account that was typed; none where something cannot be used, which `typed` then tells.
fn account_of(typed: &mut Typed<'_>, id: Option<&AccountId>) -> Option<Account> {
    if id.is_none() && typed.text("id").is_empty() {
        typed.wrong("id", "Give the account's twelve digits.");
    }
    let id = id.cloned().or_else(|| typed.parsed("id"));
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
        protected: typed.fields.is_set("protected"),
        role_defaults,
    };
    typed.is_fine().then_some(account)
}

fn type_defaults(typed: &mut Fields, defaults: &RoleDefaults) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    typed.set(
        "grant_method",
        defaults.grant_method.map_or("", GrantMethod::as_str),
    );
    typed.set("credential_source", text(&defaults.credential_source));
    typed.set("external_id", text(&defaults.external_id));
    typed.set(
        "max_duration",
        defaults
            .max_duration
            .map(longest_as_written)
            .unwrap_or_default(),
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
    typed.set(
        "vouched_by",
        defaults.vouched_by.map_or("", Voucher::as_str),
    );
    typed.set("mfa_serial", text(&defaults.mfa_serial));
    typed.set("public_values", pairs(&defaults.public_values));
}

/// A table as `key=value`, one a line.
fn pairs(table: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = (table.iter())
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    lines.join("\n")
}

/// How the console may be reached; by the provider alone for single roles only.
fn ways(typed: &Typed<'_>, is_role: bool) -> Kind {
    let mut ways = vec![
        ("", "As set for all"),
        ("federation", "Through Rolegate, by federation"),
        (
            "saml-post",
            "By an assertion of Rolegate's, which the browser takes to AWS",
        ),
    ];
    let by_provider = "idp-initiated";
    if is_role || typed.text("console") == by_provider {
        ways.push((by_provider, "By the identity provider itself"));
    }
    choices(&ways)
}

/// What a role says itself, and an account for its roles.
fn default_fields(typed: &Typed<'_>, is_role: bool) -> Vec<Field> {
    let mut fields = way_fields(typed, is_role);
    fields.extend(session_fields(typed));
    fields.push(typed.field(
        "public_values",
        (
            "Public values",
            "name=value, one a line, told to applications with the credentials, such as \
             prefix=home/{subject}/; nothing secret.",
        ),
        LINES,
    ));
    fields
}

/// How the role is opened.
fn way_fields(typed: &Typed<'_>, is_role: bool) -> Vec<Field> {
    let mut methods = vec![("", "As set for all")];
    methods.extend(GrantMethod::ALL.map(|method| (method.as_str(), method.as_str())));
    let vouchers = [
        ("", "As set for all"),
        ("provider", "The provider that people signed in at"),
        ("issuer", "Rolegate itself"),
    ];
    vec![
        typed.field("grant_method", ("Grant method", ""), choices(&methods)),
        typed.field(
            "vouched_by",
            (
                "Who vouches for people",
                "For assume-role-with-saml and assume-role-with-web-identity.",
            ),
            choices(&vouchers),
        ),
        typed.field(
            "saml_provider_arn",
            (
                "SAML provider",
                "An IAM provider's ARN; {account} stands for the role's account.",
            ),
            LINE,
        ),
        typed.field(
            "console",
            (
                "Console",
                "saml-post is for what Rolegate vouches for with SAML.",
            ),
            ways(typed, is_role),
        ),
    ]
}

/// What goes to AWS with a session.
fn session_fields(typed: &Typed<'_>) -> Vec<Field> {
    vec![
        typed.field(
            "max_duration",
            (
                "Longest session",
                "Between 15m and 12h, such as 4h; to 36h for federation-token and session-token.",
            ),
            LINE,
        ),
        typed.field("region", ("Region", "Such as eu-west-1."), LINE),
        typed.field(
            "external_id",
            ("External id", "What the trust policy asks for."),
            LINE,
        ),
        typed.field(
            GENERATE,
            (
                "Generate an external id",
                "A random one in place of what stands above. It is shown once saved, to copy into \
                 the trust policies.",
            ),
            Kind::Check,
        ),
        typed.field(
            "credential_source",
            ("Credential source", "Its id in the configuration."),
            LINE,
        ),
        typed.field(
            "source_identity",
            (
                "SourceIdentity",
                "Such as {username}; the trust policy needs sts:SetSourceIdentity.",
            ),
            LINE,
        ),
        typed.field(
            "mfa_serial",
            (
                "MFA device",
                "Of the IAM user whose keys sign; people are asked for its code each time. For \
                 assume-role and session-token.",
            ),
            LINE,
        ),
        typed.field(
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

/// A line that `check` takes.
fn checked(
    typed: &mut Typed<'_>,
    name: &'static str,
    check: fn(&str) -> Result<String, String>,
) -> Option<String> {
    let line = typed.line(name)?;
    match check(&line) {
        Ok(value) => Some(value),
        Err(error) => {
            typed.wrong(name, sentence(&error));
            None
        }
    }
}

fn defaults_of(typed: &mut Typed<'_>) -> RoleDefaults {
    RoleDefaults {
        grant_method: typed.parsed("grant_method"),
        credential_source: typed.line("credential_source"),
        external_id: typed.line("external_id"),
        max_duration: typed.parsed("max_duration"),
        region: typed.line("region"),
        source_identity: typed.parsed("source_identity"),
        saml_provider_arn: typed.line("saml_provider_arn"),
        console: typed.parsed("console"),
        vouched_by: typed.parsed("vouched_by"),
        mfa_serial: checked(typed, "mfa_serial", mfa_serial),
        audit_tag: typed.parsed("audit_tag"),
        public_values: public_values(typed),
    }
}

fn public_values(typed: &mut Typed<'_>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for line in lines(typed.text("public_values")) {
        let Some((name, value)) = line.split_once('=') else {
            let message = format!("{line} is no value: write name=value, such as bucket=uploads.");
            typed.wrong("public_values", message);
            continue;
        };
        let (name, value) = (name.trim(), value.trim());
        if let Err(error) = check_public_value(name, value) {
            typed.wrong("public_values", sentence(&error));
        }
        if values.insert(name.to_owned(), value.to_owned()).is_some() {
            typed.wrong("public_values", format!("{name} is there twice."));
        }
    }
    if values.len() > PUBLIC_VALUES {
        typed.wrong(
            "public_values",
            format!("There may be {PUBLIC_VALUES} at most."),
        );
    }
    values
}

/// The fields of a role as it stands in the table.
pub(in super::super) fn of_role(role: &Role) -> Fields {
    let mut typed = Fields::of(&[("edit", "role"), ("row", role.arn.as_str())]);
    typed.0.push(as_seen(&Row::Role(Box::new(role.clone()))));
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
    typed.set("session_tags", pairs(&role.session_tags));
    typed
}

/// The fields of a new role; its account where one was named.
pub(in super::super) fn fresh_role(account: &str) -> Fields {
    let mut typed = Fields::of(&[("edit", "role")]);
    if account.parse::<AccountId>().is_ok() {
        typed.set("arn", format!("arn:aws:iam::{account}:role/"));
    }
    typed
}

/// The form of a role with what was entered.
pub(in super::super) fn role_form(sheet: &Sheet<'_>) -> EditForm {
    role_form_of(sheet, &Typed::of(sheet.fields))
}

fn role_form_of(sheet: &Sheet<'_>, typed: &Typed<'_>) -> EditForm {
    let arn: Option<TargetArn> = typed.text("row").parse().ok();
    let words = Words {
        kind: "role",
        fresh: "Add a role",
        change: "Settings of the role",
        remove: "Remove this role…",
    };
    let fields = role_fields(typed, arn.is_none());
    let page = arn.as_ref().map(links::role);
    form(
        sheet,
        &words,
        (arn.map(RowName::Role), page),
        fields,
        &typed.errors,
    )
}

/// What is set of a role, for those who may only read it.
pub(in super::super) fn role_facts(fields: &Fields) -> Vec<(&'static str, String)> {
    facts(role_fields(&Typed::of(fields), false))
}

/// Reads the form of a role.
pub(super) fn read_role(sheet: &Sheet<'_>) -> Reading {
    let mut typed = Typed::of(sheet.fields);
    let arn: Option<TargetArn> = typed.text("row").parse().ok();
    let role = role_of(&mut typed, arn.as_ref());
    let draft = role.map(|role| {
        let name = RowName::Role(role.arn.clone());
        draft(Change::PutRole(Box::new(role)), name, &mut typed)
    });
    if draft.is_none() {
        reason(sheet.fields, &mut typed.errors);
    }
    Reading {
        form: role_form_of(sheet, &typed),
        draft,
        trouble: Vec::new(),
    }
}

fn role_fields(typed: &Typed<'_>, is_new: bool) -> Vec<Field> {
    let mut settings = Vec::new();
    if is_new {
        settings.push(typed.field(
            "arn",
            ("ARN", "Such as arn:aws:iam::111122223333:role/ReadOnly."),
            LINE,
        ));
    }
    settings.extend([
        typed.field("description", ("Description", "A line for people."), LINE),
        typed.field(
            "owner",
            (
                "Owner",
                "Whom to ask, where that is not the account's owner.",
            ),
            LINE,
        ),
        typed.field(
            "protected",
            (
                "Protected: edits that touch it need a second person, and rules must say so to \
                 give it",
                "",
            ),
            Kind::Check,
        ),
        typed.field(
            "disabled",
            ("Disabled: shown to nobody, opened by nobody", ""),
            Kind::Check,
        ),
    ]);
    settings.extend(default_fields(typed, true));
    settings.extend(narrowing_fields(typed));
    settings
}

/// What narrows and marks every session of a role.
fn narrowing_fields(typed: &Typed<'_>) -> [Field; 3] {
    [
        typed.field(
            "session_policy",
            (
                "Session policy",
                "JSON that narrows every session; at most 2,048 characters. In Resource and \
                 Condition, {username}, {subject}, {email}, {connector}, {groups}, {account} and \
                 {role} stand for the person's values, as in home/{username}/*.",
            ),
            LINES,
        ),
        typed.field(
            "policy_arns",
            (
                "Managed session policies",
                "ARNs of policies that narrow every session, one a line; at most 10.",
            ),
            LINES,
        ),
        typed.field(
            "session_tags",
            (
                "Session tags",
                "key=value, one a line, with the same placeholders; the trust policy needs \
                 sts:TagSession.",
            ),
            LINES,
        ),
    ]
}

/// The role that was typed; none where something cannot be used, which `typed` then tells.
fn role_of(typed: &mut Typed<'_>, arn: Option<&TargetArn>) -> Option<Role> {
    if arn.is_none() && typed.text("arn").is_empty() {
        typed.wrong("arn", "Give the role's ARN.");
    }
    let arn = arn.cloned().or_else(|| typed.parsed("arn"));
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
        protected: typed.fields.is_set("protected"),
        disabled: typed.fields.is_set("disabled"),
    };
    if let Some(contradiction) = role.contradicts_itself() {
        typed.wrong(contradiction.key, sentence(&contradiction.message));
    }
    typed.is_fine().then_some(role)
}

/// The policy as it goes to AWS: without the blanks between its words.
fn session_policy(typed: &mut Typed<'_>) -> Option<String> {
    let text = typed.text("session_policy");
    if text.is_empty() {
        return None;
    }
    let read = serde_json::from_str::<serde_json::Value>(text);
    let policy = read.map_or_else(|_| text.to_owned(), |policy| policy.to_string());
    if let Err(error) = check_session_policy(&policy) {
        typed.wrong("session_policy", sentence(&error));
        return None;
    }
    let length = policy.chars().count();
    if length > LONGEST_POLICY {
        let message = format!("AWS takes 2,048 characters at most, and this has {length}.");
        typed.wrong("session_policy", message);
    }
    Some(policy)
}

fn policy_arns(typed: &mut Typed<'_>) -> Vec<String> {
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

fn session_tags(typed: &mut Typed<'_>) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    for line in lines(typed.text("session_tags")) {
        match line.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                if let Err(error) = check_session_tag(key.trim(), value.trim()) {
                    typed.wrong("session_tags", sentence(&error));
                }
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
    use crate::access::SessionDuration;

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
                vouched_by: None,
                mfa_serial: Some("arn:aws:iam::111122223333:mfa/broker".to_owned()),
                audit_tag: Some(false),
                public_values: [("prefix".to_owned(), "home/{subject}/=".to_owned())].into(),
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
        let fields = of_role(&role);
        let mut typed = Typed::of(&fields);
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
        let fields = of_account(&account);
        let mut typed = Typed::of(&fields);
        assert_eq!(account_of(&mut typed, Some(&account.id)), Some(account));
    }

    #[test]
    fn every_mistake_is_told_beside_its_field_and_nothing_typed_is_lost() {
        let fields = Fields::of(&[
            ("arn", "arn:aws:iam::1:role/x"),
            ("max_duration", "99h"),
            ("grant_method", "magic"),
            ("session_policy", "{"),
            ("policy_arns", "ReadOnlyAccess"),
            ("session_tags", "team"),
            ("public_values", "prefix=home/{nobody}/"),
            ("description", "kept"),
        ]);
        let mut typed = Typed::of(&fields);
        assert_eq!(role_of(&mut typed, None), None);
        let settings = role_fields(&typed, true);
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
                "public_values",
                "session_policy",
                "policy_arns",
                "session_tags"
            ]
        );
        let of = |name: &str| {
            let setting = settings.iter().find(|setting| setting.name == name);
            setting.unwrap().clone()
        };
        for name in [
            "session_policy",
            "policy_arns",
            "session_tags",
            "public_values",
        ] {
            let error = of(name).error.unwrap();
            assert!(error.ends_with('.'), "{error}");
        }
        assert_eq!(of("description").value, "kept");
    }

    #[test]
    fn an_account_without_a_name_or_with_a_short_id_is_refused_in_words() {
        let fields = Fields::of(&[("id", "12")]);
        let mut typed = Typed::of(&fields);
        assert_eq!(account_of(&mut typed, None), None);
        let settings = account_fields(&typed, true);
        let errors: Vec<&str> = settings
            .iter()
            .filter_map(|setting| setting.error.as_deref())
            .collect();
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}
