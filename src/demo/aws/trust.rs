//! Trust policies as documents: what a role's administrator pastes into IAM, and who may open the
//! role by it.
//!
//! What [`Trust`]'s builder collects is written as a document too, so that one evaluator decides
//! both. Entry points: [`Trust::document`], [`Trust::with_statement`], [`Trust::allows`].

use serde_json::{Value, json};

use super::catalogue::{Trust, text_length};
use super::policy::{Claimant, Context, Decision, Document, Malformed, Question, Subject};

/// IAM's quota for a trust policy, blanks not counted.
const TRUST_CHARACTERS: usize = 2_048;

/// What somebody asks for together with a role.
pub(super) struct Wishes<'a> {
    pub(super) session_name: &'a str,
    pub(super) tags: &'a [(String, String)],
    pub(super) transitive_tag_keys: &'a [String],
    /// Asked for, or that of the session which asks.
    pub(super) source_identity: Option<&'a str>,
}

impl Wishes<'_> {
    /// Adds the condition keys of the request: `sts:RoleSessionName`, `sts:SourceIdentity`,
    /// `sts:TransitiveTagKeys`, `aws:TagKeys` and `aws:RequestTag/…`.
    pub(super) fn add_to(&self, context: &mut Context) {
        context.set("sts:RoleSessionName", self.session_name);
        context.set_all("sts:SourceIdentity", self.source_identity);
        let transitive = self.transitive_tag_keys.iter().map(String::as_str);
        context.set_all("sts:TransitiveTagKeys", transitive);
        let keys = self.tags.iter().map(|(key, _)| key.as_str());
        context.set_all("aws:TagKeys", keys);
        for (key, value) in self.tags {
            context.set(&format!("aws:RequestTag/{key}"), value);
        }
    }

    /// The actions that have to be allowed beside `opening`, in the order in which STS asks.
    pub(super) fn actions(&self, opening: &'static str) -> Vec<&'static str> {
        let mut actions = vec![opening];
        if !self.tags.is_empty() {
            actions.push("sts:TagSession");
        }
        if self.source_identity.is_some() {
            actions.push("sts:SetSourceIdentity");
        }
        actions
    }
}

impl Trust {
    /// A trust policy as IAM takes it.
    ///
    /// # Errors
    /// IAM's words, when it would not take the document: `MalformedPolicyDocument`, or more than
    /// 2,048 characters, blanks not counted.
    pub fn document(text: &str) -> Result<Self, String> {
        Document::trust(text).map_err(|Malformed(message)| message)?;
        if text_length(text) > TRUST_CHARACTERS {
            let message = format!("Cannot exceed quota for ACLSizePerRole: {TRUST_CHARACTERS}");
            return Err(message);
        }
        Ok(Self {
            document: Some(text.to_owned()),
            ..Self::default()
        })
    }

