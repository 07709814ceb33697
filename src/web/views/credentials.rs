//! Credentials, shown once. Nothing here has `Debug`, and the texts are wiped when dropped.

use std::borrow::Cow;

use askama::Template;
use time::OffsetDateTime;
use url::Url;
use zeroize::Zeroizing;

use super::{Layout, Moment, shells::Shell};

/// What the page is made from. No `Debug`: it borrows secrets.
pub(crate) struct CredentialsInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The account's name or id.
    pub(crate) account: &'a str,
    /// Its twelve digits.
    pub(crate) account_id: &'a str,
    /// The role's ARN.
    pub(crate) arn: &'a str,
    /// The role's name.
    pub(crate) role: &'a str,
    /// `AccessKeyId`
    pub(crate) access_key_id: &'a str,
    /// `SecretAccessKey`
    pub(crate) secret_access_key: &'a str,
    /// `SessionToken`
    pub(crate) session_token: &'a str,
    /// Where tools shall work, where the table or the person says. May be empty.
    pub(crate) region: &'a str,
    /// Whether the session is narrowed to reading.
    pub(crate) is_read_only: bool,
    /// `Expiration`
    pub(crate) expires: OffsetDateTime,
    /// The present.
    pub(crate) now: OffsetDateTime,
    /// Where tools find us.
    pub(crate) public_url: &'a Url,
}

struct Format {
    id: &'static str,
    name: &'static str,
    hint: Cow<'static, str>,
    text: Zeroizing<String>,
}

/// The answer of `POST /credentials`; goes out with `no-store`.
#[derive(Template)]
#[template(path = "credentials.html", whitespace = "minimize")]
pub(crate) struct CredentialsView {
    layout: Layout,
    account: String,
    account_id: String,
    role: String,
    is_read_only: bool,
    expires: Moment,
    formats: Vec<Format>,
}

impl CredentialsView {
    /// Writes the credentials in the form of each shell and tool.
    pub(crate) fn new(input: CredentialsInput<'_>) -> Self {
        Self {
            account: input.account.to_owned(),
            account_id: input.account_id.to_owned(),
            role: input.role.to_owned(),
            is_read_only: input.is_read_only,
            expires: Moment::relative(input.expires, input.now),
            formats: formats(&input),
            layout: input.layout,
        }
    }
}

fn formats(input: &CredentialsInput<'_>) -> Vec<Format> {
    let name = profile_name(input);
    let shells = [
        (Shell::Posix, "sh", "bash, zsh", "Paste into a terminal."),
        (Shell::Fish, "fish", "fish", "Paste into a terminal."),
        (
            Shell::PowerShell,
            "powershell",
            "PowerShell",
            "Paste into a PowerShell window.",
        ),
        (Shell::Cmd, "cmd", "cmd", "Paste into a command prompt."),
    ];
    let shells = shells
        .into_iter()
        .filter_map(|(shell, id, name, hint)| Some((id, name, hint.into(), lines(shell, input)?)));
    let others = [
        (
            "file",
            "~/.aws/credentials",
            "Add to the file, then use it with --profile.".into(),
            profile(input),
        ),
        (
            "configure",
            "aws configure",
            format!("Paste into a terminal: writes the profile {name}.").into(),
            configure(input),
        ),
        (
            "json",
            "JSON",
            "What credential_process prints.".into(),
            Some(json(input)),
        ),
        (
            "sso",
            "AWS CLI (aws sso login)",
            format!(
                "New credentials whenever they are needed, none of them in a file of yours. Add to \
                 ~/.aws/config, the last two sections once; then: aws sso login --profile {name}"
            )
            .into(),
            fits_lines([input.region]).then(|| sso_profile(input)),
        ),
        (
            "rolegate",
            "rolegate",
            "The same with Rolegate's own client.".into(),
            client(input),
        ),
    ];
    let others =
        (others.into_iter()).filter_map(|(id, name, hint, text)| Some((id, name, hint, text?)));
    shells
        .chain(others)
        .map(|(id, name, hint, text)| Format {
            id,
            name,
            hint,
            text: Zeroizing::new(text),
        })
        .collect()
}

fn lines(shell: Shell, input: &CredentialsInput<'_>) -> Option<String> {
    let lines = variables(input)
        .into_iter()
        .map(|(name, value)| shell.variable(name, value));
    let lines: Option<Vec<String>> = lines.collect();
    Some(lines?.join("\n"))
}

