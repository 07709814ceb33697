//! How a grant is carried out: with which proof at STS, or without STS.
//!
//! What can be known to fail is refused here, before anything is announced; nothing is minted.
//! Entry points: [`Broker::way`], [`Broker::post`].

use secrecy::{ExposeSecret as _, SecretString};
use time::Duration;
use url::Url;

use super::{
    Asked, CodeTrouble, Decided, OpenOrder, OpenRefused, SamlPost,
    rows::{count, posted_details, posted_session},
};
use crate::{
    access::{ConsoleWay, Delivery, Grant, GrantMethod, NotEntitled, Voucher},
    audit::Outcome,
    aws::{Proof, StsError},
    broker::{Broker, Client, SessionSecret, proof::Held},
    identity::{AwsApplication, Connector, ProofKind},
    store::SignInSession,
};

/// An assertion that AWS will refuse so soon is not sent there any more.
const REDEEM_ALLOWANCE: Duration = Duration::seconds(5);
/// Whoever comes from their provider and has no assertion by now will have none the next time.
const JUST_SIGNED_IN: Duration = Duration::seconds(15);
/// What is so young and too old for AWS means a wrong clock: it takes assertions for five minutes,
/// and providers' tokens last longer.
const YOUNG_ASSERTION: Duration = Duration::minutes(1);
/// The digits of a code (AWS API, `TokenCode`).
const CODE_DIGITS: usize = 6;

/// How a grant is carried out.
pub(super) enum Way {
    /// By STS, with what the person or our own credentials vouch with.
    Sts {
        proof: Proof,
        /// Whether the proof was made a moment ago, so that another one would be no better.
        is_young: bool,
    },
    /// By STS, with what our issuer will say.
    Vouched,
    /// By an assertion of our issuer that the browser posts to AWS; STS is not asked.
    Posted,
    /// By the identity provider's own AWS application.
    HandOver(Url),
}

impl Broker {
    /// How a grant will be carried out; refuses before anything is announced where it cannot be.
    pub(super) async fn way(
        &self,
        decided: &Decided,
        session: &SignInSession,
        asked: &Asked<'_>,
    ) -> Result<Way, OpenRefused> {
        let grant = &decided.grant;
        if grant.console() == ConsoleWay::IdpInitiated {
            return self.hand_over(decided).map(Way::HandOver);
        }
        let is_console = grant.delivery() == Delivery::Console;
        if is_console && grant.method() == GrantMethod::SessionToken {
            return Err(OpenRefused::NotEntitled {
                reason: NotEntitled::CredentialsOnly,
                role: Some(grant.target().clone()),
                groups: session.identity.groups.len(),
            });
        }
        match grant.voucher() {
            None => Ok(Way::Sts {
                proof: own(grant, asked.order)?,
                is_young: false,
            }),
            Some(Voucher::Issuer) if grant.is_posted() => Ok(Way::Posted),
            Some(Voucher::Issuer) => Ok(Way::Vouched),
            Some(Voucher::Provider) => self.brought(grant, session, asked.secret).await,
        }
    }

    /// With what the person's provider sent at the last sign-in.
    async fn brought(
        &self,
        grant: &Grant,
        session: &SignInSession,
        secret: Option<&SessionSecret>,
    ) -> Result<Way, OpenRefused> {
        let held = match secret {
            Some(secret) => self.held(&session.id_hash, secret).await?,
            None => None,
        };
        let now = self.now();
        let held = held.filter(|held| held.redeem_by - REDEEM_ALLOWANCE > now);
        if let Some(held) = held {
            let is_young = now - held.since < YOUNG_ASSERTION;
            if let Some(proof) = fitting(held, grant.method()) {
                return Ok(Way::Sts { proof, is_young });
            }
        }
        let provider = self.connector(&session.identity.connector);
        let is_redirected = matches!(provider, Some(Connector::Redirect(_)));
        // Whoever was sent there and comes back without must not be sent there again, and again.
        if is_redirected && now - session.created_at >= JUST_SIGNED_IN {
            return Err(OpenRefused::FreshAssertion);
        }
        Err(OpenRefused::NoAssertion)
    }

    /// Where the identity provider itself opens the role.
    fn hand_over(&self, decided: &Decided) -> Result<Url, OpenRefused> {
        let grant = &decided.grant;
        if grant.delivery() == Delivery::Credentials {
            return Err(OpenRefused::ConsoleOnly);
        }
        let Some(Connector::Redirect(provider)) = self.connector(grant.connector()) else {
            return Err(OpenRefused::NoAwsApplication);
        };
        let application = AwsApplication {
            account: grant.target().account_digits(),
            role_arn: grant.target().as_str(),
            role_name: grant.target().name(),
            destination: decided.destination.as_ref(),
        };
        provider
            .aws_application(&application)
            .ok_or(OpenRefused::NoAwsApplication)
    }

