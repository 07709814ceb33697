//! Values in pieces: what canonicalization leaves out must not change what is read.

use super::{Recipe, reject};
use crate::support::saml::{
    provider::Draft,
    scene::{Scene, split_with},
    xml::{Element, Node},
};

const MIXED: &[&str] = &["mixed_content"];

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = name_ids();
    recipes.extend(other_values());
    recipes
}

fn name_ids() -> Vec<Recipe> {
    vec![
        reject("text-comment-in-name-id", MIXED, |s| {
            named(s, Node::comment(""))
        }),
        reject("text-long-comment-in-name-id", MIXED, |s| {
            named(s, Node::comment(" nothing "))
        }),
        reject("text-cdata-in-name-id", MIXED, |s| {
            named(s, Node::cdata(""))
        }),
        reject(
            "text-instruction-in-name-id",
            &["processing_instruction"],
            |s| named(s, Node::raw("<?x?>")),
        ),
        reject(
            "text-instruction-signed-with-name-id",
            &["processing_instruction"],
            |s| {
                // A canonicalization that writes instructions as text would read the longer name.
                s.draft()
                    .edit(|r| {
                        let name_id = r.at("Assertion/Subject/NameID");
                        name_id.fill(&*s.intruder);
                        name_id.push(Node::instruction(&format!("x {}", longer(s))));
                    })
                    .sign_assertion()
            },
        ),
        reject("text-element-in-name-id", MIXED, |s| {
            s.draft()
                .edit(|r| {
                    let name_id = r.at("Assertion/Subject/NameID");
                    name_id.push(Element::new("saml:BaseID").child("x"));
                })
                .sign_assertion()
        }),
        reject(
            "text-name-id-outside-only",
            &["unexpected_element", "bad_name_id"],
            |s| {
                let mut name_id = Element::new("saml:NameID");
                name_id.fill(&*s.intruder);
                s.draft()
                    .edit(|r| drop(r.take("Assertion/Subject/NameID")))
                    .sign_assertion()
                    .edit(|r| {
                        r.insert_after("Issuer", Element::new("samlp:Extensions").child(name_id));
                    })
            },
        ),
    ]
}

fn other_values() -> Vec<Recipe> {
    vec![
        reject("text-comment-in-group", MIXED, |s| {
            s.signed().edit(|r| {
                let value = r.at("Assertion/AttributeStatement/Attribute/AttributeValue");
                value.children = split_with(&value.text(), Node::comment("x"));
            })
        }),
        reject("text-cdata-in-group", MIXED, |s| {
            s.signed().edit(|r| {
                let value = r.at("Assertion/AttributeStatement/Attribute/AttributeValue");
                let text = value.text();
                value.fill(Node::cdata(&text));
            })
        }),
        reject(
            "text-element-in-group",
            &["mixed_content", "unexpected_element"],
            |s| {
                s.draft()
                    .edit(|r| {
                        r.at("Assertion/AttributeStatement/Attribute/AttributeValue")
                            .push(Element::new("Group").child("administrators"));
                    })
                    .sign_assertion()
            },
        ),
        reject(
            "text-comment-in-audience",
            &["mixed_content", "wrong_audience"],
            |s| {
                let longer = format!("{}.other.example", s.context.audience);
                s.draft()
                    .edit(|r| {
                        r.at("Assertion/Conditions/AudienceRestriction/Audience")
                            .fill(&*longer);
                    })
                    .sign_assertion()
                    .edit(|r| {
                        let audience = r.at("Assertion/Conditions/AudienceRestriction/Audience");
                        audience.fill(&*s.context.audience);
                        audience.push(Node::comment(""));
                        audience.push(".other.example");
                    })
            },
        ),
        reject(
            "text-comment-in-issuer",
            &["mixed_content", "wrong_issuer"],
            |s| {
                let ours = &s.provider.entity_id;
                s.draft()
                    .edit(|r| {
                        r.at("Assertion/Issuer")
                            .fill(&*format!("{ours}.other.example"));
                    })
                    .sign_assertion()
                    .edit(|r| {
                        let issuer = r.at("Assertion/Issuer");
                        issuer.fill(&**ours);
                        issuer.push(Node::comment(""));
                        issuer.push(".other.example");
                    })
            },
        ),
        reject("text-element-in-audience", MIXED, |s| {
            s.draft()
                .edit(|r| {
                    r.at("Assertion/Conditions/AudienceRestriction/Audience")
                        .push(Element::new("saml:Audience").child("x"));
                })
                .sign_assertion()
        }),
    ]
}

/// Somebody who may have any name in a domain of their own.
fn longer(scene: &Scene) -> String {
    format!("{}.attacker.example", scene.intruder)
}

/// Signed for the longer name, with something put behind the shorter one afterwards.
fn named(scene: &Scene, between: Node) -> Draft {
    scene
        .draft()
        .edit(|r| r.at("Assertion/Subject/NameID").fill(&*longer(scene)))
        .sign_assertion()
        .edit(|r| {
            let name_id = r.at("Assertion/Subject/NameID");
            name_id.fill(&*scene.intruder);
            name_id.push(between);
            name_id.push(".attacker.example");
        })
}
