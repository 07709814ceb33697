//! Searching for people and groups by name, and how a group stands to others, for those who keep
//! the table.
//!
//! Never here: passwords. What the filters of the configuration ask of an entry is asked here too,
//! so that nothing is found that could not count at a sign-in.

use std::{collections::HashSet, hash::Hash};

use ldap3::{Scope, ldap_escape};
use tokio::time::Instant;

use super::{
    Bind, Flavour, GroupStrategy, LdapConnector, SearchRequest,
    entry::Entry,
    failure::Failure,
    groups::{BATCH, MEMBER_OF, Search, SearchSome, any_of, parsed},
};
use crate::{
    access::{Dn, GroupKey, GroupKeyForm, explain::GroupRelations},
    identity::{GroupSummary, Listing, LocatedEntry, LookUpError},
};

/// Texts shorter than this would find half of the directory.
const SHORTEST_TEXT: usize = 2;
/// What a group is where no filter of the configuration says.
const ANY_GROUP: &str = "(|(objectClass=group)(objectClass=groupOfNames)\
                         (objectClass=groupOfUniqueNames)(objectClass=posixGroup))";
const DESCRIPTION: &str = "description";

/// How a directory tells who is in a group.
pub(super) enum Way<'a> {
    /// People and groups name the groups that they are in, directly.
    BackLinks,
    /// The same, and the server follows groups in groups by itself.
    Chain,
    /// A group lists its members.
    Lists {
        /// The attributes with members' DNs.
        names: Vec<&'a str>,
        /// The attributes with members' user names.
        usernames: Vec<&'a str>,
    },
}

impl LdapConnector {
    pub(super) async fn people_called(
        &self,
        text: &str,
        limit: usize,
    ) -> Result<Listing<LocatedEntry>, LookUpError> {
        self.check_searchable()?;
        let Some(text) = wanted(text, limit) else {
            return Ok(Listing::nothing());
        };
        let names = &self.settings.attributes;
        let mut searched = vec![names.username.as_str()];
        searched.extend(names.display_name.as_deref());
        searched.extend(names.email.as_deref());
        let restriction = self.person_restriction();
        let value = ldap_escape(text);
        // The beginning of a name is in every index; what is in the middle of one may not be.
        let filters = [
            self.user_filter(text),
            named(&restriction, &searched, &format!("{value}*")),
            named(&restriction, &searched, &format!("*{value}*")),
        ];
        let attributes = self.person_attributes();
        let requests = filters
            .iter()
            .map(|filter| self.some_people(filter, &attributes, limit));
        let found = self.gathered(requests, |entry| self.person(entry), |person| &person.dn);
        let (mut ranked, is_cut) = found.await?;
        ranked.sort_by_cached_key(|(rank, person)| {
            let is_exact = *rank == 0 || person.username.eq_ignore_ascii_case(text);
            (!is_exact, person.username.to_lowercase())
        });
        Ok(Listing::cut(ranked, is_cut, limit))
    }

    pub(super) async fn groups_called(
        &self,
        text: &str,
        limit: usize,
    ) -> Result<Listing<GroupSummary>, LookUpError> {
        self.check_searchable()?;
        let Some(text) = wanted(text, limit) else {
            return Ok(Listing::nothing());
        };
        let restriction = self.group_restriction();
        let names: &[&str] = match self.settings.flavour {
            Flavour::ActiveDirectory => &["cn", "sAMAccountName"],
            Flavour::Other => &["cn"],
        };
        let value = ldap_escape(text);
        let attributes = self.group_attributes();
        let by_dn = text.parse::<Dn>().ok().map(|dn| dn.normalised());
        let filters = [
            named(&restriction, names, &value),
            named(&restriction, names, &format!("{value}*")),
            named(&restriction, names, &format!("*{value}*")),
        ];
        let base = self.group_root();
        let requests = filters.iter().map(|filter| SearchRequest {
            limit,
            value_limit: None,
            ..self.group_request(&base, filter, &attributes)
        });
        let found = self.gathered(requests, |entry| self.summary(entry), |group| &group.key);
        let (mut ranked, is_cut) = found.await?;
        if let Some(dn) = by_dn
            && let Ok(key) = self.key(&dn)
            && let Some(entry) = self.group_entry(&key, &attributes, self.deadline()).await?
        {
            ranked.extend(self.summary(&entry).map(|group| (0, group)));
        }
        ranked.sort_by_cached_key(|(rank, group)| (*rank != 0, group.key.clone()));
        Ok(Listing::cut(ranked, is_cut, limit))
    }

