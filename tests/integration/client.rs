//! The commands for people's own machines, run as people run them, against a whole Rolegate: signing
//! in, and what comes after.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{
    app::TestApp,
    cookie_browser::{CookieBrowser, client, hidden_value},
    temporary_dir,
};

pub(crate) const SHOP_READER: &str = "arn:aws:iam::222233334444:role/ReadOnly";

/// Somebody's machine: a home of its own, and no variables of whoever runs the tests.
pub(crate) struct Machine {
    pub(crate) home: TempDir,
    url: String,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Machine {
    pub(crate) fn new(app: &TestApp) -> Self {
        Self {
            home: temporary_dir("client"),
            url: app.url.to_string(),
        }
    }

    /// A machine at which a sample person has signed in.
    pub(crate) async fn of(app: &TestApp, username: &str) -> Self {
        let machine = Self::new(app);
        let ended = machine.sign_in(app, username).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.tool(env!("CARGO_BIN_EXE_rolegate"));
        command.args(arguments);
        command
    }

    /// Any program of this machine.
    pub(crate) fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("ROLEGATE_STATE_DIR", self.path("state"))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null());
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments)).await
    }

    /// Runs a command that has to do what it is asked; returns what it printed.
    pub(crate) async fn done(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments).await;
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        ended.out
    }

    /// Runs a command that has to fail; returns its exit code and what it told.
    pub(crate) async fn refused(&self, arguments: &[&str]) -> (i32, String) {
        let ended = self.run(arguments).await;
        assert_eq!(ended.out, "", "{arguments:?} printed a result as well");
        (ended.code, ended.err)
    }

    /// `rolegate login`, in a browser in which the person agrees.
    pub(crate) async fn sign_in(&self, app: &TestApp, username: &str) -> Ended {
        let mut browser = app.signed_in(username).await;
        let mut login = Login::start(self.command(&["login", &self.url, "--no-browser"]));
        let address = login.told("/authorize?").await;
        let answer = decide(&mut browser, &address, "allow").await;
        let told = client().get(&answer).send().await.unwrap();
        assert!(told.text().await.unwrap().contains("Close this tab"));
        login.ended().await
    }
}

pub(crate) async fn run(mut command: Command) -> Ended {
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    ended(&output.await.unwrap())
}

fn ended(output: &Output) -> Ended {
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout.clone()).unwrap(),
        err: String::from_utf8(output.stderr.clone()).unwrap(),
    }
}

/// A `login` that waits for somebody.
struct Login {
    child: Option<Child>,
    err: Option<BufReader<std::process::ChildStderr>>,
}

impl Login {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let err = child.stderr.take().map(BufReader::new);
        Self {
            child: Some(child),
            err,
        }
    }

    /// The next line that holds this, without blanks around it.
    async fn told(&mut self, part: &'static str) -> String {
        let mut err = self.err.take().unwrap();
        let read = tokio::task::spawn_blocking(move || {
            let mut all = String::new();
            loop {
                let mut line = String::new();
                let count = err.read_line(&mut line).unwrap();
                assert!(count > 0, "it ended before it told {part}: {all}");
                if line.contains(part) {
                    return (err, line.trim().to_owned());
                }
                all.push_str(&line);
            }
        });
        let (err, line) = read.await.unwrap();
        self.err = Some(err);
        line
    }

    async fn ended(mut self) -> Ended {
        let (child, mut err) = (self.child.take().unwrap(), self.err.take().unwrap());
        tokio::task::spawn_blocking(move || {
            let mut told = String::new();
            err.read_to_string(&mut told).unwrap();
            Ended {
                err: told,
                ..ended(&child.wait_with_output().unwrap())
            }
        })
        .await
        .unwrap()
    }
}

/// Opens the page of a client, and decides; where the browser is sent.
async fn decide(browser: &mut CookieBrowser, address: &str, decision: &str) -> String {
    let page = browser.get(address).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let fields = hidden_fields(&page.body);
    let mut fields: Vec<(&str, &str)> = fields
        .iter()
        .filter(|(name, _)| name != "csrf_token")
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    fields.push(("decision", decision));
    let answer = browser.post("/authorize", &fields).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.location().to_owned()
}

