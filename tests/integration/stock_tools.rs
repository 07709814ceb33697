//! AWS's own tools, untouched, sign in here: two versions of AWS CLI v2, boto3, the SDKs for
//! JavaScript and Rust. What they do with the credentials they do at moto.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use aws_types::os_shim_internal::Env;
use rolegate::demo::{
    directory::{Directory, RunningDirectory},
    sample,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    process::{run, write_broker_keys},
    support::{
        browser::run_browser_script,
        cookie_browser::client,
        moto::Moto,
        process::Process,
        stock_tools::{AwsCli, aws_cli},
        temporary_dir,
        tls::Authority,
        tools_dir,
    },
};

const PERSON: &str = "ada";
const PROFILE: &str = "shop";
const ACCOUNT: &str = "222233334444";
const ROLE: &str = "ReadOnly";
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// What a person who also has IAM Identity Center has in the same folder.
const STRAY: &str = "aoaAAAAAGstray-token-of-the-real-identity-center";

/// The program, the sample directory behind it, and moto as AWS.
struct Stage {
    process: Process,
    moto: Moto,
    origin: String,
    /// The certificate to trust, where it serves TLS.
    authority: Option<PathBuf>,
    dir: TempDir,
    _directory: RunningDirectory,
}

impl Stage {
    fn start(has_tls: bool) -> Self {
        let dir = temporary_dir("stock");
        let directory = Directory::sample().start(LOOPBACK).unwrap();
        let moto = Moto::start();
        write_broker_keys(dir.path());
        let files = has_tls.then(|| {
            Authority::new().write_server_files(dir.path(), &[Ipv4Addr::LOCALHOST.into()])
        });
        let tls = files.as_ref().map(|files| {
            let (certificate, key) = (files.certificate.display(), files.key.display());
            format!("tls_certificate = \"{certificate}\"\ntls_key = \"{key}\"\n")
        });
        let mut origin = String::new();
        let process = Process::start(dir.path(), |listen, operations| {
            let scheme = if has_tls { "https" } else { "http" };
            origin = format!("{scheme}://{listen}");
            let tls = tls.unwrap_or_default();
            let server = format!(
                "public_url = \"{origin}\"\n[server]\nlisten = \"{listen}\"\n\
                 operations_listen = \"{operations}\"\n{tls}"
            );
            server + &configuration(dir.path(), &directory, &moto.url())
        });
        let table = dir.path().join("table.toml");
        fs::write(&table, sample::mapping_toml()).unwrap();
        run(&process, &["mapping", "import", table.to_str().unwrap()]);
        Self {
            process,
            moto,
            origin,
            authority: files.map(|files| files.ca),
            dir,
            _directory: directory,
        }
    }

    /// Where people who have a certificate of ours begin, and a name of AWS's that is never asked.
    fn start_url(&self) -> String {
        match self.authority {
            Some(_) => format!("{}/start", self.origin),
            None => "https://d-0000000000.awsapps.com/start".to_owned(),
        }
    }

    /// The sections of `docs/aws-cli.md`, and moto where AWS would be.
    fn services(&self) -> String {
        let (origin, moto) = (&self.origin, self.moto.url());
        format!(
            "[services rolegate]\n\
             sso =\n  endpoint_url = {origin}/aws\n\
             sso_oidc =\n  endpoint_url = {origin}/aws\n\
             sso-oidc =\n  endpoint_url = {origin}/aws\n\
             sts =\n  endpoint_url = {moto}\n\
             s3 =\n  endpoint_url = {moto}\n"
        )
    }

    /// A profile with a session, for which tokens are renewed.
    fn profile(&self) -> String {
        format!(
            "[profile {PROFILE}]\n\
             sso_session = rolegate\n\
             sso_account_id = {ACCOUNT}\n\
             sso_role_name = {ROLE}\n\
             services = rolegate\n\
             region = eu-west-1\n\
             \n\
             [sso-session rolegate]\n\
             sso_start_url = {}\n\
             sso_region = us-east-1\n\
             sso_registration_scopes = sso:account:access\n\
             \n{}",
            self.start_url(),
            self.services()
        )
    }

    /// A profile as it was before there were sessions.
    fn legacy_profile(&self) -> String {
        format!(
            "[profile {PROFILE}]\n\
             sso_start_url = {}\n\
             sso_region = us-east-1\n\
             sso_account_id = {ACCOUNT}\n\
             sso_role_name = {ROLE}\n\
             services = rolegate\n\
             region = eu-west-1\n\
             \n{}",
            self.start_url(),
            self.services()
        )
    }

