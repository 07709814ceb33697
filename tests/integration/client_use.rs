//! What the client's commands are used for: shells, SDKs, profiles, the console, each by a real reader.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use serde_json::Value;

use super::client::{Ended, Machine, SHOP_READER, run};
use crate::support::{app::TestApp, cookie_browser::client, tools_dir};

/// Says who it is by STS at the address in its first argument, as the default chain of boto3 finds
/// out.
const WHO: &str = "import boto3, sys; \
    print(boto3.client('sts', endpoint_url=sys.argv[1], region_name='eu-west-1')\
    .get_caller_identity()['Arn'])";

async fn ask_aws(app: &TestApp, mut command: Command) -> String {
    command.args(["-c", WHO, app.aws.url().as_str()]);
    let ended = run(command).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.out
}

fn python() -> String {
    tools_dir().join("venv/bin/python").display().to_string()
}

const WHO_AT_THE_SHOP: &str = "arn:aws:sts::222233334444:assumed-role/ReadOnly/";

#[tokio::test(flavor = "multi_thread")]
async fn shells_take_credentials_and_forget_them() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    let program = env!("CARGO_BIN_EXE_rolegate");
    let check = format!("{} -c \"{WHO}\" {}", python(), app.aws.url());
    for shell in ["bash", "dash", "zsh"] {
        let mut command = machine.tool(shell);
        command.arg("-c").arg(format!(
            "eval \"$({program} credentials {SHOP_READER} --format env)\"; {check}; \
             eval \"$({program} credentials --unset --format env)\"; \
             echo \"left:$AWS_SESSION_TOKEN$AWS_ACCESS_KEY_ID\""
        ));
        took_and_forgot(shell, &run(command).await);
    }
    let mut command = machine.tool("fish");
    command.arg("-c").arg(format!(
        "{program} credentials {SHOP_READER} --format fish | source; {check}; \
         {program} credentials --unset --format fish | source; \
         echo \"left:$AWS_SESSION_TOKEN$AWS_ACCESS_KEY_ID\""
    ));
    took_and_forgot("fish", &run(command).await);
}

