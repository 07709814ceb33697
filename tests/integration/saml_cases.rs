//! Every class of good and hostile SAML response, for several seeds: through the function that
//! verifies, and through the program as an operator runs it, under limits of memory and CPU.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpStream,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use openssl::x509::X509;
use rolegate::identity::saml::{
    refusal::Reason,
    verify::{Expectations, Solicited, Trust, verify},
};
use time::format_description::well_known::Rfc3339;

use crate::support::{
    saml::{
        canary::Canary,
        cases::{self, Case, Verdict},
        keys::KeyPair,
        presets,
        provider::TestIdentityProvider,
        scene::{Context, Scene},
    },
    temporary_dir,
};

const SEEDS: [u64; 3] = [1, 20_260_731, 0xfeed_face_cafe];
/// Of the program's data, in kilobytes: 256 MB.
const MOST_MEMORY: &str = "262144";
/// Of the program, in seconds of CPU.
const MOST_CPU: &str = "1";

#[test]
fn the_verifier_judges_every_case_as_it_has_to() {
    judge_all(in_process);
}

#[test]
fn the_program_judges_every_case_within_its_limits() {
    let dir = temporary_dir("saml-cases");
    judge_all(|case| by_program(case, dir.path()));
}

#[test]
fn the_shape_of_every_well_known_provider_is_accepted() {
    let canary = Canary::start();
    for seed in SEEDS {
        let scene = scene(seed, &canary);
        for case in presets::all(&scene) {
            if let Err(fault) = judge(&case, &in_process(&case)) {
                panic!("seed {seed}: {fault}");
            }
        }
    }
    assert!(
        !canary.was_touched(),
        "an address was asked or a file opened"
    );
}

#[test]
fn every_reason_that_a_case_names_exists() {
    let known: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
    for recipe in cases::recipes() {
        for reason in recipe.reasons {
            assert!(known.contains(reason), "{}: {reason}", recipe.id);
        }
    }
}

#[test]
fn a_seed_makes_the_same_cases_again_but_for_their_keys() {
    let canary = Canary::start();
    let ids = |scene: &Scene| {
        let draft = scene.for_case("x").draft();
        (
            draft.root.id().to_owned(),
            scene.name_id.clone(),
            scene.claims.clone(),
        )
    };
    let (one, again) = (scene(7, &canary), scene(7, &canary));
    assert_eq!(ids(&one), ids(&again));
    assert_ne!(ids(&one), ids(&scene(8, &canary)));
    assert_ne!(one.provider.primary.der(), again.provider.primary.der());
}

#[test]
fn the_traps_notice_who_steps_into_them() {
    let asked = Canary::start();
    drop(TcpStream::connect(asked.url.trim_start_matches("http://")).expect("it listens"));
    asked.wait();
    assert!(asked.was_touched());
    let opened = Canary::start();
    assert!(fs::read(&opened.file).expect("a pipe").is_empty());
    opened.wait();
    assert!(opened.was_touched());
    assert!(!Canary::start().was_touched());
}

#[test]
fn the_limits_end_a_program_that_goes_beyond_them() {
    // `tail` keeps what has no line breaks in memory.
    let fat = limited("tail").arg("/dev/zero").output().expect("sh");
    assert!(!fat.status.success(), "{fat:?}");
    let slow = limited("sh")
        .args(["-c", "while :; do :; done"])
        .output()
        .expect("sh");
    assert_eq!(slow.status.code(), None, "a signal ends it: {slow:?}");
}

/// What came of a case.
#[derive(Debug)]
enum Outcome {
    Accepted {
        name_id: String,
        attributes: BTreeMap<String, Vec<String>>,
    },
    Refused {
        reason: String,
    },
    Broken(String),
}

fn scene(seed: u64, canary: &Canary) -> Scene {
    let file = canary.file.to_str().expect("a plain path");
    let context = Context::from_seed(seed, &canary.url, file);
    let entity_id = format!("https://idp-{seed}.test/saml");
    let provider = TestIdentityProvider::new(&entity_id, seed);
    let decryption = KeyPair::rsa("service provider", 1);
    Scene::new(Arc::new(provider), Arc::new(decryption), context)
}

/// Judges every case of every seed on two threads, and fails with all that went wrong.
fn judge_all(run: impl Fn(&Case) -> Outcome + Sync) {
    let canary = Canary::start();
    let mut faults = Vec::new();
    for seed in SEEDS {
        let cases = cases::all(&scene(seed, &canary));
        let run = &run;
        let halves = cases.chunks(cases.len().div_ceil(2));
        thread::scope(|scope| {
            let threads: Vec<_> = halves
                .map(|half| {
                    scope.spawn(move || {
                        let judged = half.iter().map(|case| judge(case, &run(case)));
                        judged.filter_map(Result::err).collect::<Vec<String>>()
                    })
                })
                .collect();
            for thread in threads {
                let found = thread.join().expect("a case does not panic");
                faults.extend(
                    found
                        .into_iter()
                        .map(|fault| format!("seed {seed}: {fault}")),
                );
            }
        });
    }
    let was_touched = canary.was_touched();
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    assert!(!was_touched, "an address was asked or a file opened");
}

