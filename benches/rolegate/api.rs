//! Programs: `POST /api/v1/credentials`, and the roles that AWS's own tools list.

use std::{net::SocketAddr, time::Instant};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rolegate::{
    access::TokenScope,
    audit::{Action, Actor, AuditEvent, Outcome},
    clock::{Clock as _, SystemClock},
    demo::sample,
    store::{
        BrokerToken, BrokerTokens as _, Device, KnownPeople as _, SignInSession,
        SignInSessions as _, TokenKind, sql::SqlStore,
    },
};
use time::Duration;

use crate::{
    http::{self, Client},
    report::{milliseconds, percentiles, told},
    server::{self, Installation},
    stand_ins::StandIns,
    table,
};

/// Who asks for credentials; nobody may ask for more than 1,500 at a time.
const CALLERS: [(&str, &str); 3] = [
    ("linus", "arn:aws:iam::222233334444:role/ReadOnly"),
    ("ada", "arn:aws:iam::111122224444:role/team/Developer"),
    ("grace", "arn:aws:iam::222233334444:role/OrderDesk"),
];
/// How often each of them asks.
const ORDERS: usize = 700;
/// How often a page of roles is fetched by each of [`CLIENTS`].
const PAGES: usize = 100;
const CLIENTS: usize = 4;

/// Measures both, and a constant of the same size beside each.
pub async fn measure(stand_ins: &StandIns) {
    credentials(stand_ins).await;
    portal(stand_ins).await;
}

async fn credentials(stand_ins: &StandIns) {
    let installation = stand_ins.installation(&sample::mapping_toml());
    let server = installation.serve();
    let mut requests = Vec::new();
    for (username, role) in CALLERS {
        let token = token(&installation, server.address, username).await;
        let body = format!("{{\"role\":\"{role}\"}}");
        requests.push(format!(
            "POST /api/v1/credentials HTTP/1.1\r\nhost: 127.0.0.1\r\n\
             authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ));
    }
    compare(
        "POST /api/v1/credentials",
        server.address,
        &requests,
        ORDERS,
    )
    .await;
}

async fn portal(stand_ins: &StandIns) {
    let installation = stand_ins.installation(&table::toml(1_000));
    let server = installation.serve();
    let token = token(&installation, server.address, table::EVERYTHING.0).await;
    let get = |path: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nx-amz-sso_bearer_token: {token}\r\n\r\n")
    };
    let mut client = Client::connect(server.address).await;
    let page = get("/aws/assignment/accounts?max_result=100");
    let answer = client.send(page.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    let accounts: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let account = accounts["accountList"][0]["accountId"].as_str().unwrap();
    let roles = get(&format!(
        "/aws/assignment/roles?account_id={account}&max_result=100"
    ));
    for (what, request) in [
        ("GET /aws/assignment/accounts, 100 of 1,000", page),
        ("GET /aws/assignment/roles of 10,000", roles),
    ] {
        let requests = vec![request; CLIENTS];
        compare(what, server.address, &requests, PAGES).await;
    }
    let request = format!(
        "GET /api/v1/roles?limit=200 HTTP/1.1\r\nhost: 127.0.0.1\r\n\
         authorization: Bearer {token}\r\n\r\n"
    );
    let requests = vec![request; CLIENTS];
    compare(
        "GET /api/v1/roles, 200 of 10,000",
        server.address,
        &requests,
        PAGES,
    )
    .await;
}

/// Sends each request so often, each over a connection of its own, to the server and to a constant of
/// the same bytes.
async fn compare(what: &str, address: SocketAddr, requests: &[String], times: usize) {
    let mut client = Client::connect(address).await;
    let answer = client.send(requests[0].as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    let bytes = answer.body.len();
    let (constant, _dir) = server::serve_constant(&answer.body);
    let plain = "GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".to_owned();
    let plain = vec![plain; requests.len()];
    let (of_constant, _) = sent(constant.address, &plain, times).await;
    let (rate, took) = sent(address, requests, times).await;
    told(
        &format!("{what} : a constant of {bytes} bytes"),
        &format!(
            "{:.3} ({rate:.0}/s against {of_constant:.0}/s)",
            rate / of_constant
        ),
    );
    told(
        &format!("{what}, {} clients", requests.len()),
        &percentiles(&took),
    );
}

/// Answers in a second, and how long each took.
async fn sent(address: SocketAddr, requests: &[String], times: usize) -> (f64, Vec<f64>) {
    let started = Instant::now();
    let tasks: Vec<_> = (requests.iter().cloned())
        .map(|request| {
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let mut took = Vec::with_capacity(times);
                for _ in 0..times {
                    let started = Instant::now();
                    let answer = client.send(request.as_bytes()).await;
                    took.push(milliseconds(started.elapsed()));
                    assert_eq!(answer.status, 200, "{}", answer.head);
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.unwrap());
    }
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let rate = took.len() as f64 / started.elapsed().as_secs_f64();
    (rate, took)
}

/// A token of somebody who signs in for it, put where the server keeps them.
async fn token(installation: &Installation, address: SocketAddr, username: &str) -> String {
    http::sign_in(address, username, &format!("{username}-demo")).await;
    let store = SqlStore::open(&installation.database()).await.unwrap();
    let known = store.known_people().await.unwrap();
    let person = known
        .iter()
        .find(|known| known.identity.username == username);
    let identity = &person.unwrap().identity;
    let sessions = store
        .sessions_of(identity.connector.as_str(), &identity.subject)
        .await;
    let browser = sessions.unwrap().remove(0);
    let hash = |text: &str| hex::encode(digest(&SHA256, text.as_bytes()));
    let secret = digest(&SHA256, format!("bench {username}").as_bytes());
    let token = format!("rga_{}", URL_SAFE_NO_PAD.encode(secret));
    let now = SystemClock.now();
    let device = SignInSession {
        id_hash: hash(username),
        created_at: now,
        last_seen_at: now,
        expires_at: now + Duration::days(30),
        device: Some(Device {
            name: "bench".to_owned(),
            scopes: TokenScope::ALL.into_iter().collect(),
            role: None,
        }),
        ..browser
    };
    let kept = BrokerToken {
        hash: hash(&token),
        session: device.id_hash.clone(),
        kind: TokenKind::Access,
        client: None,
        scopes: TokenScope::ALL.into_iter().collect(),
        created_at: now,
        expires_at: now + Duration::hours(1),
        used_at: None,
    };
    let event = AuditEvent::new(now, Action::TokenIssue, Outcome::Ok, Actor::System);
    store.begin_device(&device, &[kept], &event).await.unwrap();
    token
}
