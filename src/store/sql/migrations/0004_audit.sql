-- The audit log grows up: where its streams are, and where it begins after old rows were dropped.

-- `seq` is the last row that the stream is known to have.
CREATE TABLE audit_cursor (
    stream TEXT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL
);

-- The chain begins behind `seq`, whose hash was `hash`; `checkpoint` is what was signed about it.
-- Rows up to `erased_through` have no payload any more, or are about to lose it.
CREATE TABLE audit_base (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    seq BIGINT NOT NULL,
    hash TEXT NOT NULL,
    checkpoint TEXT,
    erased_through BIGINT NOT NULL
);
INSERT INTO audit_base (id, seq, hash, erased_through)
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000', 0);
