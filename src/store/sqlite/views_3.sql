-- From version 2 of the views to 3. Snapshots of version 2 may hold a state that was never in the log, and nothing in
-- them tells: they are dropped, and new ones are made from the log.
DROP TABLE snapshots;

CREATE TABLE snapshots (
    aggregate_type TEXT NOT NULL,
    aggregate_id   TEXT NOT NULL,
    sequence       INTEGER NOT NULL,
    event_id       BLOB NOT NULL,
    digest         BLOB NOT NULL CHECK (length(digest) = 32),
    shape          TEXT NOT NULL,
    state          TEXT NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
) STRICT;