    /// A home folder with a configuration.
    fn home(&self, config: &str) -> Home<'_> {
        let dir = tempfile::Builder::new()
            .prefix("home-")
            .tempdir_in(self.dir.path())
            .unwrap();
        fs::create_dir(dir.path().join(".aws")).unwrap();
        fs::write(dir.path().join(".aws/config"), config).unwrap();
        Home { stage: self, dir }
    }
}

fn configuration(dir: &Path, directory: &RunningDirectory, sts: &str) -> String {
    let dir = dir.display();
    format!(
        r#"
        [store]
        url = "sqlite://{dir}/rolegate.db"

        [[connector]]
        id = "corp"
        type = "ldap"
        preset = "openldap"
        label = "Directory"
        urls = ["{}"]
        bind_dn = "{}"
        bind_password = "{}"
        user_base = "{}"
        group_base = "{}"

        [aws]
        default_region = "eu-west-1"
        sts_endpoint = "{sts}"

        [[aws.credential_source]]
        id = "default"
        type = "environment-file"
        path = "{dir}/aws.env"
        "#,
        directory.url(),
        sample::SERVICE_DN,
        sample::SERVICE_PASSWORD,
        sample::PEOPLE_BASE,
        sample::GROUPS_BASE
    )
}

/// What one person has on their machine.
struct Home<'s> {
    stage: &'s Stage,
    dir: TempDir,
}

impl Home<'_> {
    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A tool that knows this home folder, the profile and whom to trust.
    fn dressed(&self, mut command: Command) -> Command {
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path())
            .env("AWS_PROFILE", PROFILE)
            .env("AWS_PAGER", "")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("PYTHONUNBUFFERED", "1");
        if let Some(authority) = &self.stage.authority {
            command
                .env("AWS_CA_BUNDLE", authority)
                .env("NODE_EXTRA_CA_CERTS", authority);
        }
        command
    }

    fn aws(&self, cli: &AwsCli, arguments: &[&str]) -> Command {
        let mut command = Command::new(&cli.path);
        command.args(arguments);
        self.dressed(command)
    }

    /// What a call of the command line prints; panics with its words when it fails.
    fn told(&self, cli: &AwsCli, arguments: &[&str]) -> String {
        printed(&mut self.aws(cli, arguments))
    }

    /// Whom STS takes the credentials for.
    fn caller(&self, cli: &AwsCli) -> String {
        let query = ["--query", "Arn", "--output", "text"];
        let told = self.told(cli, &[&["sts", "get-caller-identity"], &query[..]].concat());
        told.trim().to_owned()
    }

    /// The file of the token, and what is in it.
    fn token(&self) -> (PathBuf, Value) {
        let found = self.tokens();
        assert_eq!(found.len(), 1, "{found:?}");
        found.into_iter().next().unwrap()
    }

    fn tokens(&self) -> Vec<(PathBuf, Value)> {
        let Ok(files) = fs::read_dir(self.path().join(".aws/sso/cache")) else {
            return Vec::new();
        };
        let files = files.map(|file| file.unwrap().path()).map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, serde_json::from_str::<Value>(&text).unwrap())
        });
        files
            .filter(|(_, content)| !content["accessToken"].is_null())
            .collect()
    }

    /// Makes the tools believe that token and credentials have ended; returns the token as it was.
    fn expire(&self) -> Value {
        let (path, token) = self.token();
        let mut ended = token.clone();
        ended["expiresAt"] = json!("2026-01-01T00:00:00Z");
        fs::write(path, ended.to_string()).unwrap();
        let credentials = self.path().join(".aws/cli/cache");
        if credentials.exists() {
            fs::remove_dir_all(credentials).unwrap();
        }
        token
    }

    /// Panics unless the token was renewed since it was `before`.
    fn has_renewed(&self, before: &Value, who: &str) {
        let (_, now) = self.token();
        for part in ["accessToken", "refreshToken"] {
            assert!(now[part].is_string(), "{who}: {part} is missing");
            assert!(now[part] != before[part], "{who} has not renewed {part}");
        }
        assert_ne!(now["expiresAt"], "2026-01-01T00:00:00Z", "{who}");
    }

    /// `aws sso login`, with somebody at the browser that it opens.
    async fn sign_in(&self, cli: &AwsCli, more: &[&str]) {
        let arguments = [&["sso", "login"], more].concat();
        self.sign_in_by(self.aws(cli, &arguments)).await;
    }

    async fn sign_in_by(&self, mut command: Command) {
        let browser = self.path().join("browser");
        fs::write(&browser, "#!/bin/sh\necho \"opened $1\"\n").unwrap();
        make_executable(&browser);
        command.env("BROWSER", &browser);
        let thanks = "Request approved|credentials have been shared";
        sign_in_with_a_browser(command, "opened ", thanks, "Successfully logged into").await;
    }

    /// Our own program, which says what it has to say on one stream.
    fn rolegate(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 2>&1"]);
        command.arg(env!("CARGO_BIN_EXE_rolegate")).args(arguments);
        self.dressed(command)
    }
}

