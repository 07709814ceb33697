//! A Rolegate with people who edit its tables: grace and hal of the helpdesk, amy and bob who are
//! admins, zoe who is both.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::{Command, Output},
};

use rolegate::{
    access::{Conditions, GroupKey, Mapping, MappingId, MappingRule, Origin, PolicyTables, Role},
    audit::AuditEvent,
    broker::{Client, EditDraft, EditPreview, EditRefused, Progress, Saved, SignInSession, Undo},
    demo::{
        directory::{Directory, Entry},
        sample::{self, group_dn, person_dn},
    },
    store::{Change, KnownPeople as _, PolicyStore as _, SignInSessions as _},
};
use uuid::Uuid;

use super::app::{Options, TestApp};

/// A role that the helpdesk alone may open.
pub const ORDER_DESK: &str = "arn:aws:iam::222233334444:role/OrderDesk";
/// A role of the production account of payments.
pub const PAYMENTS_ADMIN: &str = "arn:aws:iam::111122223333:role/Administrator";
/// A role of a development account.
pub const SANDBOX: &str = "arn:aws:iam::111122225555:role/Sandbox";

/// Who edits, beside grace.
const EDITORS: [(&str, &[&str]); 4] = [
    ("hal", &["helpdesk"]),
    ("amy", &["cloud-admins"]),
    ("bob", &["cloud-admins"]),
    ("zoe", &["helpdesk", "cloud-admins"]),
];

/// A running Rolegate, and whoever edits.
pub struct Desk {
    pub app: TestApp,
}

impl Desk {
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts with another table or more configuration; the directory is always [`directory`].
    pub async fn start_with(options: Options) -> Self {
        let directory = Some(directory());
        let app = TestApp::start_with(Options {
            directory,
            ..options
        })
        .await;
        Self { app }
    }

    /// Signs somebody in.
    pub async fn session(&self, username: &str) -> SignInSession {
        self.session_at("corp", username).await
    }

    /// Signs somebody in at one of several directories; the password is `NAME-demo` in all.
    pub async fn session_at(&self, connector: &str, username: &str) -> SignInSession {
        let mut browser = self.app.browser();
        browser.get("/login").await;
        let password = format!("{username}-demo");
        let fields = [("username", username), ("password", password.as_str())];
        let answer = browser.post(&format!("/login/{connector}"), &fields).await;
        assert_eq!(answer.status, 303, "{username}: {}", answer.body);
        let known = self.app.store.known_people().await.unwrap();
        let person = known.iter().find(|known| {
            known.identity.connector.as_str() == connector && known.identity.username == username
        });
        let subject = &person.unwrap().identity.subject;
        let sessions = self.app.store.sessions_of(connector, subject).await;
        sessions.unwrap().remove(0)
    }

    pub async fn preview(
        &self,
        author: &mut SignInSession,
        draft: &EditDraft,
    ) -> Result<EditPreview, EditRefused> {
        let progress = Progress::default();
        let broker = &self.app.broker;
        broker
            .preview_edit(author, draft, &progress, &client())
            .await
    }

    /// Saves what its preview shows.
    pub async fn save(
        &self,
        author: &mut SignInSession,
        draft: &EditDraft,
    ) -> Result<Saved, EditRefused> {
        let shown = self.preview(author, draft).await?.digest;
        self.save_shown(author, draft, &shown).await
    }

    pub async fn save_shown(
        &self,
        author: &mut SignInSession,
        draft: &EditDraft,
        shown: &str,
    ) -> Result<Saved, EditRefused> {
        let broker = &self.app.broker;
        broker.save_edit(author, draft, shown, &client()).await
    }

    /// Saves something that has to be in force at once; the edit's id.
    pub async fn save_now(&self, author: &mut SignInSession, draft: &EditDraft) -> String {
        match self.save(author, draft).await.unwrap() {
            Saved::InForce { edit, .. } => edit,
            other => panic!("the edit is not in force: {other:?}"),
        }
    }

    /// Saves something that has to wait; the pending edit's id. Nothing is changed by it.
    pub async fn save_waiting(&self, author: &mut SignInSession, draft: &EditDraft) -> String {
        let before = self.rows().await;
        match self.save(author, draft).await.unwrap() {
            Saved::Waits { pending } => {
                assert_eq!(self.rows().await, before);
                pending
            }
            other => panic!("the edit does not wait: {other:?}"),
        }
    }

