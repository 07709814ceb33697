//! `POST /console`: what it takes beyond the two calls to AWS. And the start.

use std::time::Instant;

use rolegate::demo::sample;

use crate::{
    http::{self, Client, csrf_token, get, post},
    report::{judged, median, milliseconds, percentile, percentiles, told},
    stand_ins::StandIns,
};

const CLICKS: usize = 1_000;
const STARTS: usize = 15;
const PERSON: (&str, &str) = ("linus", "linus-demo");
const ROLE: &str = "arn:aws:iam::222233334444:role/ReadOnly";

/// Measures clicks one after the other, then starts.
pub async fn measure(stand_ins: &StandIns) {
    let installation = stand_ins.installation(&sample::mapping_toml());
    let server = installation.serve();
    let cookie = http::sign_in(server.address, PERSON.0, PERSON.1).await;
    let mut client = Client::connect(server.address).await;
    let token = csrf_token(&client.send(&get("/", &cookie, false)).await);
    let idle = server.resident_mb();
    judged(
        "Resident memory, idle",
        &format!("{idle:.1} MB"),
        "< 40 MB",
        idle < 40.0,
    );
    let request = post(
        "/console",
        &cookie,
        &[("role", ROLE), ("csrf_token", &token)],
    );
    let (mut whole, mut upstream, mut own) = (Vec::new(), Vec::new(), Vec::new());
    for click in 0..CLICKS + 20 {
        stand_ins.upstream_nanoseconds();
        let started = Instant::now();
        let answer = client.send(&request).await;
        let took = milliseconds(started.elapsed());
        assert_eq!(answer.status, 303, "{}", answer.head);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
        let with_aws = stand_ins.upstream_nanoseconds() as f64 / 1e6;
        // The first ones open connections.
        if click >= 20 {
            whole.push(took);
            upstream.push(with_aws);
            own.push(took - with_aws);
        }
    }
    let p99 = percentile(&own, 99.0);
    judged(
        "POST /console beyond the two calls to AWS",
        &percentiles(&own),
        "p99 < 5 ms",
        p99 < 5.0,
    );
    told("POST /console as a whole", &percentiles(&whole));
    told("The two calls at the stand-in", &percentiles(&upstream));
    drop(server);

    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let server = installation.serve();
        let mut client = Client::connect(server.address).await;
        let answer = client.send(&get("/login", "", false)).await;
        starts.push(milliseconds(started.elapsed()));
        assert_eq!(answer.status, 200);
    }
    let start = median(&starts);
    judged(
        "Start of `rolegate serve` to the first answer",
        &format!(
            "{start:.0} ms (slowest of {STARTS}: {:.0})",
            percentile(&starts, 100.0)
        ),
        "< 200 ms",
        start < 200.0,
    );
}
