//! The main job: sign in with the directory, pick a role, land in the console.

use rolegate::{
    demo::{
        aws::SignInOutcome,
        directory::Entry,
        sample::{EXTERNAL_ID, group_dn, person_dn},
    },
    store::{Change, PolicyStore as _},
};
use serde_json::Value;
use url::Url;

use crate::support::{
    app::TestApp,
    cookie_browser::{Answer, client},
};

const SHOP_READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";
const SETTLEMENT: &str = "arn:aws:iam::111122223333:role/partner/Settlement";
const ADMINISTRATOR: &str = "arn:aws:iam::111122223333:role/Administrator";
const OPERATOR: &str = "arn:aws:iam::111122225555:role/FromFile";
const STAGING: &str = "arn:aws:iam::111122224444:role/team/Developer";

#[tokio::test]
async fn a_click_lands_in_the_console_with_the_credentials_that_sts_issued() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let picker = browser.get("/").await;
    assert_eq!(offered(&picker), [SHOP_READER]);

    let answer = browser.post("/console", &[("role", SHOP_READER)]).await;

    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let console = follow(answer.location()).await;
    for fact in ["222233334444", "ReadOnly", "linus"] {
        assert!(
            console.contains(fact),
            "{fact} is not on the console page:\n{console}"
        );
    }
    let issued = &app.aws.issued()[0];
    assert_eq!(
        (issued.role_arn.as_str(), issued.session_name.as_str()),
        (SHOP_READER, "linus")
    );
    let sign_in = &app.aws.sign_ins()[0];
    assert_eq!(sign_in.outcome, SignInOutcome::SignedIn);
    assert!(sign_in.is_post, "the session credentials went into a URL");
    let session: Value = serde_json::from_str(&sign_in.session).unwrap();
    assert_eq!(
        session,
        serde_json::json!({
            "sessionId": issued.access_key_id,
            "sessionKey": issued.secret_access_key,
            "sessionToken": issued.session_token,
        })
    );
}

#[tokio::test]
async fn intent_and_outcome_stand_in_the_audit_log_around_the_grant() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let answer = browser.open_console(&[("role", SHOP_READER)]).await;
    let rows = app.audit_rows().await;
    let outcome = serde_json::to_value(&rows[0].event).unwrap();
    let intent = serde_json::to_value(&rows[1].event).unwrap();
    assert_eq!(
        (&intent["outcome"], &outcome["outcome"]),
        (&"intent".into(), &"ok".into())
    );
    assert_eq!(intent["intent"], outcome["intent"]);
    assert_eq!(outcome["request_id"], answer.header("x-request-id"));
    let issued = &app.aws.issued()[0];
    assert_eq!(outcome["details"]["access_key_id"], issued.access_key_id);
    assert_eq!(outcome["details"]["aws_request_id"], issued.request_id);
    assert_eq!(intent["details"]["session_name"], "linus");
    assert_eq!(intent["actor"]["username"], "linus");
}

#[tokio::test]
async fn a_table_row_decides_external_id_duration_and_session_length() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("ada").await;
    assert_eq!(
        browser.open_console(&[("role", SETTLEMENT)]).await.status,
        303
    );
    assert_eq!(
        browser
            .open_console(&[("role", ADMINISTRATOR)])
            .await
            .status,
        303
    );
    let issued = app.aws.issued();
    assert_eq!(issued[0].external_id.as_deref(), Some(EXTERNAL_ID));
    assert_eq!(
        (issued[0].duration_seconds, issued[1].duration_seconds),
        (14_400, 3_600)
    );
    assert_eq!(
        app.aws.sign_ins()[0].session_duration.as_deref(),
        Some("14400")
    );
}

#[tokio::test]
async fn a_person_may_choose_length_reading_region_and_destination() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("ada").await;
    let fields = [
        ("role", STAGING),
        ("duration", "45m"),
        ("read_only", "true"),
        ("region", "eu-central-1"),
        ("destination", "s3"),
    ];
    let answer = browser.open_console(&fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let issued = &app.aws.issued()[0];
    assert_eq!(issued.duration_seconds, 2_700);
    assert_eq!(
        issued.policy_arns,
        ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    );
    follow(answer.location()).await;
    let destination: Url = app.aws.sign_ins()[0]
        .destination
        .as_deref()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        destination.path().starts_with("/console/s3"),
        "{destination}"
    );
    assert!(
        destination
            .query()
            .unwrap_or_default()
            .contains("eu-central-1"),
        "{destination}"
    );
}

#[tokio::test]
async fn the_issuer_is_a_deep_link_back_to_the_same_role_and_place() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("ada").await;
    let answer = browser
        .open_console(&[("role", STAGING), ("destination", "lambda")])
        .await;
    follow(answer.location()).await;
    let sign_in = app.aws.sign_ins().remove(0);
    let issuer: Url = sign_in.issuer.unwrap().parse().unwrap();
    assert_eq!(issuer.path(), "/console/111122224444/Developer");
    let back = issuer
        .query_pairs()
        .find(|(name, _)| name == "destination")
        .unwrap()
        .1;
    assert_eq!(Some(back.as_ref()), sign_in.destination.as_deref());

    let link = format!("{}?{}", issuer.path(), issuer.query().unwrap());
    let page = browser.get(&link).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains(STAGING), "{}", page.body);
}

