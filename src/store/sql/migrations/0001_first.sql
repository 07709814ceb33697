-- Columns are TEXT and BIGINT alone, so that one text serves SQLite and PostgreSQL: booleans are
-- 0 and 1, times are UTC milliseconds (`_ms`), hashes hexadecimal, lists and maps JSON.

CREATE TABLE policy_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);
INSERT INTO policy_head (id, version) VALUES (1, 1);

CREATE TABLE account (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    alias TEXT,
    environment TEXT,
    description TEXT,
    protected BIGINT NOT NULL,
    role_defaults TEXT NOT NULL
);

-- `name` is the last part of the ARN's path, in lower case: deep links and `account/role` use it.
CREATE TABLE role (
    arn TEXT NOT NULL PRIMARY KEY,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    own TEXT NOT NULL,
    session_policy TEXT,
    policy_arns TEXT NOT NULL,
    session_tags TEXT NOT NULL,
    protected BIGINT NOT NULL,
    disabled BIGINT NOT NULL,
    UNIQUE (account, name)
);

CREATE TABLE mapping (
    id TEXT NOT NULL PRIMARY KEY,
    group_key TEXT NOT NULL,
    role TEXT NOT NULL REFERENCES role (arn),
    expires_ms BIGINT,
    max_duration_seconds BIGINT,
    read_only BIGINT NOT NULL,
    require_mfa BIGINT NOT NULL,
    require_reason BIGINT NOT NULL,
    require_approval_by TEXT,
    ticket TEXT,
    -- The directory's stable id of the group, from when somebody of it was first seen.
    group_id TEXT,
    UNIQUE (group_key, role)
);
CREATE INDEX mapping_by_role ON mapping (role);

CREATE TABLE mapping_rule (
    id TEXT NOT NULL PRIMARY KEY,
    connector TEXT NOT NULL,
    group_pattern TEXT NOT NULL,
    role TEXT NOT NULL,
    expires_ms BIGINT,
    max_duration_seconds BIGINT,
    read_only BIGINT NOT NULL,
    require_mfa BIGINT NOT NULL,
    require_reason BIGINT NOT NULL,
    require_approval_by TEXT,
    allow_protected BIGINT NOT NULL,
    ticket TEXT,
    UNIQUE (connector, group_pattern, role)
);

-- The id of a session is the secret of a cookie; only its SHA-256 comes here.
CREATE TABLE sign_in_session (
    id_hash TEXT NOT NULL PRIMARY KEY,
    connector TEXT NOT NULL,
    subject TEXT NOT NULL,
    username TEXT NOT NULL,
    display_name TEXT,
    email TEXT,
    entry_dn TEXT,
    group_list TEXT NOT NULL,
    groups_read_ms BIGINT NOT NULL,
    authenticated_ms BIGINT NOT NULL,
    method TEXT NOT NULL,
    client_address TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    last_seen_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX sign_in_session_by_person ON sign_in_session (connector, subject);
CREATE INDEX sign_in_session_by_end ON sign_in_session (expires_ms);

CREATE TABLE role_session (
    id TEXT NOT NULL PRIMARY KEY,
    connector TEXT NOT NULL,
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    delivery TEXT NOT NULL,
    session_name TEXT NOT NULL,
    access_key_id TEXT NOT NULL,
    aws_request_id TEXT,
    read_only BIGINT NOT NULL,
    started_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL
);
CREATE INDEX role_session_by_person ON role_session (connector, subject, started_ms);

CREATE TABLE favourite (
    connector TEXT NOT NULL,
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    place BIGINT NOT NULL,
    PRIMARY KEY (connector, subject, role)
);

-- `opened_seq` is the audit row of the last opening: an order without ties.
CREATE TABLE recent_role (
    connector TEXT NOT NULL,
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    opened_seq BIGINT NOT NULL,
    PRIMARY KEY (connector, subject, role)
);

CREATE TABLE setting (
    connector TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (connector, subject, name)
);

-- The chain. `payload` is what counts; the columns beside it are for searching, and `verify`
-- compares them with it. Payload and salt may be erased later; the hashes stay.
CREATE TABLE audit_event (
    seq BIGINT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    connector TEXT,
    subject TEXT,
    username TEXT,
    role TEXT,
    account TEXT,
    intent TEXT,
    payload TEXT,
    salt TEXT,
    payload_hash TEXT NOT NULL,
    previous_hash TEXT NOT NULL,
    hash TEXT NOT NULL
);
CREATE INDEX audit_event_by_time ON audit_event (at_ms);
CREATE INDEX audit_event_by_subject ON audit_event (subject, seq);
CREATE INDEX audit_event_by_username ON audit_event (username, seq);
-- Most rows are about no role.
CREATE INDEX audit_event_by_role ON audit_event (role, seq) WHERE role IS NOT NULL;
CREATE INDEX audit_event_by_account ON audit_event (account, seq) WHERE account IS NOT NULL;
CREATE INDEX audit_event_by_intent ON audit_event (intent) WHERE intent IS NOT NULL;

CREATE TABLE audit_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash)
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- Intents whose end is not written yet; what is left here after a crash becomes `unknown`.
CREATE TABLE open_intent (
    intent TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    at_ms BIGINT NOT NULL
);

-- Written by the readiness check, to know that writing works.
CREATE TABLE write_probe (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    count BIGINT NOT NULL
);
INSERT INTO write_probe (id, count) VALUES (1, 0);
