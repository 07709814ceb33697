//! Documents that parsers disagree about, or that are none.

use super::{Placed, Recipe, Verdict, reject};
use crate::support::saml::xml::{Node, write};

const DOCTYPE: &[&str] = &["document_type"];
const UTF8: &[&str] = &["not_utf8"];
const MALFORMED: &[&str] = &["malformed_xml"];

pub(super) fn recipes() -> Vec<Recipe> {
    let mut recipes = document_types();
    recipes.extend(encodings());
    recipes.extend(roots());
    recipes.extend(names());
    recipes.extend(markup());
    recipes.extend(no_documents());
    recipes
}

fn document_types() -> Vec<Recipe> {
    let subsets: [Placed; 11] = [
        ("empty", |_| "<!DOCTYPE Response>".to_owned()),
        ("internal-subset-empty", |_| {
            "<!DOCTYPE Response []>".to_owned()
        }),
        ("entity-of-file", |s| {
            entity(&format!("SYSTEM \"file://{}\"", s.context.forbidden_file))
        }),
        ("entity-of-address", |s| {
            entity(&format!("SYSTEM \"{}/entity\"", s.context.forbidden_url))
        }),
        ("entity-internal", |s| entity(&format!("\"{}\"", s.name_id))),
        ("parameter-entity", |s| {
            let url = &s.context.forbidden_url;
            format!("<!DOCTYPE r [<!ENTITY % p SYSTEM \"{url}/parameter\"> %p;]>")
        }),
        ("external", |s| {
            format!("<!DOCTYPE r SYSTEM \"{}/dtd\">", s.context.forbidden_url)
        }),
        ("external-public", |s| {
            format!(
                "<!DOCTYPE r PUBLIC \"-//x//y\" \"file://{}\">",
                s.context.forbidden_file
            )
        }),
        ("attribute-default", |_| {
            "<!DOCTYPE r [<!ATTLIST r xmlns CDATA \"urn:example:other\">]>".to_owned()
        }),
        ("attribute-of-type-id", |_| {
            "<!DOCTYPE r [<!ATTLIST r other ID #IMPLIED>]>".to_owned()
        }),
        ("notation", |_| {
            "<!DOCTYPE r [<!NOTATION n SYSTEM \"x\"><!ENTITY a \"<!-- -->\">]>".to_owned()
        }),
    ];
    let mut recipes: Vec<Recipe> = subsets
        .into_iter()
        .map(|(name, subset)| {
            reject(format!("xml-doctype-{name}"), DOCTYPE, move |s| {
                subset(s)
                    + &s.signed()
                        .edit(|r| {
                            if name.starts_with("entity") {
                                r.at("Assertion/Subject/NameID").fill(Node::raw("&e;"));
                            }
                        })
                        .xml()
            })
        })
        .collect();
    recipes.push(reject("xml-entities-that-multiply", DOCTYPE, |s| {
        let mut subset = String::from("<!DOCTYPE r [<!ENTITY e0 \"lol\">");
        for n in 1..10 {
            let ten = format!("&e{};", n - 1).repeat(10);
            subset.push_str(&["<!ENTITY e", &n.to_string(), " \"", &ten, "\">"].concat());
        }
        let signed = s.signed().edit(|r| {
            r.at("Assertion/Subject/NameID").fill(Node::raw("&e9;"));
        });
        subset + "]>" + &signed.xml()
    }));
    recipes.push(reject(
        "xml-entity-undeclared",
        &["document_type", "malformed_xml"],
        |s| {
            s.signed()
                .edit(|r| r.at("Assertion/Subject/NameID").push(Node::raw("&nbsp;")))
        },
    ));
    recipes
}

