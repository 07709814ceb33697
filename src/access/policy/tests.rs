//! The decision, row by row and by properties.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use time::{Duration, OffsetDateTime, macros::datetime};

use super::*;
use crate::access::{
    AuthenticationMethod, Clipped, Conditions, ConnectorId, Delivery, Grant, Group, GroupKeyForm,
    Identity, Limit, Origin, Request, SessionDuration,
};

const NOW: OffsetDateTime = datetime!(2026-11-24 10:00 UTC);
const ADMIN: &str = "arn:aws:iam::111122223333:role/team/Admin";
const READER: &str = "arn:aws:iam::111122223333:role/ReadOnly";

fn connector() -> ConnectorId {
    "corp".parse().unwrap()
}

fn key(group: &str) -> GroupKey {
    GroupKey::new(&connector(), group, GroupKeyForm::Exact).unwrap()
}

fn person(groups: &[&str]) -> Identity {
    Identity {
        connector: connector(),
        subject: "7f3a".to_owned(),
        username: "ada".to_owned(),
        display_name: None,
        email: None,
        entry_dn: None,
        groups: groups
            .iter()
            .map(|name| Group {
                key: key(name),
                name: (*name).to_owned(),
                stable_id: None,
                through: None,
            })
            .collect(),
        groups_read_at: NOW,
        authenticated_at: NOW,
        method: AuthenticationMethod::Password,
        authentication_context: None,
        asserted_roles: Vec::new(),
    }
}

fn role(arn: &str) -> Role {
    Role {
        arn: arn.parse().unwrap(),
        description: None,
        own: RoleDefaults {
            max_duration: Some(SessionDuration::LONGEST),
            ..Default::default()
        },
        session_policy: None,
        policy_arns: Vec::new(),
        session_tags: BTreeMap::new(),
        protected: false,
        disabled: false,
    }
}

fn mapping(id: &str, group: &str, role: &str, conditions: Conditions) -> Mapping {
    Mapping {
        id: MappingId(id.to_owned()),
        group: key(group),
        role: role.parse().unwrap(),
        conditions,
        ticket: None,
        origin: Origin::Store,
    }
}

fn rule(pattern: &str, role: &str) -> MappingRule {
    MappingRule {
        id: MappingId("rule".to_owned()),
        connector: connector(),
        group_pattern: pattern.to_owned(),
        role: role.to_owned(),
        conditions: Conditions::default(),
        allow_protected: false,
        ticket: None,
        origin: Origin::Store,
    }
}

fn settings() -> PolicySettings {
    PolicySettings {
        role_defaults: RoleDefaults::default(),
        session_name: "{username}".parse().unwrap(),
        source_identity: None,
    }
}

fn policy(mappings: Vec<Mapping>, rules: Vec<MappingRule>) -> Policy {
    let roles = vec![role(ADMIN), role(READER)];
    Policy::new(
        PolicyTables {
            version: 7,
            roles,
            mappings,
            rules,
            ..Default::default()
        },
        settings(),
    )
}

fn authorize(policy: &Policy, groups: &[&str], request: &Request) -> Result<Grant, NotEntitled> {
    policy.authorize(&person(groups), &ADMIN.parse().unwrap(), request, NOW)
}

fn hours(count: u64) -> Option<SessionDuration> {
    SessionDuration::from_seconds(count * 3_600).ok()
}

#[test]
fn a_member_of_the_mapped_group_gets_the_longest_session() {
    let policy = policy(
        vec![mapping("m", "dev", ADMIN, Conditions::default())],
        vec![],
    );
    let grant = authorize(&policy, &["ops", "dev"], &Request::console()).unwrap();
    assert_eq!(grant.target().as_str(), ADMIN);
    assert_eq!(grant.duration(), SessionDuration::LONGEST);
    assert_eq!(
        (grant.policy_version(), grant.mapping().0.as_str()),
        (7, "m")
    );
    assert_eq!(grant.session_name().as_str(), "ada");
}

