//! Who signs in where, in a case: chosen by a seed, or given by a running server.

use std::{cell::RefCell, collections::BTreeMap, sync::Arc};

use time::{Duration, OffsetDateTime, macros::datetime};

use super::{
    keys::KeyPair,
    provider::{Claim, Draft, EMAIL, Request, TestIdentityProvider},
    random::Random,
    signature::Signing,
    xml::{Element, Node},
};

/// The service provider that a response is for, and the moment.
#[derive(Debug, Clone)]
pub struct Context {
    pub acs_url: String,
    pub audience: String,
    /// None where nobody asked.
    pub in_response_to: Option<String>,
    pub now: OffsetDateTime,
    pub seed: u64,
    /// An address that nobody may ask, without a slash at its end.
    pub forbidden_url: String,
    /// A file that nobody may open, absolute.
    pub forbidden_file: String,
}

impl Context {
    /// Hosts, ids and a moment that follow from the seed.
    pub fn from_seed(seed: u64, forbidden_url: &str, forbidden_file: &str) -> Self {
        let mut random = Random::new(seed, "context");
        let host = format!("https://{}.{}.test", random.word(5), random.word(8));
        let connector = random.word(4);
        let minutes = i64::try_from(random.below(5_000_000)).expect("a small number");
        Self {
            acs_url: format!("{host}/saml/{connector}/acs"),
            audience: format!("{host}/saml/{connector}/metadata"),
            in_response_to: Some(random.id()),
            now: datetime!(2026-01-01 00:00 UTC) + Duration::minutes(minutes),
            seed,
            forbidden_url: forbidden_url.to_owned(),
            forbidden_file: forbidden_file.to_owned(),
        }
    }
}

/// What a case is made of.
#[derive(Debug, Clone)]
pub struct Scene {
    pub provider: Arc<TestIdentityProvider>,
    /// What the service provider decrypts with.
    pub decryption: Arc<KeyPair>,
    pub context: Context,
    /// Whom the provider signs in.
    pub name_id: String,
    /// What it says of them.
    pub claims: Vec<Claim>,
    /// Whom an attacker wants to be.
    pub intruder: String,
    /// What the usual response is made from; always the same one in a case.
    usual: Random,
    random: RefCell<Random>,
}

impl Scene {
    /// People that follow from the seed of the context.
    pub fn new(
        provider: Arc<TestIdentityProvider>,
        decryption: Arc<KeyPair>,
        context: Context,
    ) -> Self {
        let mut random = Random::new(context.seed, "people");
        let host = format!("{}.example", random.word(6));
        let groups: Vec<String> = (0..2 + random.below(3)).map(|_| random.word(9)).collect();
        let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
        let name_id = format!("{}@{host}", random.word(6));
        let group_claim = random.pick(&[
            "groups",
            "memberOf",
            "http://schemas.xmlsoap.org/claims/Group",
        ]);
        Self {
            claims: vec![
                Claim::new(group_claim, &groups),
                Claim::new("mail", &[&name_id]),
            ],
            intruder: format!("{}@{host}", random.word(7)),
            name_id,
            provider,
            decryption,
            context,
            usual: random.clone(),
            random: RefCell::new(random),
        }
    }

    /// This scene with choices of its own for one case.
    pub fn for_case(&self, id: &str) -> Self {
        let usual = Random::new(self.context.seed, id);
        let random = RefCell::new(Random::new(self.context.seed, &format!("{id} ids")));
        Self {
            usual,
            random,
            ..self.clone()
        }
    }

    /// This scene, where a request waits for its answer now.
    pub fn answering(&self, request_id: &str, now: OffsetDateTime) -> Self {
        let mut scene = self.clone();
        scene.context.in_response_to = Some(request_id.to_owned());
        scene.context.now = now;
        scene
    }

    /// The request that the usual response answers.
    pub fn request(&self) -> Request {
        let context = &self.context;
        Request {
            acs_url: context.acs_url.clone(),
            audience: context.audience.clone(),
            in_response_to: context.in_response_to.clone(),
            now: context.now,
            name_id: self.name_id.clone(),
            name_id_format: EMAIL,
            attributes: self.claims.clone(),
            random: self.usual.clone(),
        }
    }

    /// The usual response, unsigned; the same one each time.
    pub fn draft(&self) -> Draft {
        self.provider.response(&self.request())
    }

    /// The usual response with a signed assertion.
    pub fn signed(&self) -> Draft {
        self.draft().sign_assertion()
    }

    /// The usual response, signed as a whole.
    pub fn response_signed(&self) -> Draft {
        self.draft().sign_response()
    }

    /// How a stranger signs, with a certificate that looks like the provider's.
    pub fn attacker(&self) -> Signing {
        let attacker = &self.provider.attacker;
        Signing::new(&attacker.key, Some(&attacker.der()))
    }

    /// The assertion as an attacker wants it: unsigned, with another ID, for the intruder.
    pub fn evil(&self, assertion: &Element) -> Element {
        let mut evil = assertion.clone();
        if evil.has("Signature") {
            evil.take("Signature");
        }
        evil.set("ID", self.id());
        self.corrupt(&mut evil);
        evil
    }

    /// Makes an assertion say that the intruder signed in.
    pub fn corrupt(&self, assertion: &mut Element) {
        assertion.at("Subject/NameID").fill(&*self.intruder);
    }

    /// A response that holds the evil assertion alone; its ID is new.
    pub fn evil_response(&self, response: &Element) -> Element {
        let mut evil = response.clone();
        if evil.has("Signature") {
            evil.take("Signature");
        }
        evil.set("ID", self.id());
        let assertion = self.evil(&evil.copy("Assertion"));
        evil.replace("Assertion", assertion);
        evil
    }

    /// A new ID.
    pub fn id(&self) -> String {
        self.random.borrow_mut().id()
    }

    /// A moment before or after now, in seconds.
    pub fn at(&self, seconds: i64) -> String {
        super::provider::instant(self.context.now + Duration::seconds(seconds))
    }

    /// The attributes that a verified response yields, by name.
    pub fn attributes(&self) -> BTreeMap<String, Vec<String>> {
        attributes(&self.claims)
    }
}

/// Attributes by name.
pub fn attributes(claims: &[Claim]) -> BTreeMap<String, Vec<String>> {
    claims
        .iter()
        .map(|claim| (claim.name.clone(), claim.values.clone()))
        .collect()
}

/// Cuts text in two at its middle, with something between the halves.
pub fn split_with(text: &str, between: Node) -> Vec<Node> {
    let (start, end) = text.split_at(text.len() / 2);
    vec![Node::from(start), between, Node::from(end)]
}
