//! moto, an imitation of AWS by other people: real signatures and identity policies, on request.
//!
//! With signatures required it also looks at the trust policy of a role that exists. There a wrong
//! `ExternalId` is refused, a missing one is not; a role that does not exist may be assumed by
//! whoever has an identity policy for it. It never looks at durations, session names or tags. A refusal before the action (signature, key,
//! policy) is HTTP 403 with its code one element deeper than AWS writes it, where the AWS SDK does
//! not find it.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::Command,
    sync::{Mutex, MutexGuard},
};

use tempfile::TempDir;

use super::{
    children::{Server, free_port},
    temporary_dir, tools_dir,
};

/// The account that moto's own users live in.
pub const ACCOUNT_ID: &str = "123456789012";
/// The user of [`Moto::broker_keys`].
pub const BROKER_USER: &str = "rolegate";

/// A role that trusts the user [`BROKER_USER`].
pub const ROLE_ARN: &str = "arn:aws:iam::123456789012:role/rolegate-target";
/// A role that trusts the user [`BROKER_USER`] unless it sends another `ExternalId` than
/// [`EXTERNAL_ID`].
pub const GUARDED_ROLE_ARN: &str = "arn:aws:iam::123456789012:role/rolegate-guarded";
/// What a caller of [`GUARDED_ROLE_ARN`] should send.
pub const EXTERNAL_ID: &str = "rolegate-7f3a";

const ASSUME_ANY_ROLE: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],"Resource":"*"}]}"#;
const LIST_USERS: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:ListUsers","Resource":"*"}]}"#;
const TRUST_BROKER: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/rolegate"},"Action":"sts:AssumeRole"}]}"#;
const TRUST_BROKER_WITH_EXTERNAL_ID: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/rolegate"},"Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"rolegate-7f3a"}}}]}"#;

/// A long-term key pair that moto knows.
#[derive(Debug, Clone)]
pub struct AccessKey {
    pub id: String,
    pub secret: String,
}

/// A running moto with a user who may assume roles and one who may not.
#[derive(Debug)]
pub struct Moto {
    dir: TempDir,
    address: SocketAddr,
    server: Mutex<Option<Server>>,
    broker: AccessKey,
    powerless: AccessKey,
}

impl Moto {
    /// An AWS that believes every caller.
    pub fn start() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let dir = temporary_dir("moto");
        let mut command = Command::new(tools_dir().join("venv/bin/moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        let server = Server::start("moto", &command, &dir.path().join("moto.log"))
            .wait_until_listening(address);

        create_role(address, "rolegate-target", TRUST_BROKER);
        create_role(address, "rolegate-guarded", TRUST_BROKER_WITH_EXTERNAL_ID);
        let broker = create_user(address, BROKER_USER, ASSUME_ANY_ROLE);
        let powerless = create_user(address, "powerless", LIST_USERS);
        Self {
            dir,
            address,
            server: Mutex::new(Some(server)),
            broker,
            powerless,
        }
    }

    /// An AWS that checks the signature of each call and the identity policy of its caller.
    pub fn start_with_signatures() -> Self {
        let moto = Self::start();
        moto.require_signatures();
        moto
    }

    /// Checks signatures and identity policies from the next call on.
    pub fn require_signatures(&self) {
        let unauthenticated_calls_left = "0";
        post(
            self.address,
            "/moto-api/reset-auth",
            "text/plain",
            "",
            unauthenticated_calls_left,
        );
    }

    /// `http://127.0.0.1:PORT`, the endpoint of every service.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address behind [`Moto::url`], to put a proxy in front of.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Keys of the user [`BROKER_USER`], who may assume any role.
    pub fn broker_keys(&self) -> &AccessKey {
        &self.broker
    }

    /// Keys of a user who may ask who they are and nothing else.
    pub fn powerless_keys(&self) -> &AccessKey {
        &self.powerless
    }

    /// Calls IAM with a form, while signatures are not required, and returns the XML of the answer.
    pub fn iam(&self, form: &[(&str, &str)]) -> String {
        iam(self.address, form)
    }

    /// Calls Organizations with JSON, while signatures are not required.
    pub fn organizations(&self, action: &str, body: &str) -> String {
        let headers = format!(
            "Authorization: AWS4-HMAC-SHA256 \
             Credential=AKIAUNCHECKED/20260101/us-east-1/organizations/aws4_request, \
             SignedHeaders=host, Signature=unchecked\r\n\
             X-Amz-Target: AWSOrganizationsV20161128.{action}\r\n"
        );
        post(
            self.address,
            "/",
            "application/x-amz-json-1.1",
            &headers,
            body,
        )
    }

    /// Freezes the server: connections are accepted by the kernel, and nothing is answered.
    pub fn pause(&self) {
        self.lock().as_ref().expect("moto runs").signal("STOP");
    }

    /// Ends a [`Moto::pause`].
    pub fn resume(&self) {
        self.lock().as_ref().expect("moto runs").signal("CONT");
    }

    /// Ends the server for good: moto keeps nothing.
    pub fn stop(&self) {
        self.lock().take();
    }

    /// One line per request, as moto's HTTP server writes it.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("moto.log")).expect("moto has a log")
    }

    fn lock(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().expect("no holder panics")
    }
}

fn create_role(address: SocketAddr, name: &str, trust: &str) {
    iam(
        address,
        &[
            ("Action", "CreateRole"),
            ("RoleName", name),
            ("AssumeRolePolicyDocument", trust),
        ],
    );
}

fn create_user(address: SocketAddr, name: &str, policy: &str) -> AccessKey {
    iam(address, &[("Action", "CreateUser"), ("UserName", name)]);
    iam(
        address,
        &[
            ("Action", "PutUserPolicy"),
            ("UserName", name),
            ("PolicyName", "allowed"),
            ("PolicyDocument", policy),
        ],
    );
    let answer = iam(
        address,
        &[("Action", "CreateAccessKey"), ("UserName", name)],
    );
    AccessKey {
        id: element(&answer, "AccessKeyId"),
        secret: element(&answer, "SecretAccessKey"),
    }
}

/// Calls IAM with a form and returns the XML of the answer.
fn iam(address: SocketAddr, form: &[(&str, &str)]) -> String {
    let body = url::form_urlencoded::Serializer::new("Version=2010-05-08".to_owned())
        .extend_pairs(form)
        .finish();
    // moto finds the service in the scope of a signature; before it requires signatures, it does
    // not check this one.
    let authorization = "Authorization: AWS4-HMAC-SHA256 \
         Credential=AKIAUNCHECKED/20260101/us-east-1/iam/aws4_request, \
         SignedHeaders=host, Signature=unchecked\r\n";
    post(
        address,
        "/",
        "application/x-www-form-urlencoded",
        authorization,
        &body,
    )
}

fn post(address: SocketAddr, path: &str, content_type: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\
         Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).expect("moto listens");
    stream.write_all(request.as_bytes()).expect("moto reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("moto answers in UTF-8");
    assert!(
        answer.starts_with("HTTP/1.1 200 "),
        "moto refused {body}:\n{answer}"
    );
    answer
}

/// The text of the first element with the given name.
fn element(xml: &str, name: &str) -> String {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let text = xml
        .split_once(&open)
        .and_then(|(_, rest)| rest.split_once(&close));
    text.unwrap_or_else(|| panic!("no <{name}> in {xml}"))
        .0
        .to_owned()
}