#[test]
fn strangers_unknown_roles_and_disabled_roles_are_refused() {
    let table = policy(
        vec![mapping("m", "dev", ADMIN, Conditions::default())],
        vec![],
    );
    let plain = Request::console();
    assert_eq!(
        authorize(&table, &["ops"], &plain).unwrap_err(),
        NotEntitled::NoMapping
    );
    let unknown = "arn:aws:iam::111122223333:role/Nope".parse().unwrap();
    let refused = table
        .authorize(&person(&["dev"]), &unknown, &plain, NOW)
        .unwrap_err();
    assert_eq!(refused, NotEntitled::UnknownRole);

    let disabled = Role {
        disabled: true,
        ..role(ADMIN)
    };
    let tables = PolicyTables {
        roles: vec![disabled],
        mappings: vec![mapping("m", "dev", ADMIN, Conditions::default())],
        ..Default::default()
    };
    let policy = Policy::new(tables, settings());
    assert_eq!(
        authorize(&policy, &["dev"], &plain).unwrap_err(),
        NotEntitled::UnknownRole
    );
    assert!(policy.entitlements(&person(&["dev"]), NOW).is_empty());
}

#[test]
fn an_expired_mapping_gives_nothing_and_says_when() {
    let expires = NOW - Duration::SECOND;
    let conditions = Conditions {
        expires: Some(expires),
        ..Default::default()
    };
    let policy = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
    assert_eq!(
        authorize(&policy, &["dev"], &Request::console()).unwrap_err(),
        NotEntitled::Expired {
            mapping: MappingId("m".to_owned()),
            at: expires
        }
    );
    assert!(policy.entitlements(&person(&["dev"]), NOW).is_empty());
}

#[test]
fn a_session_ends_no_later_than_its_mapping() {
    let conditions = Conditions {
        expires: Some(NOW + Duration::minutes(40)),
        ..Default::default()
    };
    let table = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
    let grant = authorize(&table, &["dev"], &Request::console()).unwrap();
    assert_eq!(grant.duration().seconds(), 2_400);

    let conditions = Conditions {
        expires: Some(NOW + Duration::minutes(14)),
        ..Default::default()
    };
    let table = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
    let refused = authorize(&table, &["dev"], &Request::console()).unwrap_err();
    assert_eq!(refused.code(), "mapping_ends_too_soon");
}

#[test]
fn a_longer_session_than_allowed_is_refused_with_the_limit() {
    let conditions = Conditions {
        max_duration: hours(2),
        ..Default::default()
    };
    let policy = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
    let request = Request {
        duration: hours(4),
        ..Request::console()
    };
    let refused = authorize(&policy, &["dev"], &request).unwrap_err();
    let longest = Clipped {
        longest: hours(2).unwrap(),
        limit: Limit::Mapping,
    };
    assert_eq!(refused, NotEntitled::TooLong(longest));

    let request = Request {
        ceiling: hours(1),
        ..Request::console()
    };
    assert_eq!(
        authorize(&policy, &["dev"], &request).unwrap().duration(),
        SessionDuration::HOUR
    );
}

#[test]
fn conditions_that_cannot_be_enforced_give_nothing() {
    for conditions in [
        Conditions {
            require_mfa: true,
            ..Default::default()
        },
        Conditions {
            require_approval_by: Some("corp:boss".to_owned()),
            ..Default::default()
        },
    ] {
        let policy = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
        let refused = authorize(&policy, &["dev"], &Request::console()).unwrap_err();
        assert_eq!(refused.code(), "condition_unenforceable");
        assert!(policy.entitlements(&person(&["dev"]), NOW).is_empty());
        assert_eq!(policy.problems().len(), 1);
    }
}

#[test]
fn conditions_of_two_mappings_never_mix() {
    let asking = Conditions {
        require_reason: true,
        ..Default::default()
    };
    let short = Conditions {
        max_duration: hours(1),
        ..Default::default()
    };
    let policy = policy(
        vec![
            mapping("long", "dev", ADMIN, asking),
            mapping("short", "ops", ADMIN, short),
        ],
        vec![],
    );
    let plain = authorize(&policy, &["dev", "ops"], &Request::console()).unwrap();
    assert_eq!(
        (plain.mapping().0.as_str(), plain.duration()),
        ("short", SessionDuration::HOUR)
    );

    let long = Request {
        duration: hours(8),
        ..Request::console()
    };
    let refused = authorize(&policy, &["dev", "ops"], &long).unwrap_err();
    assert_eq!(
        refused,
        NotEntitled::ReasonRequired(MappingId("long".to_owned()))
    );

    let long = Request {
        reason: Some("incident 7".to_owned()),
        ..long
    };
    let grant = authorize(&policy, &["dev", "ops"], &long).unwrap();
    assert_eq!(
        (grant.mapping().0.as_str(), grant.duration()),
        ("long", hours(8).unwrap())
    );
}

