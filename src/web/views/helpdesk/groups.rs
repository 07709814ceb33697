//! Groups: the search, and one group with who is in it and what it gives.

use askama::Template;

use super::{Desk, people::PersonRow};
use crate::web::views::{Layout, Moment, environment::Environment, words};

/// A group in a list.
pub(crate) struct GroupRow {
    /// Its page.
    pub(crate) href: String,
    /// The short name.
    pub(crate) short: String,
    /// The key.
    pub(crate) key: String,
    /// What the directory says about it; may be empty.
    pub(crate) description: String,
}

/// `GET /helpdesk/groups?q=`
#[derive(Template)]
#[template(path = "helpdesk/groups.html", whitespace = "minimize")]
pub(crate) struct GroupsView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// What was looked for.
    pub(crate) query: String,
    /// What was found; none where nothing was looked for.
    pub(crate) found: Option<Vec<GroupRow>>,
    /// What could not be asked.
    pub(crate) missing: Vec<String>,
}

impl GroupsView {
    fn count(&self) -> String {
        let count = self.found.as_ref().map_or(0, Vec::len);
        words::counted(count, "group", "groups")
    }
}

/// Somebody in a group.
pub(crate) struct MemberRow {
    /// Who.
    pub(crate) person: PersonRow,
    /// The groups on the way, the nearest to the person first: short name and page.
    pub(crate) through: Vec<(String, String)>,
}

/// A role that a group gives.
pub(crate) struct GivenRow {
    /// The role's ARN.
    pub(crate) arn: String,
    /// The account's id.
    pub(crate) account_id: String,
    /// Its environment.
    pub(crate) environment: Environment,
    /// The account's name, or its id.
    pub(crate) account: String,
    /// The role's name.
    pub(crate) role: String,
    /// The role's page.
    pub(crate) role_href: String,
    /// `Mapping` or `Rule`.
    pub(crate) kind: &'static str,
    /// The row's page.
    pub(crate) href: String,
    /// When it ends, or ended.
    pub(crate) ends: Option<Moment>,
    /// What keeps it from giving the role now; may be empty.
    pub(crate) trouble: &'static str,
}

/// `GET /helpdesk/groups/{key}`
#[derive(Template)]
#[template(path = "helpdesk/group.html", whitespace = "minimize")]
pub(crate) struct GroupView {
    /// The frame.
    pub(crate) layout: Layout,
    /// The helpdesk's frame.
    pub(crate) desk: Desk,
    /// The short name.
    pub(crate) short: String,
    /// The key.
    pub(crate) key: String,
    /// What the directory says about it; may be empty.
    pub(crate) description: String,
    /// Whether the directory knows it; none where it could not be asked.
    pub(crate) members: Option<Vec<MemberRow>>,
    /// Whether there may be more members.
    pub(crate) is_cut: bool,
    /// People who were last seen with it and are not among the members.
    pub(crate) seen: Vec<PersonRow>,
    /// What could not be asked.
    pub(crate) missing: Vec<String>,
    /// What it gives.
    pub(crate) gives: Vec<GivenRow>,
    /// Where a mapping of it is made, where the reader may.
    pub(crate) add: Option<String>,
}

impl GroupView {
    fn member_count(&self) -> String {
        let count = self.members.as_ref().map_or(0, Vec::len);
        words::counted(count, "person", "people")
    }

    fn given_count(&self) -> String {
        words::counted(self.gives.len(), "row", "rows")
    }
}
