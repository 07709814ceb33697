//! The connector: a sign-in at a SAML identity provider from its beginning to a person.
//!
//! Never here: HTTP of ours, the store, which requests wait. Entry point: [`SamlConnector`].

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use openssl::{
    asn1::Asn1Time,
    pkey::Id,
    x509::{X509, X509Ref},
};
use secrecy::{ExposeSecret, SecretString};
use time::OffsetDateTime;
use url::Url;

use super::{
    gate::{self, Allowances, Root},
    logout,
    person::{self, Person},
    refusal::{Reason, Refused},
    request, service_metadata,
    settings::{Binding, Key, Settings, Source},
    trust::{KeptDocuments, ProviderTrust, Published},
    verify::{self, Expectations, Solicited, Trust, Verified},
};
use crate::{
    access::{AuthenticationMethod, ConnectorId, Identity, ProviderSession},
    clock::Clock,
    identity::{
        Answer, AwsApplication, Carried, Cause, Departure, Finding, HeldProof, Logout,
        LogoutDeparture, LogoutMessage, ProofKind, Protocol, RedirectConnector, RedirectRefused,
        SignInWish, Vouched,
    },
};

/// How long AWS takes an assertion after it was issued (STS, AssumeRoleWithSAML).
const REDEEMABLE: Duration = Duration::from_mins(5);
/// The longest `SAMLAssertion` that STS takes, in characters.
const LONGEST_PROOF: usize = 100_000;
/// How long ago a forced authentication may be: a sign-in takes no longer at the provider. Without a
/// look at it, whoever takes `ForceAuthn` out of a request on its way would get around it.
const LONGEST_FORCED: Duration = Duration::from_mins(10);
/// The audiences that AWS takes: its entity ids in the partitions (its own metadata).
const AWS_AUDIENCES: [&str; 3] = [
    "urn:amazon:webservices",
    "urn:amazon:webservices:govcloud",
    "urn:amazon:webservices:cn-north-1",
];
/// Days before the end of a certificate from which on it is pointed out.
const NOTICED_DAYS: i64 = 30;

/// A SAML 2.0 identity provider as a way to sign in.
#[expect(missing_debug_implementations, reason = "trait objects")]
pub struct SamlConnector {
    settings: Arc<Settings>,
    trust: ProviderTrust,
    clock: Arc<dyn Clock>,
}

