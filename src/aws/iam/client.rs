//! [`Iam`] over HTTPS, signed with Signature Version 4.
//!
//! Never here: an answer's body in a log or an error, but the code and message of a refusal. Source:
//! AWS General Reference, "Signing AWS API requests". Entry point: [`IamClient::new`].

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use reqwest::{Client, Response, StatusCode, redirect::Policy};
use secrecy::ExposeSecret as _;
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;

use super::{
    Iam, IamError, IamRole, OrganizationAccount,
    answer::{Element, percent_decoded},
    endpoint::Endpoint,
    organizations,
};
use crate::{
    access::{SessionDuration, TargetArn},
    aws::{Cause, SessionCredentials, partition::partition_of_region, sts::SdkSts},
    clock::Clock,
};

/// The largest answer that is read, in bytes: a thousand roles with the longest trust policies.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;
/// More pages than this are no account: IAM has 5,000 roles at most, Organizations 50,000 accounts.
const MOST_PAGES: usize = 5_000;
/// Of a refusal's message; AWS's own are shorter.
const LONGEST_MESSAGE: usize = 1_000;
/// How long a connection may take, where the whole call may take longer.
const LONGEST_CONNECT: Duration = Duration::from_secs(3);
/// The first pause before a repeated call; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const USER_AGENT: &str = concat!("rolegate/", env!("CARGO_PKG_VERSION"));

/// How IAM and Organizations are asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Instead of the partition's IAM endpoint. Spoken to without a proxy.
    pub iam_endpoint: Option<Url>,
    /// Instead of the partition's Organizations endpoint. Spoken to without a proxy.
    pub organizations_endpoint: Option<Url>,
    /// A region of the partition whose Organizations is asked.
    pub default_region: String,
    /// The deadline of one request.
    pub call_timeout: Duration,
    /// How often a call is tried at most, 1 or more; only throttling, 5xx and broken connections
    /// are tried again.
    pub attempts: u32,
}

