//! Broker tokens and the authorizations they come from.

use rolegate::{
    access::{TokenScope, TokenScopes},
    audit::{Action, AuditEvent, Outcome},
    store::{
        AuditFilter, Authorization, AuthorizationState, BrokerToken, BrokerTokens as _,
        Conversations as _, Device, SignInSession, SignInSessions as _, StoreError, TokenKind,
    },
};
use time::Duration;

use super::{Backend, NOW, Store, ada, read_only_arn, sessions::session};

fn hash(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn scopes() -> TokenScopes {
    TokenScopes::from_iter([TokenScope::Roles, TokenScope::Credentials])
}

fn device(letter: char) -> SignInSession {
    SignInSession {
        expires_at: NOW + Duration::days(20),
        device: Some(Device {
            name: "a laptop".to_owned(),
            scopes: scopes(),
            role: Some(read_only_arn()),
        }),
        ..session(letter)
    }
}

fn token(letter: char, session: char, kind: TokenKind) -> BrokerToken {
    BrokerToken {
        hash: hash(letter),
        session: hash(session),
        kind,
        client: (kind == TokenKind::Refresh).then(|| hash('9')),
        scopes: scopes(),
        created_at: NOW,
        expires_at: NOW + Duration::hours(1),
        used_at: None,
    }
}

fn authorization(letter: char) -> Authorization {
    Authorization {
        hash: hash(letter),
        user_code_hash: Some(hash(letter).replace(letter, "7")),
        client: hash('9'),
        client_name: "a client".to_owned(),
        client_address: "192.0.2.7".to_owned(),
        scopes: scopes(),
        redirect_uri: Some("http://127.0.0.1:4711/oauth/callback".to_owned()),
        code_challenge: Some("c".repeat(43)),
        state: AuthorizationState::Waiting,
        approved_by: None,
        session: None,
        created_at: NOW,
        expires_at: NOW + Duration::minutes(10),
        polled_at: None,
    }
}

fn row(action: Action) -> AuditEvent {
    AuditEvent::new(NOW, action, Outcome::Ok, ada())
}

async fn rows(store: &impl Store, action: Action) -> usize {
    let filter = AuditFilter {
        actions: vec![action],
        limit: 1_000,
        ..AuditFilter::default()
    };
    store.audit_rows(&filter).await.unwrap().len()
}

/// A browser's session `a` agreed to the authorization `1`.
async fn approved(store: &impl Store) {
    store.save_session(&session('a')).await.unwrap();
    let asked = authorization('1');
    store.begin_authorization(&asked, None).await.unwrap();
    let decided = store
        .decide_authorization(
            &asked.hash,
            Some(&session('a').id_hash),
            &row(Action::TokenApprove),
        )
        .await;
    assert!(decided.unwrap());
}

pub(super) async fn a_device_and_its_tokens_are_read_back_as_they_were(backend: &impl Backend) {
    let store = backend.open().await;
    let access = token('1', 'd', TokenKind::Access);
    let refresh = token('2', 'd', TokenKind::Refresh);
    let kept = [access.clone(), refresh.clone()];
    let begun = store
        .begin_device(&device('d'), &kept, &row(Action::TokenIssue))
        .await;
    begun.unwrap();
    drop(store);
    let store = backend.open().await;
    assert_eq!(
        store.session(&hash('d')).await.unwrap(),
        Some(device('d')),
        "after a restart"
    );
    for token in [access, refresh] {
        let found = store.broker_token(&token.hash).await.unwrap();
        assert_eq!(found, Some((token, device('d'))));
    }
    assert_eq!(store.broker_token(&hash('3')).await.unwrap(), None);
    assert_eq!(rows(&store, Action::TokenIssue).await, 1);
}

pub(super) async fn an_authorization_is_read_back_as_it_was(backend: &impl Backend) {
    let store = backend.open().await;
    let mut asked = authorization('1');
    asked.polled_at = Some(NOW);
    let event = row(Action::TokenApprove);
    store
        .begin_authorization(&asked, Some(&event))
        .await
        .unwrap();
    assert_eq!(rows(&store, Action::TokenApprove).await, 1);
    assert_eq!(
        store.authorization(&asked.hash).await.unwrap(),
        Some(asked.clone())
    );
    // Neither the code nor what is typed comes twice.
    let mut same_code = asked.clone();
    same_code.user_code_hash = None;
    let mut same_typed = asked.clone();
    same_typed.hash = hash('2');
    for again in [same_code, same_typed] {
        let error = store.begin_authorization(&again, Some(&event)).await;
        assert!(matches!(error, Err(StoreError::Conflict(_))), "{error:?}");
    }
    assert_eq!(rows(&store, Action::TokenApprove).await, 1);

    let typed = asked.user_code_hash.clone().unwrap();
    let waiting = |at| store.waiting_authorization(&typed, at);
    assert_eq!(waiting(NOW).await.unwrap(), Some(asked.clone()));
    assert_eq!(waiting(asked.expires_at).await.unwrap(), None);
    let later = NOW + Duration::seconds(5);
    store.note_poll(&asked.hash, later).await.unwrap();
    let polled = store.authorization(&asked.hash).await.unwrap().unwrap();
    assert_eq!(polled.polled_at, Some(later));
}

pub(super) async fn an_authorization_is_decided_once_and_in_time(backend: &impl Backend) {
    let store = backend.open().await;
    approved(&store).await;
    let asked = store.authorization(&hash('1')).await.unwrap().unwrap();
    assert_eq!(asked.state, AuthorizationState::Approved);
    assert_eq!(asked.approved_by, Some(hash('a')));
    let event = row(Action::TokenApprove);
    for by in [None, Some(hash('a'))] {
        let again = store
            .decide_authorization(&hash('1'), by.as_deref(), &event)
            .await;
        assert!(!again.unwrap());
    }
    let typed = asked.user_code_hash.unwrap();
    assert_eq!(
        store.waiting_authorization(&typed, NOW).await.unwrap(),
        None
    );

    let mut declined = authorization('2');
    declined.user_code_hash = None;
    store.begin_authorization(&declined, None).await.unwrap();
    let mut late = row(Action::TokenApprove);
    late.at = declined.expires_at;
    let decided = store
        .decide_authorization(&hash('2'), Some(&hash('a')), &late)
        .await;
    assert!(!decided.unwrap());
    let decided = store.decide_authorization(&hash('2'), None, &event).await;
    assert!(decided.unwrap());
    let read = store.authorization(&hash('2')).await.unwrap().unwrap();
    assert_eq!(
        (read.state, read.approved_by),
        (AuthorizationState::Declined, None)
    );
    assert_eq!(rows(&store, Action::TokenApprove).await, 2);
}

pub(super) async fn of_many_who_redeem_a_code_one_gets_the_device(backend: &impl Backend) {
    let (one, other) = (backend.open().await, backend.open().await);
    approved(&one).await;
    let event = row(Action::TokenIssue);
    let letters = ['b', 'c', 'd', 'e', '8', '0'];
    let kept = letters.map(|letter| [token(letter, letter, TokenKind::Access)]);
    let devices = letters.map(device);
    let tries = letters.iter().enumerate().map(|(place, _)| {
        let store = if place % 2 == 0 { &one } else { &other };
        let code = hash('1');
        let (devices, kept, event) = (&devices, &kept, &event);
        async move {
            store
                .redeem_authorization(&code, &devices[place], &kept[place], event)
                .await
                .unwrap()
        }
    });
    let mut won = Vec::new();
    for (letter, is_first) in letters.iter().zip(all(tries).await) {
        if is_first {
            won.push(*letter);
        }
    }
    assert_eq!(won.len(), 1);
    for letter in letters {
        let is_there = one.broker_token(&hash(letter)).await.unwrap().is_some();
        let has_session = one.session(&hash(letter)).await.unwrap().is_some();
        assert_eq!(
            (is_there, has_session),
            (won[0] == letter, won[0] == letter)
        );
    }
    let redeemed = one.authorization(&hash('1')).await.unwrap().unwrap();
    assert_eq!(redeemed.state, AuthorizationState::Redeemed);
    assert_eq!(redeemed.session, Some(hash(won[0])));
    assert_eq!(rows(&one, Action::TokenIssue).await, 1);
}

pub(super) async fn no_device_begins_for_a_browser_that_is_signed_out(backend: &impl Backend) {
    let store = backend.open().await;
    approved(&store).await;
    let ended = store.end_sessions_of("corp", "subject-of-ada").await;
    assert_eq!(ended.unwrap(), 1);
    let event = row(Action::TokenIssue);
    let kept = [token('2', 'd', TokenKind::Access)];
    let redeemed = store
        .redeem_authorization(&hash('1'), &device('d'), &kept, &event)
        .await;
    assert!(!redeemed.unwrap());
    // Nor for a device that stands in a browser's place.
    store.save_session(&device('a')).await.unwrap();
    let redeemed = store
        .redeem_authorization(&hash('1'), &device('d'), &kept, &event)
        .await;
    assert!(!redeemed.unwrap());
    assert_eq!(store.session(&hash('d')).await.unwrap(), None);
    assert_eq!(rows(&store, Action::TokenIssue).await, 0);
}

pub(super) async fn of_many_who_use_a_refresh_token_one_is_the_first(backend: &impl Backend) {
    let (one, other) = (backend.open().await, backend.open().await);
    let refresh = token('1', 'd', TokenKind::Refresh);
    let access = token('2', 'd', TokenKind::Access);
    let begun = one
        .begin_device(
            &device('d'),
            &[refresh.clone(), access],
            &row(Action::TokenIssue),
        )
        .await;
    begun.unwrap();
    let event = row(Action::TokenRefresh);
    let letters = ['3', '4', '5', '6', '7', '8'];
    let followers = letters.map(|letter| [token(letter, 'd', TokenKind::Refresh)]);
    let tries = letters.iter().enumerate().map(|(place, _)| {
        let store = if place % 2 == 0 { &one } else { &other };
        let (used, followers, event) = (&refresh.hash, &followers, &event);
        async move {
            store
                .rotate_token(used, &followers[place], event)
                .await
                .unwrap()
        }
    });
    let won = all(tries).await;
    assert_eq!(won.iter().filter(|is_first| **is_first).count(), 1);
    for (letter, is_first) in letters.iter().zip(won) {
        let found = one.broker_token(&hash(*letter)).await.unwrap();
        assert_eq!(found.is_some(), is_first);
    }
    let (used, _) = one.broker_token(&refresh.hash).await.unwrap().unwrap();
    assert_eq!(used.used_at, Some(NOW));
    assert_eq!(rows(&one, Action::TokenRefresh).await, 1);
    // An access token refreshes nothing.
    let rotated = one.rotate_token(&hash('2'), &[], &event).await;
    assert!(!rotated.unwrap());
}

/// Whichever way the session ends.
pub(super) async fn tokens_go_with_their_session(backend: &impl Backend) {
    let store = backend.open().await;
    let mut ends = device('d');
    ends.provider_session = Some(rolegate::access::ProviderSession {
        name_id: "name-of-ada".to_owned(),
        format: None,
        name_qualifier: None,
        sp_name_qualifier: None,
        session_index: Some("index-1".to_owned()),
    });
    for way in 0..4 {
        let kept = [token('1', 'd', TokenKind::Access)];
        let begun = store
            .begin_device(&ends, &kept, &row(Action::TokenIssue))
            .await;
        begun.unwrap();
        assert!(store.broker_token(&hash('1')).await.unwrap().is_some());
        match way {
            0 => store.end_session(&hash('d')).await.unwrap(),
            1 => {
                let ended = store.end_sessions_of("corp", "subject-of-ada").await;
                assert_eq!(ended.unwrap(), 1);
            }
            2 => {
                let swept = store.sweep_sessions(ends.expires_at, NOW).await;
                assert_eq!(swept.unwrap(), 1);
            }
            _ => {
                let index = ["index-1".to_owned()];
                let ended = store
                    .end_provider_sessions("corp", Some("name-of-ada"), &index)
                    .await;
                assert_eq!(ended.unwrap(), std::slice::from_ref(&ends));
            }
        }
        let left = store.broker_token(&hash('1')).await.unwrap();
        assert_eq!(left, None, "way {way}");
    }
}

pub(super) async fn devices_rest_and_browsers_idle_out(backend: &impl Backend) {
    let store = backend.open().await;
    store.save_session(&session('a')).await.unwrap();
    store.save_session(&device('d')).await.unwrap();
    let later = NOW + Duration::days(19);
    let browser = SignInSession {
        expires_at: later + Duration::DAY,
        ..session('b')
    };
    store.save_session(&browser).await.unwrap();
    let swept = store
        .sweep_sessions(later, later - Duration::hours(8))
        .await;
    assert_eq!(swept.unwrap(), 2);
    assert!(store.session(&hash('d')).await.unwrap().is_some());
}

pub(super) async fn the_sweep_leaves_what_a_second_use_has_to_meet(backend: &impl Backend) {
    let store = backend.open().await;
    approved(&store).await;
    let mut lapsed = authorization('2');
    lapsed.user_code_hash = None;
    store.begin_authorization(&lapsed, None).await.unwrap();
    let kept = [
        token('3', 'd', TokenKind::Access),
        token('4', 'd', TokenKind::Refresh),
    ];
    let event = row(Action::TokenIssue);
    let redeemed = store
        .redeem_authorization(&hash('1'), &device('d'), &kept, &event)
        .await;
    assert!(redeemed.unwrap());
    let event = row(Action::TokenRefresh);
    assert!(store.rotate_token(&hash('4'), &[], &event).await.unwrap());
    let later = NOW + Duration::hours(1);
    assert_eq!(store.sweep_tokens(NOW).await.unwrap(), 0);
    assert_eq!(store.sweep_tokens(later).await.unwrap(), 2);
    assert_eq!(store.broker_token(&hash('3')).await.unwrap(), None);
    assert_eq!(store.authorization(&hash('2')).await.unwrap(), None);
    assert!(store.broker_token(&hash('4')).await.unwrap().is_some());
    assert!(store.authorization(&hash('1')).await.unwrap().is_some());
    store.end_session(&hash('d')).await.unwrap();
    assert_eq!(store.broker_token(&hash('4')).await.unwrap(), None);
    assert_eq!(store.authorization(&hash('1')).await.unwrap(), None);
}

pub(super) async fn only_hashes_and_devices_are_taken(backend: &impl Backend) {
    let store = backend.open().await;
    let event = row(Action::TokenIssue);
    let planted = "rga_planted-token-secret";
    let raw = |token: BrokerToken| {
        [
            BrokerToken {
                hash: planted.to_owned(),
                ..token.clone()
            },
            BrokerToken {
                client: Some(planted.to_owned()),
                ..token
            },
        ]
    };
    for wrong in raw(token('1', 'd', TokenKind::Refresh)) {
        let kept = [wrong];
        let errors = [
            store.begin_device(&device('d'), &kept, &event).await.err(),
            store.rotate_token(&hash('1'), &kept, &event).await.err(),
            store
                .redeem_authorization(&hash('1'), &device('d'), &kept, &event)
                .await
                .err(),
        ];
        for error in errors {
            let error = error.unwrap();
            assert!(matches!(error, StoreError::Conflict(_)), "{error}");
            assert!(!error.to_string().contains(planted));
        }
    }
    let mut asked = authorization('1');
    asked.user_code_hash = Some("BCDFGHJKLM".to_owned());
    assert!(store.begin_authorization(&asked, None).await.is_err());
    // A browser's session has no tokens, and a token no session but its own.
    let kept = [token('1', 'a', TokenKind::Access)];
    assert!(
        store
            .begin_device(&session('a'), &kept, &event)
            .await
            .is_err()
    );
    assert!(
        store
            .begin_device(&device('d'), &kept, &event)
            .await
            .is_err()
    );
    assert_eq!(rows(&store, Action::TokenIssue).await, 0);
}

/// Runs all at once, on this task.
async fn all<T>(tries: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut tries: Vec<_> = tries.map(Box::pin).collect();
    let mut done: Vec<Option<T>> = tries.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (attempt, done) in tries.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = attempt.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