impl SamlConnector {
    /// A connector. Metadata in a file is read here; at an address, by
    /// [`refresh_trust`](RedirectConnector::refresh_trust). `kept` keeps its last good copy.
    ///
    /// # Errors
    /// When metadata in a file cannot be used, or does not fit the settings.
    pub fn new(
        settings: Settings,
        kept: Option<Arc<dyn KeptDocuments>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Cause> {
        let trust = ProviderTrust::new(&settings, kept, Arc::clone(&clock))?;
        let connector = Self {
            settings: Arc::new(settings),
            trust,
            clock,
        };
        if let Some(published) = connector.trust.published() {
            connector
                .signing_key(&published)
                .map_err(|error| match error {
                    RedirectRefused::Misconfigured(cause) => cause,
                    other => other.into(),
                })?;
        }
        Ok(connector)
    }

    /// The key that requests are signed with; none where they are not.
    fn signing_key(&self, provider: &Published) -> Result<Option<Key>, RedirectRefused> {
        let first = self.settings.keys.first();
        if self.settings.sign_requests {
            return Ok(first.cloned());
        }
        if !provider.metadata.wants_signed_requests {
            return Ok(None);
        }
        let Some(key) = first else {
            let problem = "the provider takes signed requests alone; give the connector keys";
            return Err(RedirectRefused::Misconfigured(problem.into()));
        };
        Ok(Some(key.clone()))
    }

    fn expectations(&self, request_id: Option<&str>) -> Expectations {
        let settings = &self.settings;
        let mut audiences = vec![settings.entity_id.clone()];
        audiences.extend(settings.audiences.iter().cloned());
        let decrypting = settings
            .keys
            .iter()
            .filter(|key| key.private.id() == Id::RSA);
        Expectations {
            audiences,
            acs_url: settings.acs_url.to_string(),
            in_response_to: match request_id {
                Some(id) => Solicited::By(id.to_owned()),
                None => Solicited::Not,
            },
            decryption_keys: decrypting.map(|key| key.private.clone()).collect(),
            require_encryption: settings.require_encryption,
            allow_cbc: settings.allow_cbc,
            clock_skew: settings.clock_skew,
            longest_authentication_age: longest_authentication_age(settings),
            authn_contexts: settings.authn_contexts.clone(),
            allow_sha1: false,
            check_destination: true,
        }
    }

    async fn verified(
        &self,
        message: Vec<u8>,
        request_id: Option<&str>,
    ) -> Result<Verified, RedirectRefused> {
        let provider = self.trust.current().await?;
        let message = Arc::new(message);
        match self.verified_by(&message, &provider, request_id).await? {
            Err(refused) if refused.reason == Reason::Signature => {
                // The provider may have begun to sign with a key that it has published since.
                match self.trust.newer_than(&provider).await {
                    Some(newer) => Ok(self.verified_by(&message, &newer, request_id).await??),
                    None => Err(refused.into()),
                }
            }
            other => Ok(other?),
        }
    }

    async fn verified_by(
        &self,
        message: &Arc<Vec<u8>>,
        provider: &Published,
        request_id: Option<&str>,
    ) -> Result<Result<Verified, Refused>, RedirectRefused> {
        let trust = Trust {
            entity_id: provider.metadata.entity_id.clone(),
            certificates: provider.metadata.certificates.clone(),
        };
        let expected = self.expectations(request_id);
        let (message, now) = (Arc::clone(message), self.clock.now());
        off_thread(move || verify::verify(&message, &trust, &expected, now)).await
    }

    /// The answer for AWS, where it takes it too.
    fn proof(&self, answer: &Answer, verified: &Verified) -> Option<HeldProof> {
        let is_for_aws =
            (verified.audiences.iter()).any(|audience| AWS_AUDIENCES.contains(&audience.as_str()));
        let is_whole = [person::ROLE, person::ROLE_SESSION_NAME]
            .iter()
            .all(|name| !person::values(verified, name).is_empty());
        if !self.settings.pass_through || verified.was_encrypted || !is_for_aws || !is_whole {
            return None;
        }
        let response: String = answer
            .message
            .expose_secret()
            .split_ascii_whitespace()
            .collect();
        (response.len() <= LONGEST_PROOF).then(|| HeldProof {
            kind: ProofKind::SamlResponse,
            secret: SecretString::from(response),
            redeem_by: (verified.issued_at + REDEEMABLE).min(verified.replay_until),
        })
    }

    /// A person from a verified assertion, with what has to be kept beside.
    fn vouched(&self, answer: &Answer, verified: Verified) -> Result<Vouched, Refused> {
        let person = Person::read(&self.settings, &verified)?;
        if person.malformed_roles > 0 {
            tracing::warn!(
                connector = self.settings.id.as_str(),
                count = person.malformed_roles,
                "values of the Role attribute are not a role and its provider"
            );
        }
        let now = self.clock.now();
        let proof = self.proof(answer, &verified);
        let identity = Identity {
            connector: self.settings.id.clone(),
            subject: person.subject,
            username: person.username,
            display_name: person.display_name,
            email: person.email,
            entry_dn: None,
            groups: person.groups,
            groups_read_at: now,
            authenticated_at: verified.authenticated_at.min(now),
            method: AuthenticationMethod::Saml,
            authentication_context: verified.authn_context,
            asserted_roles: person.asserted_roles,
        };
        Ok(Vouched {
            identity,
            answer_id: verified.assertion_id,
            replay_until: verified.replay_until,
            provider_session: ProviderSession {
                name_id: verified.name_id.value,
                format: verified.name_id.format,
                name_qualifier: verified.name_id.name_qualifier,
                sp_name_qualifier: verified.name_id.sp_name_qualifier,
                session_index: verified.session_index,
            },
            session_ends_at: verified.session_not_on_or_after,
            proof,
            groups_overage: person.groups_overage,
        })
    }

    /// Where logout messages go and how, and the key that signs them. By redirect wherever that is
    /// offered: providers send several services through frames, where no page of ours is shown.
    async fn logout_route(&self) -> Result<Option<LogoutRoute>, RedirectRefused> {
        let provider = self.trust.current().await?;
        let chosen = provider.metadata.logout.choose(Binding::Redirect);
        Ok(chosen.map(|(binding, endpoint)| LogoutRoute {
            binding,
            requests: endpoint.location.clone(),
            answers: endpoint.for_answers().clone(),
            key: self.settings.keys.first().cloned(),
        }))
    }
}

fn longest_authentication_age(settings: &Settings) -> Option<Duration> {
    let forced = settings.force_authentication.then_some(LONGEST_FORCED);
    let configured = settings.longest_authentication_age;
    forced.into_iter().chain(configured).min()
}

struct LogoutRoute {
    binding: Binding,
    requests: Url,
    answers: Url,
    key: Option<Key>,
}

/// Runs work that blocks beside the async threads.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RedirectRefused> {
    verify::off_thread(work)
        .await
        .map_err(|busy| RedirectRefused::Busy(busy.into()))
}

#[async_trait]
impl RedirectConnector for SamlConnector {
    fn id(&self) -> &ConnectorId {
        &self.settings.id
    }

