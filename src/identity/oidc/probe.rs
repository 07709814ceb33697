//! What `check --live` says about a provider.

use super::{
    settings::Settings,
    trust::{ProviderTrust, Published},
};
use crate::identity::{Finding, RedirectRefused};

/// A difference of clocks from which on it is pointed out, in seconds.
const NOTICED_SECONDS: i64 = 5;

/// Fetches what the provider publishes and looks at it.
pub(super) async fn probe(settings: &Settings, trust: &ProviderTrust) -> Vec<Finding> {
    let finding = |is_error, message| Finding {
        is_error,
        about: settings.issuer.clone(),
        message,
    };
    trust.refresh().await;
    let published = match trust.current().await {
        Ok(published) => published,
        Err(RedirectRefused::Unavailable(cause)) => {
            return vec![finding(true, cause.to_string())];
        }
        Err(error) => return vec![finding(true, error.to_string())],
    };
    let mut findings = vec![match trust.problem() {
        Some(problem) => finding(
            true,
            format!("{problem}; the copy of {} serves", published.fetched_at),
        ),
        None => finding(
            false,
            format!(
                "publishes {} keys; codes are exchanged with {:?}",
                published.keys.len(),
                published.provider.token_auth
            ),
        ),
    }];
    findings
        .extend(clock(settings, &published).map(|(is_error, message)| finding(is_error, message)));
    if published.provider.end_session.is_none() {
        let message = "has no end_session_endpoint, so people stay signed in there";
        findings.push(finding(false, message.to_owned()));
    }
    findings
}

/// Whether tokens would be refused because the clocks differ.
fn clock(settings: &Settings, published: &Published) -> Option<(bool, String)> {
    let ahead = published.clock_ahead?;
    let skew = i64::try_from(settings.clock_skew.as_secs()).unwrap_or(i64::MAX);
    if ahead.abs() <= NOTICED_SECONDS.min(skew.max(1)) {
        return None;
    }
    let word = if ahead > 0 { "ahead of" } else { "behind" };
    Some((
        ahead.abs() > skew,
        format!(
            "its clock is {} s {word} ours; clock_skew allows {skew} s",
            ahead.abs()
        ),
    ))
}
