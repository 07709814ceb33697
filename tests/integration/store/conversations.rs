//! Conversations with redirecting providers, proofs, and what providers published.

use std::{collections::HashSet, sync::Arc};

use rolegate::{
    access::{AssertedRole, AuthenticationMethod, ProviderSession},
    store::{
        Conversations as _, PendingSignIn, ProviderDocuments as _, SignInSession,
        SignInSessions as _, StoreError, Taken,
    },
};
use time::Duration;
use tokio::task::JoinSet;

use super::{Backend, NOW, sessions::session};

const BROWSER: &str = "bb11bb11bb11bb11bb11bb11bb11bb11bb11bb11bb11bb11bb11bb11bb11bb11";
const OTHER_BROWSER: &str = "cc22cc22cc22cc22cc22cc22cc22cc22cc22cc22cc22cc22cc22cc22cc22cc22";

fn pending(id: &str) -> PendingSignIn {
    PendingSignIn {
        id: id.to_owned(),
        connector: "okta".to_owned(),
        browser_hash: BROWSER.to_owned(),
        relay_state: "relay-1".to_owned(),
        next: "/console/111122223333/ReadOnly".to_owned(),
        subject: Some("subject-of-ada".to_owned()),
        created_at: NOW,
        expires_at: NOW + Duration::minutes(10),
    }
}

/// A session that rests on one at a provider.
fn redirected(letter: char, name_id: &str, session_index: Option<&str>) -> SignInSession {
    let mut session = session(letter);
    session.identity.connector = "okta".parse().unwrap();
    session.identity.method = AuthenticationMethod::Saml;
    session.identity.authentication_context = Some("urn:x:PasswordProtectedTransport".to_owned());
    session.identity.asserted_roles = vec![AssertedRole {
        role: super::read_only_arn(),
        provider: "arn:aws:iam::111122223333:saml-provider/Okta"
            .parse()
            .unwrap(),
    }];
    session.provider_session = Some(ProviderSession {
        name_id: name_id.to_owned(),
        format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned()),
        name_qualifier: Some("https://idp.example.com".to_owned()),
        sp_name_qualifier: None,
        session_index: session_index.map(str::to_owned),
    });
    session
}

pub(super) async fn a_pending_sign_in_is_taken_once_by_its_own_browser(backend: &impl Backend) {
    let store = backend.open().await;
    store.begin_sign_in(&pending("_a1")).await.unwrap();
    for browser in [None, Some(OTHER_BROWSER)] {
        let taken = store.take_sign_in("okta", "_a1", browser, NOW).await;
        assert_eq!(taken.unwrap(), Taken::OtherBrowser);
    }
    for (connector, id) in [("entra", "_a1"), ("okta", "_a2")] {
        let taken = store.take_sign_in(connector, id, Some(BROWSER), NOW).await;
        assert_eq!(taken.unwrap(), Taken::Unknown);
    }
    drop(store);
    let store = backend.open().await;
    let taken = store.take_sign_in("okta", "_a1", Some(BROWSER), NOW).await;
    assert_eq!(taken.unwrap(), Taken::Pending(Box::new(pending("_a1"))));
    let again = store.take_sign_in("okta", "_a1", Some(BROWSER), NOW).await;
    assert_eq!(again.unwrap(), Taken::Unknown);
}

pub(super) async fn a_sign_in_that_took_too_long_is_gone(backend: &impl Backend) {
    let store = backend.open().await;
    store.begin_sign_in(&pending("_a1")).await.unwrap();
    let late = NOW + Duration::minutes(10);
    for expected in [Taken::Expired, Taken::Unknown] {
        let taken = store.take_sign_in("okta", "_a1", Some(BROWSER), late).await;
        assert_eq!(taken.unwrap(), expected);
    }
}

pub(super) async fn a_sign_in_is_begun_once_and_with_a_hash_alone(backend: &impl Backend) {
    let store = backend.open().await;
    store.begin_sign_in(&pending("_a1")).await.unwrap();
    let mut stranger = pending("_a1");
    OTHER_BROWSER.clone_into(&mut stranger.browser_hash);
    let error = store.begin_sign_in(&stranger).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    let taken = store.take_sign_in("okta", "_a1", Some(BROWSER), NOW).await;
    assert_eq!(taken.unwrap(), Taken::Pending(Box::new(pending("_a1"))));

    let mut raw = pending("_a2");
    "planted-browser-secret".clone_into(&mut raw.browser_hash);
    let error = store.begin_sign_in(&raw).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert!(!error.to_string().contains("planted"), "{error}");
}

