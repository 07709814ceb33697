//! What the issuer can vouch for in a second, beside the bare signatures that it cannot do without.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use openssl::{
    ec::{EcGroup, EcKey},
    md::Md,
    nid::Nid,
    pkey::{Id, PKey, Private},
    pkey_ctx::PkeyCtx,
    rsa::{Padding, Rsa},
    x509::X509,
};
use rolegate::{
    access::{
        Abilities, Conditions, Grant, GrantMethod, Group, GroupKey, Mapping, MappingId, Origin,
        Policy, PolicySettings, PolicyTables, Request, Role, RoleDefaults, Voucher,
    },
    aws::issuer::{Issuer, Settings, keys, signer::FileSigner},
    clock::{Clock as _, SystemClock},
};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::{
    crowd,
    report::{judged, median, told},
};

const ROUNDS: usize = 9;
/// How long one of them takes its turn.
const TURN: Duration = Duration::from_millis(400);
/// The goal of the assertions; tokens have none.
const GOAL: f64 = 0.7;

pub async fn measure() {
    let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let curve = PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap();
    let issuer = issuer(&rsa, &curve);
    let recipient: Url = "https://signin.aws.amazon.com/saml".parse().unwrap();
    let with_saml = grant(GrantMethod::AssumeRoleWithSaml);
    let with_token = grant(GrantMethod::AssumeRoleWithWebIdentity);

    let (mut minted, mut bare) = (Vec::new(), Vec::new());
    let (mut tokens, mut bare_of_tokens) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let rates = (
            rate(async || drop(issuer.assertion(&with_saml, &recipient).await.unwrap())).await,
            bare_rate(&rsa).await,
            rate(async || drop(issuer.token(&with_token).await.unwrap())).await,
            bare_rate(&curve).await,
        );
        // The first round warms all of them up.
        if round > 0 {
            minted.push(rates.0);
            bare.push(rates.1);
            tokens.push(rates.2);
            bare_of_tokens.push(rates.3);
        }
    }
    let (ratio, value) = compared(&minted, &bare);
    judged(
        "Assertions minted : bare RSA-2048 signatures, one core",
        &value,
        ">= 0.7",
        ratio >= GOAL,
    );
    let (_, value) = compared(&tokens, &bare_of_tokens);
    told(
        "Tokens minted : bare ECDSA P-256 signatures, one core",
        &value,
    );
    let response = issuer.assertion(&with_saml, &recipient).await.unwrap();
    let size = response.response.expose_secret().len();
    told("  a minted response, base64", &format!("{size} bytes"));
}

fn compared(ours: &[f64], theirs: &[f64]) -> (f64, String) {
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours / theirs;
    let value = format!("{ratio:.2} ({ours:.0}/s against {theirs:.0}/s)");
    (ratio, value)
}

/// How often in a second, on this thread alone.
async fn rate(mut once: impl AsyncFnMut()) -> f64 {
    let started = Instant::now();
    let mut count = 0_u32;
    while started.elapsed() < TURN {
        once().await;
        count += 1;
    }
    f64::from(count) / started.elapsed().as_secs_f64()
}

/// Signatures of a hash that is there already, by a context that is set up once.
async fn bare_rate(key: &PKey<Private>) -> f64 {
    let mut context = PkeyCtx::new(key).unwrap();
    context.sign_init().unwrap();
    if key.id() == Id::RSA {
        context.set_rsa_padding(Padding::PKCS1).unwrap();
    }
    context.set_signature_md(Md::sha256()).unwrap();
    let mut signature = vec![0; 512];
    rate(async || {
        let length = context.sign(&[7; 32], Some(&mut signature)).unwrap();
        assert!(length > 0);
    })
    .await
}

fn issuer(rsa: &PKey<Private>, curve: &PKey<Private>) -> Issuer {
    let now = SystemClock.now();
    let new = keys::new_saml_key(None, now, 365).unwrap();
    let saml_key = PKey::private_key_from_pem(&new.key_pem).unwrap();
    assert_eq!(saml_key.bits(), rsa.bits(), "both sign with as many bits");
    let certificate = X509::from_pem(&new.certificate_pem.unwrap()).unwrap();
    let settings = Settings {
        url: "https://aws.example.com".parse().unwrap(),
        sign_in_url: "https://aws.example.com".parse().unwrap(),
        token_audience: "sts.amazonaws.com".to_owned(),
        lifetime: Duration::from_mins(5),
        sign_response: false,
        saml_keys: vec![Arc::new(
            FileSigner::new(saml_key, Some(&certificate)).unwrap(),
        )],
        oidc_keys: vec![Arc::new(FileSigner::new(curve.clone(), None).unwrap())],
    };
    Issuer::new(settings, Arc::new(SystemClock)).unwrap()
}

/// A grant with all that an assertion can carry, as a table gives it to somebody.
fn grant(method: GrantMethod) -> Grant {
    let now = SystemClock.now();
    let group = Group {
        key: GroupKey::from_stored("corp:aws-users".to_owned()),
        name: "aws-users".to_owned(),
        stable_id: None,
        through: None,
    };
    let identity = crowd::person(1, vec![group.clone()], now);
    let tags = [("team", "payments"), ("cost-center", "4711")];
    let role = Role {
        owner: None,
        arn: "arn:aws:iam::111122223333:role/team/ReadOnly"
            .parse()
            .unwrap(),
        description: None,
        own: RoleDefaults {
            grant_method: Some(method),
            vouched_by: Some(Voucher::Issuer),
            source_identity: Some("{username}".parse().unwrap()),
            ..RoleDefaults::default()
        },
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: tags
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
        protected: false,
        disabled: false,
    };
    let mapping = Mapping {
        id: MappingId("m-1".to_owned()),
        group: group.key,
        role: role.arn.clone(),
        conditions: Conditions::default(),
        ticket: None,
        origin: Origin::Store,
    };
    let target = role.arn.clone();
    let tables = PolicyTables {
        version: 1,
        roles: vec![role],
        mappings: vec![mapping],
        ..PolicyTables::default()
    };
    let settings = PolicySettings {
        issuer: Abilities {
            saml: true,
            oidc: true,
        },
        ..PolicySettings::default()
    };
    Policy::new(tables, settings)
        .authorize(&identity, &target, &Request::console(), now)
        .expect("the person is entitled")
}
