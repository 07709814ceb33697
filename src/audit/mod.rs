//! What happened, in one documented form, and the hash chain that keeps it honest.
//!
//! Never here: secrets. An event is written before the act it announces; without it there is no
//! act. Entry points: [`AuditEvent`], [`chain`].

pub mod chain;
pub mod checkpoint;
pub mod cloudtrail;
pub mod csv;
pub mod stream;
pub mod witness;

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Who did something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// A person, signed in or trying to.
    Person {
        /// The connector.
        connector: String,
        /// The stable id, where one is known.
        subject: Option<String>,
        /// The canonical user name, where one is known.
        username: Option<String>,
    },
    /// The command line on the host, by user id.
    Host {
        /// The operating system's user id.
        uid: u32,
    },
    /// The mapping file, by its content's hash.
    File {
        /// SHA-256, in hexadecimal.
        hash: String,
    },
    /// The program itself.
    System,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// A person signed in, or was refused.
    #[serde(rename = "sign_in")]
    SignIn,
    /// A person signed out, or was signed out.
    #[serde(rename = "sign_out")]
    SignOut,
    /// A console session was asked for.
    #[serde(rename = "console.open")]
    ConsoleOpen,
    /// Credentials were asked for.
    #[serde(rename = "credentials.issue")]
    CredentialsIssue,
    /// A person's groups were read again.
    #[serde(rename = "groups.refresh")]
    GroupsRefresh,
    /// An account row changed.
    #[serde(rename = "account.change")]
    AccountChange,
    /// A role row changed.
    #[serde(rename = "role.change")]
    RoleChange,
    /// A mapping row changed.
    #[serde(rename = "mapping.change")]
    MappingChange,
    /// A rule row changed.
    #[serde(rename = "rule.change")]
    RuleChange,
    /// The program started.
    #[serde(rename = "program.start")]
    ProgramStart,
    /// An edit was put before a second person.
    #[serde(rename = "edit.propose")]
    EditPropose,
    /// A second person approved an edit.
    #[serde(rename = "edit.approve")]
    EditApprove,
    /// A second person declined an edit.
    #[serde(rename = "edit.decline")]
    EditDecline,
    /// The author took a waiting edit back.
    #[serde(rename = "edit.withdraw")]
    EditWithdraw,
    /// A waiting edit lapsed.
    #[serde(rename = "edit.expire")]
    EditExpire,
    /// An edit was taken back.
    #[serde(rename = "edit.undo")]
    EditUndo,
    /// Somebody asked why a person may or may not open a role.
    #[serde(rename = "explain")]
    Explain,
    /// Somebody looked at a person's picker.
    #[serde(rename = "view_as")]
    ViewAs,
    /// Somebody took a table or the log away as a file.
    #[serde(rename = "export")]
    Export,
    /// The configuration was loaded.
    #[serde(rename = "settings.load")]
    SettingsLoad,
    /// The mapping file was loaded, or could not be.
    #[serde(rename = "mapping_file.load")]
    MappingFileLoad,
    /// An access review was begun.
    #[serde(rename = "review.start")]
    ReviewStart,
    /// Items of an access review were decided.
    #[serde(rename = "review.decide")]
    ReviewDecide,
    /// An access review was signed off.
    #[serde(rename = "review.close")]
    ReviewClose,
    /// A checkpoint of the log was signed.
    #[serde(rename = "audit.checkpoint")]
    AuditCheckpoint,
    /// Old payloads of the log were erased, or old rows dropped.
    #[serde(rename = "audit.erase")]
    AuditErase,
    /// Role sessions that AWS has issued were revoked.
    #[serde(rename = "session.revoke")]
    SessionRevoke,
    /// The policy that revokes sessions was written to a role, or could not be.
    #[serde(rename = "revocation.apply")]
    RevocationApply,
    /// Roles were opened to see whether they can be, or to read what IAM says of them.
    #[serde(rename = "role.probe")]
    RoleProbe,
    /// A person agreed that a client acts for them, or declined.
    #[serde(rename = "token.approve")]
    TokenApprove,
    /// Broker tokens were issued for the first time to a client.
    #[serde(rename = "token.issue")]
    TokenIssue,
    /// Broker tokens were renewed, or a refresh token came a second time.
    #[serde(rename = "token.refresh")]
    TokenRefresh,
    /// A caller without a browser could not be told who they are.
    #[serde(rename = "token.refuse")]
    TokenRefuse,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 33] = [
        Self::SignIn,
        Self::SignOut,
        Self::ConsoleOpen,
        Self::CredentialsIssue,
        Self::GroupsRefresh,
        Self::AccountChange,
        Self::RoleChange,
        Self::MappingChange,
        Self::RuleChange,
        Self::ProgramStart,
        Self::EditPropose,
        Self::EditApprove,
        Self::EditDecline,
        Self::EditWithdraw,
        Self::EditExpire,
        Self::EditUndo,
        Self::Explain,
        Self::ViewAs,
        Self::Export,
        Self::SettingsLoad,
        Self::MappingFileLoad,
        Self::ReviewStart,
        Self::ReviewDecide,
        Self::ReviewClose,
        Self::AuditCheckpoint,
        Self::AuditErase,
        Self::SessionRevoke,
        Self::RevocationApply,
        Self::RoleProbe,
        Self::TokenApprove,
        Self::TokenIssue,
        Self::TokenRefresh,
        Self::TokenRefuse,
    ];

    /// The name in rows, filters and exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SignOut => "sign_out",
            Self::ConsoleOpen => "console.open",
            Self::CredentialsIssue => "credentials.issue",
            Self::GroupsRefresh => "groups.refresh",
            Self::AccountChange => "account.change",
            Self::RoleChange => "role.change",
            Self::MappingChange => "mapping.change",
            Self::RuleChange => "rule.change",
            Self::ProgramStart => "program.start",
            Self::EditPropose => "edit.propose",
            Self::EditApprove => "edit.approve",
            Self::EditDecline => "edit.decline",
            Self::EditWithdraw => "edit.withdraw",
            Self::EditExpire => "edit.expire",
            Self::EditUndo => "edit.undo",
            Self::Explain => "explain",
            Self::ViewAs => "view_as",
            Self::Export => "export",
            Self::SettingsLoad => "settings.load",
            Self::MappingFileLoad => "mapping_file.load",
            Self::ReviewStart => "review.start",
            Self::ReviewDecide => "review.decide",
            Self::ReviewClose => "review.close",
            Self::AuditCheckpoint => "audit.checkpoint",
            Self::AuditErase => "audit.erase",
            Self::SessionRevoke => "session.revoke",
            Self::RevocationApply => "revocation.apply",
            Self::RoleProbe => "role.probe",
            Self::TokenApprove => "token.approve",
            Self::TokenIssue => "token.issue",
            Self::TokenRefresh => "token.refresh",
            Self::TokenRefuse => "token.refuse",
        }
    }
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Announced: the act follows, and a row with the same intent id tells its end.
    Intent,
    /// Done.
    Ok,
    /// Refused by us.
    Refused,
    /// Failed at somebody else: the directory, STS, the sign-in endpoint.
    Failed,
    /// Announced, and the program ended before its end was written.
    Unknown,
}

