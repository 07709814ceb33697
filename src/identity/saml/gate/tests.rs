//! A case for each rule. Each is one edit of a message that is let through.

use super::*;
use crate::identity::saml::refusal::Reason as R;

const RESPONSE: &str = r#"<samlp:Response xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_r1" Version="2.0" IssueInstant="2030-06-01T12:00:00Z" Destination="https://sp.test/acs?a=1&amp;b=2" InResponseTo="_q1"><saml:Issuer>https://idp.test/a&amp;b</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"></samlp:StatusCode></samlp:Status>{ASSERTION}</samlp:Response>"#;

const ASSERTION: &str = r##"<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_a1" Version="2.0" IssueInstant="2030-06-01T12:00:00Z"><saml:Issuer>https://idp.test</saml:Issuer><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo><ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"></ds:SignatureMethod><ds:Reference URI="#_a1"><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"><ec:InclusiveNamespaces xmlns:ec="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="xs"></ec:InclusiveNamespaces></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>AAAA</ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue>BBBB</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>CCCC</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature><saml:Subject><saml:NameID Format="f">alice</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData NotOnOrAfter="2030-06-01T12:05:00Z"></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject><saml:Conditions><saml:AudienceRestriction><saml:Audience>https://sp.test</saml:Audience></saml:AudienceRestriction></saml:Conditions><saml:AuthnStatement AuthnInstant="2030-06-01T12:00:00Z"><saml:AuthnContext><saml:AuthnContextClassRef>c</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement><saml:Attribute Name="groups"><saml:AttributeValue xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xs:string">readers</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>"##;

const ENCRYPTED: &str = r##"<saml:EncryptedAssertion><xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" Id="_d" Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"></xenc:EncryptionMethod><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:RetrievalMethod URI="#_k" Type="http://www.w3.org/2001/04/xmlenc#EncryptedKey"></ds:RetrievalMethod></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>AAAA</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData><xenc:EncryptedKey xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" Id="_k" Recipient="https://sp.test"><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"><ds:DigestMethod xmlns:ds="http://www.w3.org/2000/09/xmldsig#" Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"></ds:DigestMethod></xenc:EncryptionMethod><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>CN=sp</ds:X509IssuerName><ds:X509SerialNumber>1</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>AAAA</xenc:CipherValue></xenc:CipherData><xenc:ReferenceList><xenc:DataReference URI="#_d"></xenc:DataReference></xenc:ReferenceList><xenc:CarriedKeyName>k</xenc:CarriedKeyName></xenc:EncryptedKey></saml:EncryptedAssertion>"##;

const LOGOUT_REQUEST: &str = r#"<p:LogoutRequest xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" ID="_l1" Version="2.0" Destination="https://sp.test/slo"><Issuer xmlns="urn:oasis:names:tc:SAML:2.0:assertion">idp</Issuer><NameID xmlns="urn:oasis:names:tc:SAML:2.0:assertion">alice</NameID><p:SessionIndex>1</p:SessionIndex><p:SessionIndex>2</p:SessionIndex></p:LogoutRequest>"#;

const LOGOUT_RESPONSE: &str = r#"<p:LogoutResponse xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" ID="_l2" InResponseTo="_l1" Version="2.0"><p:Status><p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder"><p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:PartialLogout"/></p:StatusCode></p:Status></p:LogoutResponse>"#;

fn plain() -> String {
    RESPONSE.replace("{ASSERTION}", ASSERTION)
}

fn encrypted() -> String {
    RESPONSE.replace("{ASSERTION}", ENCRYPTED)
}

fn look(message: &str, root: Root) -> Result<Shape, Refused> {
    inspect(message.as_bytes(), root, Allowances::default()).map(|(_, shape)| shape)
}

/// What is said of `message` after the one edit.
fn edited(message: &str, from: &str, to: &str) -> Result<Shape, Refused> {
    assert!(message.contains(from), "{from} is in the message");
    look(&message.replacen(from, to, 1), Root::Response)
}

#[track_caller]
fn refused(message: &str, edits: &[(&str, &str, R)]) {
    for (from, to, reason) in edits {
        match edited(message, from, to) {
            Ok(_) => panic!("let through: {from} -> {to}"),
            Err(refused) => assert_eq!(refused.reason, *reason, "{from} -> {to}: {refused}"),
        }
    }
}

#[track_caller]
fn let_through(message: &str, edits: &[(&str, &str)]) {
    for (from, to) in edits {
        if let Err(refused) = edited(message, from, to) {
            panic!("{from} -> {to}: {refused}");
        }
    }
}

#[test]
fn a_response_is_described() {
    let shape = look(&plain(), Root::Response).unwrap();
    assert_eq!(
        shape,
        Shape {
            id: "_r1".to_owned(),
            in_response_to: Some("_q1".to_owned()),
            destination: Some("https://sp.test/acs?a=1&b=2".to_owned()),
            issuer: Some("https://idp.test/a&b".to_owned()),
            status: Some("urn:oasis:names:tc:SAML:2.0:status:Success".to_owned()),
            is_signed: false,
            assertion: Some(AssertionShape::Plain {
                id: "_a1".to_owned(),
                is_signed: true
            }),
            uses_cbc: false,
        }
    );
}