    fn label(&self) -> &str {
        &self.settings.label
    }

    fn protocol(&self) -> Protocol {
        Protocol::Saml
    }

    fn takes_unsolicited(&self) -> bool {
        self.settings.takes_unsolicited
    }

    fn groups_from(&self) -> Option<&ConnectorId> {
        self.settings.groups_from.as_ref()
    }

    async fn begin(&self, wish: &SignInWish) -> Result<Departure, RedirectRefused> {
        let provider = self.trust.current().await?;
        let key = self.signing_key(&provider)?;
        let chosen = provider
            .metadata
            .sign_in
            .choose(self.settings.request_binding);
        let (binding, endpoint) = chosen.ok_or_else(|| {
            RedirectRefused::Misconfigured("the provider has no sign-in address".into())
        })?;
        let destination = endpoint.location.clone();
        let (settings, now) = (Arc::clone(&self.settings), self.clock.now());
        let forces = wish.force_authentication || settings.force_authentication;
        off_thread(move || {
            let (request_id, relay_state) = (request::fresh_id()?, request::random()?);
            let message = request::authentication(
                &settings,
                &request_id,
                &relay_state,
                &request::Addressed {
                    destination: &destination,
                    now,
                },
                forces,
            )?;
            let carried = request::carried(&message, &destination, binding, key.as_ref())?;
            Ok(Departure {
                request_id: request_id.clone(),
                relay_state: relay_state.clone(),
                carried,
            })
        })
        .await?
        .map_err(RedirectRefused::Misconfigured)
    }

    fn conversation(&self, answer: &Answer) -> Result<Option<String>, RedirectRefused> {
        let message = verify::decode(answer.message.expose_secret())?;
        let (_, shape) = gate::inspect(&message, Root::Response, Allowances::default())?;
        Ok(shape.in_response_to)
    }

    async fn finish(
        &self,
        answer: &Answer,
        request_id: Option<&str>,
    ) -> Result<Vouched, RedirectRefused> {
        if request_id.is_none() && !self.settings.takes_unsolicited {
            let detail = "nobody asked for it here; allow_idp_initiated is off";
            return Err(Refused::new(Reason::Unsolicited, detail).into());
        }
        let message = verify::decode(answer.message.expose_secret())?;
        let verified = self.verified(message, request_id).await?;
        Ok(self.vouched(answer, verified)?)
    }

    fn metadata(&self) -> Result<String, RedirectRefused> {
        service_metadata::metadata(&self.settings).map_err(RedirectRefused::Misconfigured)
    }

    async fn begin_logout(
        &self,
        session: &ProviderSession,
    ) -> Result<Option<LogoutDeparture>, RedirectRefused> {
        let Some(route) = self.logout_route().await? else {
            return Ok(None);
        };
        let (settings, now) = (Arc::clone(&self.settings), self.clock.now());
        let session = session.clone();
        off_thread(move || {
            let request_id = request::fresh_id()?;
            let addressed = request::Addressed {
                destination: &route.requests,
                now,
            };
            let message = logout::request(&settings, &request_id, &addressed, &session)?;
            let key = route.key.as_ref();
            let carried = request::carried(&message, &route.requests, route.binding, key)?;
            Ok(Some(LogoutDeparture {
                request_id: request_id.clone(),
                carried,
            }))
        })
        .await?
        .map_err(RedirectRefused::Misconfigured)
    }

    async fn read_logout(&self, message: &LogoutMessage) -> Result<Logout, RedirectRefused> {
        let provider = self.trust.current().await?;
        let message = Arc::new(message.clone());
        let read = |provider: Arc<Published>| {
            let (message, settings) = (Arc::clone(&message), Arc::clone(&self.settings));
            let now = self.clock.now();
            off_thread(move || logout::read(&message, &provider.metadata, &settings, now))
        };
        match read(Arc::clone(&provider)).await? {
            Err(refused) if refused.reason == Reason::Signature => {
                match self.trust.newer_than(&provider).await {
                    Some(newer) => Ok(read(newer).await??),
                    None => Err(refused.into()),
                }
            }
            other => Ok(other?),
        }
    }

    async fn answer_logout(
        &self,
        request_id: &str,
        relay_state: Option<&str>,
        is_done: bool,
    ) -> Result<Option<Carried>, RedirectRefused> {
        let Some(route) = self.logout_route().await? else {
            return Ok(None);
        };
        let (settings, now) = (Arc::clone(&self.settings), self.clock.now());
        let (request_id, relay_state) = (request_id.to_owned(), relay_state.map(str::to_owned));
        off_thread(move || {
            let id = request::fresh_id()?;
            let answered = logout::Answered {
                request_id: &request_id,
                relay_state: relay_state.as_deref(),
                is_done,
            };
            let addressed = request::Addressed {
                destination: &route.answers,
                now,
            };
            let message = logout::response(&settings, &id, &addressed, &answered)?;
            let key = route.key.as_ref();
            request::carried(&message, &route.answers, route.binding, key).map(Some)
        })
        .await?
        .map_err(RedirectRefused::Misconfigured)
    }

