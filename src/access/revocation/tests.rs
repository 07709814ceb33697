//! The policy against a small evaluator that shares nothing with what composed it.

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use time::{format_description::well_known::Rfc3339, macros::datetime};

use super::*;

const NOW: OffsetDateTime = datetime!(2026-11-24 12:00:00 UTC);

/// A session as AWS sees it.
struct Session<'a> {
    name: &'a str,
    source_identity: Option<&'a str>,
    issued_at: OffsetDateTime,
}

/// Whether AWS lets a session do anything at all.
fn is_denied(document: &str, session: &Session<'_>) -> bool {
    let document: Value = serde_json::from_str(document).unwrap();
    let statements = document["Statement"].as_array().unwrap();
    statements.iter().any(|statement| {
        assert_eq!(statement["Effect"], "Deny");
        assert_eq!(statement["Action"], "*");
        assert_eq!(statement["Resource"], "*");
        let conditions = statement["Condition"].as_object().unwrap();
        conditions.iter().all(|(operator, keys)| {
            let (key, wanted) = keys.as_object().unwrap().iter().next().unwrap();
            holds(operator, key, wanted, session)
        })
    })
}

fn holds(operator: &str, key: &str, wanted: &Value, session: &Session<'_>) -> bool {
    let any = |is_it: &dyn Fn(&str) -> bool| match wanted {
        Value::String(one) => is_it(one),
        Value::Array(list) => list.iter().any(|one| is_it(one.as_str().unwrap())),
        other => panic!("{other}"),
    };
    match (operator, key) {
        ("DateLessThan", "aws:TokenIssueTime") => any(&|moment| {
            // AWS knows the second of the issue alone.
            let issued = session.issued_at.unix_timestamp();
            issued
                < OffsetDateTime::parse(moment, &Rfc3339)
                    .unwrap()
                    .unix_timestamp()
        }),
        ("StringLike", "aws:userid") => {
            let id = format!("AROAEXAMPLEID:{}", session.name);
            any(&|pattern| {
                let tail = pattern.strip_prefix('*').unwrap();
                assert!(!tail.contains(['*', '?', '$']), "{pattern}");
                id.ends_with(tail)
            })
        }
        ("StringEquals", "aws:SourceIdentity") => {
            any(&|name| session.source_identity == Some(name))
        }
        other => panic!("an unknown condition {other:?}"),
    }
}

fn person(name: &str, before: OffsetDateTime) -> Denial {
    Denial {
        who: Denied::Person {
            session_names: vec![name.to_owned()],
            source_identities: Vec::new(),
        },
        issued_before: before,
        expires_at: before + LONGEST_ROLE_SESSION,
    }
}

fn session(name: &str, issued_at: OffsetDateTime) -> Session<'_> {
    Session {
        name,
        source_identity: None,
        issued_at,
    }
}

