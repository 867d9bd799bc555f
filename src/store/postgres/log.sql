-- The log, version 1: postgres-es's table of events with the columns of this crate, and what stands around it.
-- {schema} stands for the quoted name of the schema: behind a pooler no session keeps a search path.

-- Whose log it is: `app`, `log_id`, `version`.
CREATE TABLE {schema}.meta (
    key   text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);

-- Who appends holds the lock on this row until its transaction ends. It is locked, never rewritten: an updated row
-- leaves a dead version for each batch as long as anybody holds an old snapshot.
CREATE TABLE {schema}.head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO {schema}.head DEFAULT VALUES;

CREATE TABLE {schema}.events (
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    sequence       bigint NOT NULL CONSTRAINT events_sequence_check CHECK (sequence >= 0),
    event_type     text COLLATE "C" NOT NULL,
    event_version  text COLLATE "C" NOT NULL,
    payload        json NOT NULL,        -- `json` keeps the text as given, byte for byte
    metadata       json NOT NULL,
    position       bigint NOT NULL,
    event_id       uuid NOT NULL,
    command_id     uuid NOT NULL,
    occurred_at    timestamptz NOT NULL,
    recorded_at    timestamptz NOT NULL, -- never decreases with the position
    digest         bytea NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);

-- One row a command id: what the same id gets again.
CREATE TABLE {schema}.commands (
    command_id     uuid PRIMARY KEY,
    command        text NOT NULL,
    body_digest    bytea NOT NULL CHECK (length(body_digest) = 32),
    first_position bigint NOT NULL,
    events         bigint NOT NULL,
    head_position  bigint NOT NULL,
    head_event_id  uuid NOT NULL,
    recorded_at    timestamptz NOT NULL
);