fn hidden_fields(html: &str) -> Vec<(String, String)> {
    let pattern = r#"<input type="?hidden"? name="?([a-z_]+)"? value="([^"]*)""#;
    let pattern = regex::Regex::new(pattern).unwrap();
    pattern
        .captures_iter(html)
        .map(|found| {
            (
                found[1].to_owned(),
                found[2].replace("&amp;", "&").replace("&#38;", "&"),
            )
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_by_a_browser_and_see_who_they_are() {
    let app = TestApp::start().await;
    let machine = Machine::new(&app);
    let (code, told) = machine.refused(&["whoami"]).await;
    assert_eq!(code, 2);
    assert!(told.contains("run `rolegate login URL`"), "{told}");
    let ended = machine.sign_in(&app, "ada").await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.out.contains("as Ada Lovelace (ada), with"),
        "{ended:?}"
    );
    let me: Value =
        serde_json::from_str(&machine.done(&["whoami", "--output", "json"]).await).unwrap();
    assert_eq!(
        (&me["username"], &me["way"]),
        (&"ada".into(), &"token".into())
    );
    assert!(
        me["device"]["name"]
            .as_str()
            .unwrap()
            .starts_with("Rolegate on "),
        "{me}"
    );
    assert!(machine.done(&["whoami"]).await.contains("Ada Lovelace"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_declines_is_not_signed_in() {
    let app = TestApp::start().await;
    let machine = Machine::new(&app);
    let mut browser = app.signed_in("ada").await;
    let mut login = Login::start(machine.command(&["login", &machine.url, "--no-browser"]));
    let address = login.told("/authorize?").await;
    let answer = decide(&mut browser, &address, "decline").await;
    client().get(&answer).send().await.unwrap();
    let ended = login.ended().await;
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("declined"), "{ended:?}");
    assert_eq!(
        machine.refused(&["roles", "--url", &machine.url]).await.0,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn people_sign_in_by_a_typed_code_where_there_is_no_browser() {
    let app = TestApp::start().await;
    let machine = Machine::new(&app);
    // No DISPLAY and no BROWSER: nobody has to say --device.
    let mut login = Login::start(machine.command(&["login", &machine.url]));
    let address = login.told("/device").await;
    login.told("type this code").await;
    let code = login.told("-").await;
    let mut browser = app.signed_in("linus").await;
    browser.get(&address).await;
    let asked = browser.post("/device", &[("user_code", &code)]).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    let again = hidden_value(&asked.body, "user_code").unwrap_or(code);
    let done = browser
        .post("/device", &[("user_code", &again), ("decision", "allow")])
        .await;
    assert!(done.status < 400, "{}", done.body);
    let ended = login.ended().await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("Linus Brook"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_the_tokens_and_forgets_everything() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    machine.done(&["credentials", SHOP_READER]).await;
    let folders: Vec<_> = fs::read_dir(machine.path("state"))
        .unwrap()
        .flatten()
        .collect();
    let folder = folders
        .iter()
        .find(|entry| entry.path().is_dir())
        .unwrap()
        .path();
    let token: Value =
        serde_json::from_slice(&fs::read(folder.join("token.json")).unwrap()).unwrap();
    let me = |token: &Value| {
        let token = token["access_token"].as_str().unwrap().to_owned();
        let url = app.url.join("api/v1/me").unwrap();
        async move {
            client()
                .get(url)
                .bearer_auth(token)
                .send()
                .await
                .unwrap()
                .status()
        }
    };
    assert_eq!(me(&token).await, 200);
    machine.done(&["logout"]).await;
    assert_eq!(me(&token).await, 401);
    assert!(!folder.exists());
    let (code, told) = machine.refused(&["credentials", SHOP_READER]).await;
    assert_eq!(code, 1);
    assert!(
        told.contains("not signed in") && told.contains("rolegate login"),
        "{told}"
    );
    assert!(
        machine
            .done(&["logout"])
            .await
            .contains("Nobody was signed in")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_renewed_once_however_many_want_them() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    // The server's clock moves; the client learns it from the 401.
    app.clock.advance(time::Duration::hours(2));
    let runs = (0..12).map(|_| machine.run(&["whoami"]));
    for ended in futures_util::future::join_all(runs).await {
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    machine.done(&["whoami"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_was_ended_elsewhere_says_what_to_run() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    app.clock.advance(time::Duration::days(400));
    let (code, told) = machine.refused(&["whoami"]).await;
    assert_eq!(code, 1);
    assert!(told.contains("has ended; run `rolegate login"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_processes_that_want_one_role_make_one_call() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    let before = app.aws.sts_calls();
    let runs = (0..100).map(|_| machine.run(&["credentials", SHOP_READER]));
    let ended = futures_util::future::join_all(runs).await;
    let first = &ended[0];
    assert_eq!(first.code, 0, "{first:?}");
    for ended in &ended {
        assert_eq!((ended.code, &ended.out), (0, &first.out));
    }
    assert_eq!(app.aws.sts_calls() - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_listed_filtered_and_meant_by_parts_of_their_names() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    let roles: Vec<Value> =
        serde_json::from_str(&machine.done(&["roles", "--output", "json"]).await).unwrap();
    assert!(roles.iter().any(|role| role["arn"] == SHOP_READER));
    let text = machine.done(&["roles", "2222"]).await;
    assert!(text.contains("222233334444"), "{text}");
    assert!(text.lines().count() < roles.len(), "{text}");
    let one = machine
        .done(&[
            "credentials",
            "222233334444/readonly",
            "--format",
            "process",
        ])
        .await;
    let one: Value = serde_json::from_str(&one).unwrap();
    assert_eq!(
        (&one["Version"], &one["AccountId"]),
        (&1.into(), &"222233334444".into())
    );
    let (code, told) = machine.refused(&["credentials", "ReadOnly"]).await;
    assert_eq!(code, 2);
    assert!(
        told.contains("could be any of these") && told.contains(SHOP_READER),
        "{told}"
    );
    let (code, told) = machine
        .refused(&["credentials", "222233334444/ReadOmly"])
        .await;
    assert_eq!(code, 1);
    assert!(
        told.contains("perhaps you mean") && told.contains(SHOP_READER),
        "{told}"
    );
    assert_eq!(machine.refused(&["credentials"]).await.0, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_for_their_owner_alone() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    machine.done(&["credentials", SHOP_READER]).await;
    let mut folders = vec![machine.path("state")];
    let mut count = 0;
    let mut token = None;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            if entry.path().is_dir() {
                assert_eq!(mode, 0o700);
                folders.push(entry.path());
            } else {
                assert_eq!(mode, 0o600, "{:?}", entry.path());
                count += 1;
            }
            if entry.file_name() == "token.json" {
                token = Some(entry.path());
            }
        }
    }
    assert!(count >= 4);
    let token = token.unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, told) = machine.refused(&["whoami"]).await;
    assert_eq!(code, 1);
    assert!(
        told.contains(&format!("chmod 600 {}", token.display())),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_says_what_would_be_right() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    for (arguments, code, part) in [
        (&["credentials", "--all"][..], 2, "--format ini"),
        (&["credentials", "--unset"], 2, "--unset is for shells"),
        (&["login", "http://aws.example.com"], 2, "need https"),
        (
            &["login", "https://ada:pw@aws.example.com"],
            2,
            "leave it out",
        ),
        (
            &["whoami", "--url", "http://127.0.0.1:1"],
            1,
            "not signed in at http://127.0.0.1:1",
        ),
        (
            &["login", "http://127.0.0.1:1", "--device"],
            1,
            "http://127.0.0.1:1 cannot be reached",
        ),
        (&["console", SHOP_READER], 1, "--print"),
        (
            &["credentials", SHOP_READER, "--duration", "99h"],
            1,
            "error: ",
        ),
        (&["completions", "tcsh"], 2, "possible values"),
    ] {
        let (ended, told) = machine.refused(arguments).await;
        assert_eq!(ended, code, "{arguments:?}: {told}");
        assert!(told.contains(part), "{arguments:?}: {told}");
        assert!(!told.contains(":pw"), "{told}");
    }
}

#[test]
fn the_client_alone_needs_no_library_of_the_system() {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--offline", "--locked", "--no-default-features"])
        .args([
            "--features",
            "client",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ])
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names: Vec<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(names.contains(&"reqwest"), "{tree}");
    for name in [
        "samael",
        "openssl",
        "openssl-sys",
        "libxml",
        "libsqlite3-sys",
        "axum",
        "ring",
    ] {
        assert!(
            !names.contains(&name),
            "{name} is in the tree of the client"
        );
    }
}
