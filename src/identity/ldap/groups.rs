//! Which groups a person is in: the strategies, and nested groups.
//!
//! A list that is not known to be whole is an error, never a shorter list.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::atomic::AtomicBool,
};

use ldap3::Scope;
use tokio::time::Instant;

use super::{
    connection::{Connection, SearchRequest},
    entry::Entry,
    failure::Failure,
    pool::{Operation, Purpose, Servers},
    settings::{Flavour, GroupStrategy, Settings},
    template::{Template, Value},
};
use crate::access::{Dn, Group, GroupKey, GroupKeyForm};

/// How many groups one search asks about: filters of some kilobytes, which every server takes.
pub(super) const BATCH: usize = 50;
pub(super) const MEMBER_OF: &str = "memberOf";

/// Where searches go.
pub(super) enum Searcher<'a> {
    /// To the service account's connections.
    Pool(&'a Servers),
    /// To a connection that is bound as the person.
    Own(&'a mut Connection),
}

/// A search as the pool runs it.
pub(super) struct Search<'a>(pub(super) SearchRequest<'a>);

/// A search whose first entries are enough, as the pool runs it.
pub(super) struct SearchSome<'a>(pub(super) SearchRequest<'a>);

/// The person whose groups are wanted.
pub(super) struct Member<'a> {
    pub(super) dn: &'a str,
    pub(super) username: &'a str,
    /// `memberOf` of the entry, where it was sent whole.
    pub(super) named_groups: Option<&'a [String]>,
}

/// Reads groups as the settings say.
pub(super) struct GroupReader<'a> {
    pub(super) settings: &'a Settings,
    pub(super) filter: &'a Template,
    /// Whether the servers know the matched values control, as far as is known.
    pub(super) knows_matched_values: &'a AtomicBool,
    pub(super) deadline: Instant,
}

/// The groups so far.
struct Gathered {
    groups: Vec<Group>,
    /// Positions in `groups`.
    positions: HashMap<GroupKey, usize>,
    limit: usize,
}

/// A group whose own groups are not known yet.
struct Step {
    key: GroupKey,
    dn: String,
    /// Its `memberOf`, where it was read: tells through which group a larger one was reached.
    parents: HashSet<GroupKey>,
}

impl Operation for Search<'_> {
    type Answer = Vec<Entry>;
    const PURPOSE: Purpose = Purpose::Search;
    const NAME: &'static str = "search";

    async fn run(
        &self,
        connection: &mut Connection,
        deadline: Instant,
    ) -> Result<Vec<Entry>, Failure> {
        connection.search(&self.0, deadline).await
    }
}

impl Operation for SearchSome<'_> {
    type Answer = (Vec<Entry>, bool);
    const PURPOSE: Purpose = Purpose::Search;
    const NAME: &'static str = "search";

    async fn run(
        &self,
        connection: &mut Connection,
        deadline: Instant,
    ) -> Result<(Vec<Entry>, bool), Failure> {
        connection.search_some(&self.0, deadline).await
    }
}

impl Searcher<'_> {
    async fn search(
        &mut self,
        request: SearchRequest<'_>,
        deadline: Instant,
    ) -> Result<Vec<Entry>, Failure> {
        match self {
            Self::Pool(servers) => servers.run(&Search(request), deadline).await,
            Self::Own(connection) => connection.search(&request, deadline).await,
        }
    }
}

