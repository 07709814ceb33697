//! The audit log: order, intents and ends, listing, and everything that tampering leaves behind.

use std::{collections::BTreeSet, sync::Arc};

use rolegate::{
    audit::{Action, Actor, AuditEvent, Outcome},
    store::{
        AuditFilter, AuditLog, AuditRow, ChainHead, ChainStatus, PersonStore as _,
        PolicyStore as _, Retirement, RoleSession, StoreError,
    },
};
use time::Duration;

use super::{Backend, NOW, Store, ada, context, end_of, event, intent, put_role, read_only_arn};

pub(super) fn role_session(intent: &str, role: &str) -> RoleSession {
    RoleSession {
        id: intent.to_owned(),
        connector: "corp".to_owned(),
        subject: "subject-of-ada".to_owned(),
        role: role.to_owned(),
        delivery: "console".to_owned(),
        session_name: "ada".to_owned(),
        access_key_id: "ASIAEXAMPLE".to_owned(),
        aws_request_id: Some("aws-1".to_owned()),
        read_only: true,
        started_at: NOW,
        expires_at: NOW + Duration::hours(1),
    }
}

async fn everything(store: &impl AuditLog) -> Vec<AuditRow> {
    let filter = AuditFilter {
        limit: 100_000,
        ..AuditFilter::default()
    };
    store.audit_rows(&filter).await.unwrap()
}

pub(super) async fn places_have_no_gap_with_fifty_writers(backend: &impl Backend) {
    let store = Arc::new(backend.open().await);
    let writers: Vec<_> = (0..50)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut places = Vec::new();
                for number in 0..10 {
                    let event = event(Outcome::Ok).with("which", writer * 10 + number);
                    places.push(store.append(&event).await.unwrap());
                }
                places
            })
        })
        .collect();
    let mut places = BTreeSet::new();
    for writer in writers {
        let own = writer.await.unwrap();
        assert!(own.is_sorted(), "a writer's rows stand in its order");
        places.extend(own);
    }
    assert_eq!(places, (1..=500).collect());
    let listed: Vec<i64> = everything(&*store)
        .await
        .iter()
        .map(|row| row.seq)
        .collect();
    assert_eq!(listed, (1..=500).rev().collect::<Vec<_>>());
    let status = store.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Holds { rows: 500, .. }),
        "{status:?}"
    );
}

pub(super) async fn an_intent_needs_the_tables_it_was_decided_on(backend: &impl Backend) {
    let store = backend.open().await;
    let version = store.policy_version().await.unwrap();
    assert_eq!(
        store.announce(&intent("i-1"), version).await.unwrap().seq,
        1
    );
    store
        .apply(vec![put_role(read_only_arn())], &context())
        .await
        .unwrap();
    let error = store.announce(&intent("i-2"), version).await.unwrap_err();
    assert!(matches!(error, StoreError::PolicyChanged), "{error}");
    assert_eq!(everything(&store).await.len(), 2);
    let third = store.announce(&intent("i-2"), version + 1).await.unwrap();
    assert_eq!(third.seq, 3);
    assert_eq!(third, store.chain_head().await.unwrap());
    let nameless = event(Outcome::Intent);
    let error = store.announce(&nameless, version + 1).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
}

pub(super) async fn a_refused_intent_leaves_its_neighbours_alone(backend: &impl Backend) {
    let store = Arc::new(backend.open().await);
    let version = store.policy_version().await.unwrap();
    let writers: Vec<_> = (0..40_i64)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let intent = intent(&format!("i-{number}"));
                store.announce(&intent, version + number % 2).await
            })
        })
        .collect();
    let mut written = BTreeSet::new();
    for writer in writers {
        match writer.await.unwrap() {
            Ok(row) => assert!(written.insert(row.seq)),
            Err(error) => assert!(matches!(error, StoreError::PolicyChanged), "{error}"),
        }
    }
    assert_eq!(written, (1..=20).collect());
    let status = store.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Holds { rows: 20, .. }),
        "{status:?}"
    );
}

pub(super) async fn an_end_brings_its_role_session_and_the_recents(backend: &impl Backend) {
    let store = backend.open().await;
    let version = store.policy_version().await.unwrap();
    store.announce(&intent("i-1"), version).await.unwrap();
    let session = role_session("i-1", read_only_arn().as_str());
    let end = end_of("i-1", Outcome::Ok);
    assert_eq!(store.conclude(&end, Some(&session)).await.unwrap(), 2);
    let sessions = store
        .role_sessions("corp", "subject-of-ada", 10)
        .await
        .unwrap();
    assert_eq!(sessions, [session]);
    let preferences = store.preferences("corp", "subject-of-ada").await.unwrap();
    assert_eq!(preferences.recents, [read_only_arn().to_string()]);
    assert_eq!(store.close_orphans(NOW).await.unwrap(), 0);
}

