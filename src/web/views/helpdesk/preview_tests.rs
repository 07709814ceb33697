//! Sample pages of the helpdesk, for looking at without a server; see `views/preview_tests.rs`.

use askama::Template;
use time::{Duration, OffsetDateTime, macros::datetime};

use super::{
    super::Layout,
    Desk, Section,
    conflict::{ConflictInput, ConflictView},
    edit::{EditForm, EditView, Field, Kind},
    history::{HistoryInput, HistoryQuery, HistoryView},
    import::ImportView,
    mappings::{ListInput, MappingList, MappingQuery, MappingsView, csv},
    pending::{PendingOneInput, PendingOneView, PendingView},
    preview::{Effects, PreviewPanel, PreviewState, Running},
    rules::{Matches, RulesInput, RulesView},
};
use crate::{
    access::{
        Account, Altered, AuthenticationMethod, Authority, Change, Conditions, GroupKey, Identity,
        Mapping, MappingId, MappingRule, Origin, Policy, PolicySettings, PolicyTables, Preview,
        Role, RoleDefaults, RoleEffect, Row, RowName, Scope, SessionDuration, TargetArn, Terms,
    },
    broker::{
        Action, Actor, Conflict, EditPreview, HistoryEntry, PendingEdit, PendingState, RowChange,
        Wait,
    },
};

const NOW: OffsetDateTime = datetime!(2026-11-24 10:42 UTC);

fn arn(account: usize, role: &str) -> TargetArn {
    format!("arn:aws:iam::{:012}:role/{role}", 111_122_220_000 + account)
        .parse()
        .unwrap()
}

fn tables(accounts: usize, mappings: usize) -> PolicyTables {
    let words = ["production", "staging", "dev"];
    let teams = ["Payments", "Webshop", "Data platform", "Search"];
    let roles = ["ReadOnly", "Operator", "Administrator", "Developer"];
    PolicyTables {
        version: 1,
        accounts: (0..accounts)
            .map(|place| Account {
                id: format!("{:012}", 111_122_220_000 + place).parse().unwrap(),
                name: format!("{} {} {}", teams[place % 4], words[place % 3], place / 4),
                alias: None,
                environment: None,
                colour: None,
                description: None,
                owner: None,
                protected: place == 0,
                role_defaults: RoleDefaults::default(),
            })
            .collect(),
        roles: (0..accounts)
            .flat_map(|place| roles.map(|role| (place, role)))
            .map(|(place, name)| Role {
                arn: arn(place, name),
                description: None,
                owner: None,
                own: RoleDefaults::default(),
                session_policy: None,
                policy_arns: Vec::new(),
                session_tags: std::collections::BTreeMap::default(),
                protected: false,
                disabled: false,
            })
            .collect(),
        mappings: (0..mappings)
            .map(|place| mapping(place, arn(place % (accounts + 1), roles[place % 4])))
            .collect(),
        rules: vec![rule()],
        ..PolicyTables::default()
    }
}

fn mapping(place: usize, role: TargetArn) -> Mapping {
    let expires = match place % 7 {
        1 => Some(NOW + Duration::days(9)),
        2 => Some(NOW - Duration::days(3)),
        _ => None,
    };
    Mapping {
        id: MappingId(format!("0199e0e0-0000-7000-8000-{place:012}")),
        group: GroupKey::from_stored(format!("corp:cn=team-{place},ou=groups,dc=example,dc=com")),
        role,
        conditions: Conditions {
            expires,
            read_only: place % 5 == 3,
            require_reason: place % 5 == 4,
            ..Conditions::default()
        },
        ticket: place.is_multiple_of(3).then(|| format!("OPS-{place}")),
        origin: if place % 11 == 5 {
            Origin::File { line: 12 + place }
        } else {
            Origin::Store
        },
    }
}

fn rule() -> MappingRule {
    MappingRule {
        id: MappingId("0199e0e0-0000-7000-8000-00000000ffff".to_owned()),
        connector: "corp".parse().unwrap(),
        group_pattern: r"^cn=aws-(?<account>\d{12})-(?<role>[^,]+),.*$".to_owned(),
        role: "arn:aws:iam::{account}:role/{role}".to_owned(),
        conditions: Conditions::default(),
        allow_protected: false,
        ticket: Some("OPS-9".to_owned()),
        origin: Origin::Store,
    }
}