fn took_and_forgot(shell: &str, ended: &Ended) {
    assert_eq!(ended.code, 0, "{shell}: {ended:?}");
    assert!(ended.out.starts_with(WHO_AT_THE_SHOP), "{shell}: {ended:?}");
    assert!(ended.out.ends_with("left:\n"), "{shell}: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_read_what_they_read_from_aws() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    let text = machine.done(&["credentials", SHOP_READER]).await;
    let json: Value = serde_json::from_str(&text).unwrap();
    assert!(json["Credentials"]["SessionToken"].is_string(), "{text}");
    let arn = json["AssumedRoleUser"]["Arn"].as_str().unwrap();
    assert!(arn.starts_with(WHO_AT_THE_SHOP), "{arn}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sections_of_a_file_are_profiles_of_boto3() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    let text = machine
        .done(&["credentials", "--all", "--format", "ini"])
        .await;
    fs::write(machine.path("credentials"), &text).unwrap();
    let profile = text
        .lines()
        .find(|line| line.starts_with('[') && line.contains("readonly"))
        .unwrap()
        .trim_matches(['[', ']']);
    let mut command = machine.tool(&python());
    command.env("AWS_SHARED_CREDENTIALS_FILE", machine.path("credentials"));
    command.env("AWS_PROFILE", profile);
    let arn = ask_aws(&app, command).await;
    assert!(arn.contains(":assumed-role/"), "{arn}");
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_are_written_beside_what_others_wrote_and_used_by_boto3() {
    const FOREIGN: &[u8] =
        b"[default]\r\nregion = eu-west-1\n# mine\n\n[profile mine]\noutput = json";
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    fs::create_dir(machine.path(".aws")).unwrap();
    let file = machine.path(".aws/config");
    fs::write(&file, FOREIGN).unwrap();
    let preview = machine.done(&["aws-config"]).await;
    assert!(preview.starts_with("+[profile "), "{preview}");
    assert_eq!(
        fs::read(&file).unwrap(),
        FOREIGN,
        "a preview writes nothing"
    );
    machine.done(&["aws-config", "--write"]).await;
    let written = fs::read(&file).unwrap();
    assert!(written.starts_with(FOREIGN));
    machine.done(&["aws-config", "--write"]).await;
    assert_eq!(
        fs::read(&file).unwrap(),
        written,
        "a second time changes nothing"
    );
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = String::from_utf8_lossy(&written).into_owned();
    let before = text.split(SHOP_READER).next().unwrap();
    let profile = before
        .rsplit("[profile ")
        .next()
        .unwrap()
        .split(']')
        .next()
        .unwrap();
    let mut command = machine.tool(&python());
    command.env("AWS_PROFILE", profile);
    // What boto3 starts finds the sign-in by the variables that it was given.
    let arn = ask_aws(&app, command).await;
    assert!(arn.starts_with(WHO_AT_THE_SHOP), "{arn}");
    machine.done(&["aws-config", "--write", "--sso"]).await;
    let sso = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
    assert!(
        sso.contains("sso_account_id = 222233334444\nsso_role_name = ReadOnly\n"),
        "{sso}"
    );
    assert!(!sso.contains("credential_process"), "{sso}");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_run_with_the_role_and_end_as_they_end() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    let exec = |words: &[&str]| {
        let mut command = machine.command(&["exec", SHOP_READER]);
        command
            .env("AWS_PROFILE", "stale")
            .env("AWS_WEB_IDENTITY_TOKEN_FILE", "/stale");
        command.args(words);
        command
    };
    let python = python();
    let ask = ["--", &python, "-c", WHO, app.aws.url().as_str()].map(str::to_owned);
    let ask: Vec<&str> = ask.iter().map(String::as_str).collect();
    let with_endpoint = [&["--container"], ask.as_slice()].concat();
    for words in [ask.as_slice(), &with_endpoint] {
        let ended = run(exec(words)).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.out.starts_with(WHO_AT_THE_SHOP), "{ended:?}");
    }
    for more in [&[][..], &["--container"]] {
        let code = |script| {
            let command = exec(&[more, &["--", "sh", "-c", script]].concat());
            async move { run(command).await }
        };
        assert_eq!(code("exit 7").await.code, 7);
        let role = code("printf %s \"$ROLEGATE_ROLE$AWS_PROFILE$AWS_WEB_IDENTITY_TOKEN_FILE\"");
        assert_eq!(role.await.out, SHOP_READER);
        let missing = run(exec(&[more, &["--", "/no/such/program"]].concat())).await;
        assert_eq!(missing.code, 127);
        assert!(missing.err.contains("/no/such/program"), "{missing:?}");
    }
    let killed = run(exec(&["--container", "--", "sh", "-c", "kill -TERM $$"])).await;
    assert_eq!(killed.code, 128 + 15);
    let keys = "printf %s \"$AWS_ACCESS_KEY_ID\"";
    let keys = run(exec(&["--container", "--", "sh", "-c", keys])).await;
    assert_eq!(
        keys.out, "",
        "with an endpoint there are no keys in the environment"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_answers_its_own_child_alone() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    let script = "import os, urllib.request as r, urllib.error as e\n\
        def ask(token, path=''):\n\
        \x20   q = r.Request(os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'] + path,\n\
        \x20       headers={'Authorization': token})\n\
        \x20   try: return r.urlopen(q).status\n\
        \x20   except e.HTTPError as error: return error.code\n\
        t = os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN']\n\
        print(ask(t), ask(''), ask('x' + t), ask(t, '/other'))";
    let mut command = machine.command(&["exec", SHOP_READER, "--container", "--"]);
    command.arg(python()).args(["-c", script]);
    let ended = run(command).await;
    assert_eq!(ended.out, "200 401 401 404\n", "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_opens_in_a_browser_that_is_told_no_secret_by_its_arguments() {
    let app = TestApp::start().await;
    let machine = Machine::of(&app, "ada").await;
    let printed = machine
        .done(&["console", SHOP_READER, "--service", "s3", "--print"])
        .await;
    let answer = client().get(printed.trim()).send().await.unwrap();
    assert!(answer.status().as_u16() < 400, "{}", answer.status());
    let browser = machine.path("browser");
    let script = "#!/usr/bin/python3\nimport os, sys, urllib.request\n\
        open(os.environ['HOME'] + '/argument', 'w').write(sys.argv[1])\n\
        urllib.request.urlopen(sys.argv[1])\n";
    fs::write(&browser, script).unwrap();
    fs::set_permissions(&browser, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = machine.command(&["console", SHOP_READER]);
    command.env("BROWSER", &browser);
    let ended = run(command).await;
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{ended:?}");
    let argument = fs::read_to_string(machine.path("argument")).unwrap();
    assert!(argument.starts_with("http://127.0.0.1:") && !argument.contains("SigninToken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_manual_pages_name_every_command() {
    let app = TestApp::start().await;
    let machine = Machine::new(&app);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = machine.done(&["completions", shell]).await;
        assert!(
            script.contains("aws-config") && script.contains("credentials"),
            "{shell}"
        );
    }
    let bash = machine.done(&["completions", "bash"]).await;
    fs::write(machine.path("completions"), bash).unwrap();
    let mut command = machine.tool("bash");
    command.arg("-n").arg(machine.path("completions"));
    assert_eq!(run(command).await.code, 0);
    let folder = machine.path("man").display().to_string();
    fs::create_dir(&folder).unwrap();
    machine.done(&["man", &folder]).await;
    assert!(fs::exists(machine.path("man/rolegate-credentials.1")).unwrap());
}
