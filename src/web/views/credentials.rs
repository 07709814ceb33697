//! Credentials, shown once. Nothing here has `Debug`, and the texts are wiped when dropped.

use askama::Template;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{Layout, Moment};

/// What the page is made from. No `Debug`: it borrows secrets.
pub(crate) struct CredentialsInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The account's name or id.
    pub(crate) account: &'a str,
    /// Its twelve digits.
    pub(crate) account_id: &'a str,
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
}

struct Format {
    id: &'static str,
    name: &'static str,
    hint: &'static str,
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
    let format = |id, name, hint, text: String| Format {
        id,
        name,
        hint,
        text: Zeroizing::new(text),
    };
    let lines = |line: fn(&str, &str) -> String| {
        variables(input)
            .iter()
            .map(|(name, value)| line(name, value))
            .collect::<Vec<_>>()
            .join("\n")
    };
    vec![
        format("sh", "bash, zsh", "Paste into a terminal.", lines(sh_line)),
        format("fish", "fish", "Paste into a terminal.", lines(fish_line)),
        format(
            "powershell",
            "PowerShell",
            "Paste into a PowerShell window.",
            lines(powershell_line),
        ),
        format(
            "cmd",
            "cmd",
            "Paste into a command prompt.",
            lines(cmd_line),
        ),
        format(
            "file",
            "~/.aws/credentials",
            "Add to the file, then use it with --profile.",
            profile(input),
        ),
        format(
            "json",
            "JSON",
            "What credential_process prints.",
            json(input),
        ),
    ]
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

fn sh_line(name: &str, value: &str) -> String {
    format!("export {name}='{}'", value.replace('\'', r"'\''"))
}

fn fish_line(name: &str, value: &str) -> String {
    let value = value.replace('\\', r"\\").replace('\'', r"\'");
    format!("set -gx {name} '{value}'")
}

fn powershell_line(name: &str, value: &str) -> String {
    format!("$Env:{name} = '{}'", value.replace('\'', "''"))
}

fn cmd_line(name: &str, value: &str) -> String {
    format!("set \"{name}={value}\"")
}

fn profile(input: &CredentialsInput<'_>) -> String {
    let mut text = format!(
        "[{}-{}]\naws_access_key_id = {}\naws_secret_access_key = {}\naws_session_token = {}",
        input.account_id,
        input.role,
        input.access_key_id,
        input.secret_access_key,
        input.session_token
    );
    if !input.region.is_empty() {
        text.push_str("\nregion = ");
        text.push_str(input.region);
    }
    text
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
mod tests {
    use super::*;

    #[test]
    fn each_shell_quotes_in_its_own_way() {
        let awkward = r"a'b\c";
        assert_eq!(sh_line("K", awkward), r"export K='a'\''b\c'");
        assert_eq!(fish_line("K", awkward), r"set -gx K 'a\'b\\c'");
        assert_eq!(powershell_line("K", awkward), r"$Env:K = 'a''b\c'");
        assert_eq!(cmd_line("K", "v+/="), "set \"K=v+/=\"");
    }
}