#[test]
fn read_only_adds_the_policy_of_the_roles_partition() {
    let conditions = Conditions {
        read_only: true,
        ..Default::default()
    };
    let policy = policy(vec![mapping("m", "dev", ADMIN, conditions)], vec![]);
    let grant = authorize(&policy, &["dev"], &Request::console()).unwrap();
    assert!(grant.is_read_only());
    assert_eq!(
        grant.policy_arns(),
        ["arn:aws:iam::aws:policy/ReadOnlyAccess"]
    );
}

#[test]
fn read_only_never_widens_a_roles_own_session_policy() {
    let narrow = Role {
        session_policy: Some("{}".to_owned()),
        ..role(ADMIN)
    };
    let tables = PolicyTables {
        roles: vec![narrow],
        mappings: vec![mapping("m", "dev", ADMIN, Conditions::default())],
        ..Default::default()
    };
    let policy = Policy::new(tables, settings());
    let request = Request {
        read_only: true,
        ..Request::console()
    };
    let refused = authorize(&policy, &["dev"], &request).unwrap_err();
    assert_eq!(refused, NotEntitled::ReadOnlyUnavailable);
}

#[test]
fn rules_give_roles_of_the_table_ignoring_case() {
    let rule = rule(
        "^aws-(?<account>[0-9]{12})-(?<role>[a-z]+)$",
        "arn:aws:iam::{account}:role/{role}",
    );
    let policy = policy(vec![], vec![rule]);
    let grant = authorize(&policy, &["AWS-111122223333-ADMIN"], &Request::console()).unwrap();
    assert_eq!(
        (grant.target().as_str(), grant.mapping().0.as_str()),
        (ADMIN, "rule")
    );
    for stranger in [
        "xaws-111122223333-admin",
        "aws-111122223333-admin2",
        "aws-111122223333-root",
    ] {
        let refused = authorize(&policy, &[stranger], &Request::console()).unwrap_err();
        assert_eq!(refused, NotEntitled::NoMapping, "{stranger}");
    }
}

#[test]
fn rules_give_protected_roles_only_when_they_say_so() {
    let rule = rule(
        "^aws-(?<role>[a-z]+)$",
        "arn:aws:iam::111122223333:role/{role}",
    );
    let tables = |allow_protected| PolicyTables {
        roles: vec![Role {
            protected: true,
            ..role(ADMIN)
        }],
        rules: vec![MappingRule {
            allow_protected,
            ..rule.clone()
        }],
        ..Default::default()
    };
    let closed = Policy::new(tables(false), settings());
    let open = Policy::new(tables(true), settings());
    assert!(authorize(&closed, &["aws-admin"], &Request::console()).is_err());
    assert!(authorize(&open, &["aws-admin"], &Request::console()).is_ok());
}

#[test]
fn open_and_broken_rules_give_nothing_and_are_named() {
    for (pattern, role) in [
        (
            "aws-(?<role>[a-z]+)$",
            "arn:aws:iam::111122223333:role/{role}",
        ),
        (
            "^aws-(?<role>[a-z]+",
            "arn:aws:iam::111122223333:role/{role}",
        ),
        (
            "^aws-(?<role>[a-z+)$",
            "arn:aws:iam::111122223333:role/{role}",
        ),
        ("^aws-([a-z]+)$", "arn:aws:iam::111122223333:role/{role}"),
    ] {
        let policy = policy(vec![], vec![rule(pattern, role)]);
        assert_eq!(policy.problems().len(), 1, "{pattern}");
        assert!(authorize(&policy, &["aws-admin"], &Request::console()).is_err());
    }
}

#[test]
fn a_group_made_again_under_the_same_name_does_not_inherit() {
    let tables = |group_ids| PolicyTables {
        roles: vec![role(ADMIN)],
        mappings: vec![mapping("m", "dev", ADMIN, Conditions::default())],
        group_ids,
        ..Default::default()
    };
    let mut member = person(&["dev"]);
    member.groups[0].stable_id = Some("first".to_owned());
    let target = ADMIN.parse().unwrap();
    let fresh = Policy::new(tables(HashMap::new()), settings());
    assert_eq!(
        fresh.unbound_groups(&member),
        [(key("dev"), "first".to_owned())]
    );
    let bound = HashMap::from([(MappingId("m".to_owned()), "first".to_owned())]);
    let bound = Policy::new(tables(bound), settings());
    assert!(bound.unbound_groups(&member).is_empty());
    for policy in [&fresh, &bound] {
        assert!(
            policy
                .authorize(&member, &target, &Request::console(), NOW)
                .is_ok()
        );
    }
    for other in [Some("second".to_owned()), None] {
        member.groups[0].stable_id = other;
        let refused = bound
            .authorize(&member, &target, &Request::console(), NOW)
            .unwrap_err();
        assert_eq!(refused.code(), "group_recreated");
        assert!(bound.entitlements(&member, NOW).is_empty());
    }
}