impl GroupReader<'_> {
    /// All groups of a person, direct ones first.
    pub(super) async fn groups_of(
        &self,
        member: &Member<'_>,
        searcher: &mut Searcher<'_>,
    ) -> Result<Vec<Group>, Failure> {
        let mut gathered = Gathered {
            groups: Vec::new(),
            positions: HashMap::new(),
            limit: self.settings.group_limit,
        };
        match self.settings.group_strategy {
            GroupStrategy::Search => self.by_search(member, searcher, &mut gathered).await?,
            GroupStrategy::MemberOf => self.by_member_of(member, searcher, &mut gathered).await?,
            GroupStrategy::Posix => {
                for entry in self.search_for(member, &[], searcher).await? {
                    self.add(&mut gathered, &entry, None)?;
                }
            }
            GroupStrategy::InChain => self.by_chain(member, searcher, &mut gathered).await?,
        }
        Ok(gathered.groups)
    }

    async fn by_search(
        &self,
        member: &Member<'_>,
        searcher: &mut Searcher<'_>,
        gathered: &mut Gathered,
    ) -> Result<(), Failure> {
        let more = self.parents_attribute();
        let mut steps = Vec::new();
        for entry in self.search_for(member, more, searcher).await? {
            steps.extend(self.add(gathered, &entry, None)?);
        }
        if !self.settings.nested_groups {
            return Ok(());
        }
        let mut level = 0;
        while !steps.is_empty() {
            let mut next = Vec::new();
            for batch in steps.chunks(BATCH) {
                for entry in self.search_above(batch, searcher).await? {
                    let key = self.key(&entry.dn)?;
                    if gathered.positions.contains_key(&key) {
                        continue;
                    }
                    self.check_level(level)?;
                    let through = self.child_of(&key, &entry, batch);
                    next.extend(self.add(gathered, &entry, through)?);
                }
            }
            steps = next;
            level += 1;
        }
        Ok(())
    }

    async fn by_member_of(
        &self,
        member: &Member<'_>,
        searcher: &mut Searcher<'_>,
        gathered: &mut Gathered,
    ) -> Result<(), Failure> {
        let base = match &self.settings.group_base {
            Some(base) => Some(parsed(base)?),
            None => None,
        };
        let counts = |dn: &str| -> Result<bool, Failure> {
            let Some(base) = &base else { return Ok(true) };
            Ok(parsed(dn)?.is_within(base))
        };
        let read;
        let named = if let Some(named) = member.named_groups {
            named
        } else {
            read = self.member_of(member.dn, searcher).await?;
            &read
        };
        let mut steps = Vec::new();
        for dn in named {
            if counts(dn)? {
                steps.extend(self.add_named(gathered, dn, None)?);
            }
        }
        let mut level = 0;
        // Without a base there is nowhere to search for the groups' own entries.
        while base.is_some() && !steps.is_empty() {
            let mut next = Vec::new();
            for batch in steps.chunks(BATCH) {
                for entry in self.read(batch, searcher).await? {
                    let key = self.key(&entry.dn)?;
                    gathered.set_stable_id(&key, self.stable_id(&entry));
                    if !self.settings.nested_groups {
                        continue;
                    }
                    for parent in entry.texts(MEMBER_OF) {
                        if !counts(parent)? || gathered.positions.contains_key(&self.key(parent)?) {
                            continue;
                        }
                        self.check_level(level)?;
                        next.extend(self.add_named(gathered, parent, Some(key.clone()))?);
                    }
                }
            }
            steps = next;
            level += 1;
        }
        Ok(())
    }

    async fn by_chain(
        &self,
        member: &Member<'_>,
        searcher: &mut Searcher<'_>,
        gathered: &mut Gathered,
    ) -> Result<(), Failure> {
        let mut steps = HashMap::new();
        for entry in self.search_for(member, &[MEMBER_OF], searcher).await? {
            if let Some(step) = self.add(gathered, &entry, None)? {
                steps.insert(step.key.clone(), step);
            }
        }
        // The rule returns all groups alike; who is in whom is told by memberOf.
        let named = member.named_groups.unwrap_or_default();
        let direct = self.keys(named.iter().map(String::as_str));
        let mut reached: HashSet<GroupKey> = direct
            .into_iter()
            .filter(|key| steps.contains_key(key))
            .collect();
        let mut queue: VecDeque<GroupKey> = reached.iter().cloned().collect();
        while let Some(child) = queue.pop_front() {
            let Some(step) = steps.get(&child) else {
                continue;
            };
            for parent in &step.parents {
                if steps.contains_key(parent) && reached.insert(parent.clone()) {
                    gathered.set_through(parent, child.clone());
                    queue.push_back(parent.clone());
                }
            }
        }
        Ok(())
    }

    /// Searches for the groups that name the person.
    async fn search_for(
        &self,
        member: &Member<'_>,
        more: &[&str],
        searcher: &mut Searcher<'_>,
    ) -> Result<Vec<Entry>, Failure> {
        let filter = self.filter.render(&[
            ("dn", Value::Filter(member.dn)),
            ("username", Value::Filter(member.username)),
        ]);
        let mut attributes = vec![self.settings.flavour.stable_id_attribute()];
        attributes.extend(more);
        let request = self.request(&filter, &attributes);
        searcher.search(request, self.deadline).await
    }

    /// Searches for the groups that name one of these groups.
    async fn search_above(
        &self,
        batch: &[Step],
        searcher: &mut Searcher<'_>,
    ) -> Result<Vec<Entry>, Failure> {
        let filters = batch.iter().map(|step| {
            let dn = Value::Filter(&step.dn);
            self.filter.render(&[("dn", dn)])
        });
        let any = any_of(&filters.collect::<Vec<_>>());
        let stable_id = self.settings.flavour.stable_id_attribute();
        let mut attributes = vec![stable_id];
        attributes.extend(self.parents_attribute());
        let members = self.member_attribute().filter(|_| batch.len() > 1);
        let values = members.map(|attribute| {
            let members = comparisons(attribute, batch).concat();
            format!("(({stable_id}=*){members})")
        });
        // All members travel where the server does not know the control: without them nobody could
        // tell through which group a person is in this one.
        attributes.extend(members);
        let mut request = self.request(&any, &attributes);
        request.matched_values = values
            .as_deref()
            .map(|values| (values, self.knows_matched_values));
        searcher.search(request, self.deadline).await
    }

    /// Reads `memberOf` of one entry, to the last value.
    async fn member_of(
        &self,
        dn: &str,
        searcher: &mut Searcher<'_>,
    ) -> Result<Vec<String>, Failure> {
        let request = SearchRequest {
            base: dn,
            scope: Scope::Base,
            page_size: None,
            limit: 1,
            ..self.request("(objectClass=*)", &[MEMBER_OF])
        };
        let entry = searcher.search(request, self.deadline).await?.pop();
        entry
            .and_then(|entry| entry.all_texts(MEMBER_OF))
            .ok_or_else(|| Failure::Unreadable(format!("{MEMBER_OF} of the entry was not sent")))
    }

    /// Reads the entries of these groups.
    async fn read(
        &self,
        batch: &[Step],
        searcher: &mut Searcher<'_>,
    ) -> Result<Vec<Entry>, Failure> {
        let attribute = self.settings.flavour.dn_attribute();
        let any = any_of(&comparisons(attribute, batch));
        let attributes = [self.settings.flavour.stable_id_attribute(), MEMBER_OF];
        let request = self.request(&any, &attributes);
        searcher.search(request, self.deadline).await
    }

    fn request<'r>(&'r self, filter: &'r str, attributes: &'r [&'r str]) -> SearchRequest<'r> {
        SearchRequest {
            base: self.settings.group_base.as_deref().unwrap_or_default(),
            scope: Scope::Subtree,
            filter,
            attributes,
            page_size: Some(self.settings.page_size),
            limit: self.settings.group_limit,
            value_limit: Some(self.settings.group_limit),
            matched_values: None,
        }
    }

    /// Active Directory keeps `memberOf` of groups, which tells who is in whom.
    fn parents_attribute(&self) -> &'static [&'static str] {
        let is_wanted =
            self.settings.nested_groups && self.settings.flavour == Flavour::ActiveDirectory;
        if is_wanted { &[MEMBER_OF] } else { &[] }
    }

    /// The attribute that lists a group's members, where its values can be asked for one by one.
    fn member_attribute(&self) -> Option<&str> {
        match self.settings.flavour {
            Flavour::ActiveDirectory => None,
            Flavour::Other => self.filter.attribute_of("dn"),
        }
    }

    /// The group of a batch that is in the group `key`; where the directory does not tell, the
    /// first.
    fn child_of(&self, key: &GroupKey, entry: &Entry, batch: &[Step]) -> Option<GroupKey> {
        let members = match self.member_attribute() {
            Some(attribute) if batch.len() > 1 => self.keys(entry.texts(attribute)),
            _ => HashSet::new(),
        };
        batch
            .iter()
            .find(|step| step.parents.contains(key) || members.contains(&step.key))
            .or_else(|| batch.first())
            .map(|step| step.key.clone())
    }

    /// Adds a group; none when it is there already.
    fn add(
        &self,
        gathered: &mut Gathered,
        entry: &Entry,
        through: Option<GroupKey>,
    ) -> Result<Option<Step>, Failure> {
        let step = self.add_named(gathered, &entry.dn, through)?;
        Ok(step.map(|mut step| {
            gathered.set_stable_id(&step.key, self.stable_id(entry));
            step.parents = self.keys(entry.texts(MEMBER_OF));
            step
        }))
    }

    fn add_named(
        &self,
        gathered: &mut Gathered,
        dn: &str,
        through: Option<GroupKey>,
    ) -> Result<Option<Step>, Failure> {
        let key = self.key(dn)?;
        if gathered.positions.contains_key(&key) {
            return Ok(None);
        }
        if gathered.groups.len() == gathered.limit {
            return Err(Failure::TooMany {
                what: "groups",
                limit: gathered.limit,
            });
        }
        gathered
            .positions
            .insert(key.clone(), gathered.groups.len());
        gathered.groups.push(Group {
            key: key.clone(),
            name: dn.to_owned(),
            stable_id: None,
            through,
        });
        Ok(Some(Step {
            key,
            dn: dn.to_owned(),
            parents: HashSet::new(),
        }))
    }

    /// Refuses a group that is found above as many levels as are allowed.
    fn check_level(&self, level: usize) -> Result<(), Failure> {
        if level < self.settings.nesting_limit {
            return Ok(());
        }
        Err(Failure::TooMany {
            what: "levels of groups in groups",
            limit: self.settings.nesting_limit,
        })
    }

    fn stable_id(&self, entry: &Entry) -> Option<String> {
        entry.stable_id(self.settings.flavour.stable_id_attribute())
    }

    fn key(&self, dn: &str) -> Result<GroupKey, Failure> {
        GroupKey::new(&self.settings.id, dn, GroupKeyForm::DistinguishedName)
            .map_err(|error| Failure::Unreadable(error.to_string()))
    }

    /// The keys of those names that are DNs.
    fn keys<'n>(&self, names: impl Iterator<Item = &'n str>) -> HashSet<GroupKey> {
        names.filter_map(|dn| self.key(dn).ok()).collect()
    }
}

impl Gathered {
    fn set_stable_id(&mut self, key: &GroupKey, id: Option<String>) {
        if let Some(group) = self.group(key) {
            group.stable_id = id;
        }
    }

    fn set_through(&mut self, key: &GroupKey, through: GroupKey) {
        if let Some(group) = self.group(key) {
            group.through = Some(through);
        }
    }

    fn group(&mut self, key: &GroupKey) -> Option<&mut Group> {
        self.positions
            .get(key)
            .and_then(|position| self.groups.get_mut(*position))
    }
}

pub(super) fn parsed(dn: &str) -> Result<Dn, Failure> {
    dn.parse()
        .map_err(|error| Failure::Unreadable(format!("`{dn}` is not a DN: {error}")))
}

pub(super) fn any_of(filters: &[String]) -> String {
    match filters {
        [one] => one.clone(),
        several => format!("(|{})", several.concat()),
    }
}

/// One filter per group that compares an attribute with its DN.
fn comparisons(attribute: &str, batch: &[Step]) -> Vec<String> {
    batch
        .iter()
        .map(|step| format!("({attribute}={})", ldap3::ldap_escape(step.dn.as_str())))
        .collect()
}
