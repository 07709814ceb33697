//! AWS partitions, account ids and the ARNs that name what can be opened.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A group of AWS regions with identities of its own; nothing ever crosses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Partition {
    /// The commercial regions, `aws`.
    Aws,
    /// GovCloud (US), `aws-us-gov`.
    AwsUsGov,
    /// China, `aws-cn`.
    AwsCn,
    /// The European Sovereign Cloud, `aws-eusc`.
    AwsEusc,
    /// `aws-iso`.
    AwsIso,
    /// `aws-iso-b`.
    AwsIsoB,
    /// `aws-iso-e`.
    AwsIsoE,
    /// `aws-iso-f`.
    AwsIsoF,
}

impl Partition {
    /// Every partition.
    pub const ALL: [Self; 8] = [
        Self::Aws,
        Self::AwsUsGov,
        Self::AwsCn,
        Self::AwsEusc,
        Self::AwsIso,
        Self::AwsIsoB,
        Self::AwsIsoE,
        Self::AwsIsoF,
    ];

    /// The name that stands in ARNs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsUsGov => "aws-us-gov",
            Self::AwsCn => "aws-cn",
            Self::AwsEusc => "aws-eusc",
            Self::AwsIso => "aws-iso",
            Self::AwsIsoB => "aws-iso-b",
            Self::AwsIsoE => "aws-iso-e",
            Self::AwsIsoF => "aws-iso-f",
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Partition {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        Self::ALL
            .into_iter()
            .find(|partition| partition.as_str() == text)
            .ok_or_else(|| ArnError::Partition(text.to_owned()))
    }
}

/// A twelve-digit AWS account id; leading zeros count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccountId(String);

impl AccountId {
    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for AccountId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for AccountId {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ArnError::Account(text.to_owned()))
        }
    }
}

impl TryFrom<String> for AccountId {
    type Error = ArnError;

    fn try_from(text: String) -> Result<Self, ArnError> {
        text.parse()
    }
}

impl From<AccountId> for String {
    fn from(id: AccountId) -> Self {
        id.0
    }
}

/// What kind of principal a [`TargetArn`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetKind {
    /// `arn:…:iam::A:role/…`
    Role,
    /// `arn:…:sts::A:federated-user/NAME`, for `federation-token`.
    FederatedUser,
    /// `arn:…:iam::A:user/…`, for `session-token`.
    User,
}

/// The ARN of something that can be opened: an IAM role, a federated user or an IAM user.
///
/// Case-sensitive, as in IAM. Limits: path up to 512 characters, name 1–64 of `[\w+=,.@-]`
/// (IAM User Guide, IAM identifiers).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetArn {
    text: String,
    account_at: usize,
    name_at: usize,
}

impl TargetArn {
    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The partition it belongs to.
    pub fn partition(&self) -> Partition {
        // The text was parsed when the value was made, so both look-ups hold.
        self.text
            .split(':')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .unwrap_or(Partition::Aws)
    }

    /// The account it belongs to.
    pub fn account(&self) -> AccountId {
        AccountId(self.account_digits().to_owned())
    }

    /// The account's twelve digits.
    pub fn account_digits(&self) -> &str {
        &self.text[self.account_at..self.account_at + 12]
    }

    /// What it names.
    pub fn kind(&self) -> TargetKind {
        match self.resource().split('/').next() {
            Some("role") => TargetKind::Role,
            Some("user") => TargetKind::User,
            _ => TargetKind::FederatedUser,
        }
    }

    /// The last part of the path: what people and tools call the role.
    pub fn name(&self) -> &str {
        &self.text[self.name_at..]
    }

    /// What it names within its account: `role/team/Deploy`.
    pub fn resource(&self) -> &str {
        self.text.splitn(6, ':').nth(5).unwrap_or_default()
    }
}

impl fmt::Display for TargetArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for TargetArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let shape = || ArnError::Shape(text.chars().take(200).collect());
        let mut parts = text.splitn(6, ':');
        let (Some("arn"), Some(partition), Some(service), Some(""), Some(account), Some(resource)) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(shape());
        };
        partition.parse::<Partition>()?;
        account.parse::<AccountId>()?;
        let (kind, path) = resource.split_once('/').ok_or_else(shape)?;
        if !matches!(
            (service, kind),
            ("iam", "role" | "user") | ("sts", "federated-user")
        ) {
            return Err(shape());
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let name_is_legal = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
        let directories = &path[..path.len() - name.len()];
        let path_is_legal = directories.len() <= 511
            && !directories.split_inclusive('/').any(|part| part == "/")
            && directories
                .bytes()
                .all(|byte| (b'!'..=b'~').contains(&byte));
        if !name_is_legal || !path_is_legal {
            return Err(shape());
        }
        Ok(Self {
            text: text.to_owned(),
            account_at: text.len() - resource.len() - ":".len() - account.len(),
            name_at: text.len() - name.len(),
        })
    }
}

impl TryFrom<String> for TargetArn {
    type Error = ArnError;

    fn try_from(text: String) -> Result<Self, ArnError> {
        text.parse()
    }
}

impl From<TargetArn> for String {
    fn from(arn: TargetArn) -> Self {
        arn.text
    }
}

/// The ARN of an IAM SAML provider, `arn:…:iam::A:saml-provider/NAME`.
///
/// Names have 1–128 of `[\w._-]` (IAM API, CreateSAMLProvider).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SamlProviderArn {
    text: String,
    account: AccountId,
}

impl SamlProviderArn {
    /// The whole ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The account it belongs to.
    pub fn account(&self) -> &AccountId {
        &self.account
    }

