//! IAM's query API, as far as a broker reads roles and writes what ends sessions.
//!
//! Callers act on the account that their keys are of. Whoever may is decided by their own policies.
//! Source: IAM API reference, version 2010-05-08. Entry point: [`call`].

use std::fmt::Write;

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::catalogue::{Catalogue, Role, account_of, text_length};
use super::partition::Partition;
use super::permissions::Verdict;
use super::policy::{Context, Document, Malformed};
use super::session::{Caller, unique_id};
use super::signature::{Authorization, SignedRequest};
use super::sts::{StsError, authenticate, parameter, xml};
use super::{Shared, escape};

pub(super) const VERSION: &str = "2010-05-08";
pub(super) const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
/// What the inline policies of one role may have together, blanks not counted.
const INLINE_CHARACTERS: usize = 10_240;
/// What one document may have at all.
const DOCUMENT_CHARACTERS: usize = 131_072;
const PAGE: usize = 100;
/// IAM roles here have no birthday.
const CREATED: &str = "2024-02-29T08:00:00Z";

/// One call of IAM.
pub(super) fn call(
    shared: &Shared,
    request: &SignedRequest<'_>,
    parameters: &[(String, String)],
    request_id: &str,
) -> Response {
    match answer(shared, request, parameters) {
        Ok(result) => {
            let action = parameter(parameters, "Action").unwrap_or_default();
            let result = result.map_or_else(String::new, |result| {
                format!("<{action}Result>{result}</{action}Result>")
            });
            let document = format!(
                "<{action}Response xmlns=\"{NAMESPACE}\">{result}<ResponseMetadata>\
                 <RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
            );
            xml(StatusCode::OK, request_id, document)
        }
        Err(error) => error.into_response_as(NAMESPACE, request_id),
    }
}

/// What stands in the result; `None` for the calls that have none.
fn answer(
    shared: &Shared,
    request: &SignedRequest<'_>,
    parameters: &[(String, String)],
) -> Result<Option<String>, StsError> {
    let action = parameter(parameters, "Action").unwrap_or_default();
    let caller = authenticated(shared, request, "iam")?;
    let call = Call {
        shared,
        account: account_of(&caller.principal.arn),
        caller: &caller,
        parameters,
        catalogue: &shared.catalogue(),
    };
    match action {
        "GetRole" => call.role().map(Some),
        "ListRoles" => call.roles().map(Some),
        "GetRolePolicy" => call.role_policy().map(Some),
        "PutRolePolicy" => call.put_role_policy().map(|()| None),
        "DeleteRolePolicy" => call.delete_role_policy().map(|()| None),
        "ListRolePolicies" => call.role_policies().map(Some),
        "ListAccountAliases" => call.account_aliases().map(Some),
        _ => {
            let message = format!("Could not find operation {action} for version {VERSION}");
            Err(StsError::sender(400, "InvalidAction", &message))
        }
    }
}

/// Who signed, for a service that has one region in each partition.
pub(super) fn authenticated(
    shared: &Shared,
    request: &SignedRequest<'_>,
    service: &'static str,
) -> Result<Caller, StsError> {
    let authorization = Authorization::parse_for(service, &request.head.headers)?;
    let home = match Partition::of_region(&authorization.region) {
        Some(Partition::Commercial) => "us-east-1",
        Some(Partition::GovCloud) => "us-gov-west-1",
        Some(Partition::China) if service == "iam" => "cn-north-1",
        Some(Partition::China) => "cn-northwest-1",
        Some(Partition::EuropeanSovereign) => "eusc-de-east-1",
        None => "",
    };
    if authorization.region != home {
        let message = "Credential should be scoped to a valid region.";
        return Err(StsError::sender(403, "SignatureDoesNotMatch", message));
    }
    let caller = authenticate(shared, request, authorization, shared.now())?;
    // Federated users have no way to IAM but the console.
    if caller.principal.caller_arn.contains(":federated-user/") {
        let message = "The security token included in the request is invalid";
        return Err(StsError::sender(403, "InvalidClientTokenId", message));
    }
    Ok(caller)
}

struct Call<'a> {
    shared: &'a Shared,
    caller: &'a Caller,
    account: &'a str,
    parameters: &'a [(String, String)],
    catalogue: &'a Catalogue,
}

