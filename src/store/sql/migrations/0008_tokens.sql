-- A client that holds broker tokens has a session of its own; `device` is JSON, NULL for browsers.
ALTER TABLE sign_in_session ADD COLUMN device TEXT;

-- Broker tokens, by their SHA-256. They go with the session. `scopes` has blanks between the words.
CREATE TABLE broker_token (
    hash TEXT NOT NULL PRIMARY KEY,
    session TEXT NOT NULL REFERENCES sign_in_session (id_hash) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    client TEXT,
    scopes TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    used_ms BIGINT
);
CREATE INDEX broker_token_by_session ON broker_token (session);
CREATE INDEX broker_token_by_end ON broker_token (expires_ms);

-- What clients asked people for, by the SHA-256 of the code. `approved_by` is the browser's session.
-- One that was redeemed stays as long as the session that was made of it, so that a second use of the
-- code is noticed.
CREATE TABLE client_authorization (
    hash TEXT NOT NULL PRIMARY KEY,
    user_code_hash TEXT,
    client TEXT NOT NULL,
    client_name TEXT NOT NULL,
    client_address TEXT NOT NULL,
    scopes TEXT NOT NULL,
    redirect_uri TEXT,
    code_challenge TEXT,
    state TEXT NOT NULL,
    approved_by TEXT,
    session TEXT REFERENCES sign_in_session (id_hash) ON DELETE CASCADE,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    polled_ms BIGINT
);
CREATE UNIQUE INDEX client_authorization_by_user_code ON client_authorization (user_code_hash)
    WHERE user_code_hash IS NOT NULL;
CREATE INDEX client_authorization_by_session ON client_authorization (session);
CREATE INDEX client_authorization_by_end ON client_authorization (expires_ms);
