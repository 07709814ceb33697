//! What the issuer vouches for, as verified by programs that nobody here wrote.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::nid::Nid;
use rolegate::{
    access::{
        AUDIT_TAG, Abilities, AuthenticationMethod, Conditions, ConnectorId, Grant, GrantMethod,
        Group, GroupKey, GroupKeyForm, Identity, Mapping, MappingId, NameTemplate, Origin, Policy,
        PolicySettings, PolicyTables, Request, Role, RoleDefaults, SessionDuration, TargetArn,
        Voucher,
    },
    aws::{
        Cause,
        issuer::{
            Issuer, IssuerError, MintedAssertion, Settings,
            signer::{Algorithm, FileSigner, Signer},
            subject::subject_pattern,
        },
    },
    clock::{Clock, FixedClock, SystemClock},
    identity::saml::{
        provider_metadata::ProviderMetadata,
        verify::{Expectations, Solicited, Trust, Verified, verify},
    },
};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};
use url::Url;

use crate::support::{
    app::{Options, TestApp},
    saml::keys::KeyPair,
    temporary_dir,
    verifiers::{self, JwtVerdict, SamlCase, SamlVerdict},
};

const TARGET: &str = "arn:aws:iam::111122223333:role/team/ReadOnly";
const RECIPIENT: &str = "https://signin.aws.amazon.com/saml";
const ATTRIBUTES: &str = "https://aws.amazon.com/SAML/Attributes/";
const NAME: &str = "https://aws.example.com";

/// A person, a role and what is asked for.
struct Wish {
    target: &'static str,
    method: GrantMethod,
    subject: String,
    username: String,
    tags: BTreeMap<String, String>,
    source_identity: bool,
    expires: Option<OffsetDateTime>,
    now: OffsetDateTime,
}

impl Wish {
    fn plain(method: GrantMethod) -> Self {
        Self {
            target: TARGET,
            method,
            subject: "6f9619ff-8b86-d011".to_owned(),
            username: "ada".to_owned(),
            tags: BTreeMap::new(),
            source_identity: false,
            expires: None,
            now: SystemClock.now(),
        }
    }

    fn full(method: GrantMethod) -> Self {
        Self {
            tags: [("team".to_owned(), "payments".to_owned())].into(),
            source_identity: true,
            ..Self::plain(method)
        }
    }

    /// The only way to a grant: a table that gives the role to a group that the person is in. The
    /// table takes no tag that AWS would not, so the audit log's own carries what is hostile.
    fn granted(&self) -> Grant {
        let mut tags = self.tags.clone();
        let witnessed = tags.remove(AUDIT_TAG);
        let connector: ConnectorId = "corp".parse().unwrap();
        let key = GroupKey::new(&connector, "aws-users", GroupKeyForm::Exact).unwrap();
        let identity = Identity {
            connector,
            subject: self.subject.clone(),
            username: self.username.clone(),
            display_name: None,
            email: None,
            entry_dn: None,
            groups: vec![Group {
                key: key.clone(),
                name: "aws-users".to_owned(),
                stable_id: None,
                through: None,
            }],
            groups_read_at: self.now,
            authenticated_at: self.now,
            method: AuthenticationMethod::Password,
            authentication_context: None,
            asserted_roles: Vec::new(),
        };
        let template = || "{username}".parse::<NameTemplate>().unwrap();
        let role = Role {
            owner: None,
            arn: self.target.parse().unwrap(),
            description: None,
            own: RoleDefaults {
                grant_method: Some(self.method),
                vouched_by: Some(Voucher::Issuer),
                max_duration: Some(SessionDuration::LONGEST),
                source_identity: self.source_identity.then(template),
                audit_tag: Some(witnessed.is_some()),
                ..RoleDefaults::default()
            },
            session_policy: None,
            policy_arns: Vec::new(),
            session_tags: tags,
            protected: false,
            disabled: false,
        };
        let mapping = Mapping {
            id: MappingId("m-1".to_owned()),
            group: key,
            role: role.arn.clone(),
            conditions: Conditions {
                expires: self.expires,
                ..Conditions::default()
            },
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
            session_name: template(),
            issuer: Abilities {
                saml: true,
                oidc: true,
            },
            ..PolicySettings::default()
        };
        let mut grant = Policy::new(tables, settings)
            .authorize(&identity, &target, &Request::console(), self.now)
            .expect("the person is entitled");
        if let Some(witnessed) = witnessed {
            grant.witness(witnessed);
        }
        grant
    }
}

fn signer(pair: &KeyPair, with_certificate: bool) -> Arc<dyn Signer> {
    let certificate = with_certificate.then_some(&*pair.certificate);
    Arc::new(FileSigner::new(pair.key.clone(), certificate).unwrap())
}

