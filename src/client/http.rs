//! HTTP to one server: with deadlines, without redirects, JSON both ways.
//!
//! Never here: what is asked. Entry points: [`ServerUrl`], [`Http`].

use std::{fmt, net::IpAddr, path::Path, str::FromStr, time::Duration};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde::{Serialize, de::DeserializeOwned};
use tokio::runtime::{Builder, Runtime};
use url::Url;

use super::{ClientError, Refusal, Secret};

const CONNECT: Duration = Duration::from_secs(10);
/// Longer than the server takes with STS at its slowest.
const WHOLE: Duration = Duration::from_mins(1);
/// More than ten thousand roles take.
const LARGEST: usize = 32 * 1024 * 1024;

/// The origin of a Rolegate server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

impl ServerUrl {
    /// The address of a path that starts without a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}/{path}", self.0)
    }

    /// The host, with its port where that is not the usual one.
    pub fn host(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, host)| host)
    }

    /// Whether it is spoken to over TLS.
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// A file name that no two servers share.
    pub(super) fn as_file_name(&self) -> String {
        let scheme = if self.is_secure() { "" } else { "http+" };
        // Of what a host can hold, colon and brackets of addresses are not for file names.
        let host = self.host().replace(':', "+").replace(['[', ']'], "_");
        format!("{scheme}{host}")
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ServerUrl {
    type Err = ClientError;

    /// Takes a host name as well as any address of the server's pages; `https` unless it says
    /// otherwise, which it may for this machine alone.
    fn from_str(text: &str) -> Result<Self, ClientError> {
        let text = text.trim();
        let bad = |why: &str| {
            Err(ClientError::BadAddress(format!(
                "{text:?} is not the address of a server: {why}; write it like \
                 https://aws.example.com"
            )))
        };
        let whole = if text.contains("://") {
            text.to_owned()
        } else {
            format!("https://{text}")
        };
        let Ok(url) = Url::parse(&whole) else {
            return bad("it cannot be read");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ClientError::BadAddress(
                "the address contains a user name or password; leave it out".to_owned(),
            ));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return bad("http is taken for this machine alone, others need https"),
            _ => return bad("it does not start with https"),
        }
        if url.host_str().is_none_or(str::is_empty) {
            return bad("it names no host");
        }
        Ok(Self(url.origin().ascii_serialization()))
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

/// A client of one server, and the thread that drives it.
#[derive(Debug)]
pub struct Http {
    server: ServerUrl,
    client: Client,
    runtime: Runtime,
}

/// An answer that was read to its end.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The last part of `x-amzn-ErrorType`, which the operations of SSO OIDC name errors by.
    pub(super) error_type: String,
    body: Vec<u8>,
}

impl Http {
    /// For one server; `ca_file` holds certificates in PEM that are trusted beside the system's,
    /// which is what `ROLEGATE_CA_FILE` names.
    pub fn new(server: &ServerUrl, ca_file: Option<&Path>) -> Result<Self, ClientError> {
        // An error means that one is installed already, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("rolegate-cli/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(WHOLE);
        if let Some(path) = ca_file {
            builder = builder.tls_certs_merge(certificates(path)?);
        }
        if !server.is_secure() {
            builder = builder.no_proxy();
        }
        let unusable = |error: &dyn std::error::Error| ClientError::NotCompleted(causes(error));
        Ok(Self {
            server: server.clone(),
            client: builder.build().map_err(|error| unusable(&error))?,
            runtime: Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| unusable(&error))?,
        })
    }

    /// Who is spoken to.
    pub fn server(&self) -> &ServerUrl {
        &self.server
    }

    /// Sends a JSON object without saying who sends it.
    pub(super) fn post<T: Serialize + Sync>(
        &self,
        path: &str,
        body: &T,
    ) -> Result<Answer, ClientError> {
        self.send(self.client.post(self.server.join(path)).json(body))
    }

    /// Sends a request in the name of a token's person.
    pub(super) fn call<T: Serialize + Sync>(
        &self,
        method: Method,
        path: &str,
        body: Option<&T>,
        token: &Secret,
    ) -> Result<Answer, ClientError> {
        let request = self.client.request(method, self.server.join(path));
        let request = request.bearer_auth(token.expose());
        self.send(match body {
            Some(body) => request.json(body),
            None => request,
        })
    }

    fn send(&self, request: RequestBuilder) -> Result<Answer, ClientError> {
        self.runtime.block_on(async {
            let mut answer = (request.send().await).map_err(|error| self.unreachable(error))?;
            let mut body = Vec::new();
            let chunk = |error| self.unreachable(error);
            while let Some(bytes) = answer.chunk().await.map_err(chunk)? {
                if body.len() + bytes.len() > LARGEST {
                    return Err(self.unexpected("more than 32 MiB".to_owned()));
                }
                body.extend_from_slice(&bytes);
            }
            let error_type = answer.headers().get("x-amzn-errortype");
            let error_type = error_type.and_then(|value| value.to_str().ok());
            Ok(Answer {
                status: answer.status(),
                error_type: error_type.unwrap_or_default().to_owned(),
                body,
            })
        })
    }

    /// What a good answer says; the server's own words where it is none.
    pub(super) fn read<T: DeserializeOwned>(&self, answer: &Answer) -> Result<T, ClientError> {
        self.refuse(answer)?;
        serde_json::from_slice(&answer.body).map_err(|error| {
            // The text of serde_json can quote values: its place and kind have to do.
            let (line, column) = (error.line(), error.column());
            self.unexpected(format!("unreadable JSON at line {line}, column {column}"))
        })
    }

    /// An error where the answer is not a good one.
    pub(super) fn refuse(&self, answer: &Answer) -> Result<(), ClientError> {
        let status = answer.status;
        if status.is_success() {
            return Ok(());
        }
        match answer.refusal() {
            Some(refusal) => Err(ClientError::Refused(Box::new(refusal))),
            None if status.is_redirection() => {
                Err(self.unexpected(format!("a redirect, with status {status}")))
            }
            None => Err(self.unexpected(format!("status {status}"))),
        }
    }

    fn unexpected(&self, what: String) -> ClientError {
        ClientError::Unexpected {
            server: self.server.clone(),
            what,
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> ClientError {
        let why = if error.is_timeout() {
            "it did not answer in time".to_owned()
        } else {
            // Without its own address, which can hold what was asked.
            causes(&error.without_url())
        };
        ClientError::Unreachable {
            server: self.server.clone(),
            why,
        }
    }
}

impl Answer {
    /// What a refusal says, where it is JSON as Rolegate writes it.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        let mut refusal: Refusal = serde_json::from_slice(&self.body).ok()?;
        refusal.status = self.status.as_u16();
        (!refusal.error.is_empty() || !refusal.message.is_empty()).then_some(refusal)
    }

    /// What an error of SSO OIDC says beside its type.
    pub(super) fn description(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let text = body.get("error_description")?.as_str()?;
        (!text.is_empty()).then(|| text.to_owned())
    }
}

fn certificates(path: &Path) -> Result<Vec<reqwest::Certificate>, ClientError> {
    let told = |why: String| ClientError::File {
        path: path.to_owned(),
        why: format!("{why} (named by ROLEGATE_CA_FILE)"),
    };
    let bytes = std::fs::read(path).map_err(|error| told(error.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&bytes);
    let found = found.map_err(|error| told(causes(&error)))?;
    if found.is_empty() {
        return Err(told("holds no certificate in PEM".to_owned()));
    }
    Ok(found)
}

/// An error and what it came from, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_in_the_forms_that_people_paste() {
        for (text, origin) in [
            ("aws.example.com", "https://aws.example.com"),
            (" https://AWS.example.com/ ", "https://aws.example.com"),
            (
                "https://aws.example.com:8443/login?next=%2F",
                "https://aws.example.com:8443",
            ),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:8080/", "http://[::1]:8080"),
            ("http://localhost:8080/", "http://localhost:8080"),
        ] {
            assert_eq!(text.parse::<ServerUrl>().unwrap().to_string(), origin);
        }
    }

    #[test]
    fn what_cannot_be_a_server_is_refused() {
        for text in [
            "",
            "http://aws.example.com",
            "http://127.0.0.1.example.com",
            "ftp://aws.example.com",
            "https://",
            "https://ada:secret@aws.example.com",
        ] {
            let told = text.parse::<ServerUrl>().unwrap_err().to_string();
            assert!(!told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn servers_have_folders_of_their_own() {
        let names: std::collections::BTreeSet<String> = [
            "https://localhost",
            "http://localhost",
            "https://localhost:8443",
            "https://[::1]:8443",
        ]
        .iter()
        .map(|text| text.parse::<ServerUrl>().unwrap().as_file_name())
        .collect();
        assert_eq!(names.len(), 4, "{names:?}");
        let is_plain = |name: &String| !name.contains([':', '/', '[', '\\']);
        assert!(names.iter().all(is_plain), "{names:?}");
    }
}