/// What is wrong with the settings.
#[derive(Debug, Error)]
pub enum SettingsError {
    /// The HTTP client cannot be made.
    #[error("the HTTP client for IAM cannot be made")]
    Client(#[source] Cause),
}

/// [`Iam`] over HTTPS, signed with Signature Version 4.
pub struct IamClient {
    settings: Settings,
    iam: Client,
    organizations: Client,
    sources: Arc<SdkSts>,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for IamClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IamClient")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// One request, before it is signed.
struct Call<'a> {
    client: &'a Client,
    endpoint: Endpoint,
    headers: &'static [(&'static str, &'static str)],
    body: String,
    /// Reads code and message of a refusal.
    refusal: fn(&str) -> Option<(String, String)>,
}

impl IamClient {
    /// Makes the HTTP clients; no network I/O. `sources` gives the credentials for Organizations;
    /// for IAM they come with each call.
    pub fn new(
        settings: Settings,
        sources: Arc<SdkSts>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SettingsError> {
        let client = |instead: &Option<Url>| http_client(settings.call_timeout, instead.is_some());
        Ok(Self {
            iam: client(&settings.iam_endpoint)?,
            organizations: client(&settings.organizations_endpoint)?,
            settings,
            sources,
            clock,
        })
    }

    /// Calls an action of IAM's query protocol for a role and returns the root of its answer.
    async fn query(
        &self,
        credentials: &Credentials,
        role: &TargetArn,
        parameters: &[(&str, &str)],
    ) -> Result<Element, IamError> {
        let instead = self.settings.iam_endpoint.as_ref();
        let body = form(parameters);
        let call = Call {
            client: &self.iam,
            endpoint: Endpoint::iam(role.partition(), instead).ok_or_else(no_endpoint)?,
            headers: &[(
                "content-type",
                "application/x-www-form-urlencoded; charset=utf-8",
            )],
            body,
            refusal: query_refusal,
        };
        let answer = self.call(&call, credentials).await?;
        Element::read(&answer).ok_or_else(no_answer)
    }

    /// Sends a request, again where that may help.
    async fn call(&self, call: &Call<'_>, credentials: &Credentials) -> Result<String, IamError> {
        let mut pause = FIRST_PAUSE;
        let mut attempts_left = self.settings.attempts.max(1);
        loop {
            attempts_left -= 1;
            match self.send(call, credentials).await {
                Err(IamError::Throttled | IamError::Unavailable(_)) if attempts_left > 0 => {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                answered => return answered,
            }
        }
    }

    async fn send(&self, call: &Call<'_>, credentials: &Credentials) -> Result<String, IamError> {
        let mut request = call.client.post(call.endpoint.url.clone());
        for (name, value) in call.headers {
            request = request.header(*name, *value);
        }
        for (name, value) in self.signature(call, credentials)? {
            request = request.header(name, value);
        }
        let sent = request.body(call.body.clone()).send().await;
        let answer = sent.map_err(unavailable)?;
        let status = answer.status();
        let body = body_of(answer).await?;
        if status == StatusCode::OK {
            return Ok(body);
        }
        Err(refused(status, (call.refusal)(&body)))
    }

    /// The headers that sign a request.
    fn signature(
        &self,
        call: &Call<'_>,
        credentials: &Credentials,
    ) -> Result<Vec<(String, String)>, IamError> {
        let unsigned = |_| IamError::Unavailable("the request could not be signed".into());
        let identity = credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(call.endpoint.region)
            .name(call.endpoint.service)
            .time(self.clock.now().into())
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| IamError::Unavailable("the request could not be signed".into()))?
            .into();
        let request = SignableRequest::new(
            "POST",
            call.endpoint.url.as_str(),
            call.headers.iter().copied(),
            SignableBody::Bytes(call.body.as_bytes()),
        );
        let signed = sign(request.map_err(unsigned)?, &parameters).map_err(unsigned)?;
        let (instructions, _) = signed.into_parts();
        let headers = instructions.headers();
        Ok(headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }
}

#[async_trait]
impl Iam for IamClient {
    async fn role(
        &self,
        credentials: &SessionCredentials,
        arn: &TargetArn,
    ) -> Result<Option<IamRole>, IamError> {
        let parameters = [("Action", "GetRole"), ("RoleName", arn.name())];
        let answer = self.query(&signer(credentials), arn, &parameters).await;
        let Some(answer) = found(answer)? else {
            return Ok(None);
        };
        let role = answer.find("Role").and_then(role_in);
        role.map(Some).ok_or_else(no_answer)
    }

    async fn roles(
        &self,
        credentials: &SessionCredentials,
        within: &TargetArn,
    ) -> Result<Vec<IamRole>, IamError> {
        let signer = signer(credentials);
        let mut roles = Vec::new();
        let mut marker: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut parameters = vec![("Action", "ListRoles"), ("MaxItems", "1000")];
            parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
            let answer = self.query(&signer, within, &parameters).await?;
            let page = answer.child("ListRolesResult").ok_or_else(no_answer)?;
            let listed = page.child("Roles").ok_or_else(no_answer)?;
            // What has no ARN of ours cannot be in the table either.
            roles.extend(listed.children("member").filter_map(role_in));
            if page.text_of("IsTruncated") != Some("true") {
                return Ok(roles);
            }
            marker = Some(page.text_of("Marker").ok_or_else(no_answer)?.to_owned());
        }
        Err(no_end())
    }

    async fn role_policy(
        &self,
        credentials: &SessionCredentials,
        arn: &TargetArn,
        name: &str,
    ) -> Result<Option<String>, IamError> {
        let parameters = [
            ("Action", "GetRolePolicy"),
            ("RoleName", arn.name()),
            ("PolicyName", name),
        ];
        let answer = self.query(&signer(credentials), arn, &parameters).await;
        let Some(answer) = found(answer)? else {
            return Ok(None);
        };
        let document = answer
            .child("GetRolePolicyResult")
            .and_then(|result| result.text_of("PolicyDocument"))
            .and_then(percent_decoded);
        document.map(Some).ok_or_else(no_answer)
    }

    async fn put_role_policy(
        &self,
        credentials: &SessionCredentials,
        arn: &TargetArn,
        name: &str,
        document: &str,
    ) -> Result<(), IamError> {
        let parameters = [
            ("Action", "PutRolePolicy"),
            ("RoleName", arn.name()),
            ("PolicyName", name),
            ("PolicyDocument", document),
        ];
        self.query(&signer(credentials), arn, &parameters)
            .await
            .map(|_| ())
    }

    async fn delete_role_policy(
        &self,
        credentials: &SessionCredentials,
        arn: &TargetArn,
        name: &str,
    ) -> Result<(), IamError> {
        let parameters = [
            ("Action", "DeleteRolePolicy"),
            ("RoleName", arn.name()),
            ("PolicyName", name),
        ];
        let answer = self.query(&signer(credentials), arn, &parameters).await;
        found(answer).map(|_| ())
    }

    async fn organization_accounts(
        &self,
        credential_source: &str,
    ) -> Result<Vec<OrganizationAccount>, IamError> {
        let credentials = self.sources.credentials(credential_source).await;
        let credentials = credentials.map_err(|error| IamError::Unavailable(error.into()))?;
        let partition = partition_of_region(&self.settings.default_region);
        let instead = self.settings.organizations_endpoint.as_ref();
        let endpoint = partition.and_then(|partition| Endpoint::organizations(partition, instead));
        let mut call = Call {
            client: &self.organizations,
            endpoint: endpoint.ok_or_else(no_endpoint)?,
            headers: &[
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-target", "AWSOrganizationsV20161128.ListAccounts"),
            ],
            body: organizations::request(None),
            refusal: json_refusal,
        };
        let mut accounts = Vec::new();
        for _ in 0..MOST_PAGES {
            let answer = self.call(&call, &credentials).await?;
            let mut page = organizations::Page::read(&answer).ok_or_else(no_answer)?;
            let next = page.next_token.take();
            accounts.extend(page.into_accounts());
            let Some(next) = next else {
                return Ok(accounts);
            };
            call.body = organizations::request(Some(&next));
        }
        Err(no_end())
    }
}

fn http_client(call_timeout: Duration, is_elsewhere: bool) -> Result<Client, SettingsError> {
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(call_timeout.min(LONGEST_CONNECT))
        .timeout(call_timeout);
    let builder = if is_elsewhere {
        builder.no_proxy()
    } else {
        builder.https_only(true)
    };
    builder
        .build()
        .map_err(|error| SettingsError::Client(error.into()))
}

/// A form in the encoding that AWS's own clients send, which differs from browsers' in two
/// characters: whoever encodes anew what was decoded, to check the signature, gets the same.
fn form(parameters: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new("Version=2010-05-08".to_owned())
        .extend_pairs(parameters)
        .finish()
        .replace('*', "%2A")
        .replace("%7E", "~")
}

fn signer(credentials: &SessionCredentials) -> Credentials {
    Credentials::new(
        credentials.access_key_id.clone(),
        credentials.secret_access_key.expose_secret(),
        Some(credentials.session_token.expose_secret().to_owned()),
        None,
        "rolegate",
    )
}

/// A role as `GetRole` and `ListRoles` write it.
fn role_in(element: &Element) -> Option<IamRole> {
    let seconds = element.text_of("MaxSessionDuration");
    let max_duration = match seconds {
        Some(seconds) => SessionDuration::from_seconds(seconds.parse().ok()?).ok()?,
        None => SessionDuration::HOUR,
    };
    let trust = element.text_of("AssumeRolePolicyDocument");
    let description = element.text_of("Description");
    let created_at = element.text_of("CreateDate");
    Some(IamRole {
        arn: element.text_of("Arn")?.parse().ok()?,
        max_duration,
        trust: percent_decoded(trust.unwrap_or_default())?,
        description: description
            .filter(|text| !text.is_empty())
            .map(str::to_owned),
        created_at: created_at.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok()),
    })
}

/// None where IAM says that there is no such thing.
fn found(answer: Result<Element, IamError>) -> Result<Option<Element>, IamError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(IamError::Invalid { code, .. }) if code == "NoSuchEntity" => Ok(None),
        Err(error) => Err(error),
    }
}

