//! What profiles are called, and what stands in them.
//!
//! Pure. Entry points: [`name_of`], [`sections`].

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use super::super::{ClientError, OfferedRole, ServerUrl};

/// The region of the portal, which is asked for and leads nowhere.
const PORTAL_REGION: &str = "us-east-1";

/// How profiles are made.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The name: a text with `{account}`, `{account_id}`, `{environment}` and `{role}`.
    pub template: String,
    /// What stands before each name.
    pub prefix: String,
    /// How AWS's tools get credentials.
    pub style: Style,
    /// Where profiles work whose role names no region.
    pub region: Option<String>,
    /// Whether what somebody wrote between the markers may go.
    pub discards_edits: bool,
}

/// How AWS's tools get credentials.
#[derive(Debug, Clone)]
pub enum Style {
    /// By running this program.
    Process {
        /// Its whole path.
        program: String,
    },
    /// By their own SSO support; no program of ours is needed.
    Sso,
}

/// The name that a template gives a role, in characters that need no quoting anywhere.
///
/// # Errors
/// A placeholder that there is none of, and a template that leaves nothing.
pub fn name_of(role: &OfferedRole, template: &str) -> Result<String, ClientError> {
    let mut text = template
        .replace("{account}", role.account.label())
        .replace("{account_id}", &role.account.id)
        .replace("{role}", &role.name);
    let environment = role.account.environment.as_deref().unwrap_or_default();
    text = text.replace("{environment}", environment);
    if template_rest(template).contains(['{', '}']) {
        return Err(ClientError::Unwritable(format!(
            "the template `{template}` has a placeholder that there is none of; there are \
             {{account}}, {{account_id}}, {{environment}} and {{role}}"
        )));
    }
    let mut name = String::new();
    for character in text.to_lowercase().chars() {
        let is_kept = character.is_ascii_alphanumeric() || "._+@-".contains(character);
        if is_kept {
            name.push(character);
        } else if !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_matches('-');
    if name.is_empty() || name == "default" {
        return Err(ClientError::Unwritable(format!(
            "the template `{template}` gives {} no name that can be used",
            role.arn
        )));
    }
    Ok(name.to_owned())
}

fn template_rest(template: &str) -> String {
    ["{account}", "{account_id}", "{role}", "{environment}"]
        .iter()
        .fold(template.to_owned(), |rest, part| rest.replace(part, ""))
}

type Sections = BTreeMap<String, String>;

/// Sections by their header lines, and the names of profiles that are not made because somebody
/// else has one of that name.
pub(super) fn sections(
    server: &ServerUrl,
    roles: &[OfferedRole],
    wish: &Wish,
    foreign: &BTreeSet<String>,
) -> Result<(Sections, Vec<String>), ClientError> {
    let mut sections = Sections::new();
    let mut taken = Vec::new();
    let session = format!("rolegate-{}", server.host().replace([':', '[', ']'], "-"));
    for (name, role) in named(roles, wish)? {
        if foreign.contains(&format!("profile {name}")) {
            taken.push(name);
            continue;
        }
        let header = format!("[profile {name}]");
        let mut text = format!("{header}\n");
        match &wish.style {
            Style::Process { program } => {
                let program = command_word(program)?;
                let arn = plain(&role.arn)?;
                let _ = writeln!(
                    text,
                    "credential_process = {program} credentials {arn} --url {server} --format process"
                );
            }
            Style::Sso => {
                let (account, name) = (plain(&role.account.id)?, plain(&role.name)?);
                let _ = writeln!(
                    text,
                    "sso_session = {session}\nsso_account_id = {account}\nsso_role_name = {name}\n\
                     services = {session}"
                );
            }
        }
        if let Some(region) = role.region.as_ref().or(wish.region.as_ref()) {
            let _ = writeln!(text, "region = {}", plain(region)?);
        }
        sections.insert(header, text);
    }
    if matches!(wish.style, Style::Sso) && !sections.is_empty() {
        for (header, text) in portal(server, &session) {
            if foreign.contains(header.trim_matches(['[', ']'])) {
                return Err(ClientError::Unwritable(format!(
                    "a section {header} is there already, and not between the markers of \
                     `rolegate aws-config`; rename it first"
                )));
            }
            sections.insert(header, text);
        }
    }
    Ok((sections, taken))
}

/// The sections that all profiles of a server share: where one signs in, and where that is.
fn portal(server: &ServerUrl, session: &str) -> [(String, String); 2] {
    // AWS CLI since 2.35.13 takes only addresses of AWS, or https ones that lead there, as Rolegate's
    // /start does. It sends nothing to this one.
    let start = if server.is_secure() {
        server.join("start")
    } else {
        "https://rolegate.awsapps.com/start".to_owned()
    };
    let sso = format!("[sso-session {session}]");
    let services = format!("[services {session}]");
    let endpoint = server.join("aws");
    let sso_text = format!(
        "{sso}\nsso_start_url = {start}\nsso_region = {PORTAL_REGION}\n\
         sso_registration_scopes = sso:account:access\n"
    );
    // `sso-oidc` is how the SDK for Rust spells `sso_oidc`.
    let mut services_text = format!("{services}\n");
    for service in ["sso", "sso_oidc", "sso-oidc"] {
        let _ = writeln!(services_text, "{service} =\n  endpoint_url = {endpoint}");
    }
    [(sso, sso_text), (services, services_text)]
}

/// Each role that gives credentials, under a name of its own.
pub(crate) fn named<'a>(
    roles: &'a [OfferedRole],
    wish: &Wish,
) -> Result<Vec<(String, &'a OfferedRole)>, ClientError> {
    let template = format!("{}{}", wish.prefix, wish.template);
    let mut by_name: BTreeMap<String, Vec<&OfferedRole>> = BTreeMap::new();
    for role in roles.iter().filter(|role| role.opens_credentials) {
        by_name
            .entry(name_of(role, &template)?)
            .or_default()
            .push(role);
    }
    let mut named = Vec::new();
    for (name, roles) in by_name {
        let is_alone = roles.len() == 1;
        for role in roles {
            let name = if is_alone {
                name.clone()
            } else {
                format!("{name}-{}", role.account.id)
            };
            if named.iter().any(|(other, _)| *other == name) {
                return Err(ClientError::Unwritable(format!(
                    "two roles would be called `{name}`; give a --template with {{account_id}} \
                     and {{role}}"
                )));
            }
            named.push((name, role));
        }
    }
    Ok(named)
}

