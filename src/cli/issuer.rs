//! `rolegate issuer`: keys for Rolegate as an identity provider, and what is published of them.
//!
//! Never here: what a key is good for; that is in [`crate::aws::issuer`]. `init` alone writes, new
//! files, and reads no configuration. Entry point: [`run`].

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use secrecy::SecretString;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::{
    Failure,
    failure::with_causes,
    installation::Installation,
    output::{self, Format, OutputArguments, Table},
};
use crate::{
    app,
    aws::{
        Issuer,
        issuer::keys::{KeyState, Purpose, new_oidc_key, new_saml_key},
    },
    clock::{self, Clock, SystemClock},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make keys: RSA with a certificate for assertions, P-256 for tokens
    Init(InitArguments),
    /// List the keys in the configuration: which signs, by what name, for how long
    Show(OutputArguments),
    /// Print the OpenID Connect discovery document
    Discovery,
    /// Print the public keys that verify tokens, as a JWK Set
    Jwks,
}

#[derive(Debug, clap::Args)]
pub(super) struct InitArguments {
    /// The folder for the files
    #[arg(long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// What the names of the files begin with; another one for the keys that follow
    #[arg(long, value_name = "NAME", default_value = "issuer", value_parser = plain_name)]
    name: String,
    /// How many days the certificate is good for
    #[arg(long, value_name = "DAYS", default_value_t = 3650,
          value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: u32,
    /// Encrypt the private keys with what this file holds
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

fn plain_name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && !text.starts_with('.') && text.chars().all(is_plain) {
        Ok(text.to_owned())
    } else {
        Err("expected letters, digits, - _ and .".to_owned())
    }
}

pub(super) fn run(file: Option<&Path>, command: &Command) -> Result<(), Failure> {
    let out = &mut io::stdout().lock();
    match command {
        Command::Init(arguments) => init(arguments, out),
        Command::Show(arguments) => show(&configured(file)?, arguments.output, out),
        Command::Discovery => print(configured(file)?.discovery(), "oidc_keys", out),
        Command::Jwks => print(configured(file)?.jwks(), "oidc_keys", out),
    }
}

/// Rolegate's metadata as an identity provider.
pub(super) fn saml_metadata(
    installation: &Installation,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    print(issuer_of(installation)?.saml_metadata(), "saml_keys", out)
}

fn configured(file: Option<&Path>) -> Result<Issuer, Failure> {
    issuer_of(&Installation::load(file)?)
}

fn issuer_of(installation: &Installation) -> Result<Issuer, Failure> {
    let issuer = app::issuer::issuer(&installation.config, &clock::system());
    let issuer = issuer.map_err(|error| Failure::Refused(with_causes(&error)))?;
    issuer.ok_or_else(|| {
        Failure::Usage(format!(
            "there is no [issuer] in {}; `rolegate issuer init` makes its keys and prints the lines",
            installation.file.display()
        ))
    })
}

fn print(document: Option<String>, key: &str, out: &mut dyn Write) -> Result<(), Failure> {
    let document = document.ok_or_else(|| {
        Failure::Usage(format!(
            "[issuer] has no {key}; `rolegate issuer init` makes them and prints the lines"
        ))
    })?;
    out.write_all(document.as_bytes())?;
    if !document.ends_with('\n') {
        writeln!(out)?;
    }
    Ok(())
}