#[test]
fn the_other_roots_are_described() {
    let assertion = look(ASSERTION, Root::Assertion).unwrap();
    assert_eq!(assertion.id, "_a1");
    assert!(assertion.is_signed);
    assert_eq!(assertion.issuer.as_deref(), Some("https://idp.test"));
    assert_eq!(assertion.assertion, None);

    let request = look(LOGOUT_REQUEST, Root::LogoutRequest).unwrap();
    assert_eq!(request.destination.as_deref(), Some("https://sp.test/slo"));
    assert!(!request.is_signed);

    let answer = look(LOGOUT_RESPONSE, Root::LogoutResponse).unwrap();
    assert_eq!(
        answer.status.as_deref(),
        Some("urn:oasis:names:tc:SAML:2.0:status:Responder")
    );
    assert_eq!(answer.in_response_to.as_deref(), Some("_l1"));

    for (message, root) in [
        (plain(), Root::Assertion),
        (ASSERTION.to_owned(), Root::Response),
        (LOGOUT_REQUEST.to_owned(), Root::LogoutResponse),
        (LOGOUT_RESPONSE.to_owned(), Root::LogoutRequest),
    ] {
        assert_eq!(look(&message, root).unwrap_err().reason, R::WrongMessage);
    }
}

#[test]
fn an_encrypted_assertion_needs_no_signature_outside() {
    let shape = look(&encrypted(), Root::Response).unwrap();
    assert_eq!(shape.assertion, Some(AssertionShape::Encrypted));
    assert!(!shape.is_signed && !shape.uses_cbc);
    let shape = edited(
        &encrypted(),
        "http://www.w3.org/2009/xmlenc11#aes256-gcm",
        "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
    );
    assert!(shape.unwrap().uses_cbc);
}

#[test]
fn what_real_providers_write_is_let_through() {
    let_through(
        &plain(),
        &[
            (
                "<samlp:Resp",
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<samlp:Resp",
            ),
            (
                "<samlp:Resp",
                "<?xml version='1.0' standalone='no' ?><!-- x --><samlp:Resp",
            ),
            ("<saml:Subject>", "\n  <!-- who -->\n  <saml:Subject>"),
            ("</samlp:Response>", "</samlp:Response >\n<!-- end -->\n"),
            (">BBBB<", ">BB&#13;\nBB<"),
            (">alice<", ">al&#x69;c\u{e9} &lt;&gt;&quot;&apos;<"),
            (">readers<", "><"),
            (">readers<", " xsi:nil=\"true\"><"),
            (
                ">readers<",
                "> <saml:NameID NameQualifier=\"q\">x</saml:NameID> <",
            ),
            (
                "Name=\"groups\"",
                "Name=\"groups\" xmlns:o=\"http://o.test/x\" o:OriginalIssuer=\"a\"",
            ),
            (
                "<samlp:Status>",
                "<samlp:Extensions><x xmlns=\"urn:x\"><y>t</y></x></samlp:Extensions><samlp:Status>",
            ),
            (
                "</samlp:Status>",
                "<samlp:StatusMessage>m</samlp:StatusMessage><samlp:StatusDetail><c xmlns=\"\">1</c></samlp:StatusDetail></samlp:Status>",
            ),
            (
                "<saml:AuthnContext>",
                "<saml:SubjectLocality Address=\"::1\"/><saml:AuthnContext>",
            ),
            (
                "</saml:Conditions>",
                "<saml:OneTimeUse/><saml:ProxyRestriction Count=\"0\"/></saml:Conditions>",
            ),
            (
                "http://www.w3.org/2001/10/xml-exc-c14n#\"></ds:C",
                "http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"></ds:C",
            ),
            (
                "<ds:X509Data>",
                "<ds:KeyName>k</ds:KeyName><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>A</ds:Modulus></ds:RSAKeyValue></ds:KeyValue><ds:X509Data>",
            ),
            (
                "ID=\"_r1\"",
                "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xsi:schemaLocation=\"urn:a b.xsd\" ID\n=\n'_r1'",
            ),
            ("https://sp.test/acs?a=1&amp;b=2", "a>b\t\n"),
        ],
    );
    let oaep = "<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2009/xmlenc11#rsa-oaep\"><ds:DigestMethod xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/><m:MGF xmlns:m=\"http://www.w3.org/2009/xmlenc11#\" Algorithm=\"http://www.w3.org/2009/xmlenc11#mgf1sha256\"/></xenc:EncryptionMethod>";
    let whole = encrypted();
    let start = whole.rfind("<xenc:EncryptionMethod").unwrap();
    let end = whole.rfind("</xenc:EncryptionMethod>").unwrap() + 24;
    let_through(
        &whole,
        &[
            (&whole[start..end], oaep),
            (
                &whole[start..end],
                "<xenc:EncryptionMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p\"/>",
            ),
            (
                "<ds:RetrievalMethod URI=\"#_k\" Type=\"http://www.w3.org/2001/04/xmlenc#EncryptedKey\">",
                "<ds:RetrievalMethod URI=\"#_k\">",
            ),
            (
                "<ds:X509Data>",
                "<o:SecurityTokenReference xmlns:o=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\"><o:KeyIdentifier>k</o:KeyIdentifier></o:SecurityTokenReference><ds:X509Data>",
            ),
        ],
    );
}

