//! What was measured, beside what was wanted.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

/// The lines so far, kept for a table at the end.
static LINES: Mutex<Vec<[String; 4]>> = Mutex::new(Vec::new());

/// One figure with its goal.
pub fn judged(name: &str, value: &str, goal: &str, is_met: bool) {
    line(name, value, goal, if is_met { "pass" } else { "MISS" });
}

/// One figure that explains others.
pub fn told(name: &str, value: &str) {
    line(name, value, "", "");
}

fn line(name: &str, value: &str, goal: &str, verdict: &str) {
    println!("{name:<58} {value:<44} {goal:<10} {verdict}");
    let cells = [name, value, goal, verdict].map(str::to_owned);
    LINES.lock().unwrap().push(cells);
}

/// Everything once more, to paste into `docs/benchmarks.md`.
pub fn markdown() {
    println!("\n| What | Measured | Goal | |\n|---|---|---|---|");
    for cells in LINES.lock().unwrap().iter() {
        println!("| {} |", cells.join(" | "));
    }
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The value that so many percent stay at or below.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "an index of some hundreds"
    )]
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Times as `p50 1.23 ms, p99 4.56 ms`.
pub fn percentiles(milliseconds: &[f64]) -> String {
    format!(
        "p50 {:.2} ms, p99 {:.2} ms",
        median(milliseconds),
        percentile(milliseconds, 99.0)
    )
}

pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// What one client does again and again.
pub trait Work: Send + 'static {
    /// Does it once more.
    fn once(&mut self) -> impl Future<Output = ()> + Send;
}

/// How often all clients together do their work in a second, over `span`; gives the clients back.
pub async fn rate<W: Work>(clients: Vec<W>, span: Duration) -> (f64, Vec<W>) {
    let started = Instant::now();
    let tasks: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            tokio::spawn(async move {
                let mut count = 0_u32;
                while started.elapsed() < span {
                    client.once().await;
                    count += 1;
                }
                (client, count)
            })
        })
        .collect();
    let (mut clients, mut count) = (Vec::new(), 0);
    for task in tasks {
        let (client, done) = task.await.unwrap();
        clients.push(client);
        count += done;
    }
    (f64::from(count) / started.elapsed().as_secs_f64(), clients)
}
