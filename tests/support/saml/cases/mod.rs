//! Every class of good and hostile response, each case in a few lines: its name, what is done to
//! the usual response, and what has to come of it.
//!
//! Entry points: [`recipes`], and [`all`] for one scene.

mod algorithms;
mod complexity;
mod confusion;
mod digests;
mod encrypted;
mod keys;
mod references;
mod rules;
mod text;
mod transforms;
mod valid;
mod wrapping;
mod xml;

use std::collections::BTreeMap;

use openssl::pkey::{PKey, Private};
use time::OffsetDateTime;

use super::scene::Scene;

/// What has to come of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The case's identity.
    Accept,
    /// A refusal.
    Reject,
    /// A refusal, or the case's identity: either is right.
    Safe,
}

/// A response with all that it is judged by.
#[derive(Debug, Clone)]
pub struct Case {
    pub id: String,
    pub class: &'static str,
    pub document: Vec<u8>,
    pub expected: Verdict,
    /// The stable codes of which a refusal has one; empty where any will do.
    pub reasons: &'static [&'static str],
    /// Who signs in, if anybody.
    pub name_id: String,
    /// What is said of them, by name.
    pub attributes: BTreeMap<String, Vec<String>>,
    pub at: OffsetDateTime,
    pub in_response_to: Option<String>,
    pub audience: String,
    pub acs_url: String,
    pub entity_id: String,
    /// The provider's signing certificates, DER.
    pub certificates: Vec<Vec<u8>>,
    pub decryption_key: Option<PKey<Private>>,
}

/// A word for an id, and what stands for it in a scene.
type Placed = (&'static str, fn(&Scene) -> String);
/// A word for an id, and how what is ours is written instead.
type Changed = (&'static str, fn(&str) -> String);
type Make = Box<dyn Fn(&Scene) -> Vec<u8> + Send + Sync>;
type Adjust = Box<dyn Fn(&Scene, &mut Case) + Send + Sync>;

impl Case {
    /// Whether a service provider that was set up for the scene judges it as it has to, without
    /// other keys, certificates, clocks or requests.
    pub fn fits(&self, scene: &Scene) -> bool {
        self.certificates == [scene.provider.primary.der()]
            && self.decryption_key.is_some()
            && self.at == scene.context.now
            && self.in_response_to == scene.context.in_response_to
    }
}

/// How a case is made.
pub struct Recipe {
    pub id: String,
    pub class: &'static str,
    pub expected: Verdict,
    pub reasons: &'static [&'static str],
    document: Make,
    adjustments: Vec<Adjust>,
}

impl Recipe {
    fn new<D: Into<Vec<u8>>>(
        id: impl Into<String>,
        expected: Verdict,
        reasons: &'static [&'static str],
        document: impl Fn(&Scene) -> D + Send + Sync + 'static,
    ) -> Self {
        Self {
            id: id.into(),
            class: "",
            expected,
            reasons,
            document: Box::new(move |scene| document(scene).into()),
            adjustments: Vec::new(),
        }
    }

    /// Changes what the response is judged by, or what has to come of it.
    fn adjust(mut self, change: impl Fn(&Scene, &mut Case) + Send + Sync + 'static) -> Self {
        self.adjustments.push(Box::new(change));
        self
    }

    /// The response in a scene.
    pub fn case(&self, scene: &Scene) -> Case {
        let scene = scene.for_case(&self.id);
        let mut case = Case {
            id: self.id.clone(),
            class: self.class,
            document: (self.document)(&scene),
            expected: self.expected,
            reasons: self.reasons,
            name_id: scene.name_id.clone(),
            attributes: scene.attributes(),
            at: scene.context.now,
            in_response_to: scene.context.in_response_to.clone(),
            audience: scene.context.audience.clone(),
            acs_url: scene.context.acs_url.clone(),
            entity_id: scene.provider.entity_id.clone(),
            certificates: vec![scene.provider.primary.der()],
            decryption_key: Some(scene.decryption.key.clone()),
        };
        for adjust in &self.adjustments {
            adjust(&scene, &mut case);
        }
        case
    }
}

/// A response that is accepted.
fn accept<D: Into<Vec<u8>>>(
    id: impl Into<String>,
    document: impl Fn(&Scene) -> D + Send + Sync + 'static,
) -> Recipe {
    Recipe::new(id, Verdict::Accept, &[], document)
}

/// A response that is refused for one of these reasons.
fn reject<D: Into<Vec<u8>>>(
    id: impl Into<String>,
    reasons: &'static [&'static str],
    document: impl Fn(&Scene) -> D + Send + Sync + 'static,
) -> Recipe {
    Recipe::new(id, Verdict::Reject, reasons, document)
}

/// Every case, in a fixed order.
pub fn recipes() -> Vec<Recipe> {
    let classes: [(&str, Vec<Recipe>); 15] = [
        ("valid", valid::recipes()),
        ("time", valid::times()),
        ("encrypted", encrypted::recipes()),
        ("wrapping", wrapping::recipes()),
        ("text", text::recipes()),
        ("digest", digests::recipes()),
        ("signature", digests::signatures()),
        ("reference", references::recipes()),
        ("key", keys::recipes()),
        ("algorithm", algorithms::recipes()),
        ("transform", transforms::recipes()),
        ("xml", xml::recipes()),
        ("rule", rules::recipes()),
        ("confusion", confusion::recipes()),
        ("complexity", complexity::recipes()),
    ];
    let named = classes.into_iter().flat_map(|(class, recipes)| {
        recipes
            .into_iter()
            .map(move |recipe| Recipe { class, ..recipe })
    });
    named.collect()
}

/// Every case in one scene.
pub fn all(scene: &Scene) -> Vec<Case> {
    recipes().iter().map(|recipe| recipe.case(scene)).collect()
}