#[tokio::test]
async fn a_deep_link_survives_sign_in() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let link = "/console/222233334444/ReadOnly?destination=s3";
    let away = browser.get(link).await;
    assert_eq!(away.status, 303);
    let login = browser.get(away.location()).await;
    let next = form_value(&login.body, "next");
    assert_eq!(next, link);
    let fields = [
        ("username", "linus"),
        ("password", "linus-demo"),
        ("next", next.as_str()),
    ];
    let back = browser.post("/login/corp", &fields).await;
    assert_eq!((back.status, back.location()), (303, link));
    let page = browser.get(back.location()).await;
    assert!(page.body.contains(SHOP_READER), "{}", page.body);
    assert!(app.aws.issued().is_empty(), "a GET opened a role");
}

#[tokio::test]
async fn a_deep_link_from_another_site_waits_for_a_click_even_across_sign_in() {
    let app = TestApp::start().await;
    let link = "/console/222233334444/ReadOnly";
    let mut browser = app.signed_in("linus").await;
    let own = browser.get(link).await;
    browser.headers = vec![("sec-fetch-site".to_owned(), "cross-site".to_owned())];
    let foreign = browser.get(link).await;
    assert!(
        opens_at_once(&own) && !opens_at_once(&foreign),
        "{}",
        foreign.body
    );

    let mut stranger = app.browser();
    stranger.headers = vec![("sec-fetch-site".to_owned(), "cross-site".to_owned())];
    let away = stranger.get(link).await;
    assert!(away.location().contains("confirm"), "{}", away.location());
    // The sign-in page asked for directly, with the role as the way back.
    let page = stranger.get(&format!("/login?next={link}")).await;
    let next = format!("value=\"{link}?confirm=1\"");
    assert!(page.body.contains(&next), "{}", page.body);
    browser.headers = vec![("sec-fetch-site".to_owned(), "same-origin".to_owned())];
    assert!(!opens_at_once(
        &browser.get(&format!("{link}?confirm=1")).await
    ));
}

#[tokio::test]
async fn credentials_are_shown_once_in_every_form() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    browser.get("/").await;
    let page = browser.post("/credentials", &[("role", SHOP_READER)]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let issued = &app.aws.issued()[0];
    let html = page.body.replace("&#43;", "+").replace("&#x2f;", "/");
    for secret in [
        &issued.access_key_id,
        &issued.secret_access_key,
        &issued.session_token,
    ] {
        assert!(html.contains(secret.as_str()), "{secret} is missing");
    }
    let event = app.last_audit_event().await;
    assert_eq!(
        (&event["action"], &event["outcome"]),
        (&"credentials.issue".into(), &"ok".into())
    );
    let again = browser.get("/credentials").await;
    assert_eq!(again.status, 405);
}

#[tokio::test]
async fn the_picker_remembers_favourites_recents_and_open_sessions() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("ada").await;
    browser.open_console(&[("role", STAGING)]).await;
    browser
        .post(
            "/favourites",
            &[("role", ADMINISTRATOR), ("favourite", "1")],
        )
        .await;
    let foreign = "arn:aws:iam::999999999999:role/Admin";
    let fields = [("role", foreign), ("favourite", "1")];
    assert_eq!(browser.post("/favourites", &fields).await.status, 400);
    let picker = browser.get("/").await;
    for heading in ["Opened", "Favourites", "Recent"] {
        assert!(
            picker.body.contains(heading),
            "no {heading}:\n{}",
            picker.body
        );
    }
    let sessions = browser.get("/sessions").await;
    assert!(
        sessions.body.contains("Payments staging"),
        "{}",
        sessions.body
    );
}

#[tokio::test]
async fn a_pasted_address_ranks_the_roles_of_its_account() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("ada").await;
    let arn = "arn:aws:lambda:eu-west-1:111122224444:function:pay";
    let page = browser.get(&format!("/?q={arn}")).await;
    let roles = offered(&page);
    assert!(
        roles.iter().all(|role| role.contains("111122224444")),
        "{roles:?}"
    );
    assert!(page.body.contains("functions/pay") || page.body.contains("functions%2Fpay"));
}

#[tokio::test]
async fn somebody_without_a_role_is_told_which_groups_were_seen() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("margaret").await;
    let picker = browser.get("/").await;
    assert_eq!(picker.status, 200);
    assert!(offered(&picker).is_empty());
    assert!(picker.body.contains("cn=book-club"), "{}", picker.body);
}

