//! One account's setup as a CloudFormation template.
//!
//! JSON, which CloudFormation reads as well as YAML, so that escaping is the serialiser's. ARNs of
//! the account itself are written with pseudo parameters.

use serde_json::{Map, Value, json};

use super::{AccountSetup, RoleSetup, Trusted, logical_name};

const SAML_PROVIDER: &str = "SamlProvider";
const OIDC_PROVIDER: &str = "OidcProvider";

pub(super) fn template(setup: &AccountSetup) -> String {
    let (mut parameters, mut resources) = (Map::new(), Map::new());
    if let Some(provider) = &setup.saml_provider {
        let resource = json!({
            "Type": "AWS::IAM::SAMLProvider",
            "Properties": {
                "Name": provider.name,
                "SamlMetadataDocument": provider.metadata,
            },
        });
        resources.insert(SAML_PROVIDER.to_owned(), resource);
    }
    if let Some(provider) = &setup.oidc_provider {
        let resource = json!({
            "Type": "AWS::IAM::OIDCProvider",
            "Properties": {
                "Url": provider.url,
                "ClientIdList": [provider.audience],
            },
        });
        resources.insert(OIDC_PROVIDER.to_owned(), resource);
    }
    let mut taken = Vec::new();
    for role in &setup.roles {
        let name = logical_name(role.name(), &mut taken);
        let permissions = format!("PermissionsOf{name}");
        if role.permissions.is_none() {
            let parameter = json!({
                "Type": "String",
                "Default": "",
                "Description": format!(
                    "ARNs of the managed policies that {} shall have, with commas between; empty: none",
                    role.name()
                ),
            });
            parameters.insert(permissions.clone(), parameter);
        }
        resources.insert(name, resource(setup, role, &permissions));
    }
    let mut template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "What Rolegate needs in this account: its identity provider and the roles \
                        that it opens",
    });
    let conditions: Map<String, Value> = parameters
        .keys()
        .map(|name| {
            let is_given = json!({ "Fn::Not": [{ "Fn::Equals": [{ "Ref": name }, ""] }] });
            (condition(name), is_given)
        })
        .collect();
    if !parameters.is_empty() {
        template["Parameters"] = Value::Object(parameters);
        template["Conditions"] = Value::Object(conditions);
    }
    template["Resources"] = Value::Object(resources);
    super::printed(&template)
}

fn condition(parameter: &str) -> String {
    format!("Has{parameter}")
}

fn resource(setup: &AccountSetup, role: &RoleSetup, permissions: &str) -> Value {
    let mut properties = json!({
        "RoleName": role.name(),
        "Path": role.path(),
        "MaxSessionDuration": role.max_duration.seconds().clamp(3_600, 43_200),
        "AssumeRolePolicyDocument": of_any_account(&role.trust_policy(), setup),
    });
    if let Some(description) = role.short_description() {
        properties["Description"] = description.into();
    }
    match &role.permissions {
        Some(document) => {
            properties["Policies"] = json!([{
                "PolicyName": "rolegate",
                "PolicyDocument": of_any_account(document, setup),
            }]);
        }
        None => {
            properties["ManagedPolicyArns"] = json!({
                "Fn::If": [
                    condition(permissions),
                    { "Fn::Split": [",", { "Ref": permissions }] },
                    { "Ref": "AWS::NoValue" },
                ],
            });
        }
    }
    let mut resource = json!({ "Type": "AWS::IAM::Role", "Properties": properties });
    // IAM refuses a trust that names a provider which is not there yet.
    let provider = match role.trust.trusted {
        Trusted::Saml { .. } => (setup.saml_provider.as_ref())
            .filter(|provider| role.is_vouched_by(provider))
            .map(|_| SAML_PROVIDER),
        Trusted::WebIdentity { .. } => setup.oidc_provider.as_ref().map(|_| OIDC_PROVIDER),
        Trusted::Caller { .. } => None,
    };
    if let Some(provider) = provider {
        resource["DependsOn"] = json!([provider]);
    }
    resource
}

/// `value` with the ARNs of this account, and the subjects of tokens for it, written so that they
/// hold in any. Principals of `AWS` stay as they are: the broker's own is the same for every account.
fn of_any_account(value: &Value, setup: &AccountSetup) -> Value {
    match value {
        Value::String(text) => {
            let arn = format!("arn:{}:iam::{}:", setup.partition, setup.account);
            let subject = format!("role:{}/", setup.account);
            let (own, general) = if text.starts_with(&arn) {
                (arn, "arn:${AWS::Partition}:iam::${AWS::AccountId}:")
            } else {
                (subject, "role:${AWS::AccountId}/")
            };
            match text.strip_prefix(&own) {
                // A `${` of the text's own is none of CloudFormation's.
                Some(rest) => {
                    json!({ "Fn::Sub": format!("{general}{}", rest.replace("${", "${!")) })
                }
                None => value.clone(),
            }
        }
        Value::Array(items) => items
            .iter()
            .map(|item| of_any_account(item, setup))
            .collect(),
        Value::Object(members) => members
            .iter()
            .map(|(key, member)| match key.as_str() {
                "AWS" => (key.clone(), member.clone()),
                _ => (key.clone(), of_any_account(member, setup)),
            })
            .collect::<Map<_, _>>()
            .into(),
        _ => value.clone(),
    }
}
