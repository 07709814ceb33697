//! Access reviews.

use rolegate::{
    access::MappingId,
    audit::{Action, AuditEvent, Outcome},
    store::{
        AccessReview, AccessReviews as _, AuditFilter, ReviewDecision, ReviewItem, StoreError,
    },
};
use time::Duration;

use super::{Backend, NOW, ada, edits::rows};

fn review(id: &str) -> AccessReview {
    AccessReview {
        id: id.to_owned(),
        name: "Q4".to_owned(),
        scope: "account Payments".to_owned(),
        created_by: ada(),
        created_at: NOW,
        due_at: Some(NOW + Duration::days(14)),
        closed_at: None,
        closed_by: None,
        items: 0,
        decided: 0,
    }
}

fn item(number: u32) -> ReviewItem {
    ReviewItem {
        row: row(number),
        group: format!("corp:cn={number:05}"),
        role: "arn:aws:iam::111122223333:role/ReadOnly".to_owned(),
        people: number,
        keep: None,
        note: None,
        decided_by: None,
        decided_at: None,
    }
}

fn row(number: u32) -> MappingId {
    MappingId(format!("m-{number}"))
}

fn event(action: Action) -> AuditEvent {
    AuditEvent::new(NOW + Duration::days(1), action, Outcome::Ok, ada())
}

fn decision(keep: bool) -> ReviewDecision {
    ReviewDecision {
        keep,
        note: Some("asked the team".to_owned()),
        by: ada(),
        at: NOW + Duration::hours(1),
    }
}

pub(super) async fn a_review_is_read_back_with_its_items_in_order(backend: &impl Backend) {
    let store = backend.open().await;
    let items: Vec<_> = (0..1_201).rev().map(item).collect();
    let start = event(Action::ReviewStart);
    store
        .start_review(&review("r-1"), &items, &start)
        .await
        .unwrap();
    let (found, listed) = store.review("r-1").await.unwrap().unwrap();
    let expected = AccessReview {
        items: 1_201,
        ..review("r-1")
    };
    assert_eq!(found, expected);
    assert_eq!(listed, (0..1_201).map(item).collect::<Vec<_>>());
    assert_eq!(store.review("r-2").await.unwrap(), None);
    let error = store
        .start_review(&review("r-1"), &[], &start)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    let error = store
        .start_review(&review("r-2"), &[item(1), item(1)], &start)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(store.reviews().await.unwrap(), [expected]);
    assert_eq!(rows(&store, AuditFilter::default()).await.len(), 1);
}

pub(super) async fn reviews_are_listed_newest_first_with_their_counts(backend: &impl Backend) {
    let store = backend.open().await;
    let later = AccessReview {
        created_at: NOW + Duration::days(1),
        due_at: None,
        ..review("r-2")
    };
    let start = event(Action::ReviewStart);
    let items = [item(1), item(2), item(3)];
    store
        .start_review(&review("r-1"), &items, &start)
        .await
        .unwrap();
    store.start_review(&later, &[], &start).await.unwrap();
    let decide = event(Action::ReviewDecide);
    store
        .decide_review("r-1", &[row(1), row(3)], &decision(false), &decide)
        .await
        .unwrap();
    let earlier = AccessReview {
        items: 3,
        decided: 2,
        ..review("r-1")
    };
    assert_eq!(store.reviews().await.unwrap(), [later, earlier]);
}

pub(super) async fn items_are_decided_and_decided_anew_until_the_review_is_closed(
    backend: &impl Backend,
) {
    let store = backend.open().await;
    let items: Vec<_> = (0..600).map(item).collect();
    let start = event(Action::ReviewStart);
    store
        .start_review(&review("r-1"), &items, &start)
        .await
        .unwrap();
    let most: Vec<_> = (0..599).map(row).collect();
    let decide = event(Action::ReviewDecide);
    store
        .decide_review("r-1", &most, &decision(true), &decide)
        .await
        .unwrap();
    let close = event(Action::ReviewClose);
    let error = store.close_review("r-1", &ada(), &close).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(error.to_string(), "1 item is still open: decide it first");
    store
        .decide_review("r-1", &[row(599), row(0)], &decision(false), &decide)
        .await
        .unwrap();
    store.close_review("r-1", &ada(), &close).await.unwrap();
    let (closed, items) = store.review("r-1").await.unwrap().unwrap();
    assert_eq!((closed.items, closed.decided), (600, 600));
    assert_eq!(closed.closed_at, Some(close.at));
    assert_eq!(closed.closed_by, Some(ada()));
    let ended: Vec<_> = items
        .iter()
        .filter(|item| item.keep == Some(false))
        .collect();
    assert_eq!(ended.len(), 2);
    let expected = ReviewItem {
        keep: Some(false),
        note: decision(false).note,
        decided_by: Some(ada()),
        decided_at: Some(decision(false).at),
        ..item(599)
    };
    assert_eq!(*ended[1], expected);
    let error = store
        .decide_review("r-1", &[row(0)], &decision(true), &decide)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    let error = store.close_review("r-1", &ada(), &close).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(rows(&store, AuditFilter::default()).await.len(), 4);
}

pub(super) async fn what_is_not_in_a_review_cannot_be_decided(backend: &impl Backend) {
    let store = backend.open().await;
    let start = event(Action::ReviewStart);
    store
        .start_review(&review("r-1"), &[item(1)], &start)
        .await
        .unwrap();
    let decide = event(Action::ReviewDecide);
    let foreign = [row(1), row(2)];
    let error = store
        .decide_review("r-1", &foreign, &decision(true), &decide)
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "item m-2 of the review does not exist");
    let error = store
        .decide_review("r-2", &[row(1)], &decision(true), &decide)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    let error = store
        .decide_review("r-1", &[], &decision(true), &decide)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    let close = event(Action::ReviewClose);
    let error = store.close_review("r-2", &ada(), &close).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound(_)), "{error}");
    assert_eq!(store.reviews().await.unwrap()[0].decided, 0);
    assert_eq!(rows(&store, AuditFilter::default()).await.len(), 1);
}
