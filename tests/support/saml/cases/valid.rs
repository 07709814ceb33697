//! Responses that are as they have to be, in the ways in which providers differ.

use super::{Recipe, accept, reject};
use crate::support::saml::{
    provider::{Claim, Draft},
    scene::Scene,
    signature::{Hash, Signing},
    xml::{Canonicalization, Element, Node},
};

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = shapes();
    recipes.extend(signatures());
    recipes.extend(contents());
    recipes
}

fn shapes() -> Vec<Recipe> {
    vec![
        accept("valid-assertion-signed", Scene::signed),
        accept("valid-response-signed", Scene::response_signed),
        accept("valid-both-signed", |s| s.signed().sign_response()),
        accept("valid-indented", |s| {
            s.draft().indent("  ").sign_assertion().sign_response()
        }),
        accept("valid-indented-with-tabs-and-signature", |s| {
            // Only the assertion is signed, so white space around it changes nothing.
            s.signed().edit(|r| {
                r.push_front("\n\t");
                r.insert_before("Assertion", "\n\t");
                r.push("\n");
            })
        }),
        accept("valid-xml-declaration", |s| {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}",
                s.signed().xml()
            )
        }),
        accept("valid-declarations-where-needed", |s| {
            s.draft().edit(|r| r.unset("xmlns:saml")).sign_assertion()
        }),
        accept("valid-unused-declarations", |s| {
            s.draft()
                .edit(|r| r.set("xmlns:other", "urn:example:other"))
                .sign_assertion()
                .sign_response()
        }),
        accept("valid-consent-and-extensions-none", |s| {
            s.draft()
                .edit(|r| r.set("Consent", "urn:oasis:names:tc:SAML:2.0:consent:unspecified"))
                .sign_response()
        }),
        accept("valid-unsolicited", |s| {
            let mut request = s.request();
            request.in_response_to = None;
            s.provider.response(&request).sign_assertion()
        })
        .adjust(|_, case| case.in_response_to = None),
    ]
}

fn signatures() -> Vec<Recipe> {
    vec![
        accept("valid-rsa-sha384", |s| hashed(s, Hash::SHA384)),
        accept("valid-rsa-sha512", |s| hashed(s, Hash::SHA512)),
        accept("valid-ecdsa-p256", |s| {
            let ec = &s.provider.ec;
            s.draft()
                .sign("Assertion", &Signing::new(&ec.key, Some(&ec.der())))
        })
        .adjust(|s, case| case.certificates = vec![s.provider.ec.der()]),
        accept("valid-ecdsa-p384", |s| {
            let ec = &s.provider.ec384;
            s.draft()
                .sign("", &Signing::new(&ec.key, None).hashed(Hash::SHA384))
        })
        .adjust(|s, case| case.certificates = vec![s.provider.ec384.der()]),
        accept("valid-no-key-info", |s| {
            let signing = s.draft().usual().key_info(None);
            s.draft().sign("Assertion", &signing)
        }),
        accept("valid-wrapped-base64", |s| {
            let signing = Signing {
                wrapped_at: Some(76),
                ..s.draft().usual()
            };
            s.draft().sign("Assertion", &signing)
        }),
        accept("valid-prefix-list", |s| {
            let listed = Canonicalization::Exclusive(vec!["xs", "saml"]);
            let signing = s.draft().usual().canonicalized(listed);
            typed(s).sign("Assertion", &signing)
        }),
        accept("valid-inclusive-canonicalization", |s| {
            let signing = s.draft().usual().canonicalized(Canonicalization::Inclusive);
            typed(s).sign("", &signing)
        }),
        accept("valid-inclusive-canonicalization-of-assertion", |s| {
            let signing = s.draft().usual().canonicalized(Canonicalization::Inclusive);
            typed(s).sign("Assertion", &signing)
        }),
        accept("valid-enveloped-transform-and-inclusive-default", |s| {
            // Without a canonicalization among the transforms, Canonical XML 1.0 is the default
            // (XML signature 4.4.3.2); of the whole response it differs from the exclusive one only
            // where a prefix is declared early.
            let signing = s
                .draft()
                .usual()
                .canonicalized(Canonicalization::Inclusive)
                .tweaked(|signature| {
                    let transforms = signature.at("SignedInfo/Reference/Transforms");
                    transforms.children.truncate(1);
                });
            s.draft().sign("", &signing)
        }),
        accept("valid-after-rollover", |s| {
            let second = &s.provider.second;
            s.draft()
                .sign("Assertion", &Signing::new(&second.key, Some(&second.der())))
        })
        .adjust(|s, case| case.certificates.push(s.provider.second.der())),
        accept("valid-before-rollover", Scene::signed)
            .adjust(|s, case| case.certificates.insert(0, s.provider.second.der())),
        accept("valid-key-info-ignored", |s| {
            // What KeyInfo holds says nothing about whose signature it is.
            let attacker = s.attacker().key_info;
            let signing = s.draft().usual().key_info(attacker);
            s.draft().sign("Assertion", &signing)
        }),
    ]
}