fn judge(case: &Case, outcome: &Outcome) -> Result<(), String> {
    let id = format!("{} ({})", case.id, case.class);
    match outcome {
        Outcome::Accepted { .. } if case.expected == Verdict::Reject => {
            Err(format!("{id} was accepted: {outcome:?}"))
        }
        Outcome::Accepted { name_id, .. } if *name_id != case.name_id => Err(format!(
            "{id} was accepted for {name_id:?} instead of {:?}",
            case.name_id
        )),
        Outcome::Accepted { attributes, .. } if *attributes != case.attributes => Err(format!(
            "{id} has attributes {attributes:?} instead of {:?}",
            case.attributes
        )),
        Outcome::Refused { reason } if case.expected == Verdict::Accept => {
            Err(format!("{id} was refused: {reason}"))
        }
        Outcome::Refused { reason } => {
            let code = reason.split(':').next().unwrap_or_default();
            if case.reasons.is_empty() || case.reasons.contains(&code) {
                Ok(())
            } else {
                Err(format!(
                    "{id} was refused for {reason}, not for one of {:?}",
                    case.reasons
                ))
            }
        }
        Outcome::Broken(words) => Err(format!("{id} broke the program: {words}")),
        Outcome::Accepted { .. } => Ok(()),
    }
}

fn in_process(case: &Case) -> Outcome {
    let trust = Trust {
        entity_id: case.entity_id.clone(),
        certificates: case.certificates.clone(),
    };
    let expectations = Expectations {
        audiences: vec![case.audience.clone()],
        acs_url: case.acs_url.clone(),
        in_response_to: case
            .in_response_to
            .clone()
            .map_or(Solicited::Not, Solicited::By),
        decryption_keys: case.decryption_key.clone().into_iter().collect(),
        require_encryption: false,
        allow_cbc: false,
        clock_skew: Duration::from_mins(1),
        longest_authentication_age: None,
        authn_contexts: Vec::new(),
        allow_sha1: false,
        check_destination: true,
    };
    match verify(&case.document, &trust, &expectations, case.at) {
        Ok(verified) => Outcome::Accepted {
            name_id: verified.name_id.value,
            attributes: verified
                .attributes
                .into_iter()
                .map(|attribute| (attribute.name, attribute.values))
                .collect(),
        },
        Err(refused) => Outcome::Refused {
            reason: refused.to_string(),
        },
    }
}

/// Runs `rolegate saml verify` on a case, in a folder of its own.
fn by_program(case: &Case, dir: &Path) -> Outcome {
    let dir = tempfile::Builder::new().tempdir_in(dir).expect("a folder");
    let file = dir.path().join("response.xml");
    fs::write(&file, &case.document).expect("a file");
    let mut command = limited(env!("CARGO_BIN_EXE_rolegate"));
    command.args(["saml", "verify", "--idp-entity-id", &case.entity_id]);
    command.args(["--audience", &case.audience, "--acs", &case.acs_url]);
    command.args([
        "--at",
        &case.at.format(&Rfc3339).expect("a year of four digits"),
    ]);
    match &case.in_response_to {
        Some(id) => command.args(["--in-response-to", id]),
        None => command.arg("--allow-unsolicited"),
    };
    for (n, certificate) in case.certificates.iter().enumerate() {
        let path = dir.path().join(format!("certificate-{n}.pem"));
        let certificate = X509::from_der(certificate).expect("a certificate");
        fs::write(&path, certificate.to_pem().expect("a certificate")).expect("a file");
        command.arg("--idp-cert").arg(path);
    }
    if let Some(key) = &case.decryption_key {
        let path = dir.path().join("key.pem");
        fs::write(&path, key.private_key_to_pem_pkcs8().expect("a key")).expect("a file");
        command.arg("--dec-key").arg(path);
    }
    command.arg(&file);
    outcome(&command.stdin(Stdio::null()).output().expect("sh"))
}

/// A command under limits that the kernel keeps: data, and seconds of CPU.
fn limited(program: &str) -> Command {
    let mut command = Command::new("sh");
    let limits = "ulimit -d \"$0\" && ulimit -t \"$1\" && shift && exec \"$@\"";
    command.args(["-c", limits, MOST_MEMORY, MOST_CPU, program]);
    command
}

fn outcome(output: &Output) -> Outcome {
    let broken = || Outcome::Broken(format!("{output:?}"));
    let line = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    match output.status.code() {
        Some(0) => {
            let Some(answer) = line(&output.stdout) else {
                return broken();
            };
            let name_id = answer["name_id"].as_str().unwrap_or_default().to_owned();
            let attributes = serde_json::from_value(answer["attributes"].clone());
            attributes.map_or_else(
                |_| broken(),
                |attributes| Outcome::Accepted {
                    name_id,
                    attributes,
                },
            )
        }
        Some(1) => {
            let Some(answer) = line(&output.stderr) else {
                return broken();
            };
            match (answer["reason"].as_str(), answer["error"].as_str()) {
                (Some(reason), Some(error)) => Outcome::Refused {
                    reason: format!("{reason}: {error}"),
                },
                _ => broken(),
            }
        }
        _ => broken(),
    }
}