#[tokio::test]
async fn an_edit_by_command_line_is_in_force_on_the_next_click() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    let forms = rolegate::app::group_forms(&app.config);
    let group = format!("corp:{}", group_dn("everyone"));
    let mapping = rolegate::access::Mapping {
        id: rolegate::access::MappingId(uuid::Uuid::now_v7().to_string()),
        group: rolegate::access::GroupKey::parse(&group, &forms).unwrap(),
        role: STAGING.parse().unwrap(),
        conditions: rolegate::access::Conditions::default(),
        ticket: None,
        origin: rolegate::access::Origin::Store,
    };
    let id = mapping.id.clone();
    assert_eq!(browser.open_console(&[("role", STAGING)]).await.status, 403);
    app.edit(vec![rolegate::store::Change::PutMapping(mapping)])
        .await;
    assert_eq!(browser.open_console(&[("role", STAGING)]).await.status, 303);
    app.edit(vec![rolegate::store::Change::EndMapping(id)])
        .await;
    assert_eq!(browser.open_console(&[("role", STAGING)]).await.status, 403);
}

#[tokio::test]
async fn sign_in_sessions_survive_a_restart() {
    let mut app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    app.restart().await;
    assert_eq!(browser.get("/").await.status, 200);
}

#[tokio::test]
async fn a_person_added_to_a_group_sees_the_role_after_refresh() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("margaret").await;
    app.directory
        .add_member(&group_dn("webshop-readers"), &person_dn("margaret"));
    browser.get("/").await;
    assert_eq!(browser.post("/refresh", &[]).await.status, 303);
    assert_eq!(offered(&browser.get("/").await), [SHOP_READER]);
}

fn opens_at_once(page: &Answer) -> bool {
    page.body.contains("data-auto-submit")
}

/// The ARNs that a page offers, without doubles.
fn offered(page: &Answer) -> Vec<String> {
    let pattern = regex::Regex::new(r#"data-role-arn="?([^" >]+)"#).unwrap();
    let mut arns: Vec<String> = pattern
        .captures_iter(&page.body)
        .map(|found| found[1].to_owned())
        .collect();
    arns.sort();
    arns.dedup();
    arns
}

fn form_value(html: &str, name: &str) -> String {
    let pattern = format!(r#"name="?{name}"?\s+value="?([^"> ]+)"?"#);
    let found = regex::Regex::new(&pattern)
        .unwrap()
        .captures(html)
        .expect(name)[1]
        .to_owned();
    found
        .replace("&#38;", "&")
        .replace("&amp;", "&")
        .replace("&#x3d;", "=")
}

/// Follows a redirect chain as a browser would and reads the page at its end.
async fn follow(location: &str) -> String {
    let mut url: Url = location.parse().unwrap();
    let mut cookies: Vec<String> = Vec::new();
    for _ in 0..6 {
        let mut request = client().get(url.clone());
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let response = request.send().await.unwrap();
        cookies.extend(
            response
                .headers()
                .get_all("set-cookie")
                .iter()
                .map(|cookie| {
                    cookie
                        .to_str()
                        .unwrap()
                        .split(';')
                        .next()
                        .unwrap()
                        .to_owned()
                }),
        );
        match response.headers().get("location") {
            Some(next) => url = url.join(next.to_str().unwrap()).unwrap(),
            None => return response.text().await.unwrap(),
        }
    }
    panic!("the redirects of the sign-in page never end")
}

#[tokio::test]
async fn rows_of_a_mapping_file_stand_beside_those_of_the_store() {
    let dir = crate::support::temporary_dir("mapping-file");
    let file = dir.path().join("mappings.toml");
    let group = group_dn("everyone");
    let text = format!(
        "[[role]]\narn = \"{OPERATOR}\"\n[[mapping]]\ngroup = \"corp:{group}\"\nrole = \"{OPERATOR}\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let overrides = [("MAPPINGS__FILE", file.to_str().unwrap())];
    let app = TestApp::start_overriding(&overrides).await;
    let mut browser = app.signed_in("linus").await;
    assert_eq!(offered(&browser.get("/").await), [OPERATOR, SHOP_READER]);
}

#[tokio::test]
async fn a_group_made_again_under_the_same_name_gives_nothing_until_it_is_mapped_again() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("linus").await;
    assert_eq!(
        browser.open_console(&[("role", SHOP_READER)]).await.status,
        303
    );

    let group = group_dn("webshop-readers");
    let again = Entry::new(&group)
        .with("objectClass", ["groupOfNames"])
        .with("cn", ["webshop-readers"])
        .with("entryUUID", ["5ce6bb1e-7d0e-4a5b-9d5f-0123456789ab"])
        .with("member", [person_dn("linus").as_str()]);
    app.directory.remove_entry(&group);
    app.directory.add_entry(again);
    browser.get("/").await;
    browser.post("/refresh", &[]).await;
    assert!(offered(&browser.get("/").await).is_empty());
    let answer = browser.open_console(&[("role", SHOP_READER)]).await;
    assert_eq!(answer.status, 403);
    assert_eq!(app.last_audit_event().await["reason"], "group_recreated");

    let tables = app.store.tables().await.unwrap();
    let row = tables
        .mappings
        .into_iter()
        .find(|row| row.role.as_str() == SHOP_READER)
        .unwrap();
    let changes = vec![Change::EndMapping(row.id.clone()), Change::PutMapping(row)];
    app.edit(changes).await;
    assert_eq!(
        browser.open_console(&[("role", SHOP_READER)]).await.status,
        303
    );
}
