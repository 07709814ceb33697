-- Sign-in at providers: what a session rests on there, and what its conversations leave behind.

ALTER TABLE sign_in_session ADD COLUMN authentication_context TEXT;
ALTER TABLE sign_in_session ADD COLUMN asserted_roles TEXT NOT NULL DEFAULT '[]';
-- The provider's whole session; name and index stand beside it to be looked up.
ALTER TABLE sign_in_session ADD COLUMN provider_session TEXT;
ALTER TABLE sign_in_session ADD COLUMN provider_name_id TEXT;
ALTER TABLE sign_in_session ADD COLUMN provider_session_index TEXT;
CREATE INDEX sign_in_session_by_provider ON sign_in_session (connector, provider_name_id)
    WHERE provider_name_id IS NOT NULL;

-- The browser's secret is in its cookie; only its SHA-256 comes here.
CREATE TABLE pending_sign_in (
    connector TEXT NOT NULL,
    id TEXT NOT NULL,
    browser_hash TEXT NOT NULL,
    relay_state TEXT NOT NULL,
    next TEXT NOT NULL,
    subject TEXT,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    PRIMARY KEY (connector, id)
);
CREATE INDEX pending_sign_in_by_end ON pending_sign_in (expires_ms);

CREATE TABLE used_answer (
    connector TEXT NOT NULL,
    answer_id TEXT NOT NULL,
    keep_until_ms BIGINT NOT NULL,
    PRIMARY KEY (connector, answer_id)
);
CREATE INDEX used_answer_by_end ON used_answer (keep_until_ms);

-- Sealed with a key that is made from the session's id, of which the store has the hash alone.
-- Goes with its session, however that ends.
CREATE TABLE held_proof (
    id_hash TEXT NOT NULL PRIMARY KEY REFERENCES sign_in_session (id_hash) ON DELETE CASCADE,
    sealed TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX held_proof_by_end ON held_proof (expires_ms);

CREATE TABLE provider_document (
    connector TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL,
    fetched_ms BIGINT NOT NULL
);
