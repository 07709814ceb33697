//! Responses in the shape of well-known providers: prefixes, where they sign, how they name people
//! and what they say of them, as each does by default.
//!
//! Entry points: one function for each provider, which takes a request for addresses, ids and times
//! alone; [`all`] for a case of each.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::pkey::{PKey, Public};
use time::Duration;

use super::{
    cases::{Case, Verdict},
    encryption::{Content, Encryption},
    provider::{
        Claim, Draft, EMAIL, PERSISTENT, Request, TRANSIENT, TestIdentityProvider, URI, instant,
    },
    scene::{Scene, attributes},
    signature::Signing,
    xml::{Canonicalization, Element, Prefixes},
};

const UNSPECIFIED_NAME_ID: &str = "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified";
const UNSPECIFIED_ATTRIBUTE: &str = "urn:oasis:names:tc:SAML:2.0:attrname-format:unspecified";
const UNSPECIFIED_CONTEXT: &str = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified";
const ENTITY: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:entity";
const MICROSOFT: &str = "http://schemas.microsoft.com";
const XMLSOAP: &str = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims";

/// Where Entra puts the groups, as GUIDs.
pub const ENTRA_GROUPS: &str = "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups";
/// What Entra sends instead of more than 150 groups.
pub const ENTRA_OVERAGE: &str = "http://schemas.microsoft.com/claims/groups.link";

/// A response in a provider's shape, with what has to be read from it.
#[derive(Debug, Clone)]
pub struct Shaped {
    pub draft: Draft,
    pub name_id: String,
    pub claims: Vec<Claim>,
}

/// Keycloak: response and assertion signed, `KeyName` and `KeyValue` beside the certificate, roles
/// and groups in one attribute each.
pub fn keycloak(provider: &Arc<TestIdentityProvider>, request: &Request) -> Shaped {
    let mut random = request.random.clone();
    let name_id = format!("G-{}", random.guid());
    let claims = vec![
        Claim::new("Role", &["offline_access", "uma_authorization", "aws"])
            .friendly("Role")
            .typed(),
        Claim::new("groups", &["/engineering", "/engineering/platform"]).typed(),
        Claim::new("email", &["alice@example.com"])
            .friendly("email")
            .typed(),
    ];
    let request = told(request, &name_id, PERSISTENT, &claims);
    let ids = [random.guid(), random.guid()].map(|id| format!("ID_{id}"));
    let session = format!("{}::{}", random.guid(), random.guid());
    let draft = drafted(provider, &request, &[("ds", "dsig")]).edit(|r| {
        r.set("ID", &*ids[0]);
        r.at("Assertion").set("ID", &*ids[1]);
        r.at("Assertion/AuthnStatement")
            .set("SessionIndex", session);
        context(r, UNSPECIFIED_CONTEXT);
        milliseconds(r);
    });
    let primary = &provider.primary;
    let rsa = primary.key.rsa().expect("an RSA key");
    let number = |name, value: Vec<u8>| Element::new(name).child(&*STANDARD.encode(value));
    let mut signing = draft.usual();
    if let Some(key_info) = &mut signing.key_info {
        key_info.push_front(Element::new("ds:KeyName").child("Zr3kQmXcVtTn0aF2y5cE7Q_uPq9sLw"));
        key_info.push(
            Element::new("ds:KeyValue").child(
                Element::new("ds:RSAKeyValue")
                    .child(number("ds:Modulus", rsa.n().to_vec()))
                    .child(number("ds:Exponent", rsa.e().to_vec())),
            ),
        );
    }
    let draft = draft.sign("Assertion", &signing).sign("", &signing);
    Shaped {
        draft,
        name_id,
        claims,
    }
}

