//! The helpdesk's pages that answer: people, groups, accounts and roles, why, view as, reviews.

use rolegate::{access::TargetArn, demo::sample::group_dn};

use crate::{
    helpdesk::Form,
    support::{
        app::{Options, TestApp},
        browser::run_browser_script,
    },
};

/// Grace is helpdesk, ada is admin, linus is auditor, margaret is nobody.
pub(crate) async fn desk() -> TestApp {
    let key = |group: &str| format!("corp:{}", group_dn(group));
    TestApp::start_with(Options {
        overrides: vec![
            ("ACCESS__ADMIN".to_owned(), key("payments-leads")),
            ("ACCESS__AUDITOR".to_owned(), key("webshop-readers")),
            (
                "ORGANISATION__HELP_URL".to_owned(),
                "https://help.example.com/new?text={summary}&ref={request_id}".to_owned(),
            ),
        ],
        ..Options::default()
    })
    .await
}

/// The address of somebody's page.
async fn page_of(app: &TestApp, username: &str) -> String {
    let found = app.broker.person(None, username).await.unwrap();
    let person = &found.items[0];
    // The directory is asked by user name about those who never signed in.
    let known = match person.seen_at {
        Some(_) => &person.identity.subject,
        None => &person.identity.username,
    };
    format!("/helpdesk/people/corp/{known}")
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

const SUPPORT: &str = "arn:aws:iam::111122223333:role/team/Support";
const ADMINISTRATOR: &str = "arn:aws:iam::111122223333:role/Administrator";

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_found_with_groups_roles_and_the_proof_of_each() {
    let app = desk().await;
    let mut grace = app.signed_in("grace").await;
    let found = grace.get("/helpdesk/people?q=lovelace").await;
    assert!(found.body.contains("Ada Lovelace"), "{}", found.body);
    let page = page_of(&app, "ada").await;
    assert!(found.body.contains(&page));
    let ada = grace.get(&page).await;
    assert_eq!(ada.status, 200);
    assert!(ada.body.contains("payments-leads") && ada.body.contains("data-role-arn"));
    assert!(
        ada.body
            .contains("<li><a href=\"/helpdesk/groups/corp%3Acn%3Dpayments-leads"),
        "groups lead to their pages"
    );
    let why = format!("{page}?role={}", encoded(ADMINISTRATOR));
    let answer = grace.get(&why).await;
    assert!(
        answer.body.contains("data-held=\"true\""),
        "{}",
        answer.body
    );
    let row = app.last_audit_event().await;
    assert_eq!(row["action"], "explain", "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_not_held_is_explained_with_what_would_give_it() {
    let app = desk().await;
    let mut grace = app.signed_in("grace").await;
    let page = page_of(&app, "margaret").await;
    let answer = grace
        .get(&format!("{page}?role={}", encoded(SUPPORT)))
        .await;
    assert!(
        answer.body.contains("data-held=\"false\""),
        "{}",
        answer.body
    );
    assert!(answer.body.contains("data-situation="), "{}", answer.body);
    assert!(answer.body.contains("<textarea id=\"ticket\""));
    let several = grace.get(&format!("{page}?role=111122223333")).await;
    assert!(several.body.contains("Which one?"), "{}", several.body);
    let unknown = grace.get(&format!("{page}?role=nonsense")).await;
    assert!(unknown.body.contains("why-problem"));
    let no_date = grace
        .get(&format!("{page}?role={}&at=yesterday", encoded(SUPPORT)))
        .await;
    assert!(no_date.body.contains("is no date that can be used"));
    let past = grace
        .get(&format!("{page}?role={}&at=2020-01-01", encoded(SUPPORT)))
        .await;
    assert_eq!(past.status, 200);
    assert!(past.body.contains("data-held=\"false\""), "{}", past.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_helpdesk_reads_why_a_sign_in_was_refused() {
    let app = desk().await;
    let mut person = app.browser();
    let refused = person.sign_in("locked", "locked-demo").await;
    assert!(refused.body.contains("or the account may be locked"));
    let mut grace = app.signed_in("grace").await;
    let page = page_of(&app, "locked").await;
    let told = grace.get(&page).await;
    assert!(
        told.body.contains("some say the same of a locked account"),
        "{}",
        told.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn view_as_shows_anybodys_picker_opens_nothing_and_is_audited() {
    let app = desk().await;
    let mut grace = app.signed_in("grace").await;
    let page = page_of(&app, "ada").await;
    let picker = grace.get(&format!("{page}/picker")).await;
    assert_eq!(picker.status, 200);
    assert!(
        picker
            .body
            .contains("You are looking at the roles of Ada Lovelace")
    );
    assert!(
        picker
            .body
            .contains(&format!("data-role-arn=\"{ADMINISTRATOR}\""))
    );
    for opens in [
        "action=\"/console\"",
        "action=\"/credentials\"",
        "/refresh",
        "picker.js",
    ] {
        assert!(!picker.body.contains(opens), "{opens}");
    }
    let row = app.last_audit_event().await;
    assert_eq!(row["action"], "view_as");
    assert_eq!(row["details"]["person"]["username"], "ada");
    let search = grace.get(&format!("{page}/picker?q=admin")).await;
    assert!(search.body.contains("role in") || search.body.contains("roles in"));
    let empty = page_of(&app, "margaret").await;
    let empty = grace.get(&format!("{empty}/picker")).await;
    assert!(empty.body.contains("No roles yet") && !empty.body.contains("action=\"/refresh\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_shows_who_is_in_it_and_through_what_and_what_it_gives() {
    let app = desk().await;
    let mut grace = app.signed_in("grace").await;
    let found = grace.get("/helpdesk/groups?q=payments").await;
    assert!(found.body.contains("payments-dev"), "{}", found.body);
    let key = encoded(&format!("corp:{}", group_dn("payments-dev")));
    let group = grace.get(&format!("/helpdesk/groups/{key}")).await;
    assert!(group.body.contains("Ada Lovelace"), "{}", group.body);
    assert!(group.body.contains("through <a"), "{}", group.body);
    assert!(
        group
            .body
            .contains("arn:aws:iam::111122223333:role/team/ReadOnly")
    );
    let by_rule = encoded(&format!(
        "corp:{}",
        group_dn("aws-333344445555-DataExplorer")
    ));
    let by_rule = grace.get(&format!("/helpdesk/groups/{by_rule}")).await;
    assert!(
        by_rule.body.contains("/helpdesk/rules/"),
        "{}",
        by_rule.body
    );
    let options = grace.get("/helpdesk/suggest/groups?group=payments").await;
    assert!(
        options
            .body
            .starts_with("<option value=\"corp:cn=payments-")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_edits_a_role_after_seeing_what_it_does_and_nobody_else_may() {
    let app = desk().await;
    let path = format!("/helpdesk/roles/{}", encoded(SUPPORT));
    let mut grace = app.signed_in("grace").await;
    let seen = grace.get(&path).await;
    assert_eq!(seen.status, 200);
    assert!(seen.body.contains("Admins edit this."), "{}", seen.body);
    let mut ada = app.signed_in("ada").await;
    let form = Form::of(&ada.get(&path).await);
    let forged = form.preview(&mut grace).await;
    assert_eq!(forged.status, 403, "{}", forged.body);
    let wrong = form.clone().set("max_duration", "99h");
    let wrong = wrong.preview(&mut ada).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.body.contains("id=\"error-max_duration\">Max") || wrong.body.contains("12"),
        "{}",
        wrong.body
    );
    let form = form
        .set("description", "Refunds, one at a time")
        .set("max_duration", "2h")
        .set("owner", "payments@example.com");
    let shown = form.preview(&mut ada).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    assert!(shown.body.contains("Refunds, one at a time"));
    let without_reason = Form::of(&shown).save(&mut ada).await;
    assert!(
        without_reason.body.contains("Say why, or name a ticket."),
        "{}",
        without_reason.body
    );
    let saved = Form::of(&shown).set("reason", "HD-1").save(&mut ada).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    assert!(saved.location().starts_with(&path.replace('+', "%20")));
    let page = ada.get(saved.location()).await;
    assert!(page.body.contains("/helpdesk/undo?edit="), "{}", page.body);
    let arn: TargetArn = SUPPORT.parse().unwrap();
    let policy = app.broker.policy().await.unwrap();
    let role = policy.role(&arn).unwrap();
    assert_eq!(role.owner.as_deref(), Some("payments@example.com"));
    let late = form.preview(&mut ada).await;
    assert_eq!(
        late.status, 409,
        "an edit made meanwhile is not overwritten"
    );
    assert!(late.body.contains("data-conflict"), "{}", late.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_added_named_by_its_page_and_removed_again() {
    let app = desk().await;
    let mut ada = app.signed_in("ada").await;
    let form = Form::of(&ada.get("/helpdesk/accounts/new").await)
        .set("id", "999988887777")
        .set("name", "Laboratory")
        .set("reason", "HD-2");
    let shown = form.preview(&mut ada).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let saved = Form::of(&shown).save(&mut ada).await;
    let page = saved.location();
    assert!(
        page.starts_with("/helpdesk/accounts/999988887777?saved="),
        "{page}: {}",
        saved.body
    );
    let page = ada.get(page).await;
    assert!(page.body.contains("Laboratory"), "{}", page.body);
    let again = form.preview(&mut ada).await;
    assert_eq!(again.status, 409, "the id is taken: {}", again.body);
    let fields = [
        ("edit", "end"),
        ("row", "account:999988887777"),
        ("reason", "HD-3"),
    ];
    let shown = ada.post("/helpdesk/preview", &fields).await;
    assert!(shown.body.contains("Remove 1 account"), "{}", shown.body);
    let saved = Form::of(&shown).save(&mut ada).await;
    assert!(
        saved.location().starts_with("/helpdesk/roles?saved="),
        "{}",
        saved.body
    );
    let gone = ada.get("/helpdesk/accounts/999988887777").await;
    assert_eq!(gone.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_is_decided_signed_off_and_ends_what_is_to_be_ended() {
    let app = desk().await;
    let mut grace = app.signed_in("grace").await;
    grace.get("/helpdesk/reviews").await;
    let wrong = [("name", "Autumn"), ("scope", "nowhere")];
    let wrong = grace.post("/helpdesk/reviews", &wrong).await;
    assert_eq!(wrong.status, 422);
    let scope = format!("corp:{}", group_dn("payments-dev"));
    let right = [("name", "Autumn"), ("scope", scope.as_str())];
    let begun = grace.post("/helpdesk/reviews", &right).await;
    assert_eq!(begun.status, 303, "{}", begun.body);
    let path = begun.location().to_owned();
    let page = grace.get(&path).await;
    let row = page.body.split("data-row=\"").nth(1).unwrap();
    let row = row[..row.find('"').unwrap()].to_owned();
    let early = grace.post(&format!("{path}/close"), &[]).await;
    assert_eq!(early.status, 422);
    let end = [("row", row.as_str()), ("decision", "end"), ("note", "left")];
    assert_eq!(
        grace.post(&format!("{path}/decide"), &end).await.status,
        303
    );
    let rest = [("rest", "yes"), ("decision", "keep")];
    assert_eq!(
        grace.post(&format!("{path}/decide"), &rest).await.status,
        303
    );
    let closed = grace.post(&format!("{path}/close"), &[]).await;
    assert_eq!(closed.status, 303, "{}", closed.body);
    let page = grace.get(&path).await;
    assert!(page.body.contains("End 1 row"), "{}", page.body);
    let shown = grace.post(&format!("{path}/end"), &[]).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let saved = Form::of(&shown).save(&mut grace).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    assert!(saved.location().starts_with(&path), "{}", saved.location());
    let page = grace.get(saved.location()).await;
    assert!(page.body.contains("/helpdesk/undo?edit="), "{}", page.body);
    let tables = app.broker.tables().await.unwrap();
    assert!(tables.mappings.iter().all(|mapping| mapping.id.0 != row));
    let file = grace.get(&format!("{path}.csv")).await;
    assert!(file.body.contains("left") && file.header("content-type").starts_with("text/csv"));
    let who = grace
        .get("/helpdesk/who.csv?account=Payments+production")
        .await;
    assert!(who.body.starts_with("connector,username,"), "{}", who.body);
    assert!(who.body.contains("grace"), "{}", who.body);
    assert_eq!(app.last_audit_event().await["action"], "export");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_staff_sees_none_of_it() {
    let app = desk().await;
    let mut margaret = app.signed_in("margaret").await;
    for path in [
        "/helpdesk/people?q=ada",
        &page_of(&app, "ada").await,
        &format!("{}/picker", page_of(&app, "ada").await),
        "/helpdesk/groups?q=a",
        "/helpdesk/suggest/groups?group=a",
        "/helpdesk/roles",
        "/helpdesk/roles/new",
        "/helpdesk/accounts/111122223333",
        "/helpdesk/reviews",
        "/helpdesk/who.csv",
    ] {
        let answer = margaret.get(path).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(!answer.body.contains("Ada Lovelace"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_empty_picker_and_a_refused_role_never_tell_which_roles_there_are() {
    let app = desk().await;
    let mut margaret = app.signed_in("margaret").await;
    let empty = margaret.get("/").await;
    assert!(
        empty
            .body
            .contains("https://help.example.com/new?text=None%20of%20my")
    );
    let there = margaret.open_console(&[("role", SUPPORT)]).await;
    let not_there = "arn:aws:iam::111122223333:role/team/Nothing";
    let not_there = margaret.open_console(&[("role", not_there)]).await;
    assert_eq!((there.status, not_there.status), (403, 403));
    let plain = |body: &str| {
        body.contains("data-why") || body.contains("mapping") || body.contains("helpdesk,ou")
    };
    assert_eq!(plain(&there.body), plain(&not_there.body), "{}", there.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_look_right_and_are_accessible_in_a_browser() {
    let app = desk().await;
    let mut locked = app.browser();
    locked.sign_in("locked", "locked-demo").await;
    let mut ada = app.signed_in("ada").await;
    ada.open_console(&[("role", "arn:aws:iam::111122223333:role/team/ReadOnly")])
        .await;
    run_browser_script("lookups", &[app.url.as_str()]).await;
}
