//! Four eyes on the pages: every way around the second person that a browser can send is tried, is
//! refused or waits, and has its row in the audit log.

use std::net::{Ipv4Addr, SocketAddr};

use regex::Regex;
use rolegate::{
    audit::{Action, Actor, AuditEvent, Outcome},
    broker::PendingState,
    demo::{
        directory::{Directory, Entry, Fault},
        sample::{self, group_dn, person_dn},
    },
    store::{Change, PendingEdits as _},
};
use time::Duration;

use crate::{
    helpdesk::{Form, attribute, fields, post},
    support::{
        app::Options,
        cookie_browser::{Answer, CookieBrowser},
        editing::{Desk, ORDER_DESK, PAYMENTS_ADMIN, SANDBOX, key, mapping, person},
        temporary_dir,
    },
};

/// A digest that nobody was shown.
const INVENTED: &str = "5f0e5f0e5f0e5f0e5f0e5f0e5f0e5f0e5f0e5f0e5f0e5f0e5f0e5f0e5f0e5f0e";

/// Beside grace, hal, amy, bob and zoe: olga is auditor, and sam is of the helpdesk for production
/// alone. margaret is nobody.
async fn desk() -> Desk {
    desk_with("").await
}

async fn desk_with(more_toml: &str) -> Desk {
    let scope = format!(
        "[[access.scope]]\ngroup = \"corp:{}\"\nenvironments = [\"production\"]\n",
        group_dn("production-desk")
    );
    let desk = Desk::start_with(Options {
        more_toml: scope + more_toml,
        ..Options::default()
    })
    .await;
    for (group, username) in [("auditors", "olga"), ("production-desk", "sam")] {
        desk.app.directory.add_entry(person(username, username));
        add_group(&desk, group, username);
    }
    desk
}

fn add_group(desk: &Desk, name: &str, member: &str) {
    let group = Entry::new(group_dn(name))
        .with("objectClass", ["top", "groupOfNames"])
        .with("cn", [name]);
    desk.app.directory.add_entry(group);
    join(desk, name, member);
}

fn join(desk: &Desk, group: &str, member: &str) {
    let directory = &desk.app.directory;
    assert!(directory.add_member(&group_dn(group), &person_dn(member)));
}

/// The form of a new mapping, filled in, with its preview.
async fn shown(browser: &mut CookieBrowser, group: &str, role: &str) -> Form {
    let page = browser.get("/helpdesk/mappings/new").await;
    let form = Form::of(&page)
        .set("group", key(group).as_str())
        .set("role", role)
        .set("ticket", "HD-1");
    Form::of(&form.preview(browser).await)
}

/// Saves, and returns the id of the edit that waits.
async fn waiting(browser: &mut CookieBrowser, form: &Form) -> String {
    let saved = form.save(browser).await;
    let location = saved.location();
    let id = location.strip_prefix("/helpdesk/pending/");
    id.unwrap_or_else(|| {
        panic!(
            "it does not wait: {} {location} {}",
            saved.status, saved.body
        )
    })
    .to_owned()
}

/// What the page of a pending edit shows, as its button sends it.
async fn digest_of(browser: &mut CookieBrowser, pending: &str) -> String {
    let page = browser.get(&format!("/helpdesk/pending/{pending}")).await;
    let digest = Regex::new(r#"name="digest" value="([^"]+)""#).unwrap();
    let found = digest.captures(&page.body);
    found.unwrap_or_else(|| panic!("{}", page.body))[1].to_owned()
}

async fn approve(browser: &mut CookieBrowser, pending: &str, digest: &str) -> Answer {
    let fields = [("digest".to_owned(), digest.to_owned())];
    post(
        browser,
        &format!("/helpdesk/pending/{pending}/approve"),
        &fields,
    )
    .await
}

fn name_of(actor: &Actor) -> Option<&str> {
    match actor {
        Actor::Person { username, .. } => username.as_deref(),
        _ => None,
    }
}

/// What was tried, and how it has to be written down.
struct Tried<'a> {
    who: &'a str,
    action: Action,
    code: &'a str,
}

impl Desk {
    async fn assert_refused(&self, answer: &Answer, tried: &Tried<'_>) {
        assert!(
            (400..500).contains(&answer.status),
            "{}: {} {} {}",
            tried.code,
            answer.status,
            answer.location(),
            answer.body
        );
        let event = self.last_event().await;
        assert_eq!(
            (
                name_of(&event.actor),
                event.action,
                event.outcome,
                event.reason.as_deref()
            ),
            (
                Some(tried.who),
                tried.action,
                Outcome::Refused,
                Some(tried.code)
            ),
            "{event:?}\n{}",
            answer.body
        );
        assert!(event.request_id.is_some() && event.client_address.is_some());
    }

