//! The parameters of the calls that give sessions, and the constraints that the STS model puts on
//! each of them.

use std::collections::HashSet;

use super::catalogue::account_of;
use super::mfa::MfaProof;
use super::policy::{Document, Malformed};
use super::sts::StsError;
use super::trust::Wishes;

/// What session names and source identities have beside letters, digits and `_`.
const WORD: &str = "+=,.@-";
const MAX_POLICY_CHARACTERS: usize = 2_048;
/// The real packed format is not public: bytes of policies and tags against this stand for it, in
/// every call alike. A tag counts four bytes more than its key and value.
const PACKED_BYTES: usize = 4_096;
/// What role sessions last when nothing is asked for, and at most.
const ROLE_SECONDS: (u32, u32) = (3_600, 43_200);
/// The same for what an IAM user gets from `GetFederationToken` and `GetSessionToken`.
const USER_SECONDS: (u32, u32) = (43_200, 129_600);

/// One request whose parameters are well-formed. What comes from an assertion or a token is still
/// empty: the session's name, tags and source identity of an `AssumeRoleWithSAML`, tags and source
/// identity of an `AssumeRoleWithWebIdentity`. Of a `GetFederationToken` the role is empty, and the
/// session's name is `Name`; a `GetSessionToken` has neither.
#[derive(Default)]
pub(super) struct AssumeRole {
    pub(super) role_arn: String,
    pub(super) session_name: String,
    pub(super) duration_seconds: u32,
    pub(super) external_id: Option<String>,
    pub(super) policy: Option<String>,
    pub(super) policy_arns: Vec<String>,
    pub(super) tags: Vec<(String, String)>,
    pub(super) transitive_tag_keys: Vec<String>,
    pub(super) source_identity: Option<String>,
    pub(super) mfa: MfaProof,
}

