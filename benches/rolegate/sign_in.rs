//! Sign-ins by HTTP against the same directory work done raw, and memory with many sessions.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use ldap3::{
    Ldap, LdapConnAsync, Scope, SearchEntry, SearchOptions,
    controls::{PagedResults, RawControl},
};

use crate::{
    http::{Client, csrf_token, get, post, set_cookie},
    report::{Work, judged, median, rate, told},
    server::{Installation, Running},
    support::slapd::{self, Slapd},
};

const CLIENTS: [usize; 3] = [1, 4, 16];
const ROUNDS: usize = 5;
const SPAN: Duration = Duration::from_millis(700);
/// Each client signs in as people of its own, in turn.
const PEOPLE_OF_A_CLIENT: usize = slapd::CROWD / 16;
const SESSIONS: usize = 10_000;

/// The names that a client signs in with, round and round.
struct People {
    first: usize,
    next: usize,
}

impl People {
    fn of(client: usize) -> Self {
        Self {
            first: client * PEOPLE_OF_A_CLIENT,
            next: 0,
        }
    }

    fn next(&mut self) -> String {
        let number = self.first + self.next;
        self.next = (self.next + 1) % PEOPLE_OF_A_CLIENT;
        format!("user{number:03}")
    }
}

/// What a sign-in asks of the directory, and nothing more.
struct Raw {
    people: People,
    searching: Ldap,
    binding: Ldap,
}

impl Raw {
    async fn new(number: usize, url: &str) -> Self {
        let mut searching = connected(url).await;
        let bound = searching.simple_bind(slapd::BIND_DN, slapd::BIND_PASSWORD);
        bound.await.unwrap().success().unwrap();
        Self {
            people: People::of(number),
            searching,
            binding: connected(url).await,
        }
    }
}

async fn connected(url: &str) -> Ldap {
    let (driver, ldap) = LdapConnAsync::new(url).await.unwrap();
    tokio::spawn(async move { driver.drive().await.unwrap() });
    ldap
}

impl Work for Raw {
    async fn once(&mut self) {
        let uid = self.people.next();
        let base = format!("ou=people,{}", slapd::SUFFIX);
        let filter = format!("(&(objectClass=inetOrgPerson)(uid={uid}))");
        let (found, _) = self
            .searching
            .with_search_options(SearchOptions::new().sizelimit(2))
            .search(
                &base,
                Scope::Subtree,
                &filter,
                ["entryUUID", "uid", "cn", "mail"],
            )
            .await
            .unwrap()
            .success()
            .unwrap();
        let entry = SearchEntry::construct(found.into_iter().next().unwrap());
        let policy = RawControl {
            ctype: "1.3.6.1.4.1.42.2.27.8.5.1".to_owned(),
            crit: false,
            val: None,
        };
        self.binding.with_controls(policy);
        let password = slapd::password_of(&uid);
        let bound = self.binding.simple_bind(&entry.dn, &password).await;
        bound.unwrap().success().unwrap();
        let base = format!("ou=groups,{}", slapd::SUFFIX);
        let filter = format!("(&(objectClass=groupOfNames)(member={}))", entry.dn);
        let page = PagedResults {
            size: 500,
            cookie: Vec::new(),
        };
        let (groups, _) = self
            .searching
            .with_controls(RawControl::from(page))
            .search(&base, Scope::Subtree, &filter, ["entryUUID"])
            .await
            .unwrap()
            .success()
            .unwrap();
        assert!(!groups.is_empty());
    }
}

/// A sign-in by HTTP, each with a new session. The form's cookie is kept, and each person's mark of
/// a browser that they have used before, as browsers do; the session's is not.
struct ByHttp {
    people: People,
    client: Client,
    form: String,
    token: String,
    browsers: HashMap<String, String>,
}

