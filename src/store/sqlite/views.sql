-- The views: schema version 3. Disposable: all of it is made from the log.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE projections (
    name       TEXT NOT NULL,
    version    INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    live       INTEGER NOT NULL,
    position   INTEGER NOT NULL,
    event_id   BLOB NOT NULL,
    PRIMARY KEY (name, version, generation)
) STRICT, WITHOUT ROWID;

-- One generation is read.
CREATE UNIQUE INDEX projections_live ON projections (name, version) WHERE live;

CREATE TABLE notes (
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    about   TEXT NOT NULL,
    note    TEXT NOT NULL,
    PRIMARY KEY (name, version, about)
) STRICT, WITHOUT ROWID;

-- Who wants to run which projection, and who does. Times are microseconds since 1970.
CREATE TABLE leases (
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    owner   BLOB NOT NULL,
    leads   INTEGER NOT NULL,
    renewed INTEGER NOT NULL,
    until   INTEGER NOT NULL,
    PRIMARY KEY (name, version, owner)
) STRICT, WITHOUT ROWID;

-- One leads.
CREATE UNIQUE INDEX leases_led ON leases (name, version) WHERE leads;

-- States of aggregates, folded from the log. event_id: that of the aggregate's event of this sequence. digest: a running
-- SHA-256 over the digests of its events from the first to that one.
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
