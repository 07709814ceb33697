//! The helpdesk's pages; what they share is [`Desk`].

pub(crate) mod conflict;
pub(crate) mod edit;
pub(crate) mod explanation;
pub(crate) mod groups;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod links;
pub(crate) mod mappings;
pub(crate) mod pending;
pub(crate) mod people;
pub(crate) mod preview;
#[cfg(test)]
pub(in crate::web::views) mod preview_tests;
pub(crate) mod probes;
pub(crate) mod reviews;
pub(crate) mod revocations;
pub(crate) mod roles;
pub(crate) mod rules;
pub(crate) mod setup;
mod tree;
pub(crate) mod wording;

/// A section of the helpdesk, as its navigation names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// `/helpdesk/mappings`
    Mappings,
    /// `/helpdesk/rules`
    Rules,
    /// `/helpdesk/people`
    People,
    /// `/helpdesk/groups`
    Groups,
    /// `/helpdesk/roles`: accounts and roles
    Roles,
    /// `/helpdesk/pending`
    Pending,
    /// `/helpdesk/history`
    History,
    /// `/helpdesk/reviews`
    Reviews,
    /// `/helpdesk/revocations`: sessions that were ended
    Revocations,
    /// `/helpdesk/import`: import and export
    Import,
}

impl Section {
    /// Every section, in the order of the navigation.
    pub(crate) const ALL: [Self; 10] = [
        Self::Mappings,
        Self::Rules,
        Self::People,
        Self::Groups,
        Self::Roles,
        Self::Pending,
        Self::History,
        Self::Reviews,
        Self::Revocations,
        Self::Import,
    ];

    /// Its address.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Mappings => "/helpdesk/mappings",
            Self::Rules => "/helpdesk/rules",
            Self::People => "/helpdesk/people",
            Self::Groups => "/helpdesk/groups",
            Self::Roles => "/helpdesk/roles",
            Self::Pending => "/helpdesk/pending",
            Self::History => "/helpdesk/history",
            Self::Reviews => "/helpdesk/reviews",
            Self::Revocations => "/helpdesk/revocations",
            Self::Import => "/helpdesk/import",
        }
    }

    /// Its name.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Mappings => "Mappings",
            Self::Rules => "Rules",
            Self::People => "People",
            Self::Groups => "Groups",
            Self::Roles => "Accounts and roles",
            Self::Pending => "Pending",
            Self::History => "History",
            Self::Reviews => "Access reviews",
            Self::Revocations => "Ended sessions",
            Self::Import => "Import and export",
        }
    }
}

/// What the frame of every helpdesk page needs, beside the `Layout`.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    /// Where the page is.
    pub(crate) section: Section,
    /// How many edits wait.
    pub(crate) pending: usize,
    /// Whether the person may edit mappings, at least some.
    pub(crate) may_edit_mappings: bool,
    /// Whether the person may edit accounts, roles and rules.
    pub(crate) is_admin: bool,
    /// What is wrong with the mapping file, where the one in force is not the one that is there.
    pub(crate) file_trouble: Option<String>,
}

impl Desk {
    /// The sections of the navigation.
    #[expect(clippy::unused_self, reason = "templates reach it through the value")]
    pub(crate) fn sections(&self) -> [Section; 10] {
        Section::ALL
    }
}