/// Signs somebody in for a command that says which address it opens, behind `opens`.
async fn sign_in_with_a_browser(command: Command, opens: &str, thanks: &str, done: &str) {
    let mut login = Login::begin(command);
    let (url, code) = tokio::task::block_in_place(|| login.opened(opens));
    let asked = json!({ "url": url, "username": PERSON, "code": code, "thanks": thanks });
    run_browser_script("sso", &[&asked.to_string()]).await;
    tokio::task::block_in_place(|| login.succeed(done));
}

/// A sign-in that waits for its browser; killed when dropped.
struct Login {
    child: Child,
    output: BufReader<ChildStdout>,
    said: String,
}

impl Login {
    fn begin(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            output,
            said: String::new(),
        }
    }

    /// The address that it opens, and the code that it showed before.
    fn opened(&mut self, opens: &str) -> (String, Option<String>) {
        loop {
            let begins_at = self.said.len();
            if self.output.read_line(&mut self.said).unwrap() == 0 {
                self.fail("opened no browser");
            }
            if self.said[begins_at..].starts_with(opens) {
                let code = self.said.lines().find(|line| is_code(line));
                let url = self.said[begins_at..].trim().trim_start_matches("opened ");
                return (url.to_owned(), code.map(str::to_owned));
            }
        }
    }

    fn succeed(mut self, done: &str) {
        self.output.read_to_string(&mut self.said).unwrap();
        if !self.child.wait().unwrap().success() {
            self.fail("did not sign in");
        }
        assert!(self.said.contains(done), "{}", self.said);
    }

    fn fail(&mut self, how: &str) -> ! {
        let mut errors = String::new();
        let _ = self.child.kill();
        let _ = (self.child.stderr.take()).map(|mut stderr| stderr.read_to_string(&mut errors));
        panic!("the command {how}:\n{}\n{errors}", self.said);
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ten letters, as we show them.
fn is_code(line: &str) -> bool {
    line.len() == 11
        && line.bytes().enumerate().all(|(place, byte)| match place {
            5 => byte == b'-',
            _ => byte.is_ascii_uppercase(),
        })
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;

    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn printed(command: &mut Command) -> String {
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{command:?} failed:\n{out}{err}");
    out.into_owned()
}

/// What a call prints that has to fail.
fn refused(command: &mut Command) -> String {
    let output = tokio::task::block_in_place(|| command.output().unwrap());
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{command:?} succeeded:\n{out}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn is_person(arn: &str) {
    let role = format!("arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/");
    assert!(arn.starts_with(&role) && arn.contains(PERSON), "{arn}");
}

fn works_at_aws(home: &Home<'_>, cli: &AwsCli) {
    is_person(&home.caller(cli));
    let bucket = format!("reports-of-{}", cli.version.replace('.', "-"));
    home.told(cli, &["s3", "mb", &format!("s3://{bucket}")]);
    let listed = home.told(cli, &["s3", "ls"]);
    assert!(listed.contains(&bucket), "{listed}");
}

fn renews_without_asking(home: &Home<'_>, cli: &AwsCli) {
    let before = home.expire();
    is_person(&home.caller(cli));
    home.has_renewed(&before, &format!("AWS CLI {}", cli.version));
}

/// Every account once and every role once, on pages of one.
fn lists_what_is_held(home: &Home<'_>, cli: &AwsCli) {
    let (_, token) = home.token();
    let token = token["accessToken"].as_str().unwrap().to_owned();
    let list = |what: &[&str]| -> Vec<String> {
        let common = [
            "--access-token",
            &token,
            "--page-size",
            "1",
            "--output",
            "text",
        ];
        let told = home.told(cli, &[&["sso"], what, &common[..]].concat());
        told.split_whitespace().map(str::to_owned).collect()
    };
    let accounts = list(&["list-accounts", "--query", "accountList[].accountId"]);
    assert!(
        accounts.len() > 1 && accounts.contains(&ACCOUNT.to_owned()),
        "{accounts:?}"
    );
    let roles = ["list-account-roles", "--query", "roleList[].roleName"];
    let roles = list(&[&roles[..], &["--account-id", ACCOUNT]].concat());
    assert!(roles.contains(&ROLE.to_owned()), "{roles:?}");
    for mut listed in [accounts, roles] {
        let all = listed.len();
        listed.sort_unstable();
        listed.dedup();
        assert_eq!(listed.len(), all);
    }
}

/// The command line sends every token that it finds to whatever endpoint is configured.
fn signs_out_and_strays_are_not_kept(home: &Home<'_>, cli: &AwsCli) {
    let stray = json!({
        "startUrl": "https://d-1234567890.awsapps.com/start",
        "region": "us-east-1",
        "accessToken": STRAY,
        "expiresAt": "2099-01-01T00:00:00Z",
    });
    let file = home.path().join(".aws/sso/cache/stray.json");
    fs::write(file, stray.to_string()).unwrap();
    home.told(cli, &["sso", "logout"]);
    assert!(home.tokens().is_empty());
    let told = refused(&mut home.aws(cli, &["sts", "get-caller-identity"]));
    assert!(told.to_lowercase().contains("sso"), "{told}");
}

fn kept_nowhere(stage: &Stage, secrets: &[String]) {
    let log = stage.process.log();
    assert!(log.contains("/aws/logout"), "the log is that of the calls");
    let mut kept = vec![("the log", log.into_bytes())];
    for name in ["rolegate.db", "rolegate.db-wal"] {
        let path = stage.dir.path().join(name);
        kept.extend(path.exists().then(|| (name, fs::read(&path).unwrap())));
    }
    for secret in secrets {
        for (place, bytes) in &kept {
            let is_there = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!is_there, "{place} has {}…", &secret[..8]);
        }
    }
}

fn texts(token: &Value) -> impl Iterator<Item = String> {
    let parts = ["accessToken", "refreshToken", "clientSecret"];
    parts
        .map(|part| token[part].as_str().unwrap().to_owned())
        .into_iter()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aws_cli_signs_in_with_a_browser_works_renews_and_signs_out() {
    let stage = Stage::start(true);
    let mut secrets = vec![STRAY.to_owned()];
    for cli in aws_cli() {
        let home = stage.home(&stage.profile());
        home.sign_in(&cli, &[]).await;
        works_at_aws(&home, &cli);
        lists_what_is_held(&home, &cli);
        secrets.extend(texts(&home.token().1));
        renews_without_asking(&home, &cli);
        secrets.extend(texts(&home.token().1));
        signs_out_and_strays_are_not_kept(&home, &cli);
    }
    kept_nowhere(&stage, &secrets);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aws_cli_signs_in_with_a_code_on_a_machine_without_a_browser() {
    let stage = Stage::start(false);
    for cli in aws_cli() {
        let home = stage.home(&stage.profile());
        home.sign_in(&cli, &["--use-device-code"]).await;
        works_at_aws(&home, &cli);
        let (_, token) = home.token();
        home.told(&cli, &["sso", "logout"]);
        let answer = client()
            .get(format!("{}/aws/assignment/accounts", stage.origin))
            .header(
                "x-amz-sso_bearer_token",
                token["accessToken"].as_str().unwrap(),
            );
        assert_eq!(answer.send().await.unwrap().status(), 401);

        // Profiles of old know nothing but the code.
        let home = stage.home(&stage.legacy_profile());
        home.sign_in(&cli, &[]).await;
        is_person(&home.caller(&cli));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sdks_use_and_renew_what_the_command_line_signed_in_to() {
    let stage = Stage::start(false);
    let cli = aws_cli().swap_remove(0);
    let home = stage.home(&stage.profile());
    home.sign_in(&cli, &[]).await;
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/verifiers");

    // Each with a token that has ended, one behind the other: who loses one that was renewed has
    // the next one signed out.
    let before = home.expire();
    let mut boto3 = Command::new(tools_dir().join("venv/bin/python"));
    boto3.arg(scripts.join("call_aws.py"));
    is_person(&printed(&mut home.dressed(boto3)));
    home.has_renewed(&before, "boto3");

    let before = home.expire();
    let mut javascript = Command::new("node");
    javascript.arg(scripts.join("call_aws.mjs"));
    is_person(&printed(&mut home.dressed(javascript)));
    home.has_renewed(&before, "the SDK for JavaScript");

    let before = home.expire();
    is_person(&asked_by_the_rust_sdk(&home).await);
    home.has_renewed(&before, "the SDK for Rust");

    is_person(&home.caller(&cli));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_that_our_client_writes_work_in_the_aws_cli_both_ways() {
    let stage = Stage::start(false);
    let (own, stock) = (stage.home(""), stage.home(""));
    let state = own.path().join("state");
    let aware = |command| at_moto(&stage, &state, command);
    let login = own.rolegate(&["login", &stage.origin, "--no-browser"]);
    sign_in_with_a_browser(aware(login), "  http", ".", "Signed in at").await;
    let query = WHO_AM_I;

    // Our program behind each profile.
    printed(&mut aware(own.rolegate(&["aws-config", "--write"])));
    for cli in aws_cli() {
        is_person(printed(&mut aware(own.aws(&cli, &query))).trim());
    }
    // None of ours: AWS's tools sign in themselves.
    printed(&mut aware(stock.rolegate(&[
        "aws-config",
        "--sso",
        "--write",
    ])));
    for cli in aws_cli() {
        stock
            .sign_in_by(aware(stock.aws(&cli, &["sso", "login"])))
            .await;
        is_person(printed(&mut aware(stock.aws(&cli, &query))).trim());
        printed(&mut aware(stock.aws(&cli, &["sso", "logout"])));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_of_our_clients_credentials_works_in_the_aws_cli_and_boto3() {
    let stage = Stage::start(false);
    let home = stage.home("");
    let state = home.path().join("state");
    let login = home.rolegate(&["login", &stage.origin, "--no-browser"]);
    let login = at_moto(&stage, &state, login);
    sign_in_with_a_browser(login, "  http", ".", "Signed in at").await;
    let rolegate = env!("CARGO_BIN_EXE_rolegate");
    let role = format!("{ACCOUNT}/{ROLE}");
    let boto3 = format!(
        "{} {}",
        tools_dir().join("venv/bin/python").display(),
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/support/verifiers/call_aws.py")
            .display()
    );
    let mut callers: Vec<String> = (aws_cli().iter())
        .map(|cli| format!("{} {}", cli.path.display(), WHO_AM_I.join(" ")))
        .collect();
    callers.push(boto3);
    for caller in &callers {
        for form in [
            format!("eval \"$({rolegate} credentials {role} --format env)\"; {caller}"),
            format!("env $({rolegate} credentials {role} --format env-no-export) {caller}"),
            format!(
                "{rolegate} credentials --all --format ini > $HOME/file; \
                 AWS_SHARED_CREDENTIALS_FILE=$HOME/file AWS_PROFILE={OWN_PROFILE} {caller}"
            ),
            format!(
                "printf '[profile x]\\ncredential_process = {rolegate} credentials {role} --format \
                 process\\n' > $HOME/config; AWS_CONFIG_FILE=$HOME/config AWS_PROFILE=x {caller}"
            ),
            format!("{rolegate} exec {role} -- {caller}"),
            format!("{rolegate} exec {role} --container -- {caller}"),
        ] {
            let mut command = Command::new("bash");
            command.args(["-ec", &form]);
            let mut command = at_moto(&stage, &state, home.dressed(command));
            command.env_remove("AWS_PROFILE");
            is_person(printed(&mut command).trim());
        }
    }
}

/// The name that our client gives to the profile of [`ROLE`].
const OWN_PROFILE: &str = "web-shop-production-readonly";
const WHO_AM_I: [&str; 6] = [
    "sts",
    "get-caller-identity",
    "--query",
    "Arn",
    "--output",
    "text",
];

/// With our client's profile and its folder, and moto where AWS would be.
fn at_moto(stage: &Stage, state: &Path, mut command: Command) -> Command {
    command
        .env("ROLEGATE_STATE_DIR", state)
        .env("AWS_PROFILE", OWN_PROFILE)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_DEFAULT_REGION", "eu-west-1")
        .env("AWS_ENDPOINT_URL_STS", stage.moto.url());
    command
}

/// aws-config's own chain, as an application in Rust has it.
async fn asked_by_the_rust_sdk(home: &Home<'_>) -> String {
    let path = home.path().to_str().unwrap();
    let environment = Env::from_slice(&[("HOME", path), ("AWS_PROFILE", PROFILE)]);
    let config = aws_config::defaults(aws_config::BehaviorVersion::latest())
        .env(environment)
        .load()
        .await;
    let sts = aws_sdk_sts::Client::new(&config);
    let answer = sts.get_caller_identity().send().await.unwrap();
    answer.arn().unwrap().to_owned()
}
