//! What `check --live` says about a directory.

use ldap3::asn1::{PL, StructureTag, parse_tag};
use time::{Date, Month, OffsetDateTime, Time};
use tokio::time::Instant;

use super::{
    LdapConnector,
    connection::{Connection, SearchRequest},
    failure::Failure,
    settings::Bind,
};
use crate::identity::Finding;

/// Certificates that end sooner are reported as a problem.
const RENEW_WITHIN_DAYS: i64 = 14;

impl LdapConnector {
    pub(super) async fn probe_servers(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (url, opened) in self.servers.open_each(self.deadline()).await {
            let finding = match opened {
                Ok(mut connection) => self.probe_server(&mut connection).await,
                Err(failure) => (true, explained(&failure)),
            };
            findings.push(Finding {
                is_error: finding.0,
                about: url.to_string(),
                message: finding.1,
            });
        }
        findings
    }

    async fn probe_server(&self, connection: &mut Connection) -> (bool, String) {
        let deadline = self.deadline();
        let certificate = match connection.certificate(deadline).await {
            Ok(certificate) => certificate,
            Err(failure) => return (true, explained(&failure)),
        };
        let (is_error, certificate) = match certificate {
            None => (false, "not encrypted".to_owned()),
            Some(der) => self.certificate_message(&der),
        };
        if matches!(self.settings.bind, Bind::Direct { .. }) {
            return (
                is_error,
                format!("connected, {certificate}; without a service account no search was tried"),
            );
        }
        let mut bases = vec![self.settings.user_base.as_str()];
        bases.extend(self.settings.group_base.as_deref());
        for base in bases {
            if let Err(problem) = read_base(connection, base, deadline).await {
                return (true, format!("connected, {certificate}, bound; {problem}"));
            }
        }
        (
            is_error,
            format!("connected, {certificate}, bound, search bases readable"),
        )
    }

    fn certificate_message(&self, der: &[u8]) -> (bool, String) {
        match not_after(der) {
            None => (false, "certificate accepted".to_owned()),
            Some(end) => {
                let days = (end - self.clock.now()).whole_days();
                (
                    days < RENEW_WITHIN_DAYS,
                    format!("certificate valid for {days} more days"),
                )
            }
        }
    }
}

async fn read_base(
    connection: &mut Connection,
    base: &str,
    deadline: Instant,
) -> Result<(), String> {
    let request = SearchRequest {
        base,
        scope: ldap3::Scope::Base,
        filter: "(objectClass=*)",
        attributes: &["1.1"],
        page_size: None,
        limit: 1,
        value_limit: None,
        matched_values: None,
    };
    match connection.search(&request, deadline).await {
        Ok(entries) if entries.is_empty() => {
            Err(format!("the service account may not read `{base}`"))
        }
        Ok(_) => Ok(()),
        Err(failure) => Err(format!(
            "`{base}` cannot be searched: {}",
            explained(&failure)
        )),
    }
}

/// A failure with its causes. ldap3's errors say what their causes say once more.
fn explained(failure: &Failure) -> String {
    let mut text = failure.to_string();
    let mut cause = std::error::Error::source(failure);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// When an X.509 certificate ends (RFC 5280 section 4.1.2.5); none when it cannot be read.
fn not_after(der: &[u8]) -> Option<OffsetDateTime> {
    const VERSION: u64 = 0;
    let (_, certificate) = parse_tag(der).ok()?;
    let to_be_signed = certificate.expect_constructed()?.into_iter().next()?;
    let validity = to_be_signed
        .expect_constructed()?
        .into_iter()
        .filter(|part| part.id != VERSION)
        // Serial number, signature algorithm, issuer.
        .nth(3)?;
    moment(validity.expect_constructed()?.into_iter().nth(1)?)
}

/// Reads a `UTCTime` or a `GeneralizedTime`.
fn moment(tag: StructureTag) -> Option<OffsetDateTime> {
    const UTC_TIME: u64 = 23;
    let PL::P(bytes) = tag.payload else {
        return None;
    };
    let text = String::from_utf8(bytes).ok()?;
    let text = match tag.id {
        UTC_TIME if text.as_bytes().first().is_some_and(|b| *b >= b'5') => format!("19{text}"),
        UTC_TIME => format!("20{text}"),
        _ => text,
    };
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u8>().ok();
    let year = text.get(0..4)?.parse().ok()?;
    let month = Month::try_from(number(4, 6)?).ok()?;
    let date = Date::from_calendar_date(year, month, number(6, 8)?).ok()?;
    let time = Time::from_hms(number(8, 10)?, number(10, 12)?, number(12, 14)?).ok()?;
    Some(date.with_time(time).assume_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read() {
        for (year, expected) in [(2031, "2031-02-03"), (2077, "2077-02-03")] {
            let mut params = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 2, 3);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            let end = not_after(certificate.der()).unwrap();
            assert_eq!(end.date().to_string(), expected);
        }
    }

    proptest! {
        #[test]
        fn reading_certificates_never_panics(der in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = not_after(&der);
        }
    }
}
