//! Signature wrapping: a good signature stays in the document, over something that is not what is
//! read. The numbers in comments are those of the paper that found the first eight ("On Breaking
//! SAML", 2012).

use super::{Recipe, reject};
use crate::support::saml::xml::Element;

/// What the gate says where elements stand that do not belong there.
const MISPLACED: &[&str] = &[
    "unexpected_element",
    "assertion_count",
    "signature_shape",
    "signature_reference",
    "bad_id",
    "unsigned",
];

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = around_responses();
    recipes.extend(around_assertions());
    recipes.extend(elsewhere());
    recipes
}

fn around_responses() -> Vec<Recipe> {
    vec![
        // 1
        reject("wrapping-response-inside-signature", MISPLACED, |s| {
            s.response_signed().edit(|r| {
                let mut signature = r.copy("Signature");
                let original = unsigned(r);
                *r = s.evil_response(r);
                signature.push(original);
                r.insert_after("Issuer", signature);
            })
        }),
        // 2
        reject("wrapping-response-beside-signature", MISPLACED, |s| {
            s.response_signed().edit(|r| {
                let signature = r.copy("Signature");
                let original = unsigned(r);
                *r = s.evil_response(r);
                r.insert_after("Issuer", signature);
                r.insert_after("Issuer", original);
            })
        }),
        reject("wrapping-response-in-extensions", MISPLACED, |s| {
            s.response_signed().edit(|r| {
                let original = r.clone();
                *r = s.evil_response(r);
                r.insert_after("Issuer", extensions(original));
            })
        }),
        reject(
            "wrapping-assertion-signed-response-in-extensions",
            MISPLACED,
            |s| {
                s.signed().edit(|r| {
                    let original = r.clone();
                    *r = s.evil_response(r);
                    r.insert_after("Issuer", extensions(original));
                })
            },
        ),
        reject("wrapping-added-to-signed-response", MISPLACED, |s| {
            s.response_signed().edit(|r| {
                let evil = s.evil(&r.copy("Assertion"));
                r.insert_before("Assertion", evil);
            })
        }),
        reject("wrapping-foreign-root", &["wrong_message"], |s| {
            s.signed()
                .edit(|r| *r = Element::new("Envelope").child(r.clone()))
        }),
    ]
}

fn around_assertions() -> Vec<Recipe> {
    vec![
        // 3
        reject("wrapping-evil-before", MISPLACED, |s| {
            s.signed().edit(|r| {
                let evil = s.evil(&r.copy("Assertion"));
                r.insert_before("Assertion", evil);
            })
        }),
        reject("wrapping-evil-after", MISPLACED, |s| {
            s.signed().edit(|r| {
                let evil = s.evil(&r.copy("Assertion"));
                r.insert_after("Assertion", evil);
            })
        }),
        // 4
        reject("wrapping-original-inside-evil", MISPLACED, |s| {
            s.signed().edit(|r| {
                let original = r.copy("Assertion");
                let evil = s.evil(&original).child(original);
                r.replace("Assertion", evil);
            })
        }),
        // 5
        reject("wrapping-evil-carries-signature", MISPLACED, |s| {
            s.signed().edit(|r| {
                let original = r.copy("Assertion");
                let mut evil = s.evil(&original);
                evil.insert_after("Issuer", original.copy("Signature"));
                r.replace("Assertion", evil);
                r.push(unsigned(&original));
            })
        }),
        // 6
        reject("wrapping-signature-holds-original", MISPLACED, |s| {
            s.signed().edit(|r| {
                let original = r.copy("Assertion");
                let signature = original.copy("Signature").child(unsigned(&original));
                let mut evil = s.evil(&original);
                evil.insert_after("Issuer", signature);
                r.replace("Assertion", evil);
            })
        }),
        // 7
        reject("wrapping-evil-in-extensions", MISPLACED, |s| {
            s.signed().edit(|r| {
                let mut evil = s.evil(&r.copy("Assertion"));
                evil.set("ID", r.copy("Assertion").id());
                r.insert_after("Issuer", extensions(evil));
            })
        }),
        // 8
        reject("wrapping-original-in-object", MISPLACED, |s| {
            s.signed().edit(|r| {
                let original = r.copy("Assertion");
                let object = Element::new("ds:Object").child(unsigned(&original));
                let mut evil = s.evil(&original);
                evil.set("ID", original.id());
                evil.insert_after("Issuer", original.copy("Signature").child(object));
                r.replace("Assertion", evil);
            })
        }),
        reject("wrapping-same-id-evil-first", MISPLACED, |s| {
            s.signed().edit(|r| {
                let mut evil = s.evil(&r.copy("Assertion"));
                evil.set("ID", r.copy("Assertion").id());
                r.insert_before("Assertion", evil);
            })
        }),
        reject("wrapping-same-id-evil-last", MISPLACED, |s| {
            s.signed().edit(|r| {
                let mut evil = s.evil(&r.copy("Assertion"));
                evil.set("ID", r.copy("Assertion").id());
                r.push(evil);
            })
        }),
        reject("wrapping-same-id-as-response", &["bad_id"], |s| {
            s.signed().edit(|r| {
                let id = r.copy("Assertion").id().to_owned();
                r.set("ID", id);
            })
        }),
    ]
}

