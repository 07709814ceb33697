//! Edits that wait for a second person.

use std::sync::Arc;

use rolegate::{
    access::{MappingId, RowName},
    audit::{Action, Actor, AuditEvent, Outcome},
    store::{
        AuditFilter, Change, EditContext, PendingEdit, PendingEdits as _, PendingState,
        PolicyStore as _, Settles, StoreError,
    },
};
use time::{Duration, OffsetDateTime, macros::datetime};

use super::{Backend, NOW, ada, context, edits::rows, mapping, put_role, read_only_arn};

fn bob() -> Actor {
    Actor::Person {
        connector: "corp".to_owned(),
        subject: Some("subject-of-bob".to_owned()),
        username: Some("bob".to_owned()),
    }
}

fn edit(id: &str) -> PendingEdit {
    let mut given = mapping("cn=dev", read_only_arn());
    given.conditions.expires = Some(datetime!(2027-01-31 00:00 UTC));
    PendingEdit {
        id: id.to_owned(),
        author: ada(),
        author_name: "Ada Lovelace".to_owned(),
        created_at: NOW,
        expires_at: NOW + Duration::days(7),
        reason: Some("HD-7".to_owned()),
        changes: vec![put_role(read_only_arn()), Change::PutMapping(given)],
        seen: vec![
            (RowName::Role(read_only_arn()), Some("abc".to_owned())),
            (RowName::Mapping(MappingId("new".to_owned())), None),
        ],
        why: vec!["self_gain".to_owned(), "protected".to_owned()],
        undoes: Some("an edit".to_owned()),
        state: PendingState::Waiting,
        decided_by: None,
        decided_at: None,
        note: None,
    }
}

fn event(action: Action, by: Actor, at: OffsetDateTime) -> AuditEvent {
    AuditEvent::new(at, action, Outcome::Ok, by)
}

fn proposal() -> AuditEvent {
    event(Action::EditPropose, ada(), NOW)
}

/// The context that carries `id` out at `at`.
fn approval(id: &str, at: OffsetDateTime) -> EditContext {
    EditContext {
        at,
        settles: Some(Settles {
            pending: id.to_owned(),
            by: bob(),
        }),
        announced_by: vec![event(Action::EditApprove, bob(), at)],
        ..context()
    }
}

pub(super) async fn a_proposed_edit_is_read_back_as_it_was(backend: &impl Backend) {
    let store = backend.open().await;
    store.propose(&edit("p-1"), &proposal()).await.unwrap();
    drop(store);
    let store = backend.open().await;
    assert_eq!(store.pending_edit("p-1").await.unwrap(), Some(edit("p-1")));
    assert_eq!(store.pending_edit("p-2").await.unwrap(), None);
    let error = store.propose(&edit("p-1"), &proposal()).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    let decided = PendingEdit {
        state: PendingState::Approved,
        ..edit("p-2")
    };
    let error = store.propose(&decided, &proposal()).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(rows(&store, AuditFilter::default()).await.len(), 1);
    assert!(store.tables().await.unwrap().roles.is_empty());
}

pub(super) async fn edits_are_listed_by_state_and_newest_first(backend: &impl Backend) {
    let store = backend.open().await;
    for (minute, id) in (0..).zip(["p-1", "p-2", "p-3"]) {
        let edit = PendingEdit {
            created_at: NOW + Duration::minutes(minute),
            ..edit(id)
        };
        store.propose(&edit, &proposal()).await.unwrap();
    }
    let withdrawal = event(Action::EditWithdraw, ada(), NOW);
    store
        .settle("p-2", PendingState::Withdrawn, None, &withdrawal)
        .await
        .unwrap();
    let cases: [(Option<PendingState>, u32, &[&str]); 5] = [
        (None, 10, &["p-3", "p-2", "p-1"]),
        (None, 2, &["p-3", "p-2"]),
        (Some(PendingState::Waiting), 10, &["p-3", "p-1"]),
        (Some(PendingState::Withdrawn), 10, &["p-2"]),
        (Some(PendingState::Declined), 10, &[]),
    ];
    for (state, limit, expected) in cases {
        let listed = store.pending_edits(state, limit).await.unwrap();
        let ids: Vec<&str> = listed.iter().map(|edit| edit.id.as_str()).collect();
        assert_eq!(ids, expected, "{state:?}");
    }
}

