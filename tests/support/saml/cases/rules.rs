//! Well signed, and not for us, not now, or not saying who.

use super::{Changed, Recipe, accept, reject};
use crate::support::saml::{
    provider::{Claim, Draft, status_code},
    scene::Scene,
    xml::{Element, Node},
};

const CONDITIONS: &str = "Assertion/Conditions";
const RESTRICTION: &str = "Assertion/Conditions/AudienceRestriction";
const AUDIENCE: &str = "Assertion/Conditions/AudienceRestriction/Audience";
const CONFIRMATION: &str = "Assertion/Subject/SubjectConfirmation";
const DATA: &str = "Assertion/Subject/SubjectConfirmation/SubjectConfirmationData";
const NAME_ID: &str = "Assertion/Subject/NameID";
const AUTHN: &str = "Assertion/AuthnStatement";

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = times();
    recipes.extend(instants());
    recipes.extend(audiences());
    recipes.extend(addresses());
    recipes.extend(requests());
    recipes.extend(issuers());
    recipes.extend(statuses());
    recipes.extend(confirmations());
    recipes.extend(subjects());
    recipes.extend(statements());
    recipes.extend(frames());
    recipes
}

fn times() -> Vec<Recipe> {
    vec![
        reject("rule-expired", &["expired"], Scene::signed)
            .adjust(|_, case| case.at += time::Duration::minutes(15)),
        reject("rule-not-yet-valid", &["not_yet_valid"], Scene::signed)
            .adjust(|_, case| case.at -= time::Duration::minutes(15)),
        reject("rule-conditions-expired", &["expired"], |s| {
            let (from, until) = (s.at(-300), s.at(-120));
            edited(s, |r| {
                r.at(CONDITIONS).set("NotBefore", from);
                r.at(CONDITIONS).set("NotOnOrAfter", until);
            })
        }),
        reject(
            "rule-confirmation-expired",
            &["expired", "subject_confirmation"],
            |s| {
                let at = s.at(-120);
                edited(s, |r| r.at(DATA).set("NotOnOrAfter", at))
            },
        ),
        reject(
            "rule-confirmation-without-end",
            &["subject_confirmation"],
            |s| edited(s, |r| r.at(DATA).unset("NotOnOrAfter")),
        ),
        reject(
            "rule-confirmation-with-beginning",
            &["subject_confirmation"],
            |s| {
                // Profiles 4.1.4.2: bearer confirmations have no NotBefore.
                let at = s.at(-60);
                edited(s, |r| r.at(DATA).set("NotBefore", at))
            },
        ),
        reject("rule-session-over", &["expired"], |s| {
            let at = s.at(-120);
            edited(s, |r| r.at(AUTHN).set("SessionNotOnOrAfter", at))
        }),
        reject(
            "rule-window-inverted",
            &["expired", "not_yet_valid", "no_conditions"],
            |s| {
                let (from, until) = (s.at(240), s.at(-240));
                edited(s, |r| {
                    r.at(CONDITIONS).set("NotBefore", from);
                    r.at(CONDITIONS).set("NotOnOrAfter", until);
                })
            },
        ),
        // A far end is no error of its own; what is kept until then is bounded elsewhere.
        accept("rule-year-9999", |s| {
            edited(s, |r| {
                r.at(CONDITIONS).set("NotOnOrAfter", "9999-12-31T23:59:59Z");
                r.at(DATA).set("NotOnOrAfter", "9999-12-31T23:59:59Z");
                r.at(AUTHN)
                    .set("SessionNotOnOrAfter", "9999-12-31T23:59:59Z");
            })
        }),
        reject(
            "rule-issued-in-future",
            &["not_yet_valid", "bad_instant"],
            |s| {
                let at = s.at(600);
                edited(s, |r| r.at("Assertion").set("IssueInstant", at))
            },
        ),
        reject(
            "rule-authenticated-in-future",
            &["not_yet_valid", "bad_instant", "no_authn_statement"],
            |s| {
                let at = s.at(600);
                edited(s, |r| r.at(AUTHN).set("AuthnInstant", at))
            },
        ),
    ]
}

