//! Breaks good SAML messages in random ways, and looks whether any of them is read wrongly:
//! `make fuzz`, or `cargo bench --bench fuzz -- --seconds 60 --seed 1`.
//!
//! What a part must hold whatever it is given is in `targets.rs`. A message that breaks it is
//! written to `tests/fixtures/saml/corpus`, where a test tries it again for ever. Keys are fresh in
//! each run, so that a seed brings back the changes and not the signatures.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that cannot go on panics"
)]

mod mutation;
mod seeds;
mod targets;

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use mutation::Random;
use seeds::Seeds;
use targets::{Outcome, TARGETS, Target};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/saml/corpus");

/// How many messages a target gets before it is the next one's turn.
const TURN: usize = 100;

/// What became of a target's messages.
#[derive(Default)]
struct Tally {
    messages: u64,
    accepted: u64,
    broken: u64,
    slowest: Duration,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        let value = arguments.get(at + 1).and_then(|value| value.parse().ok());
        Some(value.unwrap_or_else(|| panic!("{name} takes a number")))
    };
    let seconds: u64 = number("--seconds").unwrap_or(60);
    // Any number that differs from run to run will do.
    let seed: u64 = number("--seed").unwrap_or_else(|| RandomState::new().hash_one(0));
    println!("{seconds} s with --seed {seed}");
    let seeds = Seeds::new();
    let mut random = Random::new(seed);
    let mut tallies: [Tally; TARGETS.len()] = Default::default();
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        for (target, tally) in TARGETS.iter().zip(&mut tallies) {
            for _ in 0..TURN {
                throw(*target, &mut random, &seeds, tally);
            }
        }
    }
    for (target, tally) in TARGETS.iter().zip(&tallies) {
        println!(
            "{:<9} {:>12} messages, {:>9} accepted as they may be, {} broken; slowest {:?}",
            target.word(),
            tally.messages,
            tally.accepted,
            tally.broken,
            tally.slowest
        );
    }
    if tallies.iter().any(|tally| tally.broken > 0) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn throw(target: Target, random: &mut Random, seeds: &Seeds, tally: &mut Tally) {
    let message = target.message(random, seeds);
    let start = Instant::now();
    let outcome = target.run(&message, seeds);
    tally.slowest = tally.slowest.max(start.elapsed());
    tally.messages += 1;
    match outcome {
        Outcome::Accepted => tally.accepted += 1,
        Outcome::Refused => {}
        Outcome::Broken(why) => {
            tally.broken += 1;
            let name = format!("{}-{:016x}", target.word(), hash(&message));
            println!("{name}: {why}");
            fs::write(Path::new(CORPUS).join(name), &message).expect("the corpus can be written");
        }
    }
}

/// FNV-1a: a name for a message.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    })
}
