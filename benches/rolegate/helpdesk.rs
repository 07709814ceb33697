//! The helpdesk's pages with a large table: what one reader waits for, and how much they receive.

use std::{fmt::Write as _, net::SocketAddr, time::Instant};

use regex::Regex;
use rolegate::{
    access::{Group, GroupKey, Identity},
    clock::{Clock as _, SystemClock},
    demo::sample,
};

use crate::{
    crowd,
    http::{self, Client, csrf_token, get, post},
    report::{judged, milliseconds, percentile, percentiles, told},
    stand_ins::StandIns,
};

const ACCOUNTS: usize = 200;
const ROLES_OF_AN_ACCOUNT: usize = 10;
const GROUPS: usize = 1_000;
const MAPPINGS: usize = 10_000;
const PEOPLE: usize = 5_000;
const GROUPS_EACH: usize = 20;
const READER: (&str, &str) = ("grace", "grace-demo");
const TIMES: usize = 200;
/// What is thrown away: the first ones read the table and open connections.
const WARM_UP: usize = 5;

pub async fn measure(stand_ins: &StandIns) {
    let installation = stand_ins.installation(&table());
    let now = SystemClock.now();
    let people: Vec<Identity> = (0..PEOPLE)
        .map(|index| {
            let groups = (0..GROUPS_EACH).map(|n| group((index * 31 + n * 47) % GROUPS));
            crowd::person(index, groups.collect(), now)
        })
        .collect();
    crowd::note(&installation.database(), &people).await;
    told(
        "Helpdesk: mappings, roles, accounts, groups, people",
        &format!(
            "{MAPPINGS}, {}, {ACCOUNTS}, {GROUPS}, {PEOPLE}",
            ACCOUNTS * ROLES_OF_AN_ACCOUNT
        ),
    );
    let server = installation.serve();
    let cookie = http::sign_in(server.address, READER.0, READER.1).await;
    let mut reader = Reader::new(server.address, cookie).await;
    for (name, path) in pages(&mut reader).await {
        let request = get(&path, &reader.cookie, true);
        reader.measure(&format!("GET {name}"), &request).await;
    }
    reader.measure_edits().await;
    told(
        "Helpdesk: resident memory after all this",
        &format!("{:.1} MB", server.resident_mb()),
    );
}

