-- The log: schema version 1.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    position       INTEGER PRIMARY KEY,
    event_id       BLOB NOT NULL CHECK (length(event_id) = 16),
    aggregate_type TEXT NOT NULL,
    aggregate_id   TEXT NOT NULL,
    sequence       INTEGER NOT NULL,
    event_type     TEXT NOT NULL,
    event_version  TEXT NOT NULL,
    payload        TEXT NOT NULL,
    metadata       TEXT NOT NULL,
    command_id     BLOB NOT NULL CHECK (length(command_id) = 16),
    occurred_at    INTEGER NOT NULL, -- microseconds since 1970, UTC
    recorded_at    INTEGER NOT NULL, -- the same; never decreases with the position
    digest         BLOB NOT NULL CHECK (length(digest) = 32),
    UNIQUE (aggregate_type, aggregate_id, sequence)
) STRICT;

-- For readers that want few of the event types.
CREATE INDEX events_by_type ON events (event_type);

-- One row a command id: what the same id gets again.
CREATE TABLE commands (
    command_id     BLOB PRIMARY KEY CHECK (length(command_id) = 16),
    command        TEXT NOT NULL,
    body_digest    BLOB NOT NULL CHECK (length(body_digest) = 32),
    first_position INTEGER NOT NULL,
    events         INTEGER NOT NULL,
    head_position  INTEGER NOT NULL,
    head_event_id  BLOB NOT NULL CHECK (length(head_event_id) = 16),
    recorded_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The log only grows. INSERT OR REPLACE deletes without asking the DELETE trigger, so inserts are looked at too. What they
-- refuse takes its transaction with it: to undo no more than one statement, SQLite would keep a journal for each.
CREATE TRIGGER events_grow BEFORE INSERT ON events
BEGIN
    SELECT CASE
        WHEN NEW.position IS NOT (SELECT coalesce(max(position), 0) + 1 FROM events)
            THEN RAISE(ROLLBACK, 'annals: an event is appended at the next position or not at all')
        WHEN NEW.event_id <= (SELECT event_id FROM events WHERE position = NEW.position - 1)
            THEN RAISE(ROLLBACK, 'annals: an event id is greater than the one before it')
        WHEN NEW.recorded_at < (SELECT recorded_at FROM events WHERE position = NEW.position - 1)
            THEN RAISE(ROLLBACK, 'annals: recorded_at never goes back')
        WHEN NEW.sequence IS NOT (
            SELECT coalesce(max(sequence), 0) + 1 FROM events
            WHERE aggregate_type = NEW.aggregate_type AND aggregate_id = NEW.aggregate_id
        )
            THEN RAISE(ROLLBACK, 'annals: an event has the next sequence of its aggregate')
    END;
END;

CREATE TRIGGER events_stay BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'annals: events are never changed');
END;

CREATE TRIGGER events_remain BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'annals: events are never deleted');
END;

CREATE TRIGGER commands_grow BEFORE INSERT ON commands
WHEN EXISTS (SELECT 1 FROM commands WHERE command_id = NEW.command_id)
BEGIN
    SELECT RAISE(ROLLBACK, 'annals: a command id is used once');
END;

CREATE TRIGGER commands_stay BEFORE UPDATE ON commands
BEGIN
    SELECT RAISE(ABORT, 'annals: commands are never changed');
END;

CREATE TRIGGER commands_remain BEFORE DELETE ON commands
BEGIN
    SELECT RAISE(ABORT, 'annals: commands are never deleted');
END;
