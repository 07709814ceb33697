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
