//! Reading a person's entry and groups again without their password, and whether they were shut out
//! meanwhile.

use ldap3::Scope;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    LdapConnector, SearchRequest,
    entry::{Entry, stable_id_filter},
    failure::Failure,
    groups::{Search, Searcher},
    only_entry,
    template::Value,
};
use crate::{
    access::{Dn, Identity},
    identity::RefreshError,
};

/// What slapd's password policy writes for an account that an administrator locked for good.
const LOCKED_FOR_GOOD: &str = "000001010000Z";
/// `ADS_UF_ACCOUNTDISABLE` in `userAccountControl`.
const ACCOUNT_DISABLED: u32 = 2;
/// Attributes that tell, where they are readable, that an account was shut.
const SHUT_ATTRIBUTES: [&str; 4] = [
    "userAccountControl",
    "accountExpires",
    "pwdAccountLockedTime",
    "nsAccountLock",
];

impl LdapConnector {
    /// Whether the directory says that an account was shut; a person may be shut out without a
    /// password being tried.
    fn is_shut(&self, entry: &Entry) -> bool {
        let is_disabled = entry
            .text("userAccountControl")
            .and_then(|flags| flags.parse::<u32>().ok())
            .is_some_and(|flags| flags & ACCOUNT_DISABLED != 0);
        let has_expired = entry
            .text("accountExpires")
            .and_then(|ticks| ticks.parse().ok())
            .and_then(windows_time)
            .is_some_and(|expires| expires <= self.clock.now());
        let is_locked = entry
            .texts("pwdAccountLockedTime")
            .any(|at| at == LOCKED_FOR_GOOD);
        let is_inactive = entry
            .texts("nsAccountLock")
            .any(|value| value.eq_ignore_ascii_case("true"));
        is_disabled || has_expired || is_locked || is_inactive
    }

    /// Looks where the entry was last time: not every server has an index of stable ids.
    async fn at_last_dn(
        &self,
        identity: &Identity,
        filter: &str,
        attributes: &[&str],
        deadline: Instant,
    ) -> Result<Option<Entry>, Failure> {
        const NO_SUCH_OBJECT: u32 = 32;
        let Some(dn) = identity.entry_dn.as_deref().filter(|dn| self.is_person(dn)) else {
            return Ok(None);
        };
        let search = Search(SearchRequest {
            base: dn,
            scope: Scope::Base,
            ..self.person_search(filter, attributes)
        });
        match self.servers.run(&search, deadline).await {
            Ok(mut entries) => Ok(entries.pop()),
            Err(Failure::Refused(answer)) if answer.code == NO_SUCH_OBJECT => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    fn is_person(&self, dn: &str) -> bool {
        match (dn.parse::<Dn>(), self.settings.user_base.parse::<Dn>()) {
            (Ok(dn), Ok(base)) => dn.is_within(&base),
            _ => false,
        }
    }

    pub(super) async fn refreshed(&self, identity: &Identity) -> Result<Identity, RefreshError> {
        let deadline = self.deadline();
        let subject = stable_id_filter(&self.settings.attributes.subject, &identity.subject)
            .ok_or(RefreshError::Gone)?;
        // Under whatever name the person is found now.
        let anybody = self
            .templates
            .user_filter
            .render(&[("username", Value::Verbatim("*"))]);
        let filter = format!("(&{subject}{anybody})");
        let mut attributes = self.attributes();
        attributes.extend(SHUT_ATTRIBUTES);
        let last = self.at_last_dn(identity, &filter, &attributes, deadline);
        let entry = if let Some(entry) = last.await? {
            entry
        } else {
            let search = Search(self.person_search(&filter, &attributes));
            only_entry(self.servers.run(&search, deadline).await)?
                .map_err(|_| RefreshError::Gone)?
        };
        if self.is_shut(&entry) {
            return Err(RefreshError::Gone);
        }
        let located = self.located(&entry).map_err(|_| RefreshError::Gone)?;
        let searcher = &mut Searcher::Pool(&self.servers);
        let groups = self
            .groups(&located, searcher, deadline)
            .await
            .inspect_err(|failure| {
                self.warn(failure, "the groups of a person could not be read again");
            })?;
        Ok(Identity {
            subject: identity.subject.clone(),
            authenticated_at: identity.authenticated_at,
            method: identity.method,
            ..self.identity(located, groups)
        })
    }
}

/// A moment in units of 100 ns since 1601; none for the values that mean never.
fn windows_time(ticks: i64) -> Option<OffsetDateTime> {
    const TICKS_PER_SECOND: i64 = 10_000_000;
    const SECONDS_TO_1970: i64 = 11_644_473_600;
    if ticks <= 0 || ticks == i64::MAX {
        return None;
    }
    OffsetDateTime::from_unix_timestamp(ticks / TICKS_PER_SECOND - SECONDS_TO_1970).ok()
}