    /// Looks at a pending edit and approves what it shows.
    pub async fn approve(
        &self,
        approver: &mut SignInSession,
        pending: &str,
    ) -> Result<Saved, EditRefused> {
        let (progress, client) = (Progress::default(), client());
        let broker = &self.app.broker;
        let seen = broker.pending_edit(approver, pending, &progress, &client);
        let shown = match seen.await?.1 {
            Ok(preview) => preview.digest,
            Err(refused) => format!("{refused}"),
        };
        broker
            .approve_edit(approver, pending, &shown, &client)
            .await
    }

    pub async fn undo(&self, what: Undo) -> EditDraft {
        self.app.broker.undo(&what).await.unwrap()
    }

    /// Runs the command line on the host, on the same database and directory.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let store = format!("sqlite://{}", self.app.database().display());
        Command::new(env!("CARGO_BIN_EXE_rolegate"))
            .env("ROLEGATE_CONFIG", "config/demo.toml")
            .env("ROLEGATE_STORE__URL", store)
            .env("ROLEGATE_CONNECTOR__CORP__URLS", self.app.directory.url())
            .env(
                "ROLEGATE_CONNECTOR__CORP__BIND_PASSWORD",
                sample::SERVICE_PASSWORD,
            )
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap()
    }

    pub async fn tables(&self) -> PolicyTables {
        self.app.store.tables().await.unwrap()
    }

    /// All rows, whose groups may be bound meanwhile.
    async fn rows(&self) -> impl PartialEq + std::fmt::Debug {
        let tables = self.tables().await;
        (tables.accounts, tables.roles, tables.mappings, tables.rules)
    }

    /// The newest row of the audit log.
    pub async fn last_event(&self) -> AuditEvent {
        self.app.audit_rows().await.remove(0).event
    }

    /// A mapping of the table.
    pub async fn mapping(&self, group: &str, role: &str) -> Option<Mapping> {
        let tables = self.tables().await;
        let mut mappings = tables.mappings.into_iter();
        mappings.find(|mapping| mapping.group == key(group) && mapping.role.as_str() == role)
    }

    /// A role of the table.
    pub async fn role(&self, arn: &str) -> Role {
        let tables = self.tables().await;
        let mut roles = tables.roles.into_iter();
        roles.find(|role| role.arn.as_str() == arn).unwrap()
    }
}

/// The sample directory with [`EDITORS`].
pub fn directory() -> Directory {
    let directory = Directory::sample();
    let admins = Entry::new(group_dn("cloud-admins"))
        .with("objectClass", ["top", "groupOfNames"])
        .with("cn", ["cloud-admins"]);
    directory.add_entry(admins);
    for (username, groups) in EDITORS {
        directory.add_entry(person(username, username));
        for group in groups {
            assert!(directory.add_member(&group_dn(group), &person_dn(username)));
        }
    }
    directory
}

/// Somebody with an e-mail address of their own or of somebody else.
pub fn person(username: &str, address: &str) -> Entry {
    Entry::new(person_dn(username))
        .with(
            "objectClass",
            ["top", "person", "organizationalPerson", "inetOrgPerson"],
        )
        .with("uid", [username])
        .with("cn", [username])
        .with("sn", [username])
        .with("mail", [format!("{address}@example.com")])
        .with("userPassword", [format!("{username}-demo")])
}

/// From where the tests come.
pub fn client() -> Client {
    Client {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        request_id: "test".to_owned(),
        user_agent: "tests".to_owned(),
        browser: None,
    }
}

/// The key of a sample group.
pub fn key(group: &str) -> GroupKey {
    GroupKey::from_stored(format!(
        "{}:{}",
        sample::CONNECTOR,
        group_dn(group).to_lowercase()
    ))
}

/// A new mapping of a sample group.
pub fn mapping(group: &str, role: &str) -> Mapping {
    Mapping {
        id: MappingId(Uuid::now_v7().to_string()),
        group: key(group),
        role: role.parse().unwrap(),
        conditions: Conditions::default(),
        ticket: Some("HD-1".to_owned()),
        origin: Origin::Store,
    }
}

/// A new rule that gives a role to groups whose names match.
pub fn rule(pattern: &str, role: &str) -> MappingRule {
    MappingRule {
        id: MappingId(Uuid::now_v7().to_string()),
        connector: sample::CONNECTOR.parse().unwrap(),
        group_pattern: pattern.to_owned(),
        role: role.to_owned(),
        conditions: Conditions::default(),
        allow_protected: false,
        ticket: None,
        origin: Origin::Store,
    }
}

/// An edit with nothing but changes.
pub fn draft(changes: Vec<Change>) -> EditDraft {
    EditDraft {
        changes,
        ..EditDraft::default()
    }
}

/// An edit that puts mappings.
pub fn putting(mappings: impl IntoIterator<Item = Mapping>) -> EditDraft {
    draft(mappings.into_iter().map(Change::PutMapping).collect())
}