#[test]
fn the_encrypted_key_may_stand_inside() {
    let whole = encrypted();
    let start = whole.find("<xenc:EncryptedKey").unwrap();
    let end = whole.find("</saml:EncryptedAssertion>").unwrap();
    let key = &whole[start..end];
    let retrieval =
        &whole[whole.find("<ds:Retrieval").unwrap()..whole.find("</ds:KeyInfo>").unwrap()];
    let inside = whole.replace(key, "").replacen(retrieval, key, 1);
    look(&inside, Root::Response).unwrap();
    let several = inside.replacen(
        key,
        &key.replace(" Id=\"_k\"", "").repeat(MOST_ENCRYPTED_KEYS),
        1,
    );
    look(&several, Root::Response).unwrap();
    let too_many = inside.replacen(
        key,
        &key.replace(" Id=\"_k\"", "")
            .repeat(MOST_ENCRYPTED_KEYS + 1),
        1,
    );
    assert_eq!(
        look(&too_many, Root::Response).unwrap_err().reason,
        R::Encryption
    );
}

#[test]
fn bytes_that_are_no_xml_text_are_refused() {
    let message = plain();
    refused(
        &message,
        &[
            (">alice<", ">al\0ice<", R::NotUtf8),
            (">alice<", ">al\u{1}ice<", R::Malformed),
            (">alice<", ">al\u{fffe}ice<", R::Malformed),
            (">alice<", ">al&#0;ice<", R::Malformed),
            (">alice<", ">al&#xFFFF;ice<", R::Malformed),
            (">alice<", ">al&#x110000;ice<", R::Malformed),
            (">alice<", ">al&#xD800;ice<", R::Malformed),
            (">alice<", ">al&#+65;ice<", R::Malformed),
            (">alice<", ">al&#;ice<", R::Malformed),
            (">alice<", ">al&#00000000065;ice<", R::Malformed),
            ("<samlp:Resp", "\u{feff}<samlp:Resp", R::NotUtf8),
            (
                "<samlp:Resp",
                "<?xml version=\"1.0\" encoding=\"UTF-7\"?><samlp:Resp",
                R::NotUtf8,
            ),
            (
                "<samlp:Resp",
                "<?xml version=\"1.1\"?><samlp:Resp",
                R::Malformed,
            ),
            (
                "<samlp:Resp",
                "<?xml encoding=\"UTF-8\"?><samlp:Resp",
                R::Malformed,
            ),
            (
                "<samlp:Resp",
                "<?xml version=\"1.0\" standalone=\"yes\" encoding=\"UTF-8\"?><samlp:Resp",
                R::Malformed,
            ),
            (
                "<samlp:Resp",
                "<?xml version=\"1.0\" version=\"1.0\"?><samlp:Resp",
                R::Malformed,
            ),
            ("<samlp:Resp", "<?xml ?><samlp:Resp", R::Malformed),
            (
                "<samlp:Resp",
                " <?xml version=\"1.0\"?><samlp:Resp",
                R::ProcessingInstruction,
            ),
        ],
    );
    let mut broken = message.clone().into_bytes();
    broken[500] = 0xc0;
    let utf16: Vec<u8> = message.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for bytes in [broken, utf16] {
        let refused = inspect(&bytes, Root::Response, Allowances::default()).unwrap_err();
        assert_eq!(refused.reason, R::NotUtf8);
    }
    let large = vec![b' '; LARGEST + 1];
    let refused = inspect(&large, Root::Response, Allowances::default()).unwrap_err();
    assert_eq!(refused.reason, R::TooLarge);
}

#[test]
fn document_types_entities_and_instructions_are_refused() {
    refused(
        &plain(),
        &[
            ("<samlp:Resp", "<!DOCTYPE a><samlp:Resp", R::DocumentType),
            ("<samlp:Resp", "<!doctype a><samlp:Resp", R::DocumentType),
            (
                "<samlp:Resp",
                "<!DOCTYPE a [<!ENTITY b \"c\">]><samlp:Resp",
                R::DocumentType,
            ),
            (">alice<", ">al&nbsp;ice<", R::DocumentType),
            (">alice<", ">al&;ice<", R::DocumentType),
            ("ID=\"_r1\"", "ID=\"_r1\" a=\"&b;\"", R::DocumentType),
            (">alice<", ">al<?x y?>ice<", R::ProcessingInstruction),
            (
                "<samlp:Resp",
                "<?xml-stylesheet a?><samlp:Resp",
                R::ProcessingInstruction,
            ),
            (
                "<samlp:Resp",
                "<?XML version=\"1.0\"?><samlp:Resp",
                R::ProcessingInstruction,
            ),
            (
                "</samlp:Response>",
                "</samlp:Response><?a?>",
                R::ProcessingInstruction,
            ),
        ],
    );
}

