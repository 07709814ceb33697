//! `rolegate saml`: our metadata, and one response through the very code that the assertion consumer
//! service runs.
//!
//! Never here: a rule; those are in [`verify`](crate::identity::saml::verify). Only `metadata` reads
//! the configuration, so that a response can be looked at anywhere. Entry point: [`run`].

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Subcommand;
use openssl::{
    pkey::{PKey, Private},
    x509::X509,
};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use zeroize::Zeroizing;

use super::{
    Failure,
    failure::with_causes,
    installation::Installation,
    issuer,
    output::{self, Format, OutputArguments},
};
use crate::{
    app,
    clock::{self, Clock, SystemClock},
    identity::{
        Connector, Protocol,
        saml::{
            gate,
            provider_metadata::ProviderMetadata,
            refusal::{Reason, Refused},
            verify::{Expectations, Solicited, Trust, Verified, decode, verify},
        },
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the metadata to hand to a connector's identity provider, or to IAM
    Metadata(MetadataArguments),
    /// Verify one response: 0 accepted, 1 refused
    Verify(VerifyArguments),
    /// Verify one response again and again, and say how many a second
    Bench(BenchArguments),
}

#[derive(Debug, clap::Args)]
pub(super) struct MetadataArguments {
    /// The connector's id; without one, Rolegate's own metadata as an identity provider, for IAM
    connector: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct VerifyArguments {
    /// The provider's metadata, instead of --idp-cert; --idp-entity-id then chooses one of several
    #[arg(long, value_name = "FILE", conflicts_with = "idp_cert")]
    idp_metadata: Option<PathBuf>,
    /// A signing certificate of the provider, in PEM; can be given several times
    #[arg(long, value_name = "FILE", required_unless_present = "idp_metadata")]
    idp_cert: Vec<PathBuf>,
    /// The provider's entity id
    #[arg(long, value_name = "ID", required_unless_present = "idp_metadata")]
    idp_entity_id: Option<String>,
    /// The audience that has to be named; any of several
    #[arg(long, required = true)]
    audience: Vec<String>,
    /// The address of the assertion consumer service
    #[arg(long, value_name = "URL")]
    acs: String,
    /// The time of the verification, such as 2030-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<OffsetDateTime>,
    /// The id of the request that it answers
    #[arg(long, value_name = "ID", conflicts_with = "allow_unsolicited")]
    in_response_to: Option<String>,
    /// Take a response that answers no request
    #[arg(long)]
    allow_unsolicited: bool,
    /// By how much the provider's clock may differ
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    clock_skew: Duration,
    /// A private key that opens encrypted assertions, in PEM; can be given several times
    #[arg(long, value_name = "FILE")]
    dec_key: Vec<PathBuf>,
    /// Take SHA-1, for test corpora alone
    #[arg(long)]
    allow_sha1: bool,
    /// Do not look at Destination, for test corpora alone
    #[arg(long)]
    skip_destination: bool,
    /// The response, as XML or base64
    file: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct BenchArguments {
    #[command(flatten)]
    case: VerifyArguments,
    /// How often [default: as often as --seconds have room for]
    #[arg(short = 'n', long, value_name = "NUMBER", conflicts_with = "seconds")]
    number: Option<u32>,
    /// For how long
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    #[command(flatten)]
    output: OutputArguments,
}

fn moment(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "a time such as 2030-01-31T12:00:00Z would be right".to_owned())
}

/// What an accepted response says.
#[derive(Serialize)]
struct Accepted<'a> {
    name_id: &'a str,
    attributes: BTreeMap<&'a str, &'a [String]>,
}

/// Why a response is refused.
#[derive(Serialize)]
struct Told<'a> {
    error: &'a str,
    reason: &'static str,
}

/// What was measured.
#[derive(Serialize)]
struct Speed {
    validations: u32,
    seconds: f64,
    validations_per_second: f64,
}

