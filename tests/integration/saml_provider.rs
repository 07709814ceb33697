//! The service provider's side of SAML against a provider that publishes metadata over HTTP, whose
//! keys change and whose address dies.

#![expect(clippy::format_collect, reason = "short texts, once")]

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    x509::{X509, X509Name},
};
use rolegate::{
    access::{ConnectorId, ProviderSession},
    clock::{Clock as _, FixedClock},
    identity::{
        Answer, AwsApplication, Carried, Cause, Logout, LogoutMessage, RedirectConnector as _,
        RedirectRefused, SignInWish,
        saml::{
            KeptDocuments, SamlConnector, Settings,
            redirect_binding::{self, Kind},
            refusal::Reason,
            settings::{AttributeNames, Binding, Key, NAME_ID, Source},
            signature,
        },
    },
    store::{ProviderDocuments as _, sql::SqlStore},
    telemetry::Metrics,
};
use secrecy::{ExposeSecret as _, SecretString};
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::datetime};
use tokio::net::TcpListener;
use url::Url;

use crate::support::{app::TestApp, temporary_dir};

const START: OffsetDateTime = datetime!(2027-03-01 08:00 UTC);
const ENTITY_ID: &str = "https://idp.example.com/metadata";
const AWS_ROLE: &str = "https://aws.amazon.com/SAML/Attributes/Role";
const AWS_NAME: &str = "https://aws.amazon.com/SAML/Attributes/RoleSessionName";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";

/// A private key with a certificate of its own.
#[derive(Clone)]
struct Pair {
    key: PKey<Private>,
    certificate: X509,
}

impl Pair {
    fn new() -> Self {
        Self::of_bits(2048)
    }

    fn of_bits(bits: u32) -> Self {
        let key = PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap();
        let mut name = X509Name::builder().unwrap();
        name.append_entry_by_text("CN", "saml").unwrap();
        let name = name.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        let serial = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
        builder.set_serial_number(&serial).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        builder.set_pubkey(&key).unwrap();
        let (from, to) = (START.unix_timestamp(), START.unix_timestamp() + 90 * 86_400);
        builder
            .set_not_before(&Asn1Time::from_unix(from).unwrap())
            .unwrap();
        builder
            .set_not_after(&Asn1Time::from_unix(to).unwrap())
            .unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        let certificate = builder.build();
        Self { key, certificate }
    }

    fn der(&self) -> Vec<u8> {
        self.certificate.to_der().unwrap()
    }

    fn our_key(&self) -> Key {
        Key {
            private: self.key.clone(),
            certificate: self.certificate.clone(),
        }
    }
}

fn signature_of(id: &str) -> String {
    format!(
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo>\
         <ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE}\"/><ds:SignatureMethod \
         Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#rsa-sha256\"/>\
         <ds:Reference URI=\"#{id}\"><ds:Transforms><ds:Transform Algorithm=\"{ENVELOPED}\"/>\
         <ds:Transform Algorithm=\"{EXCLUSIVE}\"/></ds:Transforms><ds:DigestMethod \
         Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><ds:DigestValue/></ds:Reference>\
         </ds:SignedInfo><ds:SignatureValue/></ds:Signature>"
    )
}

/// Metadata of the provider with these certificates and anything else in the root's start tag.
fn metadata(certificates: &[&Pair], root_attributes: &str, signature: &str) -> String {
    let keys: String = certificates
        .iter()
        .map(|pair| {
            let certificate = STANDARD.encode(pair.der());
            format!(
                "<md:KeyDescriptor use=\"signing\"><ds:KeyInfo \
                 xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data>\
                 <ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data>\
                 </ds:KeyInfo></md:KeyDescriptor>"
            )
        })
        .collect();
    let service = |name: &str, place: &str| {
        format!(
            "<md:{name} Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" \
             Location=\"https://idp.example.com/{place}?tenant=1\"/>\
             <md:{name} Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST\" \
             Location=\"https://idp.example.com/{place}/post\"/>"
        )
    };
    format!(
        "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         entityID=\"{ENTITY_ID}\" ID=\"_metadata\"{root_attributes}>{signature}\
         <md:IDPSSODescriptor \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">{keys}{}{}\
         </md:IDPSSODescriptor></md:EntityDescriptor>",
        service("SingleLogoutService", "slo"),
        service("SingleSignOnService", "sso"),
    )
}

fn signed_metadata(certificates: &[&Pair], by: &Pair) -> String {
    let template = metadata(certificates, "", &signature_of("_metadata"));
    signature::sign(&template, &by.key).unwrap()
}

/// What the provider's address answers with at this moment, and how often it was asked.
struct Published {
    url: Url,
    answer: Arc<Mutex<(StatusCode, String)>>,
    asked: Arc<AtomicUsize>,
}

type Served = (Arc<Mutex<(StatusCode, String)>>, Arc<AtomicUsize>);

impl Published {
    async fn start(document: String) -> Self {
        async fn serve(State((answer, asked)): State<Served>) -> impl IntoResponse {
            asked.fetch_add(1, Ordering::SeqCst);
            let (status, text) = answer.lock().unwrap().clone();
            let location = [("location", text.clone())];
            (status, location, text)
        }
        let answer = Arc::new(Mutex::new((StatusCode::OK, document)));
        let asked = Arc::new(AtomicUsize::new(0));
        let router = Router::new()
            .route("/metadata", get(serve))
            .with_state((Arc::clone(&answer), Arc::clone(&asked)));
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        // Ends with the test's runtime.
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            url: format!("http://{address}/metadata").parse().unwrap(),
            answer,
            asked,
        }
    }

    fn publish(&self, document: String) {
        *self.answer.lock().unwrap() = (StatusCode::OK, document);
    }

    fn die(&self) {
        *self.answer.lock().unwrap() = (StatusCode::BAD_GATEWAY, "gone".to_owned());
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn source(&self) -> Source {
        Source::Url {
            url: self.url.clone(),
            refresh: Duration::from_hours(1),
        }
    }
}