#[test]
fn what_is_not_well_formed_is_refused() {
    refused(
        &plain(),
        &[
            ("</samlp:Response>", "", R::Malformed),
            ("</samlp:Response>", "</samlp:Response></a>", R::Malformed),
            ("</samlp:Response>", "</samlp:Response><a/>", R::Malformed),
            ("</samlp:Response>", "</samlp:Response>x", R::Malformed),
            ("</samlp:Response>", "</samlp:Response>&#32;", R::Malformed),
            (
                "</samlp:Response>",
                "</samlp:Response a=\"b\">",
                R::Malformed,
            ),
            ("</samlp:Response>", "</saml:Response>", R::Malformed),
            ("<samlp:Resp", "x<samlp:Resp", R::Malformed),
            (">alice<", ">al]]>ice<", R::Malformed),
            (">alice<", ">al&ice<", R::Malformed),
            (">alice<", ">al<![CDATA[ice]]><", R::MixedContent),
            ("ID=\"_r1\"", "ID=\"_r1\" ID=\"_r1\"", R::Malformed),
            ("ID=\"_r1\"", "ID=\"_r1\" a=\"<\"", R::Malformed),
            ("ID=\"_r1\"", "ID=\"_r1\" a=\"&amp\"", R::Malformed),
            ("ID=\"_r1\"", "ID=\"_r1\" a=b", R::Malformed),
            ("ID=\"_r1\"", "ID=\"_r1\" a", R::Malformed),
            ("ID=\"_r1\"", "ID=\"_r1\" 1a=\"\"", R::Malformed),
            ("ID=\"_r1\"", "ID=\"_r1\" a:b:c=\"\"", R::Malformed),
            ("ID=\"_r1\"", "ID=\"_r1\" :a=\"\"", R::Malformed),
            ("ID=\"_r1\"", "ID=\"_r1\" \u{e9}=\"\"", R::Malformed),
            ("ID=\"_r1\" ", "ID=\"_r1\"", R::Malformed),
            ("<saml:Subject>", "<saml:Subject/ >", R::Malformed),
            ("<saml:Subject>", "<><saml:Subject>", R::Malformed),
            ("<saml:Subject>", "< saml:Subject>", R::Malformed),
            (
                "<saml:Subject>",
                "<!-- a -- b --><saml:Subject>",
                R::Malformed,
            ),
            ("<saml:Subject>", "<!-- a ---><saml:Subject>", R::Malformed),
            ("<saml:Subject>", "<!--><saml:Subject>", R::Malformed),
            ("<saml:Subject>", "<!ELEMENT a><saml:Subject>", R::Malformed),
        ],
    );
    for nothing in ["", " ", "{}", "<!-- -->", "<?xml version=\"1.0\"?>"] {
        let refused = look(nothing, Root::Response).unwrap_err();
        assert_eq!(refused.reason, R::Malformed, "{nothing}");
    }
}

#[test]
fn the_size_of_everything_is_bounded() {
    let nested = |depth: usize| {
        let inside = format!("{}{}", "<x xmlns=\"\">".repeat(depth), "</x>".repeat(depth));
        format!("<samlp:Extensions>{inside}</samlp:Extensions><samlp:Status>")
    };
    let attributes = |count: usize| {
        let list: Vec<String> = (0..count).map(|n| format!(" a{n}=\"\"")).collect();
        let list = list.concat();
        format!("ID=\"_r1\"{list}")
    };
    let namespaces = |count: usize| {
        let list: Vec<String> = (0..count)
            .map(|n| format!(" xmlns:a{n}=\"urn:a\""))
            .collect();
        let list = list.concat();
        format!("ID=\"_r1\"{list}")
    };
    let scopes = |count: usize| {
        let list: Vec<String> = (0..20).map(|n| format!(" xmlns:a{n}=\"urn:a\"")).collect();
        let list = list.concat();
        let inside = format!("<x{list}>").repeat(count) + &"</x>".repeat(count);
        format!("<samlp:Extensions>{inside}</samlp:Extensions><samlp:Status>")
    };
    let message = plain();
    let_through(
        &message,
        &[
            ("<samlp:Status>", &nested(DEEPEST - 3)),
            ("ID=\"_r1\"", &attributes(MOST_ATTRIBUTES - 5)),
            ("ID=\"_r1\"", &namespaces(MOST_NAMESPACES - 2)),
            ("<samlp:Status>", &scopes(3)),
        ],
    );
    refused(
        &message,
        &[
            ("<samlp:Status>", &nested(DEEPEST - 1), R::TooComplex),
            (
                "ID=\"_r1\"",
                &attributes(MOST_ATTRIBUTES - 3),
                R::TooComplex,
            ),
            (
                "ID=\"_r1\"",
                &namespaces(MOST_NAMESPACES - 1),
                R::TooComplex,
            ),
            ("<samlp:Status>", &scopes(4), R::TooComplex),
        ],
    );
    let many = format!(
        "<samlp:Extensions xmlns=\"\">{}",
        "<x/>".repeat(MOST_ELEMENTS)
    );
    refused(&message, &[("<samlp:Status>", &many, R::TooComplex)]);
}

#[test]
fn namespaces_times_elements_times_depth_are_limited() {
    // Each within its own limit; inclusive canonicalization of the last took over a second.
    let declarations: Vec<String> = (0..MOST_NAMESPACES - 2)
        .map(|n| format!(" xmlns:a{n}=\"urn:a\""))
        .collect();
    let message = plain().replacen(
        "ID=\"_r1\"",
        &format!("ID=\"_r1\"{}", declarations.concat()),
        1,
    );
    let deep = |elements: usize| {
        let (depth, leaves) = (DEEPEST - 5, "<x/>".repeat(elements));
        format!(
            "<samlp:Extensions>{}{leaves}{}</samlp:Extensions><samlp:Status>",
            "<x>".repeat(depth),
            "</x>".repeat(depth)
        )
    };
    let_through(&message, &[("<samlp:Status>", &deep(100))]);
    refused(&message, &[("<samlp:Status>", &deep(1_000), R::TooComplex)]);
}