/// A text of the server's that goes into the file as it is: nothing that a parser or shell reads
/// more into.
fn plain(text: &str) -> Result<&str, ClientError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+=,.@_/:-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Ok(text);
    }
    Err(ClientError::Unwritable(format!(
        "{text:?} cannot be written into a configuration file"
    )))
}

/// The program as the first word of a line that SDKs split themselves or give to a shell.
fn command_word(program: &str) -> Result<String, ClientError> {
    let is_safe = |c: char| c.is_alphanumeric() || " +,.@_/\\:()~-".contains(c);
    if !program.chars().all(is_safe) || (cfg!(unix) && program.contains('\\')) {
        return Err(ClientError::Unwritable(format!(
            "the path {program:?} of this program cannot be written into a configuration file; \
             move the program"
        )));
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "+,.@_/\\:-".contains(c);
    if program.chars().all(is_plain) {
        return Ok(program.to_owned());
    }
    Ok(format!("\"{program}\""))
}

#[cfg(test)]
mod tests {
    use super::{super::super::role::tests::role, *};

    #[test]
    fn names_are_of_characters_that_need_no_quoting() {
        for (account, template, name) in [
            (
                "Payments production",
                "{account}-{role}",
                "payments-production-readonly",
            ),
            ("a]\n[profile x", "{account}-{role}", "a-profile-x-readonly"),
            (
                "Café \"1\"",
                "{account}.{account_id}",
                "caf-1-.111122223333",
            ),
            ("x", "{environment}{role}", "readonly"),
        ] {
            let role = role("111122223333", account, "team/ReadOnly");
            assert_eq!(name_of(&role, template).unwrap(), name);
        }
        let role = role("111122223333", "x", "default");
        for template in ["{acount}", "{", "", "--", "{role}"] {
            assert!(name_of(&role, template).is_err(), "{template}");
        }
    }

    #[test]
    fn roles_of_one_name_are_told_apart_by_their_accounts() {
        let roles = [
            role("111122223333", "x", "Admin"),
            role("444455556666", "x", "Admin"),
        ];
        let wish = Wish {
            template: "{account}-{role}".to_owned(),
            prefix: "p-".to_owned(),
            style: Style::Sso,
            region: None,
            discards_edits: false,
        };
        let names: Vec<String> = named(&roles, &wish)
            .unwrap()
            .into_iter()
            .map(|(n, _)| n)
            .collect();
        assert_eq!(names, ["p-x-admin-111122223333", "p-x-admin-444455556666"]);
        let twice = [roles[0].clone(), roles[0].clone()];
        assert!(named(&twice, &wish).is_err());
    }

    #[test]
    fn paths_of_the_program_are_quoted_or_refused() {
        assert_eq!(
            command_word("/usr/bin/rolegate").unwrap(),
            "/usr/bin/rolegate"
        );
        assert_eq!(
            command_word("/My Apps/rolegate").unwrap(),
            "\"/My Apps/rolegate\""
        );
        for path in ["/a\"b", "/a$b", "/a`b", "/a\nb", "/a%b"] {
            assert!(command_word(path).is_err(), "{path}");
        }
    }

    #[test]
    fn sso_profiles_say_where_the_portal_is() {
        let roles = [role("111122223333", "x", "team/Admin")];
        let wish = Wish {
            template: "{role}".to_owned(),
            prefix: String::new(),
            style: Style::Sso,
            region: None,
            discards_edits: false,
        };
        let server = "https://aws.example.com".parse().unwrap();
        let (made, _) = sections(&server, &roles, &wish, &BTreeSet::new()).unwrap();
        let text: Vec<&str> = made.values().map(String::as_str).collect();
        assert_eq!(
            text.join("\n"),
            "[profile admin]\nsso_session = rolegate-aws.example.com\n\
             sso_account_id = 111122223333\nsso_role_name = Admin\n\
             services = rolegate-aws.example.com\n\n\
             [services rolegate-aws.example.com]\nsso =\n  \
             endpoint_url = https://aws.example.com/aws\nsso_oidc =\n  \
             endpoint_url = https://aws.example.com/aws\nsso-oidc =\n  \
             endpoint_url = https://aws.example.com/aws\n\n\
             [sso-session rolegate-aws.example.com]\n\
             sso_start_url = https://aws.example.com/start\nsso_region = us-east-1\n\
             sso_registration_scopes = sso:account:access\n"
        );
    }
}
