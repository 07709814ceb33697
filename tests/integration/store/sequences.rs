//! Random sequences of changes: the invariants of the tables hold after each.

use std::collections::HashSet;

use proptest::prelude::*;
use rolegate::{
    access::PolicyTables,
    store::{AuditLog as _, ChainStatus, Change, PolicyStore as _, StoreError, sql::SqlStore},
};

use super::{Backend as _, account, arn, context, mapping, put_role, sqlite_file::SqliteFile};

const ACCOUNTS: [&str; 2] = ["111122223333", "444455556666"];
const ROLES: [&str; 4] = [
    "arn:aws:iam::111122223333:role/Ops",
    "arn:aws:iam::111122223333:role/other/OPS",
    "arn:aws:iam::111122223333:role/Dev",
    "arn:aws:iam::444455556666:role/Ops",
];
const GROUPS: [&str; 3] = ["cn=a", "cn=b", "cn=c"];

/// A change by numbers, so that it can name the mappings there are when its turn comes.
#[derive(Debug, Clone)]
enum Step {
    PutAccount(usize, bool),
    RemoveAccount(usize),
    PutRole(usize),
    RemoveRole(usize),
    PutMapping(usize, usize, bool),
    MoveMapping(usize, usize),
    EndMapping(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..2_usize, any::<bool>()).prop_map(|(a, p)| Step::PutAccount(a, p)),
        (0..2_usize).prop_map(Step::RemoveAccount),
        (0..4_usize).prop_map(Step::PutRole),
        (0..4_usize).prop_map(Step::RemoveRole),
        (0..3_usize, 0..4_usize, any::<bool>()).prop_map(|(g, r, o)| Step::PutMapping(g, r, o)),
        (0..6_usize, 0..3_usize).prop_map(|(m, g)| Step::MoveMapping(m, g)),
        (0..6_usize).prop_map(Step::EndMapping),
    ]
}

impl Step {
    fn change(&self, tables: &PolicyTables) -> Option<Change> {
        let existing = |number: usize| {
            let count = tables.mappings.len();
            (count > 0).then(|| tables.mappings[number % count].clone())
        };
        Some(match *self {
            Self::PutAccount(number, protected) => {
                let mut account = account(ACCOUNTS[number], "name");
                account.protected = protected;
                Change::PutAccount(account)
            }
            Self::RemoveAccount(number) => Change::RemoveAccount(ACCOUNTS[number].parse().ok()?),
            Self::PutRole(number) => put_role(arn(ROLES[number])),
            Self::RemoveRole(number) => Change::RemoveRole(arn(ROLES[number])),
            Self::PutMapping(group, role, read_only) => {
                let mut mapping = mapping(GROUPS[group], arn(ROLES[role]));
                mapping.conditions.read_only = read_only;
                Change::PutMapping(mapping)
            }
            Self::MoveMapping(number, group) => {
                let mut mapping = existing(number)?;
                mapping.group = super::group(GROUPS[group]);
                Change::PutMapping(mapping)
            }
            Self::EndMapping(number) => Change::EndMapping(existing(number)?.id),
        })
    }
}

fn invariants_hold(tables: &PolicyTables) {
    let arns: HashSet<_> = tables.roles.iter().map(|role| &role.arn).collect();
    let names: HashSet<_> = (tables.roles.iter())
        .map(|role| (role.arn.account(), role.arn.name().to_lowercase()))
        .collect();
    assert_eq!(names.len(), tables.roles.len());
    let pairs: HashSet<_> = (tables.mappings.iter())
        .map(|mapping| (&mapping.group, &mapping.role))
        .collect();
    assert_eq!(pairs.len(), tables.mappings.len());
    let ids: HashSet<_> = tables.mappings.iter().map(|mapping| &mapping.id).collect();
    assert_eq!(ids.len(), tables.mappings.len());
    assert!(
        tables
            .mappings
            .iter()
            .all(|mapping| arns.contains(&mapping.role))
    );
}

fn rows(tables: &PolicyTables) -> impl PartialEq + std::fmt::Debug {
    (
        tables.accounts.clone(),
        tables.roles.clone(),
        tables.mappings.clone(),
        tables.rules.clone(),
    )
}

async fn run(store: &SqlStore, steps: &[Step]) {
    let mut audited = 0;
    for step in steps {
        let before = store.tables().await.unwrap();
        let Some(change) = step.change(&before) else {
            continue;
        };
        let applied = store.apply(vec![change], &context()).await;
        let after = store.tables().await.unwrap();
        invariants_hold(&after);
        match applied {
            Ok(applied) => {
                assert_eq!(applied.version, after.version);
                assert_eq!(applied.changed > 0, after.version == before.version + 1);
                assert_eq!(applied.changed > 0, rows(&before) != rows(&after));
                audited += i64::try_from(applied.changed).unwrap();
            }
            Err(StoreError::Conflict(_) | StoreError::NotFound(_)) => {
                assert_eq!(after.version, before.version);
                assert_eq!(rows(&before), rows(&after));
            }
            Err(other) => panic!("{other}"),
        }
    }
    let status = store.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Holds { rows, .. } if rows == audited),
        "{status:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_sequence_of_changes_keeps_the_invariants(
        steps in proptest::collection::vec(step(), 1..30)
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let backend = SqliteFile::empty().await;
            run(&backend.open().await, &steps).await;
        });
    }
}
