//! References to something else than what is signed, and to what nobody may fetch.

use super::{Placed, Recipe, accept, reject};
use crate::support::saml::{
    provider::Draft,
    scene::Scene,
    signature::{Hash, Signing},
    xml::{Canonicalization, Element, canonicalize},
};

const REFERENCE: &[&str] = &["signature_reference", "signature_shape"];

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = inside();
    recipes.extend(outside());
    recipes
}

fn inside() -> Vec<Recipe> {
    vec![
        reject("reference-to-other-element", REFERENCE, |s| {
            // The signature is the provider's, over an element that it did sign.
            s.draft().sign_response().edit(|r| {
                let signature = r.take("Signature");
                r.at("Assertion").insert_after("Issuer", signature);
            })
        }),
        reject("reference-to-status", REFERENCE, |s| {
            let mut draft = s.draft().edit(|r| r.at("Status").set("ID", "_status"));
            let digest = digest(&draft, "Status");
            let signing = refer(s.draft().usual(), "#_status", digest);
            draft = draft.sign("Assertion", &signing);
            draft.edit(|r| s.corrupt(r.at("Assertion")))
        }),
        reject("reference-twice", REFERENCE, |s| {
            let signing = s.draft().usual().tweaked(|signature| {
                let reference = signature.copy("SignedInfo/Reference");
                signature.at("SignedInfo").push(reference);
            });
            s.draft().sign("Assertion", &signing)
        }),
        reject("reference-empty-on-assertion", REFERENCE, |s| {
            let signing = s.draft().usual().tweaked(|signature| {
                signature.at("SignedInfo/Reference").set("URI", "");
            });
            s.draft().sign("Assertion", &signing)
        }),
        reject("reference-empty-on-response", REFERENCE, |s| {
            // XML signature would take it; SAML core 5.4.2 wants the ID.
            let signing = s.draft().usual().tweaked(|signature| {
                signature.at("SignedInfo/Reference").set("URI", "");
            });
            s.draft().sign("", &signing)
        }),
        reject("reference-without-uri", REFERENCE, |s| {
            let signing = s.draft().usual().tweaked(|signature| {
                signature.at("SignedInfo/Reference").unset("URI");
            });
            s.draft().sign("Assertion", &signing)
        }),
        reject("reference-xpointer-root", REFERENCE, |s| {
            pointed(s, |_| "#xpointer(/)".to_owned())
        }),
        reject("reference-xpointer-id", REFERENCE, |s| {
            pointed(s, |id| format!("#xpointer(id('{id}'))"))
        }),
        reject("reference-bare-id", REFERENCE, |s| {
            pointed(s, str::to_owned)
        }),
        reject("reference-id-with-space", REFERENCE, |s| {
            pointed(s, |id| format!("#{id} "))
        }),
        reject("reference-percent-encoded", REFERENCE, |s| {
            pointed(s, |id| id.replace('_', "#%5F"))
        }),
        accept("reference-with-id-and-type", |s| {
            // Optional attributes of XML signature say nothing about what is signed.
            let signing = s.draft().usual().tweaked(|signature| {
                signature.at("SignedInfo/Reference").set("Id", "_reference");
            });
            s.draft().sign("Assertion", &signing)
        }),
    ]
}

fn outside() -> Vec<Recipe> {
    let places: [Placed; 5] = [
        ("http", |s| format!("{}/reference", s.context.forbidden_url)),
        ("file", |s| format!("file://{}", s.context.forbidden_file)),
        ("path", |s| s.context.forbidden_file.clone()),
        ("ftp", |s| s.context.forbidden_url.replace("http:", "ftp:")),
        ("http-fragment", |s| {
            format!("{}/reference#x", s.context.forbidden_url)
        }),
    ];
    let mut recipes = Vec::new();
    for (name, place) in places {
        recipes.push(reject(format!("reference-{name}"), REFERENCE, move |s| {
            let signing = refer(s.draft().usual(), &place(s), Hash::SHA256.of(b""));
            s.draft().sign("Assertion", &signing)
        }));
        recipes.push(reject(
            format!("reference-{name}-by-stranger"),
            REFERENCE,
            move |s| {
                let signing = refer(s.attacker(), &place(s), Hash::SHA256.of(b""));
                s.draft()
                    .edit(|r| s.corrupt(r.at("Assertion")))
                    .sign("Assertion", &signing)
            },
        ));
    }
    recipes
}

/// The usual response, whose reference is written in another way.
fn pointed(scene: &Scene, uri: impl Fn(&str) -> String + 'static) -> Draft {
    let draft = scene.draft();
    let uri = uri(draft.root.copy("Assertion").id());
    let signing = draft.usual().tweaked(move |signature| {
        signature.at("SignedInfo/Reference").set("URI", &*uri);
    });
    draft.sign("Assertion", &signing)
}

fn refer(signing: Signing, uri: &str, digest: String) -> Signing {
    let uri = uri.to_owned();
    signing.tweaked(move |signature| {
        let reference: &mut Element = signature.at("SignedInfo/Reference");
        reference.set("URI", &*uri);
        reference.at("DigestValue").fill(&*digest);
    })
}

fn digest(draft: &Draft, path: &str) -> String {
    let exclusive = Canonicalization::Exclusive(Vec::new());
    Hash::SHA256.of(&canonicalize(
        &draft.root.way_to(path),
        None,
        &exclusive,
        &draft.prefixes,
    ))
}