fn query_refusal(body: &str) -> Option<(String, String)> {
    let document = Element::read(body)?;
    let error = document.find("Error")?;
    let message = error.text_of("Message").unwrap_or_default();
    Some((error.text_of("Code")?.to_owned(), message.to_owned()))
}

fn json_refusal(body: &str) -> Option<(String, String)> {
    let refusal: organizations::Refusal = serde_json::from_str(body).ok()?;
    let code = refusal.code().to_owned();
    Some((code, refusal.message))
}

/// What a refusal means here (AWS API references, "Common errors").
fn refused(status: StatusCode, refusal: Option<(String, String)>) -> IamError {
    let (code, message) = refusal.unwrap_or_default();
    let is_throttled = code.contains("Throttl")
        || matches!(
            code.as_str(),
            "TooManyRequestsException" | "RequestLimitExceeded" | "SlowDown"
        );
    if is_throttled || status == StatusCode::TOO_MANY_REQUESTS {
        return IamError::Throttled;
    }
    if status.is_server_error() || code.is_empty() {
        return IamError::Unavailable(format!("HTTP {}", status.as_u16()).into());
    }
    let message: String = message.chars().take(LONGEST_MESSAGE).collect();
    match code.as_str() {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            IamError::AccessDenied { message }
        }
        _ => IamError::Invalid { code, message },
    }
}

