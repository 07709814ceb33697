//! Credentials as shells and programs read them.
//!
//! Every value is quoted for the language that it is written in, whatever it holds; what a language
//! cannot hold is refused. Pure. Entry points: [`write()`], [`unset`].

use std::fmt::Write as _;

use super::{ClientError, Credentials};

/// What reads the credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// What `aws sts assume-role` prints.
    Json,
    /// What `credential_process` reads.
    Process,
    /// `export` lines for bash, zsh and other POSIX shells.
    Env,
    /// The same without `export`.
    EnvNoExport,
    /// For `| source` in fish.
    Fish,
    /// For PowerShell.
    #[value(name = "powershell")]
    PowerShell,
    /// For cmd.exe.
    WindowsCmd,
    /// A section of ~/.aws/credentials.
    Ini,
}

/// The variables that hold credentials, beside those of the region.
const CREDENTIALS: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
];

/// The variables of the region.
pub const REGION: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// What SDKs would take before or instead of credentials in the environment, and older forms of
/// them; a child process that is given credentials must not see these.
pub const STALE: [&str; 15] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_CREDENTIAL_EXPIRATION",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "ROLEGATE_ROLE",
];

/// The credentials as variables, with those of the region where one is known.
pub fn variables<'a>(
    credentials: &'a Credentials,
    region: Option<&'a str>,
) -> Vec<(&'static str, &'a str)> {
    let values = [
        credentials.access_key_id.as_str(),
        credentials.secret_access_key.expose(),
        credentials.session_token.expose(),
        credentials.expiration.as_str(),
    ];
    let mut variables: Vec<(&str, &str)> = CREDENTIALS.into_iter().zip(values).collect();
    let region = region.or(credentials.region.as_deref());
    variables.extend(REGION.into_iter().zip(region.into_iter().cycle()));
    variables
}

/// The text that a program or shell reads; `profile` is the section's name where the format has one.
///
/// # Errors
/// [`ClientError::Unwritable`] where a value cannot be written in that language.
pub fn write(
    format: Format,
    credentials: &Credentials,
    region: Option<&str>,
    profile: &str,
) -> Result<String, ClientError> {
    let line: fn(&str, &str) -> Option<String> = match format {
        Format::Json => return Ok(assume_role(credentials)),
        Format::Process => return Ok(process(credentials)),
        Format::Ini => return section(credentials, region, profile),
        Format::Env => |name, value| Some(format!("export {name}={}", posix(value)?)),
        Format::EnvNoExport => |name, value| Some(format!("{name}={}", posix(value)?)),
        Format::Fish => |name, value| Some(format!("set -gx {name} {}", fish(value)?)),
        Format::PowerShell => |name, value| Some(format!("$Env:{name} = {}", powershell(value)?)),
        Format::WindowsCmd => |name, value| Some(format!("set {name}={}", cmd(value)?)),
    };
    let mut text = String::new();
    for (name, value) in variables(credentials, region) {
        let line = line(name, value).ok_or_else(|| unwritable(name))?;
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}

/// The text that makes a shell forget the credentials.
///
/// # Errors
/// [`ClientError::Unwritable`] where the format is none of a shell.
pub fn unset(format: Format) -> Result<String, ClientError> {
    let line: fn(&str) -> String = match format {
        Format::Env | Format::EnvNoExport => |name| format!("unset {name}"),
        Format::Fish => |name| format!("set -e {name}"),
        Format::PowerShell => {
            |name| format!("Remove-Item -ErrorAction SilentlyContinue Env:{name}")
        }
        Format::WindowsCmd => |name| format!("set {name}="),
        Format::Json | Format::Process | Format::Ini => {
            return Err(ClientError::Unwritable(
                "--unset is for shells: --format env, env-no-export, fish, powershell or \
                 windows-cmd"
                    .to_owned(),
            ));
        }
    };
    let names = CREDENTIALS.iter().chain(&REGION);
    Ok(names.map(|name| line(name) + "\n").collect())
}

fn unwritable(name: &str) -> ClientError {
    ClientError::Unwritable(format!(
        "the value of {name} holds characters that this format cannot hold; take another --format"
    ))
}

fn assume_role(credentials: &Credentials) -> String {
    let answer = serde_json::json!({
        "Credentials": {
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "SessionToken": credentials.session_token,
            "Expiration": credentials.expiration,
        },
        "AssumedRoleUser": {
            "AssumedRoleId": credentials.assumed_role_id,
            "Arn": credentials.assumed_role_arn,
        },
    });
    format!("{answer:#}\n")
}

fn process(credentials: &Credentials) -> String {
    let mut answer = serde_json::json!({
        "Version": 1,
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "SessionToken": credentials.session_token,
        "Expiration": credentials.expiration,
    });
    if let Some(account) = &credentials.account_id {
        answer["AccountId"] = account.as_str().into();
    }
    format!("{answer}\n")
}

fn section(
    credentials: &Credentials,
    region: Option<&str>,
    profile: &str,
) -> Result<String, ClientError> {
    let mut text = format!("[{profile}]\n");
    let values = [
        ("aws_access_key_id", credentials.access_key_id.as_str()),
        (
            "aws_secret_access_key",
            credentials.secret_access_key.expose(),
        ),
        ("aws_session_token", credentials.session_token.expose()),
    ];
    let region = region.or(credentials.region.as_deref());
    for (name, value) in values
        .into_iter()
        .chain(region.map(|region| ("region", region)))
    {
        let value = ini(value).ok_or_else(|| unwritable(name))?;
        let _ = writeln!(text, "{name} = {value}");
    }
    Ok(text)
}

/// What stands for itself in every language here.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "+/=_.:,@-".contains(character)
}