#[test]
fn thousands_of_values_are_let_through() {
    let values = "<saml:AttributeValue>g</saml:AttributeValue>".repeat(2500);
    let_through(
        &plain(),
        &[("</saml:Attribute>", &format!("{values}</saml:Attribute>"))],
    );
    let empty = "<saml:AttributeValue/>".repeat(5000);
    let_through(
        &plain(),
        &[("</saml:Attribute>", &format!("{empty}</saml:Attribute>"))],
    );
}

#[test]
fn namespaces_that_readers_could_take_differently_are_refused() {
    refused(
        &plain(),
        &[
            (
                "SAML:2.0:assertion\" ID=\"_a1\"",
                "SAML:2.0:assertion \" ID=\"_a1\"",
                R::Namespace,
            ),
            (
                "ID=\"_r1\"",
                "ID=\"_r1\" xmlns:a=\"relative\"",
                R::Namespace,
            ),
            ("ID=\"_r1\"", "ID=\"_r1\" xmlns:a=\"\"", R::Namespace),
            (
                "ID=\"_r1\"",
                "ID=\"_r1\" xmlns:a=\"urn:a&amp;b\"",
                R::Namespace,
            ),
            (
                "ID=\"_r1\"",
                "ID=\"_r1\" xmlns:xml=\"http://www.w3.org/XML/1998/namespace\"",
                R::Namespace,
            ),
            (
                "ID=\"_r1\"",
                "ID=\"_r1\" xmlns:a=\"http://www.w3.org/2000/xmlns/\"",
                R::Namespace,
            ),
            (
                "ID=\"_r1\"",
                "ID=\"_r1\" xmlns:xmlns=\"urn:a\"",
                R::Namespace,
            ),
            (
                "ID=\"_r1\"",
                "ID=\"_r1\" xmlns:a=\"urn:a\" xmlns:a=\"urn:a\"",
                R::Malformed,
            ),
            ("ID=\"_r1\"", "ID=\"_r1\" unknown:a=\"\"", R::Namespace),
            ("<saml:Subject>", "<unknown:x/><saml:Subject>", R::Namespace),
            (
                "xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\"",
                "xmlns:samlp=\"urn:oasis:names:tc:SAML:1.0:protocol\"",
                R::WrongMessage,
            ),
            (
                "<saml:NameID",
                "<saml:NameID xmlns:saml=\"urn:other\"",
                R::UnexpectedElement,
            ),
        ],
    );
}

#[test]
fn attributes_that_imitate_others_are_refused() {
    refused(
        &plain(),
        &[
            ("ID=\"_a1\"", "ID=\"_a1\" id=\"_b\"", R::Namespace),
            (
                "ID=\"_a1\"",
                "ID=\"_a1\" xmlns:x=\"urn:x\" x:ID=\"_b\"",
                R::Namespace,
            ),
            ("ID=\"_a1\"", "ID=\"_a1\" xml:id=\"_b\"", R::Namespace),
            (
                "ID=\"_a1\"",
                "ID=\"_a1\" xml:base=\"http://a.test/\"",
                R::Namespace,
            ),
            (
                "Destination=",
                "xmlns:x=\"urn:x\" x:Destination=",
                R::Namespace,
            ),
            ("Destination=", "samlp:Destination=", R::Namespace),
            (
                "Destination=",
                "destination=\"\" Destination=",
                R::Namespace,
            ),
            (
                "Name=\"groups\"",
                "Name=\"groups\" xmlns:x=\"urn:x\" x:name=\"admins\"",
                R::Namespace,
            ),
            (
                "Name=\"groups\"",
                "xmlns:x=\"urn:x\" x:Name=\"admins\"",
                R::Namespace,
            ),
            (
                "Format=\"f\"",
                "xmlns:x=\"urn:x\" xmlns:y=\"urn:x\" x:a=\"\" y:a=\"\"",
                R::Namespace,
            ),
        ],
    );
}

#[test]
fn the_root_and_the_assertion_are_of_version_2_with_unique_ids() {
    refused(
        &plain(),
        &[
            ("Version=\"2.0\"", "Version=\"1.1\"", R::Version),
            ("Version=\"2.0\" ", "", R::Version),
            (
                "ID=\"_a1\" Version=\"2.0\"",
                "ID=\"_a1\" Version=\"2.1\"",
                R::Version,
            ),
            ("ID=\"_r1\" ", "", R::Id),
            ("ID=\"_r1\"", "Id=\"_r1\"", R::Id),
            ("ID=\"_r1\"", "ID=\"\"", R::Id),
            ("ID=\"_r1\"", "ID=\"1r\"", R::Id),
            ("ID=\"_r1\"", "ID=\"_r' or '1'='1\"", R::Id),
            ("ID=\"_r1\"", "ID=\"_a1\"", R::Id),
            ("<ds:KeyInfo>", "<ds:KeyInfo Id=\"_r1\">", R::Id),
            ("<ds:SignedInfo>", "<ds:SignedInfo Id=\"_a1\">", R::Id),
        ],
    );
}