    pub(super) async fn relations_of(
        &self,
        group: &GroupKey,
    ) -> Result<GroupRelations, LookUpError> {
        self.check_searchable()?;
        let deadline = self.deadline();
        let way = self.way()?;
        let mut attributes = self.group_attributes();
        attributes.push(MEMBER_OF);
        if let Way::Lists { names, .. } = &way {
            attributes.extend(names);
        }
        let Some(entry) = self
            .entry_of(group, "(objectClass=*)", &attributes, deadline)
            .await?
        else {
            return Ok(GroupRelations {
                key: group.clone(),
                exists: false,
                name: None,
                stable_id: None,
                member_groups: Vec::new(),
                parent_groups: Vec::new(),
            });
        };
        Ok(GroupRelations {
            key: group.clone(),
            exists: true,
            stable_id: self.group_id(&entry),
            member_groups: self.groups_in(&entry, &way, deadline).await?,
            parent_groups: self.groups_with(&entry, &way, deadline).await?,
            name: Some(entry.dn),
        })
    }

    /// The groups that are members of a group, directly.
    async fn groups_in(
        &self,
        group: &Entry,
        way: &Way<'_>,
        deadline: Instant,
    ) -> Result<Vec<GroupKey>, Failure> {
        let restriction = self.group_restriction();
        let filters: Vec<String> = match way {
            Way::BackLinks | Way::Chain => {
                vec![named(
                    &restriction,
                    &[MEMBER_OF],
                    &ldap_escape(group.dn.as_str()),
                )]
            }
            Way::Lists { names, .. } => {
                let base = self.group_root();
                let base = parsed(&base)?;
                let listed = names.iter().flat_map(|name| group.texts(name));
                let listed: Vec<&str> = listed.filter(|dn| is_within(dn, &base)).collect();
                let batches = listed.chunks(BATCH);
                batches
                    .map(|batch| self.by_dn(&restriction, batch))
                    .collect()
            }
        };
        self.keys_of_groups(&filters, deadline).await
    }

    /// The groups that a group is a member of, directly.
    async fn groups_with(
        &self,
        group: &Entry,
        way: &Way<'_>,
        deadline: Instant,
    ) -> Result<Vec<GroupKey>, Failure> {
        if self.settings.group_strategy == GroupStrategy::MemberOf {
            let base = self
                .settings
                .group_base
                .as_deref()
                .map(parsed)
                .transpose()?;
            let mut keys = Vec::new();
            for dn in group.texts(MEMBER_OF) {
                if base.as_ref().is_none_or(|base| is_within(dn, base)) {
                    keys.push(self.key(dn)?);
                }
            }
            keys.sort();
            return Ok(keys);
        }
        let names: &[&str] = match way {
            Way::BackLinks | Way::Chain => &["member"],
            Way::Lists { names, .. } if names.is_empty() => return Ok(Vec::new()),
            Way::Lists { names, .. } => names,
        };
        let restriction = self.group_restriction();
        let filter = named(&restriction, names, &ldap_escape(group.dn.as_str()));
        self.keys_of_groups(&[filter], deadline).await
    }

    async fn keys_of_groups(
        &self,
        filters: &[String],
        deadline: Instant,
    ) -> Result<Vec<GroupKey>, Failure> {
        let base = self.group_root();
        let mut keys = Vec::new();
        for filter in filters {
            let search = Search(self.group_request(&base, filter, &["cn"]));
            for entry in self.servers.run(&search, deadline).await? {
                keys.push(self.key(&entry.dn)?);
            }
        }
        keys.sort();
        keys.dedup();
        Ok(keys)
    }