/// AD FS: the assertion signed, its namespace the default one, claim URIs without a format.
pub fn adfs(provider: &Arc<TestIdentityProvider>, request: &Request) -> Shaped {
    let name_id = "CORP\\alice".to_owned();
    let claims = vec![
        Claim::new(&format!("{XMLSOAP}/upn"), &["alice@corp.example.com"]).format(None),
        Claim::new(&format!("{XMLSOAP}/emailaddress"), &["alice@example.com"]).format(None),
        Claim::new(
            "http://schemas.xmlsoap.org/claims/Group",
            &["Domain Users", "AWS-Operators"],
        )
        .format(None),
    ];
    let request = told(request, &name_id, UNSPECIFIED_NAME_ID, &claims);
    let draft = drafted(provider, &request, &[("saml", "")]).edit(|r| {
        r.unset("xmlns:saml");
        r.set("Consent", "urn:oasis:names:tc:SAML:2.0:consent:unspecified");
        milliseconds(r);
        r.at("Assertion/Subject/NameID").unset("Format");
    });
    Shaped {
        draft: draft.sign_assertion(),
        name_id,
        claims,
    }
}

/// Okta: response and assertion signed, typed values of unspecified format, a PrefixList.
pub fn okta(provider: &Arc<TestIdentityProvider>, request: &Request) -> Shaped {
    let shaped = okta_unsigned(provider, request);
    let signing = okta_signing(&shaped.draft);
    let draft = shaped.draft.sign("Assertion", &signing).sign("", &signing);
    Shaped { draft, ..shaped }
}

/// Okta with encryption: nothing but the assertion is signed, inside of what is encrypted.
pub fn okta_encrypted(
    provider: &Arc<TestIdentityProvider>,
    request: &Request,
    recipient: &PKey<Public>,
) -> Shaped {
    let shaped = okta_unsigned(provider, request);
    let signing = okta_signing(&shaped.draft);
    let draft = shaped
        .draft
        .sign("Assertion", &signing)
        .encrypt(Encryption::USUAL, recipient);
    Shaped { draft, ..shaped }
}

/// Entra ID: the assertion signed, the default namespace for assertion and signature, groups as
/// GUIDs.
pub fn entra(provider: &Arc<TestIdentityProvider>, request: &Request) -> Shaped {
    let mut random = request.random.clone();
    let groups = [random.guid(), random.guid(), random.guid()];
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    entra_with(provider, request, Claim::new(ENTRA_GROUPS, &groups))
}

/// Entra ID for somebody in more than 150 groups: a link instead of them.
pub fn entra_overage(provider: &Arc<TestIdentityProvider>, request: &Request) -> Shaped {
    let mut random = request.random.clone();
    let (tenant, object) = (random.guid(), random.guid());
    let link = format!("https://graph.windows.net/{tenant}/users/{object}/getMemberObjects");
    entra_with(provider, request, Claim::new(ENTRA_OVERAGE, &[&link]))
}

/// Google Workspace: the assertion signed, values of any type.
pub fn google(provider: &Arc<TestIdentityProvider>, request: &Request) -> Shaped {
    let shaped = google_unsigned(provider, request);
    Shaped {
        draft: shaped.draft.sign_assertion(),
        ..shaped
    }
}

/// Google Workspace with "Signed response".
pub fn google_response(provider: &Arc<TestIdentityProvider>, request: &Request) -> Shaped {
    let shaped = google_unsigned(provider, request);
    Shaped {
        draft: shaped.draft.sign_response(),
        ..shaped
    }
}

/// Shibboleth: the response signed, its assertion encrypted, attributes by OID, a transient NameID.
pub fn shibboleth(
    provider: &Arc<TestIdentityProvider>,
    request: &Request,
    recipient: &PKey<Public>,
) -> Shaped {
    let mut random = request.random.clone();
    let name_id = format!("AAdzZWNyZXQx{}", random.word(40));
    let oid = |oid: &str, friendly: &str, values: &[&str]| {
        Claim::new(&format!("urn:oid:{oid}"), values)
            .format(Some(URI))
            .friendly(friendly)
    };
    let claims = vec![
        oid(
            "1.3.6.1.4.1.5923.1.1.1.6",
            "eduPersonPrincipalName",
            &["alice@example.edu"],
        ),
        oid("0.9.2342.19200300.100.1.3", "mail", &["alice@example.edu"]),
        oid(
            "1.3.6.1.4.1.5923.1.5.1.1",
            "isMemberOf",
            &["aws:operators", "staff"],
        ),
    ];
    let request = told(request, &name_id, TRANSIENT, &claims);
    let qualifier = (provider.entity_id.clone(), request.audience.clone());
    let draft = drafted(
        provider,
        &request,
        &[("saml", "saml2"), ("samlp", "saml2p")],
    )
    .edit(|r| {
        milliseconds(r);
        let name_id = r.at("Assertion/Subject/NameID");
        name_id.set("NameQualifier", qualifier.0);
        name_id.set("SPNameQualifier", qualifier.1);
        r.at("Assertion/Subject/SubjectConfirmation/SubjectConfirmationData")
            .set("Address", "192.0.2.7");
        let locality = Element::new("saml:SubjectLocality").with("Address", "192.0.2.7");
        r.at("Assertion/AuthnStatement").push_front(locality);
    });
    let listed = Canonicalization::Exclusive(vec!["xs"]);
    let signing = Signing {
        wrapped_at: Some(76),
        ..draft.usual().canonicalized(listed)
    };
    let encryption = Encryption::USUAL.content(Content::Aes128Gcm);
    let draft = draft.encrypt(encryption, recipient).sign("", &signing);
    Shaped {
        draft,
        name_id,
        claims,
    }
}

