-- What is known of roles by probing them, and which replica probes.

-- Times are UTC milliseconds. `since_ms`: since when the state is this one.
CREATE TABLE role_probe (
    role TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    code TEXT,
    message TEXT,
    max_duration_seconds BIGINT,
    description TEXT,
    checked_ms BIGINT NOT NULL,
    since_ms BIGINT NOT NULL
);

CREATE TABLE probing (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    holder TEXT NOT NULL,
    until_ms BIGINT NOT NULL
);
INSERT INTO probing (id, holder, until_ms) VALUES (1, '', 0);
