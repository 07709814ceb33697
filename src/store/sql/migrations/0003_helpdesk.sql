-- The helpdesk's work: whom to ask, who is known, what waits for a second person, access reviews.

ALTER TABLE account ADD COLUMN colour TEXT;
ALTER TABLE account ADD COLUMN owner TEXT;
ALTER TABLE role ADD COLUMN owner TEXT;