/// Plain enough to stand without quotes: zsh reads more into a word that starts with `=`.
fn is_plain_word(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('=') && value.chars().all(is_plain)
}

/// A word of POSIX shells. Without quotes where none are needed, because files of such lines are
/// read by programs that take quotes for a part of the value.
fn posix(value: &str) -> Option<String> {
    if value.contains('\0') {
        return None;
    }
    if is_plain_word(value) {
        return Some(value.to_owned());
    }
    Some(format!("'{}'", value.replace('\'', r"'\''")))
}

fn fish(value: &str) -> Option<String> {
    if value.contains('\0') {
        return None;
    }
    let escaped = value.replace('\\', r"\\").replace('\'', r"\'");
    Some(format!("'{escaped}'"))
}

/// What some reader would take for the end of a line.
fn breaks_lines(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

/// A literal string. PowerShell takes typographic quotes for straight ones; what is piped into it
/// arrives line by line, so a line break would end the string's line.
fn powershell(value: &str) -> Option<String> {
    if value.contains(breaks_lines) {
        return None;
    }
    let mut text = String::from("'");
    for character in value.chars() {
        if matches!(character, '\'' | '\u{2018}'..='\u{201b}') {
            text.push(character);
        }
        text.push(character);
    }
    text.push('\'');
    Some(text)
}

/// cmd.exe has no quoting that holds everywhere (`%`, `!`, `^`, `"`), so only what needs none passes.
fn cmd(value: &str) -> Option<String> {
    (!value.is_empty() && value.chars().all(is_plain)).then(|| value.to_owned())
}

/// A value that the readers of AWS's files take whole: on one line, with nothing that starts a
/// comment.
fn ini(value: &str) -> Option<String> {
    let is_whole = value.trim() == value
        && !value.contains(breaks_lines)
        && ![" #", " ;"].iter().any(|part| value.contains(part));
    (is_whole && !value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        process::{Command, Stdio},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::client::Secret;

    fn credentials(secret: &str) -> Credentials {
        Credentials {
            access_key_id: "ASIAEXAMPLE".to_owned(),
            secret_access_key: Secret::new(secret),
            session_token: Secret::new("IQoJ/+=="),
            expiration: "2026-11-24T20:00:00Z".to_owned(),
            account_id: Some("111122223333".to_owned()),
            role_arn: None,
            assumed_role_arn: Some("arn:aws:sts::111122223333:assumed-role/R/ada".to_owned()),
            assumed_role_id: Some("AROAEXAMPLE:ada".to_owned()),
            region: Some("eu-west-1".to_owned()),
        }
    }

    #[test]
    fn formats_are_those_of_aws() {
        let kept = credentials("wJalr/+=");
        let written = |format| write(format, &kept, None, "prod-r").unwrap();
        assert_eq!(
            written(Format::Env),
            "export AWS_ACCESS_KEY_ID=ASIAEXAMPLE\n\
             export AWS_SECRET_ACCESS_KEY=wJalr/+=\n\
             export AWS_SESSION_TOKEN=IQoJ/+==\n\
             export AWS_CREDENTIAL_EXPIRATION=2026-11-24T20:00:00Z\n\
             export AWS_REGION=eu-west-1\n\
             export AWS_DEFAULT_REGION=eu-west-1\n"
        );
        assert!(written(Format::EnvNoExport).starts_with("AWS_ACCESS_KEY_ID=ASIAEXAMPLE\n"));
        assert!(written(Format::Fish).starts_with("set -gx AWS_ACCESS_KEY_ID 'ASIAEXAMPLE'\n"));
        assert!(
            written(Format::PowerShell).starts_with("$Env:AWS_ACCESS_KEY_ID = 'ASIAEXAMPLE'\n")
        );
        assert!(written(Format::WindowsCmd).starts_with("set AWS_ACCESS_KEY_ID=ASIAEXAMPLE\n"));
        assert_eq!(
            written(Format::Ini),
            "[prod-r]\naws_access_key_id = ASIAEXAMPLE\naws_secret_access_key = wJalr/+=\n\
             aws_session_token = IQoJ/+==\nregion = eu-west-1\n"
        );
        let process: serde_json::Value = serde_json::from_str(&written(Format::Process)).unwrap();
        assert_eq!(
            (&process["Version"], &process["AccountId"]),
            (&1.into(), &"111122223333".into())
        );
        let json: serde_json::Value = serde_json::from_str(&written(Format::Json)).unwrap();
        assert_eq!(json["Credentials"]["SessionToken"], "IQoJ/+==");
        assert_eq!(json["AssumedRoleUser"]["AssumedRoleId"], "AROAEXAMPLE:ada");
    }

    #[test]
    fn the_region_that_was_asked_for_goes_first() {
        let text = write(Format::Env, &credentials("x"), Some("us-east-1"), "").unwrap();
        assert!(text.contains("AWS_REGION=us-east-1\n"), "{text}");
    }

    #[test]
    fn shells_forget_what_they_were_given() {
        for (format, line) in [
            (Format::Env, "unset AWS_SESSION_TOKEN\n"),
            (Format::Fish, "set -e AWS_SESSION_TOKEN\n"),
            (
                Format::PowerShell,
                "Remove-Item -ErrorAction SilentlyContinue Env:AWS_SESSION_TOKEN\n",
            ),
            (Format::WindowsCmd, "set AWS_SESSION_TOKEN=\n"),
        ] {
            assert!(unset(format).unwrap().contains(line), "{format:?}");
        }
        assert!(unset(Format::Json).is_err());
    }

    /// What `shell` prints when it was given `script` on its standard input.
    fn run(shell: &str, script: &str) -> Vec<u8> {
        let mut child = Command::new(shell)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(script.as_bytes())
            .unwrap();
        child.wait_with_output().unwrap().stdout
    }

    const HOSTILE: [&str; 14] = [
        "'; touch /tmp/rolegate-was-here; '",
        "$(touch /tmp/rolegate-was-here)",
        "`touch /tmp/rolegate-was-here`",
        "\"; exit 7; \"",
        "\\",
        "\\'",
        "''",
        "a\nexit 7\n",
        "%PATH%",
        "!1",
        "=ls",
        "~root",
        "*",
        "ünï ‘quoted’",
    ];

    fn survives(shell: &str, line: fn(&str) -> Option<String>, values: &[String]) {
        let mut script = String::new();
        for value in values {
            let word = line(value).unwrap();
            writeln!(
                script,
                "X={word}\nexport Y={word}\nprintf '%s\\0%s\\0' \"$X\" \"$Y\""
            )
            .unwrap();
        }
        let expected: Vec<u8> = values
            .iter()
            .flat_map(|value| format!("{value}\0{value}\0").into_bytes())
            .collect();
        let printed = run(shell, &script);
        assert_eq!(
            String::from_utf8_lossy(&printed),
            String::from_utf8_lossy(&expected),
            "{shell}"
        );
    }

    #[test]
    fn hostile_values_survive_posix_shells() {
        let values: Vec<String> = HOSTILE.map(str::to_owned).to_vec();
        for shell in ["bash", "dash"] {
            survives(shell, posix, &values);
        }
    }

    /// A literal string as PowerShell's tokenizer reads it: a quote of any kind ends it, unless one
    /// of any kind follows, which then stands for itself.
    fn read_powershell(text: &str) -> Option<String> {
        let is_quote = |character: char| matches!(character, '\'' | '\u{2018}'..='\u{201b}');
        let mut characters = text.chars().peekable();
        characters.next().filter(|first| is_quote(*first))?;
        let mut value = String::new();
        while let Some(character) = characters.next() {
            if is_quote(character) {
                match characters.next() {
                    Some(next) if is_quote(next) => value.push(next),
                    Some(_) => return None,
                    None => return Some(value),
                }
            } else {
                value.push(character);
            }
        }
        None
    }

    /// A single-quoted string as fish reads it: `\\` and `\'` are the only escapes.
    fn read_fish(text: &str) -> Option<String> {
        let mut characters = text.strip_prefix('\'')?.chars();
        let mut value = String::new();
        while let Some(character) = characters.next() {
            match character {
                '\'' => return characters.next().is_none().then_some(value),
                '\\' => match characters.next()? {
                    escaped @ ('\\' | '\'') => value.push(escaped),
                    other => value.extend(['\\', other]),
                },
                other => value.push(other),
            }
        }
        None
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_value_survives_fish(value in "[^\0]*|['\\\\ ]{0,9}") {
            prop_assert_eq!(read_fish(&fish(&value).unwrap()), Some(value));
        }

        #[test]
        fn any_value_survives_powershell_or_is_refused(value in "\\PC*|['‘’‚‛\"`$]{0,9}") {
            match powershell(&value) {
                Some(text) => prop_assert_eq!(read_powershell(&text), Some(value)),
                None => prop_assert!(value.contains(breaks_lines)),
            }
        }

        #[test]
        fn cmd_is_given_only_what_it_takes_literally(value in "\\PC*|[A-Za-z0-9+/=%!^&|<>\"\n]{0,9}") {
            let hostile = |c: char| "%!^&|<>()\"'`\n\r\t ;".contains(c) || !c.is_ascii();
            if let Some(text) = cmd(&value) {
                prop_assert!(!text.contains(hostile) && text == value);
            }
        }

        #[test]
        fn a_value_of_a_section_is_one_line(value in "(?s).*") {
            if let Some(text) = ini(&value) {
                prop_assert_eq!(text.lines().count(), 1);
                prop_assert_eq!(text.trim(), value.as_str());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn any_value_survives_bash_and_dash(
            values in prop::collection::vec("[^\0]{0,12}|[ '\"\\\\$`\n!#~*=&|;(){}]{0,9}", 1..40)
        ) {
            for shell in ["bash", "dash"] {
                survives(shell, posix, &values);
            }
        }
    }
}
