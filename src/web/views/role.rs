//! The options of one role: where to, how long, read-only, credentials, links, and why.
//!
//! `static/picker.js` fetches this same page and shows its card in a dialog.

use askama::Template;
use time::{OffsetDateTime, Time};

use super::{
    Layout, Moment,
    environment::Environment,
    picker::{access_ends_at, opens_at_provider, opens_no_console},
    words,
};
use crate::access::{ConsoleWay, Entitlement, SessionDuration};

/// The end of the working day that is offered as `until 19:00`.
const EVENING: Time = time::macros::time!(19:00);

/// What the options page is made from.
pub(crate) struct RoleInput<'a> {
    /// The frame.
    pub(crate) layout: Layout,
    /// The role, as the person may open it.
    pub(crate) entitlement: &'a Entitlement<'a>,
    /// Whether it is a favourite.
    pub(crate) is_favourite: bool,
    /// Where the console shall open: a service, or a console address. May be empty.
    pub(crate) destination: &'a str,
    /// In which region. May be empty.
    pub(crate) region: &'a str,
    /// Services to offer, recent ones first.
    pub(crate) services: &'a [String],
    /// Regions of the role's partition to offer.
    pub(crate) regions: &'a [String],
    /// The absolute address of our own deep link to this role.
    pub(crate) deep_link: String,
    /// AWS's switch-role page for this role, where its partition has one.
    pub(crate) switch_role_link: Option<String>,
    /// AWS's page that lets one browser hold several AWS sessions.
    pub(crate) multi_session_link: Option<String>,
    /// What the last probe found wrong, and the fix.
    pub(crate) warning: Option<String>,
    /// What people call the provider that the person signed in with.
    pub(crate) provider: &'a str,
    /// Whether the person comes back from signing in again for this role.
    pub(crate) is_back: bool,
    /// The present.
    pub(crate) now: OffsetDateTime,
}

struct Choice {
    value: String,
    words: String,
}

struct Reason {
    group: Option<String>,
    row: String,
    kind: &'static str,
    ends: Option<Moment>,
}

/// `GET /role?arn=…`
#[derive(Template)]
#[template(path = "role.html", whitespace = "minimize")]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts that the template shows or leaves out"
)]
pub(crate) struct RoleView {
    layout: Layout,
    arn: String,
    role: String,
    about: String,
    account: String,
    account_id: String,
    environment: Environment,
    is_favourite: bool,
    destination: String,
    region: String,
    region_hint: String,
    services: Vec<String>,
    regions: Vec<String>,
    durations: Vec<Choice>,
    longest: String,
    longest_s: u32,
    limit: String,
    evening: Moment,
    is_evening_allowed: bool,
    is_always_read_only: bool,
    can_be_read_only: bool,
    requires_reason: bool,
    code_of: Option<String>,
    opens_console: bool,
    can_sign_out_first: bool,
    ends: Option<Moment>,
    warning: Option<String>,
    opens_at: Option<String>,
    is_back: bool,
    deep_link: String,
    switch_role_link: Option<String>,
    multi_session_link: Option<String>,
    reasons: Vec<Reason>,
}