pub(super) async fn no_role_session_without_an_announced_intent(backend: &impl Backend) {
    let store = backend.open().await;
    let session = role_session("i-1", read_only_arn().as_str());
    let end = end_of("i-1", Outcome::Ok);
    let error = store.conclude(&end, Some(&session)).await.unwrap_err();
    assert_eq!(error.to_string(), "intent i-1 does not exist");
    assert!(everything(&store).await.is_empty());
    let sessions = store
        .role_sessions("corp", "subject-of-ada", 10)
        .await
        .unwrap();
    assert!(sessions.is_empty());
}

pub(super) async fn a_role_session_is_written_once(backend: &impl Backend) {
    let store = backend.open().await;
    let version = store.policy_version().await.unwrap();
    store.announce(&intent("i-1"), version).await.unwrap();
    let session = role_session("i-1", read_only_arn().as_str());
    let end = end_of("i-1", Outcome::Ok);
    store.conclude(&end, Some(&session)).await.unwrap();
    let error = store.conclude(&end, Some(&session)).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(everything(&store).await.len(), 2);
}

pub(super) async fn intents_without_an_end_are_closed_as_unknown_once(backend: &impl Backend) {
    let store = backend.open().await;
    let version = store.policy_version().await.unwrap();
    for id in ["ended", "lost", "refused"] {
        store.announce(&intent(id), version).await.unwrap();
    }
    let session = role_session("ended", read_only_arn().as_str());
    store
        .conclude(&end_of("ended", Outcome::Ok), Some(&session))
        .await
        .unwrap();
    store
        .conclude(&end_of("refused", Outcome::Failed), None)
        .await
        .unwrap();
    let mut later = intent("running elsewhere");
    later.at = NOW + Duration::minutes(5);
    store.announce(&later, version).await.unwrap();
    drop(store);
    let store = backend.open().await;
    let start = NOW + Duration::minutes(1);
    assert_eq!(store.close_orphans(start).await.unwrap(), 1);
    assert_eq!(store.close_orphans(start).await.unwrap(), 0);
    let last = everything(&store).await.remove(0).event;
    assert_eq!(last.outcome, Outcome::Unknown);
    assert_eq!(last.intent.as_deref(), Some("lost"));
    assert_eq!(last.action, Action::ConsoleOpen);
    assert_eq!(last.actor, ada());
    assert_eq!((last.role, last.at), (intent("lost").role, start));
    let status = store.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Holds { rows: 7, .. }),
        "{status:?}"
    );
}

type Narrowing = fn(&mut AuditFilter);

pub(super) async fn rows_are_found_by_what_they_say(backend: &impl Backend) {
    let store = backend.open().await;
    let bob = Actor::Person {
        connector: "corp".to_owned(),
        subject: Some("subject-of-bob".to_owned()),
        username: Some("bob".to_owned()),
    };
    let mut signed_in = AuditEvent::new(NOW, Action::SignIn, Outcome::Ok, bob);
    signed_in.at = NOW + Duration::minutes(1);
    let mut opened = intent("i-1");
    opened.at = NOW + Duration::minutes(2);
    let started = AuditEvent::new(
        NOW + Duration::minutes(3),
        Action::ProgramStart,
        Outcome::Ok,
        Actor::System,
    );
    for event in [&event(Outcome::Refused), &signed_in, &opened, &started] {
        store.append(event).await.unwrap();
    }
    let cases: [(Narrowing, &[i64]); 11] = [
        (|filter| filter.person = Some("ada".to_owned()), &[3, 1]),
        (
            |filter| filter.person = Some("subject-of-bob".to_owned()),
            &[2],
        ),
        (|filter| filter.person = Some("system".to_owned()), &[4]),
        (|filter| filter.person = Some("' OR 1=1 --".to_owned()), &[]),
        (
            |filter| filter.account = Some("111122223333".to_owned()),
            &[3],
        ),
        (
            |filter| filter.role = Some(read_only_arn().to_string()),
            &[3],
        ),
        (|filter| filter.actions = vec![Action::SignIn], &[2]),
        (|filter| filter.outcome = Some(Outcome::Refused), &[1]),
        (
            |filter| filter.since = Some(NOW + Duration::minutes(2)),
            &[4, 3],
        ),
        (
            |filter| filter.until = Some(NOW + Duration::minutes(2)),
            &[2, 1],
        ),
        (
            |filter| {
                filter.person = Some("ada".to_owned());
                filter.outcome = Some(Outcome::Ok);
            },
            &[],
        ),
    ];
    for (narrow, expected) in cases {
        let mut filter = AuditFilter {
            limit: 10,
            ..AuditFilter::default()
        };
        narrow(&mut filter);
        let found = store.audit_rows(&filter).await.unwrap();
        let places: Vec<i64> = found.iter().map(|row| row.seq).collect();
        assert_eq!(places, expected, "{filter:?}");
    }
}