fn encodings() -> Vec<Recipe> {
    vec![
        reject("xml-utf-16", UTF8, |s| {
            utf16(&("\u{feff}".to_owned() + &s.signed().xml()))
        }),
        reject("xml-utf-16-declared", UTF8, |s| {
            utf16(&format!(
                "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-16\"?>{}",
                s.signed().xml()
            ))
        }),
        reject("xml-utf-7", UTF8, |s| {
            let hidden = s.signed().xml().replace('<', "+ADw-").replace('>', "+AD4-");
            format!("<?xml version=\"1.0\" encoding=\"UTF-7\"?>{hidden}")
        }),
        reject("xml-utf-7-declared-alone", UTF8, |s| {
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-7\"?>{}",
                s.signed().xml()
            )
        }),
        reject("xml-latin-1-declared", UTF8, |s| {
            format!(
                "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>{}",
                s.signed().xml()
            )
        }),
        reject("xml-overlong-utf-8", UTF8, |s| {
            let signed = s.signed().edit(|r| {
                r.at("Assertion/Subject/NameID")
                    .push_front(Node::raw("OVERLONG"));
            });
            replaced(&signed.xml(), b"OVERLONG", &[0xc0, 0xaf])
        }),
        reject("xml-surrogate-in-utf-8", UTF8, |s| {
            let signed = s.signed().edit(|r| {
                r.at("Assertion/Subject/NameID")
                    .push_front(Node::raw("SURROGATE"));
            });
            replaced(&signed.xml(), b"SURROGATE", &[0xed, 0xa0, 0x80])
        }),
        reject("xml-nul-in-name-id", UTF8, |s| {
            let signed = s.signed().edit(|r| {
                let name_id = r.at("Assertion/Subject/NameID");
                name_id.fill(&*s.intruder);
                name_id.push(Node::raw("\0"));
                name_id.push(&*s.name_id);
            });
            signed.xml()
        }),
        reject("xml-nul-then-more", UTF8, |s| {
            s.signed().xml() + "\0<evil/>"
        }),
        reject("xml-nul-at-end", UTF8, |s| s.signed().xml() + "\0"),
        reject(
            "xml-reference-to-nul",
            &["malformed_xml", "not_utf8", "bad_name_id"],
            |s| {
                s.signed()
                    .edit(|r| r.at("Assertion/Subject/NameID").push(Node::raw("&#0;")))
            },
        ),
        reject("xml-version-1.1", &["malformed_xml"], |s| {
            format!(
                "<?xml version=\"1.1\" encoding=\"UTF-8\"?>{}",
                s.signed().xml()
            )
        }),
        Recipe::new("xml-byte-order-mark", Verdict::Safe, &[], |s| {
            "\u{feff}".to_owned() + &s.signed().xml()
        }),
    ]
}

fn roots() -> Vec<Recipe> {
    vec![
        // CVE-2022-39299
        reject("xml-two-roots", MALFORMED, |s| s.signed().xml().repeat(2)),
        reject("xml-two-roots-evil-first", MALFORMED, |s| {
            let signed = s.signed();
            write(&s.evil_response(&signed.root), &signed.prefixes) + &signed.xml()
        }),
        reject("xml-two-roots-evil-last", MALFORMED, |s| {
            let signed = s.signed();
            signed.xml() + &write(&s.evil_response(&signed.root), &signed.prefixes)
        }),
        reject("xml-text-behind", MALFORMED, |s| s.signed().xml() + "more"),
        reject("xml-text-before", MALFORMED, |s| {
            "more".to_owned() + &s.signed().xml()
        }),
        reject("xml-truncated", MALFORMED, |s| {
            let mut xml = s.signed().xml();
            let middle = (0..=xml.len() / 2)
                .rev()
                .find(|at| xml.is_char_boundary(*at));
            xml.truncate(middle.expect("0 is one"));
            xml
        }),
        reject("xml-last-tag-missing", MALFORMED, |s| {
            let xml = s.signed().xml();
            let end = xml.rfind("</").expect("an end tag");
            xml[..end].to_owned()
        }),
        reject(
            "xml-instruction-before-root",
            &["processing_instruction"],
            |s| {
                let url = &s.context.forbidden_url;
                format!(
                    "<?xml-stylesheet type=\"text/xsl\" href=\"{url}/style\"?>{}",
                    s.signed().xml()
                )
            },
        ),
        reject("xml-instruction-inside", &["processing_instruction"], |s| {
            s.signed()
                .edit(|r| r.insert_before("Assertion", Node::raw("<?x y?>")))
        }),
        reject(
            "xml-instruction-behind-root",
            &["processing_instruction"],
            |s| s.signed().xml() + "<?x y?>",
        ),
        reject("xml-bare-assertion", &["wrong_message"], |s| {
            let signed = s.signed();
            write(&signed.root.copy("Assertion"), &signed.prefixes)
        }),
    ]
}