/// Makes all files or none.
fn init(arguments: &InitArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
    let passphrase = arguments.passphrase_file.as_deref().map(passphrase);
    let passphrase = passphrase.transpose()?;
    let directory = fs::canonicalize(&arguments.directory).map_err(|error| {
        let folder = arguments.directory.display();
        Failure::Refused(format!(
            "{folder} cannot be used ({error}); create it first"
        ))
    })?;
    let path = |end: &str| directory.join(format!("{}-{end}", arguments.name));
    let [saml_key, saml_certificate, oidc_key] = ["saml.key", "saml.crt", "oidc.key"].map(path);
    for path in [&saml_key, &saml_certificate, &oidc_key] {
        if path.symlink_metadata().is_ok() {
            return Err(is_there_already(path));
        }
    }
    let now = SystemClock.now();
    let saml = new_saml_key(passphrase.as_ref(), now, arguments.days);
    let saml = saml.map_err(|error| refused(&error))?;
    let oidc = new_oidc_key(passphrase.as_ref()).map_err(|error| refused(&error))?;
    let files: [(&Path, &[u8]); 3] = [
        (&saml_key, &saml.key_pem),
        (
            &saml_certificate,
            saml.certificate_pem.as_deref().unwrap_or_default(),
        ),
        (&oidc_key, &oidc.key_pem),
    ];
    for (made, (path, contents)) in files.iter().enumerate() {
        if let Err(failure) = write_new(path, contents) {
            for (path, _) in files.iter().take(made) {
                // What cannot be removed is named by the next attempt.
                let _ = fs::remove_file(path);
            }
            return Err(failure);
        }
    }
    let beside = match &arguments.passphrase_file {
        Some(file) => {
            let file = fs::canonicalize(file).unwrap_or_else(|_| file.clone());
            format!(", passphrase_file = {}", toml(&file))
        }
        None => String::new(),
    };
    writeln!(out, "[issuer]")?;
    writeln!(
        out,
        "saml_keys = [{{ key_file = {}, certificate_file = {}{beside} }}]",
        toml(&saml_key),
        toml(&saml_certificate)
    )?;
    Ok(writeln!(
        out,
        "oidc_keys = [{{ key_file = {}{beside} }}]",
        toml(&oidc_key)
    )?)
}

fn toml(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

fn is_there_already(path: &Path) -> Failure {
    Failure::Refused(format!(
        "{} is there already, and a key is never overwritten; give --name or another --directory",
        path.display()
    ))
}

fn write_new(path: &Path, contents: &[u8]) -> Result<(), Failure> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(contents)?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => is_there_already(path),
        _ => Failure::Refused(format!("{} cannot be written: {error}", path.display())),
    })
}

fn passphrase(path: &Path) -> Result<SecretString, Failure> {
    let shown = path.display();
    let text = fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(|error| Failure::Usage(format!("{shown} cannot be read: {error}")))?;
    let passphrase = text.strip_suffix('\n').unwrap_or(&text);
    let passphrase = passphrase.strip_suffix('\r').unwrap_or(passphrase);
    if passphrase.trim().is_empty() {
        let message = format!("{shown} is empty; it should hold the passphrase");
        return Err(Failure::Usage(message));
    }
    Ok(passphrase.into())
}

/// A key as it is listed.
#[derive(Serialize)]
struct Listed {
    purpose: &'static str,
    signs: bool,
    algorithm: &'static str,
    thumbprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    days_left: Option<i64>,
}

fn show(issuer: &Issuer, format: Format, out: &mut dyn Write) -> Result<(), Failure> {
    let now = SystemClock.now();
    let keys = issuer.keys();
    let keys = keys.map_err(|error| Failure::Refused(with_causes(&error)))?;
    let listed = keys.iter().map(|key: &KeyState| Listed {
        purpose: match key.purpose {
            Purpose::Saml => "saml",
            Purpose::Oidc => "oidc",
        },
        signs: key.signs,
        algorithm: key.algorithm.as_str(),
        thumbprint: key.thumbprint.clone(),
        ends_at: key.ends_at.and_then(|end| end.format(&Rfc3339).ok()),
        days_left: key.days_left(now),
    });
    let listed: Vec<Listed> = listed.collect();
    if format == Format::Json {
        return output::json_array(out, &listed);
    }
    let mut table = Table::new(&["FOR", "USE", "ALGORITHM", "DAYS LEFT", "THUMBPRINT"]);
    for key in listed {
        let role = if key.signs { "signs" } else { "published" };
        let left = key
            .days_left
            .map_or_else(|| "-".to_owned(), |days| days.to_string());
        table.push([
            key.purpose.to_owned(),
            role.to_owned(),
            key.algorithm.to_owned(),
            left,
            key.thumbprint,
        ]);
    }
    Ok(table.write(out)?)
}