    async fn state_of(&self, pending: &str) -> PendingState {
        let edit = self.app.store.pending_edit(pending).await.unwrap();
        edit.unwrap().state
    }

    /// Approving is refused, and the edit goes on waiting.
    async fn assert_kept_waiting(
        &self,
        browser: &mut CookieBrowser,
        (pending, digest): (&str, &str),
        (who, code): (&str, &str),
    ) -> Answer {
        browser.get("/helpdesk/pending").await;
        let answer = approve(browser, pending, digest).await;
        let action = Action::EditApprove;
        self.assert_refused(&answer, &Tried { who, action, code })
            .await;
        assert_eq!(self.last_event().await.details["pending"], pending);
        assert_eq!(self.state_of(pending).await, PendingState::Waiting);
        answer
    }

    async fn proposal(&self) -> AuditEvent {
        let event = self.last_event().await;
        assert_eq!(
            (event.action, event.outcome),
            (Action::EditPropose, Outcome::Ok)
        );
        event
    }
}

/// Nothing is saved with a digest that nobody was shown.
async fn assert_not_forged(desk: &Desk, grace: &mut CookieBrowser, form: &Form) {
    // Saved as if nobody had to look: with an invented digest, and with none.
    for digest in [INVENTED, ""] {
        let forged = form.clone().set("digest", digest);
        let answer = forged.save(grace).await;
        assert!(answer.body.contains("Nothing was saved"), "{}", answer.body);
        let tried = Tried {
            who: "grace",
            action: Action::MappingChange,
            code: "preview_changed",
        };
        desk.assert_refused(&answer, &tried).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_another_person_of_the_helpdesk_approves_a_role_for_its_author() {
    let desk = desk().await;
    let mut grace = desk.app.signed_in("grace").await;
    let form = shown(&mut grace, "finance", SANDBOX).await;
    assert_not_forged(&desk, &mut grace, &form).await;
    let pending = waiting(&mut grace, &form).await;
    assert_eq!(
        desk.proposal().await.details["why"],
        serde_json::json!(["self_gain"])
    );
    let mut hal = desk.app.signed_in("hal").await;
    let digest = digest_of(&mut hal, &pending).await;
    let shown = (pending.as_str(), digest.as_str());

    let own = desk
        .assert_kept_waiting(&mut grace, shown, ("grace", "own_edit"))
        .await;
    assert!(
        own.body.contains("You wrote this edit yourself"),
        "{}",
        own.body
    );
    let mut again = desk.app.signed_in("grace").await;
    desk.assert_kept_waiting(&mut again, shown, ("grace", "own_edit"))
        .await;
    for (who, code, words) in [
        (
            "olga",
            "approver_without_authority",
            "Only the helpdesk and admins",
        ),
        (
            "amy",
            "approver_without_authority",
            "you are not in a helpdesk group",
        ),
        (
            "sam",
            "approver_without_authority",
            "outside of what your helpdesk group covers",
        ),
        ("margaret", "not_staff", "These pages are for the helpdesk"),
    ] {
        let mut other = desk.app.signed_in(who).await;
        let answer = desk
            .assert_kept_waiting(&mut other, shown, (who, code))
            .await;
        assert!(answer.body.contains(words), "{who}: {}", answer.body);
    }
    // The right person with the wrong preview, and by a form of nobody's.
    desk.assert_kept_waiting(&mut hal, (&pending, INVENTED), ("hal", "preview_changed"))
        .await;
    let path = format!("/helpdesk/pending/{pending}/approve");
    let unasked = hal.post_without_token(&path, &[("digest", &digest)]).await;
    let tried = Tried {
        who: "hal",
        action: Action::EditApprove,
        code: "form_expired",
    };
    desk.assert_refused(&unasked, &tried).await;
    // Somebody who is not signed in reaches nothing, and leaves no row.
    let before = desk.app.audit_rows().await.len();
    let mut stranger = desk.app.browser();
    stranger.get("/login").await;
    let answer = approve(&mut stranger, &pending, &digest).await;
    assert!(answer.location().starts_with("/login"), "{answer:?}");
    assert_eq!(desk.app.audit_rows().await.len(), before);
    assert_eq!(desk.mapping("finance", SANDBOX).await, None);

    hal.get("/helpdesk/pending").await;
    let done = approve(&mut hal, &pending, &digest).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert!(desk.mapping("finance", SANDBOX).await.is_some());
    let twice = approve(&mut hal, &pending, &digest).await;
    let tried = Tried {
        who: "hal",
        action: Action::EditApprove,
        code: "already_decided",
    };
    desk.assert_refused(&twice, &tried).await;
    assert!(
        twice.body.contains("somebody has decided"),
        "{}",
        twice.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_at_another_connector_approves_nothing_on_the_pages() {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let lab = Directory::sample().start(address).unwrap();
    let password = sample::SERVICE_PASSWORD;
    let more_toml = format!(
        "[[access.scope]]\ngroup = \"lab:{}\"\nroles = [\"*\"]\n\
         [[connector]]\nid = \"lab\"\ntype = \"ldap\"\npreset = \"openldap\"\nlabel = \"Lab\"\n\
         urls = [\"{}\"]\nbind_dn = \"{}\"\nbind_password = \"{password}\"\n\
         user_base = \"{}\"\ngroup_base = \"{}\"\n",
        group_dn("helpdesk"),
        lab.url(),
        sample::SERVICE_DN,
        sample::PEOPLE_BASE,
        sample::GROUPS_BASE,
    );
    let desk = Desk::start_with(Options {
        more_toml,
        overrides: vec![(
            "AWS__SESSION_NAME".to_owned(),
            "{connector}-{username}".to_owned(),
        )],
        ..Options::default()
    })
    .await;
    let mut grace = desk.app.signed_in("grace").await;
    let form = shown(&mut grace, "finance", SANDBOX).await;
    let pending = waiting(&mut grace, &form).await;
    let mut at_lab = desk.app.browser();
    at_lab.get("/login").await;
    let fields = [("username", "grace"), ("password", "grace-demo")];
    assert_eq!(at_lab.post("/login/lab", &fields).await.status, 303);
    let mut hal = desk.app.signed_in("hal").await;
    let digest = digest_of(&mut hal, &pending).await;
    desk.assert_kept_waiting(&mut at_lab, (&pending, &digest), ("grace", "same_person"))
        .await;
    let Actor::Person { connector, .. } = desk.last_event().await.actor else {
        panic!("a person tried");
    };
    assert_eq!(connector, "lab");
}

#[tokio::test(flavor = "multi_thread")]
async fn imports_and_bulk_edits_wait_like_any_other_edit() {
    let desk = desk().await;
    let mut grace = desk.app.signed_in("grace").await;
    // A text that gives the importer a role, among rows that give others one.
    let text = format!(
        "[[mapping]]\ngroup = \"{}\"\nrole = \"{SANDBOX}\"\n\
         [[mapping]]\ngroup = \"{}\"\nrole = \"{SANDBOX}\"\n",
        key("book-club"),
        key("finance")
    );
    let page = grace.get("/helpdesk/import").await;
    let form = Form::of(&page).set("text", &text).set("reason", "HD-2");
    let form = Form::of(&form.preview(&mut grace).await);
    waiting(&mut grace, &form).await;
    assert_eq!(
        desk.proposal().await.details["own_gains"],
        serde_json::json!([SANDBOX])
    );
    assert_eq!(desk.mapping("book-club", SANDBOX).await, None);

    // Several rows of which one is protected.
    let mut role = desk.role(PAYMENTS_ADMIN).await;
    role.protected = true;
    desk.app.edit(vec![Change::PutRole(Box::new(role))]).await;
    let rows = [
        desk.mapping("payments-leads", PAYMENTS_ADMIN)
            .await
            .unwrap(),
        desk.mapping("helpdesk", ORDER_DESK).await.unwrap(),
    ];
    let mut sent = vec![("edit".to_owned(), "end".to_owned())];
    sent.extend(
        rows.iter()
            .map(|row| ("row".to_owned(), row.id.to_string())),
    );
    grace.get("/helpdesk/mappings").await;
    let page = post(&mut grace, "/helpdesk/preview", &sent).await;
    assert!(page.body.contains("second person"), "{}", page.body);
    let form = Form::of(&page).set("reason", "HD-3");
    waiting(&mut grace, &form).await;
    assert_eq!(
        desk.proposal().await.details["why"],
        serde_json::json!(["protected"])
    );
    assert!(desk.mapping("helpdesk", ORDER_DESK).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn undo_and_rules_that_give_their_author_a_role_wait() {
    let desk = desk().await;
    let mut grace = desk.app.signed_in("grace").await;
    // Taking back what took something away from oneself.
    let row = mapping("finance", ORDER_DESK);
    desk.app.edit(vec![Change::PutMapping(row.clone())]).await;
    let mut hal = desk.app.signed_in("hal").await;
    hal.get("/helpdesk/mappings").await;
    let sent = [
        ("edit".to_owned(), "end".to_owned()),
        ("row".to_owned(), row.id.to_string()),
    ];
    let page = post(&mut hal, "/helpdesk/preview", &sent).await;
    let form = Form::of(&page).set("reason", "HD-4");
    let saved = form.save(&mut hal).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    let list = grace.get(saved.location()).await;
    let undo = Regex::new(r#"href="(/helpdesk/undo[^"]*)""#).unwrap();
    let undo = undo.captures(&list.body).unwrap()[1].to_owned();
    let page = grace.get(&undo).await;
    let form = Form::of(&page).set("reason", "I need it");
    waiting(&mut grace, &form).await;
    assert!(desk.proposal().await.details["undoes"].is_string());
    assert_eq!(desk.mapping("finance", ORDER_DESK).await, None);

    // A rule that would match a group of the author's.
    let mut amy = desk.app.signed_in("amy").await;
    let page = amy.get("/helpdesk/rules/new").await;
    let form = Form::of(&page)
        .set("connector", "corp")
        .set(
            "group_pattern",
            "^cn=cloud-(?<rest>.*),ou=groups,dc=example,dc=com$",
        )
        .set("role", SANDBOX)
        .set("reason", "HD-5");
    let page = form.preview(&mut amy).await;
    assert!(
        page.body.contains("This would give yourself"),
        "{}",
        page.body
    );
    waiting(&mut amy, &Form::of(&page)).await;
    assert_eq!(
        desk.proposal().await.details["why"],
        serde_json::json!(["self_gain"])
    );
    assert!(
        desk.tables()
            .await
            .rules
            .iter()
            .all(|rule| rule.role != SANDBOX)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_its_author_joins_before_saving_makes_the_edit_wait() {
    let desk = desk().await;
    let mut grace = desk.app.signed_in("grace").await;
    let form = shown(&mut grace, "book-club", SANDBOX).await;
    join(&desk, "book-club", "grace");
    let answer = form.save(&mut grace).await;
    let tried = Tried {
        who: "grace",
        action: Action::MappingChange,
        code: "preview_changed",
    };
    desk.assert_refused(&answer, &tried).await;
    assert!(
        answer.body.contains("This would give yourself"),
        "{}",
        answer.body
    );
    let pending = waiting(&mut grace, &Form::of(&answer)).await;
    assert_eq!(desk.mapping("book-club", SANDBOX).await, None);
    // The second person joins too, and is none any more.
    let mut hal = desk.app.signed_in("hal").await;
    let digest = digest_of(&mut hal, &pending).await;
    join(&desk, "book-club", "hal");
    desk.assert_kept_waiting(&mut hal, (&pending, &digest), ("hal", "approver_gains"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_whose_rows_were_changed_or_whose_time_is_over_is_not_approved() {
    let desk = desk().await;
    let mut row = mapping("finance", SANDBOX);
    row.conditions.read_only = true;
    desk.app.edit(vec![Change::PutMapping(row.clone())]).await;
    let mut grace = desk.app.signed_in("grace").await;
    let page = grace.get(&format!("/helpdesk/mappings/{}", row.id)).await;
    let mut form = Form::of(&page).set("reason", "HD-6");
    form.fields.retain(|(name, _)| name != "read_only");
    let form = Form::of(&form.preview(&mut grace).await);
    let pending = waiting(&mut grace, &form).await;
    let mut hal = desk.app.signed_in("hal").await;
    let digest = digest_of(&mut hal, &pending).await;
    row.ticket = Some("HD-7".to_owned());
    desk.app.edit(vec![Change::PutMapping(row.clone())]).await;
    let answer = desk
        .assert_kept_waiting(&mut hal, (&pending, &digest), ("hal", "conflict"))
        .await;
    assert!(
        answer.body.contains("changed since it was proposed"),
        "{}",
        answer.body
    );

    let form = shown(&mut grace, "finance", ORDER_DESK).await;
    let late = waiting(&mut grace, &form).await;
    let digest = digest_of(&mut hal, &late).await;
    desk.app.clock.advance(Duration::days(7) + Duration::SECOND);
    let mut hal = desk.app.signed_in("hal").await;
    hal.get("/helpdesk/pending").await;
    let answer = approve(&mut hal, &late, &digest).await;
    let tried = Tried {
        who: "hal",
        action: Action::EditApprove,
        code: "already_decided",
    };
    desk.assert_refused(&answer, &tried).await;
    assert_eq!(desk.state_of(&late).await, PendingState::Expired);
    assert_eq!(desk.mapping("finance", ORDER_DESK).await, None);
}

/// The form of a page in which a field of this name stands.
fn form_with(page: &Answer, field: &str) -> (String, Vec<(String, String)>) {
    let mut forms = page.body.split("<form").skip(1);
    let form = forms.find(|form| form.contains(&format!("name=\"{field}\"")));
    let form = form.unwrap_or_else(|| panic!("no {field} in {}", page.body));
    let html = format!("<form{}", form.split("</form>").next().unwrap());
    (attribute(&html, "action").unwrap(), fields(&html))
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_admins_are_refused_when_the_helpdesk_or_nobody_posts_them() {
    let desk = desk().await;
    let mut amy = desk.app.signed_in("amy").await;
    let role = format!(
        "/helpdesk/roles/{}",
        url::form_urlencoded::byte_serialize(SANDBOX.as_bytes()).collect::<String>()
    );
    let rule = desk.tables().await.rules[0].id.clone();
    let pages = [
        (role, "description", Action::RoleChange),
        (
            "/helpdesk/accounts/111122225555".to_owned(),
            "description",
            Action::AccountChange,
        ),
        (
            format!("/helpdesk/rules/{rule}"),
            "group_pattern",
            Action::RuleChange,
        ),
    ];
    let before = desk.tables().await;
    for (path, field, action) in pages {
        let (address, mut sent) = form_with(&amy.get(&path).await, field);
        let changed = if field == "description" {
            field
        } else {
            "ticket"
        };
        sent.retain(|(name, _)| name != changed && name != "reason");
        sent.push((changed.to_owned(), "Mine".to_owned()));
        sent.push(("reason".to_owned(), "HD-8".to_owned()));
        sent.push(("digest".to_owned(), INVENTED.to_owned()));
        for who in ["grace", "olga"] {
            let mut other = desk.app.signed_in(who).await;
            other.get("/helpdesk/mappings").await;
            let answer = post(&mut other, &address, &sent).await;
            assert_eq!(answer.status, 403, "{who} {path}: {}", answer.body);
            // Whether somebody edits at all is asked before what they edit, or the page asks.
            let code = desk.last_event().await.reason.unwrap_or_default();
            assert!(["not_admin", "not_an_editor"].contains(&code.as_str()));
            let code = code.as_str();
            desk.assert_refused(&answer, &Tried { who, action, code })
                .await;
        }
        let mut margaret = desk.app.signed_in("margaret").await;
        margaret.get("/").await;
        let answer = post(&mut margaret, &address, &sent).await;
        assert_eq!(answer.status, 403, "{}", answer.body);
        let event = desk.last_event().await;
        assert_eq!(name_of(&event.actor), Some("margaret"));
        assert_eq!(event.reason.as_deref(), Some("not_staff"));
    }
    let now = desk.tables().await;
    assert_eq!(
        (now.accounts, now.roles, now.rules),
        (before.accounts, before.roles, before.rules)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_the_mapping_file_are_refused_whatever_form_is_forged() {
    let dir = temporary_dir("four-eyes-pages");
    let path = dir.path().join("mappings.toml");
    let text = format!(
        "[[mapping]]\ngroup = \"{}\"\nrole = \"{SANDBOX}\"\n",
        key("book-club")
    );
    std::fs::write(&path, text).unwrap();
    let desk = desk_with(&format!("[mappings]\nfile = \"{}\"\n", path.display())).await;
    let tables = desk.app.broker.tables().await.unwrap();
    let mut mappings = tables.mappings.iter();
    let row = mappings.find(|row| row.group == key("book-club")).unwrap();
    let rules = desk.app.audit_rows().await;
    let loaded = rules
        .iter()
        .find(|row| row.event.action == Action::MappingFileLoad);
    assert!(
        matches!(&loaded.unwrap().event.actor, Actor::File { hash } if hash.len() == 64),
        "the file stands outside four eyes and is written down as itself: {loaded:?}"
    );

    let mut grace = desk.app.signed_in("grace").await;
    let page = grace.get(&format!("/helpdesk/mappings/{}", row.id)).await;
    assert!(
        page.body.contains("mapping file, line 1") && !page.body.contains("data-edit"),
        "{}",
        page.body
    );
    let blank = Form::of(&grace.get("/helpdesk/mappings/new").await)
        .set("row", &row.id.0)
        .set("reason", "HD-9")
        .set("digest", INVENTED);
    let looser = blank
        .clone()
        .set("group", row.group.as_str())
        .set("role", SANDBOX)
        .set("ticket", "mine");
    let elsewhere = blank
        .set("group", key("helpdesk").as_str())
        .set("role", SANDBOX);
    let of = |edit: &str| {
        let pairs = [
            ("edit", edit),
            ("row", &row.id.0),
            ("expires", "2099-01-01"),
            ("reason", "HD-9"),
            ("digest", INVENTED),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned()))
    };
    for sent in [
        looser.fields,
        elsewhere.fields,
        of("end").to_vec(),
        of("expiry").to_vec(),
    ] {
        grace.get("/helpdesk/mappings").await;
        let answer = post(&mut grace, "/helpdesk/save", &sent).await;
        let tried = Tried {
            who: "grace",
            action: Action::MappingChange,
            code: "file_row",
        };
        desk.assert_refused(&answer, &tried).await;
        assert!(
            answer.body.contains("the mapping file, line 1"),
            "{}",
            answer.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_directory_is_down_edits_wait_and_later_nobody_edits() {
    let desk = desk().await;
    let mut grace = desk.app.signed_in("grace").await;
    desk.app.directory.set_fault(Some(Fault::CloseConnections));
    let form = shown(&mut grace, "book-club", SANDBOX).await;
    let pending = waiting(&mut grace, &form).await;
    let page = grace.get(&format!("/helpdesk/pending/{pending}")).await;
    assert!(
        page.body.contains("could not be"),
        "what is not known is said: {}",
        page.body
    );
    desk.app.clock.advance(Duration::minutes(61));
    grace.get("/helpdesk/mappings/new").await;
    let answer = form.save(&mut grace).await;
    assert!((400..600).contains(&answer.status), "{}", answer.body);
    let event = desk.last_event().await;
    assert_eq!(name_of(&event.actor), Some("grace"));
    assert_eq!(event.outcome, Outcome::Refused, "{event:?}");
    assert_eq!(desk.mapping("book-club", SANDBOX).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_without_their_token_are_refused_and_written_down() {
    let desk = desk().await;
    let mut grace = desk.app.signed_in("grace").await;
    let form = shown(&mut grace, "finance", SANDBOX).await;
    let sent: Vec<(&str, &str)> = form
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let unasked = grace.post_without_token("/helpdesk/save", &sent).await;
    let tried = Tried {
        who: "grace",
        action: Action::MappingChange,
        code: "form_expired",
    };
    desk.assert_refused(&unasked, &tried).await;
    // Somebody else's token is none.
    let mut hal = desk.app.signed_in("hal").await;
    hal.get("/helpdesk/mappings").await;
    let other = [&sent[..], &[("csrf_token", hal.csrf_token.as_str())]].concat();
    let unasked = grace.post_without_token("/helpdesk/save", &other).await;
    desk.assert_refused(&unasked, &tried).await;
    assert_eq!(desk.mapping("finance", SANDBOX).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_of_the_host_stands_outside_and_is_written_down_as_that() {
    let desk = desk().await;
    let mut grace = desk.app.signed_in("grace").await;
    let group = key("finance");
    let add = [
        "mapping",
        "add",
        "--group",
        group.as_str(),
        "--role",
        SANDBOX,
    ];
    let output = desk.command(&[&add[..], &["--ticket", "HD-10"]].concat());
    assert!(output.status.success(), "{output:?}");
    assert!(desk.mapping("finance", SANDBOX).await.is_some());
    let event = desk.last_event().await;
    assert_eq!(event.action, Action::MappingChange);
    assert!(
        matches!(event.actor, Actor::Host { .. }),
        "it is no person: {event:?}"
    );
    assert_eq!(event.details["ticket"], "HD-10");
    // The pages say so too.
    let history = grace.get("/helpdesk/history").await;
    assert!(
        history.body.contains("by the command line of the host"),
        "{}",
        history.body
    );
}
