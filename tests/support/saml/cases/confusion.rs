//! The provider's own signatures, under something that is not a response.

use super::{Recipe, reject};
use crate::support::saml::{
    provider::{Draft, SUCCESS},
    scene::Scene,
    signature::x509_data,
    xml::Element,
};

pub(super) fn recipes() -> Vec<Recipe> {
    vec![
        // CVE-2025-47949
        reject(
            "confusion-signed-metadata",
            &["wrong_message"],
            signed_metadata,
        ),
        reject(
            "confusion-signature-of-metadata-on-assertion",
            &["signature_reference", "signature_invalid"],
            |s| {
                let signature = signed_metadata(s).root.copy("Signature");
                s.draft().edit(|r| {
                    s.corrupt(r.at("Assertion"));
                    r.at("Assertion").insert_after("Issuer", signature);
                })
            },
        ),
        reject(
            "confusion-metadata-in-extensions",
            &["unexpected_element", "signature_shape", "unsigned"],
            |s| {
                let metadata = signed_metadata(s).root;
                s.draft().edit(|r| {
                    s.corrupt(r.at("Assertion"));
                    r.insert_after("Issuer", Element::new("samlp:Extensions").child(metadata));
                })
            },
        ),
        reject("confusion-logout-response", &["wrong_message"], |s| {
            logout_response(s).sign_response()
        }),
        reject(
            "confusion-logout-response-with-assertion",
            &["wrong_message"],
            |s| {
                let assertion = s.signed().root.copy("Assertion");
                logout_response(s)
                    .edit(|r| r.push(assertion))
                    .sign_response()
            },
        ),
        reject("confusion-artifact-response", &["wrong_message"], |s| {
            let response = s.signed().root;
            s.draft()
                .edit(|r| {
                    r.rename("samlp:ArtifactResponse");
                    r.take("Assertion");
                    r.push(response);
                    r.set("ID", s.id());
                })
                .sign_response()
        }),
        reject("confusion-authn-request", &["wrong_message"], |s| {
            s.draft()
                .edit(|r| {
                    r.rename("samlp:AuthnRequest");
                    r.take("Assertion");
                    r.take("Status");
                })
                .sign_response()
        }),
        reject("confusion-saml-1.1", &["wrong_message"], |s| {
            let xml = s.signed().xml();
            xml.replace(
                "urn:oasis:names:tc:SAML:2.0:protocol",
                "urn:oasis:names:tc:SAML:1.0:protocol",
            )
        }),
        reject(
            "confusion-response-of-another-namespace",
            &["wrong_message"],
            |s| {
                let xml = s.signed().xml();
                xml.replace(
                    "urn:oasis:names:tc:SAML:2.0:protocol",
                    "urn:example:protocol",
                )
            },
        ),
    ]
}

fn signed_metadata(scene: &Scene) -> Draft {
    let draft = scene.draft();
    let signing = draft.usual();
    let descriptor = Element::new("md:IDPSSODescriptor")
        .with(
            "protocolSupportEnumeration",
            "urn:oasis:names:tc:SAML:2.0:protocol",
        )
        .child(Element::new("md:KeyDescriptor").child(x509_data(&[&scene.provider.primary.der()])));
    let metadata = Element::new("md:EntityDescriptor")
        .with("ID", scene.id())
        .with("entityID", &*scene.provider.entity_id)
        .child(descriptor);
    draft.edit(|r| *r = metadata).sign("", &signing)
}

fn logout_response(scene: &Scene) -> Draft {
    scene.draft().edit(|r| {
        r.rename("samlp:LogoutResponse");
        r.take("Assertion");
        r.at("Status/StatusCode").set("Value", SUCCESS);
    })
}
