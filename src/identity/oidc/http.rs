//! Asking the provider: no redirects, a deadline, and no more than a limit is read.
//!
//! Redirects would let whoever answers choose where we ask next. Never here: what is asked. Entry
//! point: [`Http::send`].

use std::time::Duration;

use openidconnect::{
    HttpRequest, HttpResponse,
    http::{Request, header},
};
use reqwest::{Certificate, redirect};
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::identity::Cause;

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes that are read of an answer.
pub(in crate::identity) const LARGEST: usize = 512 * 1024;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(in crate::identity) enum HttpError {
    #[error("{0}")]
    Unreachable(String),
    #[error("it answers with more than {LARGEST} bytes")]
    TooLarge,
}

/// The means to ask a provider.
#[derive(Clone)]
pub(in crate::identity) struct Http(reqwest::Client);

impl Http {
    /// Trusts the certificates of `ca_pem` alone, where there are any.
    pub(in crate::identity) fn new(ca_pem: Option<&[u8]>) -> Result<Self, Cause> {
        let builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .user_agent(concat!("rolegate/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none());
        let builder = match ca_pem {
            Some(pem) => builder.tls_certs_only(Certificate::from_pem_bundle(pem)?),
            None => builder,
        };
        Ok(Self(builder.build()?))
    }

    /// Sends a request; any status is an answer.
    pub(in crate::identity) async fn send(
        &self,
        request: HttpRequest,
    ) -> Result<HttpResponse, HttpError> {
        let unreachable = |error: reqwest::Error| {
            HttpError::Unreachable(format!(
                "it does not answer: {}",
                chain(&error.without_url())
            ))
        };
        let request = reqwest::Request::try_from(request).map_err(unreachable)?;
        let mut response = self.0.execute(request).await.map_err(unreachable)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > LARGEST {
                return Err(HttpError::TooLarge);
            }
            bytes.extend_from_slice(&chunk);
        }
        let mut answer = HttpResponse::new(bytes);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// A document that is published at an address, and when its server says that it answered
    /// (RFC 9110, 6.6.1).
    pub(in crate::identity) async fn document(
        &self,
        address: &str,
    ) -> Result<(String, Option<OffsetDateTime>), String> {
        let request = Request::get(address)
            .header(header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|error| format!("{address} cannot be asked: {error}"))?;
        let response = (self.send(request).await).map_err(|error| format!("{address}: {error}"))?;
        if !response.status().is_success() {
            return Err(format!(
                "{address} answers {}; expected a document",
                response.status()
            ));
        }
        let date = response.headers().get(header::DATE);
        let date = date.and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
        let text = String::from_utf8(response.into_body())
            .map_err(|_| format!("what {address} answers is not UTF-8"))?;
        Ok((text, date))
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    text
}