impl Call<'_> {
    fn role(&self) -> Result<String, StsError> {
        let role = self.named_role("iam:GetRole")?;
        Ok(format!("<Role>{}<RoleLastUsed/></Role>", role_xml(role)))
    }

    fn roles(&self) -> Result<String, StsError> {
        let prefix = self.optional("PathPrefix").unwrap_or("/");
        let resource = self.arn(&format!("role{prefix}"));
        self.permit("iam:ListRoles", &resource, &resource)?;
        let mut roles: Vec<&Role> = (self.catalogue.roles_of(self.account))
            .filter(|role| path_of(role.arn()).starts_with(prefix))
            .collect();
        roles.sort_by_key(|role| name_of(role.arn()));
        let members: Vec<String> = roles.into_iter().map(role_xml).collect();
        self.page("Roles", &members)
    }

    fn role_policy(&self) -> Result<String, StsError> {
        let role = self.named_role("iam:GetRolePolicy")?;
        let name = self.word("PolicyName", "policyName", 128)?;
        let document = role.inline_policies.get(name);
        let document = document.ok_or_else(|| no_policy(name))?;
        Ok(format!(
            "<PolicyDocument>{}</PolicyDocument><RoleName>{}</RoleName>\
             <PolicyName>{}</PolicyName>",
            percent_encoded(document),
            escape(name_of(role.arn())),
            escape(name)
        ))
    }

    fn role_policies(&self) -> Result<String, StsError> {
        let role = self.named_role("iam:ListRolePolicies")?;
        let names: Vec<String> = role
            .inline_policies
            .keys()
            .map(|name| escape(name))
            .collect();
        self.page("PolicyNames", &names)
    }

    fn put_role_policy(&self) -> Result<(), StsError> {
        let role = self.named_role("iam:PutRolePolicy")?;
        check_modifiable(role)?;
        let name = self.word("PolicyName", "policyName", 128)?;
        let document = self.demanded("PolicyDocument", "policyDocument")?;
        if document.is_empty() || document.chars().count() > DOCUMENT_CHARACTERS {
            let message = "Member must have length between 1 and 131072";
            return Err(violation("***", "policyDocument", message));
        }
        if let Err(Malformed(message)) = Document::identity(document) {
            return Err(StsError::sender(400, "MalformedPolicyDocument", &message));
        }
        let others = role
            .inline_policies
            .iter()
            .filter(|(known, _)| *known != name);
        let taken: usize = others.map(|(_, document)| text_length(document)).sum();
        if taken + text_length(document) > INLINE_CHARACTERS {
            let message = format!(
                "Maximum policy size of {INLINE_CHARACTERS} bytes exceeded for role {}",
                name_of(role.arn())
            );
            return Err(StsError::sender(409, "LimitExceeded", &message));
        }
        self.shared.change(|catalogue| {
            if let Some(role) = catalogue.role_mut(role.arn()) {
                (role.inline_policies).insert(name.to_owned(), document.to_owned());
            }
        });
        Ok(())
    }

    fn delete_role_policy(&self) -> Result<(), StsError> {
        let role = self.named_role("iam:DeleteRolePolicy")?;
        check_modifiable(role)?;
        let name = self.word("PolicyName", "policyName", 128)?;
        let removed = self.shared.change(|catalogue| {
            let role = catalogue.role_mut(role.arn());
            role.and_then(|role| role.inline_policies.remove(name))
        });
        removed.map(|_| ()).ok_or_else(|| no_policy(name))
    }

    fn account_aliases(&self) -> Result<String, StsError> {
        self.permit("iam:ListAccountAliases", "*", "*")?;
        let account = self.catalogue.account(self.account);
        let alias = account.and_then(|account| account.alias.as_deref());
        let aliases: Vec<String> = alias.map(escape).into_iter().collect();
        self.page("AccountAliases", &aliases)
    }

    /// The role of the caller's account that `RoleName` says. Whoever may not ask does not learn
    /// whether it exists.
    fn named_role(&self, action: &str) -> Result<&Role, StsError> {
        let name = self.word("RoleName", "roleName", 64)?;
        let mut roles = self.catalogue.roles_of(self.account);
        let role = roles.find(|role| name_of(role.arn()) == name);
        let nowhere = self.arn(&format!("role/{name}"));
        let resource = role.map_or(nowhere.as_str(), Role::arn);
        self.permit(action, resource, &format!("role {name}"))?;
        role.ok_or_else(|| {
            let message = format!("The role with name {name} cannot be found.");
            StsError::sender(404, "NoSuchEntity", &message)
        })
    }

    fn permit(&self, action: &str, resource: &str, spoken: &str) -> Result<(), StsError> {
        let principal = &self.caller.principal;
        let authority = self.shared.authority(principal, self.shared.now());
        let mut request = Context::default();
        request.set("aws:RequestedRegion", &self.caller.region);
        match authority.verdict(action, resource, &request) {
            Verdict::Allowed => Ok(()),
            verdict => {
                let message = format!(
                    "User: {} is not authorized to perform: {action} on resource: {spoken}{}",
                    principal.caller_arn,
                    verdict.reason(action)
                );
                Err(StsError::sender(403, "AccessDenied", &message))
            }
        }
    }

    fn arn(&self, resource: &str) -> String {
        let arn = &self.caller.principal.arn;
        let partition = arn.split(':').nth(1).unwrap_or_default();
        format!("arn:{partition}:iam::{}:{resource}", self.account)
    }

    /// The members that `MaxItems` and `Marker` ask for, with the marker of those after them.
    fn page(&self, element: &str, members: &[String]) -> Result<String, StsError> {
        let most = match self.optional("MaxItems") {
            None => PAGE,
            Some(text) => (text.parse().ok())
                .filter(|most| (1..=1_000).contains(most))
                .ok_or_else(|| {
                    let message = "Member must have value between 1 and 1000";
                    violation(text, "maxItems", message)
                })?,
        };
        let start = match self.optional("Marker") {
            None => 0,
            Some(marker) => read_marker(marker)
                .filter(|start| *start < members.len())
                .ok_or_else(|| StsError::validation(&format!("Invalid Marker: {marker}")))?,
        };
        let is_truncated = members.len() - start > most;
        let mut page = format!("<IsTruncated>{is_truncated}</IsTruncated>");
        if is_truncated {
            let marker = STANDARD.encode(format!("from {}", start + most));
            let _ = write!(page, "<Marker>{marker}</Marker>");
        }
        let _ = write!(page, "<{element}>");
        for member in members.iter().skip(start).take(most) {
            let _ = write!(page, "<member>{member}</member>");
        }
        let _ = write!(page, "</{element}>");
        Ok(page)
    }

    fn optional(&self, name: &str) -> Option<&str> {
        parameter(self.parameters, name)
    }

    fn demanded(&self, name: &str, field: &str) -> Result<&str, StsError> {
        let message = format!(
            "1 validation error detected: Value null at '{field}' failed to satisfy constraint: \
             Member must not be null"
        );
        self.optional(name)
            .ok_or_else(|| StsError::validation(&message))
    }

    /// A name of ASCII letters, digits and `_+=,.@-`.
    fn word(&self, name: &str, field: &str, most: usize) -> Result<&str, StsError> {
        let value = self.demanded(name, field)?;
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
        if value.is_empty() || value.chars().count() > most {
            let message = format!("Member must have length between 1 and {most}");
            return Err(violation(value, field, &message));
        }
        if !value.bytes().all(is_allowed) {
            let message = r"Member must satisfy regular expression pattern: [\w+=,.@-]+";
            return Err(violation(value, field, message));
        }
        Ok(value)
    }
}

