//! Throughput and scale, measured side by side in one run: `make bench`.
//!
//! What each figure is and what limits it: `docs/benchmarks.md`. The program is measured as it is
//! shipped, in a process of its own; what it is compared with runs on the same cores in the same
//! minutes, in turns. A word after `--` limits the run to `issuer`, `preview`, `sign-in`,
//! `audit`, `picker`, `helpdesk`, `console` or `api`.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that cannot go on panics"
)]

mod api;
mod audit;
mod console;
mod crowd;
mod helpdesk;
mod http;
mod mint;
mod picker;
mod preview;
mod report;
mod server;
mod sign_in;
mod stand_ins;
#[path = "../../tests/support/mod.rs"]
#[allow(unused_imports, reason = "the tests use what is not used here")]
mod support;
mod table;

use std::{fs, io::Write as _, time::Instant};

use report::{median, milliseconds, percentile, told};
use stand_ins::StandIns;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, file, address] = arguments.as_slice()
        && word == server::CONSTANT
    {
        return server::constant(file, address).await;
    }
    // `cargo bench` adds `--bench`.
    let only = arguments.iter().find(|word| !word.starts_with("--"));
    let is_wanted = |part: &str| only.is_none_or(|only| only == part);
    let started = Instant::now();
    machine();
    if is_wanted("issuer") {
        mint::measure().await;
    }
    if is_wanted("preview") {
        preview::measure().await;
    }
    if is_wanted("sign-in") {
        sign_in::measure().await;
    }
    if is_wanted("audit") {
        audit::measure().await;
    }
    if ["picker", "helpdesk", "console", "api"]
        .into_iter()
        .any(is_wanted)
    {
        let stand_ins = StandIns::start().await;
        if is_wanted("picker") {
            picker::measure(&stand_ins).await;
        }
        if is_wanted("helpdesk") {
            helpdesk::measure(&stand_ins).await;
        }
        if is_wanted("console") {
            console::measure(&stand_ins).await;
        }
        if is_wanted("api") {
            api::measure(&stand_ins).await;
        }
    }
    told("Load at the end", &load());
    told(
        "The whole run",
        &format!("{:.0} s", started.elapsed().as_secs_f64()),
    );
    report::markdown();
}

/// What the figures depend on beside the program.
fn machine() {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    told("Cores", &cores.to_string());
    told("Load at the start (1, 5, 15 minutes)", &load());
    let dir = support::temporary_dir("bench");
    let mut file = fs::File::create(dir.path().join("sync")).unwrap();
    let times: Vec<f64> = (0..200)
        .map(|_| {
            file.write_all(&[7; 4096]).unwrap();
            let started = Instant::now();
            file.sync_data().unwrap();
            milliseconds(started.elapsed())
        })
        .collect();
    told(
        "The disk: 4 KiB and fdatasync",
        &format!(
            "p50 {:.2} ms, p99 {:.2} ms",
            median(&times),
            percentile(&times, 99.0)
        ),
    );
}

fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap();
    text.split_whitespace()
        .take(3)
        .collect::<Vec<_>>()
        .join(" ")
}
