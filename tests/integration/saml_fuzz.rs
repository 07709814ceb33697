//! SAML messages broken in random ways: a short run of `make fuzz` that is always the same, and
//! everything that a long one ever found.

use std::{fs, path::Path};

#[path = "../../benches/fuzz/mutation.rs"]
mod mutation;
#[path = "../../benches/fuzz/seeds.rs"]
mod seeds;
#[path = "../../benches/fuzz/targets.rs"]
mod targets;

use mutation::Random;
use seeds::Seeds;
use targets::{Outcome, TARGETS, Target};

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/saml/corpus");

const MESSAGES: usize = 2_000;

#[test]
fn broken_messages_say_nothing_that_was_not_signed() {
    let seeds = Seeds::new();
    for target in TARGETS {
        let mut random = Random::new(1);
        let mut accepted = 0;
        for turn in 0..MESSAGES {
            let message = target.message(&mut random, &seeds);
            match target.run(&message, &seeds) {
                Outcome::Refused => {}
                Outcome::Accepted => accepted += 1,
                Outcome::Broken(why) => panic!("{}, message {turn}: {why}", target.word()),
            }
        }
        // Some changes change nothing; if all were refused, the seeds would not be worth breaking.
        assert!(accepted > 0, "{target:?} accepts nothing");
    }
}

#[test]
fn what_was_found_once_stays_refused() {
    let seeds = Seeds::new();
    let mut tried = 0;
    for entry in fs::read_dir(Path::new(CORPUS)).expect("the corpus is there") {
        let path = entry.expect("the corpus can be listed").path();
        let message = fs::read(&path).expect("the corpus can be read");
        tried += 1;
        for target in TARGETS {
            let outcome = target.run(&message, &seeds);
            let name = path.display();
            assert_eq!(outcome, Outcome::Refused, "{name} with {target:?}");
        }
    }
    assert!(tried > 0, "the corpus is empty");
    let good = seeds.responses.first().expect("there are seeds");
    assert_eq!(Target::Verify.run(good, &seeds), Outcome::Accepted);
}