pub(super) async fn pages_follow_each_other(backend: &impl Backend) {
    let store = backend.open().await;
    for _ in 0..5 {
        store.append(&event(Outcome::Ok)).await.unwrap();
    }
    let mut filter = AuditFilter {
        limit: 2,
        ..AuditFilter::default()
    };
    let mut pages = Vec::new();
    loop {
        let rows = store.audit_rows(&filter).await.unwrap();
        let Some(last) = rows.last() else { break };
        filter.before = Some(last.seq);
        pages.push(rows.iter().map(|row| row.seq).collect::<Vec<_>>());
    }
    assert_eq!(pages, [vec![5, 4], vec![3, 2], vec![1]]);
}

async fn three_rows(backend: &impl Backend) -> impl Store {
    let store = backend.open().await;
    for number in 0..3 {
        let mut event = event(Outcome::Ok).with("number", number);
        event.role = Some(read_only_arn().to_string());
        store.append(&event).await.unwrap();
    }
    store
}

/// The first bad row after `sql`, and what is said about it.
async fn broken_by(backend: &impl Backend, sql: &'static str) -> (i64, String) {
    let store = three_rows(backend).await;
    backend.tamper(sql).await;
    match store.verify_chain().await.unwrap() {
        ChainStatus::Broken { seq, problem } => (seq, problem),
        holds @ ChainStatus::Holds { .. } => panic!("{sql} was not noticed: {holds:?}"),
    }
}

pub(super) async fn an_untouched_chain_holds(backend: &impl Backend) {
    let empty = backend.open().await.verify_chain().await.unwrap();
    assert!(
        matches!(empty, ChainStatus::Holds { rows: 0, .. }),
        "{empty:?}"
    );
    let store = three_rows(backend).await;
    let last = everything(&store).await.remove(0);
    let status = store.verify_chain().await.unwrap();
    let head = last.hash;
    assert_eq!(status, ChainStatus::Holds { rows: 3, head });
}

pub(super) async fn edited_payloads_are_found(backend: &impl Backend) {
    let sql = "UPDATE audit_event SET payload = REPLACE(payload, 'ada', 'bob') WHERE seq = 2";
    let (seq, problem) = broken_by(backend, sql).await;
    assert_eq!(seq, 2);
    assert!(problem.contains("the payload was edited"), "{problem}");
}

pub(super) async fn edited_columns_are_found(backend: &impl Backend) {
    let sql = "UPDATE audit_event SET username = 'bob' WHERE seq = 2";
    let (seq, problem) = broken_by(backend, sql).await;
    assert_eq!(seq, 2);
    assert!(problem.contains("column username was edited"), "{problem}");
}

pub(super) async fn removed_rows_are_found(backend: &impl Backend) {
    let (seq, problem) = broken_by(backend, "DELETE FROM audit_event WHERE seq = 1").await;
    assert_eq!((seq, problem.as_str()), (1, "the row is missing"));
}

pub(super) async fn reordered_rows_are_found(backend: &impl Backend) {
    let sql = "UPDATE audit_event SET seq = -2 WHERE seq = 2;
         UPDATE audit_event SET seq = 2 WHERE seq = 3;
         UPDATE audit_event SET seq = 3 WHERE seq = -2;";
    let (seq, problem) = broken_by(backend, sql).await;
    assert_eq!(seq, 2);
    assert!(problem.contains("does not follow"), "{problem}");
}

pub(super) async fn a_cut_tail_is_found(backend: &impl Backend) {
    let (seq, problem) = broken_by(backend, "DELETE FROM audit_event WHERE seq = 3").await;
    assert_eq!(seq, 3);
    assert!(problem.contains("the tail was cut"), "{problem}");
}

pub(super) async fn an_added_row_is_found(backend: &impl Backend) {
    let sql = "INSERT INTO audit_event (seq, at_ms, action, outcome, connector, subject, username,
             role, account, intent, payload, salt, payload_hash, previous_hash, hash)
         SELECT 4, at_ms, action, outcome, connector, subject, username, role, account, intent,
             payload, salt, payload_hash, previous_hash, hash
         FROM audit_event WHERE seq = 3";
    let (seq, problem) = broken_by(backend, sql).await;
    assert_eq!(seq, 4);
    assert!(problem.contains("does not follow"), "{problem}");
}

pub(super) async fn unreadable_hashes_are_found(backend: &impl Backend) {
    let sql = "UPDATE audit_event SET hash = 'x' WHERE seq = 2";
    let (seq, problem) = broken_by(backend, sql).await;
    assert_eq!(seq, 2);
    assert!(problem.contains("column hash was edited"), "{problem}");
}

