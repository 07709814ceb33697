//! What identity providers make browsers post, at a running server: every generated case, and what
//! only HTTP can show.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::DeflateEncoder};
use openssl::{hash::MessageDigest, sign::Verifier};
use rolegate::{
    audit::Outcome,
    clock::{Clock as _, SystemClock},
    demo::{
        aws::{Catalogue, StandIn},
        directory::{Directory, RunningDirectory},
        sample,
    },
    store::SignInSession,
};
use sqlx::{Connection as _, SqliteConnection};
use time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use url::form_urlencoded;

use crate::support::{
    app::Options,
    cookie_browser::{Answer, CookieBrowser, client},
    process::Process,
    saml::{
        canary::Canary,
        cases::{self, Case, Verdict},
        presets,
        provider::{Claim, EMAIL, PERSISTENT, Request, TRANSIENT},
        scene::{Context, Scene},
        stage::{self, ACS, Attempt, CONNECTOR, Setup, Stage},
        xml::Element,
    },
    slapd::{self, Slapd},
    temporary_dir,
};

const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The largest form that is read, in bytes.
const LARGEST_FORM: usize = 256 * 1024;
/// Where the page posts that asks before signing in.
const CONFIRM: &str = "/saml/idp/acs/confirm";
/// Cases that a server with one provider, one clock and one request can be given.
const LEAST_CASES: usize = 350;

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_judged_at_the_acs_as_it_has_to_be() {
    Box::pin(judge_all(20_260_731)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_seed_is_judged_alike() {
    Box::pin(judge_all(0xfeed_face_cafe)).await;
}

async fn judge_all(seed: u64) {
    let stage = Stage::start_with(Setup {
        seed,
        ..Setup::default()
    })
    .await;
    let known = stage.browser().await;
    let (mut faults, mut pages, mut judged) = (Vec::new(), Pages::default(), 0);
    for recipe in cases::recipes() {
        let mut browser = known.clone();
        let attempt = stage.begin(&mut browser).await;
        let scene = (stage.scene).answering(&attempt.request_id, stage.app.clock.now());
        let case = recipe.case(&scene);
        if !case.fits(&scene) {
            continue;
        }
        judged += 1;
        if let Err(fault) = judge(&stage, &mut browser, (&case, &attempt), &mut pages).await {
            faults.push(format!("{} ({}): {fault}", case.id, case.class));
        }
    }
    assert!(faults.is_empty(), "seed {seed}:\n{}", faults.join("\n"));
    assert!(judged >= LEAST_CASES, "{judged} cases");
    pages.assert_alike();
    let Stage { app, canary, .. } = stage;
    drop(app);
    assert!(
        !canary.was_touched(),
        "an address was asked or a file opened"
    );
}

/// What refused people were shown, and for which reasons.
#[derive(Default)]
struct Pages(BTreeMap<String, BTreeSet<String>>);

impl Pages {
    /// One page whatever was wrong with a message, and another one where no attempt waits for it.
    fn assert_alike(&self) {
        let no_attempt = ["unknown_request", "unsolicited"];
        let kinds: Vec<_> = self.0.values().collect();
        assert_eq!(self.0.len(), 2, "pages for {kinds:#?}");
        for reasons in kinds {
            let is_about_attempts = |reason: &String| no_attempt.contains(&reason.as_str());
            assert!(
                reasons.iter().all(is_about_attempts) || !reasons.iter().any(is_about_attempts),
                "{reasons:?} look alike"
            );
        }
    }
}

async fn judge(
    stage: &Stage,
    browser: &mut CookieBrowser,
    (case, attempt): (&Case, &Attempt),
    pages: &mut Pages,
) -> Result<(), String> {
    let body = stage::form(&STANDARD.encode(&case.document), Some(&attempt.relay_state));
    if body.len() > LARGEST_FORM {
        let status = post_bytes(stage, &body).await;
        let is_refused = (status, case.expected) == (413, Verdict::Reject);
        return is_refused.then_some(()).ok_or(format!("status {status}"));
    }
    let before = match case.expected {
        Verdict::Reject => Vec::new(),
        _ => stage.sessions(&case.name_id).await,
    };
    let answer = stage::post_form(browser, ACS, &body).await;
    match (answer.status, case.expected) {
        (303, Verdict::Accept | Verdict::Safe) => {
            let mut sessions = stage.sessions(&case.name_id).await;
            sessions.retain(|session| before.iter().all(|old| old.id_hash != session.id_hash));
            let [session] = &sessions[..] else {
                return Err(format!("{} sessions were made", sessions.len()));
            };
            judge_session(stage, browser, (case, session), &answer).await
        }
        (403, Verdict::Reject | Verdict::Safe) => {
            stage::assert_nobody(browser, &answer).await;
            judge_refusal(stage, case, &answer, pages).await
        }
        _ => Err(format!(
            "{} for {:?}: {:?}",
            answer.status,
            case.expected,
            stage.last_event().await.reason
        )),
    }
}

/// The status of the answer to a form of any length, which may come before the form's end; then
/// the connection breaks while a client still writes, and many tell nothing but that.
async fn post_bytes(stage: &Stage, form: &str) -> u16 {
    let address = stage.app.url.socket_addrs(|| None).unwrap()[0];
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let head = format!(
        "POST {ACS} HTTP/1.1\r\nHost: {address}\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    let request = [head.as_bytes(), form.as_bytes()].concat();
    let sent = async { writer.write_all(&request).await };
    let status = async {
        let mut line = [0; 12];
        reader.read_exact(&mut line).await.unwrap();
        str::from_utf8(&line[9..]).unwrap().parse().unwrap()
    };
    // Whether it could all be sent does not matter.
    tokio::join!(sent, status).1
}

/// The person of the case is signed in, with what is said of them.
async fn judge_session(
    stage: &Stage,
    browser: &mut CookieBrowser,
    (case, session): (&Case, &SignInSession),
    answer: &Answer,
) -> Result<(), String> {
    let event = serde_json::to_value(stage.event(answer).await).unwrap();
    if event["outcome"] != "ok" || event["actor"]["subject"] != *case.name_id {
        return Err(format!("the audit says {event}"));
    }
    let identity = &session.identity;
    let said = |name: &str| case.attributes.get(name).cloned().unwrap_or_default();
    let groups: BTreeSet<String> = identity
        .groups
        .iter()
        .map(|group| group.name.clone())
        .collect();
    let expected = said(&stage.scene.claims[0].name).into_iter().collect();
    if groups != expected || identity.email != said("mail").into_iter().next() {
        return Err(format!(
            "{groups:?} and {:?} instead of {:?}",
            identity.email, case.attributes
        ));
    }
    let picker = browser.get("/").await;
    let shown = picker.body.contains(&escaped(&case.name_id));
    (picker.status == 200 && shown)
        .then_some(())
        .ok_or(format!("{}: {}", picker.status, picker.body))
}

/// As text stands on our pages.
fn escaped(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '<' | '>' | '&' | '"' | '\'' => format!("&#{};", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

/// The audit names a right reason, and the page tells nothing.
async fn judge_refusal(
    stage: &Stage,
    case: &Case,
    answer: &Answer,
    pages: &mut Pages,
) -> Result<(), String> {
    let event = stage.event(answer).await;
    let reason = event.reason.clone().unwrap_or_default();
    if event.outcome != Outcome::Refused || !is_expected(case, &reason) {
        return Err(format!("{event:?} instead of {:?}", case.reasons));
    }
    let found = event.details.get("found").and_then(|found| found.as_str());
    let mut telling = vec![&*reason, &case.name_id, &stage.scene.intruder];
    telling.extend(found);
    if let Some(told) = telling.iter().find(|word| answer.body.contains(**word)) {
        return Err(format!("the page tells {told:?}: {}", answer.body));
    }
    let page = stage::without_request_id(answer);
    pages.0.entry(page).or_default().insert(reason);
    Ok(())
}

/// A response that names another request than ours, or none, meets no attempt at a server.
fn is_expected(case: &Case, reason: &str) -> bool {
    let meets_none = ["unknown_request", "unsolicited"].contains(&reason);
    case.reasons.is_empty()
        || case.reasons.contains(&reason)
        || (meets_none && case.reasons.contains(&"wrong_in_response_to"))
}

#[tokio::test]
async fn only_a_form_that_was_posted_is_read() {
    let stage = Stage::start().await;
    let mut browser = stage.browser().await;
    let attempt = stage.begin(&mut browser).await;
    let message = STANDARD.encode(stage.answer(&attempt).xml());
    let good = stage::form(&message, Some(&attempt.relay_state));
    let refused = async |browser: &mut CookieBrowser, path: &str, body: &str, status: u16| {
        let answer = stage::post_form(browser, path, body).await;
        assert_eq!(
            answer.status,
            status,
            "{path} {}",
            &body[..body.len().min(90)]
        );
        assert!(!answer.body.contains(&message[..40]));
        stage::assert_nobody(browser, &answer).await;
    };

    let answer = browser.get(&format!("{ACS}?{good}")).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
    stage::assert_nobody(&mut browser, &answer).await;
    for path in [
        "/saml/idp/acs/",
        "/SAML/idp/acs",
        "/saml/IDP/acs",
        "/saml/idp/ACS",
        "/saml//acs",
        "/saml/idp/acs/x",
        "/saml/idp%2facs",
        "/saml/idp;x/acs",
        "/saml/corp/acs",
        "/saml/other/acs",
    ] {
        refused(&mut browser, path, &good, 404).await;
    }
    refused(&mut browser, &format!("{ACS}?{good}"), "", 400).await;
    refused(&mut browser, &format!("{ACS}?{good}"), &good, 400).await;
    refused(&mut browser, &format!("{ACS}?RelayState=x"), &good, 400).await;
    for body in [
        String::new(),
        format!("RelayState={}", attempt.relay_state),
        format!("{good}&{good}"),
        format!("{good}&SAMLResponse="),
        format!("SAMLResponse=&{good}"),
        format!("{good}&%53AMLResponse=x"),
        format!("{good}&RelayState={}", attempt.relay_state),
        format!("{good}&SAMLRequest=x"),
        good.replace("SAMLResponse", "samlresponse"),
        good.replace("SAMLResponse", "SAMLResponse[]"),
        good.replace("SAMLResponse", "SAMLart"),
    ] {
        refused(&mut browser, ACS, &body, 400).await;
    }
    assert_other_types_are_refused(&stage, &mut browser, &good).await;

    // Nothing of that used the attempt up, and fields of others do not matter.
    let answer = stage::post_form(&mut browser, ACS, &format!("{good}&submit=Continue")).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

async fn assert_other_types_are_refused(stage: &Stage, browser: &mut CookieBrowser, good: &str) {
    let cookies: Vec<String> = (browser.cookies.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for (kind, status) in [
        ("application/json", 415),
        ("text/plain", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/xml", 415),
        ("", 415),
        ("application/x-www-form-urlencoded-not", 415),
    ] {
        let request = client().post(stage.app.url.join(ACS).unwrap());
        let request = request.header("content-type", kind).body(good.to_owned());
        let answer = request.header("cookie", cookies.join("; ")).send().await;
        assert_eq!(answer.unwrap().status(), status, "{kind}");
    }
    let deflated = deflated(good.as_bytes());
    for encoding in ["deflate", "gzip"] {
        let request = client().post(stage.app.url.join(ACS).unwrap());
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("content-encoding", encoding)
            .header("cookie", cookies.join("; "))
            .body(deflated.clone());
        let status = request.send().await.unwrap().status().as_u16();
        assert!((400..500).contains(&status), "{encoding}: {status}");
    }
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// How a field is written, and the reason why that is refused.
type Spelling = (&'static str, fn(&str) -> String, Option<&'static str>);

fn lines(text: &str, separator: &str) -> String {
    let lines: Vec<_> = text.as_bytes().chunks(76).collect();
    String::from_utf8(lines.join(separator.as_bytes())).unwrap()
}

fn spellings() -> [Spelling; 11] {
    let bad = Some("bad_encoding");
    [
        ("lines", |text| lines(text, "\r\n"), None),
        ("blanks", |text| lines(text, " "), None),
        ("an end of line", |text| format!("{text}\n"), None),
        ("vertical tabs", |text| lines(text, "\u{b}"), bad),
        ("a NUL", |text| format!("{text}\0"), bad),
        (
            "no padding",
            |text| text.trim_end_matches('=').to_owned(),
            bad,
        ),
        ("more padding", |text| format!("{text}===="), bad),
        ("words", |_| "<Response/>".to_owned(), bad),
        (
            "URL alphabet",
            |text| text.replace('+', "-").replace('/', "_"),
            bad,
        ),
        (
            "a data URL",
            |text| format!("data:text/xml;base64,{text}"),
            bad,
        ),
        ("twice", |text| STANDARD.encode(text), Some("malformed_xml")),
    ]
}

#[tokio::test]
async fn a_message_is_base64_of_the_standard_alphabet_and_not_deflated() {
    let stage = Stage::start().await;
    let known = stage.browser().await;
    for (name, spell, reason) in spellings() {
        let mut browser = known.clone();
        let attempt = stage.begin(&mut browser).await;
        // Both characters in which the alphabets differ, and padding.
        let mut xml = format!("{}<!--?????>>>>>-->", stage.answer(&attempt).xml());
        while xml.len() % 3 != 1 {
            xml.push('\n');
        }
        let message = STANDARD.encode(&xml);
        let form = stage::form(&spell(&message), Some(&attempt.relay_state));
        let answer = stage::post_form(&mut browser, ACS, &form).await;
        match reason {
            Some(reason) => stage.assert_refused(&mut browser, &answer, reason).await,
            None => assert_eq!(
                answer.status,
                303,
                "{name}: {:#?}",
                stage.last_event().await
            ),
        }
    }

    // As in the redirect binding, and a bomb: nobody inflates it.
    for inflates_to in [None, Some(vec![b' '; 64 << 20])] {
        let mut browser = known.clone();
        let attempt = stage.begin(&mut browser).await;
        let plain = inflates_to.unwrap_or_else(|| stage.answer(&attempt).xml().into_bytes());
        let message = deflated(&plain);
        assert!(message.len() < 128 << 10);
        let answer = stage::post(&mut browser, message, Some(&attempt.relay_state)).await;
        stage
            .assert_refused(&mut browser, &answer, "not_utf8")
            .await;
    }
}

#[tokio::test]
async fn a_field_of_300_kilobytes_is_not_read() {
    let stage = Stage::start().await;
    let mut browser = stage.browser().await;
    let attempt = stage.begin(&mut browser).await;
    let rows = stage.app.audit_rows().await.len();
    for form in [
        stage::form(&"A".repeat(300_000), Some(&attempt.relay_state)),
        stage::form("AAAA", Some(&"A".repeat(300_000))),
        format!("x={}", "A".repeat(300_000)),
    ] {
        assert_eq!(post_bytes(&stage, &form).await, 413);
    }
    assert_eq!(stage.app.audit_rows().await.len(), rows);

    let form = stage::form(&"A".repeat(250_000), Some(&attempt.relay_state));
    let answer = stage::post_form(&mut browser, ACS, &form).await;
    stage
        .assert_refused(&mut browser, &answer, "too_large")
        .await;
}

#[tokio::test]
async fn a_relay_state_that_is_not_the_one_that_was_sent_is_refused_and_never_shown() {
    let stage = Stage::start().await;
    let known = stage.browser().await;
    let hostile = [
        "x".repeat(81),
        "x".repeat(10_000),
        "//evil.example".to_owned(),
        "https://evil.example/".to_owned(),
        "/console".to_owned(),
        "\r\nSet-Cookie: evil=1".to_owned(),
        "<script>alert(1)</script>".to_owned(),
        "\"><img src=x onerror=alert(1)>".to_owned(),
        "\u{0}".to_owned(),
        " ".to_owned(),
        "javascript:alert(1)".to_owned(),
    ];
    for relay_state in hostile {
        let mut browser = known.clone();
        let attempt = stage.begin(&mut browser).await;
        let message = stage.answer(&attempt).xml();
        let answer = stage::post(&mut browser, &message, Some(&relay_state)).await;
        let event = format!("{:?}", stage.event(&answer).await);
        let is_told = relay_state.len() > 1 && event.contains(&relay_state);
        assert!(!is_told, "{event}");
        stage
            .assert_refused(&mut browser, &answer, "wrong_relay_state")
            .await;
        for word in ["evil", "alert(1)", "xxxxx"] {
            assert!(!answer.body.contains(word), "{}", answer.body);
            assert!(!format!("{:?}", answer.headers).contains(word));
        }
    }
    for relay_state in [None, Some("")] {
        let mut browser = known.clone();
        let attempt = stage.begin(&mut browser).await;
        let message = stage.answer(&attempt).xml();
        let answer = stage::post(&mut browser, &message, relay_state).await;
        assert_eq!(
            (answer.status, answer.location()),
            (303, "/"),
            "{relay_state:?}"
        );
    }
}

#[tokio::test]
async fn the_relay_states_of_two_sign_ins_cannot_be_swapped() {
    let stage = Stage::start().await;
    let mut browser = stage.browser().await;
    let (one, other) = (
        stage.begin(&mut browser).await,
        stage.begin(&mut browser).await,
    );
    assert_ne!(one.relay_state, other.relay_state);
    let message = stage.answer(&one).xml();
    let answer = stage::post(&mut browser, &message, Some(&other.relay_state)).await;
    stage
        .assert_refused(&mut browser, &answer, "wrong_relay_state")
        .await;
}

#[tokio::test]
async fn an_answer_is_worth_nothing_in_another_browser() {
    let stage = Stage::start().await;
    let (mut attacker, mut victim) = (stage.browser().await, stage.browser().await);
    let theirs = stage.begin(&mut attacker).await;
    let own = stage.begin(&mut victim).await;
    let message = stage.answer(&theirs).xml();
    for relay_state in [None, Some(&*theirs.relay_state), Some(&*own.relay_state)] {
        let answer = stage::post(&mut victim, &message, relay_state).await;
        stage
            .assert_refused(&mut victim, &answer, "other_browser")
            .await;
    }
    // Another attempt's secret under this one's name, and no cookie at all.
    let own_cookie = attempt_cookie(&victim, &own).1;
    victim
        .cookies
        .insert(attempt_cookie(&attacker, &theirs).0, own_cookie);
    let answer = stage::post(&mut victim, &message, Some(&theirs.relay_state)).await;
    stage
        .assert_refused(&mut victim, &answer, "other_browser")
        .await;
    let mut bare = stage.app.browser();
    let answer = stage::post(&mut bare, &message, Some(&theirs.relay_state)).await;
    stage
        .assert_refused(&mut bare, &answer, "other_browser")
        .await;

    // It was not used up: where it was begun, it still ends well.
    let answer = stage::post(&mut attacker, &message, Some(&theirs.relay_state)).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

/// Name and value of an attempt's cookie.
fn attempt_cookie(browser: &CookieBrowser, attempt: &Attempt) -> (String, String) {
    let id = attempt.request_id.trim_start_matches('_');
    let mut cookies = browser.cookies.iter();
    let found = cookies.find(|(name, _)| name.ends_with(&format!("rolegate-attempt-{id}")));
    let (name, value) = found.expect("the attempt has a cookie");
    (name.clone(), value.clone())
}

#[tokio::test]
async fn an_attempt_and_an_answer_are_used_once() {
    let stage = Stage::start().await;
    let mut browser = stage.browser().await;
    let attempt = stage.begin(&mut browser).await;
    let cookies = browser.cookies.clone();
    let (message, state) = (stage.answer(&attempt).xml(), Some(&*attempt.relay_state));
    let answer = stage::post(&mut browser, &message, state).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert!(!browser.cookies.keys().any(|name| name.contains("attempt")));

    // The same again, and another answer to the same request, with the cookies of before.
    for message in [
        message.clone(),
        stage.answering(&attempt).for_case("2").signed().xml(),
    ] {
        let mut thief = stage.app.browser();
        thief.cookies.clone_from(&cookies);
        let answer = stage::post(&mut thief, &message, state).await;
        stage
            .assert_refused(&mut thief, &answer, "unknown_request")
            .await;
    }

    // The old answer while a new attempt waits, alone and after signing out.
    let next = stage.begin_signed_in(&mut browser.clone()).await;
    for state in [&attempt.relay_state, &next.relay_state] {
        let mut thief = stage.app.browser();
        thief.cookies.clone_from(&cookies);
        stage
            .begin(&mut stage::at_sign_in(thief.clone()).await)
            .await;
        let answer = stage::post(&mut thief, &message, Some(state)).await;
        stage
            .assert_refused(&mut thief, &answer, "unknown_request")
            .await;
    }
    browser.get("/").await;
    assert_eq!(browser.post("/logout", &[]).await.status, 303);
    browser.cookies.extend(cookies);
    let answer = stage::post(&mut browser, &message, state).await;
    stage
        .assert_refused(&mut browser, &answer, "unknown_request")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_posted_eight_times_at_once_signs_in_once() {
    let stage = Stage::start().await;
    let mut browser = stage.browser().await;
    let attempt = stage.begin(&mut browser).await;
    let message = stage.answer(&attempt).xml();
    let posts = (0..8).map(|_| {
        let (mut browser, message) = (browser.clone(), message.clone());
        tokio::spawn(async move { stage::post(&mut browser, message, None).await.status })
    });
    let mut statuses = Vec::new();
    for post in posts.collect::<Vec<_>>() {
        statuses.push(post.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403, 403, 403, 403, 403, 403, 403]);
    assert_eq!(stage.sessions(&stage.scene.name_id).await.len(), 1);
}

#[tokio::test]
async fn an_assertion_is_taken_once_whatever_it_answers() {
    let stage = Stage::start().await;
    let known = stage.browser().await;
    let mut id: Option<String> = None;
    for expected in [303, 403] {
        let mut browser = known.clone();
        let attempt = stage.begin(&mut browser).await;
        let scene = stage.answering(&attempt);
        let draft = scene.draft().edit(|root| {
            let assertion = root.at("Assertion");
            match &id {
                Some(id) => assertion.set("ID", &**id),
                None => id = Some(assertion.id().to_owned()),
            }
        });
        let message = draft.sign_assertion().xml();
        let answer = stage::post(&mut browser, &message, None).await;
        assert_eq!(answer.status, expected, "{}", answer.body);
        if expected == 403 {
            stage
                .assert_refused(&mut browser, &answer, "replayed")
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_used_once_on_two_servers_with_one_database() {
    let stage = Box::pin(Stage::configured("allow_idp_initiated = true")).await;
    let replica = stage.app.start_replica().await;
    let mut browser = stage.browser().await;
    let attempt = stage.begin(&mut browser).await;
    let mut elsewhere = CookieBrowser::new(replica.clone());
    elsewhere.cookies.clone_from(&browser.cookies);
    let (message, state) = (stage.answer(&attempt).xml(), Some(&*attempt.relay_state));

    // What one began the other finishes, and then it is over on both.
    let answer = stage::post(&mut elsewhere, &message, state).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(elsewhere.get("/").await.status, 200);
    let answer = stage::post(&mut browser, &message, state).await;
    stage
        .assert_refused(&mut browser, &answer, "unknown_request")
        .await;

    // The same for what nobody asked for, confirmed here and there at one time.
    let message = stage.unsolicited("twice").xml();
    let mut here = stage.app.browser();
    let mut there = CookieBrowser::new(replica);
    for browser in [&mut here, &mut there] {
        let answer = stage::post(browser, &message, None).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let encoded = STANDARD.encode(&message);
    let fields = [("SAMLResponse", &*encoded)];
    let (one, two) = tokio::join!(here.post(CONFIRM, &fields), there.post(CONFIRM, &fields));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403]);
    let mut rows = stage.app.audit_rows().await.into_iter();
    assert!(rows.any(|row| row.event.reason.as_deref() == Some("replayed")));
}

#[tokio::test]
async fn sign_ins_in_two_tabs_at_once_both_end_well() {
    let stage = Stage::start().await;
    let mut browser = stage.browser().await;
    let one = stage
        .begin_with(&mut browser, &[("next", "/sessions")])
        .await;
    let two = stage
        .begin_with(&mut browser, &[("next", "/credentials")])
        .await;
    for (attempt, next) in [(&two, "/credentials"), (&one, "/sessions")] {
        let message = stage.answer(attempt).xml();
        let answer = stage::post(&mut browser, &message, Some(&attempt.relay_state)).await;
        assert_eq!((answer.status, answer.location()), (303, next));
        assert_eq!(browser.get("/").await.status, 200);
    }
    // The second replaced the first.
    assert_eq!(stage.sessions(&stage.scene.name_id).await.len(), 1);
}

#[tokio::test]
async fn an_attempt_lasts_ten_minutes() {
    let stage = Stage::start().await;
    let known = stage.browser().await;
    for (waited, reason) in [
        (Duration::seconds(599), None),
        (Duration::seconds(600), Some("request_expired")),
    ] {
        let mut browser = known.clone();
        let attempt = stage.begin(&mut browser).await;
        stage.app.clock.advance(waited);
        let message = stage.answer(&attempt).xml();
        let answer = stage::post(&mut browser, &message, Some(&attempt.relay_state)).await;
        match reason {
            Some(reason) => {
                stage.assert_refused(&mut browser, &answer, reason).await;
                assert_starts_here(&answer);
            }
            None => assert_eq!(answer.status, 303, "{}", answer.body),
        }
    }
}

fn assert_starts_here(answer: &Answer) {
    assert!(answer.body.contains("Please start here"), "{}", answer.body);
    assert!(answer.body.contains(r#"href="/login""#), "{}", answer.body);
}

#[tokio::test]
async fn what_nobody_asked_for_is_refused_with_a_way_to_start() {
    let stage = Stage::start().await;
    for (id, draft) in [
        ("one", stage.unsolicited("one")),
        ("two", stage.unsolicited("two").sign_response()),
    ] {
        let mut browser = stage.app.browser();
        let answer = stage::post(&mut browser, draft.xml(), Some("/console")).await;
        stage
            .assert_refused(&mut browser, &answer, "unsolicited")
            .await;
        assert_starts_here(&answer);
        // Nor does it end a sign-in that waits, or pass the page that asks elsewhere.
        let mut browser = stage.browser().await;
        stage.begin(&mut browser).await;
        let encoded = STANDARD.encode(stage.unsolicited(id).xml());
        let answer = browser.post(CONFIRM, &[("SAMLResponse", &encoded)]).await;
        stage
            .assert_refused(&mut browser, &answer, "unsolicited")
            .await;
    }
}

#[tokio::test]
async fn what_nobody_asked_for_signs_in_after_a_click_where_it_is_allowed() {
    let stage = Box::pin(Stage::configured("allow_idp_initiated = true")).await;
    let mut browser = stage.app.browser();
    let message = stage.unsolicited("one").xml();
    let rows = stage.app.audit_rows().await.len();
    let hostile = r#""><script>alert(1)</script>//evil.example"#;
    let asked = stage::post(&mut browser, &message, Some(hostile)).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    assert_eq!(asked.header("cache-control"), "no-store");
    assert!(asked.body.contains(&escaped(&stage.scene.name_id)));
    assert!(!asked.body.contains("alert(1)"), "{}", asked.body);
    stage::assert_nobody(&mut browser, &asked).await;
    assert_eq!(stage.app.audit_rows().await.len(), rows);

    // The click has to be made on our own page, in this browser.
    let encoded = STANDARD.encode(&message);
    let fields = [("SAMLResponse", &*encoded)];
    let mut stranger = stage.browser().await;
    let answers = [
        browser.post_without_token(CONFIRM, &fields).await,
        {
            let token = stranger.csrf_token.clone();
            let fields = [fields[0], ("csrf_token", &*token)];
            browser.post_without_token(CONFIRM, &fields).await
        },
        {
            let token = browser.csrf_token.clone();
            let form = format!("{}&csrf_token={token}", stage::form(&encoded, None));
            stage::post_form(&mut browser, CONFIRM, &form).await
        },
        stranger.post_without_token(CONFIRM, &fields).await,
        stage::post(&mut browser, &message, None).await,
    ];
    let statuses = answers.each_ref().map(|answer| answer.status);
    assert_eq!(statuses, [403, 403, 403, 403, 200]);
    for answer in &answers {
        stage::assert_nobody(&mut browser, answer).await;
    }
    assert!(stage.sessions(&stage.scene.name_id).await.is_empty());

    let answer = browser.post(CONFIRM, &fields).await;
    assert_eq!(
        (answer.status, answer.location()),
        (303, "/"),
        "{}",
        answer.body
    );
    assert_eq!(browser.get("/").await.status, 200);
    let event = stage.last_event().await;
    assert_eq!(event.details["unsolicited"], true);

    let mut browser = stage.browser().await;
    for answer in [
        stage::post(&mut browser, &message, None).await,
        browser.post(CONFIRM, &fields).await,
    ] {
        assert!([200, 403].contains(&answer.status));
        stage::assert_nobody(&mut browser, &answer).await;
    }
    assert_eq!(stage.last_event().await.reason.as_deref(), Some("replayed"));
}

#[tokio::test]
async fn where_unsolicited_answers_are_allowed_others_have_to_belong_to_an_attempt() {
    let stage = Box::pin(Stage::configured("allow_idp_initiated = true")).await;
    let mut browser = stage.browser().await;
    let attempt = stage.begin(&mut browser).await;
    let scene = stage.answering(&attempt);
    // Asked for by somebody else, or by nobody any more.
    let foreign = scene.answering(&scene.id(), scene.context.now);
    let answer = stage::post(&mut browser, foreign.signed().xml(), None).await;
    stage
        .assert_refused(&mut browser, &answer, "unknown_request")
        .await;
    // Stripped of what says so in the part that is not signed.
    let stripped = scene.signed().edit(|root| root.unset("InResponseTo")).xml();
    let answer = stage::post(&mut browser, &stripped, None).await;
    stage
        .assert_refused(&mut browser, &answer, "wrong_in_response_to")
        .await;
    // Somebody else's good answer as one that nobody asked for.
    let mut stranger = stage.browser().await;
    let answer = stage::post(&mut stranger, scene.signed().xml(), None).await;
    stage
        .assert_refused(&mut stranger, &answer, "other_browser")
        .await;
    // What names an attempt is not confirmed, it is finished where it was begun.
    let mut other = stage.browser().await;
    let encoded = STANDARD.encode(scene.signed().xml());
    let answer = other.post(CONFIRM, &[("SAMLResponse", &encoded)]).await;
    stage
        .assert_refused(&mut other, &answer, "other_browser")
        .await;
}

#[tokio::test]
async fn a_session_outlives_a_refused_answer_and_not_an_accepted_one() {
    let stage = Stage::start().await;
    let mut browser = stage.signed_in().await;
    let before = browser.cookies["rolegate"].clone();
    let attempt = stage.begin_signed_in(&mut browser).await;
    let evil = stage.answering(&attempt).draft().xml();
    let answer = stage::post(&mut browser, &evil, Some(&attempt.relay_state)).await;
    assert_eq!(answer.status, 403);
    assert_eq!(
        stage.event(&answer).await.reason.as_deref(),
        Some("unsigned")
    );
    assert_eq!(browser.cookies["rolegate"], before);
    assert_eq!(browser.get("/").await.status, 200);

    let mut old = stage.app.browser();
    old.cookies.clone_from(&browser.cookies);
    let attempt = stage.begin_signed_in(&mut browser).await;
    let message = stage.answer(&attempt).xml();
    let answer = stage::post(&mut browser, &message, Some(&attempt.relay_state)).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_ne!(browser.cookies["rolegate"], before);
    assert_eq!(browser.get("/").await.status, 200);
    assert_eq!(old.get("/").await.status, 303, "the old id goes on");
    assert_eq!(stage.sessions(&stage.scene.name_id).await.len(), 1);

    // An id that somebody else put there is not taken over.
    let mut planted = stage.browser().await;
    planted
        .cookies
        .insert("rolegate".to_owned(), "AAAAAAAAAAAAAAAAAAAAAA".to_owned());
    assert_eq!(stage.sign_in(&mut planted).await.status, 303);
    assert_ne!(planted.cookies["rolegate"], "AAAAAAAAAAAAAAAAAAAAAA");
}

#[tokio::test]
async fn a_session_ends_when_the_provider_says() {
    let stage = Stage::start().await;
    let known = stage.browser().await;
    for (minutes, path) in [
        (Some(20), "Assertion/AuthnStatement"),
        (None, "Assertion/AuthnStatement"),
    ] {
        let mut browser = known.clone();
        let attempt = stage.begin(&mut browser).await;
        let scene = stage.answering(&attempt);
        let draft = scene.draft().edit(|root| match minutes {
            Some(minutes) => (root.at(path)).set("SessionNotOnOrAfter", scene.at(minutes * 60)),
            None => root.at(path).unset("SessionNotOnOrAfter"),
        });
        let message = draft.sign_assertion().xml();
        let answer = stage::post(&mut browser, &message, None).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        stage.app.clock.advance(Duration::minutes(19));
        assert_eq!(browser.get("/").await.status, 200);
        stage.app.clock.advance(Duration::minutes(1));
        let ended = if minutes.is_some() { 303 } else { 200 };
        assert_eq!(browser.get("/").await.status, ended);
    }
}

#[tokio::test]
async fn subjects_are_compared_byte_for_byte() {
    let stage = Stage::start().await;
    let known = stage.browser().await;
    let cases = [
        ("ada@example.com", EMAIL, None),
        ("Ada@example.com", EMAIL, None),
        ("ada@example.com.", PERSISTENT, None),
        ("a\u{308}da", PERSISTENT, None),
        ("\u{e4}da", PERSISTENT, None),
        (" ada@example.com", EMAIL, Some("bad_name_id")),
        ("ada@example.com\u{a0}", EMAIL, Some("bad_name_id")),
        ("_4711", TRANSIENT, Some("missing_attribute")),
    ];
    for (name_id, name_id_format, reason) in cases {
        let mut browser = known.clone();
        let attempt = stage.begin(&mut browser).await;
        let request = Request {
            name_id: name_id.to_owned(),
            name_id_format,
            ..stage.answering(&attempt).request()
        };
        let draft = stage.scene.provider.response(&request).sign_assertion();
        let answer = stage::post(&mut browser, draft.xml(), None).await;
        if let Some(reason) = reason {
            stage.assert_refused(&mut browser, &answer, reason).await;
        } else {
            assert_eq!(
                answer.status,
                303,
                "{name_id:?}: {:?}",
                stage.last_event().await
            );
            assert_eq!(stage.sessions(name_id).await.len(), 1, "{name_id:?}");
        }
    }
}

#[tokio::test]
async fn behind_https_the_attempts_cookie_alone_comes_along_from_another_site() {
    let overrides = vec![(
        "PUBLIC_URL".to_owned(),
        "https://aws.example.com".to_owned(),
    )];
    let options = Options {
        overrides,
        ..Options::default()
    };
    let stage = Stage::start_with(Setup {
        options,
        ..Setup::default()
    })
    .await;
    let mut browser = stage.browser().await;
    let attempt = stage.begin(&mut browser).await;
    let line = set_cookie(&attempt.answer, "__Host-rolegate-attempt-");
    for attribute in [
        "Path=/",
        "HttpOnly",
        "Max-Age=600",
        "SameSite=None",
        "Secure",
    ] {
        assert!(line.split("; ").any(|found| found == attribute), "{line}");
    }
    assert!(!line.contains("Domain"), "{line}");
    let (name, value) = attempt_cookie(&browser, &attempt);
    assert!(value.len() >= 32, "{value}");
    let lax: Vec<&String> = browser.cookies.keys().filter(|key| **key != name).collect();
    assert!(!lax.is_empty());

    // As browsers do it: what is Lax stays away from the provider's form.
    let mut crossing = stage.app.browser();
    crossing.cookies.insert(name, value);
    let message = stage.answer(&attempt).xml();
    let answer = stage::post(&mut crossing, &message, Some(&attempt.relay_state)).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let session = set_cookie(&answer, "__Host-rolegate=");
    for attribute in ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"] {
        assert!(
            session.split("; ").any(|found| found == attribute),
            "{session}"
        );
    }
    let gone = set_cookie(&answer, "__Host-rolegate-attempt-");
    assert!(
        gone.contains("Max-Age=0") && gone.contains("SameSite=None; Secure"),
        "{gone}"
    );
    assert_eq!(crossing.get("/").await.status, 200);
}

#[tokio::test]
async fn on_loopback_the_attempts_cookie_is_lax() {
    let stage = Stage::start().await;
    let attempt = stage.begin(&mut stage.browser().await).await;
    let line = set_cookie(&attempt.answer, "rolegate-attempt-");
    assert!(
        line.ends_with("; Path=/; HttpOnly; Max-Age=600; SameSite=Lax"),
        "{line}"
    );
}

fn set_cookie<'a>(answer: &'a Answer, start: &str) -> &'a str {
    let lines = answer.headers.get_all("set-cookie");
    let mut lines = lines.iter().map(|line| line.to_str().unwrap());
    lines
        .find(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("no cookie {start}: {:?}", answer.headers))
}

#[tokio::test]
async fn our_metadata_stays_the_same_byte_for_byte() {
    let mut stage = Stage::start().await;
    let path = format!("/saml/{CONNECTOR}/metadata");
    let first = stage.app.browser().get(&path).await;
    assert_eq!(
        (first.status, first.header("content-type")),
        (200, "application/samlmetadata+xml")
    );
    assert!(first.body.contains(&stage.scene.context.acs_url));
    let pem = stage.scene.decryption.certificate_pem();
    let lines: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let bare: String = first.body.split_whitespace().collect();
    assert_eq!(
        bare.matches(&lines).count(),
        2,
        "for signing and encryption"
    );
    for restarts in [false, true] {
        stage.app.clock.advance(Duration::days(40));
        if restarts {
            stage.app.restart().await;
        }
        let mut browser = stage.app.browser();
        browser.headers = vec![
            ("x-forwarded-host".to_owned(), "evil.example".to_owned()),
            ("x-forwarded-proto".to_owned(), "https".to_owned()),
            ("forwarded".to_owned(), "host=evil.example".to_owned()),
            ("accept-language".to_owned(), "de".to_owned()),
        ];
        assert_eq!(browser.get(&path).await.body, first.body);
        browser.headers = vec![("host".to_owned(), "evil.example".to_owned())];
        assert!(!browser.get(&path).await.body.contains("evil"));
    }
}

#[tokio::test]
async fn a_request_is_random_addressed_signed_and_nothing_that_a_browser_sent() {
    let stage = Stage::start().await;
    let mut seen = BTreeSet::new();
    let evil = "https://evil.example/acs";
    for _ in 0..20 {
        let mut browser = stage.browser().await;
        let own = [
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "host=evil.example"),
        ];
        browser
            .headers
            .extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let fields = [
            "AssertionConsumerServiceURL",
            "acs",
            "RelayState",
            "Destination",
            "next",
            "ID",
            "ForceAuthn",
        ]
        .map(|name| (name, evil));
        let attempt = stage.begin_with(&mut browser, &fields).await;
        assert!(!attempt.url.as_str().contains("evil"), "{}", attempt.url);
        assert_request(&stage, &attempt);
        let cookie = attempt_cookie(&browser, &attempt).1;
        let answer = stage::post(&mut browser, stage.answer(&attempt).xml(), None).await;
        let went = (answer.status, answer.location());
        assert_eq!(went, (303, "/"), "{:#?}", stage.last_event().await);
        for value in [&attempt.request_id, &attempt.relay_state, &cookie] {
            assert!(seen.insert(value.clone()), "{value} came twice");
        }
    }
}

fn assert_request(stage: &Stage, attempt: &Attempt) {
    let request = &attempt.request;
    let entity_id = &stage.scene.provider.entity_id;
    let attributes = [
        ("Destination", format!("{entity_id}/sso")),
        (
            "AssertionConsumerServiceURL",
            stage.scene.context.acs_url.clone(),
        ),
        ("Version", "2.0".to_owned()),
    ];
    for (name, value) in attributes {
        assert!(
            request.contains(&format!(r#" {name}="{value}""#)),
            "{request}"
        );
    }
    assert!(
        !request.contains("evil") && !request.contains("ForceAuthn"),
        "{request}"
    );
    assert!(
        attempt
            .url
            .as_str()
            .starts_with(&format!("{entity_id}/sso?"))
    );
    // 128 bits and more, in hexadecimal.
    for random in [&attempt.request_id[1..], &attempt.relay_state] {
        assert!(random.len() >= 32, "{random}");
        assert!(
            random.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{random}"
        );
    }
    // SAML bindings 3.4.4.1: over the query as it stands, up to the signature.
    let (signed, signature) = attempt
        .url
        .query()
        .unwrap()
        .split_once("&Signature=")
        .unwrap();
    assert!(signed.starts_with("SAMLRequest="), "{signed}");
    let algorithm = "&SigAlg=http%3A%2F%2Fwww.w3.org%2F2001%2F04%2Fxmldsig-more%23rsa-sha256";
    assert!(
        signed.to_lowercase().ends_with(&algorithm.to_lowercase()),
        "{signed}"
    );
    let signature = format!("s={signature}");
    let (_, signature) = form_urlencoded::parse(signature.as_bytes()).next().unwrap();
    let key = stage.scene.decryption.public_key();
    let mut verifier = Verifier::new(MessageDigest::sha256(), &key).unwrap();
    let signature = STANDARD.decode(&*signature).unwrap();
    assert!(
        verifier
            .verify_oneshot(&signature, signed.as_bytes())
            .unwrap()
    );
}

#[tokio::test]
async fn without_a_key_requests_are_not_signed() {
    let stage = Stage::start_with(Setup {
        has_key: false,
        ..Setup::default()
    })
    .await;
    let mut browser = stage.browser().await;
    let attempt = stage.begin(&mut browser).await;
    assert!(!attempt.url.as_str().contains("Signature="));
    let answer = stage::post(&mut browser, stage.answer(&attempt).xml(), None).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

/// Where Entra says that the groups are too many.
const OVERAGE: &str = "http://schemas.microsoft.com/claims/groups.link";
const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";

#[tokio::test]
async fn groups_that_entra_left_out_are_told_and_nobody_is_signed_in() {
    let stage = Box::pin(Stage::configured("preset = \"entra\"\nattributes = {}")).await;
    let mut browser = stage.browser().await;
    let attempt = stage.begin(&mut browser).await;
    let scene = stage.answering(&attempt);
    let shaped = presets::entra_overage(&scene.provider, &scene.request());
    let answer = stage::post(&mut browser, shaped.draft.xml(), None).await;
    stage
        .assert_refused(&mut browser, &answer, "groups_overage")
        .await;
    assert!(answer.body.contains("Your groups did not come along"));

    // In few groups, the same person is welcome.
    let attempt = stage.begin(&mut browser).await;
    let scene = stage.answering(&attempt);
    let shaped = presets::entra(&scene.provider, &scene.request());
    let answer = stage::post(&mut browser, shaped.draft.xml(), None).await;
    assert_eq!(answer.status, 303, "{:#?}", stage.last_event().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_entra_left_out_come_from_the_directory() {
    let slapd = Slapd::start();
    let stage = Box::pin(with_groups_from(&slapd)).await;

    // The directory's groups count, and the provider's never do.
    let (mut browser, answer) = sign_in_as(&stage, "bob", OVERAGE).await;
    assert_eq!(answer.status, 303, "{:#?}", stage.last_event().await);
    let picker = browser.get("/").await;
    assert!(picker.body.contains(READER), "{}", picker.body);
    let (mut other, answer) = sign_in_as(&stage, "norole", "groups").await;
    assert_eq!(answer.status, 303, "{:#?}", stage.last_event().await);
    assert!(!other.get("/").await.body.contains(READER));

    // Nobody there, and names that want escaping.
    for unknown in ["nobody", "*", "bob)(uid=*", "bo*"] {
        let (mut browser, answer) = sign_in_as(&stage, unknown, OVERAGE).await;
        stage
            .assert_refused(&mut browser, &answer, "groups_from_unknown_person")
            .await;
        assert!(answer.body.contains("Your account was not found"));
    }

    // They are read again there.
    slapd.remove_member("aws-111111111111-readonly", "bob");
    stage.app.clock.advance(Duration::minutes(6));
    let answer = browser.open_console(&[("role", READER)]).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert_eq!(
        stage.last_event().await.reason.as_deref(),
        Some("no_mapping")
    );
    assert_eq!(browser.get("/").await.status, 200);
    slapd.modify(&format!(
        "dn: {}\nchangetype: delete\n",
        slapd::person_dn("bob")
    ));
    stage.app.clock.advance(Duration::minutes(6));
    let answer = browser.open_console(&[("role", READER)]).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert_eq!(
        stage.last_event().await.reason.as_deref(),
        Some("account_gone")
    );
    assert_eq!(browser.get("/").await.status, 303);
    assert!(stage.app.aws.issued().is_empty());

    slapd.stop();
    let (mut browser, answer) = sign_in_as(&stage, "alice", OVERAGE).await;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("The directory does not answer"));
    let event = stage.event(&answer).await;
    assert_eq!(
        (event.outcome, event.reason.as_deref()),
        (Outcome::Failed, Some("groups_unavailable"))
    );
    stage::assert_nobody(&mut browser, &answer).await;
}

/// A connector whose people's groups are those of the directory.
async fn with_groups_from(slapd: &Slapd) -> Stage {
    let more_toml = format!(
        r#"
[[connector]]
id = "groups"
type = "ldap"
preset = "openldap"
label = "Groups"
urls = ["{}"]
bind_dn = "{}"
bind_password = "{}"
user_base = "ou=people,dc=example,dc=org"
group_base = "ou=groups,dc=example,dc=org"
"#,
        slapd.ldap_url(),
        slapd::BIND_DN,
        slapd::BIND_PASSWORD,
    );
    let group = slapd::group_dn("aws-111111111111-readonly");
    let mapping =
        |group: &str| format!("\n[[mapping]]\ngroup = \"{group}\"\nrole = \"{READER}\"\n");
    let mapping_toml = format!(
        "{}{}{}",
        sample::mapping_toml(),
        mapping(&format!("groups:{group}")),
        mapping("idp:readers")
    );
    Stage::start_with(Setup {
        connector: "groups_from = \"groups\"\n\
                    attributes = { username = \"uid\", groups = \"groups\" }"
            .to_owned(),
        options: Options {
            more_toml,
            mapping_toml: Some(mapping_toml),
            ..Options::default()
        },
        ..Setup::default()
    })
    .await
}

/// Signs somebody in of whom the provider says this too, for whatever groups it names.
async fn sign_in_as(stage: &Stage, uid: &str, claim: &str) -> (CookieBrowser, Answer) {
    let mut browser = stage.browser().await;
    let attempt = stage.begin(&mut browser).await;
    let request = Request {
        name_id: format!("{uid}@example.com"),
        attributes: vec![Claim::new("uid", &[uid]), Claim::new(claim, &["readers"])],
        ..stage.answering(&attempt).request()
    };
    let draft = stage.scene.provider.response(&request).sign_assertion();
    let answer = stage::post(&mut browser, draft.xml(), None).await;
    (browser, answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_and_no_secret_of_a_sign_in_is_kept_or_logged_at_any_level() {
    let (canary, dir) = (Canary::start(), temporary_dir("saml-secrets"));
    let file = canary.file.to_str().expect("a plain path");
    let (provider, decryption) = stage::parties(1);
    let mut scene = Scene::new(
        provider,
        decryption,
        Context::from_seed(1, &canary.url, file),
    );
    let directory = Directory::sample().start(LOOPBACK).unwrap();
    let aws = StandIn::start(Catalogue::sample(), LOOPBACK).unwrap();
    let process = Process::start(dir.path(), |listen, operations| {
        configuration(dir.path(), (listen, operations), (&scene, &directory, &aws))
    });
    let address = |place: &str| process.url.join(place).unwrap().to_string();
    scene.context.acs_url = address("saml/idp/acs");
    scene.context.audience = address("saml/idp/metadata");
    let used = Used::of(&process, &scene).await;

    let log = process.log();
    let export = process
        .command()
        .args(["audit", "export"])
        .output()
        .unwrap();
    assert!(export.status.success(), "{export:?}");
    let mut places = vec![
        ("log", log.into_bytes()),
        ("audit", export.stdout),
        ("metrics", process.metrics().await.into_bytes()),
    ];
    Used::assert_nowhere(&places, &used.requests);
    let database = dir.path().join("rolegate.db");
    let mut connection = SqliteConnection::connect(&format!("sqlite://{}", database.display()))
        .await
        .unwrap();
    let held: i64 = sqlx::query_scalar("SELECT count(*) FROM held_proof")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(held > 0, "nothing is held for AWS");
    for name in ["rolegate.db", "rolegate.db-wal"] {
        places.push((name, fs::read(dir.path().join(name)).unwrap_or_default()));
    }
    assert!(places[..4].iter().all(|(_, bytes)| bytes.len() > 1_000));
    Used::assert_nowhere(&places, &used.secrets);
}

/// What must not be found afterwards.
#[derive(Default)]
struct Used {
    /// Nowhere.
    secrets: Vec<String>,
    /// Neither in the log, the audit nor the metrics: our requests and their states, which wait in
    /// the database.
    requests: Vec<String>,
}

impl Used {
    /// Signs in, meets refusals of many kinds, and leaves an attempt waiting.
    async fn of(process: &Process, scene: &Scene) -> Self {
        let mut used = Self::default();
        // Some of each class are as good as all.
        for recipe in cases::recipes().iter().step_by(12) {
            let (mut browser, attempt) = used.begin(process).await;
            let now = SystemClock.now();
            let mut scene = scene.answering(&attempt.request_id, now);
            "planted-intruder@example.com".clone_into(&mut scene.intruder);
            scene.claims.extend(for_aws());
            let case = recipe.case(&scene);
            let state = match case.document.len() % 3 {
                0 => attempt.relay_state.clone(),
                1 => String::new(),
                _ => "https://planted-relay-state.example/".to_owned(),
            };
            if case.document.len() > LARGEST_FORM / 2 {
                continue;
            }
            used.message(&case.document);
            let answer = stage::post(&mut browser, &case.document, Some(&state)).await;
            assert!([303, 403].contains(&answer.status), "{}", case.id);
        }
        used.sign_in_well(process, scene).await;
        used.begin(process).await;
        let planted = [
            "planted-intruder",
            "planted-relay-state",
            "planted-second-state",
        ];
        used.secrets.extend(planted.map(str::to_owned));
        used
    }

    /// Held for AWS, and what nobody asked for with its confirmation, which comes twice.
    async fn sign_in_well(&mut self, process: &Process, scene: &Scene) {
        let (mut browser, attempt) = self.begin(process).await;
        let mut asked = scene
            .for_case("held")
            .answering(&attempt.request_id, SystemClock.now());
        asked.claims.extend(for_aws());
        let audience = Element::new("saml:Audience").child("urn:amazon:webservices");
        let draft = asked.draft().edit(|root| {
            (root.at("Assertion/Conditions/AudienceRestriction")).push(audience);
        });
        let message = draft.sign_assertion().xml();
        self.message(message.as_bytes());
        let answer = stage::post(&mut browser, &message, Some(&attempt.relay_state)).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        self.secrets.push(browser.cookies["rolegate"].clone());

        let mut browser = process.browser();
        let mut unsolicited = scene.for_case("unsolicited");
        unsolicited.context.in_response_to = None;
        unsolicited.context.now = SystemClock.now();
        let message = unsolicited.signed().xml();
        self.message(message.as_bytes());
        let state = Some("planted-second-state");
        let answer = stage::post(&mut browser, &message, state).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let encoded = STANDARD.encode(&message);
        self.secrets.push(browser.csrf_token.clone());
        for status in [303, 403] {
            let answer = browser.post(CONFIRM, &[("SAMLResponse", &encoded)]).await;
            assert_eq!(answer.status, status, "{}", answer.body);
        }
    }

    async fn begin(&mut self, process: &Process) -> (CookieBrowser, Attempt) {
        let mut browser = stage::at_sign_in(process.browser()).await;
        let attempt = stage::begin(&mut browser, &[]).await;
        self.secrets.push(attempt_cookie(&browser, &attempt).1);
        self.secrets
            .extend(browser.cookies.get("rolegate-form").cloned());
        self.requests.push(attempt.relay_state.clone());
        let request = attempt
            .url
            .query_pairs()
            .find(|(name, _)| name == "SAMLRequest");
        self.requests.push(request.unwrap().1.into_owned());
        (browser, attempt)
    }

    /// Pieces of a message, as it stands and as it travels: its middle, and its signature.
    fn message(&mut self, document: &[u8]) {
        let encoded = STANDARD.encode(document);
        for piece in [0, encoded.len() / 3, encoded.len() / 2] {
            self.secrets
                .extend(encoded.get(piece..piece + 64).map(str::to_owned));
        }
        let document = String::from_utf8_lossy(document);
        let values = regex::Regex::new(r"(?:SignatureValue|CipherValue)>\s*([A-Za-z0-9+/]{40})");
        let values = values.unwrap();
        let found = values
            .captures_iter(&document)
            .map(|found| found[1].to_owned());
        self.secrets.extend(found);
    }

    fn assert_nowhere(places: &[(&str, Vec<u8>)], words: &[String]) {
        assert!(words.len() > 30 && words.iter().all(|word| word.len() >= 12));
        for (place, bytes) in places {
            let text = String::from_utf8_lossy(bytes);
            for word in words {
                assert!(!text.contains(word), "{word} is in the {place}");
            }
        }
    }
}

/// What makes an assertion one that is kept for AWS.
fn for_aws() -> [Claim; 2] {
    let role = "arn:aws:iam::222233334444:role/ReadOnly,\
                arn:aws:iam::222233334444:saml-provider/company";
    [
        Claim::new("https://aws.amazon.com/SAML/Attributes/Role", &[role]),
        Claim::new(
            "https://aws.amazon.com/SAML/Attributes/RoleSessionName",
            &["ada"],
        ),
    ]
}

fn configuration(
    dir: &Path,
    (listen, operations): (SocketAddr, SocketAddr),
    (scene, directory, aws): (&Scene, &RunningDirectory, &StandIn),
) -> String {
    let keys = dir.join("aws.env");
    let text = "AWS_ACCESS_KEY_ID=AKIAEXAMPLEEXAMPLE00\nAWS_SECRET_ACCESS_KEY=planted-secret-key\n";
    fs::write(&keys, text).unwrap();
    let demo = include_str!("../../config/demo.toml");
    let replaced = [
        ("http://127.0.0.1:8080", format!("http://{listen}")),
        ("127.0.0.1:8080", listen.to_string()),
        ("127.0.0.1:0", operations.to_string()),
        (
            "sqlite://demo.db",
            format!("sqlite://{}/rolegate.db", dir.display()),
        ),
        ("ldap://127.0.0.1:3890", directory.url()),
        (
            "http://127.0.0.1:4566/federation",
            aws.federation_url().to_string(),
        ),
        (
            "http://127.0.0.1:4566/console",
            aws.console_url().to_string(),
        ),
        ("http://127.0.0.1:4566", aws.url().to_string()),
        (
            "[aws]",
            "[aws]\nsession_name = \"{connector}-{username}\"".to_owned(),
        ),
    ];
    let demo = replaced.iter().fold(demo.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(&format!("\"{old}\""), &format!("\"{new}\""))
            .replace(&format!("\n{old}\n"), &format!("\n{new}\n"))
    });
    let more = "allow_idp_initiated = true\naudiences = [\"urn:amazon:webservices\"]";
    format!(
        "{demo}\n[[aws.credential_source]]\nid = \"default\"\ntype = \"environment-file\"\n\
         path = \"{}\"\n{}",
        keys.display(),
        stage::connector(scene, dir, more, true)
    )
}