async fn body_of(mut answer: Response) -> Result<String, IamError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(unavailable)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(no_answer());
        }
        body.extend_from_slice(&chunk);
    }
    String::from_utf8(body).map_err(|_| no_answer())
}

fn no_endpoint() -> IamError {
    IamError::Unavailable("the partition's endpoint is not known".into())
}

fn no_answer() -> IamError {
    IamError::Unavailable("the answer lacks what it must hold".into())
}

fn no_end() -> IamError {
    IamError::Unavailable("the list has no end".into())
}

fn unavailable(error: reqwest::Error) -> IamError {
    IamError::Unavailable(Box::new(error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_apart() {
        let json = |code: &str| {
            let body = format!(r#"{{"__type":"com.amazonaws#{code}","Message":"why"}}"#);
            refused(StatusCode::BAD_REQUEST, json_refusal(&body))
        };
        let denied = json("AccessDeniedException");
        assert!(matches!(denied, IamError::AccessDenied { message } if message == "why"));
        let throttled = json("TooManyRequestsException");
        assert!(matches!(throttled, IamError::Throttled));
        let other = json("AWSOrganizationsNotInUseException");
        assert!(matches!(other, IamError::Invalid { .. }));
        let xml = "<ErrorResponse><Error><Code>Throttling</Code><Message>x</Message></Error>\
                   </ErrorResponse>";
        let throttled = refused(StatusCode::BAD_REQUEST, query_refusal(xml));
        assert!(matches!(throttled, IamError::Throttled));
        for status in [StatusCode::FORBIDDEN, StatusCode::BAD_GATEWAY] {
            let proxy = refused(status, query_refusal("<html>"));
            assert!(matches!(proxy, IamError::Unavailable(_)), "{status}");
        }
    }

    #[test]
    fn forms_are_encoded_as_aws_does() {
        let form = form(&[("a", "b *~+/é")]);
        assert_eq!(form, "Version=2010-05-08&a=b+%2A~%2B%2F%C3%A9");
    }
}