impl AssumeRole {
    /// Reads the form parameters; all violated constraints are told in one `ValidationError`.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<Self, StsError> {
        let request = Self::read(parameters, ROLE_SECONDS)?;
        let mut violations = Violations::default();
        violations.demand(
            parameters,
            &[
                ("RoleArn", "roleArn"),
                ("RoleSessionName", "roleSessionName"),
            ],
        );
        if violations.0.is_empty() {
            violations.word(&request.session_name, "roleSessionName", 64, WORD);
            violations.length(&request.role_arn, "roleArn", 20, 2_048);
            request.constrain(&mut violations, ROLE_SECONDS);
        }
        violations.into_result()?;
        request.check_tags().map_err(StsError::validation)?;
        request.check_policies()?;
        Ok(request)
    }

    /// The same for `GetFederationToken`.
    pub(super) fn parse_for_federation(parameters: &[(String, String)]) -> Result<Self, StsError> {
        let read = Self::read(parameters, USER_SECONDS)?;
        let request = Self {
            session_name: value_of(parameters, "Name"),
            duration_seconds: read.duration_seconds,
            policy: read.policy,
            policy_arns: read.policy_arns,
            tags: read.tags,
            ..Self::default()
        };
        let mut violations = Violations::default();
        violations.demand(parameters, &[("Name", "name")]);
        if violations.0.is_empty() {
            violations.word(&request.session_name, "name", 32, WORD);
            request.constrain(&mut violations, USER_SECONDS);
        }
        violations.into_result()?;
        request.check_tags().map_err(StsError::validation)?;
        request.check_policies()?;
        Ok(request)
    }

    /// The same for `GetSessionToken`, which has a duration and a code and nothing else.
    pub(super) fn parse_for_session(parameters: &[(String, String)]) -> Result<Self, StsError> {
        let read = Self::read(parameters, USER_SECONDS)?;
        let request = Self {
            duration_seconds: read.duration_seconds,
            mfa: read.mfa,
            ..Self::default()
        };
        let mut violations = Violations::default();
        request.constrain(&mut violations, USER_SECONDS);
        violations.into_result()?;
        Ok(request)
    }

    /// The same for `AssumeRoleWithWebIdentity`, with the token and the `ProviderId`.
    pub(super) fn parse_with_web_identity(
        parameters: &[(String, String)],
    ) -> Result<(Self, String, Option<String>), StsError> {
        let read = Self::read(parameters, ROLE_SECONDS)?;
        let request = Self {
            role_arn: read.role_arn,
            session_name: read.session_name,
            duration_seconds: read.duration_seconds,
            policy: read.policy,
            policy_arns: read.policy_arns,
            ..Self::default()
        };
        let token = value_of(parameters, "WebIdentityToken");
        let provider_id = parameters.iter().find(|(name, _)| name == "ProviderId");
        let provider_id = provider_id.map(|(_, value)| value.clone());
        let mut violations = Violations::default();
        violations.demand(
            parameters,
            &[
                ("RoleArn", "roleArn"),
                ("RoleSessionName", "roleSessionName"),
                ("WebIdentityToken", "webIdentityToken"),
            ],
        );
        if violations.0.is_empty() {
            violations.word(&request.session_name, "roleSessionName", 64, WORD);
            violations.length(&request.role_arn, "roleArn", 20, 2_048);
            violations.secret_length(&token, "webIdentityToken", 4, 20_000);
            if let Some(provider_id) = &provider_id {
                violations.length(provider_id, "providerId", 4, 2_048);
            }
            request.constrain(&mut violations, ROLE_SECONDS);
        }
        violations.into_result()?;
        request.check_policies()?;
        Ok((request, token, provider_id))
    }

    /// The same for `AssumeRoleWithSAML`, with the provider's ARN and the response.
    pub(super) fn parse_with_saml(
        parameters: &[(String, String)],
    ) -> Result<(Self, String, String), StsError> {
        let read = Self::read(parameters, ROLE_SECONDS)?;
        let request = Self {
            role_arn: read.role_arn,
            duration_seconds: read.duration_seconds,
            policy: read.policy,
            policy_arns: read.policy_arns,
            ..Self::default()
        };
        let provider = value_of(parameters, "PrincipalArn");
        let response = value_of(parameters, "SAMLAssertion");
        let mut violations = Violations::default();
        violations.demand(
            parameters,
            &[
                ("RoleArn", "roleArn"),
                ("PrincipalArn", "principalArn"),
                ("SAMLAssertion", "sAMLAssertion"),
            ],
        );
        if violations.0.is_empty() {
            violations.length(&provider, "principalArn", 20, 2_048);
            violations.secret_length(&response, "sAMLAssertion", 4, 100_000);
            violations.length(&request.role_arn, "roleArn", 20, 2_048);
            request.constrain(&mut violations, ROLE_SECONDS);
        }
        violations.into_result()?;
        request.check_policies()?;
        Ok((request, provider, response))
    }

    fn read(parameters: &[(String, String)], (default, _): (u32, u32)) -> Result<Self, StsError> {
        let value = |name: &str| {
            parameters
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        Ok(Self {
            role_arn: value("RoleArn").unwrap_or_default(),
            session_name: value("RoleSessionName").unwrap_or_default(),
            duration_seconds: duration(value("DurationSeconds"), default)?,
            external_id: value("ExternalId"),
            policy: value("Policy"),
            policy_arns: members(parameters, "PolicyArns", ".arn"),
            tags: members(parameters, "Tags", ".Key")
                .into_iter()
                .zip(members(parameters, "Tags", ".Value"))
                .collect(),
            transitive_tag_keys: members(parameters, "TransitiveTagKeys", ""),
            source_identity: value("SourceIdentity"),
            mfa: MfaProof {
                serial: value("SerialNumber"),
                code: value("TokenCode"),
            },
        })
    }

    fn constrain(&self, violations: &mut Violations, (_, most_seconds): (u32, u32)) {
        if let Some(serial) = &self.mfa.serial {
            violations.length(serial, "serialNumber", 9, 256);
            violations.word(serial, "serialNumber", 256, "+=/:,.@-");
        }
        if let Some(code) = &self.mfa.code
            && (code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()))
        {
            let constraint = "Member must satisfy regular expression pattern: [\\d]{6}";
            violations.add("***", "tokenCode", constraint);
        }
        if let Some(external_id) = &self.external_id {
            violations.word(external_id, "externalId", 1_224, "+=,.@:/-");
        }
        if let Some(source_identity) = &self.source_identity {
            violations.word(source_identity, "sourceIdentity", 64, WORD);
        }
        if !(900..=most_seconds).contains(&self.duration_seconds) {
            let bound = if self.duration_seconds < 900 {
                "greater than or equal to 900".to_owned()
            } else {
                format!("less than or equal to {most_seconds}")
            };
            let bound = format!("Member must have value {bound}");
            let value = self.duration_seconds.to_string();
            violations.add(&value, "durationSeconds", &bound);
        }
        self.constrain_policies_and_tags(violations);
    }

    fn constrain_policies_and_tags(&self, violations: &mut Violations) {
        if let Some(policy) = &self.policy {
            violations.length(policy, "policy", 1, MAX_POLICY_CHARACTERS);
            let is_allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{ff}');
            if !policy.chars().all(is_allowed) {
                let pattern = r"[\u0009\u000A\u000D\u0020-\u00FF]+";
                violations.pattern(policy, "policy", pattern);
            }
        }
        for (key, value) in &self.tags {
            violations.length(key, "tags.1.member.key", 1, 128);
            violations.length(value, "tags.1.member.value", 0, 256);
            for text in [key, value] {
                if !text.chars().all(is_tag_character) {
                    violations.pattern(text, "tags", r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*");
                }
            }
        }
        for (count, most, field) in [
            (self.policy_arns.len(), 10, "policyArns"),
            (self.tags.len(), 50, "tags"),
            (self.transitive_tag_keys.len(), 50, "transitiveTagKeys"),
        ] {
            if count > most {
                let text = format!("Member must have length less than or equal to {most}");
                violations.add(&format!("[{count} members]"), field, &text);
            }
        }
    }

    /// What an assertion or a token said of tags, which the request's own checks have not seen.
    ///
    /// # Errors
    /// `InvalidIdentityToken`, and `PackedPolicyTooLarge` with the policies of the request.
    pub(super) fn check_vouched_tags(&self) -> Result<(), StsError> {
        let mut violations = Violations::default();
        self.constrain_policies_and_tags(&mut violations);
        let invalid = |text: &str| StsError::sender(400, "InvalidIdentityToken", text);
        if let Some(violation) = violations.0.first() {
            return Err(invalid(violation));
        }
        self.check_tags().map_err(invalid)?;
        self.check_packed_size()
    }

    fn check_tags(&self) -> Result<(), &'static str> {
        let mut seen = HashSet::new();
        for (key, _) in &self.tags {
            if key.to_lowercase().starts_with("aws:") {
                return Err("Tag keys starting with 'aws:' are reserved for internal use.");
            }
            if !seen.insert(key.to_lowercase()) {
                return Err(
                    "Duplicate tag keys found. Please note that Tag keys are case \
                            insensitive.",
                );
            }
        }
        let identity = self.source_identity.as_ref();
        if identity.is_some_and(|value| value.to_lowercase().starts_with("aws:")) {
            return Err("Source Identity must not begin with aws:");
        }
        let mut transitive = self.transitive_tag_keys.iter();
        if transitive.any(|key| !seen.contains(&key.to_lowercase())) {
            return Err("The specified transitive tag key must be included in the requested tags.");
        }
        Ok(())
    }

    fn check_policies(&self) -> Result<(), StsError> {
        let malformed = |text: &str| StsError::sender(400, "MalformedPolicyDocument", text);
        if let Some(policy) = &self.policy {
            Document::identity(policy).map_err(|Malformed(message)| malformed(&message))?;
        }
        let policy_length = self
            .policy
            .as_ref()
            .map_or(0, |policy| policy.chars().count());
        let arns_length: usize = self.policy_arns.iter().map(String::len).sum();
        if policy_length + arns_length > MAX_POLICY_CHARACTERS {
            let text = "The plaintext of session policies must not exceed 2048 characters.";
            return Err(StsError::validation(text));
        }
        self.check_packed_size()
    }

    fn check_packed_size(&self) -> Result<(), StsError> {
        let packed = self.packed_size();
        if packed > 100 {
            let text = format!(
                "Packed size of session policies and tags consumes {packed}% of allotted space."
            );
            return Err(StsError::sender(400, "PackedPolicyTooLarge", &text));
        }
        Ok(())
    }

    /// Managed session policies are AWS's own or live in the account of the role or user.
    pub(super) fn check_policy_arns(&self, owner_arn: &str) -> Result<(), StsError> {
        let partition = owner_arn.split(':').nth(1).unwrap_or_default();
        let account = account_of(owner_arn);
        let prefixes = [
            format!("arn:{partition}:iam::aws:policy/"),
            format!("arn:{partition}:iam::{account}:policy/"),
        ];
        let is_known = |arn: &String| prefixes.iter().any(|prefix| arn.starts_with(prefix));
        match self.policy_arns.iter().find(|arn| !is_known(arn)) {
            None => Ok(()),
            Some(arn) => {
                let text = format!("ARN {arn} is not valid as a session policy here.");
                Err(StsError::validation(&text))
            }
        }
    }

    /// What policies look at of it.
    pub(super) fn wishes(&self) -> Wishes<'_> {
        Wishes {
            session_name: &self.session_name,
            tags: &self.tags,
            transitive_tag_keys: &self.transitive_tag_keys,
            source_identity: self.source_identity.as_deref(),
        }
    }

    /// Percent of the space that policies and tags may take.
    pub(super) fn packed_size(&self) -> usize {
        let tags: usize = self
            .tags
            .iter()
            .map(|(key, value)| key.len() + value.len() + 4)
            .sum();
        let arns: usize = self.policy_arns.iter().map(String::len).sum();
        let bytes = self.policy.as_ref().map_or(0, String::len) + arns + tags;
        (bytes * 100).div_ceil(PACKED_BYTES)
    }
}