#[test]
fn there_is_exactly_one_assertion_in_its_place() {
    let other = ASSERTION.replace("_a1", "_a2");
    let second = format!("{other}</samlp:Response>");
    let wrapped = |element: &str| format!("<{element}>{other}</{element}>");
    let in_extensions = format!("{}<samlp:Status>", wrapped("samlp:Extensions"));
    let in_foreign =
        format!("<samlp:Extensions><x xmlns=\"\">{other}</x></samlp:Extensions><samlp:Status>");
    let in_detail = format!("{}</samlp:Status>", wrapped("samlp:StatusDetail"));
    let in_advice = format!("</saml:Conditions>{}", wrapped("saml:Advice"));
    let in_value = format!(">{other}</saml:AttributeValue>");
    let in_name = format!(">{other}</saml:NameID>");
    let in_object = format!("{}</ds:Signature>", wrapped("ds:Object"));
    let beside = format!("{ENCRYPTED}</samlp:Response>");
    refused(
        &plain(),
        &[
            ("</samlp:Response>", &second, R::AssertionCount),
            ("</samlp:Response>", &beside, R::AssertionCount),
            ("<samlp:Status>", &in_extensions, R::AssertionCount),
            ("<samlp:Status>", &in_foreign, R::AssertionCount),
            ("</samlp:Status>", &in_detail, R::AssertionCount),
            ("</saml:Conditions>", &in_advice, R::AssertionCount),
            (
                ">readers</saml:AttributeValue>",
                &in_value,
                R::AssertionCount,
            ),
            (">alice</saml:NameID>", &in_name, R::AssertionCount),
            ("</ds:Signature>", &in_object, R::SignatureShape),
            (ASSERTION, "", R::AssertionCount),
            (
                "<samlp:Status>",
                "<samlp:Extensions><Assertion xmlns=\"urn:x\"/></samlp:Extensions><samlp:Status>",
                R::UnexpectedElement,
            ),
        ],
    );
}

#[test]
fn a_failure_without_an_assertion_says_so() {
    let failed = "urn:oasis:names:tc:SAML:2.0:status:Responder\"><samlp:StatusCode Value=\"urn:x:AuthnFailed\"/>";
    let message = RESPONSE
        .replace("{ASSERTION}", "")
        .replace("urn:oasis:names:tc:SAML:2.0:status:Success\">", failed);
    let refused = look(&message, Root::Response).unwrap_err();
    assert_eq!(refused.reason, R::Status);
    assert!(
        refused.detail.contains("Responder urn:x:AuthnFailed"),
        "{refused}"
    );
}

#[test]
fn elements_stand_where_the_schema_puts_them() {
    refused(
        &plain(),
        &[
            (
                "<samlp:Status>",
                "<samlp:Other/><samlp:Status>",
                R::UnexpectedElement,
            ),
            (
                "<samlp:Status>",
                "<x xmlns=\"urn:x\"/><samlp:Status>",
                R::UnexpectedElement,
            ),
            (
                "<samlp:Status>",
                "<samlp:Status><samlp:StatusCode Value=\"a\"/></samlp:Status><samlp:Status>",
                R::UnexpectedElement,
            ),
            (
                "</samlp:Status>",
                "</samlp:Status><saml:Issuer>x</saml:Issuer>",
                R::UnexpectedElement,
            ),
            (
                "</samlp:Status>",
                "<samlp:StatusCode Value=\"x\"/></samlp:Status>",
                R::UnexpectedElement,
            ),
            (
                "<saml:Subject>",
                "<saml:Subject><saml:BaseID/>",
                R::UnexpectedElement,
            ),
            (
                "<saml:Subject>",
                "<saml:Subject><saml:EncryptedID/>",
                R::Encryption,
            ),
            (
                "<saml:Conditions>",
                "<saml:Subject/><saml:Conditions>",
                R::UnexpectedElement,
            ),
            (
                "<saml:Conditions>",
                "<saml:Conditions><saml:Condition/>",
                R::UnexpectedElement,
            ),
            (
                "</saml:Attribute>",
                "</saml:Attribute><saml:EncryptedAttribute/>",
                R::Encryption,
            ),
            (
                "<saml:AuthnContext>",
                "<saml:AuthnContext><saml:AuthnContextClassRef>d</saml:AuthnContextClassRef>",
                R::UnexpectedElement,
            ),
            (
                "</saml:AttributeStatement>",
                "</saml:AttributeStatement><saml:Advice/>",
                R::UnexpectedElement,
            ),
            (
                "</saml:AttributeStatement>",
                "</saml:AttributeStatement><saml:AuthzDecisionStatement/>",
                R::UnexpectedElement,
            ),
            (
                "<samlp:Status>",
                "<samlp:Extensions><saml:Attribute/></samlp:Extensions><samlp:Status>",
                R::UnexpectedElement,
            ),
            (
                "<saml:SubjectConfirmationData NotOnOrAfter=\"2030-06-01T12:05:00Z\">",
                "<saml:SubjectConfirmationData><x xmlns=\"\"/>",
                R::UnexpectedElement,
            ),
        ],
    );
}

