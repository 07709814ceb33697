//! The situations, one by one, and by properties.

use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::access::{
    Account, AssertedRole, AuthenticationMethod, Conditions, ConnectorId, Group, MappingRule,
    Origin, PolicySettings, PolicyTables, Request, Role, RoleDefaults,
};

const NOW: OffsetDateTime = datetime!(2026-11-24 10:00 UTC);
const ROLE: &str = "arn:aws:iam::111122223333:role/team/Admin";
const DEV: &str = "corp:cn=dev,ou=groups,dc=example,dc=com";
const TEAM: &str = "corp:cn=team,ou=groups,dc=example,dc=com";
const LEAF: &str = "corp:cn=leaf,ou=groups,dc=example,dc=com";

fn key(text: &str) -> GroupKey {
    GroupKey::from_stored(text.to_owned())
}

fn connector(id: &str) -> ConnectorId {
    id.parse().unwrap()
}

fn group(text: &str) -> Group {
    Group {
        key: key(text),
        name: key(text).value().to_owned(),
        stable_id: None,
        through: None,
    }
}

fn person(groups: Vec<Group>) -> Identity {
    let first = groups.first().map_or("corp", |group| group.key.connector());
    Identity {
        connector: connector(first),
        subject: "7f3a".to_owned(),
        username: "carol".to_owned(),
        display_name: Some("Carol Shaw".to_owned()),
        email: None,
        entry_dn: None,
        groups,
        groups_read_at: NOW,
        authenticated_at: NOW,
        method: AuthenticationMethod::Password,
        authentication_context: None,
        asserted_roles: Vec::new(),
    }
}

fn role() -> Role {
    Role {
        arn: ROLE.parse().unwrap(),
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
        name: "Payments production".to_owned(),
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
        group: key(group),
        role: ROLE.parse().unwrap(),
        conditions: Conditions::default(),
        ticket: None,
        origin: Origin::Store,
    }
}

fn rule(pattern: &str) -> MappingRule {
    MappingRule {
        id: MappingId("r1".to_owned()),
        connector: connector("corp"),
        group_pattern: pattern.to_owned(),
        role: "arn:aws:iam::{account}:role/Admin".to_owned(),
        conditions: Conditions::default(),
        allow_protected: false,
        ticket: Some("HD-2".to_owned()),
        origin: Origin::File { line: 12 },
    }
}

fn tables(mappings: Vec<Mapping>) -> PolicyTables {
    PolicyTables {
        accounts: vec![account()],
        roles: vec![role()],
        mappings,
        ..PolicyTables::default()
    }
}

fn policy(tables: PolicyTables) -> Policy {
    Policy::new(tables, PolicySettings::default())
}

fn around() -> Surroundings {
    Surroundings {
        basis: Basis::Live,
        groups: Vec::new(),
        others: Vec::new(),
        pending: Vec::new(),
        ended: Vec::new(),
        refused_by_aws: None,
        trouble: None,
        groups_valid_for: Duration::from_hours(24),
    }
}

fn explained(tables: PolicyTables, identity: &Identity, around: &Surroundings) -> Explanation {
    policy(tables).explain(identity, &ROLE.parse().unwrap(), around, NOW)
}

/// The text, and the JSON's shape in one line for each finding: what callers match on.
fn told(explanation: &Explanation) -> String {
    let json = serde_json::to_value(explanation).unwrap();
    let findings = json["findings"].as_array().unwrap().iter();
    let codes: Vec<String> = findings
        .map(|finding| format!("{} {}", finding["situation"], finding["remedy"]))
        .collect();
    format!("{}\n{}", explanation.to_text(), codes.join("\n"))
}

fn relations(text: &str) -> GroupRelations {
    GroupRelations {
        key: key(text),
        exists: true,
        name: None,
        stable_id: None,
        member_groups: Vec::new(),
        parent_groups: Vec::new(),
    }
}

fn dev() -> PolicyTables {
    tables(vec![mapping("m1", DEV)])
}

#[test]
fn held_by_mapping() {
    let mut row = mapping("m1", DEV);
    row.ticket = Some("HD-1".to_owned());
    row.conditions = Conditions {
        expires: Some(datetime!(2027-01-31 08:00 UTC)),
        read_only: true,
        max_duration: crate::access::SessionDuration::from_seconds(3_600).ok(),
        ..Conditions::default()
    };
    let explanation = explained(tables(vec![row]), &person(vec![group(DEV)]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw can open Admin in Payments production: mapping m1 (HD-1) gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com).
    arn:aws:iam::111122223333:role/team/Admin

      held by a mapping
        Mapping m1 (HD-1) gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com).
          Carol Shaw is a member of dev.
          It ends on 2027-01-31 08:00 UTC (expires).
          Sessions last at most 1 h (max_duration).
          It gives read-only access (read_only).
          The role is opened by assume-role, for at most 1 h.

      The groups were read from the directory for this question.

    "held_by_mapping" null
    "#);
}