fn names() -> Vec<String> {
    let names = [
        "111122220001-readonly",
        "111122220000-operator",
        "1111-x",
        "111122220001-none",
    ];
    names
        .iter()
        .map(|name| format!("cn=aws-{name},ou=groups,dc=example,dc=com"))
        .collect()
}

fn person(name: &str, username: &str) -> Identity {
    Identity {
        connector: "corp".parse().unwrap(),
        subject: username.to_owned(),
        username: username.to_owned(),
        display_name: Some(name.to_owned()),
        email: None,
        entry_dn: None,
        groups: Vec::new(),
        groups_read_at: NOW,
        authenticated_at: NOW,
        method: AuthenticationMethod::Password,
        authentication_context: None,
        asserted_roles: Vec::new(),
    }
}

fn actor(username: &str) -> Actor {
    Actor::Person {
        connector: "corp".to_owned(),
        subject: Some(username.to_owned()),
        username: Some(username.to_owned()),
    }
}

fn desk(section: Section) -> Desk {
    Desk {
        section,
        pending: 2,
        may_edit_mappings: true,
        is_admin: true,
        file_trouble: (section == Section::Rules).then(|| {
            "The mapping file cannot be loaded; the last good one stays in force. mappings.toml:4: role: not an ARN".to_owned()
        }),
    }
}

fn helpdesk() -> Authority {
    Authority {
        helpdesk: vec![Scope::default()],
        is_auditor: false,
        is_admin: true,
    }
}

struct Samples {
    layout: Layout,
    tables: PolicyTables,
    policy: Policy,
    authority: Authority,
}

impl Samples {
    fn new(layout: Layout, tables: PolicyTables) -> Self {
        Self {
            layout,
            policy: Policy::new(tables.clone(), PolicySettings::default()),
            tables,
            authority: helpdesk(),
        }
    }

