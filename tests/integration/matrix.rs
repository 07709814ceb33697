//! Every way of signing in, with every way to STS, with every way out: what arrives at AWS, and
//! where what cannot be is refused.
//!
//! The grid is data in `matrix/grid.rs`. The stand-in for AWS judges by its own code; that it does
//! is shown by a twin of the good case for each rule, in `matrix/twins.rs`. `matrix/moto.rs` asks
//! moto, and `matrix/keyless.rs` shows a broker without any AWS keys and any network.

mod grid;
mod keyless;
mod moto;
mod roles;
mod stage;
mod twins;

use std::collections::{BTreeMap, HashMap};

use rolegate::{
    access::GroupKeyForm,
    config::mapping_file::MappingFile,
    demo::aws::{Issued, SignInOutcome, StsAction},
    store::{AuditLog as _, ChainStatus},
};
use serde_json::{Value, json};

use self::{
    grid::{Arrival, Cell, Delivery, Named, Place, Refusal, SignIn, Way, expected},
    roles::role_toml,
    stage::Stage,
};
use crate::support::{
    cookie_browser::{Answer, CookieBrowser, arrive, client},
    identity_providers::Page,
};

#[tokio::test(flavor = "multi_thread")]
async fn every_sign_in_with_every_grant_method_and_every_delivery() {
    let stage = Stage::start().await;
    let mut desk = stage.company.app.signed_in("grace").await;
    let mut seen = BTreeMap::<&str, usize>::new();
    for sign_in in SignIn::ALL {
        let mut browser = stage.signed_in(sign_in).await;
        for way in Way::ALL {
            for delivery in Delivery::ALL {
                let place = Place {
                    sign_in,
                    way,
                    delivery,
                };
                let cell = expected(place);
                let kind = match cell {
                    Cell::Opens(arrival) => {
                        opens(&stage, &mut browser, place, &arrival).await;
                        "opens"
                    }
                    Cell::NotConfigured(reason) => {
                        not_configured(&mut desk, place, reason).await;
                        "not configured"
                    }
                    Cell::NotConfiguredNorOpened(reason, refusal) => {
                        not_configured(&mut desk, place, reason).await;
                        refused(&stage, &mut browser, place, refusal).await;
                        "not configured"
                    }
                    Cell::Refused(refusal) => {
                        refused(&stage, &mut browser, place, refusal).await;
                        "refused"
                    }
                };
                *seen.entry(kind).or_default() += 1;
            }
        }
    }
    let counts = [("not configured", 24), ("opens", 40), ("refused", 8)];
    assert_eq!(seen, counts.into());
    let chain = stage.company.app.store.verify_chain().await.unwrap();
    assert!(matches!(chain, ChainStatus::Holds { .. }), "{chain:?}");
}

/// Presses the button of a combination.
async fn order(stage: &Stage, browser: &mut CookieBrowser, place: Place) -> Answer {
    let role = Stage::role(place.way, place.delivery);
    let code = place.way.takes_code().then(|| stage.code());
    let mut fields = vec![("role", role.as_str())];
    fields.extend(code.as_deref().map(|code| ("mfa_code", code)));
    click(browser, place.delivery, &fields).await
}

/// Opens the picker, for its token, and posts a form.
async fn click(browser: &mut CookieBrowser, delivery: Delivery, fields: &[(&str, &str)]) -> Answer {
    browser.get("/").await;
    let path = match delivery {
        Delivery::Credentials => "/credentials",
        Delivery::ConsoleByUrl | Delivery::ConsoleByPost => "/console",
    };
    browser.post(path, fields).await
}

async fn opens(stage: &Stage, browser: &mut CookieBrowser, place: Place, arrival: &Arrival) {
    let app = &stage.company.app;
    let (issued_before, calls_before) = (app.aws.issued().len(), app.aws.sts_calls());
    let sign_ins_before = app.aws.sign_ins().len();
    let answer = order(stage, browser, place).await;
    let shown = || format!("{place}: {} {}", answer.status, answer.body);
    let console = match place.delivery {
        Delivery::ConsoleByUrl => {
            assert_eq!(answer.status, 303, "{}", shown());
            assert_eq!(answer.header("cache-control"), "no-store", "{place}");
            Some(arrive(client().get(answer.location())).await)
        }
        Delivery::ConsoleByPost => {
            assert_eq!(answer.status, 200, "{}", shown());
            let no_calls = (issued_before, calls_before);
            assert_eq!((app.aws.issued().len(), app.aws.sts_calls()), no_calls);
            Some(post_on(&app.url, &answer).await)
        }
        Delivery::Credentials => {
            assert_eq!(answer.status, 200, "{}", shown());
            None
        }
    };
    let issued = app.aws.issued();
    assert_eq!(issued.len(), issued_before + 1, "{place}");
    let issued = issued.last().unwrap();
    issued_as(place, arrival, issued);
    match console {
        Some((status, page)) => {
            let is_posted = place.delivery == Delivery::ConsoleByPost;
            let sign_ins = app.aws.sign_ins();
            assert_eq!(sign_ins.len(), sign_ins_before + 1, "{place}");
            let sign_in = sign_ins.last().unwrap();
            assert_eq!(sign_in.outcome, SignInOutcome::SignedIn, "{place}: {page}");
            let seconds = |text: &str| text.parse::<u32>().unwrap();
            let length = sign_in.session_duration.as_deref().map(seconds);
            let expected = arrival.console_seconds.map(seconds);
            let is_as_long = match (length, expected) {
                (Some(length), Some(expected)) => is_about(length, expected),
                (length, expected) => length == expected,
            };
            assert!(is_as_long, "{place}: {length:?} for {expected:?}");
            assert_eq!(status, 200, "{place}: {page}");
            for fact in ["111122223333", issued.session_name.as_str()] {
                assert!(page.contains(fact), "{place}: no {fact} in {page}");
            }
            if !is_posted {
                let session: Value = serde_json::from_str(&sign_in.session).unwrap();
                assert_eq!(session, session_of(issued), "{place}");
            }
        }
        None => shows(place, &answer, issued),
    }
    audited(stage, place, arrival, issued, &answer).await;
}

