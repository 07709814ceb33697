//! The roles of the grid: a row of the table for each way to STS, and what IAM has behind it.

use std::fmt::Write as _;

use rolegate::aws::issuer::subject::subject_pattern;

use super::{
    grid::Way,
    stage::{BROKER, DEVICE},
};

pub(super) const EXTERNAL_ID: &str = "matrix-7f3c";
/// What narrows sessions, as it stands in the table.
const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::uploads/home/{connector}/{username}/*"}]}"#;
pub(super) const FEDERATED: &str = "arn:aws:sts::111122223333:federated-user/uploads";

/// Every role of IAM that opens somehow, with its `MaxSessionDuration`.
pub(super) const ALL_OF_IAM: [(&str, u32); 9] = [
    ("Assume", 14_400),
    ("Coded", 14_400),
    ("Vouched", 14_400),
    ("Posted", 3_600),
    ("Passed", 14_400),
    ("Token", 14_400),
    ("PassedToken", 14_400),
    ("Chained", 14_400),
    ("Packed", 3_600),
];

/// A row of the table: the ARN, and its other keys.
pub(super) struct RoleRow {
    pub(super) arn: String,
    pub(super) keys: String,
}

pub(super) fn role_arn(name: &str) -> String {
    format!("arn:aws:iam::111122223333:role/matrix/{name}")
}

/// What the `sub` of our tokens for a role looks like.
pub(super) fn own_subjects(name: &str) -> String {
    subject_pattern(&role_arn(name).parse().unwrap())
}

/// The role of a way as it stands in the table, with all that the way can carry.
pub(super) fn role_toml(way: Way) -> RoleRow {
    let policy = format!("session_policy = '{POLICY}'\n");
    let marks = "source_identity = \"{connector}-{username}\"\naudit_tag = true\n\
                 session_tags = { team = \"payments\", who = \"{username}\" }\n";
    let two_hours = "max_duration = \"2h\"\n";
    let of_role = |name: &str, method: &str, rest: &[&str]| RoleRow {
        arn: role_arn(name),
        keys: format!("grant_method = \"{method}\"\n{}", rest.concat()),
    };
    let external = format!("external_id = \"{EXTERNAL_ID}\"\n");
    let code = format!("mfa_serial = \"{DEVICE}\"\n");
    let issuer = "vouched_by = \"issuer\"\n";
    let provider = "vouched_by = \"provider\"\n";
    let saml = "assume-role-with-saml";
    let web = "assume-role-with-web-identity";
    match way {
        Way::AssumeRole => of_role(
            "Assume",
            "assume-role",
            &[&external, marks, &policy, two_hours],
        ),
        Way::AssumeRoleWithCode => of_role("Coded", "assume-role", &[&code, marks, two_hours]),
        Way::SamlOfIssuer => of_role("Vouched", saml, &[issuer, marks, &policy, two_hours]),
        Way::SamlOfProvider => of_role("Passed", saml, &[provider, &policy, two_hours]),
        Way::WebOfIssuer => of_role("Token", web, &[issuer, marks, &policy, two_hours]),
        Way::WebOfProvider => of_role("PassedToken", web, &[provider, &policy, two_hours]),
        Way::FederationToken => RoleRow {
            arn: FEDERATED.to_owned(),
            keys: format!(
                "grant_method = \"federation-token\"\nmax_duration = \"36h\"\n{policy}\
                 session_tags = {{ team = \"payments\", who = \"{{username}}\" }}\n\
                 audit_tag = true\n"
            ),
        },
        Way::SessionToken => RoleRow {
            arn: BROKER.to_owned(),
            keys: format!("grant_method = \"session-token\"\nmax_duration = \"20h\"\n{code}"),
        },
    }
}

/// The rows beside those of [`role_toml`].
fn others() -> Vec<RoleRow> {
    let other = |name: &str, keys: &str| RoleRow {
        arn: role_arn(name),
        keys: keys.to_owned(),
    };
    vec![
        other(
            "Posted",
            "grant_method = \"assume-role-with-saml\"\nvouched_by = \"issuer\"\n\
             console = \"saml-post\"\nsource_identity = \"{connector}-{username}\"\n\
             audit_tag = true\nsession_tags = { team = \"payments\", who = \"{username}\" }\n\
             max_duration = \"12h\"\n",
        ),
        other(
            "Chained",
            "grant_method = \"assume-role\"\ncredential_source = \"hub\"\nmax_duration = \"2h\"\n",
        ),
        other(
            "Forged",
            "grant_method = \"assume-role\"\ncredential_source = \"wrong\"\n",
        ),
        other("Packed", &packed()),
    ]
}

/// Tags that are right one by one, and too long together.
fn packed() -> String {
    let tags: Vec<String> = (0..20)
        .map(|tag| format!("t{tag} = \"{}\"", "x".repeat(230)))
        .collect();
    format!(
        "grant_method = \"assume-role\"\nsession_tags = {{ {} }}\n",
        tags.join(", ")
    )
}

/// The table: everything for one group of each connector.
pub(super) fn table() -> String {
    let ways = Way::ALL.map(role_toml);
    let mut text = "[[account]]\nid = \"111122223333\"\nname = \"Research\"\n".to_owned();
    for RoleRow { arn, keys } in ways.into_iter().chain(others()) {
        let _ = write!(text, "[[role]]\narn = \"{arn}\"\n{keys}");
        for group in [
            "corp:cn=book-club,ou=groups,dc=example,dc=com",
            "campus:staff",
            "idp:staff",
        ] {
            let _ = write!(text, "[[mapping]]\ngroup = \"{group}\"\nrole = \"{arn}\"\n");
        }
    }
    text
}
