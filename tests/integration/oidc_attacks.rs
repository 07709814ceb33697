//! Answers and tokens of OpenID Connect providers as nobody honest sends them: each is refused,
//! leaves one audit row with its code, and signs nobody in.

use openssl::rsa::Rsa;
use rolegate::identity::oidc::refusal::Reason;
use serde_json::{Map, Value, json};
use time::Duration;

use crate::support::{
    app::Options,
    cookie_browser::{Answer, CookieBrowser},
    openid::{Begun, Hand, Keys, PuppetStage, Reply, base64url},
};

/// An answer in the making, honest until a case changes it.
struct Draft {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    hand: Hand,
    /// Instead of the token that header, claims and hand make.
    token: Option<String>,
    /// Instead of the whole answer of the token endpoint.
    reply: Option<Reply>,
    /// What the browser brings back.
    query: Vec<(String, String)>,
    /// The provider's RSA key, which anybody can fetch.
    public_key: Rsa<openssl::pkey::Public>,
}

impl Draft {
    fn new(stage: &PuppetStage, begun: &Begun) -> Self {
        let code = format!("planted-code-{}", begun.state());
        let query = [
            ("state", begun.state()),
            ("code", &code),
            ("iss", &stage.provider.issuer),
        ];
        let rsa = stage.provider.keys.rsa.rsa().unwrap();
        let part = |number: &openssl::bn::BigNumRef| number.to_owned().unwrap();
        Self {
            header: object(json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" })),
            claims: stage.claims(begun),
            hand: Hand::Provider,
            token: None,
            reply: None,
            query: query
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            public_key: Rsa::from_public_components(part(rsa.n()), part(rsa.e())).unwrap(),
        }
    }

    fn claim(&mut self, name: &str, value: impl Into<Value>) {
        self.claims.insert(name.to_owned(), value.into());
    }

    fn without(&mut self, name: &str) {
        self.claims.remove(name);
    }

    fn head(&mut self, name: &str, value: impl Into<Value>) {
        self.header.insert(name.to_owned(), value.into());
    }

    fn parameter(&mut self, name: &str, value: &str) {
        match self.query.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => value.clone_into(known),
            None => self.query.push((name.to_owned(), value.to_owned())),
        }
    }

    fn without_parameter(&mut self, name: &str) {
        self.query.retain(|(known, _)| known != name);
    }

    fn later(&mut self, name: &str, seconds: i64) {
        let at = self.claims["iat"].as_i64().unwrap() + seconds;
        self.claim(name, at);
    }

    fn signed(&self, keys: &Keys) -> String {
        let (header, payload) = (json!(self.header), json!(self.claims).to_string());
        keys.sign(&header, &payload, &self.hand)
    }

    /// Hands the token out and comes back for it.
    async fn play(self, stage: &PuppetStage, browser: &mut CookieBrowser) -> Answer {
        let signed = self.signed(&stage.provider.keys);
        stage.hand_out(self.token.as_ref().unwrap_or(&signed));
        if let Some(reply) = self.reply {
            stage.provider.script().token = reply;
        }
        let query: Vec<(&str, &str)> = self
            .query
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        stage.come_back(browser, &query).await
    }
}

fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else {
        panic!("{value} is no object");
    };
    members
}

struct Case {
    name: &'static str,
    code: &'static str,
    change: fn(&mut Draft, &Keys),
}

const fn case(name: &'static str, code: &'static str, change: fn(&mut Draft, &Keys)) -> Case {
    Case { name, code, change }
}