/// Runs `rolegate saml …`.
pub(super) fn run(file: Option<&Path>, command: &Command) -> Result<(), Failure> {
    let arguments = match command {
        Command::Metadata(arguments) => return metadata(file, arguments.connector.as_deref()),
        Command::Verify(arguments) => arguments,
        Command::Bench(arguments) => &arguments.case,
    };
    let case = Case::read(arguments)?;
    let verified = match case.verify() {
        Ok(verified) => verified,
        Err(refused) => return Err(tell(&refused)),
    };
    let out = &mut io::stdout().lock();
    if let Command::Bench(arguments) = command {
        return show(out, &measure(&case, arguments), arguments.output.output);
    }
    let attributes = verified.attributes.iter();
    let accepted = Accepted {
        name_id: &verified.name_id.value,
        attributes: attributes
            .map(|attribute| (attribute.name.as_str(), attribute.values.as_slice()))
            .collect(),
    };
    output::json_line(out, &accepted)
}

/// Prints our metadata for a connector, or as an identity provider. What the provider publishes at an
/// address is not asked for.
fn metadata(file: Option<&Path>, wanted: Option<&str>) -> Result<(), Failure> {
    let installation = Installation::load(file)?;
    if wanted.is_none() && installation.config.issuer.is_some() {
        return issuer::saml_metadata(&installation, &mut io::stdout().lock());
    }
    let connectors = app::connectors(&installation.config, &clock::system())
        .map_err(|error| Failure::Refused(with_causes(&error)))?;
    let providers: Vec<_> = (connectors.iter())
        .filter_map(|connector| match connector {
            Connector::Redirect(provider) if provider.protocol() == Protocol::Saml => {
                Some(provider)
            }
            Connector::Redirect(_) | Connector::Password(_) => None,
        })
        .collect();
    let known = if providers.is_empty() {
        "none is configured".to_owned()
    } else {
        let ids: Vec<&str> = providers.iter().map(|one| one.id().as_str()).collect();
        format!("there are: {}", ids.join(", "))
    };
    let Some(wanted) = wanted else {
        return Err(Failure::Usage(format!(
            "there is no [issuer] in {}, so Rolegate is no identity provider itself; name a \
             connector of type saml, {known}",
            installation.file.display()
        )));
    };
    let provider = (providers.iter())
        .find(|provider| provider.id().as_str() == wanted)
        .ok_or_else(|| {
            Failure::Usage(format!("no connector `{wanted}` is of type saml; {known}"))
        })?;
    let document = (provider.metadata()).map_err(|error| Failure::Refused(with_causes(&error)))?;
    Ok(io::stdout().lock().write_all(document.as_bytes())?)
}

/// One line on standard error; only the exit code is left.
fn tell(refused: &Refused) -> Failure {
    let told = Told {
        error: &refused.detail,
        reason: refused.reason.code(),
    };
    let mut line = serde_json::to_string(&told).unwrap_or_else(|_| told.reason.to_owned());
    line.push('\n');
    // Where nobody listens, the exit code still tells.
    let _ = io::stderr().write_all(line.as_bytes());
    Failure::Told(1)
}

/// A response with everything that decides about it.
struct Case {
    message: Vec<u8>,
    trust: Trust,
    expected: Expectations,
    takes_unsolicited: bool,
    now: OffsetDateTime,
}

impl Case {
    fn read(arguments: &VerifyArguments) -> Result<Self, Failure> {
        let trust = match &arguments.idp_metadata {
            Some(path) => trust_of(path, arguments.idp_entity_id.as_deref())?,
            None => Trust {
                entity_id: arguments.idp_entity_id.clone().unwrap_or_default(),
                certificates: certificates(&arguments.idp_cert)?,
            },
        };
        let decryption_keys = arguments.dec_key.iter().map(|path| private_key(path));
        Ok(Self {
            trust,
            expected: Expectations {
                audiences: arguments.audience.clone(),
                acs_url: arguments.acs.clone(),
                in_response_to: match &arguments.in_response_to {
                    Some(id) => Solicited::By(id.clone()),
                    None => Solicited::Not,
                },
                decryption_keys: decryption_keys.collect::<Result<_, _>>()?,
                require_encryption: false,
                allow_cbc: false,
                clock_skew: arguments.clock_skew,
                longest_authentication_age: None,
                authn_contexts: Vec::new(),
                allow_sha1: arguments.allow_sha1,
                check_destination: !arguments.skip_destination,
            },
            takes_unsolicited: arguments.allow_unsolicited || arguments.in_response_to.is_some(),
            now: arguments.at.unwrap_or_else(|| SystemClock.now()),
            message: read_message(&arguments.file)?,
        })
    }