/// What is no instant at all.
fn instants() -> Vec<Recipe> {
    let mut recipes = Vec::new();
    let no_instants = [
        ("word", "tomorrow"),
        ("empty", ""),
        ("date", "2099-01-01"),
        ("seconds", "4102444800"),
        ("month-13", "2099-13-01T00:00:00Z"),
        ("year-99999", "99999-01-01T00:00:00Z"),
        ("year-negative", "-2099-01-01T00:00:00Z"),
        ("space", "2099-01-01 00:00:00Z"),
        ("more", "2099-01-01T00:00:00Z or later"),
    ];
    for (name, value) in no_instants {
        recipes.push(reject(
            format!("rule-no-instant-{name}"),
            &["bad_instant"],
            move |s| edited(s, |r| r.at(CONDITIONS).set("NotOnOrAfter", value)),
        ));
    }
    for (name, value) in [
        ("offset", "2099-01-01T00:00:00+02:00"),
        ("no-zone", "2099-01-01T00:00:00"),
    ] {
        // SAML core 1.3.3 wants UTC.
        let id = format!("rule-instant-with-{name}");
        recipes.push(reject(id, &["bad_instant"], move |s| {
            edited(s, |r| r.at(CONDITIONS).set("NotOnOrAfter", value))
        }));
    }
    recipes
}

fn audiences() -> Vec<Recipe> {
    let wrong = &["wrong_audience"];
    let mut recipes = vec![
        reject("rule-no-conditions", &["no_conditions"], |s| {
            edited(s, |r| drop(r.take(CONDITIONS)))
        }),
        reject("rule-no-audience-restriction", wrong, |s| {
            edited(s, |r| drop(r.take(RESTRICTION)))
        }),
        reject("rule-no-audience", wrong, |s| {
            edited(s, |r| drop(r.take(AUDIENCE)))
        }),
        reject("rule-two-restrictions-second-not-ours", wrong, |s| {
            edited(s, |r| r.at(CONDITIONS).push(restriction_to_another()))
        }),
        reject("rule-two-restrictions-first-not-ours", wrong, |s| {
            edited(s, |r| r.at(CONDITIONS).push_front(restriction_to_another()))
        }),
    ];
    let others: [Changed; 6] = [
        ("of-another", |_| {
            "https://other.example/metadata".to_owned()
        }),
        ("empty", |_| String::new()),
        ("longer", |ours| format!("{ours}/more")),
        ("shorter", |ours| ours[..ours.len() - 1].to_owned()),
        ("upper-case", str::to_uppercase),
        ("with-fragment", |ours| format!("{ours}#x")),
    ];
    for (name, other) in others {
        recipes.push(reject(format!("rule-audience-{name}"), wrong, move |s| {
            let audience = other(&s.context.audience);
            edited(s, |r| r.at(AUDIENCE).fill(&*audience))
        }));
    }
    recipes
}

fn addresses() -> Vec<Recipe> {
    let mut recipes = vec![
        reject(
            "rule-no-recipient",
            &["wrong_recipient", "subject_confirmation"],
            |s| edited(s, |r| r.at(DATA).unset("Recipient")),
        ),
        reject(
            "rule-no-destination-on-signed-response",
            &["wrong_destination"],
            |s| s.draft().edit(|r| r.unset("Destination")).sign_response(),
        ),
        // Nothing signed says where the response was sent; the recipient does.
        accept("rule-no-destination-on-unsigned-response", |s| {
            s.signed().edit(|r| r.unset("Destination"))
        }),
        reject(
            "rule-destination-empty-on-signed-response",
            &["wrong_destination"],
            |s| s.draft().edit(|r| r.set("Destination", "")).sign_response(),
        ),
        reject(
            "rule-destination-of-another-unsigned",
            &["wrong_destination"],
            |s| {
                s.signed()
                    .edit(|r| r.set("Destination", "https://other.example/acs"))
            },
        ),
    ];
    let others: [Changed; 5] = [
        ("of-another", |_| "https://other.example/acs".to_owned()),
        ("longer", |ours| format!("{ours}/more")),
        ("with-query", |ours| format!("{ours}?x=1")),
        ("upper-case", str::to_uppercase),
        ("with-slash", |ours| format!("{ours}/")),
    ];
    for (name, other) in others {
        let reasons = &["wrong_recipient", "subject_confirmation"];
        recipes.push(reject(
            format!("rule-recipient-{name}"),
            reasons,
            move |s| {
                let url = other(&s.context.acs_url);
                edited(s, |r| r.at(DATA).set("Recipient", url))
            },
        ));
        let reasons = &["wrong_destination"];
        recipes.push(reject(
            format!("rule-destination-{name}"),
            reasons,
            move |s| {
                let url = other(&s.context.acs_url);
                s.draft()
                    .edit(|r| r.set("Destination", url))
                    .sign_response()
            },
        ));
    }
    recipes
}