fn violation(value: &str, field: &str, constraint: &str) -> StsError {
    StsError::validation(&format!(
        "1 validation error detected: Value '{value}' at '{field}' failed to satisfy constraint: \
         {constraint}"
    ))
}

fn no_policy(name: &str) -> StsError {
    let message = format!("The role policy with name {name} cannot be found.");
    StsError::sender(404, "NoSuchEntity", &message)
}

/// Roles that belong to an AWS service, Identity Center among them, are AWS's to change.
fn check_modifiable(role: &Role) -> Result<(), StsError> {
    let path = path_of(role.arn());
    if path.starts_with("/aws-service-role/") || path.starts_with("/aws-reserved/") {
        let message = format!(
            "Cannot perform the operation on the protected role '{}' - this role is only \
             modifiable by AWS",
            name_of(role.arn())
        );
        return Err(StsError::sender(400, "UnmodifiableEntity", &message));
    }
    Ok(())
}

fn role_xml(role: &Role) -> String {
    let description = (role.description.as_ref())
        .map(|text| format!("<Description>{}</Description>", escape(text)));
    format!(
        "<Path>{}</Path><RoleName>{}</RoleName><RoleId>{}</RoleId><Arn>{}</Arn>\
         <CreateDate>{CREATED}</CreateDate>\
         <AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument>{}\
         <MaxSessionDuration>{}</MaxSessionDuration>",
        escape(path_of(role.arn())),
        escape(name_of(role.arn())),
        unique_id("AROA", role.arn()),
        escape(role.arn()),
        percent_encoded(&role.trust.text()),
        description.unwrap_or_default(),
        role.max_session_seconds,
    )
}

/// `/`, or what stands between `role` and the name.
fn path_of(arn: &str) -> &str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let path = resource.strip_prefix("role").unwrap_or_default();
    path.rfind('/').map_or("/", |end| &path[..=end])
}

fn name_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

fn read_marker(marker: &str) -> Option<usize> {
    let bytes = STANDARD.decode(marker).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    text.strip_prefix("from ")?.parse().ok()
}

/// RFC 3986: everything but the unreserved characters.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
