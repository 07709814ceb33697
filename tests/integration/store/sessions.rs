//! Sign-in sessions.

use rolegate::{
    access::{AuthenticationMethod, Group, Identity},
    store::{SignInSession, SignInSessions as _, StoreError},
};
use time::{Duration, macros::datetime};

use super::{Backend, NOW, group};

pub(super) fn session(letter: char) -> SignInSession {
    let direct = Group {
        key: group("cn=dev"),
        name: "CN=Dev".to_owned(),
        stable_id: Some("uuid-1".to_owned()),
        through: None,
    };
    let nested = Group {
        key: group("cn=all"),
        name: "CN=All".to_owned(),
        stable_id: None,
        through: Some(group("cn=dev")),
    };
    SignInSession {
        id_hash: letter.to_string().repeat(64),
        identity: Identity {
            connector: "corp".parse().unwrap(),
            subject: "subject-of-ada".to_owned(),
            username: "ada".to_owned(),
            display_name: Some("Ada Lovelace".to_owned()),
            email: None,
            entry_dn: Some("uid=ada,dc=x".to_owned()),
            groups: vec![direct, nested],
            groups_read_at: NOW,
            authenticated_at: NOW - Duration::minutes(1),
            method: AuthenticationMethod::Password,
            authentication_context: None,
            asserted_roles: Vec::new(),
        },
        client_address: "192.0.2.7".to_owned(),
        user_agent: "Browser/1".to_owned(),
        created_at: NOW,
        last_seen_at: NOW,
        expires_at: NOW + Duration::hours(12),
        provider_session: None,
        device: None,
    }
}

pub(super) async fn a_session_is_read_back_as_it_was(backend: &impl Backend) {
    let store = backend.open().await;
    store.save_session(&session('a')).await.unwrap();
    let read = store.session(&session('a').id_hash).await.unwrap();
    assert_eq!(read, Some(session('a')));
    assert_eq!(store.session(&session('b').id_hash).await.unwrap(), None);
    let mut wordy = session('c');
    wordy.user_agent = "ü".repeat(500);
    store.save_session(&wordy).await.unwrap();
    let read = store.session(&wordy.id_hash).await.unwrap().unwrap();
    assert_eq!(read.user_agent, "ü".repeat(200));
}

pub(super) async fn sessions_survive_a_restart(backend: &impl Backend) {
    let store = backend.open().await;
    store.save_session(&session('a')).await.unwrap();
    drop(store);
    let read = backend.open().await.session(&session('a').id_hash).await;
    assert_eq!(read.unwrap(), Some(session('a')));
}

pub(super) async fn a_session_that_is_saved_again_is_replaced(backend: &impl Backend) {
    let store = backend.open().await;
    store.save_session(&session('a')).await.unwrap();
    let mut changed = session('a');
    changed.identity.groups.pop();
    changed.identity.groups_read_at = datetime!(2026-11-24 10:00 UTC);
    store.save_session(&changed).await.unwrap();
    assert_eq!(
        store.session(&changed.id_hash).await.unwrap(),
        Some(changed)
    );
}

pub(super) async fn a_renewed_session_keeps_its_times_and_an_ended_one_stays_ended(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    let id_hash = session('a').id_hash;
    let mut read_anew = session('a').identity;
    read_anew.groups.pop();
    read_anew.groups_read_at = NOW + Duration::minutes(5);
    assert!(!store.renew_session(&id_hash, &read_anew).await.unwrap());
    assert_eq!(store.session(&id_hash).await.unwrap(), None);

    store.save_session(&session('a')).await.unwrap();
    let later = NOW + Duration::minutes(5);
    store.touch_session(&id_hash, later).await.unwrap();
    let mut stranger = read_anew.clone();
    "somebody-else".clone_into(&mut stranger.subject);
    assert!(!store.renew_session(&id_hash, &stranger).await.unwrap());
    assert!(store.renew_session(&id_hash, &read_anew).await.unwrap());
    let mut expected = session('a');
    expected.identity = read_anew;
    expected.last_seen_at = later;
    assert_eq!(store.session(&id_hash).await.unwrap(), Some(expected));
}

pub(super) async fn touching_moves_only_forward(backend: &impl Backend) {
    let store = backend.open().await;
    let id_hash = session('a').id_hash;
    store.save_session(&session('a')).await.unwrap();
    let later = NOW + Duration::minutes(5);
    store.touch_session(&id_hash, later).await.unwrap();
    store.touch_session(&id_hash, NOW).await.unwrap();
    let read = store.session(&id_hash).await.unwrap().unwrap();
    assert_eq!(read.last_seen_at, later);
    store
        .touch_session(&session('b').id_hash, later)
        .await
        .unwrap();
}

pub(super) async fn ended_sessions_are_gone(backend: &impl Backend) {
    let store = backend.open().await;
    let id_hash = session('a').id_hash;
    store.save_session(&session('a')).await.unwrap();
    store.end_session(&id_hash).await.unwrap();
    store.end_session(&id_hash).await.unwrap();
    assert_eq!(store.session(&id_hash).await.unwrap(), None);
}

pub(super) async fn all_sessions_of_a_person_end_together(backend: &impl Backend) {
    let store = backend.open().await;
    let mut second = session('b');
    second.created_at = NOW + Duration::minutes(1);
    let mut foreign = session('c');
    foreign.identity.connector = "other".parse().unwrap();
    for session in [&session('a'), &second, &foreign] {
        store.save_session(session).await.unwrap();
    }
    let listed = store.sessions_of("corp", "subject-of-ada").await.unwrap();
    assert_eq!(listed, [second, session('a')]);
    let ended = store
        .end_sessions_of("corp", "subject-of-ada")
        .await
        .unwrap();
    assert_eq!(ended, 2);
    assert!(
        store
            .sessions_of("corp", "subject-of-ada")
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        store.session(&foreign.id_hash).await.unwrap(),
        Some(foreign)
    );
}

pub(super) async fn the_sweep_takes_what_ended_and_what_was_idle(backend: &impl Backend) {
    let store = backend.open().await;
    let mut ended = session('b');
    ended.expires_at = NOW + Duration::hours(1);
    let mut idle = session('c');
    idle.last_seen_at = NOW - Duration::hours(9);
    for session in [&session('a'), &ended, &idle] {
        store.save_session(session).await.unwrap();
    }
    let now = NOW + Duration::hours(1);
    let swept = store
        .sweep_sessions(now, now - Duration::hours(8))
        .await
        .unwrap();
    assert_eq!(swept, 2);
    let left = store.sessions_of("corp", "subject-of-ada").await.unwrap();
    assert_eq!(left, [session('a')]);
}

pub(super) async fn only_hashes_are_taken_as_ids(backend: &impl Backend) {
    let store = backend.open().await;
    for secret in [
        "",
        "planted-session-secret",
        &"A".repeat(64),
        &"é".repeat(32),
    ] {
        let mut raw = session('a');
        raw.id_hash = secret.to_owned();
        let error = store.save_session(&raw).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict(_)), "{error}");
        assert!(secret.is_empty() || !error.to_string().contains(secret));
    }
    assert!(
        store
            .sessions_of("corp", "subject-of-ada")
            .await
            .unwrap()
            .is_empty()
    );
}