impl RoleView {
    /// Offers what the entitlement allows and nothing else.
    pub(crate) fn new(input: RoleInput<'_>) -> Self {
        let RoleInput {
            entitlement, now, ..
        } = input;
        let arn = &entitlement.role.arn;
        let longest = entitlement.longest.longest;
        let evening = next_evening(now);
        let opens_console = !opens_no_console(entitlement);
        Self {
            arn: arn.to_string(),
            role: arn.name().to_owned(),
            about: entitlement.role.description.clone().unwrap_or_default(),
            account: entitlement.account_name(),
            account_id: arn.account().to_string(),
            environment: Environment::of(entitlement.account, &input.layout.environments),
            is_favourite: input.is_favourite,
            destination: input.destination.to_owned(),
            region: input.region.to_owned(),
            region_hint: entitlement.effective.region.clone().unwrap_or_default(),
            services: input.services.to_vec(),
            regions: input.regions.to_vec(),
            durations: durations(longest),
            longest: words::minutes(longest).to_string(),
            longest_s: longest.seconds(),
            limit: words::limit(entitlement.longest),
            is_evening_allowed: is_allowed_until(evening, longest, now),
            evening: Moment::clock(evening, now),
            is_always_read_only: entitlement.is_read_only(),
            can_be_read_only: opens_console
                && entitlement.role.session_policy.is_none()
                && entitlement.role.policy_arns.is_empty(),
            requires_reason: entitlement.requires_reason(),
            code_of: entitlement.effective.mfa_serial.clone(),
            opens_console,
            // What the browser posts to AWS cannot go by way of signing out there.
            can_sign_out_first: opens_console
                && entitlement.effective.console == ConsoleWay::Federation,
            ends: access_ends_at(entitlement).map(|at| Moment::relative(at, now)),
            warning: input.warning,
            opens_at: opens_at_provider(entitlement).then(|| input.provider.to_owned()),
            is_back: input.is_back,
            deep_link: input.deep_link,
            switch_role_link: input.switch_role_link,
            multi_session_link: input.multi_session_link,
            reasons: reasons(entitlement, now),
            layout: input.layout,
        }
    }

    /// What the region field shows while it is empty.
    fn region_placeholder(&self) -> &str {
        if self.region_hint.is_empty() {
            "as last used"
        } else {
            &self.region_hint
        }
    }
}

fn durations(longest: SessionDuration) -> Vec<Choice> {
    [1_800, 3_600, 14_400]
        .into_iter()
        .filter_map(|seconds| SessionDuration::from_seconds(seconds).ok())
        .filter(|duration| *duration < longest)
        .map(|duration| Choice {
            value: duration.seconds().to_string(),
            words: duration.to_string(),
        })
        .collect()
}

/// The next 19:00 in UTC; the script offers the reader's own instead.
fn next_evening(now: OffsetDateTime) -> OffsetDateTime {
    let now = now.to_offset(time::UtcOffset::UTC);
    let today = now.replace_time(EVENING);
    if today > now {
        today
    } else {
        today.saturating_add(time::Duration::DAY)
    }
}

fn is_allowed_until(at: OffsetDateTime, longest: SessionDuration, now: OffsetDateTime) -> bool {
    let seconds = (at - now).whole_seconds();
    seconds >= i64::from(SessionDuration::SHORTEST.seconds())
        && seconds <= i64::from(longest.seconds())
}

fn reasons(entitlement: &Entitlement<'_>, now: OffsetDateTime) -> Vec<Reason> {
    entitlement
        .givers
        .iter()
        .map(|giver| Reason {
            group: giver.group.as_ref().map(|group| group.value().to_owned()),
            row: giver.mapping.to_string(),
            kind: if giver.is_rule { "rule" } else { "mapping" },
            ends: giver.conditions.expires.map(|at| Moment::relative(at, now)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn only_shorter_durations_stand_beside_the_longest() {
        let words = |longest: u64| -> Vec<String> {
            durations(SessionDuration::from_seconds(longest).unwrap())
                .into_iter()
                .map(|choice| choice.words)
                .collect()
        };
        assert_eq!(words(3_600), ["30 min"]);
        assert_eq!(words(43_200), ["30 min", "1 h", "4 h"]);
        assert!(words(900).is_empty());
    }

    #[test]
    fn until_the_evening_is_offered_where_it_fits() {
        let four_hours = SessionDuration::from_seconds(14_400).unwrap();
        let allowed = |now| is_allowed_until(next_evening(now), four_hours, now);
        assert!(allowed(datetime!(2026-03-04 15:00 UTC)));
        assert!(!allowed(datetime!(2026-03-04 14:59 UTC)));
        assert!(!allowed(datetime!(2026-03-04 18:50 UTC)));
        assert!(!allowed(datetime!(2026-03-04 19:00 UTC)));
    }
}