    fn input(&self) -> ListInput<'_> {
        ListInput {
            tables: &self.tables,
            policy: &self.policy,
            environments: &self.layout.environments,
            authority: &self.authority,
            now: NOW,
        }
    }

    fn mappings(&self, query: MappingQuery, form: Option<EditForm>) -> String {
        let saved = query.saved == "1";
        let list = MappingList::new(self.input(), &query, None, self.layout.csrf_token.clone());
        MappingsView {
            notice: None,
            layout: self.layout.clone(),
            desk: desk(Section::Mappings),
            query,
            list,
            form,
            saved: saved.then(|| {
                (
                    "Saved. +3 people.".to_owned(),
                    Some("/helpdesk/undo?edit=1".to_owned()),
                )
            }),
        }
        .render()
        .unwrap()
    }

    fn preview() -> EditPreview {
        let people = vec![
            person("Grace Hopper", "grace"),
            person("Ada Lovelace", "ada"),
            person("Alan Turing", "alan"),
            person("Edsger Dijkstra", "edsger"),
        ];
        let terms = |seconds| Terms {
            longest: SessionDuration::from_seconds(seconds).unwrap(),
            is_read_only: false,
            requires_reason: false,
        };
        let before = mapping(3, arn(1, "ReadOnly"));
        let mut after = before.clone();
        after.conditions.read_only = false;
        after.ticket = Some("OPS-77".to_owned());
        EditPreview {
            rows: vec![RowChange {
                name: RowName::Mapping(before.id.clone()),
                before: Some(Row::Mapping(before)),
                after: Some(Row::Mapping(after)),
            }],
            people,
            effects: Preview {
                roles: vec![
                    RoleEffect {
                        role: arn(0, "Administrator"),
                        is_protected: true,
                        gains: vec![0, 1, 2],
                        losses: vec![],
                        altered: vec![],
                    },
                    RoleEffect {
                        role: arn(1, "ReadOnly"),
                        is_protected: false,
                        gains: vec![],
                        losses: vec![3],
                        altered: vec![Altered {
                            person: 1,
                            before: terms(3_600),
                            after: terms(14_400),
                        }],
                    },
                ],
            },
            unresolved: vec![
                "The directory corp did not answer; its people are as last seen.".to_owned(),
            ],
            waits: vec![Wait::SelfGain, Wait::Protected],
            own_gains: vec![arn(0, "Administrator").to_string()],
            digest: "d1".to_owned(),
        }
    }

    fn effects(&self) -> Effects {
        Effects::new(&Samples::preview(), &self.policy, &self.layout.environments)
    }

    fn form(&self, state: PreviewState, with_errors: bool) -> EditForm {
        let error = |text: &str| with_errors.then(|| text.to_owned());
        let mut group = Field::text(
            "group",
            "Group",
            "corp:cn=team-3,ou=groups,dc=example,dc=com",
        )
        .hint("connector:name, or a name that only one group has.")
        .error(error("No group is called “team-3”."));
        group.kind = Kind::Text {
            suggest: Some("/helpdesk/suggest/groups"),
            offers: vec!["corp:cn=a".to_owned()],
        };
        EditForm {
            csrf_token: self.layout.csrf_token.clone(),
            title: "Mapping of team-3 to ReadOnly in Webshop staging 0".to_owned(),
            about: Vec::new(),
            hidden: vec![("edit".to_owned(), "mapping".to_owned())],
            fields: vec![
                group,
                Field::text("role", "Role", "Webshop staging 0/ReadOnly"),
                Field::text("expires", "Ends", "")
                    .hint("The last day, as 2026-12-31. Empty: no end."),
                Field::check("read_only", "Read-only", true),
                Field::text("reason", "Reason for this change", "")
                    .error(error("Say why, or name a ticket.")),
            ],
            preview: PreviewPanel {
                state,
                notice: None,
                save: "/helpdesk/save".to_owned(),
                field_errors: Vec::new(),
            },
            action: "/helpdesk/preview".to_owned(),
            cancel: "/helpdesk/mappings".to_owned(),
            other: Some((
                "End this mapping now".to_owned(),
                vec![("edit".to_owned(), "end".to_owned())],
            )),
            links: vec![(
                "/helpdesk/history".to_owned(),
                "History of this mapping".to_owned(),
            )],
            is_live: true,
            matches: None,
        }
    }

    fn conflict(&self) -> String {
        let mine = mapping(3, arn(1, "ReadOnly"));
        let mut theirs = mine.clone();
        theirs.ticket = Some("OPS-78".to_owned());
        theirs.conditions.expires = Some(NOW + Duration::days(20));
        let name = RowName::Mapping(mine.id.clone());
        ConflictView::new(ConflictInput {
            layout: self.layout.clone(),
            desk: desk(Section::Mappings),
            conflicts: &[Conflict {
                name,
                by: Some(Samples::entry(&theirs, Some(&mine))),
                now: Some(Row::Mapping(theirs)),
            }],
            changes: &[Change::PutMapping(mine)],
            policy: &self.policy,
            mine: ("/helpdesk/preview".to_owned(), Vec::new()),
            back: "/helpdesk/mappings".to_owned(),
            now: NOW,
        })
        .render()
        .unwrap()
    }

    fn entry(after: &Mapping, before: Option<&Mapping>) -> HistoryEntry {
        HistoryEntry {
            seq: 41,
            at: NOW - Duration::minutes(4),
            action: Action::MappingChange,
            by: actor("grace"),
            approved_by: before.map(|_| actor("ada")),
            reason: Some("Contract was prolonged".to_owned()),
            row: Some(RowName::Mapping(after.id.clone())),
            before: before.cloned().map(Row::Mapping),
            after: Some(Row::Mapping(after.clone())),
            edit: Some("e1".to_owned()),
            undoes: None,
        }
    }

    fn history(&self) -> String {
        let row = mapping(3, arn(1, "ReadOnly"));
        let mut older = row.clone();
        older.ticket = None;
        older.conditions.read_only = false;
        let entries = [
            Samples::entry(&row, Some(&older)),
            Samples::entry(&older, None),
        ];
        HistoryView::new(HistoryInput {
            layout: self.layout.clone(),
            desk: desk(Section::History),
            query: HistoryQuery::default(),
            entries: &entries,
            has_more: true,
            tables: &self.tables,
            policy: &self.policy,
            authority: &self.authority,
            now: NOW,
        })
        .render()
        .unwrap()
    }

    fn pending_edit() -> PendingEdit {
        PendingEdit {
            id: "p1".to_owned(),
            author: actor("grace"),
            author_name: "Grace Hopper".to_owned(),
            created_at: NOW - Duration::hours(2),
            expires_at: NOW + Duration::days(6),
            reason: Some("OPS-77".to_owned()),
            changes: vec![Change::PutMapping(mapping(3, arn(0, "Administrator")))],
            seen: Vec::new(),
            why: vec!["self_gain".to_owned(), "protected".to_owned()],
            undoes: None,
            state: PendingState::Waiting,
            decided_by: None,
            decided_at: None,
            note: None,
        }
    }

    fn pending(&self) -> String {
        let declined = PendingEdit {
            id: "p0".to_owned(),
            state: PendingState::Declined,
            ..Samples::pending_edit()
        };
        let edits = [Samples::pending_edit(), declined];
        PendingView::new(
            self.layout.clone(),
            desk(Section::Pending),
            &edits,
            None,
            NOW,
        )
        .render()
        .unwrap()
    }

    fn pending_one(&self, is_author: bool) -> String {
        let sentence = "You proposed this, so somebody else has to approve it.";
        PendingOneView::new(PendingOneInput {
            layout: self.layout.clone(),
            desk: desk(Section::Pending),
            edit: &Samples::pending_edit(),
            preview: PreviewState::Ready(Box::new(self.effects().for_second_person())),
            may_not: is_author.then(|| sentence.to_owned()),
            is_author,
            message: None,
            now: NOW,
        })
        .render()
        .unwrap()
    }

    fn rules(&self, with_form: bool) -> String {
        let names = names();
        let form = with_form.then(|| EditForm {
            matches: Some(Matches::new(
                &rule(),
                &names,
                &self.policy,
                &self.layout.environments,
            )),
            ..self.form(PreviewState::NotAsked, false)
        });
        RulesView::new(RulesInput {
            layout: self.layout.clone(),
            desk: desk(Section::Rules),
            tables: &self.tables,
            policy: &self.policy,
            names: &|_| names.clone(),
            form,
            saved: None,
            now: NOW,
        })
        .render()
        .unwrap()
    }

    fn import(&self) -> String {
        let mut form = self.form(
            PreviewState::Invalid(vec!["line 3: role: not an ARN".to_owned()]),
            true,
        );
        form.fields[0].kind = Kind::Area { rows: 16 };
        form.other = None;
        ImportView {
            layout: self.layout.clone(),
            desk: desk(Section::Import),
            form: Some(form),
        }
        .render()
        .unwrap()
    }
}

