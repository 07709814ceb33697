//! Broker tokens, and the authorizations they come from.

use async_trait::async_trait;
use sqlx::FromRow;
use time::OffsetDateTime;

use super::{
    SqlStore,
    audit::{self, Entry},
    column::{instant, milliseconds, unreadable},
    dialect::Connection,
    session::{self, SessionRow, is_hash},
    writer::{Write, Written},
};
use crate::{
    access::TokenScopes,
    audit::AuditEvent,
    store::{
        Authorization, AuthorizationState, BrokerToken, BrokerTokens, SignInSession, StoreError,
        TokenKind,
    },
};

/// A change of broker tokens or authorizations.
#[derive(Debug)]
pub(super) enum Step {
    Begin {
        authorization: Box<Authorization>,
        entry: Option<Box<Entry>>,
    },
    Decide {
        hash: String,
        approved_by: Option<String>,
        at: OffsetDateTime,
        entry: Box<Entry>,
    },
    NotePoll {
        hash: String,
        at: OffsetDateTime,
    },
    Redeem {
        hash: String,
        session: Box<SignInSession>,
        tokens: Vec<BrokerToken>,
        entry: Box<Entry>,
    },
    BeginDevice {
        session: Box<SignInSession>,
        tokens: Vec<BrokerToken>,
        entry: Box<Entry>,
    },
    Rotate {
        hash: String,
        at: OffsetDateTime,
        followers: Vec<BrokerToken>,
        entry: Box<Entry>,
    },
    Sweep(OffsetDateTime),
}