/// What the browser brings back.
const ANSWERS: &[Case] = &[
    case(
        "another issuer answers",
        "oidc_response_issuer",
        |draft, _| {
            draft.parameter("iss", "https://evil.example");
        },
    ),
    case(
        "nobody says who answers",
        "oidc_response_issuer",
        |draft, _| {
            draft.without_parameter("iss");
        },
    ),
    case(
        "another issuer says no",
        "oidc_response_issuer",
        |draft, _| {
            draft.without_parameter("code");
            draft.parameter("error", "access_denied");
            draft.parameter("iss", "https://evil.example");
        },
    ),
    case("no state", "oidc_state", |draft, _| {
        draft.without_parameter("state");
    }),
    case(
        "a state that nobody knows",
        "unknown_request",
        |draft, _| {
            draft.parameter("state", &"0f".repeat(20));
        },
    ),
    case("a state that is no id", "unknown_request", |draft, _| {
        draft.parameter("state", "../../' OR 1=1 --");
    }),
    case("the code twice", "oidc_response", |draft, _| {
        draft.query.push(("code".to_owned(), "another".to_owned()));
    }),
    case("neither code nor error", "oidc_response", |draft, _| {
        draft.without_parameter("code");
    }),
    case("both code and error", "oidc_response", |draft, _| {
        draft.parameter("error", "access_denied");
    }),
    case("access denied", "oidc_access_denied", |draft, _| {
        draft.without_parameter("code");
        draft.parameter("error", "access_denied");
    }),
    case("login required", "oidc_login_required", |draft, _| {
        draft.without_parameter("code");
        draft.parameter("error", "login_required");
    }),
    case(
        "an error of the provider",
        "oidc_provider_error",
        |draft, _| {
            draft.without_parameter("code");
            draft.parameter("error", "server_error");
        },
    ),
];