    /// Runs searches from the narrowest to the widest until one is cut. What is found comes with
    /// the place of the first search that found it.
    async fn gathered<'r, T, K: Hash + Eq + Clone>(
        &self,
        requests: impl Iterator<Item = SearchRequest<'r>>,
        read: impl Fn(&Entry) -> Option<T>,
        key: impl Fn(&T) -> &K,
    ) -> Result<(Vec<(usize, T)>, bool), Failure> {
        let deadline = self.deadline();
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for (rank, request) in requests.enumerate() {
            let (entries, is_cut) = self.servers.run(&SearchSome(request), deadline).await?;
            for item in entries.iter().filter_map(&read) {
                if seen.insert(key(&item).clone()) {
                    found.push((rank, item));
                }
            }
            if is_cut && rank > 0 {
                return Ok((found, true));
            }
        }
        Ok((found, false))
    }

    /// Only a service account may look for others.
    pub(super) fn check_searchable(&self) -> Result<(), LookUpError> {
        match self.settings.bind {
            Bind::Service { .. } => Ok(()),
            Bind::Direct { .. } => Err(LookUpError::NotSupported),
        }
    }

    /// How the directory tells who is in a group.
    pub(super) fn way(&self) -> Result<Way<'_>, Failure> {
        let filter = &self.templates.group_filter;
        let names = filter.attributes_of("dn");
        let usernames = filter.attributes_of("username");
        let keeps_back_links = self.settings.flavour == Flavour::ActiveDirectory
            && usernames.is_empty()
            && matches!(names[..], [name] if name.eq_ignore_ascii_case("member"));
        match self.settings.group_strategy {
            GroupStrategy::MemberOf => Ok(Way::BackLinks),
            GroupStrategy::InChain => Ok(Way::Chain),
            _ if keeps_back_links => Ok(Way::BackLinks),
            _ if names.is_empty() && usernames.is_empty() => Err(Failure::Unreadable(
                "group_filter compares no attribute with {dn} or {username}, so that nothing \
                 tells the members of a group"
                    .to_owned(),
            )),
            _ => Ok(Way::Lists { names, usernames }),
        }
    }

    /// What the configuration asks of a person's entry beside the name.
    pub(super) fn person_restriction(&self) -> String {
        self.templates.user_filter.without_comparisons()
    }

    /// What the configuration asks of a group beside its members.
    pub(super) fn group_restriction(&self) -> String {
        match self.settings.group_strategy {
            GroupStrategy::MemberOf => ANY_GROUP.to_owned(),
            _ => self.templates.group_filter.without_comparisons(),
        }
    }

    /// The attributes of a person that lists show.
    pub(super) fn person_attributes(&self) -> Vec<&str> {
        let mut attributes = self.attributes();
        attributes.retain(|name| *name != MEMBER_OF);
        attributes
    }

    pub(super) fn group_attributes(&self) -> Vec<&str> {
        vec![self.settings.flavour.stable_id_attribute(), DESCRIPTION]
    }

    /// A person who could sign in; none for an entry that lacks what that takes.
    pub(super) fn person(&self, entry: &Entry) -> Option<LocatedEntry> {
        let person = self.located(entry).ok()?;
        Some(LocatedEntry {
            member_of: None,
            ..person
        })
    }

    /// A group; none for one whose name cannot be written into a mapping.
    pub(super) fn summary(&self, entry: &Entry) -> Option<GroupSummary> {
        Some(GroupSummary {
            key: self.key(&entry.dn).ok()?,
            name: entry.dn.clone(),
            description: entry.text(DESCRIPTION).map(str::to_owned),
            stable_id: self.group_id(entry),
        })
    }

    fn group_id(&self, entry: &Entry) -> Option<String> {
        entry.stable_id(self.settings.flavour.stable_id_attribute())
    }

    pub(super) fn key(&self, dn: &str) -> Result<GroupKey, Failure> {
        GroupKey::new(&self.settings.id, dn, GroupKeyForm::DistinguishedName)
            .map_err(|error| Failure::Unreadable(error.to_string()))
    }

    /// The entry of a group that counts at a sign-in.
    pub(super) async fn group_entry(
        &self,
        group: &GroupKey,
        attributes: &[&str],
        deadline: Instant,
    ) -> Result<Option<Entry>, Failure> {
        if let Some(base) = &self.settings.group_base
            && !is_within(group.value(), &parsed(base)?)
        {
            return Ok(None);
        }
        let restriction = self.group_restriction();
        self.entry_of(group, &restriction, attributes, deadline)
            .await
    }

    /// The entry that a key names, where the filter fits it.
    async fn entry_of(
        &self,
        group: &GroupKey,
        filter: &str,
        attributes: &[&str],
        deadline: Instant,
    ) -> Result<Option<Entry>, Failure> {
        const NO_SUCH_OBJECT: u32 = 32;
        const INVALID_DN_SYNTAX: u32 = 34;
        if group.connector() != self.settings.id.as_str() {
            return Ok(None);
        }
        let search = Search(SearchRequest {
            scope: Scope::Base,
            page_size: None,
            limit: 1,
            ..self.group_request(group.value(), filter, attributes)
        });
        match self.servers.run(&search, deadline).await {
            Ok(mut entries) => Ok(entries.pop()),
            Err(Failure::Refused(answer))
                if matches!(answer.code, NO_SUCH_OBJECT | INVALID_DN_SYNTAX) =>
            {
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    pub(super) fn some_people<'r>(
        &'r self,
        filter: &'r str,
        attributes: &'r [&'r str],
        limit: usize,
    ) -> SearchRequest<'r> {
        SearchRequest {
            page_size: Some(self.settings.page_size),
            limit,
            ..self.person_search(filter, attributes)
        }
    }

    pub(super) fn group_request<'r>(
        &self,
        base: &'r str,
        filter: &'r str,
        attributes: &'r [&'r str],
    ) -> SearchRequest<'r> {
        SearchRequest {
            base,
            scope: Scope::Subtree,
            filter,
            attributes,
            page_size: Some(self.settings.page_size),
            limit: self.settings.group_limit,
            // As many members as a group of any directory has.
            value_limit: Some(1_000_000),
            matched_values: None,
        }
    }

    /// Below which DN groups are: where the configuration does not say, the whole of the domain
    /// that people are in.
    pub(super) fn group_root(&self) -> String {
        if let Some(base) = &self.settings.group_base {
            return base.clone();
        }
        let base = &self.settings.user_base;
        let rdns: Vec<&str> = base.split(',').collect();
        let is_domain = |rdn: &&&str| {
            let name = rdn.split('=').next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case("dc")
        };
        let components = rdns.iter().rev().take_while(is_domain).count().max(1);
        rdns[rdns.len().saturating_sub(components)..].join(",")
    }

    /// The filter that finds entries by their DNs.
    pub(super) fn by_dn(&self, restriction: &str, dns: &[&str]) -> String {
        let attribute = self.settings.flavour.dn_attribute();
        equals_any(restriction, attribute, dns)
    }
}

