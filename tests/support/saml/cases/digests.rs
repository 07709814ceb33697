//! What is signed was changed, and the signature dressed up so that nobody notices.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{Recipe, reject};
use crate::support::saml::{
    provider::Draft,
    scene::Scene,
    signature::Hash,
    xml::{Canonicalization, Element, Node, canonicalize},
};

const REFERENCE: &str = "Assertion/Signature/SignedInfo/Reference";
const VALUE: &str = "Assertion/Signature/SignedInfo/Reference/DigestValue";
const SHAPE: &[&str] = &["signature_shape", "unexpected_element", "mixed_content"];

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = changed();
    recipes.extend(dressed_up());
    recipes.extend(void());
    recipes
}

fn changed() -> Vec<Recipe> {
    vec![
        reject("digest-name-id-changed", &["signature_invalid"], evil),
        reject("digest-group-added", &["signature_invalid"], |s| {
            s.signed().edit(|r| {
                let value = Element::new("saml:AttributeValue").child("administrators");
                r.at("Assertion/AttributeStatement/Attribute").push(value);
            })
        }),
        reject("digest-recomputed", &["signature_invalid"], |s| {
            with_digest(s, |r, digest| r.at(VALUE).fill(digest))
        }),
        reject("digest-audience-changed", &["signature_invalid"], |s| {
            s.draft()
                .edit(|r| {
                    r.at("Assertion/Conditions/AudienceRestriction/Audience")
                        .fill("https://other/");
                })
                .sign_assertion()
                .edit(|r| {
                    r.at("Assertion/Conditions/AudienceRestriction/Audience")
                        .fill(&*s.context.audience);
                })
        }),
        reject(
            "digest-of-both-first-changed",
            &["signature_invalid"],
            |s| {
                // The assertion's own signature fails, and so does the response's.
                s.signed()
                    .sign_response()
                    .edit(|r| s.corrupt(r.at("Assertion")))
            },
        ),
        reject(
            "digest-assertion-changed-before-response-was-signed",
            &["signature_invalid"],
            |s| {
                // The response's signature holds; that of the assertion in it does not.
                s.signed()
                    .edit(|r| s.corrupt(r.at("Assertion")))
                    .sign_response()
            },
        ),
    ]
}

fn dressed_up() -> Vec<Recipe> {
    vec![
        // CVE-2025-29775
        reject("digest-comment-before", &["mixed_content"], |s| {
            with_digest(s, |r, evil| {
                let value = r.at(VALUE);
                value.push_front(Node::comment(evil));
            })
        }),
        reject("digest-comment-behind", &["mixed_content"], |s| {
            with_digest(s, |r, evil| {
                let value = r.at(VALUE);
                let original = value.text();
                value.children = vec![Node::from(evil), Node::comment(&original)];
            })
        }),
        // CVE-2025-29774
        reject("digest-two-signed-infos-evil-first", SHAPE, |s| {
            with_signed_info(s, |r, evil| r.at("Assertion/Signature").push_front(evil))
        }),
        reject("digest-two-signed-infos-evil-last", SHAPE, |s| {
            with_signed_info(s, |r, evil| {
                r.at("Assertion/Signature").insert_after("SignedInfo", evil);
            })
        }),
        reject(
            "digest-second-reference",
            &["signature_shape", "signature_reference"],
            |s| {
                with_signed_info(s, |r, evil| {
                    r.at("Assertion/Signature/SignedInfo")
                        .push(evil.copy("Reference"));
                })
            },
        ),
        reject("digest-second-value", SHAPE, |s| {
            with_digest(s, |r, evil| {
                r.at(REFERENCE)
                    .push(Element::new("ds:DigestValue").child(evil));
            })
        }),
        // CVE-2024-45409
        reject(
            "digest-value-in-status-detail",
            &["unexpected_element", "signature_invalid"],
            |s| {
                with_digest(s, |r, evil| {
                    let value = Element::new("ds:DigestValue").child(evil);
                    r.at("Status")
                        .push(Element::new("samlp:StatusDetail").child(value));
                })
            },
        ),
        reject(
            "digest-value-in-extensions",
            &["unexpected_element", "signature_invalid"],
            |s| {
                with_digest(s, |r, evil| {
                    let value = Element::new("ds:DigestValue").child(evil);
                    r.insert_after("Issuer", Element::new("samlp:Extensions").child(value));
                })
            },
        ),
        // CVE-2025-25291
        reject("digest-signed-info-in-object", SHAPE, |s| {
            with_signed_info(s, |r, evil| {
                let original = r.replace("Assertion/Signature/SignedInfo", evil);
                r.at("Assertion/Signature")
                    .push(Element::new("ds:Object").child(original));
            })
        }),
    ]
}