#[async_trait]
impl BrokerTokens for SqlStore {
    async fn begin_authorization(
        &self,
        authorization: &Authorization,
        event: Option<&AuditEvent>,
    ) -> Result<(), StoreError> {
        let hashes = [&authorization.hash, &authorization.client];
        refuse_secrets(hashes.into_iter().chain(&authorization.user_code_hash))?;
        let step = Step::Begin {
            authorization: Box::new(authorization.clone()),
            entry: event.map(Entry::of).transpose()?.map(Box::new),
        };
        match self.token_step(step).await?.rows {
            0 => Err(StoreError::Conflict(
                "an authorization with this code was begun already".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    async fn authorization(&self, hash: &str) -> Result<Option<Authorization>, StoreError> {
        sqlx::query_as::<_, AuthorizationRow>("SELECT * FROM client_authorization WHERE hash = $1")
            .bind(hash)
            .fetch_optional(&mut *self.reader().await?)
            .await?
            .map(AuthorizationRow::authorization)
            .transpose()
    }

    async fn waiting_authorization(
        &self,
        user_code_hash: &str,
        now: OffsetDateTime,
    ) -> Result<Option<Authorization>, StoreError> {
        let sql = "SELECT * FROM client_authorization
             WHERE user_code_hash = $1 AND state = $2 AND expires_ms > $3";
        sqlx::query_as::<_, AuthorizationRow>(sql)
            .bind(user_code_hash)
            .bind(state_name(AuthorizationState::Waiting))
            .bind(milliseconds(now))
            .fetch_optional(&mut *self.reader().await?)
            .await?
            .map(AuthorizationRow::authorization)
            .transpose()
    }

    async fn decide_authorization(
        &self,
        hash: &str,
        approved_by: Option<&str>,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let step = Step::Decide {
            hash: hash.to_owned(),
            approved_by: approved_by.map(str::to_owned),
            at: event.at,
            entry: Box::new(Entry::of(event)?),
        };
        self.token_step(step).await.map(|written| written.rows == 1)
    }

    async fn note_poll(&self, hash: &str, at: OffsetDateTime) -> Result<(), StoreError> {
        let hash = hash.to_owned();
        self.token_step(Step::NotePoll { hash, at })
            .await
            .map(|_| ())
    }

    async fn redeem_authorization(
        &self,
        hash: &str,
        session: &SignInSession,
        tokens: &[BrokerToken],
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        refuse_misfits(session, tokens)?;
        let step = Step::Redeem {
            hash: hash.to_owned(),
            session: Box::new(session.clone()),
            tokens: tokens.to_vec(),
            entry: Box::new(Entry::of(event)?),
        };
        self.token_step(step).await.map(|written| written.rows == 1)
    }

    async fn begin_device(
        &self,
        session: &SignInSession,
        tokens: &[BrokerToken],
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        refuse_misfits(session, tokens)?;
        let step = Step::BeginDevice {
            session: Box::new(session.clone()),
            tokens: tokens.to_vec(),
            entry: Box::new(Entry::of(event)?),
        };
        self.token_step(step).await.map(|_| ())
    }

    async fn broker_token(
        &self,
        hash: &str,
    ) -> Result<Option<(BrokerToken, SignInSession)>, StoreError> {
        let mut reader = self.reader().await?;
        let token: Option<TokenRow> = sqlx::query_as("SELECT * FROM broker_token WHERE hash = $1")
            .bind(hash)
            .fetch_optional(&mut *reader)
            .await?;
        let Some(token) = token else {
            return Ok(None);
        };
        // It may have ended between the two readings; then it has ended.
        let session: Option<SessionRow> =
            sqlx::query_as("SELECT * FROM sign_in_session WHERE id_hash = $1")
                .bind(&token.session)
                .fetch_optional(&mut *reader)
                .await?;
        session
            .map(|session| Ok((token.token()?, session.session()?)))
            .transpose()
    }

    async fn rotate_token(
        &self,
        hash: &str,
        followers: &[BrokerToken],
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        refuse_secrets(followers.iter().flat_map(hashes))?;
        let step = Step::Rotate {
            hash: hash.to_owned(),
            at: event.at,
            followers: followers.to_vec(),
            entry: Box::new(Entry::of(event)?),
        };
        self.token_step(step).await.map(|written| written.rows == 1)
    }

    async fn sweep_tokens(&self, now: OffsetDateTime) -> Result<u64, StoreError> {
        self.token_step(Step::Sweep(now))
            .await
            .map(|written| written.rows)
    }
}

impl SqlStore {
    async fn token_step(&self, step: Step) -> Result<Written, StoreError> {
        self.writer.submit(Write::Token(step)).await
    }
}

fn hashes(token: &BrokerToken) -> impl Iterator<Item = &String> {
    [&token.hash, &token.session]
        .into_iter()
        .chain(&token.client)
}

/// Whatever came instead of a hash may be the secret itself: it is neither stored nor told.
fn refuse_secrets<'a>(hashes: impl IntoIterator<Item = &'a String>) -> Result<(), StoreError> {
    if hashes.into_iter().all(|hash| is_hash(hash)) {
        return Ok(());
    }
    let message = "broker tokens, codes and clients are stored under their SHA-256".to_owned();
    Err(StoreError::Conflict(message))
}

/// A device's session and its tokens have to be just that.
fn refuse_misfits(session: &SignInSession, tokens: &[BrokerToken]) -> Result<(), StoreError> {
    refuse_secrets(std::iter::once(&session.id_hash).chain(tokens.iter().flat_map(hashes)))?;
    let are_its_own = tokens.iter().all(|token| token.session == session.id_hash);
    if session.device.is_none() || !are_its_own {
        let message = "broker tokens belong to the session of a device".to_owned();
        return Err(StoreError::Conflict(message));
    }
    Ok(())
}

pub(super) async fn perform(
    connection: &mut Connection,
    step: &Step,
) -> Result<Written, StoreError> {
    match step {
        Step::Begin {
            authorization,
            entry,
        } => begin(connection, authorization, entry.as_deref()).await,
        Step::Decide {
            hash,
            approved_by,
            at,
            entry,
        } => decide(connection, (hash, approved_by.as_deref()), *at, entry).await,
        Step::NotePoll { hash, at } => note_poll(connection, hash, *at).await,
        Step::Redeem {
            hash,
            session,
            tokens,
            entry,
        } => redeem(connection, hash, session, tokens, entry).await,
        Step::BeginDevice {
            session,
            tokens,
            entry,
        } => begin_device(connection, session, tokens, entry).await,
        Step::Rotate {
            hash,
            at,
            followers,
            entry,
        } => rotate(connection, hash, *at, followers, entry).await,
        Step::Sweep(now) => sweep(connection, *now).await,
    }
}

async fn begin(
    connection: &mut Connection,
    authorization: &Authorization,
    entry: Option<&Entry>,
) -> Result<Written, StoreError> {
    let sql = "INSERT INTO client_authorization (hash, user_code_hash, client, client_name,
             client_address, scopes, redirect_uri, code_challenge, state, approved_by, session,
             created_ms, expires_ms, polled_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql)
        .bind(&authorization.hash)
        .bind(&authorization.user_code_hash)
        .bind(&authorization.client)
        .bind(&authorization.client_name)
        .bind(&authorization.client_address)
        .bind(authorization.scopes.to_string())
        .bind(&authorization.redirect_uri)
        .bind(&authorization.code_challenge)
        .bind(state_name(authorization.state))
        .bind(&authorization.approved_by)
        .bind(&authorization.session)
        .bind(milliseconds(authorization.created_at))
        .bind(milliseconds(authorization.expires_at))
        .bind(authorization.polled_at.map(milliseconds))
        .execute(&mut *connection)
        .await?;
    if let (1, Some(entry)) = (done.rows_affected(), entry) {
        audit::append(connection, entry).await?;
    }
    Ok(Written::rows(done.rows_affected()))
}

async fn decide(
    connection: &mut Connection,
    (hash, approved_by): (&str, Option<&str>),
    at: OffsetDateTime,
    entry: &Entry,
) -> Result<Written, StoreError> {
    let state = match approved_by {
        Some(_) => AuthorizationState::Approved,
        None => AuthorizationState::Declined,
    };
    let sql = "UPDATE client_authorization SET state = $2, approved_by = $3
         WHERE hash = $1 AND state = $4 AND expires_ms > $5";
    let done = sqlx::query(sql)
        .bind(hash)
        .bind(state_name(state))
        .bind(approved_by)
        .bind(state_name(AuthorizationState::Waiting))
        .bind(milliseconds(at))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 1 {
        audit::append(connection, entry).await?;
    }
    Ok(Written::rows(done.rows_affected()))
}

async fn note_poll(
    connection: &mut Connection,
    hash: &str,
    at: OffsetDateTime,
) -> Result<Written, StoreError> {
    let done = sqlx::query("UPDATE client_authorization SET polled_ms = $2 WHERE hash = $1")
        .bind(hash)
        .bind(milliseconds(at))
        .execute(connection)
        .await?;
    Ok(Written::rows(done.rows_affected()))
}

/// The browser that agreed has to be signed in still, in this very transaction: whoever was signed out
/// everywhere a moment ago gets no device.
async fn redeem(
    connection: &mut Connection,
    hash: &str,
    session: &SignInSession,
    tokens: &[BrokerToken],
    entry: &Entry,
) -> Result<Written, StoreError> {
    let sql = "UPDATE client_authorization SET state = $2 WHERE hash = $1 AND state = $3
             AND EXISTS (SELECT 1 FROM sign_in_session s
                 WHERE s.id_hash = client_authorization.approved_by AND s.device IS NULL)";
    let done = sqlx::query(sql)
        .bind(hash)
        .bind(state_name(AuthorizationState::Redeemed))
        .bind(state_name(AuthorizationState::Approved))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 0 {
        return Ok(Written::rows(0));
    }
    begin_device(connection, session, tokens, entry).await?;
    sqlx::query("UPDATE client_authorization SET session = $2 WHERE hash = $1")
        .bind(hash)
        .bind(&session.id_hash)
        .execute(connection)
        .await?;
    Ok(Written::rows(1))
}

async fn begin_device(
    connection: &mut Connection,
    session: &SignInSession,
    tokens: &[BrokerToken],
    entry: &Entry,
) -> Result<Written, StoreError> {
    session::save(connection, session).await?;
    insert(connection, tokens).await?;
    audit::append(connection, entry).await?;
    Ok(Written::rows(1))
}

async fn rotate(
    connection: &mut Connection,
    hash: &str,
    at: OffsetDateTime,
    followers: &[BrokerToken],
    entry: &Entry,
) -> Result<Written, StoreError> {
    let sql = "UPDATE broker_token SET used_ms = $2
         WHERE hash = $1 AND kind = $3 AND used_ms IS NULL";
    let done = sqlx::query(sql)
        .bind(hash)
        .bind(milliseconds(at))
        .bind(kind_name(TokenKind::Refresh))
        .execute(&mut *connection)
        .await?;
    if done.rows_affected() == 1 {
        insert(connection, followers).await?;
        audit::append(connection, entry).await?;
    }
    Ok(Written::rows(done.rows_affected()))
}

async fn insert(connection: &mut Connection, tokens: &[BrokerToken]) -> Result<(), StoreError> {
    let sql = "INSERT INTO broker_token (hash, session, kind, client, scopes, created_ms,
             expires_ms, used_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    for token in tokens {
        sqlx::query(sql)
            .bind(&token.hash)
            .bind(&token.session)
            .bind(kind_name(token.kind))
            .bind(&token.client)
            .bind(token.scopes.to_string())
            .bind(milliseconds(token.created_at))
            .bind(milliseconds(token.expires_at))
            .bind(token.used_at.map(milliseconds))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What belongs to a session that has ended went with it.
async fn sweep(connection: &mut Connection, now: OffsetDateTime) -> Result<Written, StoreError> {
    let ended = [
        "DELETE FROM broker_token WHERE expires_ms <= $1 AND used_ms IS NULL",
        "DELETE FROM client_authorization WHERE expires_ms <= $1 AND session IS NULL",
    ];
    let mut rows = 0;
    for sql in ended {
        let done = sqlx::query(sql)
            .bind(milliseconds(now))
            .execute(&mut *connection)
            .await?;
        rows += done.rows_affected();
    }
    Ok(Written::rows(rows))
}

fn kind_name(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Access => "access",
        TokenKind::Refresh => "refresh",
    }
}

fn state_name(state: AuthorizationState) -> &'static str {
    match state {
        AuthorizationState::Waiting => "waiting",
        AuthorizationState::Approved => "approved",
        AuthorizationState::Declined => "declined",
        AuthorizationState::Redeemed => "redeemed",
    }
}

fn scopes(text: &str) -> Result<TokenScopes, StoreError> {
    text.parse().map_err(|error| unreadable("scopes", error))
}

#[derive(FromRow)]
struct TokenRow {
    hash: String,
    session: String,
    kind: String,
    client: Option<String>,
    scopes: String,
    created_ms: i64,
    expires_ms: i64,
    used_ms: Option<i64>,
}

impl TokenRow {
    fn token(self) -> Result<BrokerToken, StoreError> {
        Ok(BrokerToken {
            kind: match self.kind.as_str() {
                "access" => TokenKind::Access,
                "refresh" => TokenKind::Refresh,
                other => return Err(unreadable("a token's kind", other)),
            },
            scopes: scopes(&self.scopes)?,
            created_at: instant(self.created_ms)?,
            expires_at: instant(self.expires_ms)?,
            used_at: self.used_ms.map(instant).transpose()?,
            hash: self.hash,
            session: self.session,
            client: self.client,
        })
    }
}

#[derive(FromRow)]
struct AuthorizationRow {
    hash: String,
    user_code_hash: Option<String>,
    client: String,
    client_name: String,
    client_address: String,
    scopes: String,
    redirect_uri: Option<String>,
    code_challenge: Option<String>,
    state: String,
    approved_by: Option<String>,
    session: Option<String>,
    created_ms: i64,
    expires_ms: i64,
    polled_ms: Option<i64>,
}

impl AuthorizationRow {
    fn authorization(self) -> Result<Authorization, StoreError> {
        Ok(Authorization {
            state: match self.state.as_str() {
                "waiting" => AuthorizationState::Waiting,
                "approved" => AuthorizationState::Approved,
                "declined" => AuthorizationState::Declined,
                "redeemed" => AuthorizationState::Redeemed,
                other => return Err(unreadable("an authorization's state", other)),
            },
            scopes: scopes(&self.scopes)?,
            created_at: instant(self.created_ms)?,
            expires_at: instant(self.expires_ms)?,
            polled_at: self.polled_ms.map(instant).transpose()?,
            hash: self.hash,
            user_code_hash: self.user_code_hash,
            client: self.client,
            client_name: self.client_name,
            client_address: self.client_address,
            redirect_uri: self.redirect_uri,
            code_challenge: self.code_challenge,
            approved_by: self.approved_by,
            session: self.session,
        })
    }
}
