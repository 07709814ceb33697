//! What AWS's own tools speak: the wire as they send it, every error by its name, pages of long lists,
//! and boto3 itself.

use std::{fmt::Write as _, process::Command};

use reqwest::Method;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use rolegate::clock::Clock as _;

use crate::{
    aws_tool::{Tool, answered, path, press},
    support::{
        app::{Options, TestApp},
        children::run_or_panic,
        cookie_browser::client,
        tools_dir,
    },
};

const READER: &str = "federation/credentials?role_name=ReadOnly&account_id=222233334444";

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_tool_signs_in_by_a_browser_and_takes_credentials_until_it_signs_out() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;

    // The browser that the tool opens is not signed in yet; it comes back to the question.
    let mut browser = app.browser();
    browser.headers = vec![("sec-fetch-site".to_owned(), "none".to_owned())];
    let question = path(&tool.question());
    let away = browser.get(&question).await;
    assert_eq!(away.status, 303);
    browser.headers = vec![("sec-fetch-site".to_owned(), "same-origin".to_owned())];
    let login = browser.get(away.location()).await;
    let next = next_field(&login.body);
    let fields = [
        ("username", "linus"),
        ("password", "linus-demo"),
        ("next", next.as_str()),
    ];
    let back = browser.post("/login/corp", &fields).await;
    assert_eq!(back.status, 303, "{}", back.body);
    let page = browser.get(back.location()).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("botocore-client-corp"));
    assert!(page.body.contains("linus"));
    assert!(page.body.contains("127.0.0.1:43211"));

    let answer = press(&mut browser, &page, "/authorize", "allow").await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let sent = answered(&answer);
    assert_eq!(sent["state"], tool.question()["state"]);
    assert_eq!(sent.len(), 2, "{sent:?}");

    let tokens = tool.redeem(&sent["code"]).await;
    assert_eq!(tokens.status, 200, "{tokens:?}");
    assert_eq!(tokens.body["tokenType"], "Bearer");
    assert_eq!(tokens.body["expiresIn"], 3_600);
    let token = tokens.text("accessToken");

    let accounts = tool.get("assignment/accounts?max_result=100", &token).await;
    assert_eq!(
        accounts.body,
        json!({ "accountList": [
            { "accountId": "222233334444", "accountName": "Web shop production" }
        ]})
    );
    let roles = "assignment/roles?account_id=222233334444";
    assert_eq!(
        tool.get(roles, &token).await.body,
        json!({ "roleList": [{ "roleName": "ReadOnly", "accountId": "222233334444" }] })
    );
    let credentials = tool.get(READER, &token).await;
    assert_eq!(credentials.status, 200, "{credentials:?}");
    let credentials = &credentials.body["roleCredentials"];
    assert!(
        credentials["accessKeyId"]
            .as_str()
            .unwrap()
            .starts_with("ASIA")
    );
    assert!(!credentials["sessionToken"].as_str().unwrap().is_empty());
    let expires = credentials["expiration"].as_i64().unwrap();
    let expires = OffsetDateTime::from_unix_timestamp(expires / 1_000).unwrap();
    assert!((Duration::ZERO..Duration::hours(13)).contains(&(expires - app.clock.now())));
    let event = app.last_audit_event().await;
    assert_eq!(event["action"], "credentials.issue", "{event}");

    let renewed = tool.renew(&tokens.text("refreshToken")).await;
    assert_eq!(renewed.status, 200, "{renewed:?}");
    let token = renewed.text("accessToken");
    assert_eq!(tool.get(roles, &token).await.status, 200);

    let gone = tool.with_token(Method::POST, "logout", &token).await;
    assert_eq!((gone.status, &gone.body), (200, &Value::Null));
    let refused = tool.get(roles, &token).await;
    assert_eq!(refused.outcome(), (401, "UnauthorizedException"));
    let refused = tool.renew(&renewed.text("refreshToken")).await;
    assert_eq!(refused.outcome(), (400, "InvalidGrantException"));
    let again = tool.with_token(Method::POST, "logout", &token).await;
    assert_eq!(again.status, 200);
}

