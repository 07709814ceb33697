//! What changes make of a table.

use time::macros::datetime;

use super::*;
use crate::access::{ConsoleWay, Origin, RoleDefaults};

const ROLE: &str = "arn:aws:iam::111122223333:role/ReadOnly";

fn role(arn: &str) -> Role {
    Role {
        arn: arn.parse().unwrap(),
        description: None,
        owner: None,
        own: RoleDefaults::default(),
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: std::collections::BTreeMap::new(),
        protected: false,
        disabled: false,
    }
}

fn account() -> Account {
    Account {
        id: "111122223333".parse().unwrap(),
        name: "Payments".to_owned(),
        alias: None,
        environment: None,
        colour: None,
        description: None,
        owner: None,
        protected: false,
        role_defaults: RoleDefaults::default(),
    }
}

fn mapping(id: &str, group: &str) -> Mapping {
    Mapping {
        id: MappingId(id.to_owned()),
        group: GroupKey::from_stored(format!("corp:{group}")),
        role: ROLE.parse().unwrap(),
        conditions: Conditions::default(),
        ticket: None,
        origin: Origin::Store,
    }
}

fn rule(id: &str, pattern: &str) -> MappingRule {
    MappingRule {
        id: MappingId(id.to_owned()),
        connector: "corp".parse().unwrap(),
        group_pattern: pattern.to_owned(),
        role: "arn:aws:iam::{account}:role/{role}".to_owned(),
        conditions: Conditions::default(),
        allow_protected: false,
        ticket: None,
        origin: Origin::Store,
    }
}

const PATTERN: &str = "^aws-(?<account>[0-9]{12})-(?<role>.+)$";

fn tables() -> PolicyTables {
    let in_file = Mapping {
        origin: Origin::File { line: 12 },
        ..mapping("file:12", "ops")
    };
    PolicyTables {
        version: 7,
        accounts: vec![account()],
        roles: vec![role(ROLE)],
        mappings: vec![mapping("m1", "dev"), in_file],
        rules: vec![rule("r1", PATTERN)],
        group_ids: [(MappingId("m1".to_owned()), "id-1".to_owned())].into(),
    }
}

fn problems(changes: &[Change]) -> Vec<String> {
    tables().after(changes).unwrap_err()
}

#[test]
fn the_same_pair_keeps_its_id_and_the_group_that_it_means() {
    let put = Mapping {
        ticket: Some("HD-1".to_owned()),
        ..mapping("file:3", "dev")
    };
    let after = tables().after(&[Change::PutMapping(put)]).unwrap();
    assert_eq!(after.mappings.len(), 2);
    assert_eq!(after.mappings[0].id.0, "m1");
    assert_eq!(after.mappings[0].ticket.as_deref(), Some("HD-1"));
    assert_eq!(after.group_ids.len(), 1);

    let moved = tables()
        .after(&[Change::PutMapping(mapping("m1", "qa"))])
        .unwrap();
    assert_eq!(moved.mappings[0].group.as_str(), "corp:qa");
    assert!(moved.group_ids.is_empty(), "another group has another id");

    let id = "01a20da5-3463-76fb-b122-ea717a47901e";
    let twin = Change::PutMapping(mapping(id, "qa"));
    let onto = Change::PutMapping(mapping(id, "dev"));
    assert_eq!(
        problems(&[twin, onto]),
        [
            "mapping m1 already gives arn:aws:iam::111122223333:role/ReadOnly to corp:dev: end one of \
          the two"
        ]
    );
}

#[test]
fn rules_with_the_same_content_keep_their_id_and_broken_ones_are_told() {
    let put = MappingRule {
        allow_protected: true,
        ..rule("new", PATTERN)
    };
    let after = tables().after(&[Change::PutRule(put)]).unwrap();
    assert_eq!((after.rules.len(), after.rules[0].id.0.as_str()), (1, "r1"));
    let told = problems(&[
        Change::PutRule(rule("r2", "^aws-(?<account>[0-9]{12}-(?<role>.+)$")),
        Change::PutRule(rule("r3", "aws")),
    ]);
    assert_eq!(told.len(), 2);
    assert!(
        told[0].ends_with("is not a regular expression: unclosed group"),
        "{}",
        told[0]
    );
    assert!(
        told[1].contains("is open: it must start with ^"),
        "{}",
        told[1]
    );
}

#[test]
fn rows_of_the_mapping_file_are_edited_there() {
    let told = "mapping corp:ops → arn:aws:iam::111122223333:role/ReadOnly is kept in the mapping \
                file, line 12: edit it there";
    let id = MappingId("file:12".to_owned());
    assert_eq!(problems(&[Change::EndMapping(id)]), [told]);
    assert_eq!(
        problems(&[Change::PutMapping(mapping("file:12", "qa"))]),
        [told]
    );
    assert_eq!(
        problems(&[Change::PutMapping(mapping("m9", "ops"))]),
        [told]
    );
}