fn names() -> Vec<Recipe> {
    vec![
        reject("xml-attribute-twice", MALFORMED, |s| {
            s.signed().edit(|r| {
                r.at("Assertion")
                    .attributes
                    .push(("ID".into(), "_other".into()));
            })
        }),
        reject(
            "xml-attribute-twice-by-namespace",
            &["malformed_xml", "bad_namespace"],
            |s| {
                s.signed().edit(|r| {
                    r.set("xmlns:one", "urn:example:same");
                    r.set("xmlns:two", "urn:example:same");
                    r.attributes.push(("one:x".into(), "1".into()));
                    r.attributes.push(("two:x".into(), "2".into()));
                })
            },
        ),
        // CVE-2025-66567
        reject(
            "xml-attributes-that-imitate-id",
            &["bad_namespace", "bad_id"],
            |s| {
                s.signed().edit(|r| {
                    r.at("Assertion").set("xmlns:x", "urn:example:x");
                    r.at("Assertion").set("x:ID", "_evil");
                    r.at("Assertion").set("id", "_evil");
                })
            },
        ),
        reject("xml-attribute-xml-id", &["bad_namespace", "bad_id"], |s| {
            s.draft()
                .edit(|r| r.at("Assertion").set("xml:id", "_other"))
                .sign_assertion()
        }),
        reject(
            "xml-namespace-with-space",
            &["wrong_message", "bad_namespace", "unexpected_element"],
            |s| {
                s.signed().edit(|r| {
                    let evil = s.evil(&r.copy("Assertion"));
                    let mut imitation = evil.clone();
                    imitation.set("xmlns:imitation", "urn:oasis:names:tc:SAML:2.0:assertion ");
                    imitation.rename("imitation:Assertion");
                    r.insert_before("Assertion", imitation);
                })
            },
        ),
        reject("xml-namespace-relative", &["bad_namespace"], |s| {
            s.signed().edit(|r| r.set("xmlns:x", "relative"))
        }),
    ]
}

fn markup() -> Vec<Recipe> {
    vec![
        reject(
            "xml-prefix-undeclared",
            &["malformed_xml", "bad_namespace"],
            |s| {
                s.signed()
                    .edit(|r| r.insert_before("Assertion", Node::raw("<nobody:Extensions/>")))
            },
        ),
        reject(
            "xml-prefix-xmlns-declared",
            &["malformed_xml", "bad_namespace"],
            |s| s.signed().edit(|r| r.set("xmlns:xmlns", "urn:example:x")),
        ),
        reject("xml-tags-crossed", MALFORMED, |s| {
            s.signed()
                .edit(|r| r.at("Assertion/Subject").push(Node::raw("</Assertion>")))
        }),
        reject("xml-attribute-without-quotes", MALFORMED, |s| {
            s.signed().xml().replace("Version=\"2.0\"", "Version=2.0")
        }),
        reject("xml-less-than-in-attribute", MALFORMED, |s| {
            s.signed()
                .xml()
                .replacen("Version=\"2.0\"", "Version=\"2.0\" a=\"<\"", 1)
        }),
        reject(
            "xml-control-character",
            &["malformed_xml", "not_utf8", "bad_name_id"],
            |s| {
                s.signed()
                    .edit(|r| r.at("Assertion/Subject/NameID").push(Node::raw("\u{1}")))
            },
        ),
        reject("xml-comment-malformed", MALFORMED, |s| {
            s.signed()
                .edit(|r| r.insert_before("Assertion", Node::raw("<!-- a -- b -->")))
        }),
    ]
}

fn no_documents() -> Vec<Recipe> {
    let texts = [
        ("empty", "", MALFORMED),
        ("blank", " \n", MALFORMED),
        (
            "json",
            "{\"name_id\": \"admin\"}",
            &["malformed_xml", "bad_encoding"],
        ),
        (
            "html",
            "<!DOCTYPE html><html><head><meta charset=utf-8></head><p>Sign in</html>",
            DOCTYPE,
        ),
        (
            "other-root",
            "<Response ID=\"_1\" Version=\"2.0\"/>",
            &["wrong_message"],
        ),
        ("declaration-alone", "<?xml version=\"1.0\"?>", MALFORMED),
    ];
    let recipes = texts.into_iter().map(|(name, text, reasons)| {
        reject(format!("xml-no-response-{name}"), reasons, move |_| text)
    });
    recipes.collect()
}

fn entity(definition: &str) -> String {
    format!("<!DOCTYPE r [<!ENTITY e {definition}>]>")
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

fn replaced(text: &str, mark: &[u8], bytes: &[u8]) -> Vec<u8> {
    let text = text.as_bytes();
    let at = text
        .windows(mark.len())
        .position(|window| window == mark)
        .expect("the mark");
    [&text[..at], bytes, &text[at + mark.len()..]].concat()
}