impl ByHttp {
    async fn new(number: usize, address: SocketAddr) -> Self {
        let mut client = Client::connect(address).await;
        let page = client.send(&get("/login", "", false)).await;
        Self {
            people: People::of(number),
            form: set_cookie(&page, "rolegate-form"),
            token: csrf_token(&page),
            browsers: HashMap::new(),
            client,
        }
    }
}

impl Work for ByHttp {
    async fn once(&mut self) {
        let uid = self.people.next();
        let fields = [
            ("username", uid.as_str()),
            ("password", &slapd::password_of(&uid)),
            ("csrf_token", &self.token),
            ("next", "/"),
        ];
        let cookies = match self.browsers.get(&uid) {
            Some(browser) => format!("{}; {browser}", self.form),
            None => self.form.clone(),
        };
        let request = post("/login/corp", &cookies, &fields);
        let answer = self.client.send(&request).await;
        assert_eq!(answer.status, 303, "{}", answer.head);
        self.browsers
            .entry(uid)
            .or_insert_with(|| set_cookie(&answer, "rolegate-browser"));
    }
}

/// Measures; leaves the server with [`SESSIONS`] sessions to look at its memory.
pub async fn measure() {
    let slapd = Slapd::start();
    let installation = Installation::new(&connector(&slapd), "", "");
    let server = installation.serve();
    let mut done = 0.0;
    for clients in CLIENTS {
        let (mut raw, mut http) = (Vec::new(), Vec::new());
        for number in 0..clients {
            raw.push(Raw::new(number, &slapd.ldap_url()).await);
            http.push(ByHttp::new(number, server.address).await);
        }
        let (mut cpu, mut of_clients) = (0.0, 0.0);
        let (mut raw_rates, mut http_rates, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let (raw_rate, http_rate);
            (raw_rate, raw) = rate(raw, SPAN).await;
            let before = server.cpu_milliseconds();
            (http_rate, http) = rate(http, SPAN).await;
            cpu += server.cpu_milliseconds() - before;
            of_clients += http_rate * SPAN.as_secs_f64();
            // The first round warms both up.
            if round > 0 {
                raw_rates.push(raw_rate);
                http_rates.push(http_rate);
                ratios.push(http_rate / raw_rate);
            }
        }
        done += of_clients;
        let ratio = median(&ratios);
        let value = format!(
            "{ratio:.2} ({:.0}/s against {:.0}/s)",
            median(&http_rates),
            median(&raw_rates)
        );
        let name = format!("LDAP sign-ins by HTTP : raw ldap3, {clients} client(s)");
        if clients == 4 {
            judged(&name, &value, ">= 0.6", ratio >= 0.6);
        } else {
            told(&name, &value);
        }
        told(
            &format!("Processor time of a sign-in in Rolegate, {clients} client(s)"),
            &format!("{:.2} ms", cpu / of_clients),
        );
    }
    remember(&server, done).await;
}

/// Tops the sessions up to [`SESSIONS`] and looks at the memory.
async fn remember(server: &Running, done: f64) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some thousands"
    )]
    let missing = SESSIONS.saturating_sub(done as usize);
    let tasks: Vec<_> = (0..16)
        .map(|number| {
            let address = server.address;
            tokio::spawn(async move {
                let mut client = ByHttp::new(number, address).await;
                for _ in 0..=missing / 16 {
                    client.once().await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let memory = server.resident_mb();
    judged(
        "Resident memory with 10,000 sign-in sessions",
        &format!("{memory:.1} MB"),
        "< 100 MB",
        memory < 100.0,
    );
}

fn connector(slapd: &Slapd) -> String {
    format!(
        r#"
        urls = ["{}"]
        bind_dn = "{}"
        bind_password = "{}"
        user_base = "ou=people,{suffix}"
        group_base = "ou=groups,{suffix}"
        nested_groups = false
        pool_size = 16
        "#,
        slapd.ldap_url(),
        slapd::BIND_DN,
        slapd::BIND_PASSWORD,
        suffix = slapd::SUFFIX
    )
}