/// CVE-2025-66568: where canonicalization fails and nobody looks, nothing is what was signed.
fn void() -> Vec<Recipe> {
    vec![
        reject("digest-of-nothing", &["bad_namespace"], |s| {
            s.draft()
                .sign(
                    "Assertion",
                    &s.draft().usual().tweaked(|signature| {
                        let value = signature.at("SignedInfo/Reference/DigestValue");
                        value.fill(&*Hash::SHA256.of(b""));
                    }),
                )
                .edit(|r| {
                    s.corrupt(r.at("Assertion"));
                    r.at("Assertion").set("xmlns:void", "relative/path");
                })
        }),
        reject(
            "digest-of-nothing-declared-at-root",
            &["bad_namespace"],
            |s| {
                s.draft()
                    .sign(
                        "Assertion",
                        &s.draft().usual().tweaked(|signature| {
                            let value = signature.at("SignedInfo/Reference/DigestValue");
                            value.fill(&*Hash::SHA256.of(b""));
                        }),
                    )
                    .edit(|r| {
                        s.corrupt(r.at("Assertion"));
                        r.set("xmlns:void", "../void");
                    })
            },
        ),
        reject("digest-signature-of-nothing", &["bad_namespace"], |s| {
            let nothing = STANDARD.encode(s.draft().usual().raw_signature(b""));
            with_digest(s, |r, digest| {
                r.at(VALUE).fill(digest);
                r.at("Assertion/Signature/SignedInfo")
                    .set("xmlns:void", "1");
                r.at("Assertion/Signature/SignatureValue").fill(&*nothing);
            })
        }),
        reject("digest-of-nothing-signed", &["signature_invalid"], |s| {
            // The provider itself signed the digest of nothing, which fits no content.
            let signing = s.draft().usual().tweaked(|signature| {
                let value = signature.at("SignedInfo/Reference/DigestValue");
                value.fill(&*Hash::SHA256.of(b""));
            });
            s.draft().sign("Assertion", &signing)
        }),
    ]
}

/// Signatures that lack something.
pub(super) fn signatures() -> Vec<Recipe> {
    vec![
        reject("signature-none", &["unsigned"], Scene::draft),
        reject("signature-none-for-intruder", &["unsigned"], |s| {
            s.draft().edit(|r| s.corrupt(r.at("Assertion")))
        }),
        reject(
            "signature-value-empty",
            &["signature_shape", "signature_invalid"],
            |s| {
                s.signed()
                    .edit(|r| r.at("Assertion/Signature/SignatureValue").children.clear())
            },
        ),
        reject(
            "signature-value-no-base64",
            &["signature_shape", "signature_invalid"],
            |s| {
                s.signed()
                    .edit(|r| r.at("Assertion/Signature/SignatureValue").fill("!!!!"))
            },
        ),
        reject("signature-value-missing", &["signature_shape"], |s| {
            s.signed()
                .edit(|r| drop(r.take("Assertion/Signature/SignatureValue")))
        }),
        reject("signature-empty", &["signature_shape"], |s| {
            s.signed()
                .edit(|r| r.at("Assertion/Signature").children.clear())
        }),
        reject(
            "signature-without-reference",
            &["signature_shape", "signature_reference"],
            |s| s.signed().edit(|r| drop(r.take(REFERENCE))),
        ),
        reject(
            "signature-without-reference-signed",
            &["signature_shape", "signature_reference"],
            |s| {
                let signing = s.draft().usual().tweaked(|signature| {
                    signature.take("SignedInfo/Reference");
                });
                s.draft().sign("Assertion", &signing)
            },
        ),
        reject("signature-with-manifest", SHAPE, |s| {
            s.signed().edit(|r| {
                let reference = r.copy(REFERENCE);
                let manifest = Element::new("ds:Manifest").child(reference);
                r.at("Assertion/Signature")
                    .push(Element::new("ds:Object").child(manifest));
            })
        }),
        reject(
            "signature-of-another-message",
            &["signature_invalid"],
            |s| {
                let other = s
                    .for_case("another message")
                    .signed()
                    .root
                    .copy("Assertion/Signature");
                s.signed().edit(|r| {
                    let id = r.copy("Assertion").id().to_owned();
                    r.replace("Assertion/Signature", other);
                    r.at(REFERENCE).set("URI", format!("#{id}"));
                })
            },
        ),
        reject("signature-reversed", &["signature_invalid"], |s| {
            s.signed().edit(|r| {
                let value = r.at("Assertion/Signature/SignatureValue");
                let text: String = value.text().trim_end_matches('=').chars().rev().collect();
                value.fill(&*format!("{text}=="));
            })
        }),
    ]
}

fn evil(scene: &Scene) -> Draft {
    scene.signed().edit(|r| scene.corrupt(r.at("Assertion")))
}

/// The digest of that assertion.
fn digest_of(draft: &Draft) -> String {
    let way = draft.root.way_to("Assertion");
    let exclusive = Canonicalization::Exclusive(Vec::new());
    Hash::SHA256.of(&canonicalize(
        &way,
        Some("Signature"),
        &exclusive,
        &draft.prefixes,
    ))
}

/// Its SignedInfo with the digest that would be right.
fn right_signed_info(draft: &Draft) -> Element {
    let mut signed_info = draft.root.copy("Assertion/Signature/SignedInfo");
    signed_info
        .at("Reference/DigestValue")
        .fill(&*digest_of(draft));
    signed_info
}

/// The assertion for the intruder, changed further by somebody who knows the right digest.
fn with_digest(scene: &Scene, change: impl Fn(&mut Element, &str)) -> Draft {
    let draft = evil(scene);
    let digest = digest_of(&draft);
    draft.edit(|r| change(r, &digest))
}

/// The same for somebody who makes a whole SignedInfo.
fn with_signed_info(scene: &Scene, change: impl Fn(&mut Element, Element)) -> Draft {
    let draft = evil(scene);
    let signed_info = right_signed_info(&draft);
    draft.edit(|r| change(r, signed_info))
}
