//! What identity providers make browsers post, at a running server: every generated case, and what
//! only HTTP can show.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rolegate::{audit::Outcome, clock::Clock as _, store::SignInSession};

use crate::support::{
    cookie_browser::{Answer, CookieBrowser},
    saml::{
        cases::{self, Case, Verdict},
        stage::{self, ACS, Attempt, Setup, Stage},
    },
};

/// The largest form that is read, in bytes.
const LARGEST_FORM: usize = 256 * 1024;
/// Cases that a server with one provider, one clock and one request can be given.
const LEAST_CASES: usize = 350;

/// The page without what differs each time it is made.
fn without_request_id(answer: &Answer) -> String {
    let id = answer.header("x-request-id");
    assert!(!id.is_empty() && answer.body.contains(id));
    answer.body.replace(id, "")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_judged_at_the_acs_as_it_has_to_be() {
    judge_all(20_260_731).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_seed_is_judged_alike() {
    judge_all(0xfeed_face_cafe).await;
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
        // With connections of its own: a refused body ends the one that it came on.
        let mut browser = stage.app.browser();
        browser.cookies.clone_from(&known.cookies);
        browser.csrf_token.clone_from(&known.csrf_token);
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
    let before = stage.sessions(&case.name_id).await;
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
        (413, Verdict::Reject) if body.len() > LARGEST_FORM => Ok(()),
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
    let page = without_request_id(answer);
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