/// Settings as the configuration makes them by default.
fn settings(id: &str, source: Source) -> Settings {
    let at = |place: &str| -> Url {
        format!("https://aws.example.com/saml/{id}/{place}")
            .parse()
            .unwrap()
    };
    Settings {
        id: id.parse().unwrap(),
        label: "Company".to_owned(),
        entity_id: at("metadata").to_string(),
        acs_url: at("acs"),
        slo_url: at("slo"),
        source,
        metadata_certificates: Vec::new(),
        provider_entity_id: None,
        attributes: AttributeNames {
            subject: NAME_ID.to_owned(),
            username: "uid".to_owned(),
            display_name: Some("displayName".to_owned()),
            email: Some("mail".to_owned()),
            groups: Some("groups".to_owned()),
        },
        keys: Vec::new(),
        audiences: Vec::new(),
        sign_requests: false,
        request_binding: Binding::Redirect,
        force_authentication: false,
        authn_contexts: Vec::new(),
        name_id_format: None,
        clock_skew: Duration::from_mins(1),
        longest_authentication_age: None,
        require_encryption: false,
        allow_cbc: false,
        takes_unsolicited: false,
        groups_from: None,
        pass_through: true,
        aws_application_url: None,
    }
}

struct Fixture {
    connector: SamlConnector,
    clock: Arc<FixedClock>,
}

impl Fixture {
    fn new(settings: Settings) -> Self {
        Self::keeping(settings, None, START)
    }

    fn keeping(
        settings: Settings,
        kept: Option<Arc<dyn KeptDocuments>>,
        now: OffsetDateTime,
    ) -> Self {
        // Before anything is measured.
        Metrics::install();
        let clock = Arc::new(FixedClock::new(now));
        let connector = SamlConnector::new(settings, kept, clock.clone()).unwrap();
        Self { connector, clock }
    }

    /// Begins a sign-in and finishes it with an answer that `signer` signs.
    async fn sign_in(&self, signer: &Pair) -> Result<String, RedirectRefused> {
        let departure = self.connector.begin(&SignInWish::default()).await?;
        let answer = Person::default().answer(self, Some(&departure.request_id), signer);
        let vouched = self
            .connector
            .finish(&answer, Some(&departure.request_id))
            .await?;
        Ok(vouched.identity.subject)
    }

    fn metric(&self, name: &str) -> Option<f64> {
        let id = self.connector.id().clone();
        let line = format!("{name}{{connector=\"{id}\"}} ");
        let text = Metrics::install().render();
        let value = text.lines().find_map(|text| text.strip_prefix(&line))?;
        value.parse().ok()
    }
}

/// The last good copies in a real store, as `app` keeps them.
struct Kept(Arc<SqlStore>);

#[async_trait]
impl KeptDocuments for Kept {
    async fn keep(
        &self,
        connector: &ConnectorId,
        document: &str,
        fetched_at: OffsetDateTime,
    ) -> Result<(), Cause> {
        let id = connector.as_str();
        Ok(self.0.keep_document(id, document, fetched_at).await?)
    }

    async fn last(
        &self,
        connector: &ConnectorId,
    ) -> Result<Option<(String, OffsetDateTime)>, Cause> {
        Ok(self.0.document(connector.as_str()).await?)
    }
}

/// What the provider says of somebody.
struct Person {
    name_id: &'static str,
    format: &'static str,
    /// How long ago.
    authenticated: Duration,
    audiences: Vec<String>,
    /// Name, FriendlyName, values.
    attributes: Vec<(&'static str, Option<&'static str>, Vec<String>)>,
}

impl Default for Person {
    fn default() -> Self {
        Self {
            name_id: "G-1f0c",
            format: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
            authenticated: Duration::ZERO,
            audiences: Vec::new(),
            attributes: vec![
                (
                    "urn:oid:0.9.2342.19200300.100.1.1",
                    Some("uid"),
                    vec!["ada".to_owned()],
                ),
                (
                    "groups",
                    None,
                    vec![
                        "Payments Dev".to_owned(),
                        "payments dev".to_owned(),
                        " ".to_owned(),
                        "Payments Dev".to_owned(),
                    ],
                ),
            ],
        }
    }
}

impl Person {
    fn with(mut self, name: &'static str, values: &[&str]) -> Self {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.attributes.push((name, None, values));
        self
    }

    fn answer(&self, fixture: &Fixture, request_id: Option<&str>, signer: &Pair) -> Answer {
        let id = fixture.connector.id().as_str().to_owned();
        let now = fixture.clock.now();
        let at = |moment: OffsetDateTime| moment.format(&Rfc3339).unwrap();
        let authenticated = at(now - self.authenticated);
        let (now, end) = (at(now), at(now + Duration::from_mins(10)));
        let acs = format!("https://aws.example.com/saml/{id}/acs");
        let in_response_to =
            request_id.map_or_else(String::new, |id| format!(" InResponseTo=\"{id}\""));
        let mut audiences = vec![format!("https://aws.example.com/saml/{id}/metadata")];
        audiences.extend(self.audiences.iter().cloned());
        let audiences: String = audiences
            .iter()
            .map(|audience| format!("<a:Audience>{audience}</a:Audience>"))
            .collect();
        let attributes: String = self
            .attributes
            .iter()
            .map(|(name, friendly, values)| {
                let friendly =
                    friendly.map_or_else(String::new, |name| format!(" FriendlyName=\"{name}\""));
                let values: String = values
                    .iter()
                    .map(|value| format!("<a:AttributeValue>{value}</a:AttributeValue>"))
                    .collect();
                format!("<a:Attribute Name=\"{name}\"{friendly}>{values}</a:Attribute>")
            })
            .collect();
        let xml = format!(
            "<p:Response xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_response\" Version=\"2.0\" \
             IssueInstant=\"{now}\" Destination=\"{acs}\"{in_response_to}>\
             <a:Issuer>{ENTITY_ID}</a:Issuer><p:Status><p:StatusCode \
             Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></p:Status>\
             <a:Assertion ID=\"_assertion\" Version=\"2.0\" IssueInstant=\"{now}\">\
             <a:Issuer>{ENTITY_ID}</a:Issuer>{}<a:Subject><a:NameID Format=\"{}\">{}</a:NameID>\
             <a:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
             <a:SubjectConfirmationData Recipient=\"{acs}\" NotOnOrAfter=\"{end}\"\
             {in_response_to}/></a:SubjectConfirmation></a:Subject>\
             <a:Conditions NotBefore=\"{now}\" NotOnOrAfter=\"{end}\"><a:AudienceRestriction>\
             {audiences}</a:AudienceRestriction></a:Conditions>\
             <a:AuthnStatement AuthnInstant=\"{authenticated}\" SessionIndex=\"s-1\"><a:AuthnContext>\
             <a:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password\
             </a:AuthnContextClassRef></a:AuthnContext></a:AuthnStatement>\
             <a:AttributeStatement>{attributes}</a:AttributeStatement></a:Assertion></p:Response>",
            signature_of("_assertion"),
            self.format,
            self.name_id,
        );
        let signed = signature::sign(&xml, &signer.key).unwrap();
        Answer {
            message: SecretString::from(STANDARD.encode(signed)),
            relay_state: None,
            secret: None,
        }
    }
}

