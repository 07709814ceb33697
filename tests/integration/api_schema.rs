//! schemathesis calls whatever the OpenAPI document describes, with each kind of caller: nothing may
//! break, and no answer may be one that the document does not have.

use rolegate::access::TokenScope;
use tokio::process::Command;

use crate::support::{api::made_token, app::TestApp, temporary_dir, tools_dir};

/// What is held against every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method";

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_one_that_the_document_has() {
    let club = "[\"corp:cn=book-club,ou=groups,dc=example,dc=com\"]";
    let app = TestApp::start_overriding(&[
        ("API__REQUESTS_PER_MINUTE", "1000000"),
        ("API__CREDENTIALS_PER_MINUTE", "1000000"),
        ("ACCESS__AUDITOR", club),
    ])
    .await;
    let whole = made_token(&app, "margaret", &TokenScope::ALL, None).await;
    let some = [TokenScope::Roles, TokenScope::Credentials];
    let narrow = made_token(&app, "linus", &some, None).await;
    let password = "Basic bGludXM6bGludXMtZGVtbw==".to_owned();
    for (who, authorization) in [
        ("an auditor", format!("Bearer {whole}")),
        ("a token of two scopes", format!("Bearer {narrow}")),
        ("a password", password),
    ] {
        let home = temporary_dir("schema");
        let run = Command::new(tools_dir().join("venv/bin/schemathesis"))
            .arg("run")
            .arg(app.url.join("/api/v1/openapi.json").unwrap().as_str())
            .args(["--header", &format!("Authorization: {authorization}")])
            .args(["--checks", CHECKS])
            .args(["--phases", "examples,coverage,fuzzing"])
            .args([
                "--max-examples",
                "10",
                "--seed",
                "7",
                "--generation-database",
                "none",
            ])
            // It would end the token that it comes with.
            .args(["--exclude-operation-id", "logout"])
            .args(["--exclude-operation-id", "end_token"])
            .args(["--no-color", "--workers", "2"])
            .current_dir(home.path())
            .kill_on_drop(true)
            .output()
            .await
            .expect("schemathesis is installed by tests/support/install_test_tools.sh");
        let text = String::from_utf8_lossy(&run.stdout);
        let errors = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{who}:\n{text}\n{errors}");
        assert!(
            text.contains("POST") || text.contains("Operations"),
            "{text}"
        );
    }
    let me = crate::support::api::ApiCaller::bearer(&app, &whole);
    assert_eq!(
        me.get("/api/v1/me").await.status,
        200,
        "the token still holds"
    );
}
