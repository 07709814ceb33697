//! Encrypted assertions. Anybody can encrypt to the service provider: its key is public.

use super::{Recipe, accept, reject};
use crate::support::saml::{
    encryption::{Content, Encryption, KeyTransport},
    provider::Draft,
    scene::Scene,
    xml::write,
};

const GCM: Encryption = Encryption::USUAL;

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = taken();
    recipes.extend(not_allowed());
    recipes.extend(evil());
    recipes.extend(not_readable());
    recipes.extend(not_what_it_should_be());
    recipes
}

fn taken() -> Vec<Recipe> {
    let cbc = GCM.content(Content::Aes256Cbc);
    vec![
        accept("encrypted-signed-assertion", |s| {
            encrypt(s, s.signed(), GCM)
        }),
        accept("encrypted-aes128-gcm-oaep-sha256", |s| {
            let how = GCM
                .content(Content::Aes128Gcm)
                .key_transport(KeyTransport::Oaep11);
            encrypt(s, s.signed(), how)
        }),
        accept("encrypted-key-beside", |s| {
            encrypt(
                s,
                s.signed(),
                Encryption {
                    is_key_beside: true,
                    ..GCM
                },
            )
        }),
        accept("encrypted-in-signed-response", |s| {
            encrypt(s, s.draft(), GCM).sign_response()
        }),
        accept("encrypted-signed-in-signed-response", |s| {
            encrypt(s, s.signed(), GCM).sign_response()
        }),
        accept("encrypted-cbc-in-signed-response", move |s| {
            encrypt(s, s.signed(), cbc).sign_response()
        }),
        accept("encrypted-aes128-cbc-in-signed-response", |s| {
            let how = GCM.content(Content::Aes128Cbc);
            encrypt(s, s.draft(), how).sign_response()
        }),
    ]
}

fn not_allowed() -> Vec<Recipe> {
    let cbc = GCM.content(Content::Aes256Cbc);
    vec![
        reject(
            "encrypted-cbc-unsigned-outside",
            &["encryption_not_allowed"],
            move |s| {
                // Nothing signed covers the ciphertext: a padding oracle.
                encrypt(s, s.signed(), cbc)
            },
        ),
        reject("encrypted-triple-des", &["encryption_not_allowed"], |s| {
            encrypt(s, s.signed(), GCM.content(Content::TripleDesCbc)).sign_response()
        }),
        reject("encrypted-rsa-1-5", &["encryption_not_allowed"], |s| {
            encrypt(s, s.signed(), GCM.key_transport(KeyTransport::Rsa15)).sign_response()
        }),
    ]
}

fn evil() -> Vec<Recipe> {
    vec![
        reject("encrypted-nothing-signed", &["unsigned"], |s| {
            encrypt(s, s.draft(), GCM)
        }),
        reject(
            "encrypted-evil-signed-by-stranger",
            &["signature_invalid"],
            |s| {
                let draft = s.draft().edit(|r| s.corrupt(r.at("Assertion")));
                let draft = draft.sign("Assertion", &s.attacker());
                encrypt(s, draft, GCM)
            },
        ),
        reject(
            "encrypted-evil-beside-signed",
            &["assertion_count", "unexpected_element"],
            |s| {
                let evil = encrypt(s, s.draft().edit(|r| s.corrupt(r.at("Assertion"))), GCM);
                let evil = evil.root.copy("EncryptedAssertion");
                s.signed().edit(|r| r.insert_before("Assertion", evil))
            },
        ),
        reject(
            "encrypted-evil-in-changed-response",
            &["signature_invalid"],
            |s| {
                let evil = encrypt(s, s.draft().edit(|r| s.corrupt(r.at("Assertion"))), GCM);
                let evil = evil.root.copy("EncryptedAssertion");
                encrypt(s, s.signed(), GCM)
                    .sign_response()
                    .edit(|r| drop(r.replace("EncryptedAssertion", evil)))
            },
        ),
    ]
}

