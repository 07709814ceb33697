//! `kill -9` in a storm of sign-ins, edits, approvals and grants: whatever was acknowledged is in the
//! audit log, and the tables are what the log says.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use reqwest::Method;
use rolegate::{
    access::{PolicyTables, RowName},
    audit::{Action, Actor, AuditEvent, Outcome},
    demo::sample::{group_dn, person_dn},
    store::{
        AuditFilter, AuditLog as _, AuditRow, PendingEdits as _, PendingState, PolicyStore as _,
    },
};
use serde_json::Value;
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    helpdesk::Form,
    process::{Installation, SHOP_READER, run},
    support::cookie_browser::{Answer, CookieBrowser},
};

/// How often the program is killed.
const LIVES: usize = 20;
/// Longer than anything takes on a loaded machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_mins(2);
/// A role that is protected, so that every edit of it waits for a second person.
const PROTECTED: &str = "arn:aws:iam::111122225555:role/Sandbox";
/// What the host's command line edits.
const HOST_ROLE: &str = "arn:aws:iam::222233334444:role/OrderDesk";
/// How many mappings the host imports at once.
const IMPORTED: usize = 5;
const ACCESS: &str = "[access]\nhelpdesk = [\"corp:cn=helpdesk,ou=groups,dc=example,dc=com\"]\n";

/// What the program said that it did.
#[derive(Default)]
struct Said {
    /// What the row has to be, and the request that it has to name.
    requests: Vec<(Action, String)>,
    /// The tickets of what the command line ended well with.
    host: Vec<String>,
    /// How many roles were opened.
    opened: usize,
}

/// Something that is acknowledged: by a page, whose action in the log this is, or by the command
/// line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ack {
    Row(Action),
    Host,
}

/// In turn the last thing that the program does before it is killed.
const LAST: [Ack; 5] = [
    Ack::Row(Action::SignIn),
    Ack::Row(Action::MappingChange),
    Ack::Row(Action::EditPropose),
    Ack::Row(Action::EditApprove),
    Ack::Host,
];

/// One life of the program, and what goes on in it.
#[derive(Clone)]
struct Life {
    said: Arc<Mutex<Said>>,
    tickets: Arc<AtomicU32>,
    /// What ends it once it is acknowledged.
    awaited: Ack,
    is_enough: Arc<Notify>,
    is_over: Arc<AtomicBool>,
}

impl Life {
    fn ticket(&self, kind: &str) -> String {
        format!("{kind}-{}", self.tickets.fetch_add(1, Ordering::SeqCst))
    }

    fn note_ack(&self, ack: Ack) {
        if self.awaited == ack {
            self.is_enough.notify_one();
        }
    }

    /// Keeps what an answer acknowledges: the act is done, and its row names the request.
    fn note(&self, action: Action, answer: &Answer) {
        let request = answer.header("x-request-id").to_owned();
        self.said.lock().unwrap().requests.push((action, request));
        self.note_ack(Ack::Row(action));
    }
}

/// A browser whose server may be gone at any moment.
struct Tab(CookieBrowser);

impl Tab {
    async fn get(&mut self, path: &str) -> Option<Answer> {
        self.0.try_send(Method::GET, path, None).await.ok()
    }

    async fn post(&mut self, path: &str, fields: &[(String, String)]) -> Option<Answer> {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .append_pair("csrf_token", &self.0.csrf_token)
            .finish();
        self.0.try_send(Method::POST, path, Some(body)).await.ok()
    }

    /// The page that a post ends at: what takes longer than a page may is looked at again.
    async fn post_to_end(&mut self, path: &str, fields: &[(String, String)]) -> Option<Answer> {
        let posted = self.post(path, fields).await?;
        let request = posted.headers.get("x-request-id").cloned();
        let mut answer = posted;
        while answer.status == 303 && answer.location().starts_with("/helpdesk/previews/") {
            let location = answer.location().to_owned();
            answer = self.get(&location).await?;
            while answer.body.contains("<progress") {
                answer = self.get(&location).await?;
            }
        }
        if let Some(request) = request {
            answer.headers.insert("x-request-id", request);
        }
        Some(answer)
    }