#[test]
fn everything_that_does_not_fit_is_told_at_once() {
    let elsewhere = Mapping {
        role: "arn:aws:iam::111122223333:role/Gone".parse().unwrap(),
        ..mapping("m2", "dev")
    };
    let told = problems(&[
        Change::RemoveRole(ROLE.parse().unwrap()),
        Change::PutMapping(elsewhere),
        Change::EndMapping(MappingId("m9".to_owned())),
        Change::PutRole(Box::new(role("arn:aws:iam::111122223333:role/a/Ops"))),
        Change::PutRole(Box::new(role("arn:aws:iam::111122223333:role/b/ops"))),
        Change::RemoveAccount("111122223333".parse().unwrap()),
    ]);
    insta::assert_snapshot!(told.join("\n"), @r"
    mapping m9 does not exist: it was removed meanwhile, or never was there
    arn:aws:iam::111122223333:role/Gone is not in the table, and 1 mapping would give it: add the role first
    arn:aws:iam::111122223333:role/ReadOnly is still given by 2 mappings: end those first, such as mapping corp:dev → arn:aws:iam::111122223333:role/ReadOnly
    arn:aws:iam::111122223333:role/a/Ops and arn:aws:iam::111122223333:role/b/ops have the same name in one account: keep one of the two
    account 111122223333 still has 2 roles: remove those first
    ");
}

#[test]
fn nothing_can_be_asked_where_the_provider_opens_the_role_itself() {
    let mut handed_over = account();
    handed_over.role_defaults.console = Some(ConsoleWay::IdpInitiated);
    let mut asking = mapping("m1", "dev");
    asking.conditions.require_reason = true;
    let told = problems(&[Change::PutMapping(asking), Change::PutAccount(handed_over)]);
    assert!(told[0].contains("asks for require_reason"), "{told:?}");
}

#[test]
fn an_end_in_the_past_is_told_where_it_is_new() {
    let now = datetime!(2026-06-01 12:00 UTC);
    let mut ended = mapping("m1", "dev");
    ended.conditions.expires = Some(datetime!(2026-05-01 12:00 UTC));
    let put = [Change::PutMapping(ended.clone())];
    assert_eq!(tables().lapsed(&put, now).len(), 1);
    let mut before = tables();
    before.mappings[0] = ended;
    assert!(before.lapsed(&put, now).is_empty(), "it was so already");
}

#[test]
fn what_takes_a_change_back_makes_the_table_as_it_was() {
    let before = tables();
    let changes = [
        Change::PutMapping(Mapping {
            ticket: Some("HD-2".to_owned()),
            ..mapping("m1", "dev")
        }),
        Change::EndRule(MappingId("r1".to_owned())),
        Change::PutRole(Box::new(role("arn:aws:iam::111122223333:role/Ops"))),
    ];
    let after = before.after(&changes).unwrap();
    let back: Vec<Change> = changes
        .iter()
        .filter_map(Change::row)
        .map(|name| Change::back_to(&name, before.row(&name)))
        .collect();
    let again = after.after(&Change::in_order(back)).unwrap();
    assert_eq!(again.mappings, before.mappings);
    assert_eq!(again.rules, before.rules);
    assert_eq!(again.roles, before.roles);
}

#[test]
fn a_revision_changes_with_the_row_alone() {
    let name = RowName::Mapping(MappingId("m1".to_owned()));
    let revision = |tables: &PolicyTables| tables.row(&name).unwrap().revision();
    let before = tables();
    assert_eq!(revision(&before).len(), 32);
    let other = [Change::EndRule(MappingId("r1".to_owned()))];
    assert_eq!(revision(&before.after(&other).unwrap()), revision(&before));
    let mut put = mapping("m1", "dev");
    put.conditions.read_only = true;
    let put = [Change::PutMapping(put)];
    assert_ne!(revision(&before.after(&put).unwrap()), revision(&before));
}

#[test]
fn rows_with_one_made_up_id_are_rows_of_their_own() {
    let puts = ["x", "x", "x"].into_iter().zip(["a", "b", "c"]);
    let puts: Vec<_> = puts
        .map(|(id, group)| Change::PutMapping(mapping(id, group)))
        .collect();
    let after = tables().after(&puts).unwrap();
    assert_eq!(after.mappings.len(), 2 + 3);
    let ids: std::collections::HashSet<_> = after.mappings.iter().map(|row| &row.id).collect();
    assert_eq!(ids.len(), after.mappings.len());
    let puts = ["^a$", "^b$"].map(|pattern| {
        let row = MappingRule {
            role: ROLE.to_owned(),
            ..rule("x", pattern)
        };
        Change::PutRule(row)
    });
    assert_eq!(tables().after(&puts).unwrap().rules.len(), 1 + 2);
    // A UUID is the store's own id: the second row takes the place of the first.
    let id = "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000";
    let puts = ["a", "b"].map(|group| Change::PutMapping(mapping(id, group)));
    assert_eq!(tables().after(&puts).unwrap().mappings.len(), 2 + 1);
}

#[test]
fn an_end_that_no_calendar_has_in_utc_is_the_last_one() {
    for (written, kept) in [
        (
            datetime!(9999-12-31 23:59:59.5 -23:59),
            datetime!(9999-12-31 23:59:59.999 UTC),
        ),
        (
            datetime!(0000-01-01 00:00 +23:59),
            datetime!(0000-01-01 00:00 UTC),
        ),
    ] {
        let conditions = Conditions {
            expires: Some(written),
            ..Conditions::default()
        };
        assert_eq!(conditions.as_kept().expires, Some(kept));
    }
}