fn not_readable() -> Vec<Recipe> {
    vec![
        reject("encrypted-to-somebody-else", &["decryption_failed"], |s| {
            let other = s.provider.attacker.public_key();
            s.signed().encrypt(GCM, &other)
        }),
        reject("encrypted-without-our-key", &["decryption_failed"], |s| {
            encrypt(s, s.signed(), GCM)
        })
        .adjust(|_, case| case.decryption_key = None),
        reject(
            "encrypted-changed-ciphertext",
            &["decryption_failed"],
            |s| {
                encrypt(s, s.signed(), GCM).edit(|r| {
                    let value = r.at("EncryptedAssertion/EncryptedData/CipherData/CipherValue");
                    let mut sealed = value.text().into_bytes();
                    sealed[30] = if sealed[30] == b'A' { b'B' } else { b'A' };
                    value.fill(std::str::from_utf8(&sealed).expect("base64"));
                })
            },
        ),
        reject(
            "encrypted-short-ciphertext",
            &["decryption_failed", "malformed_xml"],
            |s| {
                encrypt(s, s.signed(), GCM).edit(|r| {
                    r.at("EncryptedAssertion/EncryptedData/CipherData/CipherValue")
                        .fill("AAAA");
                })
            },
        ),
        reject(
            "encrypted-cipher-reference",
            &[
                "encryption_not_allowed",
                "unexpected_element",
                "signature_shape",
            ],
            |s| {
                let url = format!("{}/cipher", s.context.forbidden_url);
                encrypt(s, s.signed(), GCM).edit(|r| {
                    let data = r.at("EncryptedAssertion/EncryptedData/CipherData");
                    let reference = crate::support::saml::xml::Element::new("xenc:CipherReference");
                    data.fill(reference.with("URI", url));
                })
            },
        ),
    ]
}

fn not_what_it_should_be() -> Vec<Recipe> {
    vec![
        reject(
            "encrypted-document-type-inside",
            &["document_type", "decryption_failed"],
            |s| {
                let inner = write(&s.signed().root.copy("Assertion"), &s.provider.prefixes);
                inside(s, &format!("<!DOCTYPE a [<!ENTITY e \"x\">]>{inner}"))
            },
        ),
        reject(
            "encrypted-key-at-an-address",
            &[
                "encryption_not_allowed",
                "unexpected_element",
                "signature_reference",
            ],
            |s| {
                let url = format!("{}/key", s.context.forbidden_url);
                let how = Encryption {
                    is_key_beside: true,
                    ..GCM
                };
                encrypt(s, s.signed(), how).edit(|r| {
                    r.at("EncryptedAssertion/EncryptedData/KeyInfo/RetrievalMethod")
                        .set("URI", url);
                })
            },
        ),
        reject(
            "encrypted-name-id",
            &["encryption_not_allowed", "unexpected_element"],
            |s| {
                let name_id = s.draft().root.copy("Assertion/Subject/NameID");
                let plain = write(&name_id, &s.provider.prefixes);
                let mut encrypted = GCM.encrypt(plain.as_bytes(), &s.decryption.public_key());
                encrypted.rename("saml:EncryptedID");
                s.draft()
                    .edit(|r| drop(r.replace("Assertion/Subject/NameID", encrypted)))
                    .sign_assertion()
            },
        ),
        reject(
            "encrypted-not-an-assertion",
            &["malformed_xml", "wrong_message"],
            |s| inside(s, "no element at all"),
        ),
        reject("encrypted-two-assertions", &["malformed_xml"], |s| {
            let signed = s.signed();
            let evil = s.evil(&signed.root.copy("Assertion"));
            let prefixes = &s.provider.prefixes;
            let inner = write(&signed.root.copy("Assertion"), prefixes) + &write(&evil, prefixes);
            inside(s, &inner)
        }),
        reject("encrypted-response-inside", &["wrong_message"], |s| {
            inside(s, &s.signed().xml())
        }),
        reject(
            "encrypted-twice",
            &["wrong_message", "unexpected_element", "assertion_count"],
            |s| {
                let once = encrypt(s, s.signed(), GCM);
                let once = write(&once.root.copy("EncryptedAssertion"), &s.provider.prefixes);
                inside(s, &once)
            },
        ),
        reject("encrypted-for-another-audience", &["wrong_audience"], |s| {
            let draft = s.draft().edit(|r| {
                r.at("Assertion/Conditions/AudienceRestriction/Audience")
                    .fill("https://other/");
            });
            encrypt(s, draft.sign_assertion(), GCM)
        }),
    ]
}

fn encrypt(scene: &Scene, draft: Draft, how: Encryption) -> Draft {
    draft.encrypt(how, &scene.decryption.public_key())
}

/// The usual response with something else encrypted in it.
fn inside(scene: &Scene, plain: &str) -> Draft {
    let encrypted = GCM.encrypt(plain.as_bytes(), &scene.decryption.public_key());
    scene
        .draft()
        .edit(|r| drop(r.replace("Assertion", encrypted)))
}
