//! What the listener itself lets in: TLS, HTTP/2, header limits, ambiguous requests.

use std::{fmt::Write as _, net::IpAddr};

use rolegate::demo::{aws::Catalogue, sample};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    app::{Options, TestApp},
    children, temporary_dir,
    tls::Authority,
};

/// Sends raw bytes and gives the status line of the answer; empty when there was none.
async fn status_line(app: &TestApp, request: &[u8]) -> String {
    let address = app.url.socket_addrs(|| None).unwrap()[0];
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // A connection that is reset has given no answer.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[tokio::test]
async fn with_a_certificate_it_speaks_tls_and_http_2() {
    let files = temporary_dir("tls");
    let server = Authority::new().write_server_files(files.path(), &[IpAddr::from([127, 0, 0, 1])]);
    let app = TestApp::start_overriding(&[
        (
            "SERVER__TLS_CERTIFICATE",
            server.certificate.to_str().unwrap(),
        ),
        ("SERVER__TLS_KEY", server.key.to_str().unwrap()),
    ])
    .await;
    let port = app.url.port().unwrap();
    let mut curl = std::process::Command::new("curl");
    curl.args([
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code} %{http_version}",
        "--cacert",
    ])
    .arg(&server.ca)
    .arg(format!("https://127.0.0.1:{port}/login"));
    let seen = tokio::task::spawn_blocking(move || children::run_or_panic("curl", &curl, None));
    assert_eq!(seen.await.unwrap(), "200 2");
    let plain = status_line(&app, b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(!plain.contains("HTTP"), "it answered in clear: {plain}");
}

#[tokio::test]
async fn ambiguous_oversized_and_broken_requests_are_refused() {
    let app = TestApp::start().await;
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (what, request) in [
        (
            "two lengths",
            format!(
                "POST /logout HTTP/1.1\r\nHost: x\r\n{form}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"
            ),
        ),
        (
            "no header name",
            "GET /login HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n".to_owned(),
        ),
        (
            "a blank before the colon",
            "GET /login HTTP/1.1\r\nHost : x\r\n\r\n".to_owned(),
        ),
        (
            "a huge header",
            format!(
                "GET /login HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n",
                "y".repeat(100_000)
            ),
        ),
        (
            "a NUL in the path",
            "GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
        ),
        ("no HTTP at all", "hello\r\n\r\n".to_owned()),
    ] {
        let line = status_line(&app, request.as_bytes()).await;
        assert!(
            line.is_empty() || line.starts_with("HTTP/1.1 4"),
            "{what}: {line}"
        );
    }
    let fine = status_line(&app, b"GET /login HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(fine, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_chunked_body_with_a_length_is_not_read_as_two_requests() {
    let app = TestApp::start().await;
    let smuggled = "POST /login/corp HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\
                    Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let address = app.url.socket_addrs(|| None).unwrap()[0];
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(smuggled.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(!answer.contains("rolegate_http"), "{answer}");
}

#[tokio::test]
async fn weird_paths_and_queries_never_end_in_a_server_error() {
    let app = TestApp::start().await;
    let mut browser = app.signed_in("ada").await;
    let long = "a".repeat(5_000);
    for path in [
        "/?q=%00%ff%fe",
        "/?q=%f0%9f%a6%80&from=99999999999999999999",
        "/?from=-1",
        "/role?arn=",
        "/role?arn=arn:aws:iam::111122223333:role/%00",
        "/role",
        "/console/%ff/%fe",
        "/console/111122223333/..%2f..%2fetc",
        "/console/111122223333/Administrator?destination=%0d%0aSet-Cookie:x",
        "/assets/..%2f..%2fCargo.toml",
        "/assets/",
        "/login?next=%ff",
        "/%",
        &format!("/?q={long}"),
        &format!("/{long}"),
    ] {
        let answer = browser.get(path).await;
        assert!(answer.status < 500, "{path}: {}", answer.status);
        assert!(
            answer.header("set-cookie").is_empty() || !answer.header("set-cookie").contains('x')
        );
    }
    for (field, value) in [
        ("duration", "\0"),
        ("region", "\u{202e}"),
        ("destination", "\0"),
        ("role", ""),
    ] {
        let role = "arn:aws:iam::111122224444:role/team/Developer";
        let answer = browser
            .open_console(&[("role", role), (field, value)])
            .await;
        assert!(answer.status < 500, "{field}: {}", answer.status);
    }
}

#[tokio::test]
async fn roles_of_other_partitions_open_at_home_with_credentials_of_their_own() {
    let partitions = [
        (
            "aws-us-gov",
            "555566667777",
            "us-gov-west-1",
            "GOV",
            "AKIADEMOROLEGATE0GOV",
        ),
        (
            "aws-cn",
            "555566668888",
            "cn-northwest-1",
            "CN",
            "AKIADEMOROLEGATE00CN",
        ),
    ];
    let files = temporary_dir("partitions");
    let mut table = String::new();
    let mut overrides = Vec::new();
    for (partition, account, _, source, key) in partitions {
        let path = files.path().join(source);
        let secret = sample::BROKER_SECRET_ACCESS_KEY;
        let keys = format!("AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}\n");
        std::fs::write(&path, keys).unwrap();
        let section = format!("AWS__CREDENTIAL_SOURCE__{source}__");
        overrides.push((format!("{section}TYPE"), "environment-file".to_owned()));
        overrides.push((format!("{section}PATH"), path.display().to_string()));
        let _ = write!(
            table,
            "[[role]]\narn = \"arn:{partition}:iam::{account}:role/ReadOnly\"\n\
             credential_source = \"{}\"\nmax_duration = \"1h\"\n[[mapping]]\n\
             group = \"corp:{}\"\nrole = \"arn:{partition}:iam::{account}:role/ReadOnly\"\n",
            source.to_lowercase(),
            sample::group_dn("everyone")
        );
    }
    let options = Options {
        overrides,
        mapping_toml: Some(table),
        catalogue: Some(Catalogue::sample().with_other_partitions()),
        ..Options::default()
    };
    let app = TestApp::start_with(options).await;
    let mut browser = app.signed_in("linus").await;
    for (partition, account, region, ..) in partitions {
        let arn = format!("arn:{partition}:iam::{account}:role/ReadOnly");
        let answer = browser.open_console(&[("role", &arn)]).await;
        assert_eq!(answer.status, 303, "{partition}: {}", answer.body);
        let issued = app.aws.issued().pop().unwrap();
        assert_eq!((issued.role_arn, issued.region.as_str()), (arn, region));
    }
}

#[tokio::test]
async fn browsers_that_ask_for_an_icon_unasked_are_shown_ours() {
    let app = TestApp::start().await;
    let mut browser = app.browser();
    let answer = browser.get("/favicon.ico").await;
    assert_eq!(answer.status, 303);
    let icon = browser.get(answer.header("location")).await;
    assert_eq!(icon.status, 200);
    assert_eq!(icon.header("content-type"), "image/svg+xml");
}
