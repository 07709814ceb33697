//! Whether a role may be opened: what is asked for, read strictly, and the policy's word on it.
//!
//! No call to AWS, and nothing is written. Entry point: [`Broker::decide`].

use std::str::FromStr;

use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};
use url::Url;

use super::{Asked, Decided, LONGEST_REASON, OpenOrder, OpenRefused};
use crate::{
    access::{
        AccountId, Delivery, DurationError, Grant, Identity, NotEntitled, Policy, Request,
        SessionDuration, TargetArn,
    },
    aws::{
        destination::{Console, Destination, DestinationError},
        partition::partition_of_region,
    },
    broker::Broker,
};

impl Broker {
    /// The pure part: what is asked for, and whether it may be.
    pub(super) fn decide(
        &self,
        policy: &Policy,
        identity: &Identity,
        asked: &Asked<'_>,
    ) -> Result<Decided, OpenRefused> {
        let order = asked.order;
        let groups = identity.groups.len();
        let reason = order.reason.as_deref().unwrap_or_default();
        if reason.chars().count() > LONGEST_REASON {
            return Err(OpenRefused::ReasonTooLong);
        }
        let target = named_role(policy, &order.role);
        let Some(target) = target else {
            return Err(OpenRefused::NotEntitled {
                reason: NotEntitled::UnknownRole,
                role: None,
                groups,
            });
        };
        if asked.limit.is_some_and(|limit| *limit != target) {
            return Err(OpenRefused::OutsideToken);
        }
        let source = policy
            .effective(&target)
            .map(|role| role.credential_source.clone());
        let request = Request {
            delivery: asked.delivery,
            duration: order
                .duration
                .as_deref()
                .map(|text| wanted_duration(text, self.now()))
                .transpose()
                .map_err(OpenRefused::Duration)?,
            read_only: order.read_only,
            reason: order.reason.clone(),
            ceiling: source.and_then(|source| self.adapters.sts.ceiling(&source)),
        };
        let grant = policy
            .authorize(identity, &target, &request, self.now())
            .map_err(|reason| OpenRefused::NotEntitled {
                reason,
                role: Some(target.clone()),
                groups,
            })?;
        let (destination, region) = self.destination(&grant, order)?;
        Ok(Decided {
            grant,
            destination,
            region,
        })
    }

    /// Where the console opens, and the region that is meant.
    fn destination(
        &self,
        grant: &Grant,
        order: &OpenOrder,
    ) -> Result<(Option<Url>, Option<String>), OpenRefused> {
        let partition = grant.target().partition();
        let default = self.settings.default_region.as_str();
        let default = (partition_of_region(default) == Some(partition)).then_some(default);
        let asked = order.region.as_deref();
        // What was typed stands in shell commands and in hosts later, and links can fill it in.
        if let Some(region) = asked.filter(|name| partition_of_region(name) != Some(partition)) {
            return Err(OpenRefused::Destination(DestinationError::Region {
                region: region.chars().take(40).collect(),
                partition,
            }));
        }
        let region = asked.or(grant.region()).or(default);
        if grant.delivery() == Delivery::Credentials {
            return Ok((None, region.map(str::to_owned)));
        }
        let console = Console {
            partition,
            region,
            console_url: self.settings.console_url.as_ref(),
        };
        let destination = match order.destination.as_deref() {
            Some(text) => Destination::parse(text, console),
            None => Destination::home(console),
        }
        .map_err(OpenRefused::Destination)?;
        let region = destination.region().or_else(|| region.map(str::to_owned));
        Ok((Some(destination.into_url()), region))
    }
}

/// A role by its ARN or as `account/role`; only what the table has.
pub(in crate::broker) fn named_role(policy: &Policy, text: &str) -> Option<TargetArn> {
    if let Ok(arn) = text.parse::<TargetArn>() {
        return Some(arn);
    }
    let (account, name) = text.split_once('/')?;
    policy
        .role_named(&account.parse::<AccountId>().ok()?, name)
        .cloned()
}

/// `45m`, seconds, or the moment at which it shall end.
fn wanted_duration(text: &str, now: OffsetDateTime) -> Result<SessionDuration, DurationError> {
    match OffsetDateTime::parse(text.trim(), &Rfc3339) {
        Ok(end) => {
            let seconds = (end - now).max(Duration::ZERO).whole_seconds();
            SessionDuration::from_seconds(seconds.unsigned_abs())
        }
        Err(_) => SessionDuration::from_str(text),
    }
}
