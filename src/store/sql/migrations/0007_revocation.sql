-- Sessions that were issued at AWS and are ended. Without `subject` a revocation is about everybody
-- of a role, without `role` about everything of a person. Names are JSON lists. `seq` is the audit
-- row: what was announced before it and has no end yet is not handed out any more.
CREATE TABLE revocation (
    id TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    connector TEXT,
    subject TEXT,
    role TEXT,
    session_names TEXT NOT NULL,
    source_identities TEXT NOT NULL,
    issued_before_ms BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    revoked_by TEXT NOT NULL,
    reason TEXT
);
CREATE INDEX revocation_by_time ON revocation (created_ms);
CREATE INDEX revocation_by_seq ON revocation (seq);

-- How far a revocation came at one role. `is_final`: nothing will be tried, `failure` says why.
-- `is_cleared`: the role's policy has been written without it, because it had expired.
CREATE TABLE revoked_role (
    revocation TEXT NOT NULL REFERENCES revocation (id),
    role TEXT NOT NULL,
    applied_ms BIGINT,
    failure TEXT,
    is_final BIGINT NOT NULL,
    is_cleared BIGINT NOT NULL,
    PRIMARY KEY (revocation, role)
);
CREATE INDEX revoked_role_by_role ON revoked_role (role);
CREATE INDEX revoked_role_unsettled ON revoked_role (role) WHERE is_cleared = 0;