    /// Puts another ticket on a mapping, looks at the preview, and saves it; the last answer.
    async fn change(&mut self, page: &str, ticket: &str) -> Option<Answer> {
        let page = self.get(page).await?;
        assert_eq!(page.status, 200, "{}", page.body);
        let form = Form::of(&page).set("ticket", ticket);
        let shown = self.post_to_end(&form.preview, &form.fields).await?;
        if shown.status != 200 {
            return Some(shown);
        }
        let form = Form::of(&shown);
        let save = form.save.unwrap_or_else(|| panic!("{}", shown.body));
        self.post_to_end(&save, &form.fields).await
    }

    /// Looks at a waiting edit and approves what it shows.
    async fn approve(&mut self, pending: &str) -> Option<Answer> {
        let mut page = self.get(pending).await?;
        while page.body.contains("<progress") {
            page = self.get(pending).await?;
        }
        if page.status != 200 {
            return Some(page);
        }
        let digest = regex::Regex::new(r#"name="digest" value="([^"]+)""#).unwrap();
        let Some(digest) = digest.captures(&page.body) else {
            return Some(page);
        };
        let digest = digest[1].to_owned();
        let fields = [("digest".to_owned(), digest)];
        self.post_to_end(&format!("{pending}/approve"), &fields)
            .await
    }
}

/// Signs in anew until nobody answers.
async fn sign_in_again(life: Life, fresh: CookieBrowser, username: &'static str) {
    loop {
        let mut tab = Tab(fresh.clone());
        let Some(page) = tab.get("/login").await else {
            return;
        };
        assert_eq!(page.status, 200, "{}", page.body);
        let fields = [
            ("username".to_owned(), username.to_owned()),
            ("password".to_owned(), format!("{username}-demo")),
        ];
        let Some(answer) = tab.post("/login/corp", &fields).await else {
            return;
        };
        if answer.status == 303 {
            life.note(Action::SignIn, &answer);
        }
    }
}

/// Saves one edit after the other until nobody answers.
async fn edit_again(life: Life, page: String, mut tab: Tab) {
    loop {
        let ticket = life.ticket("page");
        let Some(answer) = tab.change(&page, &ticket).await else {
            return;
        };
        if answer.status == 303 {
            life.note(Action::MappingChange, &answer);
        }
    }
}

/// Proposes and approves one edit after the other until nobody answers.
async fn decide_again(life: Life, page: String, mut author: Tab, mut second: Tab) {
    loop {
        let ticket = life.ticket("pending");
        let Some(answer) = author.change(&page, &ticket).await else {
            return;
        };
        if answer.status != 303 {
            continue;
        }
        life.note(Action::EditPropose, &answer);
        let pending = answer.location().to_owned();
        assert!(pending.starts_with("/helpdesk/pending/"), "{pending}");
        let Some(answer) = second.approve(&pending).await else {
            return;
        };
        if answer.status == 303 {
            life.note(Action::EditApprove, &answer);
        }
    }
}

/// Opens a role again and again until nobody answers.
async fn open_again(life: Life, browser: CookieBrowser, url: url::Url) {
    while let Some(status) = browser.try_post(&url, SHOP_READER).await {
        if status == 303 {
            life.said.lock().unwrap().opened += 1;
        }
    }
}

/// Runs the command line beside the server, one mapping and five by turns.
fn edit_on_the_host(life: &Life, command: impl Fn() -> std::process::Command, file: &PathBuf) {
    let group = |name: &str| format!("corp:{}", group_dn(name));
    while !life.is_over.load(Ordering::SeqCst) {
        let (one, several) = (life.ticket("host"), life.ticket("import"));
        let mut add = command();
        add.args(["mapping", "add", "--role", HOST_ROLE, "--ticket", &one]);
        add.args(["--group", &group("data-analysts")]);
        let groups = [
            "everyone",
            "engineering",
            "webshop-dev",
            "finance",
            "book-club",
        ];
        let rows = groups.map(|name| {
            let group = group(name);
            format!(
                "[[mapping]]\ngroup = \"{group}\"\nrole = \"{HOST_ROLE}\"\nticket = \"{several}\"\n"
            )
        });
        assert_eq!(rows.len(), IMPORTED);
        std::fs::write(file, rows.concat()).unwrap();
        let mut import = command();
        import.args(["mapping", "import"]).arg(file);
        for (mut command, ticket) in [(add, one), (import, several)] {
            if command.output().unwrap().status.success() {
                life.said.lock().unwrap().host.push(ticket);
                life.note_ack(Ack::Host);
            }
        }
    }
}

/// The storm of one life; ends some time after the program is killed.
fn storm(installation: &Installation, life: &Life, people: &People) -> Vec<JoinHandle<()>> {
    let process = &installation.process;
    let tab = |browser: &CookieBrowser| Tab(browser.clone());
    let fresh = process.browser();
    let console = process.url.join("/console").unwrap();
    let host = life.clone();
    let config = process.config_path.clone();
    let file = installation.dir.path().join("imported.toml");
    let command = move || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rolegate"));
        command.arg("--config").arg(&config);
        command
    };
    vec![
        tokio::spawn(sign_in_again(life.clone(), fresh, "margaret")),
        tokio::spawn(edit_again(
            life.clone(),
            people.open_row.clone(),
            tab(&people.grace),
        )),
        tokio::spawn(decide_again(
            life.clone(),
            people.protected_row.clone(),
            tab(&people.linus),
            tab(&people.ada),
        )),
        tokio::spawn(open_again(life.clone(), people.linus.clone(), console)),
        tokio::task::spawn_blocking(move || edit_on_the_host(&host, command, &file)),
    ]
}

