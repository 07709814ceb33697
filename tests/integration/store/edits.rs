//! What an edit says about itself, what it holds to, and how its rows are found.

use std::{collections::BTreeSet, sync::Arc};

use rolegate::{
    access::{MappingId, MappingRule, Origin, RowName},
    audit::{Action, Actor, AuditEvent, Outcome},
    store::{
        AuditFilter, AuditLog, AuditRow, ChainStatus, Change, EditContext, PolicyStore as _,
        StoreError,
    },
};
use uuid::Uuid;

use super::{Backend, NOW, account, ada, arn, context, group, mapping, put_role, read_only_arn};

pub(super) async fn rows(store: &impl AuditLog, filter: AuditFilter) -> Vec<AuditRow> {
    let filter = AuditFilter {
        limit: 1_000,
        ..filter
    };
    store.audit_rows(&filter).await.unwrap()
}

fn places(rows: &[AuditRow]) -> Vec<i64> {
    rows.iter().map(|row| row.seq).collect()
}

pub(super) async fn an_edit_of_a_version_that_is_past_changes_nothing(backend: &impl Backend) {
    let store = backend.open().await;
    let looked_at = Some(store.policy_version().await.unwrap());
    let context = EditContext {
        at_version: looked_at,
        announced_by: vec![AuditEvent::new(NOW, Action::EditUndo, Outcome::Ok, ada())],
        ..context()
    };
    let first = vec![put_role(read_only_arn())];
    store.apply(first, &context).await.unwrap();
    let second = vec![Change::PutAccount(account("111122223333", "Payments"))];
    let error = store.apply(second.clone(), &context).await.unwrap_err();
    assert!(matches!(error, StoreError::PolicyChanged), "{error}");
    assert!(store.tables().await.unwrap().accounts.is_empty());
    assert_eq!(rows(&store, AuditFilter::default()).await.len(), 2);
    let anew = EditContext {
        at_version: Some(store.policy_version().await.unwrap()),
        ..context
    };
    assert_eq!(store.apply(second, &anew).await.unwrap().changed, 1);
}

pub(super) async fn of_two_writers_who_looked_at_the_same_version_one_is_refused(
    backend: &impl Backend,
) {
    let stores = [
        Arc::new(backend.open().await),
        Arc::new(backend.open().await),
    ];
    let context = EditContext {
        at_version: Some(stores[0].policy_version().await.unwrap()),
        ..context()
    };
    let edits: Vec<_> = (0..10)
        .map(|number| {
            let store = Arc::clone(&stores[number % 2]);
            let role = arn(&format!("arn:aws:iam::111122223333:role/Role{number}"));
            let context = context.clone();
            tokio::spawn(async move { store.apply(vec![put_role(role)], &context).await })
        })
        .collect();
    let mut made = 0;
    for edit in edits {
        match edit.await.unwrap() {
            Ok(applied) => made += applied.changed,
            Err(error) => assert!(matches!(error, StoreError::PolicyChanged), "{error}"),
        }
    }
    assert_eq!(made, 1);
    assert_eq!(stores[0].tables().await.unwrap().roles.len(), 1);
}

pub(super) async fn every_row_of_an_edit_names_it_and_the_row_it_changed(backend: &impl Backend) {
    let store = backend.open().await;
    let rule = MappingRule {
        id: MappingId("file:9".to_owned()),
        connector: "corp".parse().unwrap(),
        group_pattern: "^cn=aws-(?<role>[a-z]+),dc=x$".to_owned(),
        role: "arn:aws:iam::111122223333:role/{role}".to_owned(),
        conditions: mapping("cn=dev", read_only_arn()).conditions,
        allow_protected: false,
        ticket: None,
        origin: Origin::Store,
    };
    let changes = vec![
        Change::PutAccount(account("111122223333", "Payments")),
        put_role(read_only_arn()),
        Change::PutMapping(mapping("cn=dev", read_only_arn())),
        Change::PutRule(rule),
        Change::BindGroup {
            group: group("cn=dev"),
            group_id: "uuid-1".to_owned(),
        },
    ];
    let applied = store.apply(changes, &context()).await.unwrap();
    let id = Uuid::parse_str(&applied.edit).unwrap();
    assert_eq!(id.get_version_num(), 7);
    let tables = store.tables().await.unwrap();
    let names = [
        Some(RowName::Account("111122223333".parse().unwrap())),
        Some(RowName::Role(read_only_arn())),
        Some(RowName::Mapping(tables.mappings[0].id.clone())),
        Some(RowName::Rule(tables.rules[0].id.clone())),
        None,
    ];
    let of_edit = AuditFilter {
        edit: Some(applied.edit.clone()),
        after: Some(0),
        ..AuditFilter::default()
    };
    let written = rows(&store, of_edit).await;
    assert_eq!(places(&written), [1, 2, 3, 4, 5]);
    for (row, name) in written.iter().zip(names) {
        let details = &row.event.details;
        assert_eq!(details["edit"], *applied.edit);
        assert!(!details.contains_key("undoes") && !details.contains_key("approved_by"));
        let expected = name.map(|name| serde_json::to_value(name).unwrap());
        assert_eq!(details.get("row"), expected.as_ref(), "{details:?}");
    }
    assert_eq!(
        written[2].event.details["id"],
        *tables.mappings[0].id.0.as_str()
    );
    let removals = vec![
        Change::EndMapping(tables.mappings[0].id.clone()),
        Change::EndRule(tables.rules[0].id.clone()),
        Change::RemoveRole(read_only_arn()),
        Change::RemoveAccount("111122223333".parse().unwrap()),
    ];
    let removal = store.apply(removals, &context()).await.unwrap();
    assert_ne!(removal.edit, applied.edit);
    let histories = [
        ("111122223333".to_owned(), [9, 1]),
        (read_only_arn().to_string(), [8, 2]),
        (tables.mappings[0].id.0.clone(), [6, 3]),
        (tables.rules[0].id.0.clone(), [7, 4]),
    ];
    for (row, expected) in histories {
        let filter = AuditFilter {
            row: Some(row.clone()),
            ..AuditFilter::default()
        };
        assert_eq!(places(&rows(&store, filter).await), expected, "{row}");
    }
    let status = store.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Holds { rows: 9, .. }),
        "{status:?}"
    );
}

