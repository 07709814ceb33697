//! Favourites, recents, settings, role sessions, and the readiness probe.

use rolegate::{
    audit::Outcome,
    store::{
        AuditLog as _, OpenRole, PersonStore as _, PolicyStore as _, Preferences, RoleSession,
        StoreHealth as _,
    },
};
use time::Duration;

use super::{Backend, NOW, Store, audit_log::role_session, end_of, intent};

const ADA: &str = "subject-of-ada";

async fn open_role(store: &impl Store, id: &str, role: &str) -> RoleSession {
    let version = store.policy_version().await.unwrap();
    store.announce(&intent(id), version).await.unwrap();
    let session = role_session(id, role);
    store
        .conclude(&end_of(id, Outcome::Ok), Some(&session))
        .await
        .unwrap();
    session
}

pub(super) async fn favourites_keep_their_order(backend: &impl Backend) {
    let store = backend.open().await;
    for role in ["c", "a", "b", "a"] {
        store.set_favourite("corp", ADA, role, true).await.unwrap();
    }
    let favourites = store.preferences("corp", ADA).await.unwrap().favourites;
    assert_eq!(favourites, ["c", "a", "b"]);
    store.set_favourite("corp", ADA, "c", false).await.unwrap();
    store
        .set_favourite("corp", ADA, "never", false)
        .await
        .unwrap();
    store.set_favourite("corp", ADA, "c", true).await.unwrap();
    let favourites = store.preferences("corp", ADA).await.unwrap().favourites;
    assert_eq!(favourites, ["a", "b", "c"]);
}

pub(super) async fn recents_are_twelve_and_the_newest_is_first(backend: &impl Backend) {
    let store = backend.open().await;
    for number in 0..15 {
        open_role(&store, &format!("i-{number}"), &format!("role-{number}")).await;
    }
    open_role(&store, "again", "role-10").await;
    let recents = store.preferences("corp", ADA).await.unwrap().recents;
    let mut expected: Vec<String> = (3..15).rev().map(|n| format!("role-{n}")).collect();
    expected.retain(|role| role != "role-10");
    expected.insert(0, "role-10".to_owned());
    assert_eq!(recents, expected);
}

pub(super) async fn role_sessions_are_listed_newest_first(backend: &impl Backend) {
    let store = backend.open().await;
    let first = open_role(&store, "i-1", "role-1").await;
    let version = store.policy_version().await.unwrap();
    store.announce(&intent("i-2"), version).await.unwrap();
    let second = RoleSession {
        started_at: NOW + Duration::minutes(1),
        aws_request_id: None,
        ..role_session("i-2", "role-2")
    };
    store
        .conclude(&end_of("i-2", Outcome::Ok), Some(&second))
        .await
        .unwrap();
    let listed = store.role_sessions("corp", ADA, 10).await.unwrap();
    assert_eq!(listed, [second.clone(), first]);
    assert_eq!(store.role_sessions("corp", ADA, 1).await.unwrap(), [second]);
}

pub(super) async fn one_reading_tells_what_a_person_set_and_what_is_still_open(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    store.set_favourite("corp", ADA, "a", true).await.unwrap();
    let session = open_role(&store, "i-1", "role-1").await;
    let state = store.person_state("corp", ADA, NOW).await.unwrap();
    let preferences = store.preferences("corp", ADA).await.unwrap();
    assert_eq!(state.preferences, preferences);
    assert_eq!(preferences.recents, ["role-1"]);
    assert_eq!(state.policy_version, store.policy_version().await.unwrap());
    let open = OpenRole {
        role: session.role,
        delivery: session.delivery,
        ends_at: session.expires_at,
    };
    assert_eq!(state.open, [open]);
    let end = session.expires_at;
    let state = store.person_state("corp", ADA, end).await.unwrap();
    assert_eq!(state.open, []);
}

pub(super) async fn settings_are_kept_and_replaced(backend: &impl Backend) {
    let store = backend.open().await;
    for (name, value) in [("theme", "dark"), ("shortcuts", "off"), ("theme", "light")] {
        store.set_setting("corp", ADA, name, value).await.unwrap();
    }
    let settings = store.preferences("corp", ADA).await.unwrap().settings;
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(settings, [("shortcuts", "off"), ("theme", "light")]);
}

pub(super) async fn people_of_two_connectors_are_apart(backend: &impl Backend) {
    let store = backend.open().await;
    store.set_favourite("corp", ADA, "a", true).await.unwrap();
    store
        .set_setting("corp", ADA, "theme", "dark")
        .await
        .unwrap();
    open_role(&store, "i-1", "role-1").await;
    let preferences = store.preferences("other", ADA).await.unwrap();
    assert_eq!(preferences, Preferences::default());
    assert!(
        store
            .role_sessions("other", ADA, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

pub(super) async fn a_store_that_works_answers_the_probe(backend: &impl Backend) {
    backend.open().await.ping().await.unwrap();
}