#[test]
fn a_path_in_a_rule_confines_it() {
    let rule = rule(
        "^aws-readonly-(?<team>.+)$",
        "arn:aws:iam::111122223333:role/readonly/{team}",
    );
    let by_path = MappingRule {
        group_pattern: "^path-(?<path>.+)$".to_owned(),
        role: "arn:aws:iam::111122223333:role/{path}".to_owned(),
        ..rule.clone()
    };
    let policy = policy(vec![], vec![rule, by_path]);
    for (group, is_given) in [
        ("aws-readonly-admin", false),
        ("aws-readonly-../team/admin", false),
        ("path-team/admin", true),
        ("path-admin", true),
    ] {
        let grant = authorize(&policy, &[group], &Request::console());
        assert_eq!(grant.is_ok(), is_given, "{group}");
    }
}

#[test]
fn a_name_that_two_roles_have_is_nobodys() {
    let tables = PolicyTables {
        roles: vec![role(ADMIN), role("arn:aws:iam::111122223333:role/admin")],
        rules: vec![rule("^aws$", "arn:aws:iam::111122223333:role/admin")],
        ..Default::default()
    };
    let policy = Policy::new(tables, settings());
    assert_eq!(policy.problems().len(), 1);
    assert!(policy.entitlements(&person(&["aws"]), NOW).is_empty());
    let account = "111122223333".parse().unwrap();
    assert_eq!(policy.role_named(&account, "Admin"), None);
}

#[test]
fn a_role_that_is_there_twice_counts_only_where_both_rows_say_the_same() {
    let narrowed = Role {
        session_policy: Some("{}".to_owned()),
        ..role(ADMIN)
    };
    for (rows, is_given) in [
        ([role(ADMIN), role(ADMIN)], true),
        ([role(ADMIN), narrowed.clone()], false),
        ([narrowed, role(ADMIN)], false),
    ] {
        let tables = PolicyTables {
            roles: rows.to_vec(),
            mappings: vec![mapping("m", "admins", ADMIN, Conditions::default())],
            ..Default::default()
        };
        let policy = Policy::new(tables, settings());
        assert_eq!(policy.problems().is_empty(), is_given);
        let grant = authorize(&policy, &["admins"], &Request::console());
        assert_eq!(grant.is_ok(), is_given);
    }
}

#[test]
fn a_pattern_that_leaves_its_group_is_broken() {
    let rule = rule("^x)|(?:aws-admin$", "arn:aws:iam::111122223333:role/Admin");
    let policy = policy(vec![], vec![rule]);
    assert_eq!(policy.problems().len(), 1);
    assert!(authorize(&policy, &["not-aws-admin"], &Request::console()).is_err());
}

#[test]
fn an_alternative_in_a_pattern_is_anchored_too() {
    let rule = rule("^aws-admin|x$", "arn:aws:iam::111122223333:role/Admin");
    let policy = policy(vec![], vec![rule]);
    assert!(authorize(&policy, &["aws-admin-not"], &Request::console()).is_err());
}

