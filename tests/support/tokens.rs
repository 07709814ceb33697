//! People and clients who ask for broker tokens, without HTTP.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rolegate::{
    broker::{
        AuthorizeOrder, ClientProof, ClientWish, IssuedTokens, SignInSession, TokenOrder,
        TokenRefused,
    },
    store::{KnownPeople as _, SignInSessions as _},
};
use secrecy::SecretString;
use url::Url;

use super::{app::TestApp, editing::client};

/// Where the tests' client listens.
pub const CALLBACK: &str = "http://127.0.0.1:49152/oauth/callback";
/// The tests' PKCE verifier.
pub const VERIFIER: &str = "0123456789-0123456789_0123456789.0123456789~";

/// The challenge of a verifier.
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// What AWS's command line says when it registers.
pub fn wish() -> ClientWish {
    ClientWish {
        name: "botocore-client-corp".to_owned(),
        kind: "public".to_owned(),
        redirect_uris: vec!["http://127.0.0.1/oauth/callback".to_owned()],
        scopes: vec!["sso:account:access".to_owned()],
        grant_types: vec!["authorization_code".to_owned(), "refresh_token".to_owned()],
    }
}

/// A registered client.
pub fn registered(app: &TestApp, wish: &ClientWish) -> ClientProof {
    let registered = app.broker.register_client(wish, &client()).unwrap();
    ClientProof {
        client_id: registered.client_id,
        client_secret: registered.client_secret,
    }
}

/// The newest sign-in session of a sample person's browsers; signs in where there is none.
pub async fn browser_of(app: &TestApp, username: &str) -> SignInSession {
    app.signed_in(username).await;
    let known = app.store.known_people().await.unwrap();
    let person = known
        .iter()
        .find(|known| known.identity.username == username);
    let subject = &person.unwrap().identity.subject;
    let sessions = app.store.sessions_of("corp", subject).await.unwrap();
    sessions
        .into_iter()
        .find(|session| session.device.is_none())
        .unwrap()
}

/// What a client sends a browser with.
pub fn order(proof: &ClientProof) -> AuthorizeOrder {
    AuthorizeOrder {
        response_type: "code".to_owned(),
        client_id: proof.client_id.clone(),
        redirect_uri: CALLBACK.to_owned(),
        state: "state of the client".to_owned(),
        code_challenge: challenge(VERIFIER),
        code_challenge_method: "S256".to_owned(),
        scopes: None,
    }
}

/// A value of an address's query.
pub fn query(url: &Url, name: &str) -> Option<String> {
    url.query_pairs()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// The code that a browser brings when its person agrees.
pub async fn code(app: &TestApp, browser: &SignInSession, proof: &ClientProof) -> String {
    let (order, client) = (order(proof), client());
    let approved = app.broker.approve_code(browser, &order, &client).await;
    query(&approved.unwrap(), "code").unwrap()
}

/// The exchange of a code.
pub fn by_code(code: &str) -> TokenOrder {
    TokenOrder::Code {
        code: code.to_owned().into(),
        redirect_uri: CALLBACK.to_owned(),
        code_verifier: VERIFIER.to_owned().into(),
    }
}

/// The exchange of a refresh token.
pub fn by_refresh(token: &SecretString) -> TokenOrder {
    TokenOrder::Refresh {
        refresh_token: token.clone(),
    }
}

/// An exchange.
pub async fn exchange(
    app: &TestApp,
    proof: &ClientProof,
    order: &TokenOrder,
) -> Result<IssuedTokens, TokenRefused> {
    app.broker.create_token(proof, order, &client()).await
}

/// The tokens of a client to which a person agreed just now.
pub async fn tokens(
    app: &TestApp,
    username: &str,
    wish: &ClientWish,
) -> (ClientProof, IssuedTokens) {
    let browser = browser_of(app, username).await;
    let proof = registered(app, wish);
    let code = code(app, &browser, &proof).await;
    let issued = exchange(app, &proof, &by_code(&code)).await.unwrap();
    (proof, issued)
}
