//! How fast responses are validated, side by side with others in one run: `make bench`.
//!
//! Everybody validates the same response (an assertion signed with RSA-2048 and SHA-256 over
//! exclusive canonicalization) from the form field to the attributes, alone on the same core, in
//! turns. What is compared are ratios of medians; a machine that is busy meanwhile slows all of
//! them. What each figure is: `docs/benchmarks.md`.
//!
//! A peer that is not there is named with the reason, and the run goes on without it.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that cannot go on panics"
)]

mod bounds;
mod case;
mod contestant;
#[path = "../rolegate/report.rs"]
#[allow(dead_code, reason = "the other benchmark uses what is not used here")]
mod report;

use case::{Files, Signer};
use contestant::Contestant;
use report::{judged, median, told};
use rolegate::clock::{Clock as _, SystemClock};

const ROUNDS: usize = 3;
/// Groups in the response that everybody is compared on; about 4 KB.
const FEW_GROUPS: usize = 3;
/// Groups in the responses that show how the effort grows.
const SIZES: [usize; 4] = [FEW_GROUPS, 30, 300, 1_000];
/// For how long a contestant goes on in one turn.
const SECONDS: f64 = 1.5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, file] = arguments.as_slice()
        && word == contestant::SAMAEL
    {
        return contestant::samael_alone(file);
    }
    let dir = tempfile::tempdir().unwrap();
    let signer = Signer::new();
    let files = signer.case(dir.path(), FEW_GROUPS, SECONDS, SystemClock.now());
    told("Response", &format!("{} bytes of XML", files.size));
    compare(&files);
    grow(|groups| signer.case(dir.path(), groups, SECONDS / 3.0, SystemClock.now()));
    bounds::measure(&signer, SystemClock.now());
    report::markdown();
}

/// Validations per second and their ratios.
fn compare(files: &Files) {
    let mut rates: Vec<Result<Vec<f64>, String>> = vec![Ok(Vec::new()); Contestant::ALL.len()];
    for _ in 0..ROUNDS {
        for (contestant, rates) in Contestant::ALL.into_iter().zip(&mut rates) {
            // Who cannot do it once is not asked again.
            if let Ok(found) = rates {
                match contestant.run(files) {
                    Ok(rate) => found.push(rate),
                    Err(error) => *rates = Err(error),
                }
            }
        }
    }
    let medians: Vec<Option<f64>> = Contestant::ALL
        .into_iter()
        .zip(rates)
        .map(|(contestant, rates)| match rates {
            Ok(rates) => {
                let middle = median(&rates);
                let each: Vec<String> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
                let value = format!("{middle:.0}/s ({})", each.join(", "));
                told(contestant.name(), &value);
                Some(middle)
            }
            Err(error) => {
                judged(contestant.name(), "MISSING", "", false);
                println!("    {error}");
                None
            }
        })
        .collect();
    ratios(|contestant| {
        let index = Contestant::ALL.iter().position(|&one| one == contestant);
        medians[index.unwrap()]
    });
}

fn ratios(rate_of: impl Fn(Contestant) -> Option<f64>) {
    let Some(ours) = rate_of(Contestant::Rolegate) else {
        return;
    };
    let goals = [
        (Contestant::BareRsa, Some(0.07)),
        (Contestant::Samael, Some(1.0 / 1.3)),
        (Contestant::Python3Saml, Some(10.0)),
        (Contestant::Lasso, Some(6.0)),
        (Contestant::NodeSaml, None),
        (Contestant::Pysaml2, None),
    ];
    for (contestant, goal) in goals {
        let name = format!("rolegate / {}", contestant.name());
        let Some(theirs) = rate_of(contestant) else {
            judged(&name, "MISSING", "", false);
            continue;
        };
        let ratio = ours / theirs;
        let value = format!("{ratio:.3}");
        match goal {
            Some(goal) => judged(&name, &value, &format!("≥ {goal:.2}"), ratio >= goal),
            None => told(&name, &value),
        }
    }
}

/// What one more group costs, among few and among many.
fn grow(case: impl Fn(usize) -> Files) {
    for contestant in [Contestant::Rolegate, Contestant::Samael] {
        match times(contestant, &case) {
            Ok(times) => slopes(contestant, &times),
            Err(error) => {
                judged(contestant.name(), "MISSING", "", false);
                println!("    {error}");
            }
        }
    }
}

/// Microseconds for one response of each size.
fn times(
    contestant: Contestant,
    case: impl Fn(usize) -> Files,
) -> Result<[f64; SIZES.len()], String> {
    let mut times = [const { Vec::new() }; SIZES.len()];
    for _ in 0..ROUNDS {
        for (groups, times) in SIZES.into_iter().zip(&mut times) {
            let rate = contestant
                .run(&case(groups))
                .map_err(|error| format!("with {groups} groups: {error}"))?;
            times.push(1e6 / rate);
        }
    }
    Ok(times.map(|times| median(&times)))
}

#[expect(clippy::cast_precision_loss, reason = "a thousand groups")]
fn slopes(contestant: Contestant, microseconds: &[f64; SIZES.len()]) {
    for (groups, time) in SIZES.into_iter().zip(microseconds) {
        let name = format!("{}, {groups} groups", contestant.name());
        told(&name, &format!("{time:.0} µs"));
    }
    let slope = |from: usize, to: usize| {
        (microseconds[to] - microseconds[from]) / (SIZES[to] - SIZES[from]) as f64
    };
    let (few, many) = (slope(0, 2), slope(2, 3));
    let name = format!("{}, one more group", contestant.name());
    let value = format!("{few:.2} µs up to 300, {many:.2} µs up to 1000");
    // Linear, with room for caches that no longer hold everything.
    match contestant {
        Contestant::Rolegate => judged(&name, &value, "≤ 1.5 ×", many <= 1.5 * few),
        _ => told(&name, &value),
    }
}