impl Outcome {
    /// The name in rows, filters and exports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// One row of the audit log. The names of these fields are a contract with whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What.
    pub action: Action,
    /// How it went.
    pub outcome: Outcome,
    /// Who.
    pub actor: Actor,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_address: Option<IpAddr>,
    /// The id on the response and in the log lines of the same request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The role's ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The account's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The intent that this row announces or ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// A stable code saying why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What else belongs to this action: session name, AWS request id, before and after.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, serde_json::Value>,
}

impl AuditEvent {
    /// An event with nothing but the four things that every row has.
    pub fn new(at: OffsetDateTime, action: Action, outcome: Outcome, actor: Actor) -> Self {
        Self {
            at,
            action,
            outcome,
            actor,
            client_address: None,
            request_id: None,
            role: None,
            account: None,
            intent: None,
            reason: None,
            details: BTreeMap::new(),
        }
    }

    /// The same event with one more detail.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use time::macros::datetime;

    use super::*;

    const DOCUMENT: &str = include_str!("../../docs/audit.md");

    /// An event with everything that a row can have.
    fn sample(action: Action) -> AuditEvent {
        let actor = Actor::Person {
            connector: "corp".to_owned(),
            subject: Some("s-1".to_owned()),
            username: Some("ada".to_owned()),
        };
        AuditEvent {
            client_address: Some([192, 0, 2, 7].into()),
            request_id: Some("request-1".to_owned()),
            role: Some("arn:aws:iam::111122223333:role/ReadOnly".to_owned()),
            account: Some("111122223333".to_owned()),
            intent: Some("intent-1".to_owned()),
            reason: Some("code".to_owned()),
            ..AuditEvent::new(datetime!(2027-01-31 08:00 UTC), action, Outcome::Ok, actor)
                .with("key", "value")
        }
    }