#[test]
fn account_defaults_stand_between_the_role_and_the_general_ones() {
    let account = Account {
        id: "111122223333".parse().unwrap(),
        name: "Payments".to_owned(),
        alias: None,
        environment: None,
        description: None,
        protected: false,
        role_defaults: RoleDefaults {
            external_id: Some("of the account".to_owned()),
            region: Some("eu-west-1".to_owned()),
            ..Default::default()
        },
    };
    let own = RoleDefaults {
        region: Some("us-east-1".to_owned()),
        ..Default::default()
    };
    let tables = PolicyTables {
        accounts: vec![account],
        roles: vec![Role { own, ..role(ADMIN) }],
        mappings: vec![mapping("m", "dev", ADMIN, Conditions::default())],
        ..Default::default()
    };
    let general = RoleDefaults {
        external_id: Some("general".to_owned()),
        max_duration: hours(2),
        ..Default::default()
    };
    let policy = Policy::new(
        tables,
        PolicySettings {
            role_defaults: general,
            ..settings()
        },
    );
    let grant = authorize(&policy, &["dev"], &Request::console()).unwrap();
    assert_eq!(grant.external_id(), Some("of the account"));
    assert_eq!(grant.region(), Some("us-east-1"));
    assert_eq!(Some(grant.duration()), hours(2));
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    (
        prop::option::of(-3_600_i64..90_000),
        prop::option::of(900_u32..=43_200),
        any::<bool>(),
        prop::bool::weighted(0.2),
        any::<bool>(),
    )
        .prop_map(
            |(expires, longest, read_only, require_mfa, require_reason)| Conditions {
                expires: expires.map(|seconds| NOW + Duration::seconds(seconds)),
                max_duration: longest.map(|seconds| SessionDuration::try_from(seconds).unwrap()),
                read_only,
                require_mfa,
                require_reason,
                require_approval_by: None,
            },
        )
}

fn any_table() -> impl Strategy<Value = Vec<Mapping>> {
    prop::collection::vec((0..4_usize, any::<bool>(), any_conditions()), 0..8).prop_map(|rows| {
        rows.into_iter()
            .enumerate()
            .map(|(id, (group, is_admin, conditions))| {
                let role = if is_admin { ADMIN } else { READER };
                mapping(
                    &id.to_string(),
                    ["a", "b", "c", "d"][group],
                    role,
                    conditions,
                )
            })
            .collect()
    })
}

fn any_request() -> impl Strategy<Value = Request> {
    (
        prop::option::of(900_u32..=43_200),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(duration, read_only, has_reason)| Request {
            delivery: Delivery::Console,
            duration: duration.map(|seconds| SessionDuration::try_from(seconds).unwrap()),
            read_only,
            reason: has_reason.then(|| "because".to_owned()),
            ceiling: None,
        })
}

proptest! {
    /// What is granted could be granted by the named mapping standing alone.
    #[test]
    fn a_grant_is_always_justified_by_one_mapping(
        table in any_table(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4),
        request in any_request(),
    ) {
        let policy = policy(table.clone(), vec![]);
        if let Ok(grant) = authorize(&policy, &groups, &request) {
            let row = table.iter().find(|row| row.id == *grant.mapping()).unwrap();
            prop_assert_eq!(row.role.as_str(), ADMIN);
            prop_assert!(groups.contains(&row.group.value()));
            prop_assert!(!row.conditions.require_mfa);
            prop_assert!(!row.conditions.require_reason || request.reason.is_some());
            prop_assert_eq!(grant.is_read_only(), request.read_only || row.conditions.read_only);
            prop_assert!(row.conditions.max_duration.is_none_or(|d| grant.duration() <= d));
            let ends = NOW + std::time::Duration::from(grant.duration());
            prop_assert!(row.conditions.expires.is_none_or(|expires| ends <= expires));
        }
    }

    /// A request is refused only when every mapping standing alone would refuse it.
    #[test]
    fn a_refusal_means_that_no_mapping_alone_would_do(
        table in any_table(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4),
        request in any_request(),
    ) {
        if authorize(&policy(table.clone(), vec![]), &groups, &request).is_err() {
            for row in table {
                prop_assert!(authorize(&policy(vec![row], vec![]), &groups, &request).is_err());
            }
        }
    }

    /// The picker offers a role just when some request for it would be granted.
    #[test]
    fn the_picker_and_the_decision_agree(
        table in any_table(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..4),
    ) {
        let policy = policy(table, vec![]);
        let offered = policy
            .entitlements(&person(&groups), NOW)
            .iter()
            .any(|entitlement| entitlement.role.arn.as_str() == ADMIN);
        let request = Request { reason: Some("because".to_owned()), ..Request::console() };
        prop_assert_eq!(offered, authorize(&policy, &groups, &request).is_ok());
    }

    /// Leaving a group never gives more.
    #[test]
    fn fewer_groups_never_give_more(
        table in any_table(),
        groups in prop::sample::subsequence(vec!["a", "b", "c", "d"], 1..4),
        request in any_request(),
    ) {
        let policy = policy(table, vec![]);
        if authorize(&policy, &groups[1..], &request).is_ok() {
            prop_assert!(authorize(&policy, &groups, &request).is_ok());
        }
    }
}
