//! The helpdesk's work from end to end: edits in the browser by every kind of hand, a person with a
//! scope, an access review with sign-off, and the rows of a portal that was archived.

use std::process::Output;

use rolegate::{
    audit::{Action, Outcome},
    demo::{
        directory::Entry,
        sample::{group_dn, person_dn},
    },
    store::Change,
};

use crate::{
    helpdesk::{Form, attribute, fields, post},
    support::{
        app::Options,
        browser::run_browser_script,
        cookie_browser::{Answer, CookieBrowser},
        editing::{Desk, ORDER_DESK, SANDBOX, key, mapping, person},
        temporary_dir,
    },
};

const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";

/// Where sam is of the helpdesk for development alone, and linus of the helpdesk for all.
async fn desk() -> Desk {
    let scope = format!(
        "[[access.scope]]\ngroup = \"corp:{}\"\nenvironments = [\"development\"]\n",
        group_dn("development-desk")
    );
    let desk = Desk::start_with(Options {
        more_toml: scope,
        ..Options::default()
    })
    .await;
    let group = Entry::new(group_dn("development-desk"))
        .with("objectClass", ["top", "groupOfNames"])
        .with("cn", ["development-desk"]);
    desk.app.directory.add_entry(group);
    desk.app.directory.add_entry(person("sam", "sam"));
    for (group, member) in [("development-desk", "sam"), ("helpdesk", "linus")] {
        let directory = &desk.app.directory;
        assert!(directory.add_member(&group_dn(group), &person_dn(member)));
    }
    desk
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_are_made_by_mouse_by_keyboard_and_without_javascript() {
    let desk = desk().await;
    let arguments = [desk.app.url.as_str(), READER];
    print!(
        "{}",
        run_browser_script("helpdesk_journeys", &arguments).await
    );
}

/// The row of the list with a mapping.
fn list_row<'a>(page: &'a Answer, id: &str) -> &'a str {
    let (_, rest) = page
        .body
        .split_once(&format!("data-mapping=\"{id}\""))
        .unwrap_or_else(|| panic!("{id} is not on the page: {}", page.body));
    rest.split("</tr>").next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_with_a_scope_sees_what_they_may_edit_and_is_told_what_not() {
    let desk = desk().await;
    let (inside, outside) = (
        mapping("book-club", SANDBOX),
        mapping("book-club", ORDER_DESK),
    );
    let rows = [&inside, &outside].map(|row| Change::PutMapping(row.clone()));
    desk.app.edit(rows.to_vec()).await;
    let mut sam = desk.app.signed_in("sam").await;
    let list = sam.get("/helpdesk/mappings?q=book-club").await;
    let limit = "Your helpdesk group edits the mappings of roles in accounts of development.";
    assert!(list.body.contains(limit), "{}", list.body);
    assert!(list_row(&list, &inside.id.0).contains(">Edit<"));
    let beyond = list_row(&list, &outside.id.0);
    assert!(!beyond.contains(">Edit<") && beyond.contains(">History<"));
    let page = sam.get(&format!("/helpdesk/mappings/{}", outside.id)).await;
    assert!(
        page.body.contains("You may read this row and not edit it.") && page.body.contains(limit),
        "{}",
        page.body
    );
    assert!(
        !page.body.contains("data-edit"),
        "there is nothing to fill in"
    );
    let new = sam.get("/helpdesk/mappings/new").await;
    assert!(new.body.contains(limit));
    assert!(new.body.contains("value=\"Payments development/Sandbox\""));
    assert!(!new.body.contains("value=\"Web shop production/OrderDesk\""));
    let offers = sam.get("/helpdesk/suggest/roles?role=desk").await;
    assert!(!offers.body.contains("OrderDesk"), "{}", offers.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_person_with_a_scope_sends_reaches_beyond_it() {
    let desk = desk().await;
    let (inside, outside) = (
        mapping("book-club", SANDBOX),
        mapping("book-club", ORDER_DESK),
    );
    let rows = [&inside, &outside].map(|row| Change::PutMapping(row.clone()));
    desk.app.edit(rows.to_vec()).await;
    let mut sam = desk.app.signed_in("sam").await;
    let new = sam.get("/helpdesk/mappings/new").await;
    // Within it, an edit is saved; beyond, words say why not, whatever is sent.
    let form = |page: &Answer, role: &str| {
        Form::of(page)
            .set("group", key("webshop-dev").as_str())
            .set("role", role)
            .set("ticket", "HD-12")
    };
    let shown = Form::of(&form(&new, SANDBOX).preview(&mut sam).await);
    assert_eq!(shown.save(&mut sam).await.status, 303);
    let moved = Form::of(&sam.get(&format!("/helpdesk/mappings/{}", inside.id)).await)
        .set("role", READER)
        .set("ticket", "HD-12");
    let pairs = |edit: &str, rows: &[&str]| {
        let mut pairs = vec![("edit".to_owned(), edit.to_owned())];
        pairs.extend(rows.iter().map(|row| ("row".to_owned(), (*row).to_owned())));
        pairs.push(("expires".to_owned(), "2099-01-01".to_owned()));
        pairs.push(("reason".to_owned(), "HD-12".to_owned()));
        pairs
    };
    let text = format!(
        "[[mapping]]\ngroup = \"{}\"\nrole = \"{ORDER_DESK}\"\n",
        key("webshop-dev")
    );
    let import = [
        ("edit", "import"),
        ("text", text.as_str()),
        ("reason", "HD-12"),
    ];
    let tries = [
        form(&new, ORDER_DESK).fields,
        moved.fields,
        pairs("end", &[&outside.id.0]),
        pairs("end", &[&inside.id.0, &outside.id.0]),
        pairs("expiry", &[&inside.id.0, &outside.id.0]),
        import
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
    ];
    let before = desk.tables().await;
    for sent in tries {
        for path in ["/helpdesk/preview", "/helpdesk/save"] {
            sam.get("/helpdesk/mappings").await;
            let answer = post(&mut sam, path, &sent).await;
            assert_eq!(answer.status, 403, "{sent:?}: {}", answer.body);
            assert!(
                answer
                    .body
                    .contains("outside of what your helpdesk group covers")
                    && answer
                        .body
                        .contains("Ask an admin, or somebody of the helpdesk"),
                "{}",
                answer.body
            );
            let event = desk.last_event().await;
            assert_eq!(
                (event.action, event.outcome, event.reason.as_deref()),
                (
                    Action::MappingChange,
                    Outcome::Refused,
                    Some("outside_scope")
                )
            );
        }
    }
    assert_eq!(desk.tables().await.mappings, before.mappings);
}

/// Saves what a page shows, whatever its form is called.
async fn save_shown(browser: &mut CookieBrowser, page: &Answer) -> Answer {
    let form = page.body.split("<form").skip(1);
    let mut form = form.filter(|form| form.contains("name=\"reason\""));
    let html = form.next().unwrap_or_else(|| panic!("{}", page.body));
    let html = format!("<form{}", html.split("</form>").next().unwrap());
    let address = attribute(&html, "formaction").or_else(|| attribute(&html, "action"));
    let mut sent = fields(&html);
    if sent
        .iter()
        .all(|(name, value)| name != "reason" || value.is_empty())
    {
        sent.retain(|(name, _)| name != "reason");
        sent.push(("reason".to_owned(), "Access review".to_owned()));
    }
    post(browser, &address.unwrap(), &sent).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_review_takes_away_what_its_signed_off_decisions_end() {
    let desk = desk().await;
    let kept = mapping("finance", SANDBOX);
    let ended = mapping("book-club", SANDBOX);
    let rows = [&kept, &ended].map(|row| Change::PutMapping(row.clone()));
    desk.app.edit(rows.to_vec()).await;
    let mut margaret = desk.app.signed_in("margaret").await;
    let chip = format!("data-role-arn=\"{SANDBOX}\"");
    assert!(margaret.get("/").await.body.contains(&chip));

    let mut hal = desk.app.signed_in("hal").await;
    hal.get("/helpdesk/reviews").await;
    let wish = [
        ("name", "Sandbox, autumn"),
        ("scope", "Payments development/Sandbox"),
        ("due", "2099-12-31"),
    ];
    let begun = hal.post("/helpdesk/reviews", &wish).await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    let path = begun.location().to_owned();
    let page = hal.get(&path).await;
    assert!(
        page.body.contains("To sign off, decide on the"),
        "{}",
        page.body
    );
    let decide = format!("{path}/decide");
    let end = [
        ("row", ended.id.0.as_str()),
        ("decision", "end"),
        ("note", "The club has moved"),
    ];
    // Others decide nothing: not an auditor's eye, not a stranger's.
    let mut stranger = desk.app.signed_in("margaret").await;
    stranger.get("/").await;
    let refused = stranger.post(&decide, &end).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let event = desk.last_event().await;
    assert_eq!(
        (event.action, event.reason.as_deref()),
        (Action::ReviewDecide, Some("not_staff"))
    );
    assert_eq!(hal.post(&decide, &end).await.status, 303);
    let early = hal.post(&format!("{path}/close"), &[]).await;
    assert_eq!(early.status, 422, "{}", early.body);
    hal.get(&path).await;
    let rest = [("rest", "yes"), ("decision", "keep")];
    assert_eq!(hal.post(&decide, &rest).await.status, 303);
    // What a rule gives is an admin's to decide, and the page says so.
    let page = hal.get(&path).await;
    assert!(page.body.contains("open, for an admin"), "{}", page.body);
    let mut amy = desk.app.signed_in("amy").await;
    amy.get(&path).await;
    let decided = amy.post(&decide, &rest).await;
    assert_eq!(decided.status, 303, "{}", decided.body);
    assert!(
        margaret.get("/").await.body.contains(&chip),
        "nothing is ended by a word"
    );
    hal.get(&path).await;
    let closed = hal.post(&format!("{path}/close"), &[]).await;
    assert_eq!(closed.status, 303, "{}", closed.body);
    hal.get(&path).await;
    let late = hal.post(&decide, &end).await;
    assert!(
        (400..500).contains(&late.status),
        "signed off is signed off: {}",
        late.body
    );

    hal.get(&path).await;
    let shown = post(&mut hal, &format!("{path}/end"), &[]).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    for words in ["book-club", "Margaret Hamilton"] {
        assert!(shown.body.contains(words), "{words}: {}", shown.body);
    }
    let saved = save_shown(&mut hal, &shown).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    assert!(desk.mapping("book-club", SANDBOX).await.is_none());
    assert!(desk.mapping("finance", SANDBOX).await.is_some());
    assert!(
        !margaret.get("/").await.body.contains(&chip),
        "gone on the next page load"
    );

    assert_recorded(&desk, &mut hal, &path).await;
}

/// The file of a review says what was decided, and the log who did what.
async fn assert_recorded(desk: &Desk, hal: &mut CookieBrowser, path: &str) {
    let csv = hal.get(&format!("{path}.csv")).await;
    let mut lines = csv.body.lines();
    assert!(lines.next().unwrap().contains("decision"), "{}", csv.body);
    let club = lines.find(|line| line.contains("book-club")).unwrap();
    assert!(
        club.contains("end") && club.contains("The club has moved") && club.contains("hal"),
        "{club}"
    );
    let rows = desk.app.audit_rows().await;
    for action in [
        Action::ReviewStart,
        Action::ReviewDecide,
        Action::ReviewClose,
        Action::MappingChange,
        Action::Export,
    ] {
        let mut done = rows.iter().map(|row| &row.event);
        assert!(
            done.any(|event| event.action == action
                && event.outcome == Outcome::Ok
                && matches!(&event.actor, rolegate::audit::Actor::Person { username: Some(name), .. } if name == "hal")),
            "{action:?}"
        );
    }
}

fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// What a company of some size kept in ConsoleMe: its dynamic configuration, converted to JSON.
const CONSOLEME: &str = r#"{
  "aws": {"account_ids_to_name": {"222233334444": "webshop-prod", "111122225555": "payments-dev"}},
  "account_ids_to_name": {"222233334444": "webshop-prod"},
  "can_admin": ["cloud-admins@example.com"],
  "challenge_url": {"enabled": true},
  "dynamic_config": {"policy_request_autoapprove_probes": {"enabled": false}},
  "group_mapping": {
    "book-club@example.com": {
      "roles": [
        "arn:aws:iam::222233334444:role/ReadOnly",
        "arn:aws:iam::111122225555:role/Sandbox"
      ]
    },
    "webshop-readers@example.com": {"roles": ["arn:aws:iam::222233334444:role/ReadOnly"]},
    "data-analysts@example.com": {
      "roles": ["arn:aws:iam::333344446666:role/Notebook"],
      "cli_only_roles": ["arn:aws:iam::333344446666:role/Loader"]
    },
    "margaret@example.com": {"roles": ["arn:aws:iam::111122225555:role/Sandbox"]}
  }
}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_an_archived_portal_are_looked_at_taken_over_and_taken_back() {
    let desk = desk().await;
    let mut margaret = desk.app.signed_in("margaret").await;
    let chip = format!("data-role-arn=\"{READER}\"");
    assert!(!margaret.get("/").await.body.contains(&chip));
    let dir = temporary_dir("consoleme");
    let path = dir.path().join("consoleme.json");
    std::fs::write(&path, CONSOLEME).unwrap();
    let path = path.display().to_string();
    let from = [
        path.as_str(),
        "--from",
        "consoleme",
        "--connector",
        "corp",
        "--group-form",
        "cn={name},ou=groups,dc=example,dc=com",
    ];
    let before = desk.tables().await;
    let shown = desk.command(&[&["mapping", "preview"][..], &from].concat());
    let (out, err) = told(&shown);
    assert!(shown.status.success(), "{out}{err}");
    assert!(
        out.contains("+ corp:margaret (Margaret Hamilton)"),
        "who gains is named: {out}{err}"
    );
    assert_eq!(desk.tables().await.version, before.version, "it only looks");

    let import = ["mapping", "import"];
    let reason = ["--reason", "ConsoleMe was archived"];
    let taken = desk.command(&[&import[..], &from, &reason].concat());
    let (out, err) = told(&taken);
    assert!(taken.status.success(), "{out}{err}");
    for words in [
        "can_admin",
        "1 grant left out, for they gave the command line alone",
        "does not tell people from groups",
    ] {
        assert!(err.contains(words), "{words} is not said: {err}");
    }
    assert!(
        margaret.get("/").await.body.contains(&chip),
        "held on the next page load"
    );
    let mut grace = desk.app.signed_in("grace").await;
    let history = grace.get("/helpdesk/history").await;
    for words in ["ConsoleMe was archived", "by the command line of the host"] {
        assert!(history.body.contains(words), "{words}: {}", history.body);
    }
    // The mappings are the helpdesk's from here on; roles that came with them are an admin's.
    let rows = desk.app.audit_rows().await;
    let mut imported = rows.iter().map(|row| &row.event.details);
    let imported = imported.find(|details| {
        details
            .get("reason")
            .is_some_and(|reason| reason == "ConsoleMe was archived")
    });
    let edit = imported.unwrap()["edit"].as_str().unwrap().to_owned();
    let undone = desk.command(&["mapping", "undo", &edit, "--reason", "Too early"]);
    let (out, err) = told(&undone);
    assert!(undone.status.success(), "{out}{err}");
    assert_eq!(desk.tables().await.mappings, before.mappings);
    assert!(!margaret.get("/").await.body.contains(&chip));
}
