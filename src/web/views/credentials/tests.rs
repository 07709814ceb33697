use time::macros::datetime;

use super::{super::preview_tests::layout, *};

const NOW: OffsetDateTime = datetime!(2026-11-24 10:42 UTC);

/// The texts of the page, by the id of their form.
fn texts(public_url: &str, session_token: &str, region: &str) -> Vec<(&'static str, String)> {
    let formats = formats(&CredentialsInput {
        layout: layout(),
        account: "Payments production",
        account_id: "111122223333",
        arn: "arn:aws:iam::111122223333:role/team/ReadOnly",
        role: "ReadOnly",
        access_key_id: "ASIAEXAMPLEEXAMPLE00",
        secret_access_key: "sample/secret+key",
        session_token,
        region,
        is_read_only: false,
        expires: NOW,
        now: NOW,
        public_url: &public_url.parse().unwrap(),
    });
    let texts = formats.iter();
    texts
        .map(|format| (format.id, format.text.to_string()))
        .collect()
}

fn of(texts: &[(&'static str, String)], id: &str) -> String {
    let found = texts.iter().find(|(other, _)| *other == id);
    found.map(|(_, text)| text.clone()).unwrap_or_default()
}

#[test]
fn awss_own_tools_are_told_how_to_sign_in_here() {
    let texts = texts("https://aws.example.com/", "token", "eu-west-1");
    assert_eq!(
        of(&texts, "sso"),
        "[profile 111122223333-ReadOnly]\n\
         sso_session = rolegate\n\
         sso_account_id = 111122223333\n\
         sso_role_name = ReadOnly\n\
         services = rolegate\n\
         region = eu-west-1\n\
         \n\
         [sso-session rolegate]\n\
         sso_start_url = https://aws.example.com/start\n\
         sso_region = us-east-1\n\
         sso_registration_scopes = sso:account:access\n\
         \n\
         [services rolegate]\n\
         sso =\n  endpoint_url = https://aws.example.com/aws\n\
         sso_oidc =\n  endpoint_url = https://aws.example.com/aws\n\
         sso-oidc =\n  endpoint_url = https://aws.example.com/aws"
    );
    assert_eq!(
        of(&texts, "configure"),
        "aws configure set aws_access_key_id 'ASIAEXAMPLEEXAMPLE00' --profile '111122223333-ReadOnly'\n\
         aws configure set aws_secret_access_key 'sample/secret+key' --profile '111122223333-ReadOnly'\n\
         aws configure set aws_session_token 'token' --profile '111122223333-ReadOnly'\n\
         aws configure set region 'eu-west-1' --profile '111122223333-ReadOnly'"
    );
    assert_eq!(
        of(&texts, "rolegate"),
        "rolegate login 'https://aws.example.com'\n\
         eval \"$(rolegate credentials 'arn:aws:iam::111122223333:role/team/ReadOnly' --format env)\""
    );
}

#[test]
fn where_there_is_no_tls_the_start_url_is_one_that_is_never_asked() {
    let texts = texts("http://127.0.0.1:8080/", "token", "");
    let sso = of(&texts, "sso");
    assert!(sso.contains("\nsso_start_url = https://d-0000000000.awsapps.com/start\n"));
    assert!(sso.contains("\n  endpoint_url = http://127.0.0.1:8080/aws\n"));
    assert!(!sso.contains("\nregion"));
}

#[test]
fn what_cannot_be_written_for_a_shell_is_not_written() {
    let ids = |texts: Vec<(&'static str, String)>| -> Vec<&str> {
        texts.into_iter().map(|(id, _)| id).collect()
    };
    let all = [
        "sh",
        "fish",
        "powershell",
        "cmd",
        "file",
        "configure",
        "json",
        "sso",
        "rolegate",
    ];
    assert_eq!(ids(texts("https://x.example/", "t", "")), all);
    let without_cmd = ids(texts("https://x.example/", "%PATH%", ""));
    assert!(!without_cmd.contains(&"cmd") && without_cmd.len() == all.len() - 1);
    assert_eq!(
        ids(texts("https://x.example/", "t\nx = y", "")),
        ["json", "sso", "rolegate"]
    );
}