fn reason(refused: &RedirectRefused) -> Reason {
    match refused {
        RedirectRefused::Message(refused) => refused.reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_person_comes_back_with_what_the_provider_says_of_them() {
    let idp = Pair::new();
    let settings = settings("whole", Source::Text(metadata(&[&idp], "", "")));
    let fixture = Fixture::new(settings);
    let departure = fixture
        .connector
        .begin(&SignInWish::default())
        .await
        .unwrap();
    let role = "arn:aws:iam::111122223333:role/Dev";
    let provider = "arn:aws:iam::111122223333:saml-provider/corp";
    let mut person = Person::default()
        .with("mail", &["ada@example.com", "second@example.com"])
        .with(AWS_ROLE, &[&format!("{provider}, {role}"), "nonsense"])
        .with(AWS_NAME, &["ada"]);
    person.audiences.push("urn:amazon:webservices".to_owned());
    let answer = person.answer(&fixture, Some(&departure.request_id), &idp);

    let named = fixture.connector.conversation(&answer).unwrap();
    assert_eq!(named.as_deref(), Some(departure.request_id.as_str()));
    let vouched = fixture
        .connector
        .finish(&answer, named.as_deref())
        .await
        .unwrap();

    let identity = &vouched.identity;
    assert_eq!(identity.subject, "G-1f0c");
    assert_eq!(identity.username, "ada");
    assert_eq!(identity.email.as_deref(), Some("ada@example.com"));
    let groups: Vec<&str> = identity.groups.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(groups, ["whole:Payments Dev", "whole:payments dev"]);
    assert_eq!(identity.asserted_roles.len(), 1);
    assert_eq!(identity.asserted_roles[0].role.as_str(), role);
    assert!(!vouched.groups_overage);
    assert_eq!(vouched.answer_id, "_assertion");
    assert_eq!(
        vouched.provider_session.session_index.as_deref(),
        Some("s-1")
    );
    let proof = vouched.proof.expect("a proof for AWS");
    assert_eq!(proof.redeem_by, START + Duration::from_mins(5));
    assert_eq!(proof.secret.expose_secret(), answer.message.expose_secret());
}

#[tokio::test]
async fn an_answer_that_is_not_for_aws_is_not_kept_for_it() {
    let idp = Pair::new();
    let role = "arn:aws:iam::111122223333:role/A,arn:aws:iam::111122223333:saml-provider/c";
    let for_aws = || {
        let mut person = Person::default().with(AWS_ROLE, &[role]);
        person.audiences.push("urn:amazon:webservices".to_owned());
        person
    };
    let mut elsewhere = for_aws().with(AWS_NAME, &["ada"]);
    elsewhere.audiences.clear();
    for (passes, person) in [
        (true, Person::default()),
        (true, for_aws()),
        (true, elsewhere),
        (false, for_aws().with(AWS_NAME, &["ada"])),
    ] {
        let mut settings = settings("noproof", Source::Text(metadata(&[&idp], "", "")));
        settings.pass_through = passes;
        let fixture = Fixture::new(settings);
        let answer = person.answer(&fixture, Some("_request"), &idp);
        let vouched = fixture.connector.finish(&answer, Some("_request")).await;
        assert!(vouched.unwrap().proof.is_none());
    }
}

#[tokio::test]
async fn a_person_without_a_stable_name_is_refused() {
    let idp = Pair::new();
    let transient = Person {
        format: "urn:oasis:names:tc:SAML:2.0:nameid-format:transient",
        ..Person::default()
    };
    let mut nameless = Person::default();
    nameless.attributes.clear();
    let mut ambiguous = Person::default();
    ambiguous.attributes[0].2.push("eve".to_owned());
    let mut two_friends = Person::default();
    let uid = vec!["eve".to_owned()];
    two_friends.attributes.push(("urn:x", Some("uid"), uid));
    for (person, expected) in [
        (transient, Reason::MissingAttribute),
        (nameless, Reason::MissingAttribute),
        (ambiguous, Reason::Attribute),
        (two_friends, Reason::Attribute),
    ] {
        let settings = settings("nameless", Source::Text(metadata(&[&idp], "", "")));
        let fixture = Fixture::new(settings);
        let answer = person.answer(&fixture, Some("_request"), &idp);
        let refused = fixture.connector.finish(&answer, Some("_request")).await;
        assert_eq!(reason(&refused.unwrap_err()), expected);
    }
}

#[tokio::test]
async fn an_attribute_is_found_by_its_name_before_another_one_by_its_friendly_name() {
    let idp = Pair::new();
    let fixture = Fixture::new(settings("name", Source::Text(metadata(&[&idp], "", ""))));
    let person = Person::default().with("uid", &["grace"]);
    let answer = person.answer(&fixture, Some("_request"), &idp);
    let vouched = fixture.connector.finish(&answer, Some("_request")).await;
    assert_eq!(vouched.unwrap().identity.username, "grace");
}

#[tokio::test]
async fn groups_that_the_provider_left_out_are_noticed() {
    let idp = Pair::new();
    let fixture = Fixture::new(settings("overage", Source::Text(metadata(&[&idp], "", ""))));
    let person = Person::default().with(
        "http://schemas.microsoft.com/claims/groups.link",
        &["https://graph.windows.net/x/users/y/getMemberObjects"],
    );
    let answer = person.answer(&fixture, Some("_request"), &idp);
    let vouched = fixture.connector.finish(&answer, Some("_request")).await;
    assert!(vouched.unwrap().groups_overage);
}

#[tokio::test]
async fn a_forced_authentication_has_to_have_happened() {
    let idp = Pair::new();
    let mut settings = settings("forced", Source::Text(metadata(&[&idp], "", "")));
    for (is_forced, age, expected) in [
        (false, 5 * 60, None),
        (true, 5 * 60, None),
        (false, 15 * 60, None),
        (true, 15 * 60, Some(Reason::AuthenticationAge)),
    ] {
        settings.force_authentication = is_forced;
        let fixture = Fixture::new(settings.clone());
        let person = Person {
            authenticated: Duration::from_secs(age),
            ..Person::default()
        };
        let answer = person.answer(&fixture, Some("_r"), &idp);
        let refused = fixture.connector.finish(&answer, Some("_r")).await.err();
        assert_eq!(refused.as_ref().map(reason), expected, "{is_forced} {age}");
    }
}

#[tokio::test]
async fn what_nobody_asked_for_is_taken_only_where_it_is_allowed() {
    let idp = Pair::new();
    let source = Source::Text(metadata(&[&idp], "", ""));
    let fixture = Fixture::new(settings("unasked", source.clone()));
    let answer = Person::default().answer(&fixture, None, &idp);
    let refused = fixture.connector.finish(&answer, None).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::Unsolicited);

    let mut settings = settings("unasked", source);
    settings.takes_unsolicited = true;
    let fixture = Fixture::new(settings);
    fixture.connector.finish(&answer, None).await.unwrap();
}

#[tokio::test]
async fn sign_in_goes_on_with_the_last_good_copy_while_the_address_is_dead_for_a_day() {
    let idp = Pair::new();
    let published = Published::start(metadata(&[&idp], "", "")).await;
    let fixture = Fixture::new(settings("dead", published.source()));
    fixture.connector.refresh_trust().await;
    assert_eq!(
        fixture.metric("rolegate_provider_metadata_fresh"),
        Some(1.0)
    );

    published.die();
    for _ in 0..24 {
        fixture.clock.advance(time::Duration::hours(1));
        fixture.connector.refresh_trust().await;
        assert_eq!(fixture.sign_in(&idp).await.unwrap(), "G-1f0c");
    }

    assert_eq!(
        fixture.metric("rolegate_provider_metadata_fresh"),
        Some(0.0)
    );
    let age = fixture.metric("rolegate_provider_metadata_age_seconds");
    assert_eq!(age, Some(86_400.0));
    let findings = fixture.connector.probe().await;
    assert!(findings[0].is_error, "{findings:?}");
    assert!(findings[0].message.contains("502"), "{findings:?}");

    published.publish(metadata(&[&idp], "", ""));
    fixture.clock.advance(time::Duration::minutes(1));
    fixture.connector.refresh_trust().await;
    assert_eq!(
        fixture.metric("rolegate_provider_metadata_fresh"),
        Some(1.0)
    );
    let age = fixture.metric("rolegate_provider_metadata_age_seconds");
    assert_eq!(age, Some(0.0));
}

#[tokio::test]
async fn the_last_good_copy_survives_a_restart_but_not_another_address() {
    let dir = temporary_dir("saml-kept");
    let url = format!("sqlite://{}", dir.path().join("kept.db").display());
    let store = Arc::new(SqlStore::open(&url).await.unwrap());
    let kept: Arc<dyn KeptDocuments> = Arc::new(Kept(store));
    let idp = Pair::new();
    let published = Published::start(metadata(&[&idp], "", "")).await;
    let first = Fixture::keeping(
        settings("kept", published.source()),
        Some(Arc::clone(&kept)),
        START,
    );
    first.connector.refresh_trust().await;

    published.die();
    let later = START + Duration::from_hours(2);
    let second = Fixture::keeping(
        settings("kept", published.source()),
        Some(Arc::clone(&kept)),
        later,
    );
    second.connector.refresh_trust().await;
    assert_eq!(second.sign_in(&idp).await.unwrap(), "G-1f0c");
    let age = second.metric("rolegate_provider_metadata_age_seconds");
    assert_eq!(age, Some(7200.0));

    let mut elsewhere = published.url.clone();
    elsewhere.set_query(Some("other"));
    let source = Source::Url {
        url: elsewhere,
        refresh: Duration::from_hours(1),
    };
    let third = Fixture::keeping(settings("kept", source), Some(kept), later);
    let refused = third.sign_in(&idp).await.unwrap_err();
    assert!(matches!(refused, RedirectRefused::Unavailable(_)));
}

#[tokio::test]
async fn a_key_that_the_provider_changed_loses_no_sign_in() {
    let (old, new) = (Pair::new(), Pair::new());
    let published = Published::start(metadata(&[&old], "", "")).await;
    let fixture = Fixture::new(settings("rollover", published.source()));
    fixture.sign_in(&old).await.unwrap();
    assert_eq!(published.asked(), 1);

    published.publish(metadata(&[&new], "", ""));
    fixture.clock.advance(time::Duration::minutes(2));
    fixture.sign_in(&new).await.unwrap();
    assert_eq!(published.asked(), 2);

    let refused = fixture.sign_in(&old).await.unwrap_err();
    assert_eq!(reason(&refused), Reason::Signature);
}

#[tokio::test]
async fn forged_answers_make_the_provider_be_asked_once_a_minute_at_most() {
    let (idp, stranger) = (Pair::new(), Pair::new());
    let published = Published::start(metadata(&[&idp], "", "")).await;
    let fixture = Fixture::new(settings("forged", published.source()));
    fixture.sign_in(&idp).await.unwrap();
    fixture.clock.advance(time::Duration::minutes(5));
    for _ in 0..5 {
        let refused = fixture.sign_in(&stranger).await.unwrap_err();
        assert_eq!(reason(&refused), Reason::Signature);
    }
    assert_eq!(published.asked(), 2);
    fixture.sign_in(&idp).await.unwrap();
}

#[tokio::test]
async fn metadata_is_not_used_beyond_its_own_end() {
    let idp = Pair::new();
    let until = " validUntil=\"2027-03-01T10:00:00Z\"";
    let published = Published::start(metadata(&[&idp], until, "")).await;
    let fixture = Fixture::new(settings("ended", published.source()));
    fixture.sign_in(&idp).await.unwrap();

    fixture.clock.advance(time::Duration::hours(2));
    let refused = fixture.sign_in(&idp).await.unwrap_err();
    let RedirectRefused::Unavailable(cause) = refused else {
        panic!("{refused:?}");
    };
    assert!(cause.to_string().contains("validUntil"), "{cause}");
    fixture.connector.refresh_trust().await;
    assert_eq!(
        fixture.metric("rolegate_provider_metadata_fresh"),
        Some(0.0)
    );

    published.publish(metadata(&[&idp], "", ""));
    fixture.clock.advance(time::Duration::minutes(1));
    fixture.sign_in(&idp).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_never_answered_is_asked_again_a_minute_later() {
    let idp = Pair::new();
    let published = Published::start(metadata(&[&idp], "", "")).await;
    published.die();
    let fixture = Fixture::new(settings("late", published.source()));
    for _ in 0..3 {
        let refused = fixture.sign_in(&idp).await.unwrap_err();
        assert!(matches!(refused, RedirectRefused::Unavailable(_)));
    }
    assert_eq!(published.asked(), 1);

    published.publish(metadata(&[&idp], "", ""));
    fixture.clock.advance(time::Duration::minutes(1));
    fixture.sign_in(&idp).await.unwrap();
}

#[tokio::test]
async fn documents_that_cannot_be_used_never_take_the_place_of_a_good_one() {
    let idp = Pair::new();
    let published = Published::start(metadata(&[&idp], "", "")).await;
    let fixture = Fixture::new(settings("broken", published.source()));
    fixture.sign_in(&idp).await.unwrap();
    let good = metadata(&[&idp], "", "");
    let weak = Pair::of_bits(1024);
    for document in [
        String::new(),
        "<html>login</html>".to_owned(),
        format!("<!DOCTYPE x>{good}"),
        metadata(&[], "", ""),
        metadata(&[&weak], "", ""),
        good.replace("use=\"signing\"", "use=\"encryption\""),
        good.replace("https://idp.example.com/sso", "javascript:alert(1)//"),
        format!("{good}<!--{}-->", "x".repeat(2 * 1024 * 1024)),
    ] {
        published.publish(document.clone());
        fixture.clock.advance(time::Duration::hours(1));
        fixture.connector.refresh_trust().await;
        let is_fresh = fixture.metric("rolegate_provider_metadata_fresh");
        assert_eq!(is_fresh, Some(0.0), "{document:.200}");
        fixture.sign_in(&idp).await.unwrap();
    }
}

#[tokio::test]
async fn metadata_is_not_fetched_from_another_host() {
    let idp = Pair::new();
    let other = Published::start(metadata(&[&idp], "", "")).await;
    let published = Published::start(String::new()).await;
    *published.answer.lock().unwrap() = (StatusCode::FOUND, other.url.to_string());
    let fixture = Fixture::new(settings("elsewhere", published.source()));
    fixture.sign_in(&idp).await.unwrap_err();
    assert_eq!((published.asked(), other.asked()), (1, 0));
}

#[tokio::test]
async fn where_a_certificate_is_given_metadata_has_to_be_signed_with_it() {
    let (idp, federation, stranger) = (Pair::new(), Pair::new(), Pair::new());
    let signed = signed_metadata(&[&idp], &federation);
    let canary = Published::start("canary".to_owned()).await;
    let with = |document: String| {
        let mut settings = settings("federation", Source::Text(document));
        settings.metadata_certificates = vec![stranger.der(), federation.der()];
        settings.metadata_certificates.remove(0);
        SamlConnector::new(settings, None, Arc::new(FixedClock::new(START)))
    };
    with(signed.clone()).unwrap_or_else(|error| panic!("{error}"));

    for (document, problem) in [
        (metadata(&[&idp], "", ""), "exactly one signature"),
        (signed_metadata(&[&idp], &stranger), "was not signed"),
        (
            signed.replace(
                "https://idp.example.com/sso",
                "https://evil.example.com/sso",
            ),
            "was not signed",
        ),
        (
            signed.replace("URI=\"#_metadata\"", &format!("URI=\"{}\"", canary.url)),
            "Reference",
        ),
        (
            signed.replace("URI=\"#_metadata\"", "URI=\"\""),
            "Reference",
        ),
        (
            signed.replace(ENVELOPED, "http://www.w3.org/TR/1999/REC-xslt-19991116"),
            "Transform",
        ),
        (
            signed.replace("rsa-sha256", "hmac-sha256"),
            "SignatureMethod",
        ),
    ] {
        let error = with(document).err().expect(problem).to_string();
        assert!(error.contains(problem), "{problem}: {error}");
    }
    assert_eq!(canary.asked(), 0);
}

#[tokio::test]
async fn a_document_of_several_providers_needs_a_name() {
    let idp = Pair::new();
    let one = metadata(&[&idp], "", "");
    let two = one
        .replace(ENTITY_ID, "https://other.example.com")
        .replace("_metadata", "_other");
    let both = format!(
        "<x:EntitiesDescriptor xmlns:x=\"urn:oasis:names:tc:SAML:2.0:metadata\" \
         validUntil=\"2027-04-01T00:00:00Z\">{one}{two}</x:EntitiesDescriptor>"
    );
    let with = |name: Option<&str>| {
        let mut settings = settings("several", Source::Text(both.clone()));
        settings.provider_entity_id = name.map(str::to_owned);
        let clock = Arc::new(FixedClock::new(START));
        SamlConnector::new(settings, None, clock).map_err(|error| error.to_string())
    };
    let told = with(None).err().unwrap();
    assert!(told.contains("name one in idp_entity_id"), "{told}");
    let told = with(Some("https://third.example.com")).err().unwrap();
    assert!(told.contains("does not speak of"), "{told}");
    with(Some(ENTITY_ID)).unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn requests_say_who_we_are_and_are_signed_either_way() {
    let (idp, ours) = (Pair::new(), Pair::new());
    let mut settings = settings("asks", Source::Text(metadata(&[&idp], "", "")));
    settings.keys = vec![ours.our_key()];
    settings.sign_requests = true;
    settings.name_id_format =
        Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned());
    settings.authn_contexts = vec!["urn:x:mfa".to_owned()];
    let wish = SignInWish {
        force_authentication: true,
        ..SignInWish::default()
    };

    let fixture = Fixture::new(settings.clone());
    let departure = fixture.connector.begin(&wish).await.unwrap();
    let Carried::Redirect(url) = &departure.carried else {
        panic!("{departure:?}");
    };
    assert!(
        url.as_str()
            .starts_with("https://idp.example.com/sso?tenant=1&")
    );
    let message = redirect_binding::parse(url.query().unwrap()).unwrap();
    assert_eq!(message.kind, Kind::Request);
    assert_eq!(
        message.relay_state.as_deref(),
        Some(departure.relay_state.as_str())
    );
    assert!(departure.relay_state.len() <= 80 && departure.request_id.len() >= 33);
    message.verify(&[ours.der()]).unwrap();
    let xml = String::from_utf8(message.xml).unwrap();
    let id = departure.request_id.as_str();
    insta::assert_snapshot!(xml.replace(id, "_ID"), @r#"<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_ID" Version="2.0" IssueInstant="2027-03-01T08:00:00Z" Destination="https://idp.example.com/sso?tenant=1" ForceAuthn="true" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" AssertionConsumerServiceURL="https://aws.example.com/saml/asks/acs"><saml:Issuer>https://aws.example.com/saml/asks/metadata</saml:Issuer><samlp:NameIDPolicy Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent" AllowCreate="true"/><samlp:RequestedAuthnContext Comparison="exact"><saml:AuthnContextClassRef>urn:x:mfa</saml:AuthnContextClassRef></samlp:RequestedAuthnContext></samlp:AuthnRequest>"#);

    settings.request_binding = Binding::Post;
    let fixture = Fixture::new(settings);
    let departure = fixture.connector.begin(&wish).await.unwrap();
    let Carried::Form { action, fields } = &departure.carried else {
        panic!("{departure:?}");
    };
    assert_eq!(action.as_str(), "https://idp.example.com/sso/post");
    assert_eq!(
        fields.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["SAMLRequest", "RelayState"]
    );
    let xml = String::from_utf8(STANDARD.decode(&fields[0].1).unwrap()).unwrap();
    let signed = signature::verified(
        &xml,
        &[ours.der()],
        rolegate::identity::saml::gate::Allowances::default(),
    );
    assert!(signed.unwrap().contains(&departure.request_id));
}

#[tokio::test]
async fn a_provider_that_takes_signed_requests_alone_needs_our_key() {
    let idp = Pair::new();
    let document = metadata(&[&idp], "", "").replace(
        "<md:IDPSSODescriptor ",
        "<md:IDPSSODescriptor WantAuthnRequestsSigned=\"true\" ",
    );
    let mut settings = settings("wants", Source::Text(document));
    let clock = Arc::new(FixedClock::new(START));
    let told = SamlConnector::new(settings.clone(), None, clock)
        .err()
        .unwrap()
        .to_string();
    assert!(told.contains("give the connector keys"), "{told}");

    settings.keys = vec![Pair::new().our_key()];
    let fixture = Fixture::new(settings);
    let departure = fixture
        .connector
        .begin(&SignInWish::default())
        .await
        .unwrap();
    let Carried::Redirect(url) = departure.carried else {
        panic!("{departure:?}");
    };
    assert!(
        redirect_binding::parse(url.query().unwrap())
            .unwrap()
            .is_signed()
    );
}

fn session() -> ProviderSession {
    ProviderSession {
        name_id: "G-1f0c<&".to_owned(),
        format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned()),
        name_qualifier: None,
        sp_name_qualifier: None,
        session_index: Some("s-1".to_owned()),
    }
}

/// A message about logout as the provider writes it.
fn logout_message(name: &str, attributes: &str, now: OffsetDateTime, content: &str) -> String {
    format!(
        "<p:{name} xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
         xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_logout\" Version=\"2.0\" \
         IssueInstant=\"{}\" Destination=\"https://aws.example.com/saml/out/slo\"{attributes}>\
         <a:Issuer>{ENTITY_ID}</a:Issuer>{content}</p:{name}>",
        now.format(&Rfc3339).unwrap()
    )
}

const SUBJECT: &str = "<a:NameID>G-1f0c</a:NameID><p:SessionIndex>s-1</p:SessionIndex>";

fn redirected(xml: &str, kind: Kind, signer: Option<&Pair>) -> LogoutMessage {
    let slo: Url = "https://aws.example.com/saml/out/slo".parse().unwrap();
    let key = signer.map(|pair| &pair.key);
    let url = redirect_binding::url(&slo, kind, xml, Some("state"), key).unwrap();
    LogoutMessage::Query(url.query().unwrap().to_owned())
}

fn posted(xml: &str, signer: &Pair) -> LogoutMessage {
    let issuer = format!("<a:Issuer>{ENTITY_ID}</a:Issuer>");
    let template = xml.replace(&issuer, &format!("{issuer}{}", signature_of("_logout")));
    let signed = signature::sign(&template, &signer.key).unwrap();
    LogoutMessage::Form {
        request: Some(STANDARD.encode(signed)),
        response: None,
        relay_state: Some("state".to_owned()),
    }
}

#[tokio::test]
async fn the_provider_is_asked_to_end_its_session() {
    let (idp, ours) = (Pair::new(), Pair::new());
    let mut settings = settings("out", Source::Text(metadata(&[&idp], "", "")));
    settings.keys = vec![ours.our_key()];
    let fixture = Fixture::new(settings);
    let departure = fixture.connector.begin_logout(&session()).await.unwrap();
    let departure = departure.expect("it has an endpoint");
    let Carried::Redirect(url) = &departure.carried else {
        panic!("{departure:?}");
    };
    let message = redirect_binding::parse(url.query().unwrap()).unwrap();
    message.verify(&[ours.der()]).unwrap();
    let xml = String::from_utf8(message.xml).unwrap();
    insta::assert_snapshot!(xml.replace(&departure.request_id, "_ID"), @r#"<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_ID" Version="2.0" IssueInstant="2027-03-01T08:00:00Z" Destination="https://idp.example.com/slo?tenant=1" NotOnOrAfter="2027-03-01T08:05:00Z"><saml:Issuer>https://aws.example.com/saml/out/metadata</saml:Issuer><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">G-1f0c&lt;&amp;</saml:NameID><samlp:SessionIndex>s-1</samlp:SessionIndex></samlp:LogoutRequest>"#);

    let attributes = format!(" InResponseTo=\"{}\"", departure.request_id);
    let status = "<p:Status><p:StatusCode \
                  Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></p:Status>";
    let answer = logout_message("LogoutResponse", &attributes, START, status);
    let read = fixture
        .connector
        .read_logout(&redirected(&answer, Kind::Response, Some(&idp)))
        .await
        .unwrap();
    let Logout::Answered {
        request_id,
        is_done,
    } = read
    else {
        panic!("{read:?}");
    };
    assert_eq!(request_id, Some(departure.request_id));
    assert!(is_done);
}

#[tokio::test]
async fn the_provider_may_ask_us_to_end_sessions_and_is_answered() {
    let (idp, ours) = (Pair::new(), Pair::new());
    let mut settings = settings("out", Source::Text(metadata(&[&idp], "", "")));
    settings.keys = vec![ours.our_key()];
    let fixture = Fixture::new(settings);
    let xml = logout_message("LogoutRequest", "", START, SUBJECT);
    for message in [
        redirected(&xml, Kind::Request, Some(&idp)),
        posted(&xml, &idp),
    ] {
        let read = fixture.connector.read_logout(&message).await.unwrap();
        let Logout::Requested {
            request_id,
            name_id,
            session_indexes,
            relay_state,
            replay_until,
        } = read
        else {
            panic!("{read:?}");
        };
        assert_eq!(
            (request_id.as_str(), name_id.as_deref()),
            ("_logout", Some("G-1f0c"))
        );
        assert_eq!(session_indexes, ["s-1"]);
        assert_eq!(relay_state.as_deref(), Some("state"));
        assert!(replay_until >= START + Duration::from_mins(6));
    }

    let carried = fixture
        .connector
        .answer_logout("_logout", Some("state"), true)
        .await
        .unwrap();
    let Some(Carried::Redirect(url)) = carried else {
        panic!("{carried:?}");
    };
    let message = redirect_binding::parse(url.query().unwrap()).unwrap();
    assert_eq!(message.kind, Kind::Response);
    message.verify(&[ours.der()]).unwrap();
    let xml = String::from_utf8(message.xml).unwrap();
    assert!(xml.contains("InResponseTo=\"_logout\"") && xml.contains(":Success\""));
}

#[tokio::test]
async fn messages_about_logout_that_are_not_the_providers_or_not_for_us_end_nothing() {
    let (idp, stranger) = (Pair::new(), Pair::new());
    let fixture = Fixture::new(settings("out", Source::Text(metadata(&[&idp], "", ""))));
    let good = logout_message("LogoutRequest", "", START, SUBJECT);
    let send = |xml: String| redirected(&xml, Kind::Request, Some(&idp));
    let old = START - Duration::from_mins(7);
    let early = START + Duration::from_mins(2);
    for (message, expected) in [
        (redirected(&good, Kind::Request, None), Reason::Unsigned),
        (
            redirected(&good, Kind::Request, Some(&stranger)),
            Reason::Signature,
        ),
        (posted(&good, &stranger), Reason::Signature),
        (
            LogoutMessage::Form {
                request: Some(STANDARD.encode(&good)),
                response: None,
                relay_state: None,
            },
            Reason::Unsigned,
        ),
        (
            send(good.replace(ENTITY_ID, "https://other.example.com")),
            Reason::Issuer,
        ),
        (
            send(good.replace("/saml/out/slo", "/saml/other/slo")),
            Reason::Destination,
        ),
        (
            send(logout_message("LogoutRequest", "", old, SUBJECT)),
            Reason::Expired,
        ),
        (
            send(logout_message("LogoutRequest", "", early, SUBJECT)),
            Reason::NotYetValid,
        ),
        (
            send(logout_message(
                "LogoutRequest",
                " NotOnOrAfter=\"2027-03-01T07:58:00Z\"",
                START,
                SUBJECT,
            )),
            Reason::Expired,
        ),
    ] {
        let refused = fixture.connector.read_logout(&message).await.unwrap_err();
        assert_eq!(reason(&refused), expected);
    }
}

#[tokio::test]
async fn our_metadata_has_every_key_twice_and_never_changes_by_itself() {
    let (idp, first, second) = (Pair::new(), Pair::new(), Pair::new());
    let mut settings = settings("meta", Source::Text(metadata(&[&idp], "", "")));
    settings.keys = vec![first.our_key(), second.our_key()];
    settings.sign_requests = true;
    settings.name_id_format =
        Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".to_owned());
    let fixture = Fixture::new(settings.clone());
    let text = fixture.connector.metadata().unwrap();
    fixture.clock.advance(time::Duration::days(9));
    assert_eq!(fixture.connector.metadata().unwrap(), text);
    assert_eq!(Fixture::new(settings).connector.metadata().unwrap(), text);
    let shown = text
        .replace(&STANDARD.encode(first.der()), "FIRST")
        .replace(&STANDARD.encode(second.der()), "SECOND");
    insta::assert_snapshot!(shown, @r#"
    <?xml version="1.0" encoding="UTF-8"?>
    <md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://aws.example.com/saml/meta/metadata">
      <md:SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
        <md:KeyDescriptor use="signing">
          <ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>FIRST</ds:X509Certificate></ds:X509Data></ds:KeyInfo>
        </md:KeyDescriptor>
        <md:KeyDescriptor use="signing">
          <ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>SECOND</ds:X509Certificate></ds:X509Data></ds:KeyInfo>
        </md:KeyDescriptor>
        <md:KeyDescriptor use="encryption">
          <ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>FIRST</ds:X509Certificate></ds:X509Data></ds:KeyInfo>
          <md:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"/>
          <md:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes128-gcm"/>
          <md:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/>
        </md:KeyDescriptor>
        <md:KeyDescriptor use="encryption">
          <ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>SECOND</ds:X509Certificate></ds:X509Data></ds:KeyInfo>
          <md:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"/>
          <md:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes128-gcm"/>
          <md:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/>
        </md:KeyDescriptor>
        <md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://aws.example.com/saml/meta/slo"/>
        <md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://aws.example.com/saml/meta/slo"/>
        <md:NameIDFormat>urn:oasis:names:tc:SAML:2.0:nameid-format:persistent</md:NameIDFormat>
        <md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://aws.example.com/saml/meta/acs" index="0" isDefault="true"/>
      </md:SPSSODescriptor>
    </md:EntityDescriptor>
    "#);
    let parsed: samael::metadata::EntityDescriptor = text.parse().unwrap();
    assert_eq!(
        parsed.entity_id.as_deref(),
        Some("https://aws.example.com/saml/meta/metadata")
    );
}

#[test]
fn an_aws_application_gets_the_role_and_the_deep_link() {
    let idp = Pair::new();
    let destination: Url = "https://console.aws.amazon.com/s3/home?region=eu-west-1#x"
        .parse()
        .unwrap();
    let target = AwsApplication {
        account: "111122223333",
        role_arn: "arn:aws:iam::111122223333:role/a/B",
        role_name: "B",
        destination: Some(&destination),
    };
    let told: Vec<String> = [
        "https://idp.example.com/app/{account}?role={role_arn}&to={relay_state}",
        "https://idp.example.com/app?x=1",
    ]
    .into_iter()
    .map(|template| {
        let mut settings = settings("app", Source::Text(metadata(&[&idp], "", "")));
        settings.aws_application_url = Some(template.to_owned());
        let connector = Fixture::new(settings).connector;
        connector.aws_application(&target).unwrap().to_string()
    })
    .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    https://idp.example.com/app/111122223333?role=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fa%2FB&to=https%3A%2F%2Fconsole.aws.amazon.com%2Fs3%2Fhome%3Fregion%3Deu-west-1%23x
    https://idp.example.com/app?x=1&RelayState=https%3A%2F%2Fconsole.aws.amazon.com%2Fs3%2Fhome%3Fregion%3Deu-west-1%23x
    "#);
}

#[tokio::test]
async fn the_ends_of_certificates_are_told() {
    let (idp, ours) = (Pair::new(), Pair::new());
    let mut settings = settings("probe", Source::Text(metadata(&[&idp], "", "")));
    settings.keys = vec![ours.our_key()];
    let fixture = Fixture::keeping(settings, None, START + Duration::from_hours(24 * 70));
    let findings = fixture.connector.probe().await;
    assert!(findings.iter().all(|finding| !finding.is_error));
    let told: Vec<String> = findings
        .iter()
        .map(|finding| format!("{}: {}", finding.about, finding.message))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    metadata: speaks of https://idp.example.com/metadata
    the provider's certificate 1: ends in 20 days; plan its successor
    keys[0]: ends in 20 days; plan its successor
    "#);
}

#[tokio::test]
async fn the_server_fetches_metadata_by_itself_and_its_metrics_say_so() {
    let idp = Pair::new();
    let published = Published::start(metadata(&[&idp], "", "")).await;
    let app = TestApp::start_overriding(&[
        ("AWS__SESSION_NAME", "{connector}-{username}"),
        ("CONNECTOR__SERVED__TYPE", "saml"),
        (
            "CONNECTOR__SERVED__IDP_METADATA_URL",
            published.url.as_str(),
        ),
    ])
    .await;
    let metrics = app.operations_url.join("/metrics").unwrap();
    let line = "rolegate_provider_metadata_fresh{connector=\"served\"} 1";
    let seen = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            let answer = reqwest::get(metrics.clone()).await.unwrap();
            if answer.text().await.unwrap().contains(line) {
                return;
            }
        }
    });
    seen.await.expect("the metrics never said so");
    assert_eq!(published.asked(), 1);
    let (document, _) = app.store.document("served").await.unwrap().unwrap();
    assert!(document.ends_with("</md:EntityDescriptor>"));
}