#[test]
fn values_are_text_alone() {
    refused(
        &plain(),
        &[
            (">alice<", ">al<!-- -->ice<", R::MixedContent),
            (">alice<", "><!-- -->alice<", R::MixedContent),
            (">alice<", ">al<b xmlns=\"\"/>ice<", R::MixedContent),
            (">readers<", ">read<!-- -->ers<", R::MixedContent),
            (">readers<", "><!-- --><", R::MixedContent),
            (">readers<", "><b xmlns=\"\"/><", R::MixedContent),
            (
                ">readers<",
                ">a<saml:NameID>x</saml:NameID><",
                R::MixedContent,
            ),
            (
                ">readers<",
                "><saml:NameID>x</saml:NameID>a<",
                R::MixedContent,
            ),
            (
                ">readers<",
                "><saml:NameID>x<!-- --></saml:NameID><",
                R::MixedContent,
            ),
            (
                ">readers<",
                "><saml:NameID>x</saml:NameID><saml:NameID>y</saml:NameID><",
                R::MixedContent,
            ),
            (
                ">https://sp.test<",
                ">https://sp<!-- -->.test<",
                R::MixedContent,
            ),
            (
                ">https://idp.test<",
                ">https://idp<!-- -->.test<",
                R::MixedContent,
            ),
            (">AAAA<", "><!-- x -->AAAA<", R::MixedContent),
            (">BBBB<", ">BB<!-- x -->BB<", R::MixedContent),
            ("<saml:Subject>", "x<saml:Subject>", R::MixedContent),
            ("<saml:Subject>", "<saml:Subject>x", R::MixedContent),
            ("<saml:Subject>", "<saml:Subject>&#65;", R::MixedContent),
            (
                "<samlp:Status>",
                "<samlp:Extensions><x xmlns=\"\">a<y/></x></samlp:Extensions><samlp:Status>",
                R::MixedContent,
            ),
        ],
    );
}

#[test]
fn signatures_stand_in_their_place_and_hold_nothing_else() {
    let message = plain();
    let start = message.find("<ds:Signature ").unwrap();
    let end = message.find("</ds:Signature>").unwrap() + 15;
    let signature = message[start..end].to_owned();
    let on_response = signature.replace("#_a1", "#_r1");
    let twice = format!("{on_response}{on_response}<samlp:Status>");
    let late = format!("</samlp:Status>{on_response}");
    let once = format!("{on_response}<samlp:Status>");
    let inner = format!("<saml:Subject>{signature}");
    let signed = message.replacen("<samlp:Status>", &once, 1);
    assert!(look(&signed, Root::Response).unwrap().is_signed);
    let only_outside = signed.replace(&signature, "");
    let shape = look(&only_outside, Root::Response).unwrap();
    assert!(shape.is_signed);
    assert_eq!(
        shape.assertion,
        Some(AssertionShape::Plain {
            id: "_a1".to_owned(),
            is_signed: false
        })
    );
    refused(
        &message,
        &[
            (&signature, "", R::Unsigned),
            ("<samlp:Status>", &twice, R::SignatureShape),
            ("</samlp:Status>", &late, R::SignatureShape),
            ("<saml:Subject>", &inner, R::SignatureShape),
            (
                &signature,
                "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/>",
                R::SignatureShape,
            ),
            (
                "<ds:SignatureValue>",
                "<ds:SignedInfo/><ds:SignatureValue>",
                R::SignatureShape,
            ),
            (
                "</ds:SignedInfo>",
                "</ds:SignedInfo><ds:Object/>",
                R::SignatureShape,
            ),
            (
                "</ds:SignatureValue>",
                "</ds:SignatureValue><ds:SignatureValue>B</ds:SignatureValue>",
                R::SignatureShape,
            ),
            (">BBBB<", "> <", R::SignatureShape),
            (">AAAA<", "><", R::SignatureShape),
            (
                "<ds:SignatureValue>BBBB</ds:SignatureValue>",
                "",
                R::SignatureShape,
            ),
            (
                "<ds:DigestValue>AAAA</ds:DigestValue>",
                "<ds:DigestValue>A</ds:DigestValue><ds:DigestValue>AAAA</ds:DigestValue>",
                R::SignatureShape,
            ),
            (
                "</ds:Reference>",
                "</ds:Reference><ds:Reference URI=\"#_a1\"/>",
                R::SignatureShape,
            ),
            (
                "<ds:X509Data>",
                "<ds:RetrievalMethod URI=\"http://a.test/\"/><ds:X509Data>",
                R::SignatureShape,
            ),
            (
                "<ds:X509Data>",
                "<x xmlns=\"urn:x\"/><ds:X509Data>",
                R::SignatureShape,
            ),
            ("<ds:Signature ", "<ds:Signature a=\"\" ", R::SignatureShape),
        ],
    );
}

#[test]
fn references_are_to_the_signed_element_itself() {
    for uri in [
        "",
        "#",
        "#_r1",
        "#_a2",
        "_a1",
        "#_a1 ",
        "#&#95;a1",
        "#xpointer(/)",
        "#xpointer(id('_a1'))",
        "http://a.test/",
        "file:///etc/hostname",
        "?#_a1",
    ] {
        let to = format!("URI=\"{uri}\"");
        refused(&plain(), &[("URI=\"#_a1\"", &to, R::Reference)]);
    }
    refused(
        &plain(),
        &[
            (" URI=\"#_a1\"", "", R::Reference),
            ("URI=\"#_a1\"", "URI=\"#_a1\" Type=\"x\"", R::Reference),
        ],
    );
}