fn next_field(html: &str) -> String {
    let found = regex::Regex::new(r#"name="next" value="([^"]*)""#).unwrap();
    found.captures(html).expect("a way back")[1].replace("&#38;", "&")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_says_when_it_ends_and_where_to_go_on() {
    let app = TestApp::start().await;
    let tool = Tool::stranger(&app);
    let wish = json!({
        "clientName": "x", "clientType": "public",
        "entitledApplicationArn": "arn:aws:sso::1:application/x", "later": { "member": [1] },
    });
    let registered = tool.post("client/register", &wish).await;
    let now = app.clock.now().unix_timestamp();
    assert_eq!(registered.body["clientIdIssuedAt"], now);
    assert!(registered.body["clientSecretExpiresAt"].as_i64().unwrap() > now + 86_400);
    assert_eq!(
        registered.text("authorizationEndpoint"),
        app.url.join("authorize").unwrap().as_str()
    );
    assert_eq!(
        registered.text("tokenEndpoint"),
        app.url.join("aws/token").unwrap().as_str()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_the_name_that_clients_look_for() {
    let app = TestApp::start().await;
    let tool = Tool::by_device(&app).await;
    let registration = |key: &str, value: Value| {
        let mut wish = json!({ "clientName": "x", "clientType": "public" });
        wish[key] = value;
        wish
    };
    let invalid = "InvalidRequestException";
    for (path, body, name) in [
        (
            "client/register",
            registration("clientName", Value::Null),
            invalid,
        ),
        (
            "client/register",
            registration("clientName", json!(["x"])),
            invalid,
        ),
        ("client/register", json!("x"), invalid),
        (
            "client/register",
            registration("scopes", json!(["everything"])),
            "InvalidScopeException",
        ),
        (
            "client/register",
            registration("redirectUris", json!(["https://evil.example/cb"])),
            "InvalidRedirectUriException",
        ),
        (
            "client/register",
            registration("clientType", json!("confidential")),
            "InvalidClientMetadataException",
        ),
        (
            "device_authorization",
            json!({ "clientId": "a", "clientSecret": "b" }),
            invalid,
        ),
        ("token", json!({ "clientId": "a" }), invalid),
    ] {
        let answer = tool.post(path, &body).await;
        assert_eq!(answer.outcome(), (400, name), "{path} {body}");
        assert!(!answer.text("error_description").is_empty());
        assert!(!answer.text("error").is_empty());
    }
    let stranger = Tool::stranger(&app);
    for answer in [
        stranger.renew("rgr_x").await,
        stranger
            .post(
                "device_authorization",
                &json!({ "clientId": "a", "clientSecret": "b", "startUrl": "https://x" }),
            )
            .await,
    ] {
        assert_eq!(answer.outcome(), (401, "InvalidClientException"));
    }
    for (members, name) in [
        (
            json!({ "grantType": "password" }),
            "UnsupportedGrantTypeException",
        ),
        (json!({ "grantType": "refresh_token" }), invalid),
        (
            json!({ "grantType": "authorization_code", "code": "x" }),
            invalid,
        ),
    ] {
        let answer = tool.token(members).await;
        assert_eq!(answer.outcome(), (400, name));
    }
    assert_eq!(
        tool.poll("rgd_unknown").await.outcome(),
        (400, "InvalidGrantException")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_and_credentials_take_no_parameter_that_they_do_not_know() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("ada").await;
    let token = tool.signed_in(&mut browser).await.text("accessToken");
    let other_list = {
        let first = tool.get("assignment/accounts?max_result=1", &token).await;
        first.text("nextToken")
    };
    let roles = "assignment/roles?account_id=111122223333";
    for path in [
        "assignment/accounts?max_result=0".to_owned(),
        "assignment/accounts?max_result=101".to_owned(),
        "assignment/accounts?max_result=x".to_owned(),
        "assignment/accounts?max_results=10".to_owned(),
        "assignment/accounts?max_result=1&max_result=1".to_owned(),
        "assignment/accounts?next_token=nonsense".to_owned(),
        "assignment/accounts?account_id=111122223333".to_owned(),
        "assignment/roles".to_owned(),
        "assignment/roles?account_id=1111".to_owned(),
        format!("{roles}&next_token={other_list}"),
        "federation/credentials?account_id=111122223333".to_owned(),
        "federation/credentials?role_name=ReadOnly".to_owned(),
        format!("{READER}&region=eu-west-1"),
    ] {
        let answer = tool.get(&path, &token).await;
        assert_eq!(answer.outcome(), (400, "InvalidRequestException"), "{path}");
        assert!(!answer.text("message").is_empty());
    }
    let nothing = tool
        .get("assignment/roles?account_id=999988887777", &token)
        .await;
    assert_eq!(nothing.outcome(), (404, "ResourceNotFoundException"));
    // Somebody else's role, and one that is not there, read alike.
    let forbidden = |name: &str| {
        let path = format!("federation/credentials?role_name={name}&account_id=222233334444");
        let (tool, token) = (&tool, &token);
        async move { tool.get(&path, token).await }
    };
    let [theirs, nobodys] = [forbidden("OrderDesk").await, forbidden("NotThere1").await];
    assert_eq!(theirs.outcome(), (403, "ForbiddenException"));
    assert_eq!(nobodys.outcome(), (403, "ForbiddenException"));
    assert_eq!(
        theirs.text("message").replace("OrderDesk", "NotThere1"),
        nobodys.text("message")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_operation_is_an_error_that_clients_can_read() {
    let app = TestApp::start().await;
    let tool = Tool::by_device(&app).await;
    let unknown = tool.get("assignment/nonsense", "x").await;
    assert_eq!(unknown.outcome(), (404, "UnknownOperationException"));
    let wrong = tool.get("token", "x").await;
    assert_eq!(wrong.outcome(), (405, "UnknownOperationException"));
    assert_eq!(wrong.headers["allow"], "POST");
    let large = json!({ "clientName": "x".repeat(70_000), "clientType": "public" });
    let large = tool.post("client/register", &large).await;
    assert_eq!(large.outcome(), (413, "InvalidRequestException"));
    assert_ne!(
        unknown.headers["x-amzn-requestid"],
        wrong.headers["x-amzn-requestid"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bearer_token_is_read_once_in_its_own_header_and_cookies_are_not() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    let token = tool.signed_in(&mut browser).await.text("accessToken");
    let accounts = app.url.join("aws/assignment/accounts").unwrap();
    let cookies: Vec<String> = (browser.cookies.iter())
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let name = "x-amz-sso_bearer_token";
    let requests = [
        client()
            .get(accounts.clone())
            .header("cookie", cookies.join("; ")),
        client().get(accounts.clone()).bearer_auth(&token),
        client()
            .get(accounts.clone())
            .header("x-amz-sso-bearer-token", &token),
        client()
            .get(accounts.clone())
            .header(name, &token)
            .header(name, "x"),
        client()
            .get(accounts)
            .header(name, format!("Bearer {token}")),
    ];
    for request in requests {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(
            answer.headers()["x-amzn-errortype"],
            "UnauthorizedException"
        );
    }
    // Elsewhere the header does not exist.
    let page = client().get(app.url.clone()).header(name, &token);
    assert_eq!(page.send().await.unwrap().status(), 303);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_awss_own_that_stray_here_leave_no_trace() {
    let app = TestApp::start().await;
    let tool = Tool::stranger(&app);
    let before = app.audit_rows().await.len();
    for token in [
        "aoaAAAAAGf-planted",
        "x",
        "rga_",
        "rga_planted-but-not-known",
    ] {
        let answer = tool.with_token(Method::POST, "logout", token).await;
        assert_eq!((answer.status, answer.body), (200, Value::Null), "{token}");
    }
    assert_eq!(app.audit_rows().await.len(), before);
    assert!(!app.metrics().await.contains("planted"));
}

/// A hundred and more accounts, one with many roles, and roles that ask for more than a token.
fn much() -> String {
    let group = "corp:cn=everyone,ou=groups,dc=example,dc=com";
    let mut toml = String::new();
    let mut role = |arn: &str, settings: &str, conditions: &str| {
        let _ = write!(
            toml,
            "\n[[role]]\narn = \"{arn}\"\n{settings}\n\
             [[mapping]]\ngroup = \"{group}\"\nrole = \"{arn}\"\n{conditions}\n"
        );
    };
    for number in 0..203 {
        let arn = format!("arn:aws:iam::6000000{number:05}:role/Reader");
        role(&arn, "", "");
    }
    for number in 0..250 {
        let arn = format!("arn:aws:iam::700000000000:role/team/Role{number:03}");
        role(&arn, "", "");
    }
    let other = "arn:aws:iam::800000000000:role";
    role(&format!("{other}/Reasoned"), "", "require_reason = true");
    let serial = "mfa_serial = \"arn:aws:iam::444455556666:mfa/rolegate\"";
    role(&format!("{other}/Coded"), serial, "");
    role(&format!("{other}/team/Free"), "", "");
    role(
        "arn:aws:iam::900000000000:role/Reasoned",
        "",
        "require_reason = true",
    );
    toml
}

async fn walked(tool: &Tool, token: &str, path: &str, member: &str) -> Vec<Vec<Value>> {
    let mut pages = Vec::new();
    let mut next = String::new();
    loop {
        let page = tool.get(&format!("{path}{next}"), token).await;
        assert_eq!(page.status, 200, "{page:?}");
        pages.push(page.body[member].as_array().unwrap().clone());
        match page.body.get("nextToken") {
            Some(token) => next = format!("&next_token={}", token.as_str().unwrap()),
            None => return pages,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_come_in_pages_without_the_roles_that_a_tool_cannot_open() {
    let app = TestApp::start_with(Options {
        mapping_toml: Some(much()),
        ..Options::default()
    })
    .await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("margaret").await;
    let token = tool.signed_in(&mut browser).await.text("accessToken");

    let pages = walked(
        &tool,
        &token,
        "assignment/accounts?max_result=37",
        "accountList",
    )
    .await;
    let accounts: Vec<&str> = (pages.iter().flatten())
        .map(|account| account["accountId"].as_str().unwrap())
        .collect();
    // The account whose only role asks for a reason is not among them.
    assert_eq!(accounts.len(), 205);
    assert!(accounts.is_sorted_by(|one, other| one < other));
    assert_eq!(pages[0].len(), 37);
    let default = walked(&tool, &token, "assignment/accounts?", "accountList").await;
    assert_eq!(
        default.iter().map(Vec::len).collect::<Vec<_>>(),
        [100, 100, 5]
    );

    let path = "assignment/roles?account_id=700000000000&max_result=100";
    let pages = walked(&tool, &token, path, "roleList").await;
    assert_eq!(
        pages.iter().map(Vec::len).collect::<Vec<_>>(),
        [100, 100, 50]
    );
    assert_eq!(pages[2][49]["roleName"], "Role249");

    let roles = "assignment/roles?account_id=800000000000";
    let names: Vec<String> = (walked(&tool, &token, roles, "roleList")
        .await
        .concat()
        .iter())
    .map(|role| role["roleName"].as_str().unwrap().to_owned())
    .collect();
    assert_eq!(names, ["Free"]);
    let none = tool
        .get("assignment/roles?account_id=900000000000", &token)
        .await;
    assert_eq!(none.body, json!({ "roleList": [] }));

    for name in ["Reasoned", "Coded"] {
        let path = format!("federation/credentials?account_id=800000000000&role_name={name}");
        let refused = tool.get(&path, &token).await;
        assert_eq!(refused.outcome(), (403, "ForbiddenException"));
        let message = refused.text("message");
        let page = message.split(' ').next_back().unwrap().to_owned();
        assert!(page.starts_with(app.url.as_str()), "{message}");
        let page = page.strip_prefix(app.url.as_str()).unwrap();
        let page = browser.get(&format!("/{page}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains(name));
    }
    // What AWS does not know is refused there, and said so.
    let free = "federation/credentials?account_id=800000000000&role_name=free";
    let refused = tool.get(free, &token).await;
    assert_eq!(refused.outcome(), (403, "ForbiddenException"));
    let event = app.last_audit_event().await;
    let id = event["request_id"].as_str().unwrap();
    assert!(refused.text("message").contains(id), "{refused:?} {event}");
    let arn = "arn:aws:iam::800000000000:role/team/Free";
    assert_eq!(event["role"], arn, "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_other_uses_opens_nothing_here() {
    let app = TestApp::start().await;
    let wish = json!({
        "clientName": "rolegate", "clientType": "public",
        "grantTypes": ["authorization_code", "refresh_token"],
        "redirectUris": ["http://127.0.0.1/oauth/callback"],
        "scopes": ["roles"],
    });
    let tool = Tool::registered(&app, &wish).await;
    let mut browser = app.signed_in("linus").await;
    let mut question = tool.question();
    question.remove("scopes");
    let page = browser.get(&path(&question)).await;
    let answer = press(&mut browser, &page, "/authorize", "allow").await;
    let tokens = tool.redeem(&answered(&answer)["code"]).await;
    let token = tokens.text("accessToken");
    for path in ["assignment/accounts", READER] {
        let refused = tool.get(path, &token).await;
        assert_eq!(refused.outcome(), (403, "ForbiddenException"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_goes_without_once_its_person_is_gone_or_signed_it_out() {
    let app = TestApp::start().await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    let tokens = tool.signed_in(&mut browser).await;
    let token = tokens.text("accessToken");
    assert_eq!(tool.get(READER, &token).await.status, 200);
    browser.get("/sessions").await;
    let gone = browser.post("/sessions/sign-out-everywhere", &[]).await;
    assert!(gone.status < 400, "{}", gone.body);
    let refused = tool.get(READER, &token).await;
    assert_eq!(refused.outcome(), (401, "UnauthorizedException"));
    let refused = tool.renew(&tokens.text("refreshToken")).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_that_asks_too_often_is_told_how_long_to_wait() {
    let app = TestApp::start_overriding(&[("API__REQUESTS_PER_MINUTE", "5")]).await;
    let tool = Tool::by_code(&app).await;
    let mut browser = app.signed_in("linus").await;
    let token = tool.signed_in(&mut browser).await.text("accessToken");
    for _ in 0..5 {
        assert_eq!(tool.get("assignment/accounts", &token).await.status, 200);
    }
    let refused = tool.get("assignment/accounts", &token).await;
    assert_eq!(refused.outcome(), (429, "TooManyRequestsException"));
    let wait = refused.headers["retry-after"].to_str().unwrap();
    assert!(wait.parse::<u64>().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_start_address_satisfies_the_command_line_and_leads_people_home() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let head = browser.send(Method::HEAD, "/start", None).await;
    assert_eq!(head.status, 302);
    assert_eq!(head.location(), "https://d-0000000000.awsapps.com/start");
    let page = browser.get("/start").await;
    assert_eq!((page.status, page.location()), (303, "/"));
}

/// What boto3 is made to do: everything that its two clients can, and each error by its class.
const BOTO: &str = r#"
import json, sys, urllib.request
import boto3
from botocore import UNSIGNED
from botocore.config import Config

def client(name):
    return boto3.client(name, region_name="us-east-1", endpoint_url=sys.argv[1] + "aws",
                        config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}))

oidc, sso = client("sso-oidc"), client("sso")
seen = {"errors": {}}

def expect(name, where, call, **arguments):
    try:
        call(**arguments)
    except getattr(where.exceptions, name) as error:
        seen["errors"][name] = error.response["ResponseMetadata"]["HTTPStatusCode"]
    else:
        raise SystemExit(f"no {name}")

expect("InvalidClientMetadataException", oidc, oidc.register_client, clientName="x", clientType="odd")
expect("InvalidScopeException", oidc, oidc.register_client, clientName="x", clientType="public", scopes=["odd"])
registered = oidc.register_client(clientName="boto3", clientType="public", scopes=["sso:account:access"])
proof = {key: registered[key] for key in ("clientId", "clientSecret")}
started = oidc.start_device_authorization(**proof, startUrl="https://d-0000000000.awsapps.com/start")
poll = {**proof, "grantType": "urn:ietf:params:oauth:grant-type:device_code", "deviceCode": started["deviceCode"]}
expect("AuthorizationPendingException", oidc, oidc.create_token, **poll)
expect("SlowDownException", oidc, oidc.create_token, **poll)
expect("InvalidClientException", oidc, oidc.create_token, **{**poll, "clientSecret": "wrong"})
expect("UnsupportedGrantTypeException", oidc, oidc.create_token, **{**poll, "grantType": "password"})
expect("InvalidGrantException", oidc, oidc.create_token, **{**poll, "deviceCode": "wrong"})
seen["verification"] = [started["verificationUri"], started["verificationUriComplete"]]
approve = urllib.request.Request(sys.argv[2], data=started["userCode"].encode(), method="POST")
urllib.request.urlopen(approve, timeout=30)
tokens = oidc.create_token(**poll)
renewed = oidc.create_token(**proof, grantType="refresh_token", refreshToken=tokens["refreshToken"])
token = renewed["accessToken"]
pages = sso.get_paginator("list_accounts").paginate(accessToken=token, PaginationConfig={"PageSize": 2})
accounts = [account for page in pages for account in page["accountList"]]
roles = []
for account in accounts:
    pages = sso.get_paginator("list_account_roles").paginate(
        accessToken=token, accountId=account["accountId"], PaginationConfig={"PageSize": 2})
    roles += [[role["accountId"], role["roleName"]] for page in pages for role in page["roleList"]]
given = sso.get_role_credentials(roleName=roles[0][1], accountId=roles[0][0], accessToken=token)
seen["credentials"] = sorted(given["roleCredentials"])
seen["accounts"], seen["roles"] = len(accounts), len(roles)
expect("InvalidRequestException", sso, sso.list_accounts, accessToken=token, maxResults=101)
expect("ResourceNotFoundException", sso, sso.list_account_roles, accessToken=token, accountId="999988887777")
try:
    sso.get_role_credentials(roleName="NotThere", accountId=roles[0][0], accessToken=token)
except sso.exceptions.ClientError as error:
    seen["forbidden"] = error.response["Error"]["Code"]
sso.logout(accessToken=token)
expect("UnauthorizedException", sso, sso.list_accounts, accessToken=token)
print(json.dumps(seen))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn boto3_understands_every_operation_and_error() {
    let app = TestApp::start().await;
    let approver = approver(&app).await;
    let mut command = Command::new(tools_dir().join("venv/bin/python"));
    command
        .args(["-c", BOTO, app.url.as_str(), &approver])
        .env_remove("AWS_PROFILE");
    let ran = tokio::task::spawn_blocking(move || run_or_panic("boto3", &command, None));
    let seen: Value = serde_json::from_str(&ran.await.unwrap()).unwrap();
    let here = app.url.join("device").unwrap();
    assert_eq!(seen["verification"], json!([here.as_str(), here.as_str()]));
    assert_eq!(
        seen["credentials"],
        json!([
            "accessKeyId",
            "expiration",
            "secretAccessKey",
            "sessionToken"
        ])
    );
    assert_eq!(seen["forbidden"], "ForbiddenException");
    assert_eq!(seen["accounts"], 8);
    let errors = seen["errors"].as_object().unwrap();
    for (name, status) in errors {
        let expected = match name.as_str() {
            "InvalidClientException" | "UnauthorizedException" => 401,
            "ResourceNotFoundException" => 404,
            _ => 400,
        };
        assert_eq!(*status, expected, "{name}");
    }
    assert_eq!(errors.len(), 10, "{errors:?}");
}

/// A server at which a person in a browser lets whatever is posted there act for them, after the time
/// that a client has to wait.
async fn approver(app: &TestApp) -> String {
    use std::sync::Arc;

    let browser = Arc::new(tokio::sync::Mutex::new(app.signed_in("ada").await));
    let clock = Arc::clone(&app.clock);
    let approve = move |code: String| {
        let (browser, clock) = (Arc::clone(&browser), Arc::clone(&clock));
        async move {
            let mut browser = browser.lock().await;
            browser.get("/device").await;
            let page = browser.post("/device", &[("user_code", &code)]).await;
            let done = press(&mut browser, &page, "/device", "allow").await;
            clock.advance(Duration::seconds(30));
            assert!(done.body.contains("Allowed"), "{}", done.body);
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/", axum::routing::post(approve));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
