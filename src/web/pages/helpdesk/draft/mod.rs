//! From a form to an edit: every kind of edit is read here, for its page, its preview and its save
//! alike. Entry points: [`Bench::of`], [`read`].

pub(super) mod import;
pub(super) mod mapping;
pub(super) mod rows;
pub(super) mod rule;
pub(super) mod settings;

use std::{collections::BTreeMap, sync::Arc};

use time::OffsetDateTime;

use super::{
    super::super::{
        App,
        staff::Staff,
        views::helpdesk::{
            edit::{EditForm, Field},
            mappings::MappingQuery,
            preview::{PreviewPanel, PreviewState},
            rules::Matches,
        },
    },
    fields::Fields,
};
use crate::{
    access::{Policy, PolicyTables},
    broker::{EditDraft, EditRefused, StoreError},
};

/// The longest reason, in characters.
const REASON: usize = 500;

/// What forms are read against.
pub(super) struct Bench<'a> {
    /// The program.
    pub(super) app: &'a App,
    /// Who edits.
    pub(super) staff: &'a Staff,
    /// The rows.
    pub(super) tables: Arc<PolicyTables>,
    /// What is decided on them.
    pub(super) policy: Arc<Policy>,
    /// The present.
    pub(super) now: OffsetDateTime,
}

impl<'a> Bench<'a> {
    /// The tables as they are now.
    pub(super) async fn of(app: &'a App, staff: &'a Staff) -> Result<Self, StoreError> {
        Ok(Self {
            app,
            staff,
            tables: app.broker.tables().await?,
            policy: app.broker.policy().await?,
            now: app.broker.now(),
        })
    }
}

/// What is wrong with fields, by name.
pub(super) type Errors = BTreeMap<&'static str, String>;

/// A form that was read.
pub(super) struct Reading {
    /// The form as it was entered, with a message beside each field that cannot be used.
    pub(super) form: EditForm,
    /// What it asks for; none where it cannot be used.
    pub(super) draft: Option<EditDraft>,
    /// Why there is none, where no field is to blame.
    pub(super) trouble: Vec<String>,
}

impl Reading {
    /// Whether somebody has said why.
    pub(super) fn has_reason(&self) -> bool {
        self.draft
            .as_ref()
            .is_some_and(|draft| draft.reason.is_some())
    }
}

/// Reads a form of any kind; none where there is no such kind.
pub(super) async fn read(
    bench: &Bench<'_>,
    fields: &Fields,
    query: &MappingQuery,
    csrf_token: &str,
) -> Option<Reading> {
    let sheet = Sheet {
        fields,
        query,
        csrf_token,
    };
    Some(match fields.one("edit") {
        "mapping" => mapping::read(bench, &sheet).await,
        "rule" => rule::read(bench, &sheet).await,
        "account" => settings::read_account(&sheet),
        "role" => settings::read_role(&sheet),
        "end" => rows::read_end(bench, &sheet),
        "expiry" => rows::read_expiry(bench, &sheet),
        "undo" => rows::read_undo(bench, &sheet).await,
        "review" => rows::read_review(bench, &sheet).await,
        "import" => import::read(bench, &sheet),
        _ => return None,
    })
}

/// What every form is made with.
pub(super) struct Sheet<'a> {
    /// What was entered.
    pub(super) fields: &'a Fields,
    /// The list beside the form.
    pub(super) query: &'a MappingQuery,
    /// The token.
    pub(super) csrf_token: &'a str,
}

impl Sheet<'_> {
    /// A form without fields.
    pub(super) fn form(&self, title: String, cancel: String) -> EditForm {
        EditForm {
            csrf_token: self.csrf_token.to_owned(),
            title,
            about: Vec::new(),
            hidden: Vec::new(),
            fields: Vec::new(),
            preview: PreviewPanel {
                state: PreviewState::NotAsked,
                notice: None,
                save: self.query.link("/helpdesk/save", &[]),
                field_errors: Vec::new(),
            },
            action: self.query.link("/helpdesk/preview", &[]),
            cancel,
            other: None,
            links: Vec::new(),
            is_live: true,
            matches: None::<Matches>,
        }
    }

    /// The field for a ticket or sentence that explains the edit.
    pub(super) fn reason_field(&self, errors: &Errors) -> Field {
        Field::text(
            "reason",
            "Reason for this change",
            self.fields.one("reason"),
        )
        .hint("A sentence for the history. A reason or a ticket is needed to save.")
        .error(errors.get("reason").cloned())
    }
}

/// The ticket or sentence that explains an edit, and what is wrong with it.
pub(super) fn reason(fields: &Fields, errors: &mut Errors) -> Option<String> {
    let (ticket, reason) = (fields.one("ticket"), fields.one("reason"));
    let text = match (ticket, reason) {
        ("", reason) => reason.to_owned(),
        (ticket, "") => ticket.to_owned(),
        (ticket, reason) => format!("{ticket}: {reason}"),
    };
    let length = text.chars().count();
    if length > REASON {
        errors.insert(
            "reason",
            format!("That is {length} characters; {REASON} are kept. Shorten it."),
        );
        return None;
    }
    if text.is_empty() {
        if fields.is_set("saving") {
            errors.insert("reason", "Say why, or name a ticket.".to_owned());
        }
        return None;
    }
    Some(text)
}

/// A refusal in sentences, with the status of its page.
pub(super) fn in_words(refused: &EditRefused) -> (u16, Vec<String>) {
    use super::fields::sentence;
    match refused {
        EditRefused::NotAllowed(why) => (
            403,
            vec![
                format!("You may not do this: {}", sentence(why)),
                "Ask an admin, or somebody of the helpdesk whose scope it is.".to_owned(),
            ],
        ),
        EditRefused::Conflicts(_) => (
            409,
            vec!["It was changed meanwhile. Open it again and look.".to_owned()],
        ),
        EditRefused::Problems(problems) => {
            (422, problems.iter().map(|text| sentence(text)).collect())
        }
        EditRefused::PreviewChanged(_) => (
            409,
            vec!["What it does is no longer what was shown. Look again.".to_owned()],
        ),
        EditRefused::NotFound(what) => (404, vec![sentence(&format!("{what} does not exist"))]),
        EditRefused::AlreadyDecided => (
            409,
            vec!["It does not wait any more: somebody has decided.".to_owned()],
        ),
        EditRefused::NotSecondPerson(why) => (
            403,
            vec![format!("You cannot approve this: {}", sentence(why))],
        ),
        EditRefused::StoreUnavailable(_) => (
            503,
            vec!["Rolegate cannot keep its records now, so nothing was saved.".to_owned()],
        ),
    }
}