fn requests() -> Vec<Recipe> {
    let wrong = &["wrong_in_response_to", "subject_confirmation"];
    vec![
        reject("rule-in-response-to-another", wrong, |s| {
            let other = s.id();
            edited(s, |r| {
                r.set("InResponseTo", &*other);
                r.at(DATA).set("InResponseTo", other);
            })
        }),
        reject("rule-in-response-to-none", wrong, |s| {
            edited(s, |r| {
                r.unset("InResponseTo");
                r.at(DATA).unset("InResponseTo");
            })
        }),
        reject("rule-in-response-to-another-in-confirmation", wrong, |s| {
            let other = s.id();
            edited(s, |r| r.at(DATA).set("InResponseTo", other))
        }),
        reject("rule-in-response-to-none-in-confirmation", wrong, |s| {
            // The response is not signed, so only the confirmation could bind it to the request.
            edited(s, |r| r.at(DATA).unset("InResponseTo"))
        }),
        reject("rule-in-response-to-another-in-response", wrong, |s| {
            let other = s.id();
            s.signed().edit(|r| r.set("InResponseTo", other))
        }),
        reject(
            "rule-in-response-to-though-unsolicited",
            wrong,
            Scene::signed,
        )
        .adjust(|_, case| case.in_response_to = None),
        reject(
            "rule-in-response-to-in-confirmation-though-unsolicited",
            wrong,
            |s| s.signed().edit(|r| r.unset("InResponseTo")),
        )
        .adjust(|_, case| case.in_response_to = None),
    ]
}

fn issuers() -> Vec<Recipe> {
    let wrong = &["wrong_issuer"];
    let mut recipes = vec![
        reject(
            "rule-no-issuer",
            &["wrong_issuer", "malformed_xml", "unexpected_element"],
            |s| edited(s, |r| drop(r.take("Assertion/Issuer"))),
        ),
        reject("rule-issuer-of-response-of-another", wrong, |s| {
            s.signed()
                .edit(|r| r.at("Issuer").fill("https://other.example/idp"))
        }),
        reject("rule-issuer-of-signed-response-of-another", wrong, |s| {
            s.draft()
                .edit(|r| r.at("Issuer").fill("https://other.example/idp"))
                .sign_response()
        }),
        reject("rule-issuer-with-format", wrong, |s| {
            // Profiles 4.1.4.2: only the entity format.
            edited(s, |r| {
                r.at("Assertion/Issuer")
                    .set("Format", crate::support::saml::provider::EMAIL);
            })
        }),
        accept("rule-no-issuer-of-unsigned-response", |s| {
            s.signed().edit(|r| drop(r.take("Issuer")))
        }),
    ];
    let others: [Changed; 4] = [
        ("of-another", |_| "https://other.example/idp".to_owned()),
        ("empty", |_| String::new()),
        ("longer", |ours| format!("{ours}/more")),
        ("upper-case", str::to_uppercase),
    ];
    for (name, other) in others {
        recipes.push(reject(format!("rule-issuer-{name}"), wrong, move |s| {
            let issuer = other(&s.provider.entity_id);
            edited(s, |r| r.at("Assertion/Issuer").fill(&*issuer))
        }));
    }
    recipes
}

