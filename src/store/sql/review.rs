//! Access reviews.

use std::collections::HashSet;

use async_trait::async_trait;
use sqlx::{Connection as _, FromRow, QueryBuilder};

use super::{
    SqlStore,
    audit::{self, Entry},
    column::{from_json, instant, json, milliseconds, unreadable},
    dialect::{Connection, Database},
    writer::{Write, Written},
};
use crate::{
    access::MappingId,
    audit::{Actor, AuditEvent},
    store::{AccessReview, AccessReviews, ReviewDecision, ReviewItem, StoreError},
};

/// How many items one statement names; databases limit the parameters of one.
const CHUNK: usize = 500;

/// A change of the reviews.
#[derive(Debug)]
pub(super) enum Step {
    Start {
        review: Box<AccessReview>,
        items: Vec<ReviewItem>,
        entry: Box<Entry>,
    },
    Decide {
        id: String,
        rows: Vec<MappingId>,
        decision: ReviewDecision,
        entry: Box<Entry>,
    },
    Close {
        id: String,
        by: Actor,
        closed_ms: i64,
        entry: Box<Entry>,
    },
}

#[async_trait]
impl AccessReviews for SqlStore {
    /// A review begins with all items open, whatever `items` say of decisions.
    async fn start_review(
        &self,
        review: &AccessReview,
        items: &[ReviewItem],
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        let mut rows = HashSet::new();
        if let Some(item) = items.iter().find(|item| !rows.insert(&item.row)) {
            let message = format!("{} is in the review twice", item.row);
            return Err(StoreError::Conflict(message));
        }
        let step = Step::Start {
            review: Box::new(review.clone()),
            items: items.to_vec(),
            entry: Box::new(Entry::of(event)?),
        };
        self.writer.submit(Write::Review(step)).await.map(|_| ())
    }

    async fn reviews(&self) -> Result<Vec<AccessReview>, StoreError> {
        let sql = "SELECT r.*, COUNT(i.row_id) AS items, COUNT(i.keep) AS decided
             FROM access_review r LEFT JOIN access_review_item i ON i.review = r.id
             GROUP BY r.id ORDER BY r.created_ms DESC, r.id DESC";
        let rows: Vec<ReviewRow> = sqlx::query_as(sql)
            .fetch_all(&mut *self.reader().await?)
            .await?;
        rows.into_iter().map(ReviewRow::review).collect()
    }

    async fn review(
        &self,
        id: &str,
    ) -> Result<Option<(AccessReview, Vec<ReviewItem>)>, StoreError> {
        let mut reader = self.reader().await?;
        let mut transaction = reader.begin().await?;
        let sql = "SELECT r.*, COUNT(i.row_id) AS items, COUNT(i.keep) AS decided
             FROM access_review r LEFT JOIN access_review_item i ON i.review = r.id
             WHERE r.id = $1 GROUP BY r.id";
        let review: Option<ReviewRow> = sqlx::query_as(sql)
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(review) = review else {
            return Ok(None);
        };
        let sql = "SELECT * FROM access_review_item WHERE review = $1
             ORDER BY role, group_key, row_id";
        let items: Vec<ItemRow> = sqlx::query_as(sql)
            .bind(id)
            .fetch_all(&mut *transaction)
            .await?;
        let items: Result<_, _> = items.into_iter().map(ItemRow::item).collect();
        Ok(Some((review.review()?, items?)))
    }

    async fn decide_review(
        &self,
        id: &str,
        rows: &[MappingId],
        decision: &ReviewDecision,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            let message = "no item was chosen: choose those to keep or to end".to_owned();
            return Err(StoreError::Conflict(message));
        }
        let step = Step::Decide {
            id: id.to_owned(),
            rows: rows.to_vec(),
            decision: decision.clone(),
            entry: Box::new(Entry::of(event)?),
        };
        self.writer.submit(Write::Review(step)).await.map(|_| ())
    }

    async fn close_review(
        &self,
        id: &str,
        by: &Actor,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        let step = Step::Close {
            id: id.to_owned(),
            by: by.clone(),
            closed_ms: milliseconds(event.at),
            entry: Box::new(Entry::of(event)?),
        };
        self.writer.submit(Write::Review(step)).await.map(|_| ())
    }
}

/// Each checks first: what is refused has changed nothing.
pub(super) async fn perform(
    connection: &mut Connection,
    step: &Step,
) -> Result<Written, StoreError> {
    let entry = match step {
        Step::Start {
            review,
            items,
            entry,
        } => {
            start(connection, review, items).await?;
            entry
        }
        Step::Decide {
            id,
            rows,
            decision,
            entry,
        } => {
            refuse_closed(connection, id).await?;
            refuse_unknown(connection, id, rows).await?;
            decide(connection, id, rows, decision).await?;
            entry
        }
        Step::Close {
            id,
            by,
            closed_ms,
            entry,
        } => {
            refuse_closed(connection, id).await?;
            refuse_undecided(connection, id).await?;
            sqlx::query("UPDATE access_review SET closed_by = $2, closed_ms = $3 WHERE id = $1")
                .bind(id)
                .bind(json(by)?)
                .bind(closed_ms)
                .execute(&mut *connection)
                .await?;
            entry
        }
    };
    audit::append(connection, entry).await.map(Written::at)
}

