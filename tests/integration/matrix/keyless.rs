//! A broker without AWS keys and without a network: the program as it is built signs somebody in to
//! the console, and speaks to nobody but the directory.
//!
//! The test runs itself once more where the kernel has a network of the loopback device alone, so
//! that nothing outside can be reached; the kernel counts what was tried. Making such a network
//! takes root, or a kernel that lets everybody do it. Where neither is there, the listeners in place
//! of AWS's endpoints are what is left of the proof, and the test says so.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rolegate::demo::{
    aws::{Account, Catalogue, Role, SamlProvider, SignInOutcome, StandIn, Trust},
    directory::{Directory, RunningDirectory},
    sample,
};
use tempfile::TempDir;

use super::{
    post_on,
    stage::{OWN_SAML, issuer_toml, private_file},
};
use crate::support::{
    children::{Server, free_port},
    cookie_browser::CookieBrowser,
    temporary_dir,
};

const ROLE: &str = "arn:aws:iam::111122223333:role/Keyless";
/// In the environment of the run that has no network.
const APART: &str = "RUNS_WITHOUT_A_NETWORK";
/// Where EC2 instances find their credentials.
const INSTANCE_METADATA: &str = "169.254.169.254:80";
const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn without_keys_and_network_an_ldap_person_reaches_the_console() {
    if std::env::vars_os().any(|(name, _)| name == APART) {
        in_a_runtime(Some(&Network));
    } else if let Some(flags) = ways_apart().find(|flags| makes_a_network(flags)) {
        run_apart(flags);
    } else {
        println!("no network of its own can be made here: only AWS's endpoints are watched");
        in_a_runtime(None);
    }
}

/// How a network of its own is made: as root, or by whoever may.
fn ways_apart() -> impl Iterator<Item = &'static [&'static str]> {
    [&["--net"][..], &["--map-root-user", "--net"]].into_iter()
}

fn makes_a_network(flags: &[&str]) -> bool {
    let mut command = Command::new("unshare");
    let command = command.args(flags).args(["ip", "link", "set", "lo", "up"]);
    let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    ended.is_ok_and(|status| status.success())
}