    fn aws_application(&self, target: &AwsApplication<'_>) -> Option<Url> {
        application_url(self.settings.aws_application_url.as_deref()?, target)
    }

    async fn refresh_trust(&self) {
        self.trust.refresh().await;
    }

    async fn probe(&self) -> Vec<Finding> {
        let mut findings = self.probe_provider().await;
        for (index, key) in self.settings.keys.iter().enumerate() {
            let about = format!("keys[{index}]");
            findings.push(days_left(about, &key.certificate, self.clock.now()));
        }
        findings
    }
}

impl SamlConnector {
    async fn probe_provider(&self) -> Vec<Finding> {
        let about = match &self.settings.source {
            Source::Text(_) => "metadata".to_owned(),
            Source::Url { url, .. } => url.to_string(),
        };
        self.trust.refresh().await;
        let provider = match self.trust.current().await {
            Ok(provider) => provider,
            Err(error) => return vec![error_about(about, message(&error))],
        };
        let mut findings = Vec::new();
        match self.trust.problem() {
            Some(problem) => findings.push(error_about(
                about.clone(),
                format!("{problem}; the copy of {} serves", provider.fetched_at),
            )),
            None => findings.push(Finding {
                is_error: false,
                about: about.clone(),
                message: format!("speaks of {}", provider.metadata.entity_id),
            }),
        }
        if let Err(error) = self.signing_key(&provider) {
            findings.push(error_about(about.clone(), message(&error)));
        }
        let now = self.clock.now();
        if let Some(end) = provider.metadata.valid_until {
            findings.push(Finding {
                is_error: false,
                about: about.clone(),
                message: format!(
                    "is valid for {} days, until {end}",
                    (end - now).whole_days()
                ),
            });
        }
        for problem in &provider.metadata.ignored {
            findings.push(Finding {
                is_error: false,
                about: about.clone(),
                message: format!("{problem}; it is not used"),
            });
        }
        for (index, der) in provider.metadata.certificates.iter().enumerate() {
            if let Ok(certificate) = X509::from_der(der) {
                let about = format!("the provider's certificate {}", index + 1);
                findings.push(days_left(about, &certificate, now));
            }
        }
        findings
    }
}

fn error_about(about: String, message: String) -> Finding {
    Finding {
        is_error: true,
        about,
        message,
    }
}

/// A refusal with its causes in one line.
fn message(error: &RedirectRefused) -> String {
    match error {
        RedirectRefused::Message(refused) => refused.to_string(),
        RedirectRefused::Token(refused) => refused.to_string(),
        RedirectRefused::Unavailable(cause)
        | RedirectRefused::Misconfigured(cause)
        | RedirectRefused::Busy(cause) => cause.to_string(),
    }
}

/// How long a certificate lasts. Its end is no error: what counts are the keys, and only people
/// who look at certificates mind (SAML metadata interoperability profile 2.6.1).
fn days_left(about: String, certificate: &X509Ref, now: OffsetDateTime) -> Finding {
    let days = Asn1Time::from_unix(now.unix_timestamp())
        .and_then(|now| now.diff(certificate.not_after()))
        .map(|left| i64::from(left.days));
    let message = match days {
        Ok(days) if days < 0 => format!(
            "ended {} days ago; Rolegate goes by the key, others may not",
            -days
        ),
        Ok(days) if days < NOTICED_DAYS => format!("ends in {days} days; plan its successor"),
        Ok(days) => format!("lasts {days} days more"),
        Err(_) => "has an end that cannot be read".to_owned(),
    };
    Finding {
        is_error: false,
        about,
        message,
    }
}

/// Fills the template; what no placeholder takes of the deep link becomes a RelayState.
fn application_url(template: &str, target: &AwsApplication<'_>) -> Option<Url> {
    let relay_state = target.destination.map_or("", Url::as_str);
    let filled = [
        ("{account}", target.account),
        ("{role_arn}", target.role_arn),
        ("{role_name}", target.role_name),
        ("{relay_state}", relay_state),
    ]
    .into_iter()
    .fold(template.to_owned(), |text, (placeholder, value)| {
        text.replace(placeholder, &percent_encoded(value))
    });
    let mut url = Url::parse(&filled).ok()?;
    if !template.contains("{relay_state}") && !relay_state.is_empty() {
        url.query_pairs_mut().append_pair("RelayState", relay_state);
    }
    Some(url)
}

/// Everything but the unreserved characters of RFC 3986, escaped.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
