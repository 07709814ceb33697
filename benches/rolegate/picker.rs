//! The picker page: against a constant page, against a small table, and with everything on it.

use std::{
    net::SocketAddr,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    http::{self, Client, get},
    report::{Work, judged, median, milliseconds, percentiles, rate, told},
    server::{self, Installation, Running},
    stand_ins::StandIns,
    support::children::run_or_panic,
    table,
};

const CLIENTS: usize = 4;
const ROUNDS: usize = 5;
const SPAN: Duration = Duration::from_millis(500);

struct Page {
    client: Client,
    request: Vec<u8>,
}

impl Work for Page {
    async fn once(&mut self) {
        let answer = self.client.send(&self.request).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
    }
}

async fn pages(address: SocketAddr, request: &[u8]) -> Vec<Page> {
    let mut pages = Vec::new();
    for _ in 0..CLIENTS {
        pages.push(Page {
            client: Client::connect(address).await,
            request: request.to_vec(),
        });
    }
    pages
}

/// Measures all three.
pub async fn measure(stand_ins: &StandIns) {
    let big = stand_ins.installation(&table::toml(1_000));
    let small = stand_ins.installation(&table::toml(10));
    let (big, small) = (big.served(), small.served());
    let (big_cookie, small_cookie) = (
        http::sign_in(big.1.address, table::FORTY.0, table::FORTY.1).await,
        http::sign_in(small.1.address, table::FORTY.0, table::FORTY.1).await,
    );
    let page = Client::connect(big.1.address)
        .await
        .send(&get("/", &big_cookie, false))
        .await
        .body;
    let (constant, _dir) = server::serve_constant(&page);
    for accepts_gzip in [false, true] {
        let request = |cookie: &str| get("/", cookie, accepts_gzip);
        let mut constant_pages = pages(constant.address, &request("")).await;
        let mut big_pages = pages(big.1.address, &request(&big_cookie)).await;
        let mut small_pages = pages(small.1.address, &request(&small_cookie)).await;
        let servers = [&constant, &big.1, &small.1];
        let before = servers.map(Running::cpu_milliseconds);
        let mut counts = [0.0; 3];
        let (mut rates, mut of_constant, mut of_small) = ([vec![], vec![], vec![]], vec![], vec![]);
        for round in 0..=ROUNDS {
            let (constant, big, small);
            (constant, constant_pages) = rate(constant_pages, SPAN).await;
            (big, big_pages) = rate(big_pages, SPAN).await;
            (small, small_pages) = rate(small_pages, SPAN).await;
            let round_rates = [constant, big, small];
            for (count, rate) in counts.iter_mut().zip(round_rates) {
                *count += rate * SPAN.as_secs_f64();
            }
            if round > 0 {
                for (rates, rate) in rates.iter_mut().zip(round_rates) {
                    rates.push(rate);
                }
                of_constant.push(big / constant);
                of_small.push(big / small);
            }
        }
        let after = servers.map(Running::cpu_milliseconds);
        let cpu = |place: usize| (after[place] - before[place]) / counts[place] * 1e3;
        let words = if accepts_gzip { "gzip" } else { "no gzip" };
        let [constant, big, small] = rates.map(|rates| median(&rates));
        let (of_constant, of_small) = (median(&of_constant), median(&of_small));
        judged(
            &format!("Picker, 40 of 10,000 roles : constant page, {words}"),
            &format!("{of_constant:.2} ({big:.0}/s against {constant:.0}/s)"),
            ">= 0.5",
            of_constant >= 0.5,
        );
        judged(
            &format!("The same : a table of 100 roles, {words}"),
            &format!("{of_small:.2} ({big:.0}/s against {small:.0}/s)"),
            ">= 0.9",
            of_small >= 0.9,
        );
        told(
            &format!("Processor time of a page, {words}"),
            &format!("{:.0} us against {:.0} us for the constant", cpu(1), cpu(0)),
        );
    }
    told("The page of 40 roles", &format!("{} bytes", page.len()));
    drop((constant, small));
    everything(&big.1).await;
}

/// The person with all roles: times, bytes, and the filter in a browser.
async fn everything(server: &Running) {
    let (username, password) = table::EVERYTHING;
    let cookie = http::sign_in(server.address, username, password).await;
    for (path, count) in [("/", 300), ("/picker.json", 150)] {
        let mut client = Client::connect(server.address).await;
        let plain = client.send(&get(path, &cookie, false)).await.body.len();
        let request = get(path, &cookie, true);
        let small = client.send(&request).await.body.len();
        let mut times = Vec::new();
        for _ in 0..count {
            let started = Instant::now();
            let answer = client.send(&request).await;
            times.push(milliseconds(started.elapsed()));
            assert_eq!(answer.status, 200);
        }
        told(
            &format!("10,000 roles of one person, GET {path}, gzip"),
            &percentiles(&times),
        );
        told(
            &format!("10,000 roles of one person, GET {path}"),
            &format!("{plain} bytes, {small} with gzip"),
        );
    }
    let memory = server.resident_mb();
    told(
        "Resident memory with a table of 10,000 roles",
        &format!("{memory:.1} MB"),
    );
    let mut node = Command::new("node");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rolegate/interactive.mjs");
    let url = format!("http://{}/", server.address);
    node.arg(script).args([&url, username, password]);
    let printed = tokio::task::spawn_blocking(move || run_or_panic("Chromium", &node, None));
    for line in printed.await.unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        told(&format!("10,000 roles in Chromium, {name}"), value);
    }
}

impl Installation {
    /// Serves and stays on disk as long as the server runs.
    fn served(self) -> (Self, Running) {
        let running = self.serve();
        (self, running)
    }
}