/// Who edits what; their sessions outlive the program.
struct People {
    open_row: String,
    protected_row: String,
    grace: CookieBrowser,
    linus: CookieBrowser,
    ada: CookieBrowser,
}

impl People {
    async fn signed_in(installation: &Installation) -> Self {
        let sign_in = async |name: &str| {
            let mut browser = installation.process.browser();
            let answer = browser.sign_in(name, &format!("{name}-demo")).await;
            assert_eq!(answer.status, 303, "{name}: {}", answer.body);
            assert_eq!(browser.get("/").await.status, 200);
            browser
        };
        let store = installation.store().await;
        let mappings = store.tables().await.unwrap().mappings;
        let page = |group: &str, role: &str| {
            let group = group_dn(group);
            let mut rows = mappings.iter();
            let row =
                rows.find(|row| row.group.as_str().ends_with(&group) && row.role.as_str() == role);
            format!("/helpdesk/mappings/{}", row.unwrap().id)
        };
        Self {
            open_row: page("book-club", SHOP_READER),
            protected_row: page("finance", PROTECTED),
            grace: sign_in("grace").await,
            linus: sign_in("linus").await,
            ada: sign_in("ada").await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_twenty_times_while_people_edit_every_acknowledged_act_has_its_row() {
    let mut installation = Installation::start_with(ACCESS);
    for name in ["linus", "ada"] {
        let directory = &installation.directory;
        assert!(directory.add_member(&group_dn("helpdesk"), &person_dn(name)));
    }
    run(
        &installation.process,
        &["role", "add", PROTECTED, "--protected"],
    );
    for (group, role) in [("book-club", SHOP_READER), ("finance", PROTECTED)] {
        let group = format!("corp:{}", group_dn(group));
        let add = ["mapping", "add", "--group", &group, "--role", role];
        run(&installation.process, &add);
    }
    let people = People::signed_in(&installation).await;
    let (said, tickets) = (Arc::default(), Arc::new(AtomicU32::new(0)));
    for number in 0..LIVES {
        let life = Life {
            said: Arc::clone(&said),
            tickets: Arc::clone(&tickets),
            awaited: LAST[number % LAST.len()],
            is_enough: Arc::default(),
            is_over: Arc::default(),
        };
        let tasks = storm(&installation, &life, &people);
        let enough = tokio::time::timeout(PATIENCE, life.is_enough.notified());
        assert!(enough.await.is_ok(), "{}", installation.process.log());
        installation.process.kill();
        life.is_over.store(true, Ordering::SeqCst);
        for task in tasks {
            task.await.unwrap();
        }
        installation.process.start_again();
    }
    installation.process.browser().get("/login").await;
    installation.process.stop();
    let verified = run(&installation.process, &["audit", "verify"]);
    assert!(verified.starts_with("the chain holds: "), "{verified}");
    let said = std::mem::take(&mut *said.lock().unwrap());
    Aftermath::of(&installation).await.check(&said);
}

/// What the storm left behind.
struct Aftermath {
    /// Oldest first.
    rows: Vec<AuditRow>,
    tables: PolicyTables,
    pending: Vec<rolegate::store::PendingEdit>,
    issued: usize,
}

impl Aftermath {
    async fn of(installation: &Installation) -> Self {
        let store = installation.store().await;
        let filter = AuditFilter {
            after: Some(0),
            limit: 1_000_000,
            ..AuditFilter::default()
        };
        Self {
            rows: store.audit_rows(&filter).await.unwrap(),
            tables: store.tables().await.unwrap(),
            pending: store.pending_edits(None, 100_000).await.unwrap(),
            issued: installation.aws.issued().len(),
        }
    }

    fn check(&self, said: &Said) {
        self.check_acknowledged(said);
        replay(self.rows.iter().map(|row| &row.event), &self.tables);
        self.check_imports();
        self.check_pending();
        self.check_grants(said);
    }

    fn done(&self, action: Action) -> impl Iterator<Item = &AuditEvent> {
        let events = self.rows.iter().map(|row| &row.event);
        events.filter(move |event| event.action == action && event.outcome == Outcome::Ok)
    }

    fn check_acknowledged(&self, said: &Said) {
        for (action, least) in [
            (Action::SignIn, LIVES),
            (Action::MappingChange, LIVES / 5),
            (Action::EditPropose, LIVES / 5),
            (Action::EditApprove, LIVES / 5),
        ] {
            let requests: HashSet<_> = (self.done(action))
                .filter_map(|event| event.request_id.as_deref())
                .collect();
            let acknowledged = said.requests.iter().filter(|(said, _)| *said == action);
            let mut count = 0;
            for (_, request) in acknowledged {
                count += 1;
                assert!(
                    requests.contains(request.as_str()),
                    "{} {request} was acknowledged and has no row",
                    action.as_str()
                );
            }
            println!("{count} × {} acknowledged", action.as_str());
            assert!(count >= least, "{count} × {}: no storm", action.as_str());
        }
        let told: HashSet<_> = self
            .done(Action::MappingChange)
            .filter(|event| matches!(event.actor, Actor::Host { .. }))
            .filter_map(ticket)
            .collect();
        println!("{} × on the host acknowledged", said.host.len());
        assert!(
            said.host.len() >= LIVES / 5,
            "{}: no storm",
            said.host.len()
        );
        for ticket in &said.host {
            assert!(told.contains(ticket.as_str()), "{ticket} has no row");
        }
    }

    /// An import is in the log as a whole, each under one edit.
    fn check_imports(&self) {
        let mut edits: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for event in self.done(Action::MappingChange) {
            let ticket = ticket(event).unwrap_or_default();
            if ticket.starts_with("import-") {
                let edit = event.details["edit"].as_str().unwrap();
                edits.entry(edit).or_default().push(ticket);
            }
        }
        assert!(!edits.is_empty(), "nothing was imported");
        for (edit, tickets) in edits {
            assert_eq!(tickets.len(), IMPORTED, "{edit}: {tickets:?}");
            let tickets: HashSet<&str> = tickets.into_iter().collect();
            assert_eq!(tickets.len(), 1, "{edit}");
        }
    }

    /// What waits was not made; what was approved was made once, in the edit of its approval.
    fn check_pending(&self) {
        for edit in &self.pending {
            let about = |event: &&AuditEvent| event.details["pending"] == edit.id.as_str();
            let proposed = self.done(Action::EditPropose).filter(about);
            assert_eq!(proposed.count(), 1, "{edit:?}");
            let approved: Vec<_> = self.done(Action::EditApprove).filter(about).collect();
            let [rolegate::store::Change::PutMapping(mapping)] = &edit.changes[..] else {
                panic!("{edit:?}");
            };
            let made: Vec<_> = self
                .done(Action::MappingChange)
                .filter(|event| ticket(event) == mapping.ticket.as_deref())
                .collect();
            match edit.state {
                PendingState::Waiting => {
                    assert!(approved.is_empty() && made.is_empty(), "{edit:?}: {made:?}");
                }
                PendingState::Approved => {
                    assert_eq!((approved.len(), made.len()), (1, 1), "{edit:?}");
                    assert_eq!(approved[0].details["edit"], made[0].details["edit"]);
                }
                other => panic!("nobody made it {other:?}: {edit:?}"),
            }
        }
        let proposed = self.done(Action::EditPropose).count();
        assert_eq!(proposed, self.pending.len());
    }

    fn check_grants(&self, said: &Said) {
        let outcome = |outcome| {
            let events = self.rows.iter().map(|row| &row.event);
            events.filter(move |event| event.outcome == outcome)
        };
        let intents = outcome(Outcome::Intent).count();
        assert!(self.issued >= 1, "no role was opened");
        assert!(
            self.issued <= intents,
            "{} issued, {intents} intents",
            self.issued
        );
        let recorded = outcome(Outcome::Ok)
            .filter(|event| event.action == Action::ConsoleOpen)
            .count();
        println!(
            "{} × opened, {} issued, {intents} intents, {} rows",
            said.opened,
            self.issued,
            self.rows.len()
        );
        assert!(
            said.opened <= recorded,
            "{} opened, {recorded} rows",
            said.opened
        );
    }
}

fn ticket(event: &AuditEvent) -> Option<&str> {
    event.details.get("ticket")?.as_str()
}

/// Makes the tables anew of nothing but the log: every row found what the one before it left, and
/// the last of each is what stands there now.
fn replay<'a>(events: impl Iterator<Item = &'a AuditEvent>, tables: &PolicyTables) {
    let mut made: HashMap<String, Value> = HashMap::new();
    let mut bound: HashMap<String, String> = HashMap::new();
    let changes = [
        Action::AccountChange,
        Action::RoleChange,
        Action::MappingChange,
        Action::RuleChange,
    ];
    let done =
        events.filter(|event| changes.contains(&event.action) && event.outcome == Outcome::Ok);
    for event in done {
        let Some(row) = event.details.get("row") else {
            // Which group the mappings of a name mean.
            let told = |key| event.details["after"][key].as_str().unwrap().to_owned();
            bound.insert(told("group"), told("group_id"));
            continue;
        };
        let before = event.details.get("before").cloned();
        let after = event.details.get("after").cloned();
        let found = match after {
            Some(after) => made.insert(row.to_string(), after),
            None => made.remove(&row.to_string()),
        };
        assert_eq!(found, before, "a change of {row} is missing from the log");
    }
    let now: HashMap<String, Value> = rows(tables)
        .map(|(name, row)| (serde_json::to_value(name).unwrap().to_string(), row))
        .collect();
    assert_eq!(made, now, "the tables are not what the log says");
    for (mapping, group_id) in &tables.group_ids {
        let name = RowName::Mapping(mapping.clone());
        let row = tables.row(&name).unwrap();
        let rolegate::access::Row::Mapping(mapping) = row else {
            panic!("{name:?}");
        };
        assert_eq!(bound.get(mapping.group.as_str()), Some(group_id));
    }
}

fn rows(tables: &PolicyTables) -> impl Iterator<Item = (RowName, Value)> {
    fn json(row: &impl serde::Serialize) -> Value {
        serde_json::to_value(row).unwrap()
    }
    let accounts = tables.accounts.iter();
    let accounts = accounts.map(|row| (RowName::Account(row.id.clone()), json(row)));
    let roles = tables.roles.iter();
    let roles = roles.map(|row| (RowName::Role(row.arn.clone()), json(row)));
    let mappings = tables.mappings.iter();
    let mappings = mappings.map(|row| (RowName::Mapping(row.id.clone()), json(row)));
    let rules = tables.rules.iter();
    let rules = rules.map(|row| (RowName::Rule(row.id.clone()), json(row)));
    accounts.chain(roles).chain(mappings).chain(rules)
}