fn statuses() -> Vec<Recipe> {
    let wrong = &["status_not_success", "unexpected_element"];
    vec![
        reject("rule-status-responder", wrong, |s| {
            s.signed()
                .edit(|r| drop(r.replace("Status/StatusCode", status_code("Responder"))))
        }),
        reject("rule-status-success-inside-responder", wrong, |s| {
            let code = status_code("Responder").child(status_code("Success"));
            s.signed()
                .edit(|r| drop(r.replace("Status/StatusCode", code)))
        }),
        reject(
            "rule-no-status",
            &["status_not_success", "unexpected_element", "malformed_xml"],
            |s| s.signed().edit(|r| drop(r.take("Status"))),
        ),
        reject("rule-no-status-code", wrong, |s| {
            s.signed().edit(|r| r.at("Status").children.clear())
        }),
        reject("rule-two-status-codes", wrong, |s| {
            s.signed()
                .edit(|r| r.at("Status").push(status_code("Responder")))
        }),
        reject("rule-two-statuses", wrong, |s| {
            s.signed().edit(|r| {
                let status = Element::new("samlp:Status").child(status_code("Responder"));
                r.insert_after("Status", status);
            })
        }),
        reject("rule-status-of-signed-response", wrong, |s| {
            let code = status_code("Responder").child(status_code("AuthnFailed"));
            s.draft()
                .edit(|r| drop(r.replace("Status/StatusCode", code)))
                .sign_response()
        }),
        reject(
            "rule-status-without-assertion",
            &["status_not_success", "assertion_count"],
            |s| {
                let code = status_code("Requester").child(status_code("RequestDenied"));
                s.draft()
                    .edit(|r| {
                        r.take("Assertion");
                        r.replace("Status/StatusCode", code);
                    })
                    .sign_response()
            },
        ),
    ]
}

fn confirmations() -> Vec<Recipe> {
    let wrong = &["subject_confirmation"];
    vec![
        reject("rule-confirmation-holder-of-key", wrong, |s| {
            let method = "urn:oasis:names:tc:SAML:2.0:cm:holder-of-key";
            edited(s, |r| r.at(CONFIRMATION).set("Method", method))
        }),
        reject("rule-confirmation-sender-vouches", wrong, |s| {
            let method = "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches";
            edited(s, |r| r.at(CONFIRMATION).set("Method", method))
        }),
        reject("rule-no-confirmation", wrong, |s| {
            edited(s, |r| drop(r.take(CONFIRMATION)))
        }),
        reject(
            "rule-no-confirmation-data",
            &["subject_confirmation", "wrong_recipient"],
            |s| edited(s, |r| drop(r.take(DATA))),
        ),
        reject(
            "rule-confirmations-share-what-each-lacks",
            &["subject_confirmation", "wrong_recipient", "expired"],
            |s| {
                // One is for us and over, the other in time and for somebody else.
                let at = s.at(-120);
                edited(s, |r| {
                    let mut other = r.copy(CONFIRMATION);
                    other
                        .at("SubjectConfirmationData")
                        .set("Recipient", "https://other.example/acs");
                    r.at(DATA).set("NotOnOrAfter", at);
                    r.at("Assertion/Subject").push(other);
                })
            },
        ),
    ]
}

fn subjects() -> Vec<Recipe> {
    let wrong = &["bad_name_id"];
    let mut recipes = vec![
        reject("rule-no-name-id", wrong, |s| {
            edited(s, |r| drop(r.take(NAME_ID)))
        }),
        reject(
            "rule-no-subject",
            &["bad_name_id", "subject_confirmation", "unexpected_element"],
            |s| edited(s, |r| drop(r.take("Assertion/Subject"))),
        ),
        reject(
            "rule-two-name-ids",
            &["bad_name_id", "unexpected_element"],
            |s| {
                edited(s, |r| {
                    let other = Element::new("saml:NameID").child(&*s.intruder);
                    r.at("Assertion/Subject").push_front(other);
                })
            },
        ),
        reject(
            "rule-two-subjects",
            &["bad_name_id", "unexpected_element"],
            |s| {
                edited(s, |r| {
                    let mut other = r.copy("Assertion/Subject");
                    other.at("NameID").fill(&*s.intruder);
                    r.at("Assertion").insert_after("Subject", other);
                })
            },
        ),
    ];
    let others = [
        ("empty", ""),
        ("blank", " \t "),
        ("line-break", "alice\nadmin"),
        ("carriage-return", "alice\radmin"),
        ("tab", "alice\tadmin"),
        ("delete-character", "alice\u{7f}"),
        ("c1-character", "alice\u{85}"),
    ];
    for (name, value) in others {
        recipes.push(reject(format!("rule-name-id-{name}"), wrong, move |s| {
            edited(s, |r| {
                let name_id = r.at(NAME_ID);
                name_id.children.clear();
                if !value.is_empty() {
                    name_id.push(value);
                }
            })
        }));
    }
    recipes
}

