//! Transforms by which something else is signed than what is there.

use super::{Recipe, reject};
use crate::support::saml::{
    provider::{Draft, transform},
    scene::Scene,
    signature::{ENVELOPED, EXCLUSIVE, Hash, INCLUSIVE},
    xml::{Canonicalization, Element, canonicalize},
};

const TRANSFORM: &[&str] = &["signature_transform"];
const XPATH: &str = "http://www.w3.org/TR/1999/REC-xpath-19991116";
const FILTER2: &str = "http://www.w3.org/2002/06/xmldsig-filter2";
const XSLT: &str = "http://www.w3.org/TR/1999/REC-xslt-19991116";
const BASE64: &str = "http://www.w3.org/2000/09/xmldsig#base64";

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = programs();
    recipes.extend(unusual());
    recipes
}

fn programs() -> Vec<Recipe> {
    vec![
        reject("transform-xpath-nothing", TRANSFORM, |s| {
            // What is left is nothing, whatever the assertion says.
            signed(s, vec![transform(ENVELOPED), xpath("false()")], b"")
        }),
        reject("transform-xpath-all-but-name-id", TRANSFORM, |s| {
            let left = without_name_id(s);
            signed(
                s,
                vec![
                    transform(ENVELOPED),
                    xpath("not(ancestor-or-self::*[local-name()='NameID'])"),
                ],
                &left,
            )
        }),
        reject("transform-filter-subtracts-all", TRANSFORM, |s| {
            let all = Element::new("xf:XPath")
                .with("Filter", "subtract")
                .child("/");
            signed(
                s,
                vec![transform(ENVELOPED), transform(FILTER2).child(all)],
                b"",
            )
        }),
        reject("transform-xslt-constant", TRANSFORM, |s| {
            let template = Element::new("xsl:template")
                .with("match", "/")
                .child(Element::new("xsl:text").child("same"));
            signed(s, vec![transform(ENVELOPED), stylesheet(template)], b"same")
        }),
        reject("transform-xslt-document", TRANSFORM, |s| {
            let address = format!("document('{}/style')", s.context.forbidden_url);
            let copy = Element::new("xsl:copy-of").with("select", address);
            let template = Element::new("xsl:template").with("match", "/").child(copy);
            signed_by_stranger(s, vec![transform(ENVELOPED), stylesheet(template)])
        }),
        reject("transform-base64", TRANSFORM, |s| {
            signed(s, vec![transform(ENVELOPED), transform(BASE64)], b"")
        }),
    ]
}

fn unusual() -> Vec<Recipe> {
    vec![
        reject("transform-unknown", TRANSFORM, |s| {
            signed(
                s,
                vec![transform(ENVELOPED), transform("urn:example:rot13")],
                b"",
            )
        }),
        reject("transform-with-comments", TRANSFORM, |s| {
            let commented = "http://www.w3.org/2001/10/xml-exc-c14n#WithComments";
            s.draft().sign(
                "Assertion",
                &s.draft().usual().tweaked(move |signature| {
                    let transforms = signature.at("SignedInfo/Reference/Transforms");
                    transforms.children =
                        vec![transform(ENVELOPED).into(), transform(commented).into()];
                }),
            )
        }),
        reject(
            "transform-not-enveloped",
            &["signature_transform", "signature_invalid"],
            |s| signed(s, vec![transform(EXCLUSIVE)], b""),
        ),
        reject(
            "transform-none",
            &[
                "signature_transform",
                "signature_shape",
                "signature_invalid",
            ],
            |s| {
                let signing = s.draft().usual().tweaked(|signature| {
                    signature.take("SignedInfo/Reference/Transforms");
                });
                s.draft().sign("Assertion", &signing)
            },
        ),
        reject("transform-order-reversed", TRANSFORM, |s| {
            let signing = s.draft().usual().tweaked(|signature| {
                signature
                    .at("SignedInfo/Reference/Transforms")
                    .children
                    .reverse();
            });
            s.draft().sign("Assertion", &signing)
        }),
        reject("transform-enveloped-twice", TRANSFORM, |s| {
            let signing = s.draft().usual().tweaked(|signature| {
                let transforms = signature.at("SignedInfo/Reference/Transforms");
                transforms.push_front(transform(ENVELOPED));
            });
            s.draft().sign("Assertion", &signing)
        }),
        reject(
            "transform-forty",
            &["signature_transform", "too_complex"],
            |s| {
                let signing = s.draft().usual().tweaked(|signature| {
                    let transforms = signature.at("SignedInfo/Reference/Transforms");
                    for _ in 0..19 {
                        transforms.push(transform(INCLUSIVE));
                        transforms.push(transform(EXCLUSIVE));
                    }
                });
                s.draft().sign("Assertion", &signing)
            },
        ),
    ]
}

fn xpath(expression: &str) -> Element {
    transform(XPATH).child(Element::new("ds:XPath").child(expression))
}

fn stylesheet(template: Element) -> Element {
    let stylesheet = Element::new("xsl:stylesheet")
        .with("version", "1.0")
        .child(template);
    transform(XSLT).child(stylesheet)
}

/// Signed by the provider with these transforms, of which `result` comes out; then changed.
fn signed(scene: &Scene, transforms: Vec<Element>, result: &[u8]) -> Draft {
    let digest = Hash::SHA256.of(result);
    let signing = scene.draft().usual().tweaked(move |signature| {
        let reference = signature.at("SignedInfo/Reference");
        reference.at("DigestValue").fill(&*digest);
        let nodes = transforms.iter().cloned().map(Into::into);
        reference.at("Transforms").children = nodes.collect();
    });
    let draft = scene.draft().sign("Assertion", &signing);
    draft.edit(|r| scene.corrupt(r.at("Assertion")))
}

fn signed_by_stranger(scene: &Scene, transforms: Vec<Element>) -> Draft {
    let signing = scene.attacker().tweaked(move |signature| {
        let nodes = transforms.iter().cloned().map(Into::into);
        signature.at("SignedInfo/Reference/Transforms").children = nodes.collect();
    });
    scene.draft().sign("Assertion", &signing)
}

fn without_name_id(scene: &Scene) -> Vec<u8> {
    let draft = scene
        .draft()
        .edit(|r| drop(r.take("Assertion/Subject/NameID")));
    let way = draft.root.way_to("Assertion");
    canonicalize(
        &way,
        None,
        &Canonicalization::Exclusive(Vec::new()),
        &draft.prefixes,
    )
}