/// Every page of the helpdesk's editing side.
pub(in crate::web::views) fn pages(layout: Layout) -> Vec<(&'static str, String)> {
    let samples = Samples::new(layout, tables(12, 130));
    let ready = || PreviewState::Ready(Box::new(samples.effects()));
    let saved = MappingQuery {
        saved: "1".to_owned(),
        ..MappingQuery::default()
    };
    let none = MappingQuery {
        q: "zzz".to_owned(),
        ..MappingQuery::default()
    };
    let running = PreviewState::Running(Running {
        href: "/helpdesk/previews/1".to_owned(),
        done: 120,
        total: 4_000,
    });
    let edit = EditView {
        layout: samples.layout.clone(),
        desk: desk(Section::Mappings),
        form: samples.form(running, false),
    };
    vec![
        ("helpdesk-mappings", samples.mappings(saved, None)),
        ("helpdesk-mappings-none", samples.mappings(none, None)),
        (
            "helpdesk-mapping-preview",
            samples.mappings(MappingQuery::default(), Some(samples.form(ready(), false))),
        ),
        (
            "helpdesk-mapping-errors",
            samples.mappings(
                MappingQuery::default(),
                Some(samples.form(
                    PreviewState::Invalid(vec!["Each message stands beside its field.".to_owned()]),
                    true,
                )),
            ),
        ),
        ("helpdesk-running", edit.render().unwrap()),
        ("helpdesk-conflict", samples.conflict()),
        ("helpdesk-history", samples.history()),
        ("helpdesk-pending", samples.pending()),
        ("helpdesk-pending-one", samples.pending_one(false)),
        ("helpdesk-pending-own", samples.pending_one(true)),
        ("helpdesk-rules", samples.rules(false)),
        ("helpdesk-rule", samples.rules(true)),
        ("helpdesk-import", samples.import()),
    ]
}

fn layout() -> Layout {
    Layout {
        organisation: String::new(),
        person: None,
        rights: super::super::Rights::default(),
        csrf_token: "t".to_owned(),
        theme: None,
        help_url: None,
        request_id: String::new(),
        environments: std::sync::Arc::default(),
    }
}