fn variables<'a>(input: &CredentialsInput<'a>) -> Vec<(&'static str, &'a str)> {
    let mut variables = vec![
        ("AWS_ACCESS_KEY_ID", input.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", input.secret_access_key),
        ("AWS_SESSION_TOKEN", input.session_token),
    ];
    if !input.region.is_empty() {
        variables.push(("AWS_REGION", input.region));
        variables.push(("AWS_DEFAULT_REGION", input.region));
    }
    variables
}

/// Of characters that the sections of AWS's files may be named with: digits and those of IAM's names.
fn profile_name(input: &CredentialsInput<'_>) -> String {
    format!("{}-{}", input.account_id, input.role)
}

/// The commands that write the profile.
fn configure(input: &CredentialsInput<'_>) -> Option<String> {
    let profile = Shell::Posix.quoted(&profile_name(input))?;
    let mut settings = vec![
        ("aws_access_key_id", input.access_key_id),
        ("aws_secret_access_key", input.secret_access_key),
        ("aws_session_token", input.session_token),
    ];
    if !input.region.is_empty() {
        settings.push(("region", input.region));
    }
    let lines = settings.into_iter().map(|(name, value)| {
        let value = Shell::Posix.quoted(value)?;
        Some(format!(
            "aws configure set {name} {value} --profile {profile}"
        ))
    });
    let lines: Option<Vec<String>> = lines.collect();
    Some(lines?.join("\n"))
}

/// A profile by which AWS's own tools sign in here. The start URL has to be AWS's by name for the
/// newest of them, or to lead there; what is asked is at the endpoints alone. `sso-oidc` is how the
/// SDK for Rust spells `sso_oidc`.
fn sso_profile(input: &CredentialsInput<'_>) -> String {
    let origin = input.public_url.as_str().trim_end_matches('/');
    let start = if input.public_url.scheme() == "https" {
        format!("{origin}/start")
    } else {
        "https://d-0000000000.awsapps.com/start".to_owned()
    };
    let region = if input.region.is_empty() {
        String::new()
    } else {
        format!("region = {}\n", input.region)
    };
    format!(
        "[profile {}]\nsso_session = rolegate\nsso_account_id = {}\nsso_role_name = {}\n\
         services = rolegate\n{region}\n\
         [sso-session rolegate]\nsso_start_url = {start}\nsso_region = us-east-1\n\
         sso_registration_scopes = sso:account:access\n\n\
         [services rolegate]\nsso =\n  endpoint_url = {origin}/aws\n\
         sso_oidc =\n  endpoint_url = {origin}/aws\nsso-oidc =\n  endpoint_url = {origin}/aws",
        profile_name(input),
        input.account_id,
        input.role
    )
}

fn client(input: &CredentialsInput<'_>) -> Option<String> {
    let origin = input.public_url.as_str().trim_end_matches('/');
    let (origin, arn) = (
        Shell::Posix.quoted(origin)?,
        Shell::Posix.quoted(input.arn)?,
    );
    Some(format!(
        "rolegate login {origin}\neval \"$(rolegate credentials {arn} --format env)\""
    ))
}

/// Whether texts can stand behind a key of a file, on one line each.
fn fits_lines<const N: usize>(texts: [&str; N]) -> bool {
    !texts.iter().any(|text| text.contains(char::is_control))
}

fn profile(input: &CredentialsInput<'_>) -> Option<String> {
    let texts = [
        input.access_key_id,
        input.secret_access_key,
        input.session_token,
        input.region,
    ];
    if !fits_lines(texts) {
        return None;
    }
    let mut text = format!(
        "[{}]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}",
        profile_name(input),
        input.access_key_id,
        input.secret_access_key,
        input.session_token
    );
    if !input.region.is_empty() {
        text.push_str("\nregion = ");
        text.push_str(input.region);
    }
    Some(text)
}

/// In the order and with the names of the `credential_process` contract.
fn json(input: &CredentialsInput<'_>) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "{{\n  \"Version\": 1,\n  \"AccessKeyId\": {},\n  \"SecretAccessKey\": {},\n  \
         \"SessionToken\": {},\n  \"Expiration\": \"{}\"\n}}",
        quoted(input.access_key_id),
        quoted(input.secret_access_key),
        quoted(input.session_token),
        Moment::clock(input.expires, input.now).rfc3339()
    )
}

#[cfg(test)]
mod tests;