/// Whether a session is as long as it should be. An assertion says its end by our clock, which
/// stands still in tests, and AWS counts from when it arrives.
fn is_about(seconds: u32, expected: u32) -> bool {
    (expected.saturating_sub(60)..=expected).contains(&seconds)
}

/// Sends the form that a page of ours sends by itself; the page at the end.
async fn post_on(url: &url::Url, answer: &Answer) -> (u16, String) {
    assert!(answer.body.contains("data-auto-submit"), "{}", answer.body);
    let page = Page {
        url: url.clone(),
        answer: answer.clone(),
    };
    let form = page.form_with("SAMLResponse").expect("a form for AWS");
    let request = client().post(form.action.clone());
    arrive(request.form(&form.fields)).await
}

/// What the sign-in endpoint is told of a session.
fn session_of(issued: &Issued) -> Value {
    json!({
        "sessionId": issued.access_key_id,
        "sessionKey": issued.secret_access_key,
        "sessionToken": issued.session_token,
    })
}

/// The page shows the very credentials that STS issued.
fn shows(place: Place, answer: &Answer, issued: &Issued) {
    let html = answer
        .body
        .replace("&#43;", "+")
        .replace("&#x2f;", "/")
        .replace("&#61;", "=");
    for secret in [
        &issued.access_key_id,
        &issued.secret_access_key,
        &issued.session_token,
    ] {
        assert!(
            html.contains(secret.as_str()),
            "{place}: {secret} is missing"
        );
    }
}

/// What AWS was asked for.
fn issued_as(place: Place, arrival: &Arrival, issued: &Issued) {
    let connector = place.sign_in.connector();
    let by_us = format!("{connector}-ada");
    assert_eq!(issued.action, arrival.action, "{place}");
    assert_eq!(issued.caller_arn, arrival.caller, "{place}");
    let name = match arrival.named {
        Named::ByUs => by_us.as_str(),
        Named::ByProvider => "ada-by-idp",
        Named::Nothing => "",
    };
    assert_eq!(issued.session_name, name, "{place}");
    assert!(
        is_about(issued.duration_seconds, arrival.seconds),
        "{place}"
    );
    assert!(!issued.is_chained, "{place}");
    assert!(issued.has_permissions, "{place}");
    assert_eq!(issued.has_mfa, arrival.has_mfa, "{place}");
    let external_id = arrival.has_external_id.then_some(roles::EXTERNAL_ID);
    assert_eq!(issued.external_id.as_deref(), external_id, "{place}");
    let source = arrival.has_source_identity.then_some(by_us.as_str());
    assert_eq!(issued.source_identity.as_deref(), source, "{place}");
    let tags: BTreeMap<_, _> = (issued.tags.iter())
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let keys: Vec<&str> = tags.keys().copied().collect();
    if arrival.has_tags {
        assert_eq!(keys, ["rolegate:audit", "team", "who"], "{place}");
        assert_eq!((tags["team"], tags["who"]), ("payments", "ada"), "{place}");
    } else {
        assert!(keys.is_empty(), "{place}: {keys:?}");
    }
    let own_path = format!("arn:aws:s3:::uploads/home/{connector}/ada/*");
    let policy = issued.policy.as_deref();
    assert_eq!(policy.is_some(), arrival.has_policy, "{place}");
    assert!(
        policy.is_none_or(|policy| policy.contains(&own_path)),
        "{place}: {policy:?}"
    );
    let is_packed = arrival.has_policy || arrival.has_tags;
    assert_eq!(issued.packed_policy_size.is_some(), is_packed, "{place}");
    // Nothing of ours signs where somebody vouches, and the other way round.
    let is_signed = !issued.region.is_empty();
    assert_eq!(is_signed, arrival.vouched_by.is_none(), "{place}");
}

