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
