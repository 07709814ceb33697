//! `check --live`: the directories, STS, the sign-in endpoint, the clock and the store.
//!
//! Nothing is asked that needs a permission at AWS. Entry point: [`check`].

use std::time::Duration;

use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use url::Url;

use super::{Lines, long_term_keys::Need};
use crate::{
    access::Partition,
    app,
    aws::{
        Caller, Sts,
        partition::{partition_of_region, sign_in_host},
    },
    cli::{failure::with_causes, installation::Installation, progress::while_waiting},
    clock,
    identity::Connector,
    store::{StoreHealth, sql::SqlStore},
};

/// How long an endpoint may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// What AWS forgives a signature (AWS General Reference, Signature Version 4).
const FORGIVEN_SKEW: i64 = 300;
/// What is worth mending before it becomes an error.
const NOTICED_SKEW: i64 = 30;

pub(super) async fn check(
    installation: &Installation,
    (store, needs): (Option<&SqlStore>, &[Need]),
    lines: &mut Lines,
) {
    directories(installation, lines).await;
    credential_sources(installation, needs, lines).await;
    endpoints(installation, lines).await;
    if let Some(store) = store {
        let url = &installation.config.store.url;
        match store.ping().await {
            Ok(()) => lines.ok(url, "can be written"),
            Err(error) => lines.error(url, format!("cannot be written: {}", with_causes(&error))),
        }
    }
}

async fn directories(installation: &Installation, lines: &mut Lines) {
    let connectors = match app::connectors(&installation.config, &clock::system()) {
        Ok(connectors) => connectors,
        Err(error) => return lines.error("connectors", with_causes(&error)),
    };
    for connector in connectors {
        let what = format!("asking {}", connector.id());
        let findings = match &connector {
            Connector::Password(directory) => directory.probe(),
            Connector::Redirect(provider) => provider.probe(),
        };
        for finding in while_waiting(&what, findings).await {
            let about = format!("{} {}", connector.id(), finding.about);
            if finding.is_error {
                lines.error(about, finding.message);
            } else {
                lines.ok(about, finding.message);
            }
        }
    }
}

async fn credential_sources(installation: &Installation, needs: &[Need], lines: &mut Lines) {
    let sts = match app::sts(&installation.config).await {
        Ok(sts) => sts,
        Err(error) => return lines.error("credential sources", with_causes(&error)),
    };
    for source in sts.credential_sources() {
        let Some(caller) = caller(sts.as_ref(), &source, lines).await else {
            continue;
        };
        for need in needs.iter().filter(|need| need.source == source) {
            if let Some(problem) = need.against(&caller) {
                lines.error(&need.role, problem);
            }
        }
    }
}

/// Says who a source is.
async fn caller(sts: &dyn Sts, source: &str, lines: &mut Lines) -> Option<Caller> {
    let about = format!("credential source {source}");
    let caller = match while_waiting("asking STS who we are", sts.caller(source)).await {
        Ok(caller) => caller,
        Err(error) => {
            lines.error(about, error.for_operator());
            return None;
        }
    };
    let arn = &caller.arn;
    if arn.ends_with(":root") {
        lines.error(
            about,
            format!(
                "is {arn}, which may do everything; use a role or user that may only assume the \
                 roles"
            ),
        );
    } else if caller.is_temporary {
        lines.ok(
            about,
            format!(
                "is {arn}; its credentials are temporary, so that role sessions last one hour at \
                 most"
            ),
        );
    } else {
        lines.ok(about, format!("is {arn}"));
    }
    Some(caller)
}

async fn endpoints(installation: &Installation, lines: &mut Lines) {
    let client = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .user_agent(concat!("rolegate/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .build();
    let client = match client {
        Ok(client) => client,
        Err(error) => return lines.error("HTTPS", with_causes(&error)),
    };
    match sts_url(installation) {
        Some(url) => clock(&client, url, lines).await,
        None => lines.warning(
            "clock",
            "was not compared: the region's STS host is not known",
        ),
    }
    match sign_in_url(installation) {
        Some(url) => match answer(&client, &url).await {
            Ok(_) => lines.ok(url, "answers"),
            Err(problem) => lines.error(url, problem),
        },
        None => lines.warning(
            "sign-in endpoint",
            "was not tried: the region's host is not known; set aws.sign_in_endpoint",
        ),
    }
}

/// Compares our clock with the `Date` of whatever STS answers.
async fn clock(client: &reqwest::Client, url: Url, lines: &mut Lines) {
    let date = match answer(client, &url).await {
        Ok(date) => date,
        Err(problem) => return lines.error(url, problem),
    };
    let Some(theirs) = date else {
        return lines.warning("clock", format!("was not compared: {url} tells no time"));
    };
    let skew = (clock::system().now() - theirs).whole_seconds();
    let size = skew.unsigned_abs();
    let direction = if skew < 0 { "behind" } else { "ahead of" };
    let message = format!("is {size} s {direction} {url}");
    if skew.abs() >= FORGIVEN_SKEW {
        lines.error(
            "clock",
            format!("{message}; AWS refuses signatures that are 5 minutes off"),
        );
    } else if skew.abs() >= NOTICED_SKEW {
        lines.warning("clock", format!("{message}; let NTP set it"));
    } else {
        lines.ok("clock", format!("agrees with {url}"));
    }
}

/// Whether anything answers, and the time it tells; which answer does not matter.
async fn answer(client: &reqwest::Client, url: &Url) -> Result<Option<OffsetDateTime>, String> {
    let what = format!("asking {url}");
    let response = while_waiting(&what, client.get(url.clone()).send())
        .await
        .map_err(|error| format!("does not answer: {}", with_causes(&error.without_url())))?;
    let date = response.headers().get(reqwest::header::DATE);
    Ok(date
        .and_then(|date| date.to_str().ok())
        .and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()))
}

fn sts_url(installation: &Installation) -> Option<Url> {
    let aws = &installation.config.aws;
    if aws.sts_endpoint.is_some() {
        return aws.sts_endpoint.clone();
    }
    let region = &aws.default_region;
    // The domains of the partitions that are on the internet (AWS SDK, `partitions.json`).
    let domain = match partition_of_region(region)? {
        Partition::Aws | Partition::AwsUsGov => "amazonaws.com",
        Partition::AwsCn => "amazonaws.com.cn",
        Partition::AwsEusc => "amazonaws.eu",
        _ => return None,
    };
    Url::parse(&format!("https://sts.{region}.{domain}/")).ok()
}

fn sign_in_url(installation: &Installation) -> Option<Url> {
    let aws = &installation.config.aws;
    if aws.sign_in_endpoint.is_some() {
        return aws.sign_in_endpoint.clone();
    }
    let region = &aws.default_region;
    let host = sign_in_host(partition_of_region(region)?, Some(region))?;
    Url::parse(&format!("https://{host}/federation")).ok()
}