    fn verify(&self) -> Result<Verified, Refused> {
        let decoded;
        let message = if is_base64(&self.message) {
            decoded = decode(&String::from_utf8_lossy(&self.message))?;
            &decoded
        } else {
            &self.message
        };
        let verified = verify(message, &self.trust, &self.expected, self.now)?;
        if self.takes_unsolicited {
            Ok(verified)
        } else {
            Err(Refused::new(
                Reason::Unsolicited,
                "it answers no request, and --allow-unsolicited is not given",
            ))
        }
    }
}

/// Validations on this thread alone, after a tenth of them to warm up.
fn measure(case: &Case, arguments: &BenchArguments) -> Speed {
    let limit = arguments.number.unwrap_or(u32::MAX);
    let time = match arguments.number {
        Some(_) => Duration::MAX,
        None => Duration::from_secs(arguments.seconds),
    };
    let round = |limit: u32, time: Duration| {
        let began = Instant::now();
        let mut validations = 0;
        while validations < limit && began.elapsed() < time {
            // It was accepted before and the clock stands still, so it is accepted again.
            drop(std::hint::black_box(case.verify()));
            validations += 1;
        }
        (validations, began.elapsed().as_secs_f64())
    };
    round((limit / 10).max(1), time / 10);
    let (validations, seconds) = round(limit, time);
    Speed {
        validations,
        seconds,
        validations_per_second: f64::from(validations) / seconds,
    }
}

fn show(out: &mut dyn Write, speed: &Speed, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => output::json_line(out, speed),
        Format::Text => Ok(writeln!(
            out,
            "{:.0} validations per second ({} in {:.2} s, one thread)",
            speed.validations_per_second, speed.validations, speed.seconds
        )?),
    }
}

/// Whether a file holds base64 rather than XML.
fn is_base64(message: &[u8]) -> bool {
    let is_of_the_alphabet = |byte: &u8| {
        byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=-_".contains(byte)
    };
    !message.is_empty() && message.iter().all(is_of_the_alphabet)
}

/// Not more of a file than can be told to be too large, in either form.
fn read_message(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut message = Vec::new();
    File::open(path)
        .and_then(|file| {
            file.take(2 * gate::LARGEST as u64)
                .read_to_end(&mut message)
        })
        .map_err(|error| unreadable(path, &error))?;
    Ok(message)
}

fn unreadable(path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::Usage(format!("{} cannot be read: {why}", path.display()))
}

fn certificates(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, Failure> {
    let mut certificates = Vec::new();
    for path in paths {
        let pem = fs::read(path).map_err(|error| unreadable(path, &error))?;
        let stack = (X509::stack_from_pem(&pem).ok())
            .filter(|stack| !stack.is_empty())
            .ok_or_else(|| unreadable(path, &"it holds no certificate in PEM"))?;
        for certificate in stack {
            let der = certificate.to_der();
            certificates.push(der.map_err(|error| unreadable(path, &error))?);
        }
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PKey<Private>, Failure> {
    let pem = Zeroizing::new(fs::read(path).map_err(|error| unreadable(path, &error))?);
    // An empty passphrase keeps OpenSSL from asking the terminal for one.
    PKey::private_key_from_pem_passphrase(&pem, b"")
        .map_err(|_| unreadable(path, &"it holds no private key in PEM without a passphrase"))
}

/// Whom the metadata tells to trust, as the server reads it.
fn trust_of(path: &Path, entity_id: Option<&str>) -> Result<Trust, Failure> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let metadata = ProviderMetadata::parse(&text, entity_id)
        .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    Ok(Trust {
        entity_id: metadata.entity_id,
        certificates: metadata.certificates,
    })
}