/// Runs this very test where there is nothing but loopback.
fn run_apart(flags: &[&str]) {
    let name = concat!(
        module_path!(),
        "::without_keys_and_network_an_ldap_person_reaches_the_console"
    );
    let (_, name) = name.split_once("::").expect("a crate and a path");
    let output = Command::new("unshare")
        .args(flags)
        .args(["sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(APART, "yes")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "{out}\n{err}");
}

fn in_a_runtime(network: Option<&Network>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(walk(network));
}

/// The network of this process, where it is its own.
struct Network;

#[expect(clippy::unused_self, reason = "whoever has one is in a network apart")]
impl Network {
    /// What was sent, by TCP or UDP and both versions of IP, where there is no way to.
    fn without_a_way(&self) -> u64 {
        counter("/proc/net/snmp", "Ip", "OutNoRoutes") + whole("/proc/net/snmp6", "Ip6OutNoRoutes")
    }

    /// Datagrams, which questions for names would be.
    fn datagrams(&self) -> u64 {
        counter("/proc/net/snmp", "Udp", "OutDatagrams")
            + whole("/proc/net/snmp6", "Udp6OutDatagrams")
    }

    /// Connections to ports of this machine at which nobody listens.
    fn to_nobody(&self) -> u64 {
        counter("/proc/net/snmp", "Tcp", "AttemptFails")
    }
}

/// A number of a file whose lines are two by two: names, numbers.
fn counter(path: &str, protocol: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap();
    let start = format!("{protocol}: ");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(&start));
    let (names, numbers) = (lines.next().unwrap(), lines.next().unwrap());
    let mut pairs = names.split(' ').zip(numbers.split(' '));
    let (_, number) = pairs.find(|(known, _)| *known == name).unwrap();
    number.parse().unwrap()
}

/// A number of a file with a name in each line; nothing where the kernel has no such protocol.
fn whole(path: &str, name: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines
        .next()
        .map_or(0, |number| number.trim().parse().unwrap())
}

/// Somebody who listens where AWS's endpoints should be, and counts.
struct Watch {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Watch {
    fn start() -> Self {
        let listener = TcpListener::bind(LOOPBACK).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&connections);
        std::thread::spawn(move || {
            for _ in listener.incoming() {
                counting.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { url, connections }
    }
}

/// The configuration of a broker to which every endpoint of AWS but the browser's is `watch`.
fn configuration(
    dir: &TempDir,
    (address, operations): (SocketAddr, SocketAddr),
    (directory, aws): (&RunningDirectory, &StandIn),
    watch: &Watch,
) -> String {
    let table = format!(
        "[[account]]\nid = \"111122223333\"\nname = \"Research\"\n[[role]]\narn = \"{ROLE}\"\n\
         grant_method = \"assume-role-with-saml\"\nvouched_by = \"issuer\"\n\
         console = \"saml-post\"\nmax_duration = \"12h\"\nsource_identity = \"{{username}}\"\n\
         [[mapping]]\ngroup = \"corp:cn=book-club,ou=groups,dc=example,dc=com\"\nrole = \"{ROLE}\"\n"
    );
    let mut toml = format!(
        "public_url = \"http://{address}\"\n[server]\nlisten = \"{address}\"\n\
         operations_listen = \"{operations}\"\n[store]\nurl = \"sqlite://{}/rolegate.db\"\n\
         [[connector]]\nid = \"corp\"\ntype = \"ldap\"\npreset = \"openldap\"\n\
         urls = [\"{}\"]\nbind_dn = \"{}\"\nbind_password_file = {:?}\nuser_base = \"{}\"\n\
         group_base = \"{}\"\n[mappings]\nfile = {:?}\n",
        dir.path().display(),
        directory.url(),
        sample::SERVICE_DN,
        private_file(dir, "password", sample::SERVICE_PASSWORD),
        sample::PEOPLE_BASE,
        sample::GROUPS_BASE,
        private_file(dir, "table.toml", &table),
    );
    let _ = write!(toml, "[aws]\ndefault_region = \"eu-west-1\"\n");
    for endpoint in ["sts", "sign_in", "iam", "organizations"] {
        let _ = writeln!(toml, "{endpoint}_endpoint = \"{}/{endpoint}\"", watch.url);
    }
    let (saml, console) = (aws.saml_url(), aws.console_url());
    let _ = writeln!(
        toml,
        "saml_endpoint = \"{saml}\"\nconsole_url = \"{console}\""
    );
    // A probe would redeem an assertion at STS.
    toml + "[probe]\nevery = \"off\"\n" + &issuer_toml(dir)
}

/// The built program with nothing at all in its environment.
fn serve(dir: &TempDir, address: SocketAddr, toml: &str) -> Server {
    let config = dir.path().join("rolegate.toml");
    fs::write(&config, toml).unwrap();
    let mut command = Command::new("env");
    command
        .args(["--ignore-environment", env!("CARGO_BIN_EXE_rolegate")])
        .arg("--config")
        .arg(&config)
        .arg("serve");
    let server = Server::start("rolegate", &command, &dir.path().join("rolegate.log"));
    server.wait_until_listening(address)
}

async fn walk(network: Option<&Network>) {
    let dir = temporary_dir("keyless");
    let watch = Watch::start();
    let directory = Directory::sample().start(LOOPBACK).unwrap();
    let aws = StandIn::start(
        Catalogue::default().with_account(Account::new("111122223333", "Research")),
        LOOPBACK,
    )
    .unwrap();
    let here = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let (address, operations) = (here(), here());
    let addresses = (address, operations);
    let toml = configuration(&dir, addresses, (&directory, &aws), &watch);
    let server = serve(&dir, address, &toml);
    let to_nobody = network.map(Network::to_nobody);

    let url: url::Url = format!("http://{address}/").parse().unwrap();
    let mut browser = CookieBrowser::new(url.clone());
    let metadata = browser.get("/issuer/saml/metadata").await.body;
    let recipient = aws.saml_url();
    aws.update(|catalogue| {
        let trust = Trust::default().with_saml(OWN_SAML, [recipient.as_str()]);
        *catalogue = std::mem::take(catalogue)
            .with_saml_provider(SamlProvider::new(OWN_SAML, &metadata).unwrap())
            .with_role(Role::new(ROLE, trust.with_source_identity()));
    });
    let signed_in = browser.sign_in("ada", "ada-demo").await;
    assert_eq!(
        signed_in.status,
        303,
        "{}\n{}",
        signed_in.body,
        server.log()
    );
    let answer = browser.open_console(&[("role", ROLE)]).await;
    assert_eq!(answer.status, 200, "{}\n{}", answer.body, server.log());
    let (status, console) = post_on(&url, &answer).await;

    assert_eq!(status, 200, "{console}");
    assert!(
        console.contains("111122223333") && console.contains("ada"),
        "{console}"
    );
    let issued = aws.issued().pop().expect("a session");
    assert_eq!(
        (issued.role_arn.as_str(), issued.session_name.as_str()),
        (ROLE, "ada")
    );
    assert_eq!(issued.caller_arn, OWN_SAML);
    assert_eq!(issued.source_identity.as_deref(), Some("ada"));
    assert_eq!(
        aws.sign_ins().pop().unwrap().outcome,
        SignInOutcome::SignedIn
    );
    assert_eq!(aws.sts_calls(), 0);
    assert_eq!(
        watch.connections.load(Ordering::SeqCst),
        0,
        "{}",
        server.log()
    );
    if let Some(network) = network {
        assert_eq!(network.without_a_way(), 0, "{}", server.log());
        assert_eq!(network.datagrams(), 0, "{}", server.log());
        assert_eq!(Some(network.to_nobody()), to_nobody, "{}", server.log());
        sees(network);
    }
    drop(server);
    TcpStream::connect(watch.url.trim_start_matches("http://")).unwrap();
    while watch.connections.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
}

/// That what was counted would have been seen.
fn sees(network: &Network) {
    TcpStream::connect(INSTANCE_METADATA).unwrap_err();
    assert_eq!(network.without_a_way(), 1);
}