fn settings(saml: &[&KeyPair], oidc: &[&KeyPair]) -> Settings {
    Settings {
        url: NAME.parse().unwrap(),
        sign_in_url: NAME.parse().unwrap(),
        token_audience: "sts.amazonaws.com".to_owned(),
        lifetime: Duration::from_mins(5),
        sign_response: false,
        saml_keys: saml.iter().map(|pair| signer(pair, true)).collect(),
        oidc_keys: oidc.iter().map(|pair| signer(pair, false)).collect(),
    }
}

pub(super) fn issuer(saml: &[&KeyPair], oidc: &[&KeyPair]) -> Issuer {
    Issuer::new(settings(saml, oidc), Arc::new(SystemClock)).unwrap()
}

/// An issuer whose clock stands still.
fn issuer_at(now: OffsetDateTime, pair: &KeyPair) -> Issuer {
    Issuer::new(settings(&[pair], &[pair]), Arc::new(FixedClock::new(now))).unwrap()
}

async fn assertion(issuer: &Issuer, wish: &Wish) -> Result<MintedAssertion, IssuerError> {
    let recipient: Url = RECIPIENT.parse().unwrap();
    issuer.assertion(&wish.granted(), &recipient).await
}

fn xml(minted: &MintedAssertion) -> String {
    let bytes = STANDARD.decode(minted.response.expose_secret()).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn case(issuer: &Issuer, responses: &[&MintedAssertion]) -> SamlCase {
    SamlCase {
        metadata: issuer.saml_metadata().unwrap(),
        entity_id: issuer.entity_id().to_owned(),
        recipient: RECIPIENT.to_owned(),
        audience: "urn:amazon:webservices".to_owned(),
        response_is_signed: false,
        responses: responses
            .iter()
            .map(|minted| minted.response.expose_secret().to_owned())
            .collect(),
    }
}

/// What Rolegate as a service provider makes of a response of Rolegate as an identity provider.
fn our_verdict(metadata: &str, audience: &str, xml: &str, now: OffsetDateTime) -> Verified {
    let provider = ProviderMetadata::parse(metadata, None).expect("our metadata");
    let trust = Trust {
        entity_id: provider.entity_id,
        certificates: provider.certificates,
    };
    let expected = Expectations {
        audiences: vec![audience.to_owned()],
        acs_url: RECIPIENT.to_owned(),
        in_response_to: Solicited::Not,
        decryption_keys: Vec::new(),
        require_encryption: false,
        allow_cbc: false,
        clock_skew: Duration::ZERO,
        longest_authentication_age: None,
        authn_contexts: Vec::new(),
        allow_sha1: false,
        check_destination: true,
    };
    verify(xml.as_bytes(), &trust, &expected, now).expect("our own response is accepted")
}

fn said(verified: Verified) -> SamlVerdict {
    let attributes = verified.attributes.into_iter();
    SamlVerdict::Says {
        name_id: verified.name_id.value,
        attributes: attributes
            .map(|attribute| (attribute.name, attribute.values))
            .collect(),
    }
}

/// What a wish has to become, whoever reads it.
fn expected(wish: &Wish, name_id: &str) -> SamlVerdict {
    let grant = wish.granted();
    let provider = "arn:aws:iam::111122223333:saml-provider/rolegate";
    let mut attributes = BTreeMap::from([
        ("Role".to_owned(), format!("{},{provider}", wish.target)),
        (
            "RoleSessionName".to_owned(),
            grant.session_name().as_str().to_owned(),
        ),
        ("SessionDuration".to_owned(), "43200".to_owned()),
    ]);
    if let Some(name) = grant.source_identity() {
        attributes.insert("SourceIdentity".to_owned(), name.as_str().to_owned());
    }
    for (key, value) in &wish.tags {
        attributes.insert(format!("PrincipalTag:{key}"), value.clone());
    }
    SamlVerdict::Says {
        name_id: name_id.to_owned(),
        attributes: attributes
            .into_iter()
            .map(|(name, value)| (format!("{ATTRIBUTES}{name}"), vec![value]))
            .collect(),
    }
}

#[tokio::test]
async fn every_verifier_reads_the_same_of_an_assertion() {
    let pair = KeyPair::rsa("issuer", 1);
    for sign_response in [false, true] {
        let settings = Settings {
            sign_response,
            ..settings(&[&pair], &[])
        };
        let issuer = Issuer::new(settings, Arc::new(SystemClock)).unwrap();
        let wish = Wish::full(GrantMethod::AssumeRoleWithSaml);
        let minted = assertion(&issuer, &wish).await.unwrap();
        let expected = expected(&wish, "corp:6f9619ff-8b86-d011");

        let mut case = case(&issuer, &[&minted]);
        case.response_is_signed = sign_response;
        assert_eq!(
            verifiers::python3_saml(&case),
            std::slice::from_ref(&expected)
        );
        assert_eq!(verifiers::node_saml(&case), std::slice::from_ref(&expected));
        let text = xml(&minted);
        assert_eq!(verifiers::xmlsec1(text.as_bytes(), &pair.der()), Ok(()));
        let ours = our_verdict(&case.metadata, &case.audience, &text, SystemClock.now());
        assert_eq!(ours.assertion_id, minted.id);
        assert_eq!(said(ours), expected);
        let signatures = text.matches("<ds:SignatureValue>").count();
        assert_eq!(signatures, 1 + usize::from(sign_response));
    }
}

#[tokio::test]
async fn a_changed_or_foreign_assertion_is_refused_by_all() {
    let (pair, stranger) = (KeyPair::rsa("issuer", 1), KeyPair::rsa("issuer", 1));
    let honest = issuer(&[&pair], &[]);
    let forged = issuer(&[&stranger], &[]);
    let wish = Wish::full(GrantMethod::AssumeRoleWithSaml);
    let minted = assertion(&honest, &wish).await.unwrap();
    let foreign = assertion(&forged, &wish).await.unwrap();
    let changed = xml(&minted).replace("role/team/ReadOnly,", "role/team/Admin,");
    assert!(verifiers::xmlsec1(changed.as_bytes(), &pair.der()).is_err());
    assert!(verifiers::xmlsec1(xml(&foreign).as_bytes(), &pair.der()).is_err());

    let mut case = case(&honest, &[&foreign]);
    case.responses.push(STANDARD.encode(changed));
    for verdicts in [verifiers::python3_saml(&case), verifiers::node_saml(&case)] {
        assert_eq!(verdicts.len(), 2);
        for verdict in verdicts {
            assert!(
                matches!(verdict, SamlVerdict::Refused { .. }),
                "{verdict:?}"
            );
        }
    }
}

/// Texts that mean something to XML, to policies, or to whoever looks at them.
const HOSTILE: [&str; 14] = [
    "<saml2:Attribute Name=\"x\">",
    "</saml2:AttributeValue><saml2:AttributeValue>admin",
    "a&b &amp; &#60; &evil;",
    "]]>",
    "<![CDATA[x]]>",
    "<!-- x -->",
    "\"quoted\" 'twice'",
    "line\nline",
    "carriage\r\nreturn",
    "tab\there",
    "𐍈🜁 four bytes",
    "\u{202E}right to left\u{202C}",
    "\u{FEFF}mark",
    "arn:aws:iam::111122223333:role/Admin,arn:aws:iam::111122223333:saml-provider/x",
];

#[tokio::test]
async fn hostile_names_and_tags_change_nothing_but_their_own_value() {
    let pair = KeyPair::rsa("issuer", 1);
    let issuer = issuer(&[&pair], &[&pair]);
    let mut wishes = Vec::new();
    for hostile in HOSTILE {
        wishes.push(Wish {
            tags: [(AUDIT_TAG.to_owned(), hostile.to_owned())].into(),
            ..Wish::plain(GrantMethod::AssumeRoleWithSaml)
        });
        wishes.push(Wish {
            subject: hostile.to_owned(),
            username: hostile.to_owned(),
            ..Wish::full(GrantMethod::AssumeRoleWithSaml)
        });
    }
    let mut minted = Vec::new();
    let mut expected_verdicts = Vec::new();
    let mut name_ids = HashSet::new();
    for wish in &wishes {
        let one = assertion(&issuer, wish).await.unwrap();
        let text = xml(&one);
        let ours = our_verdict(
            &issuer.saml_metadata().unwrap(),
            "urn:amazon:webservices",
            &text,
            SystemClock.now(),
        );
        let name_id = ours.name_id.value.clone();
        assert!(
            name_id.starts_with("corp:") && name_id.is_ascii(),
            "{name_id}"
        );
        name_ids.insert(name_id.clone());
        let expected = expected(wish, &name_id);
        assert_eq!(said(ours), expected, "{text}");
        assert_eq!(verifiers::xmlsec1(text.as_bytes(), &pair.der()), Ok(()));
        minted.push(one);
        expected_verdicts.push(expected);
    }
    // The plain one and each hostile one.
    assert_eq!(name_ids.len(), HOSTILE.len() + 1);
    let case = case(&issuer, &minted.iter().collect::<Vec<_>>());
    assert_eq!(verifiers::python3_saml(&case), expected_verdicts);
    assert_eq!(verifiers::node_saml(&case), expected_verdicts);
}

#[tokio::test]
async fn what_no_document_can_hold_is_refused_with_its_name() {
    let pair = KeyPair::rsa("issuer", 1);
    let issuer = issuer(&[&pair], &[&pair]);
    for hostile in ["nul\0", "escape\u{1B}[31m", "\u{FFFE}", "\u{FFFF}", "\u{8}"] {
        for method in [
            GrantMethod::AssumeRoleWithSaml,
            GrantMethod::AssumeRoleWithWebIdentity,
        ] {
            let wish = Wish {
                tags: [(AUDIT_TAG.to_owned(), hostile.to_owned())].into(),
                ..Wish::plain(method)
            };
            let refused = match method {
                GrantMethod::AssumeRoleWithSaml => assertion(&issuer, &wish).await.map(|_| ()),
                _ => issuer.token(&wish.granted()).await.map(|_| ()),
            };
            let error = refused.expect_err(hostile);
            let told = error.to_string();
            assert!(
                told.starts_with("session_tags cannot be vouched for: it has the character \\u{"),
                "{told}"
            );
        }
        // Subjects are never refused: they are hashed before they get there.
        let wish = Wish {
            subject: hostile.to_owned(),
            ..Wish::plain(GrantMethod::AssumeRoleWithSaml)
        };
        assertion(&issuer, &wish).await.unwrap();
    }
}

#[tokio::test]
async fn no_assertion_is_made_in_which_another_role_could_be_read() {
    let pair = KeyPair::rsa("issuer", 1);
    let issuer = issuer_at(SystemClock.now(), &pair);
    for target in [
        "arn:aws:iam::111122223333:role/a,b",
        "arn:aws:iam::111122223333:role/x,arn:aws:iam::111122223333:role/Admin",
    ] {
        // What is no ARN of a role at all is in no table.
        if target.parse::<TargetArn>().is_err() {
            continue;
        }
        let wish = Wish {
            target,
            ..Wish::plain(GrantMethod::AssumeRoleWithSaml)
        };
        let recipient = "https://signin.aws.amazon.com/saml".parse().unwrap();
        let refused = issuer.assertion(&wish.granted(), &recipient).await;
        assert!(
            matches!(refused, Err(IssuerError::Unfit { what: "role", .. })),
            "{target}"
        );
    }
}

#[tokio::test]
async fn an_assertion_is_short_lived_and_for_one_place_in_every_partition() {
    let pair = KeyPair::rsa("issuer", 1);
    let now = datetime!(2027-03-04 05:06:07.9 UTC);
    let issuer = issuer_at(now, &pair);
    for (target, audience) in [
        (TARGET, "urn:amazon:webservices"),
        (
            "arn:aws-us-gov:iam::111122223333:role/R",
            "urn:amazon:webservices:govcloud",
        ),
        (
            "arn:aws-cn:iam::111122223333:role/R",
            "urn:amazon:webservices:cn-north-1",
        ),
        (
            "arn:aws-eusc:iam::111122223333:role/R",
            "urn:amazon:webservices",
        ),
    ] {
        let wish = Wish {
            target,
            now,
            ..Wish::plain(GrantMethod::AssumeRoleWithSaml)
        };
        let minted = assertion(&issuer, &wish).await.unwrap();
        assert_eq!(minted.redeem_by, datetime!(2027-03-04 05:10:37 UTC));
        let text = xml(&minted);
        for part in [
            "IssueInstant=\"2027-03-04T05:06:07Z\"",
            "NotBefore=\"2027-03-04T05:05:37Z\"",
            "NotOnOrAfter=\"2027-03-04T05:10:37Z\"",
            "SessionNotOnOrAfter=\"2027-03-04T17:06:07Z\"",
            "Destination=\"https://signin.aws.amazon.com/saml\"",
            "Recipient=\"https://signin.aws.amazon.com/saml\"",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("InResponseTo"), "{text}");
        let metadata = issuer.saml_metadata().unwrap();
        let verified = our_verdict(&metadata, audience, &text, now);
        assert_eq!(verified.audiences, [audience]);
    }
}

#[tokio::test]
async fn no_session_outlives_what_gives_it() {
    let pair = KeyPair::rsa("issuer", 1);
    let now = datetime!(2027-03-04 05:06:07 UTC);
    let wish = Wish {
        expires: Some(now + time::Duration::hours(2)),
        now,
        ..Wish::plain(GrantMethod::AssumeRoleWithSaml)
    };
    let recipient: Url = RECIPIENT.parse().unwrap();
    let grant = wish.granted();
    let later = issuer_at(now + time::Duration::minutes(90), &pair);
    let minted = later.assertion(&grant, &recipient).await.unwrap();
    let text = xml(&minted);
    let end = "SessionNotOnOrAfter=\"2027-03-04T07:06:07Z\"";
    assert!(text.contains(end), "{text}");

    let too_late = issuer_at(now + time::Duration::hours(2), &pair);
    for refused in [
        too_late.assertion(&grant, &recipient).await.map(|_| ()),
        too_late.token(&grant).await.map(|_| ()),
    ] {
        assert_eq!(
            refused.unwrap_err().to_string(),
            "duration cannot be vouched for: what gives the role has ended meanwhile; ask for it \
             again"
        );
    }
}

#[tokio::test]
async fn no_two_assertions_share_an_id() {
    let pair = KeyPair::rsa("issuer", 1);
    let issuer = issuer(&[&pair], &[&pair]);
    let mut ids = HashSet::new();
    for _ in 0..50 {
        let wish = Wish::plain(GrantMethod::AssumeRoleWithSaml);
        let minted = assertion(&issuer, &wish).await.unwrap();
        let text = xml(&minted);
        for part in text.split(" ID=\"").skip(1) {
            let id = part.split('"').next().unwrap();
            assert!(id.starts_with('_') && id.len() == 41, "{id}");
            assert!(ids.insert(id.to_owned()));
        }
    }
    assert_eq!(ids.len(), 100);
}

#[test]
fn the_metadata_is_what_iam_takes_and_never_changes() {
    let (old, new) = (KeyPair::rsa("old", 1), KeyPair::rsa("new", 2));
    let metadata = issuer(&[&old, &new], &[]).saml_metadata().unwrap();
    assert_eq!(
        issuer(&[&old, &new], &[]).saml_metadata().unwrap(),
        metadata
    );
    assert!(
        metadata.len() >= 1_000 && metadata.starts_with("<?xml"),
        "{metadata}"
    );
    assert_eq!(metadata.matches("use=\"signing\"").count(), 2);
    let [first, second] = [&old, &new].map(|pair| metadata.find(&STANDARD.encode(pair.der())));
    assert!(first.unwrap() < second.unwrap(), "the signing one is first");
    let read = ProviderMetadata::parse(&metadata, None).unwrap();
    assert_eq!(
        read.entity_id,
        "https://aws.example.com/issuer/saml/metadata"
    );
    assert_eq!(read.certificates, [old.der(), new.der()]);
    assert!(issuer(&[&old], &[]).saml_metadata().unwrap().len() >= 1_000);
    assert_eq!(issuer(&[], &[&old]).saml_metadata(), None);
}

#[tokio::test]
async fn keys_roll_over_without_losing_an_assertion() {
    let (old, new) = (KeyPair::rsa("old", 1), KeyPair::rsa("new", 2));
    let [before, overlap, after] = [
        issuer(&[&old], &[]),
        issuer(&[&old, &new], &[]),
        issuer(&[&new, &old], &[]),
    ];
    let wish = Wish::plain(GrantMethod::AssumeRoleWithSaml);
    let mut minted = Vec::new();
    for issuer in [&before, &overlap, &after] {
        minted.push(assertion(issuer, &wish).await.unwrap());
    }
    let all: Vec<_> = minted.iter().collect();
    // IAM has the metadata of the overlap the whole time.
    let case = case(&overlap, &all);
    let verdict = expected(&wish, "corp:6f9619ff-8b86-d011");
    let verdicts = vec![verdict; 3];
    assert_eq!(verifiers::python3_saml(&case), verdicts);
    assert_eq!(verifiers::node_saml(&case), verdicts);
    assert!(verifiers::xmlsec1(xml(&minted[1]).as_bytes(), &old.der()).is_ok());
    assert!(verifiers::xmlsec1(xml(&minted[2]).as_bytes(), &new.der()).is_ok());
}

fn claims(verdict: &JwtVerdict) -> &Value {
    match verdict {
        JwtVerdict::Says { claims, .. } => claims,
        JwtVerdict::Refused { refused } => panic!("refused: {refused}"),
    }
}

async fn token(issuer: &Issuer, wish: &Wish) -> String {
    let minted = issuer.token(&wish.granted()).await.unwrap();
    minted.token.expose_secret().to_owned()
}

#[tokio::test]
async fn every_verifier_reads_the_same_of_a_token() {
    let (rsa, ec) = (
        KeyPair::rsa("issuer", 1),
        KeyPair::ec("issuer", 2, Nid::X9_62_PRIME256V1),
    );
    let mut wishes = vec![
        Wish::plain(GrantMethod::AssumeRoleWithWebIdentity),
        Wish::full(GrantMethod::AssumeRoleWithWebIdentity),
    ];
    wishes.extend(HOSTILE.map(|hostile| Wish {
        subject: hostile.to_owned(),
        tags: [(AUDIT_TAG.to_owned(), hostile.to_owned())].into(),
        ..Wish::full(GrantMethod::AssumeRoleWithWebIdentity)
    }));
    for (pair, algorithm) in [(&rsa, "RS256"), (&ec, "ES256")] {
        let issuer = issuer(&[], &[pair]);
        let mut tokens = Vec::new();
        for wish in &wishes {
            tokens.push(token(&issuer, wish).await);
        }
        let jwks = issuer.jwks().unwrap();
        let python = verifiers::pyjwt(NAME, "sts.amazonaws.com", &jwks, &tokens);
        let node = verifiers::jose(NAME, "sts.amazonaws.com", &jwks, &tokens);
        assert_eq!(python, node);
        for (wish, verdict) in wishes.iter().zip(&python) {
            let JwtVerdict::Says { header, .. } = verdict else {
                panic!("{verdict:?}");
            };
            assert_eq!(header["alg"], algorithm);
            let claims = claims(verdict);
            let sub = claims["sub"].as_str().unwrap();
            assert!(
                sub.starts_with("role:111122223333/team/ReadOnly:corp:"),
                "{sub}"
            );
            let [iat, nbf, exp] = ["iat", "nbf", "exp"].map(|name| claims[name].as_i64().unwrap());
            assert_eq!((exp - nbf, iat - nbf), (300, 30));
            let tags = &claims["https://aws.amazon.com/tags"];
            if wish.tags.is_empty() {
                assert_eq!(tags, &Value::Null);
                continue;
            }
            let values: BTreeMap<_, _> = wish.tags.iter().map(|(k, v)| (k, [v])).collect();
            assert_eq!(
                *tags,
                json!({ "principal_tags": values, "transitive_tag_keys": [] })
            );
            assert_eq!(
                claims["https://aws.amazon.com/source_identity"],
                wish.granted().source_identity().unwrap().as_str()
            );
        }
        let plain = claims(&python[0]);
        assert_eq!(
            plain["sub"],
            "role:111122223333/team/ReadOnly:corp:6f9619ff-8b86-d011"
        );
        let names: Vec<&String> = plain.as_object().unwrap().keys().collect();
        assert_eq!(names, ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"]);
    }
}

#[tokio::test]
async fn a_token_for_one_role_fits_no_pattern_of_another() {
    let pair = KeyPair::ec("issuer", 2, Nid::X9_62_PRIME256V1);
    let issuer = issuer(&[], &[&pair]);
    let targets = [
        TARGET,
        "arn:aws:iam::111122223333:role/team/ReadOnlyAdmin",
        "arn:aws:iam::111122223333:role/ReadOnly",
        "arn:aws:iam::111122224444:role/team/ReadOnly",
    ];
    let mut tokens = Vec::new();
    for target in targets {
        let wish = Wish {
            target,
            ..Wish::plain(GrantMethod::AssumeRoleWithWebIdentity)
        };
        tokens.push(token(&issuer, &wish).await);
    }
    let jwks = issuer.jwks().unwrap();
    let verdicts = verifiers::pyjwt(NAME, "sts.amazonaws.com", &jwks, &tokens);
    for target in targets {
        let pattern = subject_pattern(&target.parse().unwrap());
        let front = pattern.strip_suffix('*').unwrap();
        let fitting: Vec<&str> = targets
            .iter()
            .zip(&verdicts)
            .filter(|(_, verdict)| claims(verdict)["sub"].as_str().unwrap().starts_with(front))
            .map(|(target, _)| *target)
            .collect();
        assert_eq!(fitting, [target]);
    }
}

#[tokio::test]
async fn a_changed_or_foreign_token_is_refused_by_all() {
    let pair = KeyPair::ec("issuer", 2, Nid::X9_62_PRIME256V1);
    let issuer = issuer(&[], &[&pair]);
    let wish = Wish::plain(GrantMethod::AssumeRoleWithWebIdentity);
    let good = token(&issuer, &wish).await;
    let other = Wish {
        subject: "other".to_owned(),
        ..Wish::plain(GrantMethod::AssumeRoleWithWebIdentity)
    };
    let other = token(&issuer, &other).await;
    let parts: Vec<&str> = good.split('.').collect();
    let changed = format!(
        "{}.{}.{}",
        parts[0],
        other.split('.').nth(1).unwrap(),
        parts[2]
    );
    let jwks = issuer.jwks().unwrap();
    for (name, audience, token) in [
        (NAME, "sts.amazonaws.com", &changed),
        (NAME, "another", &good),
        ("https://another.example.com", "sts.amazonaws.com", &good),
    ] {
        let tokens = std::slice::from_ref(token);
        for verdict in [
            verifiers::pyjwt(name, audience, &jwks, tokens),
            verifiers::jose(name, audience, &jwks, tokens),
        ] {
            assert!(
                matches!(verdict[0], JwtVerdict::Refused { .. }),
                "{verdict:?}"
            );
        }
    }
}

#[tokio::test]
async fn token_keys_roll_over_without_losing_a_token() {
    let (old, new) = (
        KeyPair::rsa("old", 1),
        KeyPair::ec("new", 2, Nid::X9_62_PRIME256V1),
    );
    let [before, overlap, after] = [
        issuer(&[], &[&old]),
        issuer(&[], &[&old, &new]),
        issuer(&[], &[&new, &old]),
    ];
    let wish = Wish::plain(GrantMethod::AssumeRoleWithWebIdentity);
    let mut tokens = Vec::new();
    for issuer in [&before, &overlap, &after] {
        tokens.push(token(issuer, &wish).await);
    }
    for published in [&overlap, &after] {
        let jwks = published.jwks().unwrap();
        for verdicts in [
            verifiers::pyjwt(NAME, "sts.amazonaws.com", &jwks, &tokens),
            verifiers::jose(NAME, "sts.amazonaws.com", &jwks, &tokens),
        ] {
            assert_eq!(verdicts.len(), 3);
            for verdict in &verdicts {
                claims(verdict);
            }
        }
    }
}

#[tokio::test]
async fn without_a_key_nothing_is_minted() {
    let pair = KeyPair::rsa("issuer", 1);
    let (saml_alone, oidc_alone) = (issuer(&[&pair], &[]), issuer(&[], &[&pair]));
    assert!(saml_alone.abilities().saml && !saml_alone.abilities().oidc);
    assert!(!oidc_alone.abilities().saml && oidc_alone.abilities().oidc);
    let wish = Wish::plain(GrantMethod::AssumeRoleWithSaml);
    assert!(matches!(
        assertion(&oidc_alone, &wish).await,
        Err(IssuerError::NoKey("SAML"))
    ));
    let wish = Wish::plain(GrantMethod::AssumeRoleWithWebIdentity);
    assert!(matches!(
        saml_alone.token(&wish.granted()).await,
        Err(IssuerError::NoKey("OIDC"))
    ));
    assert_eq!((saml_alone.jwks(), saml_alone.discovery()), (None, None));
    // A grant by another method names no provider to AWS.
    assert!(matches!(
        assertion(&saml_alone, &wish).await,
        Err(IssuerError::Unfit { what: "role", .. })
    ));
    // Assertions are signed with RSA alone.
    let ec = KeyPair::ec("issuer", 2, Nid::X9_62_PRIME256V1);
    assert!(Issuer::new(settings(&[&ec], &[]), Arc::new(SystemClock)).is_err());
}

#[tokio::test]
async fn nothing_secret_is_shown_by_debug() {
    let pair = KeyPair::rsa("issuer", 1);
    let issuer = issuer(&[&pair], &[&pair]);
    let minted = assertion(&issuer, &Wish::plain(GrantMethod::AssumeRoleWithSaml)).await;
    let minted = minted.unwrap();
    let wish = Wish::plain(GrantMethod::AssumeRoleWithWebIdentity);
    let token = issuer.token(&wish.granted()).await.unwrap();
    let shown = format!("{issuer:?} {minted:?} {token:?}");
    assert!(!shown.contains(minted.response.expose_secret()), "{shown}");
    assert!(!shown.contains(token.token.expose_secret()), "{shown}");
    assert!(shown.contains(&minted.id) && shown.contains(&token.id));
    assert!(!shown.contains("PRIVATE"), "{shown}");
}

/// `[issuer]` with keys of the test's own in a folder.
pub(crate) fn issuer_toml(dir: &std::path::Path) -> String {
    use std::os::unix::fs::PermissionsExt as _;

    let saml = KeyPair::rsa("issuer", 1);
    let oidc = KeyPair::ec("issuer", 2, Nid::X9_62_PRIME256V1);
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    format!(
        "[issuer]\nsaml_keys = [{{ key_file = {:?}, certificate_file = {:?} }}]\n\
         oidc_keys = [{{ key_file = {:?} }}]\n",
        write("saml.key", saml.key_pem()),
        write("saml.crt", saml.certificate_pem()),
        write("oidc.key", oidc.key_pem()),
    )
}

#[tokio::test]
async fn what_is_published_is_fetched_as_aws_does() {
    let dir = temporary_dir("issuer");
    let app = TestApp::start_with(Options {
        more_toml: issuer_toml(dir.path()),
        ..Options::default()
    })
    .await;
    let name = app.url.as_str().trim_end_matches('/');
    let mut browser = app.browser();
    let issuer = app.broker.issuer().unwrap();
    for (path, media_type, body) in [
        (
            "/issuer/saml/metadata",
            "application/samlmetadata+xml",
            issuer.saml_metadata(),
        ),
        (
            "/.well-known/openid-configuration",
            "application/json",
            issuer.discovery(),
        ),
        ("/issuer/jwks", "application/json", issuer.jwks()),
    ] {
        let answer = browser.get(path).await;
        assert_eq!((answer.status, Some(answer.body.clone())), (200, body));
        assert_eq!(answer.header("content-type"), media_type);
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert_eq!(answer.header("set-cookie"), "", "{path}");
    }
    let discovery: Value = serde_json::from_str(&issuer.discovery().unwrap()).unwrap();
    assert_eq!(
        discovery,
        json!({
            "issuer": name,
            "authorization_endpoint": app.url.as_str(),
            "jwks_uri": format!("{name}/issuer/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            "claims_supported": [
                "iss", "aud", "sub", "iat", "nbf", "exp", "jti",
                "https://aws.amazon.com/tags", "https://aws.amazon.com/source_identity",
            ],
        })
    );

    let wish = Wish::full(GrantMethod::AssumeRoleWithWebIdentity);
    let tokens = [token(issuer, &wish).await];
    let address = format!("{name}/.well-known/openid-configuration");
    let audience = "sts.amazonaws.com".to_owned();
    let name = name.to_owned();
    // In a thread of its own: the server answers meanwhile.
    let verdicts = tokio::task::spawn_blocking(move || {
        verifiers::jose_remotely(&name, &audience, &address, &tokens)
    });
    claims(&verdicts.await.unwrap()[0]);
}

#[tokio::test]
async fn without_an_issuer_the_addresses_say_so() {
    let app = TestApp::start().await;
    assert!(app.broker.issuer().is_none());
    for (path, sentence) in [
        (
            "/issuer/saml/metadata",
            "Rolegate vouches for nobody by SAML here",
        ),
        (
            "/.well-known/openid-configuration",
            "Rolegate vouches for nobody by OpenID Connect here",
        ),
        (
            "/issuer/jwks",
            "Rolegate vouches for nobody by OpenID Connect here",
        ),
    ] {
        let answer = app.browser().get(path).await;
        assert_eq!(answer.status, 404);
        assert!(answer.body.contains(sentence), "{}", answer.body);
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

/// A key that this process never has: the openssl program signs with it.
#[derive(Debug)]
struct ProgramSigner {
    key_path: std::path::PathBuf,
    public_key: Vec<u8>,
    certificate: Vec<u8>,
}

#[async_trait::async_trait]
impl Signer for ProgramSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Rs256
    }

    fn public_key(&self) -> &[u8] {
        &self.public_key
    }

    fn certificate(&self) -> Option<&[u8]> {
        Some(&self.certificate)
    }

    async fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, Cause> {
        let input = self.key_path.with_extension("in");
        std::fs::write(&input, bytes)?;
        let mut command = std::process::Command::new("openssl");
        command.args(["dgst", "-sha256", "-sign"]);
        command.arg(&self.key_path).arg(&input);
        let signed = tokio::task::spawn_blocking(move || command.output()).await??;
        if signed.status.success() {
            Ok(signed.stdout)
        } else {
            Err(String::from_utf8_lossy(&signed.stderr).into_owned().into())
        }
    }
}

#[tokio::test]
async fn a_key_that_is_somewhere_else_signs_as_well() {
    let dir = temporary_dir("signer");
    let pair = KeyPair::rsa("issuer", 1);
    let key_path = dir.path().join("elsewhere.key");
    std::fs::write(&key_path, pair.key_pem()).unwrap();
    let elsewhere: Arc<dyn Signer> = Arc::new(ProgramSigner {
        key_path: key_path.clone(),
        public_key: pair.public_key().public_key_to_der().unwrap(),
        certificate: pair.der(),
    });
    let settings = Settings {
        saml_keys: vec![Arc::clone(&elsewhere)],
        oidc_keys: vec![elsewhere],
        ..settings(&[], &[])
    };
    let issuer = Issuer::new(settings, Arc::new(SystemClock)).unwrap();
    let wish = Wish::plain(GrantMethod::AssumeRoleWithSaml);
    let minted = assertion(&issuer, &wish).await.unwrap();
    let verdict = expected(&wish, "corp:6f9619ff-8b86-d011");
    assert_eq!(
        verifiers::python3_saml(&case(&issuer, &[&minted])),
        [verdict]
    );
    let wish = Wish::plain(GrantMethod::AssumeRoleWithWebIdentity);
    let tokens = [token(&issuer, &wish).await];
    let jwks = issuer.jwks().unwrap();
    claims(&verifiers::pyjwt(NAME, "sts.amazonaws.com", &jwks, &tokens)[0]);

    std::fs::remove_file(&key_path).unwrap();
    let wish = Wish::plain(GrantMethod::AssumeRoleWithSaml);
    let failed = assertion(&issuer, &wish).await.unwrap_err();
    assert!(matches!(failed, IssuerError::Signer(_)), "{failed:?}");
}