pub(super) async fn an_edit_is_settled_once(backend: &impl Backend) {
    let store = Arc::new(backend.open().await);
    store.propose(&edit("p-1"), &proposal()).await.unwrap();
    let at = NOW + Duration::hours(1);
    let settlers: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(&store);
            let event = event(Action::EditDecline, bob(), at);
            tokio::spawn(async move {
                let state = PendingState::Declined;
                store.settle("p-1", state, Some("not now"), &event).await
            })
        })
        .collect();
    let mut settled = 0;
    for settler in settlers {
        match settler.await.unwrap() {
            Ok(()) => settled += 1,
            Err(error) => assert!(matches!(error, StoreError::Conflict(_)), "{error}"),
        }
    }
    assert_eq!(settled, 1);
    let expected = PendingEdit {
        state: PendingState::Declined,
        decided_by: Some(bob()),
        decided_at: Some(at),
        note: Some("not now".to_owned()),
        ..edit("p-1")
    };
    assert_eq!(store.pending_edit("p-1").await.unwrap(), Some(expected));
    assert_eq!(rows(&*store, AuditFilter::default()).await.len(), 2);
    let error = store
        .apply(edit("p-1").changes, &approval("p-1", at))
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "the pending edit is declined already");
}

pub(super) async fn approving_goes_with_the_changes_alone(backend: &impl Backend) {
    let store = backend.open().await;
    store.propose(&edit("p-1"), &proposal()).await.unwrap();
    let event = event(Action::EditApprove, bob(), NOW);
    for state in [PendingState::Approved, PendingState::Waiting] {
        let error = store.settle("p-1", state, None, &event).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    }
    let error = store
        .settle("no such", PendingState::Declined, None, &event)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    let waiting = store.pending_edit("p-1").await.unwrap().unwrap();
    assert_eq!(waiting.state, PendingState::Waiting);
    assert_eq!(rows(&store, AuditFilter::default()).await.len(), 1);
}

pub(super) async fn an_approved_edit_is_carried_out_once(backend: &impl Backend) {
    let store = Arc::new(backend.open().await);
    store.propose(&edit("p-1"), &proposal()).await.unwrap();
    let at = NOW + Duration::hours(1);
    let approvers: Vec<_> = (0..10)
        .map(|_| {
            let store = Arc::clone(&store);
            let context = approval("p-1", at);
            tokio::spawn(async move { store.apply(edit("p-1").changes, &context).await })
        })
        .collect();
    let mut approved = 0;
    for approver in approvers {
        match approver.await.unwrap() {
            Ok(applied) => approved += applied.changed,
            Err(error) => assert!(matches!(error, StoreError::Conflict(_)), "{error}"),
        }
    }
    assert_eq!(approved, 2);
    let settled = store.pending_edit("p-1").await.unwrap().unwrap();
    assert_eq!(settled.state, PendingState::Approved);
    assert_eq!(settled.decided_by, Some(bob()));
    assert_eq!(settled.decided_at, Some(at));
    // One row each: proposed, approved, a role, a mapping.
    assert_eq!(rows(&*store, AuditFilter::default()).await.len(), 4);
    let late = event(Action::EditDecline, bob(), at);
    let error = store
        .settle("p-1", PendingState::Declined, None, &late)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
}

pub(super) async fn an_edit_is_not_approved_after_its_end(backend: &impl Backend) {
    let store = backend.open().await;
    store.propose(&edit("p-1"), &proposal()).await.unwrap();
    let end = edit("p-1").expires_at;
    let error = store
        .apply(edit("p-1").changes, &approval("p-1", end))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert!(error.to_string().contains("expired"), "{error}");
    assert!(store.tables().await.unwrap().roles.is_empty());
    let error = store
        .apply(edit("p-1").changes, &approval("no such", NOW))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    let lapse = event(Action::EditExpire, Actor::System, end);
    store
        .settle("p-1", PendingState::Expired, None, &lapse)
        .await
        .unwrap();
    assert_eq!(rows(&store, AuditFilter::default()).await.len(), 2);
}

pub(super) async fn an_edit_that_cannot_be_carried_out_goes_on_waiting(backend: &impl Backend) {
    let store = backend.open().await;
    store.propose(&edit("p-1"), &proposal()).await.unwrap();
    let impossible = PendingEdit {
        changes: vec![Change::EndMapping(MappingId("no such".to_owned()))],
        ..edit("p-2")
    };
    store.propose(&impossible, &proposal()).await.unwrap();
    let error = store
        .apply(impossible.changes.clone(), &approval("p-2", NOW))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    // Nor does an approval carry out what nobody looked at.
    let others = vec![put_role(read_only_arn())];
    let error = store
        .apply(others, &approval("p-1", NOW))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert!(store.tables().await.unwrap().roles.is_empty());
    let past = EditContext {
        at_version: Some(0),
        ..approval("p-1", NOW)
    };
    let error = store.apply(edit("p-1").changes, &past).await.unwrap_err();
    assert!(matches!(error, StoreError::PolicyChanged), "{error}");
    assert_eq!(store.pending_edit("p-1").await.unwrap(), Some(edit("p-1")));
    store
        .apply(edit("p-1").changes, &approval("p-1", NOW))
        .await
        .unwrap();
}
