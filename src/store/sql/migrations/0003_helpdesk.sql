-- The helpdesk's work: whom to ask, who is known, what waits for a second person, access reviews.

ALTER TABLE account ADD COLUMN colour TEXT;
ALTER TABLE account ADD COLUMN owner TEXT;
ALTER TABLE role ADD COLUMN owner TEXT;

-- The row that an edit changed, and the edit, beside the payload like the other columns. What is
-- no JSON was tampered with or erased, and is for `verify` to tell.
ALTER TABLE audit_event ADD COLUMN row_id TEXT;
ALTER TABLE audit_event ADD COLUMN edit TEXT;
UPDATE audit_event SET
    row_id = CASE
        WHEN json_type(payload, '$.details.row.id') = 'text'
            THEN json_extract(payload, '$.details.row.id')
        WHEN json_type(payload, '$.details.id') = 'text'
            THEN json_extract(payload, '$.details.id')
    END,
    edit = CASE WHEN json_type(payload, '$.details.edit') = 'text'
        THEN json_extract(payload, '$.details.edit')
    END
WHERE CASE WHEN json_valid(payload) THEN
    COALESCE(json_type(payload, '$.details.row.id'), json_type(payload, '$.details.id'),
        json_type(payload, '$.details.edit')) IS NOT NULL
    END;
CREATE INDEX audit_event_by_row ON audit_event (row_id, seq) WHERE row_id IS NOT NULL;
CREATE INDEX audit_event_by_edit ON audit_event (edit, seq) WHERE edit IS NOT NULL;

-- An edit that waits for a second person. Who, the changes, the rows as they were seen and why it
-- waits are JSON.
CREATE TABLE pending_edit (
    id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    author TEXT NOT NULL,
    author_name TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    reason TEXT,
    why TEXT NOT NULL,
    undoes TEXT,
    decided_by TEXT,
    decided_ms BIGINT,
    note TEXT,
    seen TEXT NOT NULL,
    change_list TEXT NOT NULL
);
CREATE INDEX pending_edit_by_time ON pending_edit (created_ms);
CREATE INDEX pending_edit_by_state ON pending_edit (state, created_ms);

CREATE TABLE access_review (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    due_ms BIGINT,
    closed_ms BIGINT,
    closed_by TEXT
);

-- `keep` is empty while the item is open.
CREATE TABLE access_review_item (
    review TEXT NOT NULL REFERENCES access_review (id),
    row_id TEXT NOT NULL,
    group_key TEXT NOT NULL,
    role TEXT NOT NULL,
    people BIGINT NOT NULL,
    keep BIGINT,
    note TEXT,
    decided_by TEXT,
    decided_ms BIGINT,
    PRIMARY KEY (review, row_id)
);

-- Whoever has signed in, as last seen, and since when with this set of groups: `group_set` is the
-- SHA-256 of its keys and stable ids. `search` is what people are found by, in lower case. Both are
-- worked out by the program, also for the rows that this migration adds (they are empty until
-- then).
CREATE TABLE known_person (
    connector TEXT NOT NULL,
    subject TEXT NOT NULL,
    search TEXT NOT NULL,
    username TEXT NOT NULL,
    display_name TEXT,
    email TEXT,
    entry_dn TEXT,
    first_seen_ms BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL,
    groups_from_ms BIGINT NOT NULL,
    groups_read_ms BIGINT NOT NULL,
    group_set TEXT NOT NULL,
    authenticated_ms BIGINT NOT NULL,
    method TEXT NOT NULL,
    authentication_context TEXT,
    asserted_roles TEXT NOT NULL,
    group_list TEXT NOT NULL,
    PRIMARY KEY (connector, subject)
);
CREATE INDEX known_person_by_search ON known_person (search, connector, subject);
CREATE INDEX known_person_unfinished ON known_person (group_set) WHERE group_set = '';

-- The groups that people were seen with before those of `known_person`.
CREATE TABLE earlier_groups (
    connector TEXT NOT NULL,
    subject TEXT NOT NULL,
    from_ms BIGINT NOT NULL,
    until_ms BIGINT NOT NULL,
    group_list TEXT NOT NULL,
    PRIMARY KEY (connector, subject, from_ms)
);

-- People whose sign-in sessions are still there are known at once: the newest session counts.
INSERT INTO known_person (connector, subject, search, username, display_name, email, entry_dn,
    first_seen_ms, seen_ms, groups_from_ms, groups_read_ms, group_set, authenticated_ms, method,
    authentication_context, asserted_roles, group_list)
SELECT s.connector, s.subject, '', s.username, s.display_name, s.email, s.entry_dn,
    (SELECT MIN(f.created_ms) FROM sign_in_session f
        WHERE f.connector = s.connector AND f.subject = s.subject),
    CASE WHEN s.groups_read_ms > s.authenticated_ms
        THEN s.groups_read_ms ELSE s.authenticated_ms END,
    s.groups_read_ms, s.groups_read_ms, '', s.authenticated_ms, s.method,
    s.authentication_context, s.asserted_roles, s.group_list
FROM sign_in_session s
WHERE NOT EXISTS (SELECT 1 FROM sign_in_session n
    WHERE n.connector = s.connector AND n.subject = s.subject
        AND (n.groups_read_ms, n.created_ms, n.id_hash)
            > (s.groups_read_ms, s.created_ms, s.id_hash));
