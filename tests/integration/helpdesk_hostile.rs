//! Staff who mean harm, and strangers: forged forms, rows that hide behind others, texts without end,
//! and everything that the helpdesk's pages must not tell.

use std::net::{Ipv4Addr, SocketAddr};

use rolegate::{
    access::{GroupKey, Mapping, MappingId},
    broker::{EditDraft, EditRefused, Saved, Wait},
    demo::{
        directory::{Directory, Fault, RunningDirectory},
        sample::{self, group_dn},
    },
    store::Change,
};

use crate::support::{
    app::Options,
    editing::{Desk, PAYMENTS_ADMIN, SANDBOX, draft, mapping, putting, rule},
};

fn named(id: &str, row: Mapping) -> Mapping {
    Mapping {
        id: MappingId(id.to_owned()),
        ..row
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_does_not_hide_behind_another_with_the_same_made_up_id() {
    let desk = Desk::start().await;
    let changes = [
        Change::PutMapping(named("x", mapping("finance", SANDBOX))),
        Change::PutMapping(named("x", mapping("webshop-readers", SANDBOX))),
    ];
    let mut author = desk.session("grace").await;
    let preview = desk.preview(&mut author, &draft(changes.to_vec())).await;
    assert_eq!(preview.unwrap().rows.len(), 2);
    desk.save_waiting(&mut author, &draft(changes.to_vec()))
        .await;
    assert_eq!(desk.mapping("finance", SANDBOX).await, None);

    let rules = [
        Change::PutRule(rolegate::access::MappingRule {
            id: MappingId("x".to_owned()),
            ..rule("^cn=cloud-admins,.*$", SANDBOX)
        }),
        Change::PutRule(rolegate::access::MappingRule {
            id: MappingId("x".to_owned()),
            ..rule("^cn=webshop-readers,.*$", SANDBOX)
        }),
    ];
    let mut amy = desk.session("amy").await;
    let preview = desk
        .preview(&mut amy, &draft(rules.to_vec()))
        .await
        .unwrap();
    assert_eq!(preview.rows.len(), 2);
    assert_eq!(preview.waits, [Wait::SelfGain]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_in_another_spelling_replaces_nobodys_row() {
    let desk = Desk::start().await;
    let kept = mapping("interns", PAYMENTS_ADMIN);
    desk.app.edit(vec![Change::PutMapping(kept.clone())]).await;
    let mut role = desk.role(PAYMENTS_ADMIN).await;
    role.protected = true;
    desk.app.edit(vec![Change::PutRole(Box::new(role))]).await;
    for id in [
        kept.id.0.to_uppercase(),
        format!("{{{}}}", kept.id.0),
        format!("urn:uuid:{}", kept.id.0),
        kept.id.0.replace('-', ""),
    ] {
        let mut hal = desk.session("hal").await;
        let edit = putting([named(&id, mapping("webshop-readers", SANDBOX))]);
        let _ = desk.save(&mut hal, &edit).await;
        assert!(
            desk.mapping("interns", PAYMENTS_ADMIN).await.is_some(),
            "{id}"
        );
    }
}

/// A second directory with the same people, and what the configuration says of it.
fn lab() -> (RunningDirectory, Options) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let lab = Directory::sample().start(address).unwrap();
    let password = sample::SERVICE_PASSWORD;
    let more_toml = format!(
        "[[connector]]\nid = \"lab\"\ntype = \"ldap\"\npreset = \"openldap\"\nlabel = \"Lab\"\n\
         urls = [\"{}\"]\nbind_dn = \"{}\"\nbind_password = \"{password}\"\n\
         user_base = \"{}\"\ngroup_base = \"{}\"\n",
        lab.url(),
        sample::SERVICE_DN,
        sample::PEOPLE_BASE,
        sample::GROUPS_BASE,
    );
    let options = Options {
        more_toml,
        overrides: vec![(
            "AWS__SESSION_NAME".to_owned(),
            "{connector}-{username}".to_owned(),
        )],
        ..Options::default()
    };
    (lab, options)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_directory_cannot_tell_of_the_author_waits() {
    let (lab, options) = lab();
    let desk = Desk::start_with(options).await;
    let at_lab = |group: &str| {
        let mut row = mapping(group, SANDBOX);
        row.group = GroupKey::from_stored(format!("lab:{}", group_dn(group)));
        row
    };
    let mut grace = desk.session("grace").await;
    // She is in that group there, where she never signed in: the directory tells.
    let mine = putting([at_lab("finance")]);
    let preview = desk.preview(&mut grace, &mine).await.unwrap();
    assert_eq!(preview.waits, [Wait::SelfGain]);
    let others = putting([at_lab("webshop-readers")]);
    assert_eq!(
        desk.preview(&mut grace, &others).await.unwrap().waits,
        Vec::<Wait>::new()
    );
    desk.save_now(&mut grace, &others).await;
    lab.set_fault(Some(Fault::CloseConnections));
    let preview = desk.preview(&mut grace, &mine).await.unwrap();
    assert_eq!(
        preview.waits,
        [Wait::Unresolved],
        "{:?}",
        preview.unresolved
    );
    desk.save_waiting(&mut grace, &mine).await;
    // What only takes away is never held up.
    let table = desk.tables().await.mappings;
    let row = table.iter().find(|row| row.group.connector() == "lab");
    let end = draft(vec![Change::EndMapping(row.unwrap().id.clone())]);
    let saved = desk.save(&mut grace, &end).await.unwrap();
    assert!(matches!(saved, Saved::InForce { .. }), "{saved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_without_end_are_refused_at_once() {
    let desk = Desk::start().await;
    let mut grace = desk.app.signed_in("grace").await;
    grace.get("/helpdesk/mappings/new").await;
    let long = "a/".repeat(1_000_000);
    for (group, role) in [("corp:x", long.as_str()), (long.as_str(), "x/y")] {
        let fields = [
            ("edit", "mapping"),
            ("row", "x"),
            ("group", group),
            ("role", role),
        ];
        for page in ["/helpdesk/preview", "/helpdesk/save"] {
            let answer = grace.post(page, &fields).await;
            assert_eq!(answer.status, 400, "{page}");
        }
    }
    let mut amy = desk.session("amy").await;
    let edits = [
        Change::PutRule(rule(&format!("^{}$", "x".repeat(5_000)), SANDBOX)),
        Change::PutAccount(rolegate::access::Account {
            description: Some("x".repeat(100_000)),
            ..desk.tables().await.accounts.remove(0)
        }),
    ];
    for change in edits {
        let refused = desk.preview(&mut amy, &draft(vec![change])).await;
        assert!(
            matches!(refused, Err(EditRefused::Problems(_))),
            "{refused:?}"
        );
    }
    let broker = &desk.app.broker;
    let refused = broker.roles_meant(&long).await.unwrap_err().to_string();
    assert!(refused.len() < 500, "{} bytes", refused.len());
    assert!(broker.find_groups(&long).await.unwrap().items.is_empty());
    assert!(broker.find_people(&long).await.unwrap().items.is_empty());
    assert!(broker.person(None, &long).await.unwrap().items.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_for_everything_finds_what_is_called_so() {
    let desk = Desk::start().await;
    let broker = &desk.app.broker;
    for text in [
        "*",
        "**",
        "*)(uid=*",
        "(|(uid=*))",
        "\\2a\\2a",
        "\0\0",
        "\u{202e}x",
    ] {
        assert!(
            broker.find_people(text).await.unwrap().items.is_empty(),
            "{text}"
        );
        assert!(
            broker.find_groups(text).await.unwrap().items.is_empty(),
            "{text}"
        );
        assert!(
            broker.person(None, text).await.unwrap().items.is_empty(),
            "{text}"
        );
        let key = GroupKey::from_stored(format!("corp:cn={text},ou=groups,dc=example,dc=com"));
        assert!(
            broker.group(&key).await.unwrap().members.is_none(),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_down_does_not_read_as_one_without_the_group() {
    let desk = Desk::start().await;
    let mut author = desk.session("grace").await;
    let mut grace = desk.app.signed_in("grace").await;
    desk.app.directory.set_fault(Some(Fault::CloseConnections));
    grace.get("/helpdesk/mappings/new").await;
    let fields = [
        ("edit", "mapping"),
        ("row", "x"),
        ("group", "no-mapping-names-this"),
        ("role", SANDBOX),
    ];
    let answer = grace.post("/helpdesk/preview", &fields).await;
    assert_eq!(answer.status, 422);
    assert!(answer.body.contains("does not answer"), "{}", answer.body);
    for page in [
        "/helpdesk/people?q=lovelace",
        "/helpdesk/groups?q=no-mapping-names-this",
        "/helpdesk/people/corp/nobody-knows",
        "/helpdesk/groups/corp:cn=finance,ou=groups,dc=example,dc=com",
    ] {
        let answer = grace.get(page).await;
        assert!(
            answer.body.contains("does not answer"),
            "{page}: {}",
            answer.body
        );
    }
    let edit = putting([mapping("webshop-readers", SANDBOX)]);
    let saved = desk.save(&mut author, &edit).await;
    assert!(!matches!(saved, Ok(Saved::InForce { .. })), "{saved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_told_on_every_page() {
    let desk = Desk::start().await;
    let mut grace = desk.app.signed_in("grace").await;
    let mut database = desk.app.lock_database().await;
    for table in [
        "policy_head",
        "pending_edit",
        "known_person",
        "access_review",
    ] {
        let gone = format!("ALTER TABLE {table} RENAME TO gone_{table}");
        sqlx::query(sqlx::AssertSqlSafe(gone))
            .execute(&mut database)
            .await
            .unwrap();
    }
    sqlx::query("COMMIT").execute(&mut database).await.unwrap();
    for page in PAGES {
        let answer = grace.get(page).await;
        // Pages that are elsewhere, that are not for her, or that have nothing to show.
        let is_none = matches!(page, "/helpdesk" | "/helpdesk/previews/x")
            || matches!(answer.status, 303 | 403) && page != "/helpdesk/mappings";
        assert_eq!(answer.status == 503, !is_none, "{page}: {}", answer.status);
        assert_ne!(answer.status, 500, "{page}");
    }
}

/// Every page of the helpdesk and the log, and what is sent to them.
const PAGES: [&str; 32] = [
    "/helpdesk",
    "/helpdesk/mappings",
    "/helpdesk/mappings.csv",
    "/helpdesk/mappings/new",
    "/helpdesk/mappings/x",
    "/helpdesk/suggest/groups?group=web",
    "/helpdesk/suggest/roles?role=web",
    "/helpdesk/rules",
    "/helpdesk/rules/new",
    "/helpdesk/rules/x",
    "/helpdesk/previews/x",
    "/helpdesk/undo?edit=x",
    "/helpdesk/history",
    "/helpdesk/pending",
    "/helpdesk/pending/x",
    "/helpdesk/import",
    "/helpdesk/export.toml",
    "/helpdesk/export.jsonl",
    "/helpdesk/people?q=ada",
    "/helpdesk/people/corp/ada",
    "/helpdesk/people/corp/ada/picker",
    "/helpdesk/groups?q=web",
    "/helpdesk/groups/suggest?q=web",
    "/helpdesk/groups/corp:x",
    "/helpdesk/roles",
    "/helpdesk/roles/new",
    "/helpdesk/roles/arn:aws:iam::111122223333:role/Administrator",
    "/helpdesk/accounts/new",
    "/helpdesk/accounts/111122223333",
    "/helpdesk/reviews",
    "/helpdesk/reviews/x",
    "/helpdesk/who.csv",
];
const FORMS: [&str; 9] = [
    "/helpdesk/preview",
    "/helpdesk/save",
    "/helpdesk/pending/x/approve",
    "/helpdesk/pending/x/decline",
    "/helpdesk/reviews",
    "/helpdesk/reviews/x/decide",
    "/helpdesk/reviews/x/close",
    "/helpdesk/reviews/x/end",
    "/audit/verify",
];
const LOG: [&str; 3] = ["/audit", "/audit.jsonl", "/audit.csv"];

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_those_without_a_session_are_shown_nothing() {
    let desk = Desk::start().await;
    let mut nobody = desk.app.signed_in("margaret").await;
    let mut unknown = desk.app.browser();
    unknown.get("/login").await;
    for page in PAGES.into_iter().chain(LOG) {
        let answer = nobody.get(page).await;
        assert_eq!(answer.status, 403, "{page}");
        for secret in [
            "Lovelace",
            "webshop-readers",
            "111122223333",
            "Administrator",
        ] {
            assert!(!answer.body.contains(secret), "{page} tells of {secret}");
        }
        let answer = unknown.get(page).await;
        assert_eq!(answer.status, 303, "{page}");
        assert!(answer.location().starts_with("/login"), "{page}");
    }
    let before = desk.tables().await.version;
    for form in FORMS {
        nobody.get("/").await;
        let answer = nobody.post(form, &[("edit", "mapping")]).await;
        assert_eq!(answer.status, 403, "{form}");
        assert!(!answer.body.contains("Lovelace"), "{form}");
        unknown.get("/login").await;
        let answer = unknown.post(form, &[("edit", "mapping")]).await;
        assert!(
            matches!(answer.status, 303 | 403),
            "{form}: {}",
            answer.status
        );
    }
    assert_eq!(desk.tables().await.version, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_asks_for_its_token_and_the_log_for_an_auditor() {
    let desk = Desk::start().await;
    let mut grace = desk.app.signed_in("grace").await;
    for page in LOG {
        let answer = grace.get(page).await;
        assert_eq!(answer.status, 403, "{page}");
    }
    for form in FORMS {
        grace.get("/helpdesk/mappings").await;
        let answer = grace.post_without_token(form, &[("edit", "mapping")]).await;
        assert_eq!(answer.status, 403, "{form}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn moments_that_no_calendar_has_break_no_page() {
    const LATE: &str = "9999-12-31T23:59:59-23:59";
    const EARLY: &str = "0000-01-01T00:00:00+23:59";
    let desk = Desk::start().await;
    let mut grace = desk.app.signed_in("grace").await;
    for at in [LATE, EARLY, "9999-12-31", "0000-01-01"] {
        grace.get("/helpdesk/mappings/new").await;
        let fields = [
            ("edit", "mapping"),
            ("row", "x"),
            (
                "group",
                "corp:cn=webshop-readers,ou=groups,dc=example,dc=com",
            ),
            ("role", SANDBOX),
            ("expires", at),
        ];
        let answer = grace.post("/helpdesk/preview", &fields).await;
        assert!(
            matches!(answer.status, 200 | 422),
            "{at}: {}",
            answer.status
        );
        let review = [("name", "Late"), ("scope", ""), ("due", at)];
        let answer = grace.post("/helpdesk/reviews", &review).await;
        assert_eq!(answer.status, 303, "{at}: {}", answer.body);
        assert_eq!(grace.get(answer.location()).await.status, 200, "{at}");
        assert_eq!(grace.get("/helpdesk/reviews").await.status, 200, "{at}");
        let at: String = url::form_urlencoded::byte_serialize(at.as_bytes()).collect();
        let role: String = url::form_urlencoded::byte_serialize(SANDBOX.as_bytes()).collect();
        let why = format!("/helpdesk/people/corp/grace?role={role}&at={at}");
        let answer = grace.get(&why).await;
        assert_eq!(answer.status, 200, "{at}");
    }
    for at in ["9999-12-31T23:59:59-23:59", "0000-01-01T00:00:00+23:59"] {
        let mut row = serde_json::to_value(mapping("webshop-readers", SANDBOX)).unwrap();
        row["conditions"]["expires"] = at.into();
        let change = serde_json::json!({ "put_mapping": row });
        let change: Change = serde_json::from_value(change).unwrap();
        let mut author = desk.session("grace").await;
        // Kept as the nearest moment that there is, or refused; nothing breaks.
        let _ = desk.save(&mut author, &draft(vec![change])).await;
        assert_eq!(grace.get("/helpdesk/mappings").await.status, 200, "{at}");
        assert_eq!(
            grace.get("/helpdesk/mappings.csv").await.status,
            200,
            "{at}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_nothing_is_none() {
    let desk = Desk::start().await;
    let mut grace = desk.session("grace").await;
    let saved = desk.save(&mut grace, &EditDraft::default()).await.unwrap();
    assert_eq!(saved, Saved::Unchanged);
}
