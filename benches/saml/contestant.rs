//! Who is measured. Each is a program of its own on one core that ends with a number: validations
//! per second.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use samael::{
    crypto::{AllowedSignatureAlgorithm, ReduceMode},
    metadata::EntityDescriptor,
    service_provider::{ServiceProvider, ServiceProviderBuilder},
};
use time::format_description::well_known::Rfc3339;

use super::case::{Case, Files};

/// The word that makes the benchmark itself a contestant.
pub const SAMAEL: &str = "samael-alone";

/// Somebody who validates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    /// No XML at all: RSA-2048 verifications by OpenSSL.
    BareRsa,
    Rolegate,
    /// The library below Rolegate, without a gate and without rules of ours.
    Samael,
    Python3Saml,
    Pysaml2,
    NodeSaml,
    Lasso,
}

impl Contestant {
    /// In the order of their turns.
    pub const ALL: [Self; 7] = [
        Self::BareRsa,
        Self::Rolegate,
        Self::Samael,
        Self::Python3Saml,
        Self::Pysaml2,
        Self::NodeSaml,
        Self::Lasso,
    ];

    /// With the version, as it is installed.
    pub fn name(self) -> &'static str {
        match self {
            Self::BareRsa => "openssl speed, RSA-2048 verify",
            Self::Rolegate => "rolegate saml bench",
            Self::Samael => "samael 0.0.22 alone (PreDigest)",
            Self::Python3Saml => "python3-saml 1.16.0 (strict)",
            Self::Pysaml2 => "pysaml2 7.5.5 (runs xmlsec1)",
            Self::NodeSaml => "node-saml 5.1.0",
            Self::Lasso => "lasso of Debian",
        }
    }

    /// One turn.
    ///
    /// # Errors
    /// Why there is no number, in the contestant's own words.
    pub fn run(self, files: &Files) -> Result<f64, String> {
        let command = self.command(files);
        let program = format!("{} cannot be started", self.name());
        let output = on_one_core(&command)
            .output()
            .map_err(|error| format!("{program}: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.trim().lines().last().unwrap_or_default();
            return Err(format!("{}: {last}", output.status));
        }
        self.rate(&text)
            .ok_or_else(|| format!("no number in {:?}", text.trim()))
    }

    fn rate(self, text: &str) -> Option<f64> {
        match self {
            // rsa 2048 bits 0.000240s 0.000014s   4166.0  71428.0
            Self::BareRsa => {
                let mut lines = text.lines().filter(|line| line.starts_with("rsa"));
                lines.next()?.split_whitespace().last()?.parse().ok()
            }
            Self::Rolegate => {
                let said: serde_json::Value = serde_json::from_str(text).ok()?;
                said["validations_per_second"].as_f64()
            }
            _ => text.trim().parse().ok(),
        }
    }

    fn command(self, files: &Files) -> Command {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/saml");
        match self {
            Self::BareRsa => command("openssl", ["speed", "-seconds", "1", "rsa2048"]),
            Self::Rolegate => rolegate(files),
            Self::Samael => {
                let mut command = Command::new(env::current_exe().unwrap());
                command.arg(SAMAEL).arg(&files.json);
                command
            }
            Self::Python3Saml | Self::Pysaml2 => {
                let script = match self {
                    Self::Pysaml2 => "peer_pysaml2.py",
                    _ => "peer_python3_saml.py",
                };
                let mut command = Command::new(peers_dir().join("venv/bin/python"));
                command.arg(sources.join(script)).arg(&files.json);
                command
            }
            Self::NodeSaml => {
                let mut command = Command::new("node");
                command
                    .arg(sources.join("peer_node_saml.mjs"))
                    .arg(&files.json)
                    .arg(peers_dir().join("node"));
                command
            }
            Self::Lasso => {
                // Debian's package is for Debian's Python alone.
                let mut command = Command::new("/usr/bin/python3");
                command.arg(sources.join("peer_lasso.py")).arg(&files.json);
                command
            }
        }
    }
}

fn command<const N: usize>(program: &str, arguments: [&str; N]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// With the clock set to when the response was made, as `rolegate saml verify` would have it.
fn rolegate(files: &Files) -> Command {
    let case: Case = read(&files.json);
    let mut command = Command::new(env!("CARGO_BIN_EXE_rolegate"));
    command
        .args(["saml", "bench", "-n", "3000", "--output", "json"])
        .arg("--idp-metadata")
        .arg(&files.metadata)
        .args(["--audience", &case.sp_entity_id, "--acs", &case.acs_url])
        .args(["--in-response-to", &case.request_id])
        .args(["--at", &files.at.format(&Rfc3339).unwrap()])
        .arg(&files.response);
    command
}

/// Where `install_peers.sh` puts what is not a Debian package.
fn peers_dir() -> PathBuf {
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    build.join("bench-tools")
}

/// The same core for everybody, and the last one: the first has the interrupts.
fn on_one_core(command: &Command) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut pinned = Command::new("taskset");
    pinned
        .args(["--cpu-list", &(cores - 1).to_string()])
        .arg(command.get_program())
        .args(command.get_args());
    pinned
}

fn read(path: &Path) -> Case {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// What `Samael` runs: from the form field to the assertion's attributes.
pub fn samael_alone(path: &str) {
    let case = read(path.as_ref());
    let provider = service_provider(&case);
    let ids = [case.request_id.as_str()];
    let validate = || {
        let xml = String::from_utf8(BASE64.decode(&case.response).unwrap()).unwrap();
        let mode = ReduceMode::PreDigest;
        let parsed = provider.parse_xml_response_with_mode(&xml, Some(&ids), mode);
        parsed.unwrap_or_else(|error| panic!("samael refuses: {error}"))
    };
    let name_id = validate().subject.unwrap().name_id.unwrap().value;
    assert_eq!(name_id, case.name_id);
    let (mut count, started) = (0_u32, Instant::now());
    while started.elapsed().as_secs_f64() < case.seconds {
        std::hint::black_box(validate());
        count += 1;
    }
    println!("{}", f64::from(count) / started.elapsed().as_secs_f64());
}

fn service_provider(case: &Case) -> ServiceProvider {
    use AllowedSignatureAlgorithm as Algorithm;

    ServiceProviderBuilder::default()
        .entity_id(case.sp_entity_id.clone())
        .acs_url(case.acs_url.clone())
        .idp_metadata(case.idp_metadata.parse::<EntityDescriptor>().unwrap())
        .allowed_signature_algorithms(vec![
            Algorithm::RsaSha256,
            Algorithm::RsaSha384,
            Algorithm::RsaSha512,
            Algorithm::EcdsaSha256,
            Algorithm::EcdsaSha384,
            Algorithm::EcdsaSha512,
        ])
        // The response is as old as the run.
        .max_issue_delay(chrono::Duration::hours(1))
        .build()
        .unwrap()
}