fn elsewhere() -> Vec<Recipe> {
    vec![
        reject("wrapping-original-in-status-detail", MISPLACED, |s| {
            s.signed().edit(|r| {
                let original = r.copy("Assertion");
                let detail = Element::new("samlp:StatusDetail").child(original.clone());
                r.at("Status").push(detail);
                r.replace("Assertion", s.evil(&original));
            })
        }),
        reject("wrapping-original-in-advice", MISPLACED, |s| {
            s.signed().edit(|r| {
                let original = r.copy("Assertion");
                let mut evil = s.evil(&original);
                evil.insert_after("Conditions", Element::new("saml:Advice").child(original));
                r.replace("Assertion", evil);
            })
        }),
        reject("wrapping-original-in-attribute-value", MISPLACED, |s| {
            s.signed().edit(|r| {
                let original = r.copy("Assertion");
                let mut evil = s.evil(&original);
                evil.at("AttributeStatement/Attribute/AttributeValue")
                    .fill(original);
                r.replace("Assertion", evil);
            })
        }),
        reject("wrapping-assertion-in-foreign-element", MISPLACED, |s| {
            s.signed().edit(|r| {
                let original = r.take("Assertion");
                let evil = s.evil(&original);
                r.push(evil);
                r.push(Element::new("Wrapper").child(original));
            })
        }),
        reject("wrapping-signature-in-subject", MISPLACED, |s| {
            s.signed().edit(|r| {
                let signature = r.take("Assertion/Signature");
                r.at("Assertion/Subject").push(signature);
            })
        }),
        reject(
            "wrapping-signature-of-assertion-at-response",
            MISPLACED,
            |s| {
                s.signed().edit(|r| {
                    let signature = r.take("Assertion/Signature");
                    s.corrupt(r.at("Assertion"));
                    r.insert_after("Issuer", signature);
                })
            },
        ),
        reject(
            "wrapping-signature-of-response-at-assertion",
            MISPLACED,
            |s| {
                s.response_signed().edit(|r| {
                    let signature = r.take("Signature");
                    s.corrupt(r.at("Assertion"));
                    r.at("Assertion").insert_after("Issuer", signature);
                })
            },
        ),
        reject("wrapping-two-signatures", MISPLACED, |s| {
            s.signed().edit(|r| {
                let signature = r.copy("Assertion/Signature");
                r.at("Assertion").insert_after("Signature", signature);
            })
        }),
    ]
}

fn extensions(content: Element) -> Element {
    Element::new("samlp:Extensions").child(content)
}

fn unsigned(element: &Element) -> Element {
    let mut element = element.clone();
    element.take("Signature");
    element
}
