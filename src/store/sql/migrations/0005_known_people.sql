-- Whoever holds everybody in memory reads what changed since: each sighting of a person gives the
-- row the next number. Rows are never deleted.

ALTER TABLE known_person ADD COLUMN change_seq BIGINT NOT NULL DEFAULT 0;
UPDATE known_person SET change_seq = rowid;
CREATE INDEX known_person_by_change ON known_person (change_seq);