impl<T> Listing<T> {
    fn nothing() -> Self {
        Self {
            items: Vec::new(),
            is_cut: false,
        }
    }

    fn cut(ranked: Vec<(usize, T)>, is_cut: bool, limit: usize) -> Self {
        let is_cut = is_cut || ranked.len() > limit;
        let items = ranked.into_iter().map(|(_, item)| item);
        Self {
            items: items.take(limit).collect(),
            is_cut,
        }
    }
}

/// The text to search for, where it is long enough.
fn wanted(text: &str, limit: usize) -> Option<&str> {
    let text = text.trim();
    (limit > 0 && text.chars().count() >= SHORTEST_TEXT).then_some(text)
}

/// A filter for entries of which one of these attributes has a value; `pattern` is escaped.
fn named(restriction: &str, attributes: &[&str], pattern: &str) -> String {
    let comparisons = attributes.iter().map(|name| format!("({name}={pattern})"));
    let any = any_of(&comparisons.collect::<Vec<_>>());
    format!("(&{restriction}{any})")
}

/// A filter for entries of which an attribute has one of these values.
pub(super) fn equals_any(restriction: &str, attribute: &str, values: &[&str]) -> String {
    let comparisons = values
        .iter()
        .map(|value| format!("({attribute}={})", ldap_escape(*value)));
    let any = any_of(&comparisons.collect::<Vec<_>>());
    format!("(&{restriction}{any})")
}

pub(super) fn is_within(dn: &str, base: &Dn) -> bool {
    dn.parse::<Dn>().is_ok_and(|dn| dn.is_within(base))
}