async fn start(
    connection: &mut Connection,
    review: &AccessReview,
    items: &[ReviewItem],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO access_review (id, name, scope, created_by, created_ms, due_ms)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO NOTHING";
    let done = sqlx::query(sql)
        .bind(&review.id)
        .bind(&review.name)
        .bind(&review.scope)
        .bind(json(&review.created_by)?)
        .bind(milliseconds(review.created_at))
        .bind(review.due_at.map(milliseconds))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        let message = format!("the access review {} is there already", review.id);
        return Err(StoreError::Conflict(message));
    }
    for chunk in items.chunks(CHUNK) {
        let mut insert = QueryBuilder::<Database>::new(
            "INSERT INTO access_review_item (review, row_id, group_key, role, people) ",
        );
        insert.push_values(chunk, |mut row, item| {
            row.push_bind(&review.id)
                .push_bind(&item.row.0)
                .push_bind(&item.group)
                .push_bind(&item.role)
                .push_bind(i64::from(item.people));
        });
        insert.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn refuse_closed(connection: &mut Connection, id: &str) -> Result<(), StoreError> {
    let closed: Option<Option<i64>> =
        sqlx::query_scalar("SELECT closed_ms FROM access_review WHERE id = $1")
            .bind(id)
            .fetch_optional(connection)
            .await?;
    match closed {
        Some(None) => Ok(()),
        Some(Some(_)) => {
            let message = "the access review is closed: begin another one".to_owned();
            Err(StoreError::Conflict(message))
        }
        None => Err(StoreError::NotFound(format!("access review {id}"))),
    }
}

async fn refuse_unknown(
    connection: &mut Connection,
    id: &str,
    rows: &[MappingId],
) -> Result<(), StoreError> {
    for chunk in rows.chunks(CHUNK) {
        let mut query =
            QueryBuilder::<Database>::new("SELECT row_id FROM access_review_item WHERE review = ");
        query.push_bind(id);
        among(&mut query, chunk);
        let known: HashSet<String> = (query.build_query_scalar().fetch_all(&mut *connection))
            .await?
            .into_iter()
            .collect();
        if let Some(row) = chunk.iter().find(|row| !known.contains(&row.0)) {
            return Err(StoreError::NotFound(format!("item {row} of the review")));
        }
    }
    Ok(())
}

async fn refuse_undecided(connection: &mut Connection, id: &str) -> Result<(), StoreError> {
    let open: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM access_review_item WHERE review = $1 AND keep IS NULL",
    )
    .bind(id)
    .fetch_one(connection)
    .await?;
    let message = match open {
        0 => return Ok(()),
        1 => "1 item is still open: decide it first".to_owned(),
        _ => format!("{open} items are still open: decide them first"),
    };
    Err(StoreError::Conflict(message))
}

async fn decide(
    connection: &mut Connection,
    id: &str,
    rows: &[MappingId],
    decision: &ReviewDecision,
) -> Result<(), StoreError> {
    let by = json(&decision.by)?;
    for chunk in rows.chunks(CHUNK) {
        let mut update = QueryBuilder::<Database>::new("UPDATE access_review_item SET keep = ");
        update
            .push_bind(i64::from(decision.keep))
            .push(", note = ")
            .push_bind(&decision.note)
            .push(", decided_by = ")
            .push_bind(&by)
            .push(", decided_ms = ")
            .push_bind(milliseconds(decision.at))
            .push(" WHERE review = ")
            .push_bind(id);
        among(&mut update, chunk);
        update.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn among(query: &mut QueryBuilder<Database>, rows: &[MappingId]) {
    query.push(" AND row_id IN (");
    let mut list = query.separated(", ");
    for row in rows {
        list.push_bind(row.0.clone());
    }
    query.push(")");
}

#[derive(FromRow)]
struct ReviewRow {
    id: String,
    name: String,
    scope: String,
    created_by: String,
    created_ms: i64,
    due_ms: Option<i64>,
    closed_ms: Option<i64>,
    closed_by: Option<String>,
    items: i64,
    decided: i64,
}

impl ReviewRow {
    fn review(self) -> Result<AccessReview, StoreError> {
        Ok(AccessReview {
            id: self.id,
            name: self.name,
            scope: self.scope,
            created_by: from_json(&self.created_by)?,
            created_at: instant(self.created_ms)?,
            due_at: self.due_ms.map(instant).transpose()?,
            closed_at: self.closed_ms.map(instant).transpose()?,
            closed_by: self.closed_by.as_deref().map(from_json).transpose()?,
            items: count(self.items)?,
            decided: count(self.decided)?,
        })
    }
}

#[derive(FromRow)]
struct ItemRow {
    row_id: String,
    group_key: String,
    role: String,
    people: i64,
    keep: Option<i64>,
    note: Option<String>,
    decided_by: Option<String>,
    decided_ms: Option<i64>,
}

impl ItemRow {
    fn item(self) -> Result<ReviewItem, StoreError> {
        Ok(ReviewItem {
            row: MappingId(self.row_id),
            group: self.group_key,
            role: self.role,
            people: count(self.people)?,
            keep: self.keep.map(|keep| keep != 0),
            note: self.note,
            decided_by: self.decided_by.as_deref().map(from_json).transpose()?,
            decided_at: self.decided_ms.map(instant).transpose()?,
        })
    }
}

fn count(number: i64) -> Result<u32, StoreError> {
    u32::try_from(number).map_err(|error| unreadable("a count", error))
}