/// A case of every shape; all of them are accepted.
pub fn all(scene: &Scene) -> Vec<Case> {
    let (provider, request) = (&scene.provider, &scene.request());
    let recipient = &scene.decryption.public_key();
    let shapes = [
        ("keycloak", keycloak(provider, request)),
        ("adfs", adfs(provider, request)),
        ("okta", okta(provider, request)),
        (
            "okta-encrypted",
            okta_encrypted(provider, request, recipient),
        ),
        ("entra", entra(provider, request)),
        ("entra-overage", entra_overage(provider, request)),
        ("google", google(provider, request)),
        ("google-response", google_response(provider, request)),
        ("shibboleth", shibboleth(provider, request, recipient)),
    ];
    let cases = shapes.into_iter().map(|(name, shaped)| Case {
        id: format!("preset-{name}"),
        class: "preset",
        document: shaped.draft.into(),
        expected: Verdict::Accept,
        reasons: &[],
        name_id: shaped.name_id,
        attributes: attributes(&shaped.claims),
        at: request.now,
        in_response_to: request.in_response_to.clone(),
        audience: request.audience.clone(),
        acs_url: request.acs_url.clone(),
        entity_id: provider.entity_id.clone(),
        certificates: vec![provider.primary.der()],
        decryption_key: Some(scene.decryption.key.clone()),
    });
    cases.collect()
}

fn okta_unsigned(provider: &Arc<TestIdentityProvider>, request: &Request) -> Shaped {
    let mut random = request.random.clone();
    let name_id = "alice@example.com".to_owned();
    let claims: Vec<Claim> = [
        Claim::new("email", &["alice@example.com"]),
        Claim::new("firstName", &["Alice"]),
        Claim::new("groups", &["Everyone", "aws-operators"]),
    ]
    .map(|claim| claim.format(Some(UNSPECIFIED_ATTRIBUTE)).typed())
    .into();
    let request = told(request, &name_id, UNSPECIFIED_NAME_ID, &claims);
    let mut id = || format!("id{:020}", random.next());
    let ids = [id(), id()];
    let draft = drafted(
        provider,
        &request,
        &[("saml", "saml2"), ("samlp", "saml2p")],
    )
    .edit(|r| {
        r.unset("xmlns:saml");
        r.set("ID", &*ids[0]);
        r.at("Assertion").set("ID", &*ids[1]);
        r.at("Issuer").set("Format", ENTITY);
        r.at("Assertion/Issuer").set("Format", ENTITY);
        r.at("Assertion/AuthnStatement")
            .unset("SessionNotOnOrAfter");
        milliseconds(r);
    });
    Shaped {
        draft,
        name_id,
        claims,
    }
}

fn okta_signing(draft: &Draft) -> Signing {
    let listed = Canonicalization::Exclusive(vec!["xs"]);
    Signing {
        wrapped_at: Some(76),
        ..draft.usual().canonicalized(listed)
    }
}