/// Intent before, outcome after, about the same session.
async fn audited(stage: &Stage, place: Place, arrival: &Arrival, issued: &Issued, answer: &Answer) {
    let rows = stage.company.app.audit_rows().await;
    let event = |index: usize| serde_json::to_value(&rows[index].event).unwrap();
    let (outcome, intent) = (event(0), event(1));
    let at = format!("{place}: {intent:#} {outcome:#}");
    assert_eq!(
        (&intent["outcome"], &outcome["outcome"]),
        (&json!("intent"), &json!("ok")),
        "{at}"
    );
    assert_eq!(intent["intent"], outcome["intent"], "{at}");
    assert_eq!(outcome["request_id"], answer.header("x-request-id"), "{at}");
    let action = match place.delivery {
        Delivery::Credentials => "credentials.issue",
        Delivery::ConsoleByUrl | Delivery::ConsoleByPost => "console.open",
    };
    assert_eq!(outcome["action"], action, "{at}");
    assert_eq!(
        outcome["role"],
        Stage::role(place.way, place.delivery),
        "{at}"
    );
    assert_eq!(
        outcome["actor"]["connector"],
        place.sign_in.connector(),
        "{at}"
    );
    assert_eq!(
        intent["details"]["vouched_by"],
        json!(arrival.vouched_by),
        "{at}"
    );
    let details = &outcome["details"];
    match &issued.saml {
        Some(evidence) if arrival.vouched_by == Some("issuer") => {
            assert_eq!(details["assertion_id"], evidence.assertion_id, "{at}");
        }
        _ => {}
    }
    match &issued.web_identity {
        Some(evidence) if arrival.vouched_by == Some("issuer") => {
            assert_eq!(details["token_id"], json!(evidence.token_id), "{at}");
        }
        _ => {}
    }
    assert_eq!(details["duration_seconds"], arrival.seconds, "{at}");
    if place.delivery != Delivery::ConsoleByPost {
        assert_eq!(details["access_key_id"], issued.access_key_id, "{at}");
        assert_eq!(details["assumed_role_arn"], issued.arn, "{at}");
        assert_eq!(details["aws_request_id"], issued.request_id, "{at}");
    }
    if issued.action != StsAction::GetSessionToken {
        assert_eq!(details["session_name"], issued.session_name, "{at}");
    }
    let secrets = [&issued.secret_access_key, &issued.session_token];
    assert!(
        !secrets
            .into_iter()
            .any(|secret| at.contains(secret.as_str())),
        "{place}"
    );
}

/// Neither the mapping file nor the role page takes the row, and both say why.
async fn not_configured(desk: &mut CookieBrowser, place: Place, reason: &str) {
    let row = role_toml(place.way);
    let console = place.delivery.console().expect("a way to the console");
    let text = format!(
        "[[role]]\narn = \"{}\"\n{}console = \"{console}\"\n",
        row.arn, row.keys
    );
    let forms = HashMap::from([("corp".parse().unwrap(), GroupKeyForm::DistinguishedName)]);
    let findings = MappingFile::parse(&text, "table.toml".as_ref(), &forms);
    let findings = findings.expect_err(&text).to_string();
    assert!(findings.contains(reason), "{place}: {findings}");

    desk.get("/helpdesk/roles/new").await;
    let keys: toml::Table = toml::from_str(&row.keys).unwrap();
    let said = |key: &str| {
        keys.get(key)
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
    };
    // Another name than the one that is there already.
    let arn = format!("{}Other", row.arn);
    let fields = [
        ("edit", "role"),
        ("arn", arn.as_str()),
        ("grant_method", said("grant_method")),
        ("vouched_by", said("vouched_by")),
        ("mfa_serial", said("mfa_serial")),
        ("external_id", said("external_id")),
        ("session_policy", said("session_policy")),
        ("console", console),
        ("reason", "HD-1"),
    ];
    let answer = desk.post("/helpdesk/preview", &fields).await;
    assert_eq!(answer.status, 422, "{place}: {}", answer.body);
    let page = unescaped(&answer.body);
    // A sentence on a page begins with a capital letter.
    assert!(page.contains(&reason[1..]), "{place}: {page}");
}

/// The text behind the references that our pages use.
fn unescaped(html: &str) -> String {
    html.replace("&#34;", "\"")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
}

/// The click is refused with a sentence, and AWS is not asked.
async fn refused(stage: &Stage, browser: &mut CookieBrowser, place: Place, refusal: Refusal) {
    let Refusal(status, code, words) = refusal;
    let app = &stage.company.app;
    let calls = app.aws.sts_calls();
    let answer = order(stage, browser, place).await;
    assert_eq!(answer.status, status, "{place}: {}", answer.body);
    assert!(answer.body.contains(words), "{place}: {}", answer.body);
    let event = app.last_audit_event().await;
    assert_eq!(event["reason"], code, "{place}: {event:#}");
    assert_eq!(event["outcome"], "refused", "{place}: {event:#}");
    assert_eq!(app.aws.sts_calls(), calls, "{place}");
}