pub(super) async fn of_many_who_take_a_sign_in_one_gets_it(backend: &impl Backend) {
    let stores = [
        Arc::new(backend.open().await),
        Arc::new(backend.open().await),
    ];
    for round in 0..5 {
        let id = format!("_round{round}");
        stores[round % 2]
            .begin_sign_in(&pending(&id))
            .await
            .unwrap();
        let mut takers = JoinSet::new();
        for taker in 0..24 {
            let (store, id) = (Arc::clone(&stores[taker % 2]), id.clone());
            takers.spawn(async move {
                store
                    .take_sign_in("okta", &id, Some(BROWSER), NOW)
                    .await
                    .unwrap()
            });
        }
        let taken = takers.join_all().await;
        let got = taken
            .iter()
            .filter(|taken| matches!(taken, Taken::Pending(_)));
        assert_eq!(got.count(), 1, "{taken:?}");
        let left = taken.iter().filter(|taken| **taken == Taken::Unknown);
        assert_eq!(left.count(), 23, "{taken:?}");
    }
}

pub(super) async fn of_many_who_use_an_answer_one_is_the_first(backend: &impl Backend) {
    let stores = [
        Arc::new(backend.open().await),
        Arc::new(backend.open().await),
    ];
    for round in 0..5 {
        let mut users = JoinSet::new();
        for user in 0..24 {
            let store = Arc::clone(&stores[user % 2]);
            users.spawn(async move {
                let id = format!("_answer{round}");
                store
                    .use_answer("okta", &id, NOW + Duration::minutes(5))
                    .await
                    .unwrap()
            });
        }
        let uses = users.join_all().await;
        assert_eq!(uses.iter().filter(|is_first| **is_first).count(), 1);
    }
    let later = NOW + Duration::minutes(5);
    assert!(
        stores[0]
            .use_answer("entra", "_answer0", later)
            .await
            .unwrap()
    );
    drop(stores);
    let store = backend.open().await;
    assert!(!store.use_answer("okta", "_answer0", later).await.unwrap());
}

pub(super) async fn the_sweep_takes_what_is_past_its_end(backend: &impl Backend) {
    let store = backend.open().await;
    let now = NOW + Duration::minutes(10);
    let mut lasting = pending("_a2");
    lasting.expires_at = now + Duration::milliseconds(1);
    for pending in [&pending("_a1"), &lasting] {
        store.begin_sign_in(pending).await.unwrap();
    }
    for (id, until) in [("_old", now - Duration::milliseconds(1)), ("_new", now)] {
        assert!(store.use_answer("okta", id, until).await.unwrap());
    }
    for (letter, end) in [('a', now), ('b', now + Duration::milliseconds(1))] {
        store.save_session(&session(letter)).await.unwrap();
        let id_hash = session(letter).id_hash;
        store.hold_proof(&id_hash, "sealed", end).await.unwrap();
    }
    assert_eq!(store.sweep_conversations(now).await.unwrap(), 3);
    assert_eq!(store.sweep_conversations(now).await.unwrap(), 0);
    let taken = store.take_sign_in("okta", "_a2", Some(BROWSER), now).await;
    assert_eq!(taken.unwrap(), Taken::Pending(Box::new(lasting)));
    assert!(!store.use_answer("okta", "_new", now).await.unwrap());
    assert!(store.use_answer("okta", "_old", now).await.unwrap());
    // The sessions themselves stay.
    assert!(
        store
            .session(&session('a').id_hash)
            .await
            .unwrap()
            .is_some()
    );
}

pub(super) async fn a_proof_is_replaced_and_ends(backend: &impl Backend) {
    let store = backend.open().await;
    let id_hash = session('a').id_hash;
    let end = NOW + Duration::minutes(5);
    let error = store.hold_proof(&id_hash, "sealed", end).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");

    store.save_session(&session('a')).await.unwrap();
    assert_eq!(store.held_proof(&id_hash, NOW).await.unwrap(), None);
    for sealed in ["sealed-1", "sealed-2"] {
        store.hold_proof(&id_hash, sealed, end).await.unwrap();
    }
    // Saved and renewed again, as when groups are read anew.
    store.save_session(&session('a')).await.unwrap();
    let identity = session('a').identity;
    assert!(store.renew_session(&id_hash, &identity).await.unwrap());
    assert_eq!(
        store.held_proof(&id_hash, NOW).await.unwrap(),
        Some(("sealed-2".to_owned(), end))
    );
    assert_eq!(store.held_proof(&id_hash, end).await.unwrap(), None);
    let other = session('b').id_hash;
    assert_eq!(store.held_proof(&other, NOW).await.unwrap(), None);
}