#[test]
fn one_person_is_denied_what_was_issued_before_and_nobody_else_is() {
    let before = NOW - Duration::minutes(5);
    let policy = compose(&[person("ada", before)], NOW, 0).unwrap();
    insta::assert_snapshot!(policy.document, @r#"{"Statement":[{"Action":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"2026-11-24T11:55:00Z"},"StringLike":{"aws:userid":["*:ada"]}},"Effect":"Deny","Resource":"*"}],"Version":"2012-10-17"}"#);
    assert_eq!(policy.coarser, Coarser::No);
    let second = Duration::SECOND;
    assert!(is_denied(
        &policy.document,
        &session("ada", before - second)
    ));
    assert!(!is_denied(&policy.document, &session("ada", before)));
    assert!(!is_denied(
        &policy.document,
        &session("lada", before - second)
    ));
    assert!(!is_denied(
        &policy.document,
        &session("Ada", before - second)
    ));
}

#[test]
fn sessions_of_the_very_second_are_denied() {
    let revoked_at = datetime!(2026-11-24 11:59:00.5 UTC);
    let policy = compose(&[person("ada", revoked_at)], NOW, 0).unwrap();
    for (issued_at, expected) in [
        (datetime!(2026-11-24 11:59:00.1 UTC), true),
        (datetime!(2026-11-24 11:59:00.9 UTC), true),
        (datetime!(2026-11-24 11:59:01.0 UTC), false),
    ] {
        let found = is_denied(&policy.document, &session("ada", issued_at));
        assert_eq!(found, expected, "{issued_at}");
    }
}

#[test]
fn whoever_changes_the_session_name_is_caught_by_the_source_identity() {
    let denial = Denial {
        who: Denied::Person {
            session_names: vec!["ada".to_owned()],
            source_identities: vec!["ada@example.com".to_owned()],
        },
        ..person("ada", NOW)
    };
    let policy = compose(&[denial], NOW, 0).unwrap();
    let chained = Session {
        name: "somebody",
        source_identity: Some("ada@example.com"),
        issued_at: NOW - Duration::SECOND,
    };
    assert!(is_denied(&policy.document, &chained));
}

#[test]
fn what_has_expired_is_left_out_and_a_whole_role_swallows_older_ones() {
    let old = NOW - LONGEST_ROLE_SESSION;
    assert_eq!(compose(&[person("ada", old)], NOW, 0), None);
    assert_eq!(compose(&[], NOW, 0), None);
    let everybody = Denial {
        who: Denied::Everybody,
        ..person("", NOW - Duration::hours(1))
    };
    let denials = [
        person("ada", NOW - Duration::hours(2)),
        everybody,
        person("bob", NOW),
    ];
    let policy = compose(&denials, NOW, 0).unwrap();
    assert!(!policy.document.contains("ada"), "{}", policy.document);
    assert!(policy.document.contains("*:bob"), "{}", policy.document);
    assert_eq!(policy.document.matches("Deny").count(), 2);
}

#[test]
fn people_of_one_moment_share_a_statement_and_the_newest_moment_counts() {
    let denials = [
        person("ada", NOW - Duration::hours(1)),
        person("bob", NOW),
        person("ada", NOW),
    ];
    let policy = compose(&denials, NOW, 0).unwrap();
    assert_eq!(policy.document.matches("Deny").count(), 1);
}

#[test]
fn a_name_that_aws_would_not_take_never_becomes_a_pattern() {
    for name in ["*", "a?", "${aws:username}", "", "ä", "a:b"] {
        let policy = compose(&[person(name, NOW)], NOW, 0).unwrap();
        assert!(!policy.document.contains("aws:userid"), "{name}");
        assert!(
            is_denied(&policy.document, &session("zoe", NOW - Duration::SECOND)),
            "{name}: whoever was meant must be denied all the same"
        );
    }
}

#[test]
fn a_thousand_revocations_fit_and_deny_everybody_only_before_the_oldest_moments() {
    let names: Vec<String> = (0..1_000)
        .map(|n| format!("person-{n:04}@example.com"))
        .collect();
    let moment = |place: usize| NOW - Duration::seconds(i64::try_from(1_000 - place).unwrap());
    let denials: Vec<Denial> = (names.iter().enumerate())
        .map(|(place, name)| person(name, moment(place)))
        .collect();
    let policy = compose(&denials, NOW, 0).unwrap();
    assert!(policy.document.len() <= REVOCATION_BUDGET);
    let Coarser::Everybody(before) = policy.coarser else {
        panic!("{:?}", policy.coarser)
    };
    assert!(
        before < NOW - Duration::SECOND,
        "the newest moment is not needed"
    );
    for (place, name) in names.iter().enumerate() {
        let issued = session(name, moment(place) - Duration::SECOND);
        assert!(is_denied(&policy.document, &issued), "{name}");
    }
    assert!(!is_denied(&policy.document, &session("zoe", before)));
}

#[test]
fn a_short_name_list_with_many_moments_shares_a_later_moment_first() {
    let denials: Vec<Denial> = (0..100)
        .map(|n| person(&format!("p{n}"), NOW - Duration::seconds(n)))
        .collect();
    let policy = compose(&denials, NOW, 0).unwrap();
    let Coarser::Raised(names) = policy.coarser else {
        panic!("{:?}", policy.coarser)
    };
    assert!((1..100).contains(&names), "{names}");
    assert!(!is_denied(
        &policy.document,
        &session("zoe", NOW - Duration::hours(1))
    ));
    assert!(policy.coarser.sentence().unwrap().contains("once more"));
}

#[test]
fn without_any_room_everybody_is_denied_before_the_newest_moment() {
    let denials = [person("ada", NOW), person("bob", NOW - Duration::SECOND)];
    let policy = compose(&denials, NOW, REVOCATION_BUDGET).unwrap();
    assert_eq!(policy.coarser, Coarser::Everybody(NOW));
    assert!(is_denied(
        &policy.document,
        &session("zoe", NOW - Duration::SECOND)
    ));
}

/// Revocations of few and many people: who, how many seconds ago, with a source identity or not.
fn some_denials() -> impl Strategy<Value = Vec<(u16, u32, bool, u8)>> {
    let few = vec((0..40_u16, 0..60_000_u32, any::<bool>(), 0..60_u8), 0..60);
    let many = vec(
        (0..2_000_u16, 0..60_000_u32, any::<bool>(), 0..255_u8),
        0..1_000,
    );
    prop_oneof![3 => few, 1 => many]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_revoked_session_is_denied_and_others_only_where_it_says_so(
        rows in some_denials(),
        taken in prop_oneof![Just(0_usize), 0..12_000_usize],
    ) {
        let denials: Vec<Denial> = rows.iter().map(|(who, ago, has_source, kind)| {
            let name = format!("person.{who}+x@example.com");
            let before = NOW - Duration::milliseconds(i64::from(*ago) * 1_003);
            let who = if *kind == 0 {
                Denied::Everybody
            } else {
                Denied::Person {
                    source_identities: has_source.then(|| format!("s-{name}")).into_iter().collect(),
                    session_names: vec![name],
                }
            };
            Denial { who, issued_before: before, expires_at: before + LONGEST_ROLE_SESSION }
        }).collect();
        let in_force: Vec<&Denial> = denials.iter().filter(|one| one.expires_at > NOW).collect();
        let Some(policy) = compose(&denials, NOW, taken) else {
            prop_assert!(in_force.is_empty());
            return Ok(());
        };
        let budget = REVOCATION_BUDGET.saturating_sub(taken);
        // A policy of one statement without names cannot be shorter.
        prop_assert!(policy.document.len() <= budget.max(200), "{}", policy.document.len());
        let everybody = in_force.iter()
            .filter(|one| one.who == Denied::Everybody)
            .map(|one| whole_second(one.issued_before))
            .chain(match policy.coarser { Coarser::Everybody(before) => Some(before), _ => None })
            .max();
        for denial in &in_force {
            let issued_at = denial.issued_before - Duration::milliseconds(1);
            let names: Vec<&str> = match &denial.who {
                Denied::Everybody => vec!["nobody-in-particular"],
                Denied::Person { session_names, .. } => {
                    session_names.iter().map(String::as_str).collect()
                }
            };
            for name in names {
                prop_assert!(is_denied(&policy.document, &session(name, issued_at)));
            }
        }
        let stranger = session("zoe", NOW - Duration::hours(3));
        let is_meant = everybody.is_some_and(|before| stranger.issued_at < before);
        prop_assert_eq!(is_denied(&policy.document, &stranger), is_meant);
        let newest = session("zoe", whole_second(NOW));
        prop_assert!(!is_denied(&policy.document, &newest), "what is new is never denied");
    }
}