    #[test]
    fn the_document_has_every_action_outcome_and_field() {
        for action in Action::ALL {
            let row = format!("\n| `{}` |", action.as_str());
            assert!(
                DOCUMENT.contains(&row),
                "docs/audit.md has no row for {}",
                action.as_str()
            );
            let named = serde_json::to_value(action).unwrap();
            assert_eq!(named, action.as_str(), "two names for one action");
        }
        for outcome in ["intent", "ok", "refused", "failed", "unknown"] {
            assert!(DOCUMENT.contains(&format!("`{outcome}`")), "{outcome}");
        }
        let event = serde_json::to_value(sample(Action::SignIn)).unwrap();
        for field in event.as_object().unwrap().keys() {
            assert!(
                DOCUMENT.contains(&format!("`{field}`")),
                "docs/audit.md lacks {field}"
            );
        }
        for column in csv::HEADER {
            assert!(
                DOCUMENT.contains(&format!("`{column}`")),
                "docs/audit.md lacks {column}"
            );
        }
    }

    #[test]
    fn the_schema_is_as_it_was() {
        let names = Action::ALL.map(Action::as_str);
        insta::assert_snapshot!(names.join(" "), @"sign_in sign_out console.open credentials.issue groups.refresh account.change role.change mapping.change rule.change program.start edit.propose edit.approve edit.decline edit.withdraw edit.expire edit.undo explain view_as export settings.load mapping_file.load review.start review.decide review.close audit.checkpoint audit.erase session.revoke revocation.apply role.probe token.approve token.issue token.refresh token.refuse");
        let mut samples = String::new();
        let whole = serde_json::to_string(&sample(Action::SignIn)).unwrap();
        writeln!(samples, "{whole}").unwrap();
        let actors = [
            Actor::Host { uid: 0 },
            Actor::File {
                hash: "ab".to_owned(),
            },
            Actor::System,
        ];
        for actor in actors {
            let at = datetime!(2027-01-31 08:00 UTC);
            let event = AuditEvent::new(at, Action::SignIn, Outcome::Refused, actor);
            writeln!(samples, "{}", serde_json::to_string(&event).unwrap()).unwrap();
        }
        insta::assert_snapshot!(samples, @r#"
        {"at":"2027-01-31T08:00:00Z","action":"sign_in","outcome":"ok","actor":{"kind":"person","connector":"corp","subject":"s-1","username":"ada"},"client_address":"192.0.2.7","request_id":"request-1","role":"arn:aws:iam::111122223333:role/ReadOnly","account":"111122223333","intent":"intent-1","reason":"code","details":{"key":"value"}}
        {"at":"2027-01-31T08:00:00Z","action":"sign_in","outcome":"refused","actor":{"kind":"host","uid":0}}
        {"at":"2027-01-31T08:00:00Z","action":"sign_in","outcome":"refused","actor":{"kind":"file","hash":"ab"}}
        {"at":"2027-01-31T08:00:00Z","action":"sign_in","outcome":"refused","actor":{"kind":"system"}}
        "#);
        for action in Action::ALL {
            let mut told = serde_json::to_value(sample(action)).unwrap();
            let mut first = serde_json::to_value(sample(Action::SignIn)).unwrap();
            assert_eq!(told["action"].take(), action.as_str());
            first["action"].take();
            assert_eq!(told, first, "one schema for all");
        }
    }
}