    /// Lets our issuer vouch for the person in an assertion that the browser posts to AWS: no call
    /// of ours goes there, so whether AWS took it stands in CloudTrail alone.
    pub(super) async fn post(
        &self,
        decided: Decided,
        intent: &str,
        client: &Client,
    ) -> Result<SamlPost, OpenRefused> {
        let Decided {
            grant, destination, ..
        } = decided;
        let event = self.outcome(&grant, intent, Outcome::Ok, client);
        let (minted, action) = match self.assertion_of_ours(&grant).await {
            Ok(minted) => minted,
            Err(error) => {
                let error = StsError::Issuer(error);
                self.conclude_unissued(&grant, event, &error, client)
                    .await?;
                return Err(OpenRefused::Sts(error));
            }
        };
        let session = posted_session(&grant, intent, self.now());
        let event = posted_details(event, &grant, &session, &minted.id);
        self.adapters.audit.conclude(&event, Some(&session)).await?;
        count(&grant, "ok");
        Ok(SamlPost {
            action,
            response: minted.response,
            relay_state: destination.unwrap_or_else(|| self.settings.public_url.clone()),
        })
    }
}

/// Our own credentials, with the code that AWS wants beside them.
fn own(grant: &Grant, order: &OpenOrder) -> Result<Proof, OpenRefused> {
    let Some(serial) = grant.mfa_serial() else {
        return Ok(Proof::Own);
    };
    let needed = |trouble| OpenRefused::CodeNeeded {
        serial: serial.to_owned(),
        trouble,
    };
    let code = order.mfa_code.as_ref().ok_or_else(|| needed(None))?;
    let code = digits(code).ok_or_else(|| needed(Some(CodeTrouble::NotSixDigits)))?;
    Ok(Proof::OwnWithCode(code))
}

/// A code as devices show it, without the blanks.
fn digits(code: &SecretString) -> Option<SecretString> {
    let mut digits = String::with_capacity(CODE_DIGITS);
    for digit in code.expose_secret().chars().filter(|c| !c.is_whitespace()) {
        if !digit.is_ascii_digit() || digits.len() == CODE_DIGITS {
            return None;
        }
        digits.push(digit);
    }
    (digits.len() == CODE_DIGITS).then(|| digits.into())
}

/// What is held, where AWS takes it for the grant method: another kind is as good as none.
fn fitting(held: Held, method: GrantMethod) -> Option<Proof> {
    let token = |token, provider_id| Proof::WebIdentity { token, provider_id };
    match (method, held.kind) {
        (GrantMethod::AssumeRoleWithSaml, ProofKind::SamlResponse) => {
            Some(Proof::SamlResponse(held.secret))
        }
        (GrantMethod::AssumeRoleWithWebIdentity, ProofKind::IdToken) => {
            Some(token(held.secret, None))
        }
        (GrantMethod::AssumeRoleWithWebIdentity, ProofKind::AccessToken { provider_id }) => {
            Some(token(held.secret, Some(provider_id)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_code_is_six_digits_whatever_blanks_are_between_them() {
        let read = |text: &str| {
            let code: SecretString = text.to_owned().into();
            digits(&code).map(|code| code.expose_secret().to_owned())
        };
        for text in ["123456", " 123 456\t", "12 34 56"] {
            assert_eq!(read(text).as_deref(), Some("123456"), "{text:?}");
        }
        for text in [
            "",
            "12345",
            "1234567",
            "12345a",
            "１２３４５６",
            "-12345",
            "0x1234",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_held_word_serves_the_grant_method_that_takes_it_and_no_other() {
        let held = |kind| Held {
            kind,
            secret: "planted".to_owned().into(),
            since: datetime!(2026-11-24 10:00 UTC),
            redeem_by: datetime!(2026-11-24 10:05 UTC),
        };
        let access = || ProofKind::AccessToken {
            provider_id: "graph.facebook.com".to_owned(),
        };
        let saml = GrantMethod::AssumeRoleWithSaml;
        let web = GrantMethod::AssumeRoleWithWebIdentity;
        assert!(matches!(
            fitting(held(ProofKind::SamlResponse), saml),
            Some(Proof::SamlResponse(_))
        ));
        assert!(matches!(
            fitting(held(ProofKind::IdToken), web),
            Some(Proof::WebIdentity {
                provider_id: None,
                ..
            })
        ));
        assert!(matches!(
            fitting(held(access()), web),
            Some(Proof::WebIdentity { provider_id: Some(id), .. }) if id == "graph.facebook.com"
        ));
        assert!(fitting(held(ProofKind::SamlResponse), web).is_none());
        assert!(fitting(held(ProofKind::IdToken), saml).is_none());
        assert!(fitting(held(access()), saml).is_none());
        assert!(fitting(held(ProofKind::SamlResponse), GrantMethod::AssumeRole).is_none());
    }
}