/// How the ID token is signed.
const SIGNATURES: &[Case] = &[
    case("alg none", "oidc_algorithm", |draft, _| {
        draft.head("alg", "none");
        draft.hand = Hand::Nobody;
    }),
    case("alg None without a kid", "oidc_algorithm", |draft, _| {
        draft.header = object(json!({ "alg": "None" }));
        draft.hand = Hand::Nobody;
    }),
    case("no alg", "oidc_algorithm", |draft, _| {
        draft.header = object(json!({ "kid": "k1" }));
    }),
    case(
        "HS256 with the public key as PEM",
        "oidc_algorithm",
        |draft, _| {
            draft.head("alg", "HS256");
            draft.hand = Hand::Secret(draft.public_key.public_key_to_pem().unwrap());
        },
    ),
    case(
        "HS256 with the public key as DER",
        "oidc_algorithm",
        |draft, _| {
            draft.head("alg", "HS256");
            draft.hand = Hand::Secret(draft.public_key.public_key_to_der().unwrap());
        },
    ),
    case(
        "HS256 with the client's secret",
        "oidc_algorithm",
        |draft, _| {
            draft.header = object(json!({ "alg": "HS256" }));
            draft.hand = Hand::Secret(b"planted-client-secret".to_vec());
        },
    ),
    case("HS256 with nothing", "oidc_algorithm", |draft, _| {
        draft.head("alg", "HS256");
        draft.hand = Hand::Secret(Vec::new());
    }),
    case(
        "ES256 with the name of an RSA key",
        "oidc_signature",
        |draft, _| {
            draft.head("alg", "ES256");
            draft.hand = Hand::P256;
        },
    ),
    case(
        "RS256 that calls itself ES384",
        "oidc_signature",
        |draft, _| {
            draft.head("alg", "ES384");
            draft.head("kid", "p384");
        },
    ),
    case(
        "PS256 that calls itself RS256",
        "oidc_signature",
        |draft, keys| {
            draft.head("alg", "PS256");
            let signed = draft.signed(keys);
            let (_, rest) = signed.split_once('.').unwrap();
            draft.head("alg", "RS256");
            let header = base64url(json!(draft.header).to_string());
            draft.token = Some(format!("{header}.{rest}"));
        },
    ),
    case("a stranger's key", "oidc_signature", |draft, _| {
        draft.hand = Hand::Stranger;
    }),
    case(
        "a stranger's key without a kid",
        "oidc_signature",
        |draft, _| {
            draft.header = object(json!({ "alg": "RS256" }));
            draft.hand = Hand::Stranger;
        },
    ),
    case(
        "a stranger's key that comes along",
        "oidc_signature",
        |draft, keys| {
            draft.head("jwk", Keys::jwk(&keys.stranger, "k1"));
            draft.hand = Hand::Stranger;
        },
    ),
    case(
        "a stranger's key that is named",
        "oidc_unknown_key",
        |draft, keys| {
            draft.head("jwk", Keys::jwk(&keys.stranger, "mine"));
            draft.head("kid", "mine");
            draft.hand = Hand::Stranger;
        },
    ),
    case(
        "addresses of a stranger's key",
        "oidc_signature",
        |draft, _| {
            draft.head("jku", "https://evil.example/keys");
            draft.head("x5u", "https://evil.example/certificate");
            draft.head("x5c", json!(["MIIB"]));
            draft.hand = Hand::Stranger;
        },
    ),
    case("a key that nobody knows", "oidc_unknown_key", |draft, _| {
        draft.head("kid", "k2");
    }),
    case("a key that is a path", "oidc_unknown_key", |draft, _| {
        draft.head("kid", "../../../../dev/null");
    }),
    case("a key that is SQL", "oidc_unknown_key", |draft, _| {
        draft.head("kid", "k1' UNION SELECT 'x' --");
    }),
    case(
        "a key's name that is very long",
        "oidc_unknown_key",
        |draft, _| {
            draft.head("kid", "k".repeat(10_000));
        },
    ),
    case("a key's name that is no text", "oidc_claim", |draft, _| {
        draft.head("kid", json!(["k1"]));
    }),
    case(
        "something that has to be understood",
        "oidc_header",
        |draft, _| {
            draft.head("crit", json!(["b64"]));
            draft.head("b64", false);
        },
    ),
    case("an access token", "oidc_header", |draft, _| {
        draft.head("typ", "at+jwt");
    }),
    case("a logout token", "oidc_header", |draft, _| {
        draft.head("typ", "logout+jwt");
    }),
    case(
        "a payload that was changed",
        "oidc_signature",
        |draft, keys| {
            let signed = draft.signed(keys);
            draft.claim("preferred_username", "admin");
            let payload = base64url(json!(draft.claims).to_string());
            let mut parts = signed.split('.');
            let (header, signature) = (parts.next().unwrap(), parts.nth(1).unwrap());
            draft.token = Some(format!("{header}.{payload}.{signature}"));
        },
    ),
    case(
        "a signature that was taken away",
        "oidc_signature",
        |draft, _| {
            draft.hand = Hand::Nobody;
        },
    ),
    case("two parts", "oidc_malformed", |draft, keys| {
        let signed = draft.signed(keys);
        draft.token = Some(signed.rsplit_once('.').unwrap().0.to_owned());
    }),
    case("four parts", "oidc_malformed", |draft, keys| {
        draft.token = Some(format!("{}.x", draft.signed(keys)));
    }),
    case("blanks around it", "oidc_malformed", |draft, keys| {
        draft.token = Some(format!(" {} ", draft.signed(keys)));
    }),
    case("an empty token", "oidc_malformed", |draft, _| {
        draft.token = Some(String::new());
    }),
    case("a token of 200 kB", "oidc_malformed", |draft, _| {
        draft.claim("padding", "x".repeat(200_000));
    }),
    case(
        "a member of the payload twice",
        "oidc_duplicate_key",
        |draft, keys| {
            let payload = json!(draft.claims).to_string();
            let payload = payload.replacen('{', r#"{"sub":"5f0e-admin","#, 1);
            let header = json!(draft.header);
            draft.token = Some(keys.sign(&header, &payload, &Hand::Provider));
        },
    ),
    case(
        "a member deep down twice",
        "oidc_duplicate_key",
        |draft, keys| {
            let payload = json!(draft.claims).to_string();
            let payload = payload.replacen('{', r#"{"x":[{"a":1,"a":1}],"#, 1);
            let header = json!(draft.header);
            draft.token = Some(keys.sign(&header, &payload, &Hand::Provider));
        },
    ),
    case(
        "a member of the header twice",
        "oidc_duplicate_key",
        |draft, keys| {
            let payload = json!(draft.claims).to_string();
            let header = r#"{"alg":"none","alg":"RS256","kid":"k1"}"#;
            draft.token = Some(keys.sign_text(header, &payload, &Hand::Provider));
        },
    ),
    case(
        "a payload that is a list",
        "oidc_malformed",
        |draft, keys| {
            let header = json!(draft.header);
            draft.token = Some(keys.sign(&header, "[]", &Hand::Provider));
        },
    ),
];

/// What the ID token says.
const CLAIMS: &[Case] = &[
    case("another issuer", "oidc_issuer", |draft, _| {
        draft.claim("iss", "https://evil.example");
    }),
    case("the issuer with a slash", "oidc_issuer", |draft, _| {
        let issuer = format!("{}/", draft.claims["iss"].as_str().unwrap());
        draft.claim("iss", issuer);
    }),
    case("no issuer", "oidc_issuer", |draft, _| draft.without("iss")),
    case("another audience", "oidc_audience", |draft, _| {
        draft.claim("aud", "another");
    }),
    case("no audience", "oidc_audience", |draft, _| {
        draft.without("aud");
    }),
    case(
        "an audience that begins like ours",
        "oidc_audience",
        |draft, _| {
            draft.claim("aud", "rolegate-2");
        },
    ),
    case("two audiences", "oidc_audience", |draft, _| {
        draft.claim("aud", json!(["rolegate", "another"]));
    }),
    case(
        "two audiences, for the other",
        "oidc_authorized_party",
        |draft, _| {
            draft.claim("aud", json!(["rolegate", "another"]));
            draft.claim("azp", "another");
        },
    ),
    case(
        "issued to another client",
        "oidc_authorized_party",
        |draft, _| {
            draft.claim("azp", "another");
        },
    ),
    case("ended", "oidc_expired", |draft, _| draft.later("exp", -61)),
    case(
        "ended at the beginning of time",
        "oidc_expired",
        |draft, _| {
            draft.claim("exp", -377_705_116_800_i64);
        },
    ),
    case("an end beyond all time", "oidc_claim", |draft, _| {
        draft.claim("exp", 1e300);
    }),
    case("an end that is a text", "oidc_claim", |draft, _| {
        draft.claim("exp", "2099-01-01");
    }),
    case("no end", "oidc_missing_claim", |draft, _| {
        draft.without("exp");
    }),
    case("not valid yet", "oidc_not_yet_valid", |draft, _| {
        draft.later("nbf", 61);
    }),
    case("issued in the future", "oidc_not_yet_valid", |draft, _| {
        draft.later("iat", 61);
    }),
    case("never issued", "oidc_missing_claim", |draft, _| {
        draft.without("iat");
    }),
    case("another nonce", "oidc_nonce", |draft, _| {
        draft.claim("nonce", "another");
    }),
    case("no nonce", "oidc_nonce", |draft, _| draft.without("nonce")),
    case("no subject", "oidc_subject", |draft, _| {
        draft.without("sub");
    }),
    case("an empty subject", "oidc_subject", |draft, _| {
        draft.claim("sub", "");
    }),
    case("a subject of 256 characters", "oidc_subject", |draft, _| {
        draft.claim("sub", "x".repeat(256));
    }),
    case("a subject with a line end", "oidc_subject", |draft, _| {
        draft.claim("sub", "a\nb");
    }),
    case(
        "a subject with a blank behind",
        "oidc_subject",
        |draft, _| draft.claim("sub", "a "),
    ),
    case("a subject that is a number", "oidc_claim", |draft, _| {
        draft.claim("sub", 7);
    }),
    case(
        "another access token",
        "oidc_access_token_hash",
        |draft, _| {
            draft.claim("at_hash", "MTIzNDU2Nzg5MDEyMzQ1Ng");
        },
    ),
    case(
        "authenticated long ago",
        "oidc_authentication_age",
        |draft, _| {
            draft.later("auth_time", -3_661);
        },
    ),
    case(
        "authenticated nobody says when",
        "oidc_authentication_age",
        |draft, _| {
            draft.without("auth_time");
        },
    ),
    case("a logout token's event", "oidc_header", |draft, _| {
        let event = "http://schemas.openid.net/event/backchannel-logout";
        draft.claim("events", json!({ event: {} }));
    }),
    case("no user name", "oidc_missing_claim", |draft, _| {
        draft.without("preferred_username");
    }),
    case("a blank user name", "oidc_missing_claim", |draft, _| {
        draft.claim("preferred_username", "  ");
    }),
    case("a user name that is a list", "oidc_claim", |draft, _| {
        draft.claim("preferred_username", json!(["ada"]));
    }),
    case("a user name with a NUL", "oidc_claim", |draft, _| {
        draft.claim("preferred_username", "a\0b");
    }),
    case("a group that is a number", "oidc_claim", |draft, _| {
        draft.claim("groups", json!(["a", 7]));
    }),
    case("groups that are an object", "oidc_claim", |draft, _| {
        draft.claim("groups", json!({ "a": true }));
    }),
    case("a group with a line end", "oidc_claim", |draft, _| {
        draft.claim("groups", "a\nb");
    }),
    case("groups that are elsewhere", "groups_overage", |draft, _| {
        draft.without("groups");
        draft.claim("_claim_names", json!({ "groups": "src1" }));
        draft.claim(
            "_claim_sources",
            json!({ "src1": { "endpoint": "https://graph.example" } }),
        );
    }),
    case("groups that are too many", "groups_overage", |draft, _| {
        draft.without("groups");
        draft.claim("hasgroups", true);
    }),
];

/// What the token endpoint answers.
const EXCHANGES: &[Case] = &[
    case("the code is refused", "oidc_code_refused", |draft, _| {
        draft.reply = Some(Reply::Json(400, json!({ "error": "invalid_grant" })));
    }),
    case("we are not known", "provider_misconfigured", |draft, _| {
        draft.reply = Some(Reply::Json(401, json!({ "error": "invalid_client" })));
    }),
    case("it fails", "oidc_token_response", |draft, _| {
        draft.reply = Some(Reply::Json(500, json!("oops")));
    }),
    case("no ID token", "oidc_token_response", |draft, _| {
        let answer = json!({ "access_token": "planted-access-token", "token_type": "Bearer" });
        draft.reply = Some(Reply::Json(200, answer));
    }),
    case("no bearer token", "oidc_token_response", |draft, keys| {
        let id_token = draft.signed(keys);
        let answer = json!({ "access_token": "a", "token_type": "mac", "id_token": id_token });
        draft.reply = Some(Reply::Json(200, answer));
    }),
    case(
        "the ID token twice",
        "oidc_token_response",
        |draft, keys| {
            let id_token = draft.signed(keys);
            draft.reply = Some(Reply::Text(format!(
                r#"{{"access_token":"a","token_type":"Bearer","id_token":"{id_token}","id_token":"x"}}"#
            )));
        },
    ),
    case("no JSON", "oidc_token_response", |draft, _| {
        draft.reply = Some(Reply::Text("<html>planted-page</html>".to_owned()));
    }),
    case("another address", "oidc_token_response", |draft, _| {
        draft.reply = Some(Reply::Redirect("/elsewhere".to_owned()));
    }),
    case("a megabyte", "provider_unavailable", |draft, _| {
        draft.reply = Some(Reply::Bytes(1_048_576));
    }),
    case("silence", "provider_unavailable", |draft, _| {
        draft.reply = Some(Reply::Silence);
    }),
];

/// Longer than this, nobody may have been authenticated.
const CONNECTOR: &str = "longest_authentication_age = \"1h\"";

async fn assert_refused(cases: &[Case]) {
    let stage = PuppetStage::start(CONNECTOR, Options::default()).await;
    for case in cases {
        let mut browser = stage.app.browser();
        let begun = stage.begin(&mut browser).await;
        let nonce = begun.nonce().to_owned();
        let mut draft = Draft::new(&stage, &begun);
        (case.change)(&mut draft, &stage.provider.keys);
        let rows = stage.app.audit_rows().await.len();
        let answer = draft.play(&stage, &mut browser).await;
        let name = case.name;
        let rows = stage.app.audit_rows().await.len() - rows;
        assert_eq!(
            rows, 1,
            "{name} leaves {rows} rows: {} {}",
            answer.status, answer.body
        );
        let event = stage.app.last_audit_event().await;
        assert_eq!(event["reason"], case.code, "{name}: {event:#}");
        assert_eq!(event["action"], "sign_in", "{name}");
        let failed = case.code.starts_with("provider_");
        assert_eq!(
            event["outcome"],
            if failed { "failed" } else { "refused" },
            "{name}"
        );
        assert_eq!(answer.status, if failed { 503 } else { 403 }, "{name}");
        assert!(
            !answer.body.contains(case.code),
            "{name}: the page tells the reason"
        );
        for secret in ["planted", &nonce] {
            assert!(!event.to_string().contains(secret), "{name}: {event:#}");
            assert!(!answer.body.contains(secret), "{name}: {}", answer.body);
        }
        let picker = browser.get("/").await;
        assert!(
            picker.location().starts_with("/login"),
            "{name}: somebody is signed in"
        );
        // New keys may be looked for with each.
        stage.app.clock.advance(Duration::minutes(2));
    }
    assert!(
        stage.provider.script().paths.is_empty(),
        "we went elsewhere"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_belong_to_no_sign_in_or_to_another_provider_are_refused() {
    assert_refused(ANSWERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_no_key_of_the_provider_signed_are_refused() {
    assert_refused(SIGNATURES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_say_the_wrong_thing_are_refused() {
    assert_refused(CLAIMS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_endpoint_that_misbehaves_signs_nobody_in() {
    assert_refused(EXCHANGES).await;
}

#[test]
fn every_code_of_an_answer_is_in_the_document() {
    let document = include_str!("../../docs/oidc.md");
    for reason in Reason::ALL {
        let code = format!("`{}`", reason.code());
        assert!(document.contains(&code), "docs/oidc.md lacks {code}");
    }
}

/// What is honest, and odd.
#[tokio::test(flavor = "multi_thread")]
async fn what_honest_providers_send_is_taken() {
    const HONEST: &[Case] = &[
        case("as it comes", "", |_, _| {}),
        case("by PS384", "", |draft, _| draft.head("alg", "PS384")),
        case("by RS512", "", |draft, _| draft.head("alg", "RS512")),
        case("by ES256", "", |draft, _| {
            draft.head("alg", "ES256");
            draft.head("kid", "p256");
            draft.hand = Hand::P256;
        }),
        case("by ES384", "", |draft, _| {
            draft.head("alg", "ES384");
            draft.head("kid", "p384");
            draft.hand = Hand::P384;
        }),
        case("by EdDSA", "", |draft, _| {
            draft.head("alg", "EdDSA");
            draft.head("kid", "ed");
            draft.hand = Hand::Ed25519;
        }),
        case("without a kid", "", |draft, _| {
            draft.header = object(json!({ "alg": "RS256" }));
        }),
        case("with keys that are ignored", "", |draft, keys| {
            draft.head("jwk", Keys::jwk(&keys.stranger, "k1"));
            draft.head("jku", "https://evil.example/keys");
        }),
        case("of a clock that is behind", "", |draft, _| {
            draft.later("exp", -30);
        }),
        case("of a clock that is ahead", "", |draft, _| {
            draft.later("nbf", 30);
            draft.later("iat", 30);
        }),
        case("to the end of time", "", |draft, _| {
            draft.claim("exp", 253_402_300_799_i64);
        }),
        case("for others too, to us", "", |draft, _| {
            draft.claim("aud", json!(["rolegate", "another"]));
            draft.claim("azp", "rolegate");
        }),
        case("with the access token's hash", "", |draft, _| {
            let hash = openssl::sha::sha256(b"planted-access-token");
            draft.claim("at_hash", base64url(&hash[..16]));
        }),
        case("with one group", "", |draft, _| {
            draft.claim("groups", "payments-dev");
        }),
        case("with many groups", "", |draft, _| {
            let groups: Vec<String> = (0..300).map(|n| format!("group {n}")).collect();
            draft.claim("groups", groups);
        }),
        case("without groups", "", |draft, _| draft.without("groups")),
        case("with null groups", "", |draft, _| {
            draft.claim("groups", Value::Null);
        }),
    ];
    let stage = PuppetStage::start(CONNECTOR, Options::default()).await;
    for case in HONEST {
        let mut browser = stage.app.browser();
        let begun = stage.begin(&mut browser).await;
        let mut draft = Draft::new(&stage, &begun);
        (case.change)(&mut draft, &stage.provider.keys);
        let answer = draft.play(&stage, &mut browser).await;
        let event = stage.app.last_audit_event().await;
        assert_eq!(answer.status, 303, "{}: {event:#}", case.name);
        assert_eq!(event["outcome"], "ok", "{}: {event:#}", case.name);
        assert_eq!(browser.get("/").await.status, 200, "{}", case.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_ends_once_in_the_browser_that_began_it_and_in_time() {
    let stage = PuppetStage::start("", Options::default()).await;
    let reason = async || stage.app.last_audit_event().await["reason"].clone();
    let mut browser = stage.app.browser();

    // Another browser neither ends it nor spends it.
    let begun = stage.begin(&mut browser).await;
    stage.hand_out(&stage.sign(&stage.claims(&begun)));
    let mut stranger = stage.app.browser();
    let answer = stage.come_back_well(&mut stranger, &begun).await;
    assert_eq!(
        (answer.status, reason().await),
        (403, json!("other_browser"))
    );
    assert!(answer.body.contains("This sign-in was begun elsewhere"));
    assert!(
        stage.provider.script().asked.is_empty(),
        "the code was exchanged"
    );

    // Nor does another attempt of the same browser.
    let second = stage.begin(&mut browser).await;
    stage.hand_out(&stage.sign(&stage.claims(&begun)));
    let answer = stage.come_back_well(&mut browser, &second).await;
    assert_eq!((answer.status, reason().await), (403, json!("oidc_nonce")));

    assert_eq!(stage.come_back_well(&mut browser, &begun).await.status, 303);
    let answer = stage.come_back_well(&mut browser, &begun).await;
    assert_eq!(
        (answer.status, reason().await),
        (403, json!("unknown_request"))
    );

    // A code that was used, in a new attempt.
    let third = stage.begin(&mut browser).await;
    stage.hand_out(&stage.sign(&stage.claims(&third)));
    let code = format!("planted-code-{}", begun.state());
    let issuer = stage.provider.issuer.clone();
    let parameters = [("state", third.state()), ("code", &code), ("iss", &issuer)];
    let answer = stage.come_back(&mut browser, &parameters).await;
    assert_eq!((answer.status, reason().await), (403, json!("replayed")));

    let late = stage.begin(&mut browser).await;
    stage.app.clock.advance(Duration::minutes(11));
    stage.hand_out(&stage.sign(&stage.claims(&late)));
    let answer = stage.come_back_well(&mut browser, &late).await;
    assert_eq!(
        (answer.status, reason().await),
        (403, json!("request_expired"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_goes_with_its_verifier_and_the_secret_to_the_token_endpoint_alone() {
    let stage = PuppetStage::start("", Options::default()).await;
    let mut browser = stage.app.browser();
    let begun = stage.begin(&mut browser).await;
    assert_eq!(begun.sent["response_type"], "code");
    assert_eq!(begun.sent["code_challenge_method"], "S256");
    assert_eq!(begun.sent["scope"], "openid profile email");
    assert_eq!(begun.state().len(), 40);
    stage.hand_out(&stage.sign(&stage.claims(&begun)));
    assert_eq!(stage.come_back_well(&mut browser, &begun).await.status, 303);
    let (authorization, form) = stage.provider.script().asked[0].clone();
    let hash = openssl::sha::sha256(form["code_verifier"].as_bytes());
    assert_eq!(begun.sent["code_challenge"], base64url(hash));
    assert!(authorization.starts_with("Basic "), "{authorization}");
    assert!(!form.contains_key("client_secret"));
    assert_eq!(form["redirect_uri"], begun.sent["redirect_uri"]);
    assert!(!begun.url.as_str().contains("planted"));

    let posting =
        PuppetStage::start("token_auth = \"client_secret_post\"", Options::default()).await;
    assert_eq!(
        posting
            .sign_in(&mut posting.app.browser(), |_| {})
            .await
            .status,
        303
    );
    let (authorization, form) = posting.provider.script().asked[0].clone();
    assert_eq!(authorization, "");
    assert_eq!(form["client_secret"], "planted-client-secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn userinfo_is_believed_about_the_same_person_alone() {
    let stage = PuppetStage::start("userinfo = true", Options::default()).await;
    let info = json!({ "sub": "5f0e-ada", "preferred_username": "ada", "groups": ["readers"] });
    let bare = |claims: &mut Map<String, Value>| {
        claims.remove("preferred_username");
        claims.remove("groups");
    };
    stage.provider.script().userinfo = Reply::Json(200, info);
    let answer = stage.sign_in(&mut stage.app.browser(), bare).await;
    let event = stage.app.last_audit_event().await;
    assert_eq!(
        (answer.status, &event["details"]["groups"]),
        (303, &json!(1)),
        "{event:#}"
    );

    for (reply, code) in [
        (
            Reply::Json(
                200,
                json!({ "sub": "5f0e-eve", "preferred_username": "ada" }),
            ),
            "oidc_userinfo",
        ),
        (
            Reply::Json(200, json!({ "preferred_username": "ada" })),
            "oidc_userinfo",
        ),
        (Reply::Json(401, json!({})), "oidc_userinfo"),
        (Reply::Text("planted".to_owned()), "oidc_malformed"),
        (
            Reply::Text(r#"{"sub":"5f0e-eve","sub":"5f0e-ada"}"#.to_owned()),
            "oidc_duplicate_key",
        ),
        (Reply::Redirect("/elsewhere".to_owned()), "oidc_userinfo"),
        (Reply::Bytes(1_048_576), "provider_unavailable"),
    ] {
        stage.provider.script().userinfo = reply.clone();
        let mut browser = stage.app.browser();
        stage.sign_in(&mut browser, bare).await;
        let event = stage.app.last_audit_event().await;
        assert_eq!(event["reason"], code, "{reply:?}: {event:#}");
        assert!(browser.get("/").await.location().starts_with("/login"));
    }
    assert!(stage.provider.script().paths.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_calls_itself_something_else_is_not_used() {
    for (name, value) in [
        ("issuer", json!("https://evil.example")),
        ("token_endpoint", json!("http://evil.example/token")),
        ("token_endpoint", Value::Null),
        ("jwks_uri", json!("http://192.0.2.1/keys")),
        ("authorization_endpoint", json!("ftp://127.0.0.1/")),
        ("jwks_uri", json!("https://user:password@evil.example/")),
    ] {
        let provider = crate::support::openid::Puppet::start().await;
        provider
            .script()
            .discovery
            .insert(name.to_owned(), value.clone());
        let stage = PuppetStage::start_with(provider, "", Options::default()).await;
        let mut browser = stage.app.browser();
        browser.get("/login").await;
        let answer = browser.post("/login/idp", &[]).await;
        assert_eq!(answer.status, 503, "{name} {value}");
        let event = stage.app.last_audit_event().await;
        assert_eq!(
            event["reason"], "provider_unavailable",
            "{name} {value}: {event:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_keys_do_not_make_us_ask_for_keys_again_and_again() {
    let stage = PuppetStage::start("", Options::default()).await;
    let mut browser = stage.app.browser();
    assert_eq!(stage.sign_in(&mut browser, |_| {}).await.status, 303);
    stage.app.clock.advance(Duration::minutes(2));
    let before = stage.provider.script().key_fetches;
    for _ in 0..5 {
        let begun = stage.begin(&mut browser).await;
        let mut draft = Draft::new(&stage, &begun);
        draft.head("kid", "nobody's");
        assert_eq!(draft.play(&stage, &mut browser).await.status, 403);
    }
    assert_eq!(stage.provider.script().key_fetches - before, 1);
}
