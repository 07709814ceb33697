//! Documents that are expensive to read: large, deep, wide, or programs.

use super::{Recipe, accept, reject};
use crate::support::saml::{
    provider::{Claim, transform},
    scene::Scene,
    signature::ENVELOPED,
    xml::{Element, Node},
};

const LARGE: &[&str] = &["too_large"];
const COMPLEX: &[&str] = &["too_complex", "too_large"];
const XSLT: &str = "http://www.w3.org/TR/1999/REC-xslt-19991116";
const XPATH: &str = "http://www.w3.org/TR/1999/REC-xpath-19991116";

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = programs();
    recipes.extend(sizes());
    recipes
}

fn programs() -> Vec<Recipe> {
    vec![
        reject("complexity-stylesheet", &["signature_transform"], |s| {
            // Each template calls the next one ten times.
            let mut stylesheet = Element::new("xsl:stylesheet").with("version", "1.0");
            for n in 0..9 {
                let call = Element::new("xsl:call-template").with("name", format!("t{}", n + 1));
                let mut template = Element::new("xsl:template").with("name", format!("t{n}"));
                (0..10).for_each(|_| template.push(call.clone()));
                stylesheet.push(template);
            }
            let text = Element::new("xsl:text").child("lol");
            stylesheet.push(Element::new("xsl:template").with("name", "t9").child(text));
            let first = Element::new("xsl:call-template").with("name", "t0");
            stylesheet.push(Element::new("xsl:template").with("match", "/").child(first));
            with_transform(s, transform(XSLT).child(stylesheet))
        }),
        reject("complexity-xpath", &["signature_transform"], |s| {
            let all = "count(//*[count(//*[count(//*[count(//*)>0])>0])>0])>0";
            let expression = Element::new("ds:XPath").child(all);
            with_transform(s, transform(XPATH).child(expression))
        }),
        reject(
            "complexity-references",
            &[
                "signature_shape",
                "signature_reference",
                "too_large",
                "too_complex",
            ],
            |s| {
                let signing = s.attacker().tweaked(|signature| {
                    let reference = signature.copy("SignedInfo/Reference");
                    for _ in 0..5_000 {
                        signature.at("SignedInfo").push(reference.clone());
                    }
                });
                s.draft().sign("Assertion", &signing)
            },
        ),
        reject(
            "complexity-references-within-size",
            &["signature_shape", "signature_reference", "too_complex"],
            |s| {
                let signing = s.attacker().tweaked(|signature| {
                    let reference = signature.copy("SignedInfo/Reference");
                    for _ in 0..150 {
                        signature.at("SignedInfo").push(reference.clone());
                    }
                });
                s.draft().sign("Assertion", &signing)
            },
        ),
    ]
}

fn sizes() -> Vec<Recipe> {
    vec![
        reject("complexity-50000-attributes", COMPLEX, |s| {
            wide(s, 50_000, "a")
        }),
        reject("complexity-attributes-within-size", &["too_complex"], |s| {
            wide(s, 8_000, "a")
        }),
        reject("complexity-20000-namespaces", COMPLEX, |s| {
            wide(s, 20_000, "xmlns:n")
        }),
        reject("complexity-namespaces-within-size", &["too_complex"], |s| {
            wide(s, 3_000, "xmlns:n")
        }),
        reject("complexity-100000-deep", COMPLEX, |s| deep(s, 100_000)),
        reject(
            "complexity-deep-within-size",
            &["too_complex", "unexpected_element"],
            |s| deep(s, 5_000),
        ),
        reject(
            "complexity-elements-within-size",
            &["too_complex", "unexpected_element"],
            |s| {
                let many = "<a/>".repeat(25_000);
                s.signed().edit(|r| {
                    let holder = Element::new("samlp:Extensions").child(Node::raw(many));
                    r.insert_after("Issuer", holder);
                })
            },
        ),
        reject(
            "complexity-elements-by-namespaces-by-depth",
            &["too_complex"],
            |s| {
                // Signed by a stranger: what it costs is spent before the signature is refused.
                let many = format!(
                    "{}{}{}",
                    "<n1:a>".repeat(55),
                    "<n1:a/>".repeat(4_500),
                    "</n1:a>".repeat(55)
                );
                let xml = (s.draft())
                    .edit(|r| {
                        let holder = Element::new("samlp:Extensions").child(Node::raw(many));
                        r.insert_after("Issuer", holder);
                    })
                    .sign("Assertion", &s.attacker())
                    .xml();
                let declared = (0..28).map(|n| format!(" xmlns:n{n}=\"urn:x:{n}\""));
                let declared = declared.collect::<Vec<String>>().concat();
                xml.replacen(" Version=", &format!("{declared} Version="), 1)
            },
        ),
        reject("complexity-comment-of-5-megabytes", LARGE, |s| {
            let comment = Node::comment(&"x".repeat(5_000_000));
            s.signed().edit(|r| r.insert_before("Assertion", comment))
        }),
        reject("complexity-value-of-1-megabyte", LARGE, |s| {
            let claim = Claim::new("photo", &[&"x".repeat(1_000_000)]).element();
            s.draft()
                .edit(|r| r.at("Assertion/AttributeStatement").push(claim))
                .sign_assertion()
        }),
        accept("complexity-comment-within-size", |s| {
            let comment = Node::comment(&"x".repeat(100_000));
            s.signed().edit(|r| r.insert_before("Assertion", comment))
        }),
        accept("complexity-1500-groups", |s| {
            let claim = groups().element();
            s.draft()
                .edit(|r| r.at("Assertion/AttributeStatement").push(claim))
                .sign_assertion()
                .sign_response()
        })
        .adjust(|_, case| {
            case.attributes
                .insert("everyGroup".to_owned(), groups().values);
        }),
    ]
}

fn groups() -> Claim {
    let groups: Vec<String> = (0..1_500).map(|n| format!("g{n}")).collect();
    Claim::new(
        "everyGroup",
        &groups.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}

/// Signed by a stranger, since nothing of it may run before the signature was looked at.
fn with_transform(scene: &Scene, expensive: Element) -> Vec<u8> {
    let signing = scene.attacker().tweaked(move |signature| {
        let transforms = signature.at("SignedInfo/Reference/Transforms");
        transforms.children = vec![transform(ENVELOPED).into(), expensive.clone().into()];
    });
    scene.draft().sign("Assertion", &signing).into()
}

fn wide(scene: &Scene, count: usize, name: &str) -> String {
    let attributes = (0..count).map(|n| format!(" {name}{n}=\"urn:x\""));
    let attributes = attributes.collect::<Vec<String>>().concat();
    scene
        .signed()
        .xml()
        .replacen(" Version=", &format!("{attributes} Version="), 1)
}

fn deep(scene: &Scene, depth: usize) -> String {
    let content = "<a>".repeat(depth) + &"</a>".repeat(depth);
    let signed = scene.signed().edit(|r| {
        r.insert_after(
            "Issuer",
            Element::new("samlp:Extensions").child(Node::raw(content)),
        );
    });
    signed.xml()
}