    /// Whether it can vouch for `role`: IAM wants both in one account, and so in one partition.
    pub fn is_beside(&self, role: &TargetArn) -> bool {
        self.account.as_str() == role.account_digits()
            && self.text.split(':').nth(1) == Some(role.partition().as_str())
    }

    /// The ARN that a template means in `account`: `{account}` in it stands for the twelve digits.
    ///
    /// # Errors
    /// When what comes out is not the ARN of an IAM SAML provider.
    pub fn from_template(template: &str, account: &str) -> Result<Self, ArnError> {
        let filled: Result<Self, ArnError> = template.replace("{account}", account).parse();
        // What is wrong is told of the template, whichever part it is.
        filled.map_err(|_| ArnError::SamlProvider(template.chars().take(200).collect()))
    }
}

impl fmt::Display for SamlProviderArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for SamlProviderArn {
    type Err = ArnError;

    fn from_str(text: &str) -> Result<Self, ArnError> {
        let shape = || ArnError::SamlProvider(text.chars().take(200).collect());
        let rest = text.strip_prefix("arn:").ok_or_else(shape)?;
        let (partition, rest) = rest.split_once(":iam::").ok_or_else(shape)?;
        partition.parse::<Partition>()?;
        let (account, name) = rest.split_once(":saml-provider/").ok_or_else(shape)?;
        let account = account.parse()?;
        let name_is_legal = (1..=128).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !name_is_legal {
            return Err(shape());
        }
        Ok(Self {
            text: text.to_owned(),
            account,
        })
    }
}

impl TryFrom<String> for SamlProviderArn {
    type Error = ArnError;

    fn try_from(text: String) -> Result<Self, ArnError> {
        text.parse()
    }
}

impl From<SamlProviderArn> for String {
    fn from(arn: SamlProviderArn) -> Self {
        arn.text
    }
}

/// Why a text is not an account id, partition or ARN that can be opened.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum ArnError {
    /// Not twelve digits.
    #[error("`{0}` is not an AWS account id: it has twelve digits, such as 111122223333")]
    Account(String),
    /// Not a partition that AWS has.
    #[error("`{0}` is not an AWS partition: aws, aws-us-gov, aws-cn, aws-eusc, aws-iso…")]
    Partition(String),
    /// Not the ARN of a role, user or federated user.
    #[error("`{0}` is not the ARN of a role: it looks like arn:aws:iam::111122223333:role/Name")]
    Shape(String),
    /// Not the ARN of an IAM SAML provider.
    #[error(
        "`{0}` is not the ARN of an IAM SAML provider: it looks like \
         arn:aws:iam::111122223333:saml-provider/Name"
    )]
    SamlProvider(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_arns_take_apart_and_keep_their_text() {
        let arn: TargetArn = "arn:aws-cn:iam::000011112222:role/team/x/Read.Only@1"
            .parse()
            .unwrap();
        assert_eq!(arn.partition(), Partition::AwsCn);
        assert_eq!(arn.account().as_str(), "000011112222");
        assert_eq!(arn.name(), "Read.Only@1");
        assert_eq!(arn.kind(), TargetKind::Role);
        assert_eq!(
            arn.to_string(),
            "arn:aws-cn:iam::000011112222:role/team/x/Read.Only@1"
        );
    }

    #[test]
    fn other_targets_have_their_own_kinds() {
        let user: TargetArn = "arn:aws:iam::111122223333:user/ops/broker".parse().unwrap();
        let federated: TargetArn = "arn:aws:sts::111122223333:federated-user/up"
            .parse()
            .unwrap();
        assert_eq!(
            (user.kind(), federated.kind()),
            (TargetKind::User, TargetKind::FederatedUser)
        );
    }

    #[test]
    fn saml_providers_stand_beside_the_roles_of_their_account() {
        let provider = |text: &str| SamlProviderArn::from_template(text, "111122223333");
        let role: TargetArn = "arn:aws:iam::111122223333:role/x".parse().unwrap();
        for (text, is_beside) in [
            ("arn:aws:iam::{account}:saml-provider/Corp.IdP_1-a", true),
            ("arn:aws:iam::111122223333:saml-provider/Corp", true),
            ("arn:aws:iam::111122224444:saml-provider/Corp", false),
            ("arn:aws-cn:iam::{account}:saml-provider/Corp", false),
        ] {
            assert_eq!(
                provider(text).unwrap().is_beside(&role),
                is_beside,
                "{text}"
            );
        }
        for text in [
            "Corp",
            "arn:aws:iam::{account}:saml-provider/",
            "arn:aws:iam::{acount}:saml-provider/Corp",
            "arn:aws:iam::{account}:saml-provider/a/b",
            "arn:aws:iam::{account}:oidc-provider/Corp",
        ] {
            assert!(provider(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn malformed_arns_are_refused() {
        for text in [
            "",
            "arn:aws:iam::111122223333:role",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role//x",
            "arn:aws:iam::11112222333:role/x",
            "arn:aws:iam:eu-west-1:111122223333:role/x",
            "arn:aws:sts::111122223333:assumed-role/x/y",
            "arn:amazon:iam::111122223333:role/x",
            "arn:aws:iam::111122223333:role/x y",
            "arn:aws:iam::111122223333:role/x\n",
            "arn:aws:iam::111122223333:group/x",
            "arn:aws:s3::111122223333:role/x",
        ] {
            assert!(text.parse::<TargetArn>().is_err(), "{text} was accepted");
        }
    }
}