/// What is asked for, with a name for each.
async fn pages(reader: &mut Reader) -> Vec<(&'static str, String)> {
    let last = reader.last_page().await;
    let mut pages = vec![(
        "/helpdesk/people/… (last seen, 190 roles)",
        "/helpdesk/people/corp/subject-42".to_owned(),
    )];
    let page = reader.text("/helpdesk/people?q=grace").await;
    let found = Regex::new(r#"href="(/helpdesk/people/corp/[^"?]+)"#).unwrap();
    let person = found.captures(&page).unwrap()[1].replace("&#38;", "&");
    pages.push(("/helpdesk/people/… (in the directory)", person));
    let role = format!("/helpdesk/roles/{}", urlencoded(&arn(7)));
    pages.push(("/helpdesk/roles/… (one role)", role));
    let key = group(7).key.to_string();
    let group = format!("/helpdesk/groups/{}", urlencoded(&key));
    if reader.status(&group).await == 200 {
        pages.push(("/helpdesk/groups/…", group));
    }
    let fixed = [
        "/helpdesk/mappings",
        "/helpdesk/mappings?q=department-0042",
        "/helpdesk/mappings?q=search production read",
        "/helpdesk/mappings?account=payments",
        "/helpdesk/mappings?sort=-group",
        "/helpdesk/mappings?sort=ends",
        "/helpdesk/mappings?state=broken",
        "/helpdesk/mappings/new",
        "/helpdesk/suggest/groups?group=department-00",
        "/helpdesk/suggest/roles?role=search",
        "/helpdesk/rules",
        "/helpdesk/people?q=person000",
        "/helpdesk/roles",
        "/helpdesk/roles?q=search",
        "/helpdesk/groups?q=department-00",
        "/helpdesk/history",
        "/audit",
    ];
    pages.extend(fixed.map(|path| (path, path.replace(' ', "+"))));
    pages.push(("/helpdesk/mappings?after=… (the last page)", last));
    pages
}

/// Somebody of the helpdesk, with one connection.
struct Reader {
    client: Client,
    cookie: String,
    token: String,
}

impl Reader {
    async fn new(address: SocketAddr, cookie: String) -> Self {
        let mut client = Client::connect(address).await;
        let page = client
            .send(&get("/helpdesk/mappings", &cookie, false))
            .await;
        Self {
            token: csrf_token(&page),
            client,
            cookie,
        }
    }

    async fn status(&mut self, path: &str) -> u16 {
        self.client
            .send(&get(path, &self.cookie, false))
            .await
            .status
    }

    async fn text(&mut self, path: &str) -> String {
        let answer = self.client.send(&get(path, &self.cookie, false)).await;
        assert_eq!(answer.status, 200, "{path}\n{}", answer.head);
        String::from_utf8(answer.body).unwrap()
    }

    /// The address of the page whose rows are the last ones.
    async fn last_page(&mut self) -> String {
        let next = Regex::new(r#"href="(/helpdesk/mappings\?[^"]*after=[^"]+)""#).unwrap();
        let mut path = "/helpdesk/mappings?sort=group".to_owned();
        for _ in 0..MAPPINGS {
            let page = self.text(&path).await;
            let Some(link) = next.captures(&page) else {
                break;
            };
            path = link[1].replace("&#38;", "&").replace("&amp;", "&");
        }
        path
    }

    async fn measure(&mut self, name: &str, request: &[u8]) {
        let mut times = Vec::new();
        let mut weight = 0;
        for time in 0..TIMES + WARM_UP {
            let started = Instant::now();
            let answer = self.client.send(request).await;
            let took = milliseconds(started.elapsed());
            assert_eq!(answer.status, 200, "{name}\n{}", answer.head);
            weight = answer.body.len();
            if time >= WARM_UP {
                times.push(took);
            }
        }
        let slow = percentile(&times, 99.0);
        judged(
            name,
            &format!("{}, {weight} bytes", percentiles(&times)),
            "p99 < 20 ms, 30 KB",
            slow < 20.0 && weight < 30_000,
        );
    }

    /// Looks at one new mapping, as the form does while somebody fills it in.
    async fn measure_edits(&mut self) {
        let key = format!("corp:{}", sample::group_dn("bench-team-1"));
        let token = self.token.clone();
        let fields = [
            ("csrf_token", token.as_str()),
            ("edit", "mapping"),
            ("group", &key),
            ("role", &arn(7)),
            ("ticket", "OPS-1"),
            ("reason", "measured"),
        ];
        let request = post("/helpdesk/preview", &self.cookie, &fields);
        // The part alone, compressed.
        let text = String::from_utf8(request).unwrap();
        let text = text.replacen(
            "user-agent: bench\r\n",
            "user-agent: bench\r\nhx-request: true\r\naccept-encoding: gzip\r\n",
            1,
        );
        let first = self.client.send(text.as_bytes()).await;
        assert_eq!(first.status, 200, "{}", first.head);
        self.measure("POST /helpdesk/preview, one mapping", text.as_bytes())
            .await;
    }
}

fn urlencoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn group(index: usize) -> Group {
    let dn = sample::group_dn(&format!("department-{index:04}"));
    Group {
        key: GroupKey::from_stored(format!("{}:{dn}", sample::CONNECTOR)),
        name: dn,
        stable_id: Some(format!("6ba7b810-9dad-11d1-80b4-{index:012}")),
        through: None,
    }
}

fn account(index: usize) -> String {
    format!("{:012}", 100_000_000_000_usize + index)
}

fn arn(role: usize) -> String {
    let name = [
        "ReadOnly",
        "Developer",
        "Administrator",
        "Billing",
        "Operations",
    ][role % 5];
    let number = role % ROLES_OF_AN_ACCOUNT;
    let account = account(role / ROLES_OF_AN_ACCOUNT);
    format!("arn:aws:iam::{account}:role/{name}{number}")
}

fn table() -> String {
    let areas = [
        "Payments",
        "Web shop",
        "Data platform",
        "Search",
        "Logistics",
    ];
    let stages = ["production", "test", "development"];
    let mut text = String::new();
    for index in 0..ACCOUNTS {
        let (area, stage) = (areas[index % areas.len()], stages[index % stages.len()]);
        let id = account(index);
        let _ = writeln!(
            text,
            "[[account]]\nid = \"{id}\"\nname = \"{area} {stage} {index:03}\"\n\
             environment = \"{stage}\"\n"
        );
    }
    for index in 0..ACCOUNTS * ROLES_OF_AN_ACCOUNT {
        let _ = writeln!(
            text,
            "[[role]]\narn = \"{}\"\ndescription = \"What number {index} is for\"\n",
            arn(index)
        );
    }
    for index in 0..MAPPINGS {
        let (key, role) = (
            group(index % GROUPS).key,
            arn((index * 7 + index / 1_000) % 2_000),
        );
        let _ = writeln!(text, "[[mapping]]\ngroup = \"{key}\"\nrole = \"{role}\"");
        let _ = writeln!(text, "ticket = \"OPS-{}\"", index % 977);
        if index.is_multiple_of(4) {
            let _ = writeln!(text, "expires = 2099-{:02}-01T00:00:00Z", index % 12 + 1);
        }
        if index.is_multiple_of(3) {
            let _ = writeln!(text, "require_reason = true");
        }
        text.push('\n');
    }
    for index in 0..10 {
        let _ = writeln!(
            text,
            "[[mapping_rule]]\nconnector = \"corp\"\n\
             group_pattern = '^cn=unit{index}-(?<account>[0-9]{{12}})-(?<role>[A-Za-z0-9_-]+),ou=aws,{}$'\n\
             role = \"arn:aws:iam::{{account}}:role/{{role}}\"\n",
            sample::GROUPS_BASE
        );
    }
    text
}