fn contents() -> Vec<Recipe> {
    vec![
        accept("valid-unicode-and-references", |s| {
            with_claim(s, &unicode())
                .edit(|r| {
                    let value = r.at("Assertion/Subject/NameID");
                    let name = value.text();
                    let spelled = name.chars().map(|c| format!("&#x{:x};", u32::from(c)));
                    let spelled: Vec<String> = spelled.collect();
                    value.fill(Node::spelled(&spelled.concat(), &name));
                })
                .sign_assertion()
        })
        .adjust(|_, case| add(case, &unicode())),
        accept("valid-300-groups", |s| {
            with_claim(s, &many_groups(s)).sign_assertion()
        })
        .adjust(|s, case| add(case, &many_groups(s))),
        accept("valid-empty-value", |s| {
            with_claim(s, &Claim::new("department", &[""])).sign_assertion()
        })
        .adjust(|_, case| add(case, &Claim::new("department", &[""]))),
        accept("valid-nil-value", |s| {
            let nil = Element::new("saml:AttributeValue").with("xsi:nil", "true");
            let attribute = Claim::new("phone", &[]).element().child(nil);
            s.draft()
                .edit(|r| r.at("Assertion/AttributeStatement").push(attribute))
                .sign_assertion()
        })
        .adjust(|_, case| add(case, &Claim::new("phone", &[]))),
        accept("valid-no-attributes", |s| {
            s.draft()
                .edit(|r| drop(r.take("Assertion/AttributeStatement")))
                .sign_assertion()
        })
        .adjust(|_, case| case.attributes.clear()),
        accept("valid-two-audiences", |s| {
            let other = Element::new("saml:Audience").child("https://other.example/metadata");
            s.draft()
                .edit(|r| {
                    r.at("Assertion/Conditions/AudienceRestriction")
                        .push_front(other);
                })
                .sign_assertion()
        }),
        accept("valid-two-restrictions-both-ours", |s| {
            s.draft()
                .edit(|r| {
                    let restriction = r.copy("Assertion/Conditions/AudienceRestriction");
                    r.at("Assertion/Conditions").push(restriction);
                })
                .sign_assertion()
        }),
        accept("valid-second-confirmation-holds", |s| {
            s.draft()
                .edit(|r| {
                    let mut other = r.copy("Assertion/Subject/SubjectConfirmation");
                    other
                        .at("SubjectConfirmationData")
                        .set("Recipient", "https://other.example/");
                    r.at("Assertion/Subject").insert_after("NameID", other);
                })
                .sign_assertion()
        }),
        accept("valid-address-in-confirmation", |s| {
            s.draft()
                .edit(|r| {
                    let data =
                        r.at("Assertion/Subject/SubjectConfirmation/SubjectConfirmationData");
                    data.set("Address", "192.0.2.1");
                })
                .sign_assertion()
        }),
    ]
}

/// Clocks that differ, and how times are written.
pub(super) fn times() -> Vec<Recipe> {
    vec![
        accept("time-fractions-of-a-second", |s| {
            let from = format!("{}.123Z", s.at(-60).trim_end_matches('Z'));
            let until = format!("{}.9999999Z", s.at(299).trim_end_matches('Z'));
            s.draft()
                .edit(|r| {
                    r.at("Assertion/Conditions").set("NotBefore", from);
                    r.at("Assertion/Conditions").set("NotOnOrAfter", until);
                })
                .sign_assertion()
        }),
        accept("time-30-seconds-early", |s| {
            let from = s.at(30);
            s.draft()
                .edit(|r| r.at("Assertion/Conditions").set("NotBefore", from))
                .sign_assertion()
        }),
        accept("time-30-seconds-late", |s| {
            let until = s.at(-30);
            s.draft()
                .edit(|r| {
                    r.at("Assertion/Conditions").set("NotOnOrAfter", &*until);
                    r.at("Assertion/Subject/SubjectConfirmation/SubjectConfirmationData")
                        .set("NotOnOrAfter", until);
                })
                .sign_assertion()
        }),
        reject("time-two-minutes-early", &["not_yet_valid"], |s| {
            let from = s.at(120);
            s.draft()
                .edit(|r| r.at("Assertion/Conditions").set("NotBefore", from))
                .sign_assertion()
        }),
    ]
}

fn hashed(scene: &Scene, hash: Hash) -> Draft {
    let signing = scene.draft().usual().hashed(hash);
    scene.draft().sign("Assertion", &signing)
}

/// The usual response with typed values, whose prefix only the value of an attribute uses.
fn typed(scene: &Scene) -> Draft {
    let mut request = scene.request();
    for claim in &mut request.attributes {
        claim.is_typed = true;
    }
    scene.provider.response(&request)
}

fn with_claim(scene: &Scene, claim: &Claim) -> Draft {
    let claim = claim.element();
    scene
        .draft()
        .edit(|r| r.at("Assertion/AttributeStatement").push(claim))
}

fn add(case: &mut super::Case, claim: &Claim) {
    case.attributes
        .insert(claim.name.clone(), claim.values.clone());
}

fn unicode() -> Claim {
    Claim::new(
        "displayName",
        &["Žofia Ångström-李 \"Z\" <zofia> & 'co' 🦀 ]]> \u{e9} e\u{301}"],
    )
}

fn many_groups(scene: &Scene) -> Claim {
    let groups: Vec<String> = (0..300)
        .map(|n| format!("team-{n}-{:x}", scene.context.seed))
        .collect();
    Claim::new(
        "allGroups",
        &groups.iter().map(String::as_str).collect::<Vec<_>>(),
    )
}