pub(super) async fn a_long_chain_is_verified_to_its_end(backend: &impl Backend) {
    let store = Arc::new(backend.open().await);
    // In waves: a machine that is busy must not make the last ones miss their deadline.
    for wave in [100; 12] {
        let writers: Vec<_> = (0..wave)
            .map(|_| {
                let store = Arc::clone(&store);
                tokio::spawn(async move { store.append(&event(Outcome::Ok)).await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap().unwrap();
        }
    }
    for _ in 0..3 {
        store.append(&event(Outcome::Ok)).await.unwrap();
    }
    let status = store.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Holds { rows: 1_203, .. }),
        "{status:?}"
    );
    backend
        .tamper("UPDATE audit_event SET salt = NULL, payload = NULL WHERE seq = 1202")
        .await;
    let status = store.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Broken { seq: 1_202, .. }),
        "{status:?}"
    );
}

pub(super) async fn the_chain_can_be_verified_while_it_grows(backend: &impl Backend) {
    let store = Arc::new(backend.open().await);
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..100 {
                store.append(&event(Outcome::Ok)).await.unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let status = store.verify_chain().await.unwrap();
        assert!(matches!(status, ChainStatus::Holds { .. }), "{status:?}");
    }
    writer.await.unwrap();
}

pub(super) async fn erased_rows_are_taken_only_where_the_log_says_so(backend: &impl Backend) {
    let store = three_rows(backend).await;
    let record = AuditEvent::new(NOW, Action::AuditErase, Outcome::Ok, Actor::System);
    let later = Retirement::Erase(NOW + Duration::seconds(1));
    let retired = store.retire(&later, &record).await.unwrap().unwrap();
    assert_eq!((retired.through, retired.recorded_at), (3, 4));
    let report = store.walk_chain(&|_, _| ()).await.unwrap();
    assert_eq!((report.erased, report.dropped_through), (3, 0));
    assert!(
        matches!(report.status, ChainStatus::Holds { rows: 4, .. }),
        "{report:?}"
    );
    assert_eq!(everything(&store).await.len(), 1);
    // The record itself is erased with the next, which says the same and more.
    store.append(&event(Outcome::Ok)).await.unwrap();
    let retired = store.retire(&later, &record).await.unwrap().unwrap();
    assert_eq!((retired.through, retired.recorded_at), (5, 6));
    assert_eq!(store.walk_chain(&|_, _| ()).await.unwrap().erased, 5);
    backend
        .tamper(
            "UPDATE audit_event SET payload = NULL, salt = NULL, connector = NULL,
                 subject = NULL, username = NULL WHERE seq = 6",
        )
        .await;
    // Without the record nothing says that the rows before it may be erased either.
    let status = store.verify_chain().await.unwrap();
    assert!(
        matches!(status, ChainStatus::Broken { seq: 1, .. }),
        "{status:?}"
    );
}

pub(super) async fn dropped_rows_leave_a_chain_that_begins_behind_them(backend: &impl Backend) {
    let store = three_rows(backend).await;
    let record = AuditEvent::new(NOW, Action::AuditErase, Outcome::Ok, Actor::System);
    let at = |hash: &str| Retirement::Drop {
        at: ChainHead {
            seq: 2,
            hash: hash.to_owned(),
        },
        checkpoint: "signed".to_owned(),
    };
    let error = store.retire(&at("other"), &record).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(everything(&store).await.len(), 3);
    let hash = store.chain_hash(2).await.unwrap().unwrap();
    store.retire(&at(&hash), &record).await.unwrap().unwrap();
    let places: Vec<i64> = everything(&store).await.iter().map(|row| row.seq).collect();
    assert_eq!(places, [4, 3]);
    assert_eq!(store.chain_hash(2).await.unwrap(), Some(hash.clone()));
    let report = store.walk_chain(&|_, _| ()).await.unwrap();
    assert_eq!(report.dropped_behind.as_deref(), Some("signed"));
    assert!(
        matches!(report.status, ChainStatus::Holds { rows: 2, .. }),
        "{report:?}"
    );
    assert_eq!(store.retire(&at(&hash), &record).await.unwrap(), None);
}

pub(super) async fn a_stream_knows_where_it_is(backend: &impl Backend) {
    let store = three_rows(backend).await;
    assert_eq!(store.stream_cursor("stdout").await.unwrap(), 0);
    store.move_stream_cursor("stdout", 2).await.unwrap();
    let again = backend.open().await;
    assert_eq!(again.stream_cursor("stdout").await.unwrap(), 2);
    assert_eq!(again.stream_cursor("syslog").await.unwrap(), 0);
    let lines = again.audit_lines(2, 10).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].seq, 3);
    assert!(lines[0].payload.is_some());
}