    /// The same trust with one more statement, a JSON object, as somebody pastes it into the list.
    ///
    /// # Errors
    /// As of [`Self::document`].
    pub fn with_statement(&self, statement: &str) -> Result<Self, String> {
        // Read on its own first: a name that is there twice is lost in a `Value`.
        let alone = format!(r#"{{"Version":"2012-10-17","Statement":[{statement}]}}"#);
        Document::trust(&alone).map_err(|Malformed(message)| message)?;
        let added = serde_json::from_str(statement).map_err(|error| error.to_string())?;
        Self::document(&joined(Some(&self.text()), vec![added]))
    }

    /// The policy's text: the document as it was given, or what the builder collected.
    pub fn text(&self) -> String {
        match (&self.document, self.built()) {
            (Some(document), built) if built.is_empty() => document.clone(),
            (document, built) => joined(document.as_deref(), built),
        }
    }

    /// The builder's fields as statements.
    fn built(&self) -> Vec<Value> {
        let actions = |opening: &str| {
            let mut actions = vec![opening];
            actions.extend(self.allows_session_tags.then_some("sts:TagSession"));
            actions.extend(
                self.allows_source_identity
                    .then_some("sts:SetSourceIdentity"),
            );
            actions.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let mut statements = Vec::new();
        if !self.principals.is_empty() {
            let principal = json!({ "AWS": self.principals });
            let mut statement = self.allowing(&principal, &actions("sts:AssumeRole"));
            if let Some(external_id) = &self.external_id {
                statement["Condition"]["StringEquals"]["sts:ExternalId"] = json!(external_id);
            }
            statements.push(statement);
        }
        for (provider, audiences) in &self.federated {
            let principal = json!({ "Federated": provider });
            let mut statement = self.allowing(&principal, &actions("sts:AssumeRoleWithSAML"));
            statement["Condition"]["StringEquals"]["SAML:aud"] = json!(audiences);
            statements.push(statement);
        }
        for web in &self.web {
            let principal = json!({ "Federated": web.provider });
            let opening = actions("sts:AssumeRoleWithWebIdentity");
            let mut statement = self.allowing(&principal, &opening);
            let (place, audience, subject) = web_keys(&web.provider);
            if !web.audiences.is_empty() {
                let key = format!("{place}:{audience}");
                statement["Condition"]["StringEquals"][key] = json!(web.audiences);
            }
            if !web.subjects.is_empty() {
                let key = format!("{place}:{subject}");
                statement["Condition"]["StringLike"][key] = json!(web.subjects);
            }
            statements.push(statement);
        }
        statements
    }

    fn allowing(&self, principal: &Value, actions: &[String]) -> Value {
        let mut statement = json!({
            "Effect": "Allow",
            "Principal": principal,
            "Action": actions,
        });
        if self.requires_mfa {
            statement["Condition"]["Bool"]["aws:MultiFactorAuthPresent"] = json!("true");
        }
        statement
    }

    /// What the trust says of one action; a trust that IAM would not take says nothing.
    pub(super) fn decide(
        &self,
        action: &str,
        claimant: Claimant<'_>,
        context: &Context,
    ) -> Decision {
        let question = Question {
            action,
            subject: Subject::Claimant(claimant),
            context,
        };
        Document::trust(&self.text())
            .map_or(Decision::Silent, |document| document.decide(&question))
    }

    /// Whether the trust allows one action (`sts:…`) to somebody, to themselves or to their account.
    pub(super) fn allows(&self, action: &str, claimant: Claimant<'_>, context: &Context) -> bool {
        self.decide(action, claimant, context).is_allowed()
    }

    /// Whether the trust lets a provider's person in with everything that they wish. `evidence` is
    /// what the provider said: `SAML:aud`, `SAML:sub` and so on, or `host/path:aud`, `host/path:sub`.
    pub(super) fn admits(
        &self,
        opening: &'static str,
        provider_arn: &str,
        wishes: &Wishes<'_>,
        evidence: &Context,
    ) -> bool {
        let mut context = evidence.clone();
        wishes.add_to(&mut context);
        let claimant = Claimant::Federated(provider_arn);
        (wishes.actions(opening).into_iter()).all(|action| self.allows(action, claimant, &context))
    }
}

/// The condition keys of a provider of tokens: before the colon, and after it for audience and
/// subject.
pub(super) fn web_keys(provider: &str) -> (&str, &'static str, &'static str) {
    match provider {
        "graph.facebook.com" => (provider, "app_id", "id"),
        "www.amazon.com" => (provider, "app_id", "user_id"),
        _ => {
            let place = provider.split_once(":oidc-provider/");
            (place.map_or(provider, |(_, place)| place), "aud", "sub")
        }
    }
}

/// A document with more statements, at the end of its own.
fn joined(document: Option<&str>, mut added: Vec<Value>) -> String {
    let document = document.and_then(|text| serde_json::from_str(text).ok());
    let empty = || json!({ "Version": "2012-10-17", "Statement": [] });
    let mut document: Value = document.unwrap_or_else(empty);
    let mut statements = match document["Statement"].take() {
        Value::Array(statements) => statements,
        statement => vec![statement],
    };
    statements.append(&mut added);
    document["Statement"] = statements.into();
    document.to_string()
}