#[test]
fn transforms_and_algorithms_are_from_closed_lists() {
    let enveloped = "<ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></ds:Transform>";
    let xslt = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xslt-19991116\"/>";
    let exclusive = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";
    let twice = format!("{exclusive}</ds:Transforms>");
    refused(
        &plain(),
        &[
            (enveloped, "", R::Transform),
            (enveloped, xslt, R::Transform),
            ("</ds:Transforms>", &twice, R::Transform),
            ("</ds:Transforms>", xslt, R::Transform),
            (
                "xml-exc-c14n#\"><ec:",
                "xml-exc-c14n#WithComments\"><ec:",
                R::Transform,
            ),
            (
                "\"http://www.w3.org/2001/10/xml-exc-c14n#\"><ec:",
                "\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\"><ec:",
                R::Transform,
            ),
            ("<ec:Incl", "<ds:XPath>a</ds:XPath><ec:Incl", R::Transform),
            (
                "PrefixList=\"xs\"",
                "PrefixList=\"xs\" a=\"\"",
                R::Transform,
            ),
            (
                "xml-exc-c14n#\"></ds:C",
                "xml-exc-c14n#WithComments\"></ds:C",
                R::Transform,
            ),
            ("#rsa-sha256\">", "#hmac-sha256\">", R::Algorithm),
            (
                "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
                "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
                R::Algorithm,
            ),
            (
                "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
                "",
                R::Algorithm,
            ),
            (
                "#rsa-sha256\">",
                "#rsa-sha256\"><ds:HMACOutputLength>8</ds:HMACOutputLength>",
                R::SignatureShape,
            ),
            ("#rsa-sha256\">", "#rsa-sha256\" a=\"\">", R::Algorithm),
            (
                "http://www.w3.org/2001/04/xmlenc#sha256",
                "http://www.w3.org/2000/09/xmldsig#sha1",
                R::Algorithm,
            ),
            (
                "xmlenc#sha256\">",
                "xmlenc#sha256\"><a xmlns=\"\"/>",
                R::SignatureShape,
            ),
        ],
    );
    let start = plain().find("<ds:Transform ").unwrap();
    let end = plain().find("</ds:Transforms>").unwrap();
    refused(&plain(), &[(&plain()[start..end], "", R::Transform)]);
    let_through(&plain(), &[(&plain()[start..end], enveloped)]);
}

#[test]
fn sha_1_passes_only_where_it_is_allowed() {
    let message = plain()
        .replace(
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
        )
        .replace(
            "http://www.w3.org/2001/04/xmlenc#sha256",
            "http://www.w3.org/2000/09/xmldsig#sha1",
        );
    assert_eq!(
        look(&message, Root::Response).unwrap_err().reason,
        R::Algorithm
    );
    inspect(
        message.as_bytes(),
        Root::Response,
        Allowances { sha1: true },
    )
    .unwrap();
}

#[test]
fn encryption_is_what_is_known() {
    let message = encrypted();
    refused(
        &message,
        &[
            (
                "http://www.w3.org/2009/xmlenc11#aes256-gcm",
                "http://www.w3.org/2001/04/xmlenc#tripledes-cbc",
                R::Encryption,
            ),
            ("rsa-oaep-mgf1p", "rsa-1_5", R::Encryption),
            ("xmldsig#sha1", "xmldsig#md5", R::Encryption),
            (
                "aes256-gcm\">",
                "aes256-gcm\"><ds:DigestMethod xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" Algorithm=\"http://www.w3.org/2000/09/xmldsig#sha1\"/>",
                R::Encryption,
            ),
            (
                "aes256-gcm\">",
                "aes256-gcm\"><xenc:KeySize>256</xenc:KeySize>",
                R::Encryption,
            ),
            (
                "<xenc:CipherValue>AAAA</xenc:CipherValue>",
                "<xenc:CipherReference URI=\"http://a.test/\"/>",
                R::Encryption,
            ),
            (
                "<xenc:CipherValue>AAAA</xenc:CipherValue>",
                "",
                R::Encryption,
            ),
            (
                "</xenc:EncryptedData>",
                "<xenc:EncryptionProperties/></xenc:EncryptedData>",
                R::Encryption,
            ),
            ("xmlenc#Element", "xmlenc#Content", R::Encryption),
            ("URI=\"#_k\"", "URI=\"http://a.test/\"", R::Encryption),
            ("URI=\"#_k\"", "URI=\"#_d\"", R::Encryption),
            (
                "<ds:RetrievalMethod URI=\"#_k\" Type=\"http://www.w3.org/2001/04/xmlenc#EncryptedKey\">",
                "<ds:RetrievalMethod URI=\"#_k\"><ds:Transforms/>",
                R::Encryption,
            ),
            ("URI=\"#_d\"", "URI=\"#xpointer(/)\"", R::Encryption),
            (
                "<saml:EncryptedAssertion>",
                "<saml:EncryptedAssertion><x xmlns=\"\"/>",
                R::Encryption,
            ),
            (ENCRYPTED, "<saml:EncryptedAssertion/>", R::Encryption),
        ],
    );
    let start = message.find("<xenc:EncryptedKey").unwrap();
    let end = message.find("</saml:EncryptedAssertion>").unwrap();
    refused(&message, &[(&message[start..end], "", R::Encryption)]);
}

#[test]
fn logout_messages_hold_what_they_may() {
    for (from, to, reason) in [
        (
            "<NameID",
            "<Assertion xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\"/><NameID",
            R::AssertionCount,
        ),
        ("<NameID", "<p:Status/><NameID", R::UnexpectedElement),
        (">alice<", ">al<!-- -->ice<", R::MixedContent),
        ("Version=\"2.0\"", "", R::Version),
    ] {
        let message = LOGOUT_REQUEST.replacen(from, to, 1);
        assert_eq!(
            look(&message, Root::LogoutRequest).unwrap_err().reason,
            reason,
            "{to}"
        );
    }
}