pub(super) async fn rows_that_announce_an_edit_stand_in_front_of_it(backend: &impl Backend) {
    let store = backend.open().await;
    let bob = Actor::Host { uid: 7 };
    let context = EditContext {
        undoes: Some("the edit before".to_owned()),
        approved_by: Some(bob.clone()),
        announced_by: vec![
            AuditEvent::new(NOW, Action::EditApprove, Outcome::Ok, bob.clone())
                .with("approved_by", "said itself"),
            AuditEvent::new(NOW, Action::EditUndo, Outcome::Ok, ada()),
        ],
        ..context()
    };
    let changes = vec![put_role(read_only_arn())];
    let applied = store.apply(changes.clone(), &context).await.unwrap();
    assert_eq!(applied.changed, 1);
    let everything = AuditFilter {
        after: Some(0),
        ..AuditFilter::default()
    };
    let written = rows(&store, everything).await;
    let actions: Vec<Action> = written.iter().map(|row| row.event.action).collect();
    assert_eq!(
        actions,
        [Action::EditApprove, Action::EditUndo, Action::RoleChange]
    );
    for row in &written {
        assert_eq!(row.event.details["edit"], *applied.edit);
        assert_eq!(row.event.details["undoes"], "the edit before");
    }
    let who = serde_json::to_value(&bob).unwrap();
    assert_eq!(written[0].event.details["approved_by"], "said itself");
    assert_eq!(written[1].event.details["approved_by"], who);
    assert_eq!(written[2].event.details["approved_by"], who);
    // What changes nothing is announced all the same, and leaves the version.
    let again = store.apply(changes, &context).await.unwrap();
    assert_eq!((again.changed, again.version), (0, applied.version));
    assert_eq!(rows(&store, AuditFilter::default()).await.len(), 5);
}

pub(super) async fn a_refused_edit_leaves_no_announcement(backend: &impl Backend) {
    let store = backend.open().await;
    let context = EditContext {
        announced_by: vec![AuditEvent::new(NOW, Action::EditUndo, Outcome::Ok, ada())],
        ..context()
    };
    let changes = vec![Change::EndMapping(MappingId("no such".to_owned()))];
    store.apply(changes, &context).await.unwrap_err();
    assert!(rows(&store, AuditFilter::default()).await.is_empty());
}

pub(super) async fn a_changed_mapping_file_raises_the_version_with_its_row(backend: &impl Backend) {
    let store = backend.open().await;
    let before = store.policy_version().await.unwrap();
    let actor = Actor::File {
        hash: "0".repeat(64),
    };
    let event = AuditEvent::new(NOW, Action::MappingFileLoad, Outcome::Ok, actor);
    assert_eq!(store.note_file(&event).await.unwrap(), before + 1);
    assert_eq!(store.policy_version().await.unwrap(), before + 1);
    let written = rows(&store, AuditFilter::default()).await;
    assert_eq!((written.len(), &written[0].event), (1, &event));
}

pub(super) async fn rows_after_a_place_come_oldest_first(backend: &impl Backend) {
    let store = backend.open().await;
    for _ in 0..5 {
        store.append(&super::event(Outcome::Ok)).await.unwrap();
    }
    let mut seen = Vec::new();
    let mut filter = AuditFilter {
        after: Some(1),
        limit: 3,
        ..AuditFilter::default()
    };
    loop {
        let rows = store.audit_rows(&filter).await.unwrap();
        let Some(last) = rows.last() else { break };
        filter.after = Some(last.seq);
        seen.push(places(&rows));
    }
    assert_eq!(seen, [vec![2, 3, 4], vec![5]]);
}

pub(super) async fn an_edited_row_or_edit_column_is_found(backend: &impl Backend) {
    let store = backend.open().await;
    let changes = vec![put_role(read_only_arn())];
    store.apply(changes, &context()).await.unwrap();
    let mut problems = BTreeSet::new();
    for sql in [
        "UPDATE audit_event SET edit = 'another'",
        "UPDATE audit_event SET row_id = 'another'",
    ] {
        backend.tamper(sql).await;
        match store.verify_chain().await.unwrap() {
            ChainStatus::Broken { seq: 1, problem } => problems.insert(problem),
            other => panic!("{sql}: {other:?}"),
        };
    }
    assert!(
        problems
            .iter()
            .all(|problem| problem.contains("was edited")),
        "{problems:?}"
    );
    assert_eq!(problems.len(), 2);
}