fn entra_with(provider: &Arc<TestIdentityProvider>, request: &Request, groups: Claim) -> Shaped {
    let mut random = request.random.clone();
    let name_id = "alice@example.com".to_owned();
    let tenant = random.guid();
    let claims: Vec<Claim> = [
        Claim::new(&format!("{MICROSOFT}/identity/claims/tenantid"), &[&tenant]),
        Claim::new(
            &format!("{MICROSOFT}/identity/claims/objectidentifier"),
            &[&random.guid()],
        ),
        Claim::new(
            &format!("{MICROSOFT}/identity/claims/displayname"),
            &["Alice Example"],
        ),
        groups,
        Claim::new(
            &format!("{MICROSOFT}/identity/claims/identityprovider"),
            &[&format!("https://sts.windows.net/{tenant}/")],
        ),
        Claim::new(
            &format!("{MICROSOFT}/claims/authnmethodsreferences"),
            &[
                &format!("{MICROSOFT}/ws/2008/06/identity/authenticationmethod/password"),
                &format!("{MICROSOFT}/claims/multipleauthn"),
            ],
        ),
        Claim::new(&format!("{XMLSOAP}/emailaddress"), &["alice@example.com"]),
        Claim::new(&format!("{XMLSOAP}/name"), &["alice@example.com"]),
    ]
    .map(|claim| claim.format(None))
    .into();
    let request = told(request, &name_id, EMAIL, &claims);
    let (from, until) = (
        request.now - Duration::minutes(5),
        request.now + Duration::hours(1),
    );
    let draft = drafted(provider, &request, &[("saml", ""), ("ds", "")]).edit(|r| {
        r.unset("xmlns:saml");
        let conditions = r.at("Assertion/Conditions");
        conditions.set("NotBefore", instant(from));
        conditions.set("NotOnOrAfter", instant(until));
        r.at("Assertion/Subject/SubjectConfirmation/SubjectConfirmationData")
            .set("NotOnOrAfter", instant(until));
        let id = r.copy("Assertion").id().to_owned();
        let authn = r.at("Assertion/AuthnStatement");
        authn.set("SessionIndex", id);
        authn.unset("SessionNotOnOrAfter");
        context(r, "urn:oasis:names:tc:SAML:2.0:ac:classes:Password");
        milliseconds(r);
    });
    Shaped {
        draft: draft.sign_assertion(),
        name_id,
        claims,
    }
}

fn google_unsigned(provider: &Arc<TestIdentityProvider>, request: &Request) -> Shaped {
    let name_id = "alice@example.com".to_owned();
    let claims: Vec<Claim> = [
        Claim::new("email", &["alice@example.com"]),
        Claim::new("groups", &["AWS Operators"]),
    ]
    .map(|claim| claim.format(None))
    .into();
    let request = told(request, &name_id, EMAIL, &claims);
    let draft = drafted(
        provider,
        &request,
        &[("saml", "saml2"), ("samlp", "saml2p")],
    )
    .edit(|r| {
        r.unset("xmlns:saml");
        let value = r.at("Assertion/AttributeStatement/Attribute/AttributeValue");
        *value = value.clone().declaring("xs").with("xsi:type", "xs:anyType");
        context(r, UNSPECIFIED_CONTEXT);
        milliseconds(r);
    });
    Shaped {
        draft,
        name_id,
        claims,
    }
}

/// The request with what the provider says of a person.
fn told(request: &Request, name_id: &str, format: &'static str, claims: &[Claim]) -> Request {
    Request {
        name_id: name_id.to_owned(),
        name_id_format: format,
        attributes: claims.to_vec(),
        ..request.clone()
    }
}

fn drafted(
    provider: &Arc<TestIdentityProvider>,
    request: &Request,
    prefixes: &[(&'static str, &str)],
) -> Draft {
    Draft {
        prefixes: Prefixes::with(prefixes),
        ..provider.response(request)
    }
}

fn context(response: &mut Element, class: &str) {
    response
        .at("Assertion/AuthnStatement/AuthnContext/AuthnContextClassRef")
        .fill(class);
}

/// Gives every time of the response milliseconds.
fn milliseconds(element: &mut Element) {
    const TIMES: [&str; 5] = [
        "IssueInstant",
        "NotBefore",
        "NotOnOrAfter",
        "AuthnInstant",
        "SessionNotOnOrAfter",
    ];
    for (name, value) in &mut element.attributes {
        if TIMES.contains(&name.as_str()) {
            *value = value.replace('Z', ".000Z");
        }
    }
    for child in &mut element.children {
        if let super::xml::Node::Element(child) = child {
            milliseconds(child);
        }
    }
}