/// Follows `rel="next"` through the list, and returns the rows' ids in order.
fn walk(samples: &Samples, sort: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut query = MappingQuery {
        sort: sort.to_owned(),
        ..MappingQuery::default()
    };
    loop {
        let text = samples.mappings(query.clone(), None);
        let rows = text.split("data-mapping=\"").skip(1);
        ids.extend(rows.map(|row| row.split('"').next().unwrap().to_owned()));
        let Some((before, _)) = text.split_once("rel=\"next\"") else {
            return ids;
        };
        let after = before.rsplit("after=").next().unwrap();
        query.after = after.split(['"', '&']).next().unwrap().to_owned();
    }
}

#[test]
fn the_pages_of_the_list_hold_every_row_once_in_any_order() {
    let samples = Samples::new(layout(), tables(12, 130));
    for sort in [
        "", "role", "-role", "group", "-group", "ends", "-ends", "ticket", "-ticket",
    ] {
        let ids = walk(&samples, sort);
        let different: std::collections::HashSet<&String> = ids.iter().collect();
        assert_eq!((ids.len(), different.len()), (130, 130), "{sort}");
    }
    let (mut there, mut back) = (walk(&samples, "ends"), walk(&samples, "-ends"));
    back.reverse();
    assert_eq!(there, back);
    there.sort();
}

#[test]
fn a_filter_narrows_the_list_and_its_count_and_the_csv() {
    let samples = Samples::new(layout(), tables(12, 130));
    let query = MappingQuery {
        q: "Webshop OPERATOR".to_owned(),
        ..MappingQuery::default()
    };
    let expected = samples.tables.mappings.iter().filter(|row| {
        let account = samples.policy.account(&row.role.account());
        account.is_some_and(|account| account.name.contains("Webshop"))
            && row.role.name() == "Operator"
    });
    let expected = expected.count();
    assert!(expected > 0);
    let text = samples.mappings(query.clone(), None);
    assert!(
        text.contains(&format!("{expected} of 130 mappings")),
        "{expected}"
    );
    let (text, rows) = csv(samples.input(), &query);
    assert_eq!((rows, text.lines().count()), (expected, expected + 1));
}

#[test]
fn each_state_of_the_list_is_what_it_says() {
    let samples = Samples::new(layout(), tables(12, 130));
    let count = |state: &str| {
        let query = MappingQuery {
            state: state.to_owned(),
            ..MappingQuery::default()
        };
        csv(samples.input(), &query).1
    };
    let rows = &samples.tables.mappings;
    let expired = rows
        .iter()
        .filter(|row| row.conditions.is_expired(NOW))
        .count();
    assert_eq!(count("expired"), expired);
    let file = rows
        .iter()
        .filter(|row| row.origin != Origin::Store)
        .count();
    assert_eq!(count("file"), file);
    let soon = rows
        .iter()
        .filter(|row| row.conditions.expires.is_some_and(|at| at > NOW));
    assert_eq!(count("expiring"), soon.count());
    let broken = rows
        .iter()
        .filter(|row| samples.policy.role(&row.role).is_none());
    assert_eq!(count("broken"), broken.count());
}

#[test]
fn rows_of_the_mapping_file_cannot_be_chosen_and_broken_ones_say_why() {
    let samples = Samples::new(layout(), tables(2, 12));
    let text = samples.mappings(MappingQuery::default(), None);
    assert!(
        text.contains("mapping file, line 17") && text.contains("broken: there is no such role")
    );
    assert!(!text.contains("value=\"0199e0e0-0000-7000-8000-000000000005\""));
}

#[test]
fn a_button_says_what_it_does_and_for_how_many() {
    let samples = Samples::new(layout(), tables(12, 130));
    let mut preview = Samples::preview();
    let button = |preview: &EditPreview| Effects::new(preview, &samples.policy, &[]).button;
    assert_eq!(button(&preview), "Ask a second person");
    preview.waits.clear();
    assert_eq!(button(&preview), "Save mapping for 3 people");
    preview.rows[0].before = None;
    assert_eq!(button(&preview), "Add mapping for 3 people");
    let row = preview.rows[0].after.take();
    preview.rows[0].before = row;
    assert_eq!(button(&preview), "End mapping for 1 person");
    preview.effects.roles.clear();
    assert_eq!(button(&preview), "End mapping");
    let effects = samples.effects();
    assert_eq!(
        effects.headline,
        "+3 people, −1 person, 1 person on other terms"
    );
}
