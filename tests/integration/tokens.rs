//! Broker tokens: who gets them, what they open, and everything that has to be refused.

use std::time::Duration;

use rolegate::{
    access::{TokenScope, TokenScopes},
    broker::{Caller, CallerRefused, CallerWay, Presented},
};
use secrecy::{ExposeSecret as _, SecretString};

use crate::support::{
    app::TestApp,
    editing::client,
    tokens::{by_refresh, exchange, tokens, wish},
};

async fn caller(app: &TestApp, token: &SecretString) -> Result<Caller, CallerRefused> {
    let presented = Presented::Bearer {
        token: token.clone(),
        issuer: None,
    };
    app.broker.caller(presented, &client()).await
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
}