#[test]
fn held_by_rule() {
    let mut tables = tables(Vec::new());
    tables.rules = vec![rule("^aws-(?<account>[0-9]{12})$")];
    let mut held = group("corp:cn=aws-111122223333,dc=example");
    held.name = "AWS-111122223333".to_owned();
    let explanation = explained(tables, &person(vec![held]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw can open Admin in Payments production: the rule at line 12 of the mapping file (HD-2) gives it to AWS-111122223333 (corp:cn=aws-111122223333,dc=example).
    arn:aws:iam::111122223333:role/team/Admin

      held by a rule
        The rule at line 12 of the mapping file (HD-2) gives it to AWS-111122223333 (corp:cn=aws-111122223333,dc=example).
          The name `AWS-111122223333` matches `^aws-(?<account>[0-9]{12})$`.
          Carol Shaw is a member of AWS-111122223333.
          It has no conditions and no end.
          The role is opened by assume-role, for at most 1 h.

      The groups were read from the directory for this question.

    "held_by_rule" null
    "#);
}

#[test]
fn held_through_nested_groups() {
    let through = |text: &str, through: &str| Group {
        through: Some(key(through)),
        ..group(text)
    };
    let groups = vec![group(LEAF), through(TEAM, LEAF), through(DEV, TEAM)];
    let explanation = explained(dev(), &person(groups), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw can open Admin in Payments production: mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com).
    arn:aws:iam::111122223333:role/team/Admin

      held through nested groups
        Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com).
          team is a member of dev.
            leaf is a member of team.
              Carol Shaw is a member of leaf.
          It has no conditions and no end.
          The role is opened by assume-role, for at most 1 h.

      The groups were read from the directory for this question.

    "held_through_nested_groups" null
    "#);
}

#[test]
fn a_cycle_of_groups_ends() {
    let through = |text: &str, through: &str| Group {
        through: Some(key(through)),
        ..group(text)
    };
    let groups = vec![through(DEV, TEAM), through(TEAM, DEV)];
    let explanation = explained(dev(), &person(groups), &around());
    assert!(explanation.is_held);
}

#[test]
fn held_by_assertion() {
    let mut identity = person(vec![group("idp:staff")]);
    identity.method = AuthenticationMethod::Saml;
    identity.asserted_roles = vec![AssertedRole {
        role: ROLE.parse().unwrap(),
        provider: "arn:aws:iam::111122223333:saml-provider/idp"
            .parse()
            .unwrap(),
    }];
    let settings = PolicySettings {
        giving_connectors: [connector("idp")].into(),
        ..PolicySettings::default()
    };
    let policy = Policy::new(PolicyTables::default(), settings);
    let explanation = policy.explain(&identity, &ROLE.parse().unwrap(), &around(), NOW);
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw can open Admin in 111122223333: the identity provider's assertion names the role.
    arn:aws:iam::111122223333:role/team/Admin

      held by the identity provider's word
        The identity provider's assertion names the role.
          The role is opened by assume-role-with-saml, for at most 1 h.

      The groups were read from the directory for this question.

    "held_by_assertion" null
    "#);
}

#[test]
fn mapping_expired() {
    let mut row = mapping("m1", DEV);
    row.conditions.expires = Some(datetime!(2026-10-31 00:00 UTC));
    let explanation = explained(tables(vec![row]), &person(vec![group(DEV)]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: mapping m1 gave it to dev (corp:cn=dev,ou=groups,dc=example,dc=com) until 2026-10-31 00:00 UTC.
    arn:aws:iam::111122223333:role/team/Admin

      mapping expired
        Mapping m1 gave it to dev (corp:cn=dev,ou=groups,dc=example,dc=com) until 2026-10-31 00:00 UTC.
          Carol Shaw is a member of dev.
        > Please extend mapping m1, which gave Admin in Payments production until 2026-10-31 00:00 UTC.

      The groups were read from the directory for this question.

    "mapping_expired" {"kind":"extend","mapping":"m1"}
    "#);
}

#[test]
fn mapping_ends_too_soon() {
    let mut row = mapping("m1", DEV);
    row.conditions.expires = Some(NOW + Duration::from_mins(10));
    let explanation = explained(tables(vec![row]), &person(vec![group(DEV)]), &around());
    assert_eq!(
        explanation.findings[0].situation,
        Situation::MappingExpired,
        "{explanation:?}"
    );
}

#[test]
fn mapping_pending_approval() {
    let around = Surroundings {
        pending: vec![("0192-p".to_owned(), mapping("new", DEV))],
        ..around()
    };
    let explanation = explained(tables(Vec::new()), &person(vec![group(DEV)]), &around);
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: pending edit 0192-p would give it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and waits for a second person.
    arn:aws:iam::111122223333:role/team/Admin

      mapping waits for a second person
        Pending edit 0192-p would give it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and waits for a second person.
          Carol Shaw is a member of dev.
        > Please approve the pending edit 0192-p, which gives Admin in Payments production to dev (corp:cn=dev,ou=groups,dc=example,dc=com).

      The groups were read from the directory for this question.

    "mapping_pending" {"kind":"approve","pending":"0192-p"}
    "#);
}

#[test]
fn a_pending_mapping_of_another_group_is_no_miss() {
    let around = Surroundings {
        pending: vec![("0192-p".to_owned(), mapping("new", TEAM))],
        ..around()
    };
    let explanation = explained(tables(Vec::new()), &person(vec![group(DEV)]), &around);
    assert_eq!(explanation.findings[0].situation, Situation::NotGiven);
}

#[test]
fn mapping_ended() {
    let around = Surroundings {
        ended: vec![EndedMapping {
            mapping: mapping("m0", DEV),
            at: datetime!(2026-11-20 09:30 UTC),
            by: "grace".to_owned(),
            reason: Some("HD-77".to_owned()),
        }],
        ..around()
    };
    let explanation = explained(tables(Vec::new()), &person(vec![group(DEV)]), &around);
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: mapping m0 gave it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and was ended on 2026-11-20 09:30 UTC by grace: HD-77.
    arn:aws:iam::111122223333:role/team/Admin

      mapping was ended
        Mapping m0 gave it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and was ended on 2026-11-20 09:30 UTC by grace: HD-77.
          Carol Shaw is a member of dev.
        > Please map the group corp:cn=dev,ou=groups,dc=example,dc=com to the role arn:aws:iam::111122223333:role/team/Admin. It was mapped until 2026-11-20 09:30 UTC.

      The groups were read from the directory for this question.

    "mapping_ended" {"group":"corp:cn=dev,ou=groups,dc=example,dc=com","kind":"map","role":"arn:aws:iam::111122223333:role/team/Admin"}
    "#);
}

#[test]
fn group_written_in_another_case() {
    let table = tables(vec![mapping("m1", "okta:Dev")]);
    let explanation = explained(table, &person(vec![group("okta:dev")]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: mapping m1 gives it to Dev (okta:Dev), and the group of Carol Shaw is written okta:dev.
    arn:aws:iam::111122223333:role/team/Admin

      group written otherwise
        Mapping m1 gives it to Dev (okta:Dev), and the group of Carol Shaw is written okta:dev.
          Carol Shaw is a member of dev.
        > Please check that okta:dev is the group that mapping m1 is meant for, and if so let it mean that.

      The groups were read from the directory for this question.

    "group_written_otherwise" {"group":"okta:dev","kind":"rebind","mapping":"m1"}
    "#);
}

#[test]
fn group_written_in_another_form() {
    for (mapped, held) in [
        ("okta:dev", "okta:CN=Dev,OU=Groups,DC=example,DC=com"),
        ("okta:cn=dev,ou=groups,dc=example,dc=com", "okta:Dev"),
        ("okta:dev team", "okta: Dev  Team "),
        ("okta:cn=dev, dc=x", "okta:CN=DEV,DC=x"),
    ] {
        let table = tables(vec![mapping("m1", mapped)]);
        let explanation = explained(table, &person(vec![group(held)]), &around());
        let first = &explanation.findings[0];
        assert_eq!(
            (first.situation, first.remedy.as_ref()),
            (
                Situation::GroupWrittenOtherwise,
                Some(&Remedy::Rebind {
                    mapping: MappingId("m1".to_owned()),
                    group: key(held)
                })
            ),
            "{mapped} {held}"
        );
    }
}

#[test]
fn groups_of_one_name_in_two_places_of_a_directory_are_two() {
    let explanation = explained(
        dev(),
        &person(vec![group("corp:cn=dev,ou=theirs,dc=example,dc=com")]),
        &around(),
    );
    assert_eq!(explanation.findings[0].situation, Situation::NotGiven);
}

#[test]
fn group_one_level_above_the_persons() {
    let around = Surroundings {
        groups: vec![GroupRelations {
            member_groups: vec![key(TEAM)],
            ..relations(DEV)
        }],
        ..around()
    };
    let explanation = explained(dev(), &person(vec![group(TEAM)]), &around);
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and Carol Shaw is one level below it, in team (corp:cn=team,ou=groups,dc=example,dc=com), and groups within groups were not followed.
    arn:aws:iam::111122223333:role/team/Admin

      group one level away
        Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and Carol Shaw is one level below it, in team (corp:cn=team,ou=groups,dc=example,dc=com), and groups within groups were not followed.
          Carol Shaw is a member of team.
        > Please map the group corp:cn=team,ou=groups,dc=example,dc=com to the role arn:aws:iam::111122223333:role/team/Admin.

      The groups were read from the directory for this question.

    "group_one_level_away" {"group":"corp:cn=team,ou=groups,dc=example,dc=com","kind":"map","role":"arn:aws:iam::111122223333:role/team/Admin"}
    "#);
}

#[test]
fn group_one_level_below_the_persons() {
    let around = Surroundings {
        groups: vec![GroupRelations {
            parent_groups: vec![key(TEAM)],
            ..relations(DEV)
        }],
        ..around()
    };
    let explanation = explained(dev(), &person(vec![group(TEAM)]), &around);
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and Carol Shaw is one level above it, in team (corp:cn=team,ou=groups,dc=example,dc=com).
    arn:aws:iam::111122223333:role/team/Admin

      group one level away
        Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and Carol Shaw is one level above it, in team (corp:cn=team,ou=groups,dc=example,dc=com).
          Carol Shaw is a member of team.
        > Please add Carol Shaw (carol at corp) to the group corp:cn=dev,ou=groups,dc=example,dc=com.

      The groups were read from the directory for this question.

    "group_one_level_away" {"group":"corp:cn=dev,ou=groups,dc=example,dc=com","kind":"join_group"}
    "#);
}

#[test]
fn group_at_another_connector() {
    let table = tables(vec![mapping("m1", "corp:dev")]);
    let explanation = explained(table, &person(vec![group("okta:dev")]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: mapping m1 gives it to dev (corp:dev) at corp, and Carol Shaw has the group at okta, as okta:dev.
    arn:aws:iam::111122223333:role/team/Admin

      group held at another connector
        Mapping m1 gives it to dev (corp:dev) at corp, and Carol Shaw has the group at okta, as okta:dev.
          Carol Shaw is a member of dev.
        > Please map the group okta:dev to the role arn:aws:iam::111122223333:role/team/Admin.

      The groups were read from the directory for this question.

    "group_at_another_connector" {"group":"okta:dev","kind":"map","role":"arn:aws:iam::111122223333:role/team/Admin"}
    "#);
}

#[test]
fn the_same_person_at_another_connector() {
    let around = Surroundings {
        others: vec![person(vec![group(DEV)])],
        ..around()
    };
    let explanation = explained(dev(), &person(vec![group("okta:staff")]), &around);
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: carol at corp can open it: mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com).
    arn:aws:iam::111122223333:role/team/Admin

      group held at another connector
        carol at corp can open it: mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com).
          Both have the same user name or e-mail address; this question is about carol at okta.
        > Please sign in through corp to open Admin in Payments production.

      not given
        Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and Carol Shaw is not in that group.
        > Please add Carol Shaw (carol at okta) to the group corp:cn=dev,ou=groups,dc=example,dc=com.

      not given
        Their one group does not give it.
        > Please map a group of Carol Shaw (carol at okta) to the role arn:aws:iam::111122223333:role/team/Admin: okta:staff, or another one.

      The groups were read from the directory for this question.

    "group_at_another_connector" {"kind":"sign_in_again"}
    "not_given" {"group":"corp:cn=dev,ou=groups,dc=example,dc=com","kind":"join_group"}
    "not_given" {"group":"okta:staff","kind":"map","role":"arn:aws:iam::111122223333:role/team/Admin"}
    "#);
}

#[test]
fn group_renamed() {
    let mut table = dev();
    table.group_ids = HashMap::from([(MappingId("m1".to_owned()), "id-1".to_owned())]);
    let renamed = Group {
        stable_id: Some("id-1".to_owned()),
        ..group("corp:cn=developers,ou=groups,dc=example,dc=com")
    };
    let explanation = explained(table, &person(vec![renamed]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), which is called developers (corp:cn=developers,ou=groups,dc=example,dc=com) now.
    arn:aws:iam::111122223333:role/team/Admin

      group was renamed
        Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), which is called developers (corp:cn=developers,ou=groups,dc=example,dc=com) now.
          Carol Shaw is a member of developers.
        > Please check that corp:cn=developers,ou=groups,dc=example,dc=com is the group that mapping m1 is meant for, and if so let it mean that.

      The groups were read from the directory for this question.

    "group_renamed" {"group":"corp:cn=developers,ou=groups,dc=example,dc=com","kind":"rebind","mapping":"m1"}
    "#);
}

#[test]
fn group_made_again() {
    let mut table = dev();
    table.group_ids = HashMap::from([(MappingId("m1".to_owned()), "id-1".to_owned())]);
    let again = Group {
        stable_id: Some("id-2".to_owned()),
        ..group(DEV)
    };
    let explanation = explained(table, &person(vec![again]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: mapping m1 gave it to an earlier group called dev (corp:cn=dev,ou=groups,dc=example,dc=com), which was made again since.
    arn:aws:iam::111122223333:role/team/Admin

      group was made again
        Mapping m1 gave it to an earlier group called dev (corp:cn=dev,ou=groups,dc=example,dc=com), which was made again since.
          Carol Shaw is a member of dev.
        > Please check that corp:cn=dev,ou=groups,dc=example,dc=com is the group that mapping m1 is meant for, and if so let it mean that.

      The groups were read from the directory for this question.

    "group_recreated" {"group":"corp:cn=dev,ou=groups,dc=example,dc=com","kind":"rebind","mapping":"m1"}
    "#);
}

#[test]
fn role_disabled() {
    let mut table = dev();
    table.roles[0].disabled = true;
    let explanation = explained(table, &person(vec![group(DEV)]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: the role is disabled, so nobody can open it.
    arn:aws:iam::111122223333:role/team/Admin

      role disabled
        The role is disabled, so nobody can open it.
          A row of the table gives it to Carol Shaw.
        > Please enable the role arn:aws:iam::111122223333:role/team/Admin.

      The groups were read from the directory for this question.

    "role_disabled" {"kind":"enable_role","role":"arn:aws:iam::111122223333:role/team/Admin"}
    "#);
}

#[test]
fn role_refused_by_aws() {
    let around = Surroundings {
        refused_by_aws: Some(AwsRefusal {
            at: datetime!(2026-11-23 16:05 UTC),
            code: "aws_access_denied".to_owned(),
            is_probe: false,
        }),
        ..around()
    };
    let explanation = explained(dev(), &person(vec![group(DEV)]), &around);
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw can open Admin in Payments production: mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), but AWS refused it when it was last asked for, on 2026-11-23 16:05 UTC (aws_access_denied).
    arn:aws:iam::111122223333:role/team/Admin

      held by a mapping
        Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com).
          Carol Shaw is a member of dev.
          It has no conditions and no end.
          The role is opened by assume-role, for at most 1 h.

      role refused by AWS
        AWS refused it when it was last asked for, on 2026-11-23 16:05 UTC (aws_access_denied).
        > Please look at the role arn:aws:iam::111122223333:role/team/Admin in AWS: it was refused on 2026-11-23 16:05 UTC (aws_access_denied).

      The groups were read from the directory for this question.

    "held_by_mapping" null
    "role_refused_by_aws" {"kind":"mend_in_aws","role":"arn:aws:iam::111122223333:role/team/Admin"}
    "#);
}

#[test]
fn condition_unmet_second_factor() {
    let mut row = mapping("m1", DEV);
    row.conditions.require_mfa = true;
    let explanation = explained(tables(vec![row]), &person(vec![group(DEV)]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: mapping m1 would give it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), but asks for require_mfa, which cannot be checked here, so that it gives nothing.
    arn:aws:iam::111122223333:role/team/Admin

      condition not met
        Mapping m1 would give it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), but asks for require_mfa, which cannot be checked here, so that it gives nothing.
          Carol Shaw is a member of dev.
        > Please take require_mfa off mapping m1, if the role may be opened without it.

      The groups were read from the directory for this question.

    "condition_unmet" {"condition":"require_mfa","kind":"meet_condition"}
    "#);
}

#[test]
fn condition_unmet_reason() {
    let mut row = mapping("m1", DEV);
    row.conditions.require_reason = true;
    let explanation = explained(tables(vec![row]), &person(vec![group(DEV)]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw can open Admin in Payments production: mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), but it opens only with a reason, which goes to the audit log (require_reason).
    arn:aws:iam::111122223333:role/team/Admin

      held by a mapping
        Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com).
          Carol Shaw is a member of dev.
          It asks for a reason each time (require_reason).
          The role is opened by assume-role, for at most 1 h.

      condition not met
        It opens only with a reason, which goes to the audit log (require_reason).
        > Please give a reason when you open Admin in Payments production.

      The groups were read from the directory for this question.

    "held_by_mapping" null
    "condition_unmet" {"condition":"require_reason","kind":"meet_condition"}
    "#);
}

#[test]
fn condition_unmet_age_of_groups() {
    let around = Surroundings {
        basis: Basis::LastSeen {
            at: datetime!(2026-11-01 10:00 UTC),
        },
        ..around()
    };
    let explanation = explained(dev(), &person(vec![group(DEV)]), &around);
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw can open Admin in Payments production: mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), but the groups were last seen on 2026-11-01 10:00 UTC and serve for 1 day (groups_valid_for), so they have to be read again first.
    arn:aws:iam::111122223333:role/team/Admin

      held by a mapping
        Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com).
          Carol Shaw was last seen as a member of dev.
          It has no conditions and no end.
          The role is opened by assume-role, for at most 1 h.

      condition not met
        The groups were last seen on 2026-11-01 10:00 UTC and serve for 1 day (groups_valid_for), so they have to be read again first.
        > Please sign in again, then open Admin in Payments production: your groups are too old.

      The groups are as last seen here, on 2026-11-01 10:00 UTC.

    "held_by_mapping" null
    "condition_unmet" {"kind":"sign_in_again"}
    "#);
}

#[test]
fn a_rule_that_may_not_give_protected_roles() {
    let mut table = tables(Vec::new());
    table.roles[0].protected = true;
    table.rules = vec![rule("^aws-(?<account>[0-9]{12})$")];
    let explanation = explained(
        table,
        &person(vec![group("corp:aws-111122223333")]),
        &around(),
    );
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: the rule at line 12 of the mapping file (HD-2) matches `aws-111122223333`, but may not give protected roles (allow_protected).
    arn:aws:iam::111122223333:role/team/Admin

      condition not met
        The rule at line 12 of the mapping file (HD-2) matches `aws-111122223333`, but may not give protected roles (allow_protected).
          Carol Shaw is a member of aws-111122223333.
        > Please map the group corp:aws-111122223333 to the role arn:aws:iam::111122223333:role/team/Admin.

      The groups were read from the directory for this question.

    "condition_unmet" {"group":"corp:aws-111122223333","kind":"map","role":"arn:aws:iam::111122223333:role/team/Admin"}
    "#);
}

#[test]
fn a_rule_that_matches_the_short_name_alone() {
    let mut table = tables(Vec::new());
    table.rules = vec![rule("^aws-(?<account>[0-9]{12})$")];
    let held = group("corp:CN=aws-111122223333,DC=example");
    let explanation = explained(table, &person(vec![held]), &around());
    assert_eq!(
        explanation.findings[0].situation,
        Situation::GroupWrittenOtherwise
    );
}

#[test]
fn claim_overage() {
    let around = Surroundings {
        basis: Basis::LastSeen {
            at: datetime!(2026-11-20 10:00 UTC),
        },
        trouble: Some(GroupsTrouble {
            at: datetime!(2026-11-24 08:00 UTC),
            code: "groups_overage".to_owned(),
        }),
        ..around()
    };
    let explanation = explained(dev(), &person(vec![group("okta:staff")]), &around);
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: the groups are not known in full: on 2026-11-24 08:00 UTC the identity provider left the groups out because they are too many (groups_overage).
    arn:aws:iam::111122223333:role/team/Admin

      groups not known
        The groups are not known in full: on 2026-11-24 08:00 UTC the identity provider left the groups out because they are too many (groups_overage).
        > Please look into why the groups of Carol Shaw (carol at okta) cannot be read: the identity provider left the groups out because they are too many (groups_overage), on 2026-11-24 08:00 UTC.

      not given
        Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and Carol Shaw is not in that group.
        > Please add Carol Shaw (carol at okta) to the group corp:cn=dev,ou=groups,dc=example,dc=com.

      not given
        Their one group does not give it.
        > Please map a group of Carol Shaw (carol at okta) to the role arn:aws:iam::111122223333:role/team/Admin: okta:staff, or another one.

      The groups are as last seen here, on 2026-11-20 10:00 UTC.

    "groups_not_known" {"kind":"mend_groups"}
    "not_given" {"group":"corp:cn=dev,ou=groups,dc=example,dc=com","kind":"join_group"}
    "not_given" {"group":"okta:staff","kind":"map","role":"arn:aws:iam::111122223333:role/team/Admin"}
    "#);
}

#[test]
fn sign_in_does_not_fit() {
    let mut table = dev();
    table.roles[0].own.grant_method = Some(crate::access::GrantMethod::AssumeRoleWithSaml);
    let explanation = explained(table, &person(vec![group(DEV)]), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: the role needs a sign-in through a SAML identity provider, and corp is none.
    arn:aws:iam::111122223333:role/team/Admin

      sign-in does not fit
        The role needs a sign-in through a SAML identity provider, and corp is none.
          Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com).
            Carol Shaw is a member of dev.
        > Please sign in through the identity provider to open Admin in Payments production.

      The groups were read from the directory for this question.

    "sign_in_does_not_fit" {"kind":"sign_in_again"}
    "#);
}

#[test]
fn not_given() {
    let around = Surroundings {
        groups: vec![GroupRelations {
            exists: false,
            ..relations(DEV)
        }],
        ..around()
    };
    let mut table = dev();
    table.rules = vec![rule("^aws-(?<account>[0-9]{12})$")];
    let explanation = explained(table, &person(vec![group("corp:staff")]), &around);
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: their one group does not give it.
    arn:aws:iam::111122223333:role/team/Admin

      not given
        Mapping m1 gives it to dev (corp:cn=dev,ou=groups,dc=example,dc=com), and Carol Shaw is not in that group.
          The directory has no group dev any more.
        > Please add Carol Shaw (carol at corp) to the group corp:cn=dev,ou=groups,dc=example,dc=com.

      not given
        The rule at line 12 of the mapping file (HD-2) gives it to a group called aws-111122223333 (corp:aws-111122223333), and Carol Shaw is not in it.
        > Please add Carol Shaw (carol at corp) to the group corp:aws-111122223333.

      not given
        Their one group does not give it.
        > Please map a group of Carol Shaw (carol at corp) to the role arn:aws:iam::111122223333:role/team/Admin: corp:staff, or another one.

      The groups were read from the directory for this question.

    "not_given" {"group":"corp:cn=dev,ou=groups,dc=example,dc=com","kind":"join_group"}
    "not_given" {"group":"corp:aws-111122223333","kind":"join_group"}
    "not_given" {"group":"corp:staff","kind":"map","role":"arn:aws:iam::111122223333:role/team/Admin"}
    "#);
}

#[test]
fn not_given_to_somebody_without_groups() {
    let explanation = explained(tables(Vec::new()), &person(Vec::new()), &around());
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in Payments production: they are in no group.
    arn:aws:iam::111122223333:role/team/Admin

      not given
        They are in no group.
          No mapping gives it to anybody now.
        > Please add Carol Shaw (carol at corp) to a group that gives the role arn:aws:iam::111122223333:role/team/Admin.

      The groups were read from the directory for this question.

    "not_given" null
    "#);
}

#[test]
fn unknown_role() {
    let explanation = explained(
        PolicyTables::default(),
        &person(vec![group(DEV)]),
        &around(),
    );
    insta::assert_snapshot!(told(&explanation), @r#"
    Carol Shaw cannot open Admin in 111122223333: the table has no such role.
    arn:aws:iam::111122223333:role/team/Admin

      unknown role
        The table has no such role.
        > Please add the role arn:aws:iam::111122223333:role/team/Admin to the table, and map a group of Carol Shaw (carol at corp) to it.

      The groups were read from the directory for this question.

    "unknown_role" null
    "#);
}

#[test]
fn misses_come_in_the_order_in_which_they_can_be_mended() {
    let mut expired = mapping("m1", DEV);
    expired.conditions.expires = Some(datetime!(2026-10-31 00:00 UTC));
    let table = tables(vec![mapping("m2", "corp:CN=TEAM,dc=x"), expired]);
    let around = Surroundings {
        pending: vec![("p".to_owned(), mapping("new", TEAM))],
        ..around()
    };
    let identity = person(vec![group(DEV), group(TEAM), group("corp:cn=team,dc=X")]);
    let explanation = explained(table, &identity, &around);
    let order: Vec<Situation> = explanation.findings.iter().map(|f| f.situation).collect();
    assert_eq!(
        order,
        [
            Situation::MappingPending,
            Situation::MappingExpired,
            Situation::GroupWrittenOtherwise
        ]
    );
}

#[test]
fn the_nearest_misses_leave_out_what_merely_exists_and_what_is_held() {
    let other = "arn:aws:iam::111122223333:role/Other";
    let held = "arn:aws:iam::111122223333:role/Held";
    let mut table = tables(vec![
        mapping("m1", "okta:Dev"),
        Mapping {
            role: held.parse().unwrap(),
            ..mapping("m2", "okta:dev")
        },
        Mapping {
            role: other.parse().unwrap(),
            ..mapping("m3", "okta:strangers")
        },
    ]);
    for arn in [other, held] {
        table.roles.push(Role {
            arn: arn.parse().unwrap(),
            ..role()
        });
    }
    let identity = person(vec![group("okta:dev")]);
    let near = policy(table).nearest_misses(&identity, &around(), NOW, 5);
    let roles: Vec<&str> = near.iter().map(|miss| miss.role.as_str()).collect();
    assert_eq!(roles, [ROLE]);
}

#[test]
fn to_its_person_a_role_of_others_and_one_that_is_not_there_read_alike() {
    let identity = person(vec![group("corp:staff")]);
    let stranger = explained(dev(), &identity, &around()).for_its_person();
    let mut disabled = dev();
    disabled.roles[0].disabled = true;
    let disabled = explained(disabled, &identity, &around()).for_its_person();
    let missing = explained(PolicyTables::default(), &identity, &around()).for_its_person();
    assert_eq!(stranger, missing);
    assert_eq!(stranger, disabled);
    insta::assert_snapshot!(stranger.for_ticket("Carol Shaw (carol)"), @r#"
    Carol Shaw (carol) asks about the role Admin (arn:aws:iam::111122223333:role/team/Admin), account 111122223333.
    None of your groups gives the role Admin in account 111122223333.
    - Please give me access to the role arn:aws:iam::111122223333:role/team/Admin.
    Asked on 2026-11-24 10:00 UTC. The groups were read from the directory for this question.
    "#);
}

#[test]
fn groups_that_could_not_be_read_tell_nobody_which_roles_there_are() {
    let identity = person(vec![group("corp:staff")]);
    let around = Surroundings {
        trouble: Some(GroupsTrouble {
            at: datetime!(2026-11-24 08:00 UTC),
            code: "groups_unavailable".to_owned(),
        }),
        ..around()
    };
    let stranger = explained(dev(), &identity, &around).for_its_person();
    let mut disabled = dev();
    disabled.roles[0].disabled = true;
    let disabled = explained(disabled, &identity, &around).for_its_person();
    let missing = explained(PolicyTables::default(), &identity, &around).for_its_person();
    assert_eq!(stranger, missing);
    assert_eq!(stranger, disabled);
    assert_eq!(stranger.account, "111122223333");
    assert_eq!(stranger.findings[0].situation, Situation::GroupsNotKnown);
}

#[test]
fn a_ticket_holds_the_question_and_the_answer() {
    let mut row = mapping("m1", DEV);
    row.conditions.expires = Some(datetime!(2026-10-31 00:00 UTC));
    let explanation = explained(tables(vec![row]), &person(vec![group(DEV)]), &around());
    insta::assert_snapshot!(explanation.for_ticket("Carol Shaw (carol)"), @r#"
    Carol Shaw (carol) asks about the role Admin (arn:aws:iam::111122223333:role/team/Admin), account Payments production.
    Carol Shaw cannot open Admin in Payments production: mapping m1 gave it to dev (corp:cn=dev,ou=groups,dc=example,dc=com) until 2026-10-31 00:00 UTC.
    - Please extend mapping m1, which gave Admin in Payments production until 2026-10-31 00:00 UTC.
    Asked on 2026-11-24 10:00 UTC. The groups were read from the directory for this question.
    "#);
}

/// Few groups, few rows, every condition: so small that most tables speak about the person.
fn small_table() -> impl Strategy<Value = (PolicyTables, Identity)> {
    let conditions = (
        any::<(bool, bool, bool)>(),
        prop::option::of(prop::sample::select(vec![-60_i64, 300, 90_000])),
    )
        .prop_map(
            |((require_mfa, require_reason, read_only), left)| Conditions {
                expires: left.map(|left| NOW + time::Duration::seconds(left)),
                require_mfa,
                require_reason,
                read_only,
                ..Conditions::default()
            },
        );
    let names = || prop::sample::select(vec!["corp:a", "corp:A", "corp:b", "okta:a"]);
    let rows = prop::collection::vec((names(), conditions, any::<bool>()), 0..4);
    let held = prop::collection::vec(names(), 0..3);
    (rows, held, any::<(bool, bool, bool)>(), any::<bool>()).prop_map(
        |(rows, held, (disabled, with_policy, has_rule), is_protected)| {
            let mut table = tables(Vec::new());
            table.roles[0].disabled = disabled;
            table.roles[0].protected = is_protected;
            table.roles[0].session_policy = with_policy.then(|| "{}".to_owned());
            for (index, (name, conditions, is_bound)) in rows.into_iter().enumerate() {
                let row = Mapping {
                    conditions,
                    ..mapping(&format!("m{index}"), name)
                };
                if is_bound {
                    table.group_ids.insert(row.id.clone(), "id".to_owned());
                }
                table.mappings.push(row);
            }
            if has_rule {
                table.rules = vec![MappingRule {
                    role: "arn:aws:iam::111122223333:role/Admin".to_owned(),
                    ..rule("^b$")
                }];
            }
            (table, person(held.into_iter().map(group).collect()))
        },
    )
}

proptest! {
    #[test]
    fn an_explanation_says_what_the_decision_says((table, identity) in small_table()) {
        let policy = policy(table);
        let target: TargetArn = ROLE.parse().unwrap();
        let explanation = policy.explain(&identity, &target, &around(), NOW);
        let held = policy.entitlements(&identity, NOW);
        let is_held = held.iter().any(|held| held.role.arn == target);
        prop_assert_eq!(explanation.is_held, is_held);
        let request = Request { reason: Some("why".to_owned()), ..Request::console() };
        prop_assert_eq!(policy.authorize(&identity, &target, &request, NOW).is_ok(), is_held);
        prop_assert!(!explanation.findings.is_empty());
        for finding in &explanation.findings {
            let has_both = finding.remedy.is_some() != finding.request.is_empty();
            prop_assert!(has_both || identity.groups.is_empty());
        }
        let near = policy.nearest_misses(&identity, &around(), NOW, 3);
        prop_assert!(near.is_empty() || !is_held);
    }
}
