//! What `rolegate demo` adds to the [`sample`](super::sample) so that every way to AWS can be clicked: a role for
//! each that is not `assume-role`, the providers that trust the demo's own issuer, a role whose trust
//! policy names somebody else, and the two roles in each account that Rolegate reads IAM and ends
//! sessions with.
//!
//! Apart from the sample, which the tests count on. Entry points: [`join`], [`mapping_toml`].

use std::fmt::Write as _;

use url::Url;

use super::{
    aws::{Catalogue, OidcProvider, Role, SamlProvider, Trust},
    sample::{ACCOUNTS, BROKER_ACCOUNT, BROKER_ARN, CONNECTOR, group_dn},
};

/// Where the roles are, but for the federated user: that is in the account of the broker's keys.
const ACCOUNT: &str = "111122225555";
/// The group that gives them, which ada is in.
const GROUP: &str = "engineering";
/// What the broker reads IAM with, in each account.
pub const READ_ROLE: &str = "rolegate-read";
/// What the broker ends sessions with, in each account.
pub const REVOKER_ROLE: &str = "rolegate-revoker";

/// The roles: name, description, and the rest of their row.
const ROLES: [(&str, &str, &str); 4] = [
    (
        "ways/Keyless",
        "No AWS keys: your browser carries Rolegate's word to AWS",
        "grant_method = \"assume-role-with-saml\"\nconsole = \"saml-post\"",
    ),
    (
        "ways/Vouched",
        "No AWS keys: AWS gives credentials for Rolegate's word",
        "grant_method = \"assume-role-with-saml\"",
    ),
    (
        "ways/WebIdentity",
        "No AWS keys: AWS fetches the keys that Rolegate's token is verified with",
        "grant_method = \"assume-role-with-web-identity\"",
    ),
    (
        "ways/Broken",
        "Its trust policy names somebody else; a look at the roles finds it within two minutes",
        "",
    ),
];

/// The person's own prefix of a bucket, and nothing else.
const UPLOAD_POLICY: &str = r#"{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:GetObject", "s3:PutObject"],
      "Resource": "arn:aws:s3:::uploads/home/{username}/*"
    },
    {
      "Effect": "Allow",
      "Action": "s3:ListBucket",
      "Resource": "arn:aws:s3:::uploads",
      "Condition": { "StringLike": { "s3:prefix": "home/{username}/*" } }
    }
  ]
}"#;

/// The issuer as its accounts know it.
#[derive(Clone, Copy, Debug)]
pub struct Vouching<'a> {
    /// Its `iss`.
    pub name: &'a str,
    /// The SAML metadata.
    pub metadata: &'a str,
    /// The `aud` of its tokens.
    pub audience: &'a str,
    /// Where assertions are posted.
    pub recipient: &'a Url,
}

/// Puts providers and roles into the stand-in.
///
/// # Errors
/// IAM's words, when it would not take one of them.
pub fn join(mut catalogue: Catalogue, issuer: Vouching<'_>) -> Result<Catalogue, String> {
    let saml_arn = format!("arn:aws:iam::{ACCOUNT}:saml-provider/rolegate");
    let saml = SamlProvider::new(&saml_arn, issuer.metadata)?;
    // IAM would take no port, so that the name is without; `iss` is with it.
    let oidc_arn = format!("arn:aws:iam::{ACCOUNT}:oidc-provider/rolegate.example.com");
    let oidc = OidcProvider::new(&oidc_arn, [issuer.audience])?.with_url(issuer.name);
    let by_saml = Trust::default().with_saml(&saml_arn, [issuer.recipient.as_str()]);
    let subjects = format!("role:{ACCOUNT}/ways/WebIdentity:*");
    let by_token =
        Trust::default().with_web_identity(&oidc_arn, [issuer.audience], [subjects.as_str()]);
    let trusts = [
        by_saml.clone(),
        by_saml,
        by_token,
        Trust::of(["arn:aws:iam::444455556666:user/rolegate-before"]),
    ];
    for ((name, description, _), trust) in ROLES.iter().zip(trusts) {
        let trust = trust.with_session_tags().with_source_identity();
        let role = Role::new(&arn(ACCOUNT, name), trust).with_max_session_seconds(43_200);
        catalogue = catalogue.with_role(role.with_description(description));
    }
    for (account, ..) in ACCOUNTS {
        for name in [READ_ROLE, REVOKER_ROLE] {
            catalogue =
                catalogue.with_role(Role::new(&arn(account, name), Trust::of([BROKER_ARN])));
        }
    }
    Ok(catalogue.with_saml_provider(saml).with_oidc_provider(oidc))
}

/// The rows, to stand behind those of the sample.
pub fn mapping_toml() -> String {
    let federated = format!("arn:aws:sts::{BROKER_ACCOUNT}:federated-user/Uploads");
    let uploads = format!(
        "grant_method = \"federation-token\"\nmax_duration = \"36h\"\n\
         session_policy = '''{UPLOAD_POLICY}'''"
    );
    let roles = ROLES.map(|(name, description, rest)| (arn(ACCOUNT, name), description, rest));
    let mut text = String::new();
    for (arn, description, rest) in roles.iter().map(|(arn, d, r)| (arn, *d, *r)).chain([(
        &federated,
        "Your own folder of a bucket, and nothing else",
        uploads.as_str(),
    )]) {
        let group = format!("{CONNECTOR}:{}", group_dn(GROUP));
        let _ = write!(
            text,
            "\n[[role]]\narn = \"{arn}\"\ndescription = \"{description}\"\n{rest}\n\
             \n[[mapping]]\ngroup = \"{group}\"\nrole = \"{arn}\"\n"
        );
    }
    text
}

fn arn(account: &str, name: &str) -> String {
    format!("arn:aws:iam::{account}:role/{name}")
}
