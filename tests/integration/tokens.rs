//! Broker tokens: who gets them, what they open, and everything that has to be refused.

use std::{net::IpAddr, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use rolegate::{
    access::{TokenScope, TokenScopes},
    audit::Action,
    broker::{
        AuthorizeOrder, AuthorizeRefused, Caller, CallerRefused, CallerWay, Client, ClientProof,
        ClientWish, DeviceRefused, IssuedTokens, MadeToken, NotMade, Presented, RevokeOrder,
        RevokedBy, SignInSession, TokenOrder, TokenRefused, TokenWish, Whom,
    },
    demo::sample,
    store::{Conversations as _, SignInSessions as _},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::support::{
    app::{Options, TestApp},
    company::{Company, READER as CAMPUS_READER, Said},
    editing::client,
    tokens::{
        CALLBACK, VERIFIER, browser_of, by_code, by_refresh, challenge, code, exchange, order,
        query, registered, tokens, wish,
    },
};

const READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";

/// The error that is told, and what has to be wrong for it.
type BreakingOrder = (&'static str, fn(&mut AuthorizeOrder));
/// What is wrong with a registration.
type BreakingWish = fn(&mut ClientWish);

async fn caller(app: &TestApp, token: &SecretString) -> Result<Caller, CallerRefused> {
    let presented = Presented::Bearer {
        token: token.clone(),
        issuer: None,
    };
    app.broker.caller(presented, &client()).await
}

/// What our own command line asks for.
fn own_wish() -> ClientWish {
    let scopes = ["roles", "credentials", "sessions"];
    ClientWish {
        name: "rolegate on a laptop".to_owned(),
        scopes: scopes.map(str::to_owned).to_vec(),
        ..wish()
    }
}

fn device_wish() -> ClientWish {
    ClientWish {
        redirect_uris: Vec::new(),
        grant_types: Vec::new(),
        ..own_wish()
    }
}

fn elsewhere(address: &str) -> Client {
    Client {
        address: address.parse::<IpAddr>().unwrap(),
        ..client()
    }
}

fn is_grant_refused<T>(result: &Result<T, TokenRefused>) -> bool {
    matches!(result, Err(TokenRefused::InvalidGrant(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_a_person_agreed_to_acts_for_them_and_renews_its_tokens() {
    let app = TestApp::start().await;
    let (proof, issued) = tokens(&app, "ada", &wish()).await;
    assert_eq!(issued.expires_in, Duration::from_hours(1));
    assert!(issued.access_token.expose_secret().starts_with("rga_"));
    let found = caller(&app, &issued.access_token).await.unwrap();
    assert_eq!(found.session.identity.username, "ada");
    assert_eq!(found.way, CallerWay::Token);
    assert_eq!(found.role, None);
    assert!(found.may(TokenScope::Aws) && !found.may(TokenScope::Sessions));
    let device = found.session.device.unwrap();
    assert_eq!(device.name, "botocore-client-corp");

    let refresh = issued.refresh_token.unwrap();
    let renewed = exchange(&app, &proof, &by_refresh(&refresh)).await.unwrap();
    assert_ne!(
        renewed.access_token.expose_secret(),
        issued.access_token.expose_secret()
    );
    assert_eq!(renewed.scopes, TokenScopes::from_iter([TokenScope::Aws]));
    for token in [&issued.access_token, &renewed.access_token] {
        assert!(caller(&app, token).await.is_ok(), "the earlier one goes on");
    }
    let listed = app.broker.devices(&found.session.identity).await.unwrap();
    assert_eq!(listed.len(), 1, "still one device");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end_in_time_and_with_their_device() {
    let app = TestApp::start().await;
    let (proof, issued) = tokens(&app, "ada", &wish()).await;
    app.clock.advance(time::Duration::minutes(59));
    assert!(caller(&app, &issued.access_token).await.is_ok());
    app.clock.advance(time::Duration::minutes(1));
    let refused = caller(&app, &issued.access_token).await.unwrap_err();
    assert!(matches!(
        refused,
        CallerRefused::Refused {
            code: "token_expired"
        }
    ));
    // Weeks without a use are no reason to end it; the thirty days are.
    app.clock.advance(time::Duration::days(20));
    app.broker.sweep().await.unwrap();
    let refresh = by_refresh(issued.refresh_token.as_ref().unwrap());
    let renewed = exchange(&app, &proof, &refresh).await.unwrap();
    app.clock
        .advance(time::Duration::days(10) - time::Duration::minutes(61));
    let refresh = by_refresh(renewed.refresh_token.as_ref().unwrap());
    let last = exchange(&app, &proof, &refresh).await.unwrap();
    assert!(last.expires_in <= Duration::from_mins(1), "{last:?}");
    app.clock.advance(time::Duration::minutes(1));
    assert!(caller(&app, &last.access_token).await.is_err());
    let refresh = by_refresh(last.refresh_token.as_ref().unwrap());
    let refused = exchange(&app, &proof, &refresh).await;
    assert!(matches!(refused, Err(TokenRefused::Expired)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_use_of_a_code_or_a_refresh_token_signs_the_device_out() {
    let app = TestApp::start().await;
    let ada = browser_of(&app, "ada").await;
    let proof = registered(&app, &wish());
    let code = code(&app, &ada, &proof).await;
    let issued = exchange(&app, &proof, &by_code(&code)).await.unwrap();
    // The code without the client's secret, or another client with it, ends nothing.
    let stranger = registered(&app, &wish());
    let liar = ClientProof {
        client_secret: stranger.client_secret.clone(),
        ..proof.clone()
    };
    let refused = exchange(&app, &liar, &by_code(&code)).await;
    assert!(matches!(refused, Err(TokenRefused::InvalidClient)));
    assert!(is_grant_refused(
        &exchange(&app, &stranger, &by_code(&code)).await
    ));
    assert!(caller(&app, &issued.access_token).await.is_ok());
    assert!(is_grant_refused(
        &exchange(&app, &proof, &by_code(&code)).await
    ));
    assert!(caller(&app, &issued.access_token).await.is_err());

    let (proof, issued) = tokens(&app, "ada", &wish()).await;
    let first = by_refresh(issued.refresh_token.as_ref().unwrap());
    let renewed = exchange(&app, &proof, &first).await.unwrap();
    assert!(is_grant_refused(&exchange(&app, &stranger, &first).await));
    assert!(caller(&app, &renewed.access_token).await.is_ok());
    assert!(is_grant_refused(&exchange(&app, &proof, &first).await));
    assert!(caller(&app, &renewed.access_token).await.is_err());
    let second = by_refresh(renewed.refresh_token.as_ref().unwrap());
    assert!(is_grant_refused(&exchange(&app, &proof, &second).await));
    let rows = app.audit_rows().await;
    let reused = rows.iter().filter(|row| {
        row.event.action == Action::TokenRefresh && row.event.reason.as_deref() == Some("reused")
    });
    assert_eq!(reused.count(), 2);
    // The browser is another session.
    assert!(app.broker.session(&ada.id_hash).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_bring_one_code_at_once_none_keeps_the_device() {
    let app = TestApp::start().await;
    let ada = browser_of(&app, "ada").await;
    let proof = registered(&app, &wish());
    let code = code(&app, &ada, &proof).await;
    let (first, second) = (by_code(&code), by_code(&code));
    let (one, other) = tokio::join!(
        exchange(&app, &proof, &first),
        exchange(&app, &proof, &second)
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let issued = one.or(other).unwrap();
    assert!(caller(&app, &issued.access_token).await.is_err());
    assert_eq!(app.broker.devices(&ada.identity).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_good_with_its_verifier_and_address_and_for_two_minutes() {
    let app = TestApp::start().await;
    let ada = browser_of(&app, "ada").await;
    let proof = registered(&app, &wish());
    let code = code(&app, &ada, &proof).await;
    let with = |redirect_uri: &str, verifier: &str| TokenOrder::Code {
        code: code.clone().into(),
        redirect_uri: redirect_uri.to_owned(),
        code_verifier: verifier.to_owned().into(),
    };
    let long = "a".repeat(129);
    for verifier in [
        "",
        &challenge(VERIFIER),
        &VERIFIER[..42],
        &long,
        &format!("{VERIFIER} "),
    ] {
        let refused = exchange(&app, &proof, &with(CALLBACK, verifier)).await;
        assert!(is_grant_refused(&refused), "{verifier}: {refused:?}");
    }
    for address in [
        "",
        "http://127.0.0.1/oauth/callback",
        "http://127.0.0.1:1/oauth/callback",
    ] {
        let refused = exchange(&app, &proof, &with(address, VERIFIER)).await;
        assert!(is_grant_refused(&refused), "{address}: {refused:?}");
    }
    // A device code, a refresh token and an access token are no codes, and a code is none of them.
    let by_device = TokenOrder::Device {
        device_code: code.clone().into(),
    };
    for order in [by_device, by_refresh(&code.clone().into())] {
        let refused = exchange(&app, &proof, &order).await;
        assert!(refused.is_err(), "{order:?}");
    }
    app.clock.advance(time::Duration::minutes(2));
    assert!(is_grant_refused(
        &exchange(&app, &proof, &by_code(&code)).await
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_was_signed_out_begins_no_device() {
    let app = TestApp::start().await;
    for way in 0..3 {
        let ada = browser_of(&app, "ada").await;
        let proof = registered(&app, &wish());
        let code = code(&app, &ada, &proof).await;
        match way {
            0 => app.broker.sign_out(&ada, &client()).await.unwrap(),
            1 => {
                let broker = &app.broker;
                let everywhere = broker
                    .sign_out_everywhere(&ada.identity, "asked_by_person", &client())
                    .await;
                everywhere.unwrap();
            }
            _ => app.store.end_session(&ada.id_hash).await.unwrap(),
        }
        let refused = exchange(&app, &proof, &by_code(&code)).await;
        let is_denied = matches!(refused, Err(TokenRefused::AccessDenied(_)));
        assert!(is_denied, "{refused:?}");
        assert_eq!(app.broker.devices(&ada.identity).await.unwrap(), []);
    }
}

/// The error that a client is told, with its state.
fn told(refused: Result<impl std::fmt::Debug, AuthorizeRefused>) -> (String, Option<String>) {
    match refused {
        Err(AuthorizeRefused::Redirect(url)) => {
            assert!(url.as_str().starts_with(CALLBACK));
            (query(&url, "error").unwrap(), query(&url, "state"))
        }
        other => panic!("not told at the client's address: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_whole_is_refused_where_it_came_from() {
    let app = TestApp::start().await;
    let proof = registered(&app, &wish());
    let good = order(&proof);
    assert_eq!(
        app.broker.consent(&good).unwrap().scopes,
        TokenScopes::from_iter([TokenScope::Aws])
    );
    let state = Some(good.state.clone());
    let breakings: [BreakingOrder; 9] = [
        ("unsupported_response_type", |it| {
            it.response_type = "token".to_owned();
        }),
        ("invalid_request", |it| {
            it.code_challenge_method = "plain".to_owned();
        }),
        ("invalid_request", |it| it.code_challenge_method.clear()),
        ("invalid_request", |it| it.code_challenge.clear()),
        ("invalid_request", |it| it.code_challenge.push('A')),
        ("invalid_request", |it| it.code_challenge = "+".repeat(43)),
        ("invalid_scope", |it| it.scopes = Some("roles".to_owned())),
        ("invalid_scope", |it| {
            it.scopes = Some("sso:account:access audit:read".to_owned());
        }),
        ("invalid_scope", |it| {
            it.scopes = Some("everything".to_owned());
        }),
    ];
    for (error, breaking) in breakings {
        let mut broken = good.clone();
        breaking(&mut broken);
        assert_eq!(
            told(app.broker.consent(&broken)),
            (error.to_owned(), state.clone()),
            "{broken:?}"
        );
    }
    for wrong in [String::new(), "x".repeat(1_001)] {
        let broken = AuthorizeOrder {
            state: wrong,
            ..good.clone()
        };
        assert_eq!(
            told(app.broker.consent(&broken)),
            ("invalid_request".to_owned(), None)
        );
    }
    let by_device = registered(
        &app,
        &ClientWish {
            grant_types: vec!["urn:ietf:params:oauth:grant-type:device_code".to_owned()],
            ..wish()
        },
    );
    assert_eq!(
        told(app.broker.consent(&order(&by_device))).0,
        "unauthorized_client"
    );
    let ada = browser_of(&app, "ada").await;
    let declined = app
        .broker
        .decline_code(&ada, &good, &client())
        .await
        .unwrap();
    assert_eq!(query(&declined, "error").as_deref(), Some("access_denied"));
    assert_eq!(query(&declined, "state"), state);
    assert_eq!(query(&declined, "code"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_sent_to_an_address_that_the_client_did_not_register() {
    let app = TestApp::start().await;
    let proof = registered(&app, &wish());
    let ada = browser_of(&app, "ada").await;
    let wrong = [
        "http://127.0.0.1:49152/oauth/callback/",
        "http://127.0.0.1:49152/oauth/callback?x=1",
        "http://127.0.0.1:49152/oauth/callback#x",
        "http://127.0.0.1:49152/elsewhere",
        "http://localhost:49152/oauth/callback",
        "http://127.0.0.1@evil.example/oauth/callback",
        "http://127.0.0.1:80@evil.example/oauth/callback",
        "http://127.0.0.1.evil.example/oauth/callback",
        "https://127.0.0.1/oauth/callback",
        "//127.0.0.1/oauth/callback",
        "javascript:alert(1)",
        "",
    ];
    for address in wrong {
        let order = AuthorizeOrder {
            redirect_uri: address.to_owned(),
            ..order(&proof)
        };
        let refused = app.broker.approve_code(&ada, &order, &client()).await;
        let is_refused = matches!(refused, Err(AuthorizeRefused::NoRedirect(_)));
        assert!(is_refused, "{address}: {refused:?}");
        let refused = app.broker.decline_code(&ada, &order, &client()).await;
        assert!(matches!(refused, Err(AuthorizeRefused::NoRedirect(_))));
    }
    for address in [
        "https://app.example/cb",
        "http://192.0.2.1/cb",
        "myapp://cb",
    ] {
        let wish = ClientWish {
            redirect_uris: vec![address.to_owned()],
            ..wish()
        };
        let refused = app.broker.register_client(&wish, &client());
        assert!(matches!(refused, Err(TokenRefused::InvalidRedirectUri(_))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_says_what_it_may_and_proves_itself() {
    let app = TestApp::start().await;
    let breakings: [BreakingWish; 6] = [
        |it| it.kind = "confidential".to_owned(),
        |it| it.name.clear(),
        |it| it.name = "x".repeat(101),
        |it| it.name.push('\u{202e}'),
        |it| it.grant_types.push("password".to_owned()),
        |it| it.grant_types.extend(it.grant_types.clone()),
    ];
    for breaking in breakings {
        let mut broken = wish();
        breaking(&mut broken);
        let refused = app.broker.register_client(&broken, &client());
        let is_refused = matches!(refused, Err(TokenRefused::InvalidClientMetadata(_)));
        assert!(is_refused, "{broken:?}");
    }
    let mut broken = wish();
    broken.scopes.push("everything".to_owned());
    let refused = app.broker.register_client(&broken, &client());
    assert!(matches!(refused, Err(TokenRefused::InvalidScope(_))));
    let many = ClientWish {
        redirect_uris: vec!["http://127.0.0.1/cb".to_owned(); 6],
        ..wish()
    };
    let refused = app.broker.register_client(&many, &client());
    assert!(matches!(refused, Err(TokenRefused::InvalidRedirectUri(_))));

    let proof = registered(&app, &device_wish());
    let is_known = async |proof: &ClientProof| {
        let started = app.broker.start_device(proof, &client()).await;
        assert!(
            matches!(started, Ok(_) | Err(TokenRefused::InvalidClient)),
            "{started:?}"
        );
        started.is_ok()
    };
    assert!(is_known(&proof).await);
    let text = URL_SAFE_NO_PAD.decode(&proof.client_id).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains(proof.client_secret.expose_secret()));
    let rewritten = |from: &str, to: &str| {
        assert!(text.contains(from), "{text}");
        URL_SAFE_NO_PAD.encode(text.replace(from, to))
    };
    let forged = [
        String::new(),
        "rolegate".to_owned(),
        "A".repeat(10_000),
        rewritten("rolegate on a laptop", "AWS CLI"),
        rewritten("\"roles\"", "\"audit:read\""),
        rewritten("\"grant_types\":[]", "\"grant_types\":[\"refresh_token\"]"),
        rewritten("\"name\"", "\"more\":1,\"name\""),
    ];
    for client_id in forged {
        let forged = ClientProof {
            client_id,
            ..proof.clone()
        };
        assert!(!is_known(&forged).await, "{forged:?}");
    }
    for secret in [
        "",
        "x",
        &format!("{} ", proof.client_secret.expose_secret()),
    ] {
        let forged = ClientProof {
            client_secret: secret.to_owned().into(),
            ..proof.clone()
        };
        assert!(!is_known(&forged).await);
    }
    app.clock
        .advance(time::Duration::days(90) - time::Duration::MINUTE);
    assert!(is_known(&proof).await);
    app.clock.advance(time::Duration::minutes(2));
    assert!(!is_known(&proof).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn refresh_tokens_are_for_those_who_registered_for_them() {
    let app = TestApp::start().await;
    let without = ClientWish {
        grant_types: vec!["authorization_code".to_owned()],
        ..wish()
    };
    let (_, issued) = tokens(&app, "ada", &without).await;
    assert!(issued.refresh_token.is_none());
    let (proof, issued) = tokens(&app, "ada", &wish()).await;
    // An access token renews nothing.
    let wrong = by_refresh(&issued.access_token);
    assert!(is_grant_refused(&exchange(&app, &proof, &wrong).await));
    assert!(caller(&app, &issued.access_token).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_code_lets_the_client_in_that_shows_it() {
    let app = TestApp::start().await;
    let ada = browser_of(&app, "ada").await;
    let proof = registered(&app, &device_wish());
    let far = elsewhere("192.0.2.9");
    let started = app.broker.start_device(&proof, &far).await.unwrap();
    assert_eq!(started.verification_uri, app.url.join("device").unwrap());
    assert_eq!(started.user_code.len(), 11);
    let poll = TokenOrder::Device {
        device_code: started.device_code,
    };
    let polled = exchange(&app, &proof, &poll).await;
    assert!(matches!(polled, Err(TokenRefused::Pending)), "{polled:?}");
    let polled = exchange(&app, &proof, &poll).await;
    assert!(matches!(polled, Err(TokenRefused::SlowDown)), "{polled:?}");
    app.clock.advance(time::Duration::seconds(5));
    let polled = exchange(&app, &proof, &poll).await;
    assert!(matches!(polled, Err(TokenRefused::Pending)), "{polled:?}");

    let typed = started.user_code.to_lowercase().replace('-', " ");
    let broker = &app.broker;
    let asked = broker.device_asked(&ada, &typed, &client()).await.unwrap();
    assert_eq!(asked.client_name, "rolegate on a laptop");
    assert_eq!(asked.client_address, "192.0.2.9");
    assert!(!asked.is_same_address);
    assert!(asked.scopes.contains(TokenScope::Sessions));
    let asked = broker.device_asked(&ada, &typed, &far).await.unwrap();
    assert!(asked.is_same_address);
    broker
        .decide_device(&ada, &typed, true, &client())
        .await
        .unwrap();
    // Nobody decides a second time.
    for agrees in [true, false] {
        let again = broker.decide_device(&ada, &typed, agrees, &client()).await;
        assert!(matches!(again, Err(DeviceRefused::Unknown)), "{again:?}");
    }
    // Another client has the device's code without its own secret.
    let stranger = registered(&app, &device_wish());
    assert!(is_grant_refused(&exchange(&app, &stranger, &poll).await));
    let issued = exchange(&app, &proof, &poll).await.unwrap();
    assert!(issued.refresh_token.is_some());
    let found = caller(&app, &issued.access_token).await.unwrap();
    assert_eq!(found.session.identity.username, "ada");
    // A device agrees to no other.
    let second = broker.start_device(&proof, &client()).await.unwrap();
    let refused = broker
        .decide_device(&found.session, &second.user_code, true, &client())
        .await;
    assert!(matches!(refused, Err(DeviceRefused::Unknown)));
    let refused = broker
        .approve_code(
            &found.session,
            &order(&registered(&app, &wish())),
            &client(),
        )
        .await;
    assert!(matches!(refused, Err(AuthorizeRefused::NoRedirect(_))));
    // And a second exchange ends it.
    assert!(is_grant_refused(&exchange(&app, &proof, &poll).await));
    assert!(caller(&app, &issued.access_token).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_typed_code_is_declined_or_lapses() {
    let app = TestApp::start().await;
    let ada = browser_of(&app, "ada").await;
    let proof = registered(&app, &device_wish());
    let started = app.broker.start_device(&proof, &client()).await.unwrap();
    let declined = app
        .broker
        .decide_device(&ada, &started.user_code, false, &client())
        .await;
    declined.unwrap();
    let poll = TokenOrder::Device {
        device_code: started.device_code,
    };
    let polled = exchange(&app, &proof, &poll).await;
    assert!(matches!(polled, Err(TokenRefused::AccessDenied(_))));

    let started = app.broker.start_device(&proof, &client()).await.unwrap();
    app.clock.advance(time::Duration::minutes(10));
    let late = app
        .broker
        .decide_device(&ada, &started.user_code, true, &client())
        .await;
    assert!(matches!(late, Err(DeviceRefused::Unknown)), "{late:?}");
    let poll = TokenOrder::Device {
        device_code: started.device_code,
    };
    let polled = exchange(&app, &proof, &poll).await;
    assert!(matches!(polled, Err(TokenRefused::Expired)), "{polled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_codes_cannot_be_guessed_and_do_not_lock_others_out() {
    let app = TestApp::start().await;
    let (ada, linus) = (
        browser_of(&app, "ada").await,
        browser_of(&app, "linus").await,
    );
    let proof = registered(&app, &device_wish());
    let started = app.broker.start_device(&proof, &client()).await.unwrap();
    // Codes that are there cost nothing.
    for _ in 0..20 {
        let asked = app
            .broker
            .device_asked(&ada, &started.user_code, &client())
            .await;
        asked.unwrap();
    }
    for _ in 0..6 {
        let wrong = app
            .broker
            .device_asked(&ada, "BCDFG-HJKLM", &client())
            .await;
        assert!(matches!(wrong, Err(DeviceRefused::Unknown)), "{wrong:?}");
    }
    for typed in ["BCDFG-HJKLM", started.user_code.as_str()] {
        let stopped = app.broker.device_asked(&ada, typed, &client()).await;
        let is_stopped = matches!(stopped, Err(DeviceRefused::Throttled { .. }));
        assert!(is_stopped, "{stopped:?}");
    }
    let asked = app
        .broker
        .device_asked(&linus, &started.user_code, &client())
        .await;
    asked.unwrap();
    app.clock.advance(time::Duration::seconds(30));
    let asked = app
        .broker
        .device_asked(&ada, &started.user_code, &client())
        .await;
    asked.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_fill_the_store_with_waiting_devices() {
    let app = TestApp::start().await;
    let proof = registered(&app, &device_wish());
    let mut begun = 0;
    let stopped = loop {
        match app.broker.start_device(&proof, &client()).await {
            Ok(_) => begun += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(stopped, TokenRefused::Throttled { .. }));
    assert_eq!(begun, 199, "beside the registration");
    let other = app
        .broker
        .start_device(&proof, &elsewhere("192.0.2.9"))
        .await;
    assert!(other.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_codes_can_be_switched_off() {
    let app = TestApp::start_overriding(&[("TOKENS__DEVICE_FLOW", "false")]).await;
    let proof = registered(&app, &device_wish());
    let started = app.broker.start_device(&proof, &client()).await;
    assert!(matches!(started, Err(TokenRefused::DeviceFlowOff)));
    let (_, issued) = tokens(&app, "ada", &wish()).await;
    assert!(caller(&app, &issued.access_token).await.is_ok());
}

/// Every way in which access ends at once.
#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_a_person_s_access_ends_their_devices() {
    let app = TestApp::start().await;
    let broker = &app.broker;
    for way in 0..5 {
        let (proof, issued) = tokens(&app, "ada", &own_wish()).await;
        let found = caller(&app, &issued.access_token).await.unwrap();
        let identity = &found.session.identity;
        match way {
            0 => {
                let ended = broker
                    .sign_out_everywhere(identity, "asked_by_person", &client())
                    .await;
                ended.unwrap();
            }
            1 => {
                let order = RevokeOrder {
                    whom: Whom::Person {
                        connector: identity.connector.clone(),
                        subject: identity.subject.clone(),
                    },
                    reason: None,
                };
                let by = RevokedBy::Host(rolegate::audit::Actor::Host { uid: 0 });
                broker.revoke(&order, by, None).await.unwrap();
            }
            2 => {
                let id = &found.session.id_hash;
                let ended = broker.end_own_session(identity, id, &client()).await;
                assert!(ended.unwrap());
            }
            3 => {
                let ended = broker.end_token(&issued.access_token, &client()).await;
                assert!(ended.unwrap());
            }
            _ => {
                app.directory.disable(&sample::person_dn("ada"));
                app.clock.advance(time::Duration::minutes(6));
                let refresh = by_refresh(issued.refresh_token.as_ref().unwrap());
                let refused = exchange(&app, &proof, &refresh).await;
                let is_denied = matches!(refused, Err(TokenRefused::AccessDenied(_)));
                assert!(is_denied, "{refused:?}");
            }
        }
        assert!(caller(&app, &issued.access_token).await.is_err(), "{way}");
        let refresh = by_refresh(issued.refresh_token.as_ref().unwrap());
        assert!(exchange(&app, &proof, &refresh).await.is_err(), "{way}");
        assert_eq!(broker.devices(identity).await.unwrap(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_a_browser_out_leaves_its_devices_and_nobody_else_s_device_can_be_ended() {
    let app = TestApp::start().await;
    let (_, issued) = tokens(&app, "ada", &own_wish()).await;
    let found = caller(&app, &issued.access_token).await.unwrap();
    for session in app
        .broker
        .sign_in_sessions(&found.session.identity)
        .await
        .unwrap()
    {
        if session.device.is_none() {
            app.broker.sign_out(&session, &client()).await.unwrap();
        }
    }
    let linus = browser_of(&app, "linus").await;
    let id = &found.session.id_hash;
    let ended = app
        .broker
        .end_own_session(&linus.identity, id, &client())
        .await;
    assert!(!ended.unwrap());
    assert!(caller(&app, &issued.access_token).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_does_not_answer_keeps_nobody_from_renewing() {
    let app = TestApp::start().await;
    let (proof, issued) = tokens(&app, "ada", &wish()).await;
    app.directory
        .set_fault(Some(rolegate::demo::directory::Fault::CloseConnections));
    app.clock.advance(time::Duration::hours(3));
    let refresh = by_refresh(issued.refresh_token.as_ref().unwrap());
    let renewed = exchange(&app, &proof, &refresh).await.unwrap();
    assert!(caller(&app, &renewed.access_token).await.is_ok());
}

/// Somebody who signed in at a SAML provider, and a client that they agreed to.
async fn campus(company: &Company) -> (SignInSession, ClientProof, IssuedTokens) {
    let said = Said::of("ada", &[CAMPUS_READER]);
    company.signed_in(&said).await;
    let app = &company.app;
    let sessions = app.store.sessions_of("campus", &said.name_id).await;
    let browser = sessions.unwrap().remove(0);
    let proof = registered(app, &wish());
    let code = code(app, &browser, &proof).await;
    let issued = exchange(app, &proof, &by_code(&code)).await.unwrap();
    (browser, proof, issued)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_ends_its_session_ends_the_devices_behind_it() {
    let company = Company::start().await;
    let (browser, _, issued) = campus(&company).await;
    let app = &company.app;
    // The browser goes first, as when somebody signs out here alone.
    app.broker.sign_out(&browser, &client()).await.unwrap();
    assert!(caller(app, &issued.access_token).await.is_ok());
    let provider = browser.provider_session.unwrap();
    let indexes: Vec<String> = provider.session_index.into_iter().collect();
    let ended = app
        .store
        .end_provider_sessions("campus", Some(&provider.name_id), &indexes)
        .await;
    assert_eq!(ended.unwrap().len(), 1);
    assert!(caller(app, &issued.access_token).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_groups_cannot_be_read_again_the_person_has_to_come_back() {
    let company = Company::start().await;
    let (_, proof, issued) = campus(&company).await;
    let app = &company.app;
    app.clock.advance(time::Duration::minutes(50));
    let refresh = by_refresh(issued.refresh_token.as_ref().unwrap());
    let renewed = exchange(app, &proof, &refresh).await.unwrap();
    app.clock.advance(time::Duration::minutes(11));
    let refresh = by_refresh(renewed.refresh_token.as_ref().unwrap());
    let refused = exchange(app, &proof, &refresh).await;
    assert!(is_grant_refused(&refused), "{refused:?}");
    // It is no second use: nothing was signed out.
    assert!(caller(app, &renewed.access_token).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cookie_finds_a_device() {
    let app = TestApp::start().await;
    let (_, issued) = tokens(&app, "ada", &wish()).await;
    let found = caller(&app, &issued.access_token).await.unwrap();
    let id = &found.session.id_hash;
    app.clock.advance(time::Duration::days(2));
    assert_eq!(app.broker.session(id).await.unwrap(), None);
    assert!(app.store.session(id).await.unwrap().is_some(), "it is left");
    app.broker.sweep().await.unwrap();
    assert!(
        app.store.session(id).await.unwrap().is_some(),
        "it may rest"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_access_tokens_are_bearer_tokens() {
    let app = TestApp::start().await;
    let ada = browser_of(&app, "ada").await;
    let proof = registered(&app, &wish());
    let code = code(&app, &ada, &proof).await;
    let started = app
        .broker
        .start_device(&registered(&app, &device_wish()), &client())
        .await;
    let device_code = started.unwrap().device_code;
    assert!(caller(&app, &code.clone().into()).await.is_err());
    assert!(caller(&app, &device_code).await.is_err());
    let issued = exchange(&app, &proof, &by_code(&code)).await.unwrap();
    let refresh = issued.refresh_token.unwrap();
    assert!(caller(&app, &refresh).await.is_err());
    // Not under another prefix either.
    let disguised = refresh.expose_secret().replace("rgr_", "rga_");
    assert!(caller(&app, &disguised.into()).await.is_err());
    assert!(caller(&app, &proof.client_secret).await.is_err());
    // What is none of ours is not signed out.
    let foreign = SecretString::from("aoaAAAAAGVq…a token of AWS's own");
    assert!(!app.broker.end_token(&foreign, &client()).await.unwrap());
    assert!(app.broker.end_token(&refresh, &client()).await.unwrap());
    assert!(caller(&app, &issued.access_token).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_cannot_be_guessed_and_guessing_holds_up_nobody_with_a_good_one() {
    let app = TestApp::start().await;
    let (_, issued) = tokens(&app, "ada", &wish()).await;
    let guess = |number: u32| SecretString::from(format!("rga_{number:043}"));
    for number in 0..60 {
        let refused = caller(&app, &guess(number)).await.unwrap_err();
        let is_refused = matches!(
            refused,
            CallerRefused::Refused {
                code: "invalid_token"
            }
        );
        assert!(is_refused, "{refused:?}");
    }
    let stopped = caller(&app, &guess(60)).await.unwrap_err();
    assert!(matches!(stopped, CallerRefused::Throttled { .. }));
    assert!(caller(&app, &issued.access_token).await.is_ok());
    let rows = app.audit_rows().await;
    let refused = rows
        .iter()
        .filter(|row| row.event.action == Action::TokenRefuse);
    assert_eq!(refused.count(), 60, "a flood does not fill the log");
    // Codes and refresh tokens are counted with them.
    let (proof, order) = (registered(&app, &wish()), by_refresh(&guess(1)));
    let stopped = exchange(&app, &proof, &order).await;
    assert!(matches!(stopped, Err(TokenRefused::Throttled { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_text_than_the_token_is_accepted() {
    let app = TestApp::start().await;
    let (_, issued) = tokens(&app, "ada", &wish()).await;
    let token = issued.access_token.expose_secret().to_owned();
    let near = (any::<prop::sample::Index>(), any::<char>(), 0..4_u8);
    let near = near.prop_map({
        let token = token.clone();
        move |(place, letter, how)| {
            let place = place.index(token.len());
            let mut text: Vec<char> = token.chars().collect();
            match how {
                0 => text[place] = letter,
                1 => text.insert(place, letter),
                2 => text.truncate(place),
                _ => {
                    text[place] = if text[place].is_lowercase() {
                        text[place].to_ascii_uppercase()
                    } else {
                        text[place].to_ascii_lowercase()
                    }
                }
            }
            text.into_iter().collect::<String>()
        }
    });
    let far = prop_oneof![
        "rg[ak]_[A-Za-z0-9_-]{43}",
        "\\PC{0,80}",
        Just(String::new())
    ];
    let texts = prop_oneof![3 => near, 1 => far];
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for _ in 0..500 {
        let text = texts.new_tree(&mut runner).unwrap().current();
        if text != token {
            let found = caller(&app, &text.clone().into()).await;
            assert!(found.is_err(), "{text:?}");
        }
    }
    assert!(caller(&app, &issued.access_token).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_as_good_as_it_is_at_the_form() {
    let app = TestApp::start().await;
    let present = async |username: &str, password: &str| {
        let presented = Presented::Password {
            connector: None,
            username: username.to_owned(),
            password: password.to_owned().into(),
        };
        app.broker.caller(presented, &client()).await
    };
    for name in ["ada", "corp:ada"] {
        let found = present(name, "ada-demo").await.unwrap();
        assert_eq!(found.way, CallerWay::Password);
        assert_eq!(found.session.identity.username, "ada");
        assert!(found.may(TokenScope::Credentials) && !found.may(TokenScope::Sessions));
        assert!(found.session.is_of_one_call());
        let kept = app.broker.sign_in_sessions(&found.session.identity).await;
        assert_eq!(kept.unwrap(), [], "nothing is kept");
    }
    for (name, password) in [
        ("ada", "wrong"),
        ("ada", ""),
        ("nobody", "ada-demo"),
        ("other:ada", "ada-demo"),
        ("locked", "locked-demo"),
    ] {
        let refused = present(name, password).await.unwrap_err();
        let is_refused = matches!(
            refused,
            CallerRefused::Refused {
                code: "invalid_password"
            }
        );
        assert!(is_refused, "{name}: {refused:?}");
    }
    let presented = Presented::Password {
        connector: Some("other".parse().unwrap()),
        username: "ada".to_owned(),
        password: "ada-demo".to_owned().into(),
    };
    let refused = app.broker.caller(presented, &client()).await;
    assert!(matches!(refused, Err(CallerRefused::Unclear(_))));
    for _ in 0..5 {
        present("ada", "wrong").await.unwrap_err();
    }
    let stopped = present("ada", "ada-demo").await.unwrap_err();
    assert!(
        matches!(stopped, CallerRefused::Throttled { .. }),
        "{stopped:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_calls_by_a_password_opens_a_role_with_a_session_that_is_not_kept() {
    let app = TestApp::start().await;
    let presented = Presented::Password {
        connector: None,
        username: "linus".to_owned(),
        password: "linus-demo".to_owned().into(),
    };
    let mut found = app.broker.caller(presented, &client()).await.unwrap();
    let order = rolegate::broker::OpenOrder {
        role: READER.to_owned(),
        ..rolegate::broker::OpenOrder::default()
    };
    let issued = app
        .broker
        .issue_credentials(&mut found.session, &order, None, &client())
        .await;
    assert!(issued.is_ok(), "{:?}", issued.err());
}

fn made_wish(scopes: &str) -> TokenWish {
    TokenWish {
        name: "backup job".to_owned(),
        scopes: scopes.parse().unwrap(),
        role: None,
        lasts: None,
    }
}

async fn make(
    app: &TestApp,
    session: &SignInSession,
    wish: &TokenWish,
) -> Result<MadeToken, NotMade> {
    let mut session = session.clone();
    app.broker.make_token(&mut session, wish, &client()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_made_by_hand_are_limited_listed_and_ended() {
    let app = TestApp::start().await;
    let linus = browser_of(&app, "linus").await;
    for role in [READER, "222233334444/readonly"] {
        let wish = TokenWish {
            role: Some(role.to_owned()),
            lasts: Some(Duration::from_hours(2)),
            ..made_wish("credentials")
        };
        let made = make(&app, &linus, &wish).await.unwrap();
        assert!(made.token.expose_secret().starts_with("rgk_"));
        let found = caller(&app, &made.token).await.unwrap();
        assert_eq!(found.role.unwrap().as_str(), READER);
        assert_eq!(found.scopes, wish.scopes);
        assert_eq!(found.session.device, Some(made.device));
        let apart = made.expires_at - found.session.expires_at;
        assert!(apart < time::Duration::MILLISECOND, "{apart}");
    }
    let listed = app.broker.devices(&linus.identity).await.unwrap();
    assert_eq!(listed.len(), 2);
    app.clock.advance(time::Duration::hours(2));
    app.broker.sweep().await.unwrap();
    assert_eq!(app.broker.devices(&linus.identity).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_made_by_hand_gives_no_more_than_its_maker_has() {
    let app = TestApp::start().await;
    let linus = browser_of(&app, "linus").await;
    let unheld = TokenWish {
        role: Some("arn:aws:iam::111122223333:role/Administrator".to_owned()),
        ..made_wish("credentials")
    };
    let refused = make(&app, &linus, &unheld).await;
    assert!(matches!(refused, Err(NotMade::NotEntitled(Some(_)))));
    let unknown = TokenWish {
        role: Some("nothing".to_owned()),
        ..made_wish("credentials")
    };
    let refused = make(&app, &linus, &unknown).await;
    assert!(matches!(refused, Err(NotMade::NotEntitled(None))));
    let long = Some(Duration::from_hours(24 * 31));
    let wishes = [
        made_wish(""),
        TokenWish {
            name: " ".to_owned(),
            ..made_wish("roles")
        },
        TokenWish {
            name: "x".repeat(101),
            ..made_wish("roles")
        },
        TokenWish {
            lasts: long,
            ..made_wish("roles")
        },
        TokenWish {
            lasts: Some(Duration::ZERO),
            ..made_wish("roles")
        },
    ];
    for wish in wishes {
        let refused = make(&app, &linus, &wish).await;
        assert!(matches!(refused, Err(NotMade::Unfit(_))), "{refused:?}");
    }

    // A device makes tokens within its own scopes, and none that outlives it.
    let (_, issued) = tokens(&app, "linus", &own_wish()).await;
    let device = caller(&app, &issued.access_token).await.unwrap().session;
    app.clock.advance(time::Duration::days(29));
    let refused = make(&app, &device, &made_wish("roles audit:read")).await;
    assert!(matches!(refused, Err(NotMade::Unfit(_))), "{refused:?}");
    let two_days = TokenWish {
        lasts: Some(Duration::from_hours(48)),
        ..made_wish("sessions")
    };
    let refused = make(&app, &device, &two_days).await;
    assert!(matches!(refused, Err(NotMade::Unfit(_))), "{refused:?}");
    let limited = TokenWish {
        role: Some(READER.to_owned()),
        ..made_wish("sessions credentials")
    };
    let made = make(&app, &device, &limited).await.unwrap();
    assert_eq!(made.expires_at, device.expires_at);
    // One that is limited to a role makes none that is not.
    let limited = caller(&app, &made.token).await.unwrap().session;
    let refused = make(&app, &limited, &made_wish("credentials")).await;
    assert!(matches!(refused, Err(NotMade::Unfit(_))), "{refused:?}");
    // Without the scope there is none at all.
    let (_, issued) = tokens(&app, "linus", &wish()).await;
    let device = caller(&app, &issued.access_token).await.unwrap().session;
    let refused = make(&app, &device, &made_wish("sso:account:access")).await;
    assert!(matches!(refused, Err(NotMade::Unfit(_))), "{refused:?}");
    // Nor for whoever was signed out meanwhile.
    app.store.end_session(&linus.id_hash).await.unwrap();
    let refused = make(&app, &linus, &made_wish("roles")).await;
    assert!(matches!(refused, Err(NotMade::Unfit(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_kept_anywhere() {
    let mut app = TestApp::start().await;
    let ada = browser_of(&app, "ada").await;
    let proof = registered(&app, &wish());
    let code = code(&app, &ada, &proof).await;
    let issued = exchange(&app, &proof, &by_code(&code)).await.unwrap();
    let by_device = registered(&app, &device_wish());
    let started = app
        .broker
        .start_device(&by_device, &client())
        .await
        .unwrap();
    let decided = app
        .broker
        .decide_device(&ada, &started.user_code, true, &client())
        .await;
    decided.unwrap();
    let made = make(&app, &ada, &made_wish("roles")).await.unwrap();
    let guessed = SecretString::from(format!("rga_{:043}", 7));
    assert!(caller(&app, &guessed).await.is_err());
    let refresh = by_refresh(issued.refresh_token.as_ref().unwrap());
    let renewed = exchange(&app, &proof, &refresh).await.unwrap();
    assert!(is_grant_refused(&exchange(&app, &proof, &refresh).await));
    let debug = format!("{issued:?} {renewed:?} {made:?} {started:?} {proof:?} {refresh:?}");
    let rows = serde_json::to_string(&app.audit_rows().await).unwrap();
    app.shut_down().await;
    app.store.close().await;
    let mut kept = Vec::new();
    for file in std::fs::read_dir(app.dir.path()).unwrap() {
        kept.extend(std::fs::read(file.unwrap().path()).unwrap());
    }
    let plain = started.user_code.replace('-', "");
    let secrets = [
        &code,
        VERIFIER,
        &plain,
        started.user_code.as_str(),
        started.device_code.expose_secret(),
        proof.client_secret.expose_secret(),
        by_device.client_secret.expose_secret(),
        issued.access_token.expose_secret(),
        issued.refresh_token.as_ref().unwrap().expose_secret(),
        renewed.access_token.expose_secret(),
        made.token.expose_secret(),
        guessed.expose_secret(),
    ];
    for secret in secrets {
        let is_kept = kept
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(!is_kept, "{secret} is in a file");
        assert!(!rows.contains(secret), "{secret} is in the audit log");
        // What is typed is shown to people; the client shows it itself.
        let is_shown = secret == started.user_code;
        assert!(is_shown || !debug.contains(secret), "{secret} is in Debug");
    }
    assert!(
        kept.windows(19).any(|part| part == b"botocore-client-cor"),
        "the files were read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_go_on_after_a_restart() {
    let mut app = TestApp::start_with(Options::default()).await;
    let (proof, issued) = tokens(&app, "ada", &wish()).await;
    app.restart().await;
    assert!(caller(&app, &issued.access_token).await.is_ok());
    let refresh = by_refresh(issued.refresh_token.as_ref().unwrap());
    assert!(exchange(&app, &proof, &refresh).await.is_ok());
}
