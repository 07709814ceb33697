//! Verification of AWS Signature Version 4 in the `Authorization` header.

use std::fmt::Write;

use aws_lc_rs::{constant_time, digest, hmac};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, PrimitiveDateTime};

use super::sts::StsError;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const ALLOWED_SKEW: Duration = Duration::minutes(15);
const AMZ_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// What the `Authorization` header claims.
pub(super) struct Authorization {
    pub(super) access_key_id: String,
    pub(super) region: String,
    service: &'static str,
    date: String,
    timestamp: String,
    signed_headers: Vec<String>,
    signature: Vec<u8>,
}

impl Authorization {
    /// Reads the header of a call to STS without judging it.
    pub(super) fn parse(headers: &HeaderMap) -> Result<Self, StsError> {
        Self::parse_for("sts", headers)
    }

    /// The same for the service of another name.
    pub(super) fn parse_for(service: &'static str, headers: &HeaderMap) -> Result<Self, StsError> {
        let value = text(headers, "authorization").ok_or_else(StsError::unsigned)?;
        Self::read(service, value, headers).ok_or_else(|| {
            let message = "Authorization header requires 'Credential', 'Signature' and \
                           'SignedHeaders' parameters and a signed 'X-Amz-Date'.";
            StsError::sender(403, "IncompleteSignature", message)
        })
    }

    fn read(service: &'static str, value: &str, headers: &HeaderMap) -> Option<Self> {
        let parameters: Vec<(&str, &str)> = value
            .strip_prefix(ALGORITHM)?
            .split(',')
            .map(|parameter| parameter.trim().split_once('='))
            .collect::<Option<_>>()?;
        let parameter = |name: &str| {
            parameters
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| *value)
        };
        let scope: Vec<&str> = parameter("Credential")?.split('/').collect();
        let [access_key_id, date, region, named, "aws4_request"] = scope[..] else {
            return None;
        };
        (named == service).then_some(())?;
        let signed_headers: Vec<String> = parameter("SignedHeaders")?
            .split(';')
            .map(str::to_owned)
            .collect();
        let must_be_signed = ["host", "x-amz-date", "x-amz-security-token"];
        let are_signed = must_be_signed.iter().all(|name| {
            !headers.contains_key(*name) || signed_headers.iter().any(|signed| signed == name)
        });
        are_signed.then_some(())?;
        Some(Self {
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            service,
            date: date.to_owned(),
            timestamp: text(headers, "x-amz-date")?.to_owned(),
            signed_headers,
            signature: from_hex(parameter("Signature")?)?,
        })
    }

    /// Whether the request was signed with this secret, less than fifteen minutes away from now.
    pub(super) fn verify(
        &self,
        request: &SignedRequest<'_>,
        secret_access_key: &str,
        now: OffsetDateTime,
    ) -> Result<(), StsError> {
        let mismatch = |message: &str| StsError::sender(403, "SignatureDoesNotMatch", message);
        let signed_at = PrimitiveDateTime::parse(&self.timestamp, AMZ_DATE)
            .ok()
            .filter(|_| self.timestamp.starts_with(&self.date))
            .ok_or_else(|| mismatch("Date in Credential scope does not match X-Amz-Date."))?
            .assume_utc();
        let now_text = now.format(AMZ_DATE).unwrap_or_default();
        if signed_at + ALLOWED_SKEW < now {
            let text = format!(
                "Signature expired: {} is now earlier than {now_text} - 15 min.",
                self.timestamp
            );
            return Err(mismatch(&text));
        }
        if signed_at - ALLOWED_SKEW > now {
            let text = format!(
                "Signature not yet current: {} is still later than {now_text} + 15 min.",
                self.timestamp
            );
            return Err(mismatch(&text));
        }
        let expected = self.sign(&request.canonical(&self.signed_headers), secret_access_key);
        constant_time::verify_slices_are_equal(expected.as_ref(), &self.signature).map_err(|_| {
            mismatch(
                "The request signature we calculated does not match the signature you provided. \
                 Check your AWS Secret Access Key and signing method. Consult the service \
                 documentation for details.",
            )
        })
    }

    fn sign(&self, canonical_request: &str, secret_access_key: &str) -> hmac::Tag {
        let text = format!(
            "{ALGORITHM}\n{}\n{}/{}/{}/aws4_request\n{}",
            self.timestamp,
            self.date,
            self.region,
            self.service,
            sha256_hex(canonical_request.as_bytes())
        );
        let first = keyed(format!("AWS4{secret_access_key}").as_bytes(), &self.date);
        let key = [self.region.as_str(), self.service, "aws4_request"]
            .into_iter()
            .fold(first, |key, part| keyed(key.as_ref(), part));
        keyed(key.as_ref(), &text)
    }
}

/// The parts of a request that a signature covers.
pub(super) struct SignedRequest<'a> {
    pub(super) head: &'a Parts,
    pub(super) body: &'a [u8],
}

impl SignedRequest<'_> {
    fn canonical(&self, signed_headers: &[String]) -> String {
        let mut query: Vec<&str> = self.head.uri.query().map_or_else(Vec::new, |query| {
            query.split('&').filter(|pair| !pair.is_empty()).collect()
        });
        query.sort_unstable();
        let mut canonical = format!(
            "{}\n{}\n{}\n",
            self.head.method,
            self.head.uri.path(),
            query.join("&")
        );
        for name in signed_headers {
            let values: Vec<String> = self
                .head
                .headers
                .get_all(name)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            let _ = writeln!(canonical, "{name}:{}", values.join(","));
        }
        let _ = write!(
            canonical,
            "\n{}\n{}",
            signed_headers.join(";"),
            sha256_hex(self.body)
        );
        canonical
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn keyed(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

fn sha256_hex(bytes: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, bytes);
    hash.as_ref()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || text.len() != 64 {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|start| u8::from_str_radix(&text[start..start + 2], 16).ok())
        .collect()
}