/// Whichever way a session ends, and though another one of the same id is made after it.
pub(super) async fn a_proof_goes_with_its_session(backend: &impl Backend) {
    let store = backend.open().await;
    let session = redirected('a', "name-of-ada", Some("index-1"));
    let (id_hash, end) = (&session.id_hash, NOW + Duration::hours(20));
    for way in 0..5 {
        store.save_session(&session).await.unwrap();
        assert_eq!(store.held_proof(id_hash, NOW).await.unwrap(), None);
        store.hold_proof(id_hash, "sealed", end).await.unwrap();
        match way {
            0 => store.end_session(id_hash).await.unwrap(),
            1 => {
                let ended = store.end_sessions_of("okta", "subject-of-ada").await;
                assert_eq!(ended.unwrap(), 1);
            }
            2 => {
                let now = session.expires_at;
                assert_eq!(store.sweep_sessions(now, NOW).await.unwrap(), 1);
            }
            3 => {
                let idle_since = NOW + Duration::hours(1);
                assert_eq!(store.sweep_sessions(NOW, idle_since).await.unwrap(), 1);
            }
            _ => {
                let ended = store
                    .end_provider_sessions("okta", Some("name-of-ada"), &[])
                    .await;
                assert_eq!(ended.unwrap(), std::slice::from_ref(&session));
            }
        }
        assert_eq!(store.session(id_hash).await.unwrap(), None);
        assert_eq!(
            store.held_proof(id_hash, NOW).await.unwrap(),
            None,
            "way {way}"
        );
    }
}

pub(super) async fn what_a_session_rests_on_is_read_back_and_kept(backend: &impl Backend) {
    let store = backend.open().await;
    let session = redirected('a', "name-of-ada", Some("index-1"));
    store.save_session(&session).await.unwrap();
    assert_eq!(
        store.session(&session.id_hash).await.unwrap(),
        Some(session.clone())
    );
    let mut read_anew = session.identity.clone();
    read_anew.groups.pop();
    read_anew.groups_read_at = NOW + Duration::minutes(5);
    let renewed = store.renew_session(&session.id_hash, &read_anew).await;
    assert!(renewed.unwrap());
    let expected = SignInSession {
        identity: read_anew,
        ..session
    };
    assert_eq!(
        store.sessions_of("okta", "subject-of-ada").await.unwrap(),
        [expected]
    );
}

pub(super) async fn a_provider_ends_the_sessions_that_rest_on_its_own(backend: &impl Backend) {
    let store = backend.open().await;
    let first = redirected('a', "name-of-ada", Some("index-1"));
    let second = redirected('b', "name-of-ada", Some("index-2"));
    let without_index = redirected('c', "name-of-ada", None);
    let of_another = redirected('d', "name-of-bob", Some("index-1"));
    let mut elsewhere = redirected('e', "name-of-ada", Some("index-1"));
    elsewhere.identity.connector = "entra".parse().unwrap();
    for session in [&first, &second, &without_index, &of_another, &elsewhere] {
        store.save_session(session).await.unwrap();
    }
    let hashes = |sessions: &[SignInSession]| -> HashSet<String> {
        sessions.iter().map(|it| it.id_hash.clone()).collect()
    };

    let unknown = ["index-9".to_owned()];
    let ended = store.end_provider_sessions("okta", Some("name-of-bob"), &unknown);
    assert_eq!(ended.await.unwrap(), []);

    let indexes = ["index-1".to_owned(), "index-1".to_owned()];
    let ended = store.end_provider_sessions("okta", Some("name-of-ada"), &indexes);
    let ended = ended.await.unwrap();
    assert_eq!(ended.len(), 2);
    assert_eq!(hashes(&ended), hashes(&[first, without_index]));

    let ended = store.end_provider_sessions("okta", Some("name-of-ada"), &[]);
    assert_eq!(ended.await.unwrap(), [second]);
    for left in [of_another, elsewhere] {
        assert_eq!(store.session(&left.id_hash).await.unwrap(), Some(left));
    }
}

pub(super) async fn documents_are_replaced_and_survive_a_restart(backend: &impl Backend) {
    let store = backend.open().await;
    assert_eq!(store.document("okta").await.unwrap(), None);
    store.keep_document("okta", "<old/>", NOW).await.unwrap();
    store.keep_document("entra", "<other/>", NOW).await.unwrap();
    let later = NOW + Duration::hours(1);
    store.keep_document("okta", "<new/>", later).await.unwrap();
    drop(store);
    let store = backend.open().await;
    assert_eq!(
        store.document("okta").await.unwrap(),
        Some(("<new/>".to_owned(), later))
    );
    assert_eq!(
        store.document("entra").await.unwrap(),
        Some(("<other/>".to_owned(), NOW))
    );
}