fn statements() -> Vec<Recipe> {
    let twice = |friendly: Option<&'static str>| {
        move |s: &Scene| {
            let mut claim = Claim::new(&s.claims[0].name, &["administrators"]);
            claim.friendly_name = friendly.map(str::to_owned);
            edited(s, |r| {
                r.at("Assertion/AttributeStatement").push(claim.element());
            })
        }
    };
    vec![
        reject("rule-no-authn-statement", &["no_authn_statement"], |s| {
            edited(s, |r| drop(r.take(AUTHN)))
        }),
        reject("rule-attribute-twice", &["bad_attribute"], twice(None)),
        reject(
            "rule-attribute-twice-with-friendly-name",
            &["bad_attribute"],
            twice(Some("g")),
        ),
        reject(
            "rule-attribute-twice-in-two-statements",
            &["bad_attribute", "unexpected_element"],
            |s| {
                edited(s, |r| {
                    let statement = r.copy("Assertion/AttributeStatement");
                    r.at("Assertion").push(statement);
                })
            },
        ),
        reject(
            "rule-attribute-without-name",
            &["bad_attribute", "unexpected_element"],
            |s| {
                edited(s, |r| {
                    r.at("Assertion/AttributeStatement/Attribute").unset("Name");
                })
            },
        ),
        reject("rule-attributes-outside", &["unexpected_element"], |s| {
            s.signed().edit(|r| {
                let statement = r.copy("Assertion/AttributeStatement");
                r.push(statement);
            })
        }),
        reject(
            "rule-attributes-in-extensions",
            &["unexpected_element"],
            |s| {
                s.signed().edit(|r| {
                    let statement = r.copy("Assertion/AttributeStatement");
                    r.insert_after("Issuer", Element::new("samlp:Extensions").child(statement));
                })
            },
        ),
        reject(
            "rule-proxy-and-one-time-use-not-understood",
            &["no_conditions", "unexpected_element"],
            |s| {
                // SAML core 2.5.1: a condition that is not understood makes the assertion indeterminate.
                edited(s, |r| {
                    let condition = Element::new("saml:Condition").with("xsi:type", "x:Unknown");
                    r.at(CONDITIONS)
                        .push(condition.with("xmlns:x", "urn:example:x"));
                })
            },
        ),
    ]
}

fn frames() -> Vec<Recipe> {
    let version = &["wrong_version", "wrong_message"];
    let id = &["bad_id"];
    vec![
        reject("rule-version-1.1-of-assertion", version, |s| {
            edited(s, |r| r.at("Assertion").set("Version", "1.1"))
        }),
        reject("rule-version-1.1-of-response", version, |s| {
            s.signed().edit(|r| r.set("Version", "1.1"))
        }),
        reject("rule-no-version", version, |s| {
            edited(s, |r| r.at("Assertion").unset("Version"))
        }),
        reject("rule-id-with-quote", id, |s| {
            edited(s, |r| r.at("Assertion").set("ID", "_x' or '1'='1"))
        }),
        reject("rule-id-begins-with-digit", id, |s| {
            edited(s, |r| r.at("Assertion").set("ID", "1abc"))
        }),
        reject("rule-id-empty", id, |s| {
            edited(s, |r| r.at("Assertion").set("ID", ""))
        }),
        reject("rule-no-id", id, |s| {
            s.draft()
                .edit(|r| r.at("Assertion").unset("ID"))
                .sign_assertion()
        }),
        reject("rule-no-id-of-response", id, |s| {
            s.signed().edit(|r| r.unset("ID"))
        }),
        reject("rule-no-assertion", &["assertion_count"], |s| {
            s.draft()
                .edit(|r| drop(r.take("Assertion")))
                .sign_response()
        }),
        reject(
            "rule-two-signed-assertions",
            &["assertion_count", "unexpected_element"],
            |s| {
                let second = s
                    .for_case("second assertion")
                    .signed()
                    .root
                    .copy("Assertion");
                s.signed().edit(|r| r.push(second))
            },
        ),
        reject(
            "rule-text-between-elements",
            &["mixed_content", "unexpected_element"],
            |s| {
                s.signed()
                    .edit(|r| r.insert_before("Assertion", Node::from("text")))
            },
        ),
    ]
}

/// Changed before the assertion is signed.
fn edited(scene: &Scene, change: impl FnOnce(&mut Element)) -> Draft {
    scene.draft().edit(change).sign_assertion()
}

fn restriction_to_another() -> Element {
    let audience = Element::new("saml:Audience").child("https://other.example/metadata");
    Element::new("saml:AudienceRestriction").child(audience)
}