fn value_of(parameters: &[(String, String)], name: &str) -> String {
    let found = parameters.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

fn duration(value: Option<String>, default: u32) -> Result<u32, StsError> {
    let Some(text) = value else {
        return Ok(default);
    };
    let malformed =
        || StsError::sender(400, "MalformedInput", "DurationSeconds must be an integer");
    text.parse().map_err(|_| malformed())
}

/// The values of `Name.member.1…`, in order.
fn members(parameters: &[(String, String)], name: &str, suffix: &str) -> Vec<String> {
    (1..)
        .map_while(|number| {
            let key = format!("{name}.member.{number}{suffix}");
            parameters
                .iter()
                .find(|(known, _)| *known == key)
                .map(|(_, value)| value.clone())
        })
        .collect()
}

fn is_tag_character(character: char) -> bool {
    character.is_alphabetic()
        || character.is_numeric()
        || character.is_whitespace() && !character.is_control()
        || "_.:/=+-@".contains(character)
}

/// Constraint violations in the words of the AWS model validator.
#[derive(Default)]
struct Violations(Vec<String>);

impl Violations {
    fn add(&mut self, value: &str, field: &str, constraint: &str) {
        let value = if value == "null" {
            value.to_owned()
        } else {
            format!("'{value}'")
        };
        self.0.push(format!(
            "Value {value} at '{field}' failed to satisfy constraint: {constraint}"
        ));
    }

    fn demand(&mut self, parameters: &[(String, String)], names: &[(&str, &str)]) {
        for (name, field) in names {
            if !parameters.iter().any(|(known, _)| known == name) {
                self.add("null", field, "Member must not be null");
            }
        }
    }

    /// A length without the value, which is nobody's to read.
    fn secret_length(&mut self, value: &str, field: &str, least: usize, most: usize) {
        if !(least..=most).contains(&value.len()) {
            let text = format!("Member must have length between {least} and {most}");
            self.add("***", field, &text);
        }
    }

    fn length(&mut self, value: &str, field: &str, least: usize, most: usize) {
        let length = value.chars().count();
        if length < least {
            let text = format!("Member must have length greater than or equal to {least}");
            self.add(value, field, &text);
        } else if length > most {
            let text = format!("Member must have length less than or equal to {most}");
            self.add(value, field, &text);
        }
    }

    fn pattern(&mut self, value: &str, field: &str, pattern: &str) {
        let text = format!("Member must satisfy regular expression pattern: {pattern}");
        self.add(value, field, &text);
    }

    /// Two characters or more of ASCII letters, digits, `_` and `extra`.
    fn word(&mut self, value: &str, field: &str, most: usize, extra: &str) {
        self.length(value, field, 2, most);
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || extra.contains(c);
        if !value.chars().all(is_allowed) {
            self.pattern(value, field, &format!("[\\w{extra}]*"));
        }
    }

    fn into_result(self) -> Result<(), StsError> {
        let count = self.0.len();
        if count == 0 {
            return Ok(());
        }
        let noun = if count == 1 { "error" } else { "errors" };
        let list = self.0.join("; ");
        Err(StsError::validation(&format!(
            "{count} validation {noun} detected: {list}"
        )))
    }
}
