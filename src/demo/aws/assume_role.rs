//! The parameters of `AssumeRole` and `AssumeRoleWithSAML`, and the constraints that the STS model puts on each of them.

use std::collections::HashSet;

use super::catalogue::{Role, account_of};
use super::sts::StsError;

/// What session names and source identities have beside letters, digits and `_`.
const WORD: &str = "+=,.@-";
const MAX_POLICY_CHARACTERS: usize = 2_048;
/// The real packed format is not public: bytes of policies and tags against this stand for it.
const PACKED_BYTES: usize = 4_096;

/// One request whose parameters are well-formed. Of an `AssumeRoleWithSAML` the session's name, tags
/// and source identity are still empty: they come from the assertion.
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
}

impl AssumeRole {
    /// Reads the form parameters; all violated constraints are told in one `ValidationError`.
    pub(super) fn parse(parameters: &[(String, String)]) -> Result<Self, StsError> {
        let request = Self::read(parameters)?;
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
            request.constrain(&mut violations);
        }
        violations.into_result()?;
        request.check_tags()?;
        request.check_policies()?;
        Ok(request)
    }

    /// The same for `AssumeRoleWithSAML`, with the provider's ARN and the response.
    pub(super) fn parse_with_saml(
        parameters: &[(String, String)],
    ) -> Result<(Self, String, String), StsError> {
        let request = Self {
            session_name: String::new(),
            external_id: None,
            tags: Vec::new(),
            transitive_tag_keys: Vec::new(),
            source_identity: None,
            ..Self::read(parameters)?
        };
        let value = |name: &str| {
            let found = parameters.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let (provider, response) = (value("PrincipalArn"), value("SAMLAssertion"));
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
            request.constrain(&mut violations);
        }
        violations.into_result()?;
        request.check_policies()?;
        Ok((request, provider, response))
    }

    fn read(parameters: &[(String, String)]) -> Result<Self, StsError> {
        let value = |name: &str| {
            parameters
                .iter()
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.clone())
        };
        Ok(Self {
            role_arn: value("RoleArn").unwrap_or_default(),
            session_name: value("RoleSessionName").unwrap_or_default(),
            duration_seconds: duration(value("DurationSeconds"))?,
            external_id: value("ExternalId"),
            policy: value("Policy"),
            policy_arns: members(parameters, "PolicyArns", ".arn"),
            tags: members(parameters, "Tags", ".Key")
                .into_iter()
                .zip(members(parameters, "Tags", ".Value"))
                .collect(),
            transitive_tag_keys: members(parameters, "TransitiveTagKeys", ""),
            source_identity: value("SourceIdentity"),
        })
    }

    fn constrain(&self, violations: &mut Violations) {
        violations.length(&self.role_arn, "roleArn", 20, 2_048);
        if let Some(external_id) = &self.external_id {
            violations.word(external_id, "externalId", 1_224, "+=,.@:/-");
        }
        if let Some(source_identity) = &self.source_identity {
            violations.word(source_identity, "sourceIdentity", 64, WORD);
        }
        if !(900..=43_200).contains(&self.duration_seconds) {
            let bound = if self.duration_seconds < 900 {
                "Member must have value greater than or equal to 900"
            } else {
                "Member must have value less than or equal to 43200"
            };
            violations.add(&self.duration_seconds.to_string(), "durationSeconds", bound);
        }
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

    fn check_tags(&self) -> Result<(), StsError> {
        let mut seen = HashSet::new();
        for (key, _) in &self.tags {
            if key.to_lowercase().starts_with("aws:") {
                let text = "Tag keys starting with 'aws:' are reserved for internal use.";
                return Err(StsError::validation(text));
            }
            if !seen.insert(key.to_lowercase()) {
                let text = "Duplicate tag keys found. Please note that Tag keys are case \
                            insensitive.";
                return Err(StsError::validation(text));
            }
        }
        if self
            .source_identity
            .as_ref()
            .is_some_and(|value| value.to_lowercase().starts_with("aws:"))
        {
            return Err(StsError::validation(
                "Source Identity must not begin with aws:",
            ));
        }
        let unknown =
            (self.transitive_tag_keys.iter()).any(|key| !seen.contains(&key.to_lowercase()));
        if unknown {
            let text = "The specified transitive tag key must be included in the requested tags.";
            return Err(StsError::validation(text));
        }
        Ok(())
    }

    fn check_policies(&self) -> Result<(), StsError> {
        let malformed = |text: &str| StsError::sender(400, "MalformedPolicyDocument", text);
        if let Some(policy) = &self.policy {
            check_document(policy).map_err(malformed)?;
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
        let packed = self.packed_size();
        if packed > 100 {
            let text = format!("Packed size of session tags consumes {packed}% of allotted space.");
            return Err(StsError::sender(400, "PackedPolicyTooLarge", &text));
        }
        Ok(())
    }

    /// Managed session policies are AWS's own or live in the role's account.
    pub(super) fn check_policy_arns(&self, role: &Role) -> Result<(), StsError> {
        let partition = role.arn().split(':').nth(1).unwrap_or_default();
        let account = account_of(role.arn());
        let prefixes = [
            format!("arn:{partition}:iam::aws:policy/"),
            format!("arn:{partition}:iam::{account}:policy/"),
        ];
        let is_known = |arn: &String| prefixes.iter().any(|prefix| arn.starts_with(prefix));
        match self.policy_arns.iter().find(|arn| !is_known(arn)) {
            None => Ok(()),
            Some(arn) => {
                let text = format!("ARN {arn} is not valid as a session policy of this role.");
                Err(StsError::validation(&text))
            }
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

fn duration(value: Option<String>) -> Result<u32, StsError> {
    let Some(text) = value else { return Ok(3_600) };
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

/// Whether the text is an IAM policy by form; the actions and resources are not looked at.
fn check_document(policy: &str) -> Result<(), &'static str> {
    let document: serde_json::Value =
        serde_json::from_str(policy).map_err(|_| "This policy contains invalid Json")?;
    let document = document.as_object().ok_or("Syntax errors in policy.")?;
    let version = document.get("Version").and_then(serde_json::Value::as_str);
    if version.is_some_and(|version| !["2012-10-17", "2008-10-17"].contains(&version)) {
        return Err("The policy must contain a valid version string");
    }
    let statements = match document.get("Statement") {
        Some(serde_json::Value::Array(statements)) => statements.iter().collect(),
        Some(statement @ serde_json::Value::Object(_)) => vec![statement],
        _ => return Err("Syntax errors in policy."),
    };
    let is_statement = |statement: &&serde_json::Value| {
        let has = |name: &str| statement.get(name).is_some();
        let effect = statement.get("Effect").and_then(serde_json::Value::as_str);
        matches!(effect, Some("Allow" | "Deny"))
            && (has("Action") != has("NotAction"))
            && (has("Resource") != has("NotResource"))
    };
    if statements.is_empty() || !statements.iter().all(is_statement) {
        return Err("Policy statement must contain an effect, actions and resources.");
    }
    Ok(())
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
