-- The views: disposable, all of it is made from the log. Key columns compare byte by byte, whatever the database's
-- language.

-- The generations of projections, with their checkpoints.
-- doomed: its tables go then, when no reader holds it any more; nobody finds the generation before that.
CREATE TABLE {schema}.projections (
    name       text    COLLATE "C" NOT NULL,
    version    bigint  NOT NULL,
    generation bigint  NOT NULL,
    live       boolean NOT NULL,
    position   bigint  NOT NULL,
    event_id   uuid    NOT NULL,
    doomed     timestamptz,
    PRIMARY KEY (name, version, generation)
) WITH (fillfactor = 50); -- room for the next checkpoint on the same page

-- One generation is read.
CREATE UNIQUE INDEX projections_live ON {schema}.projections (name, version) WHERE live;

CREATE TABLE {schema}.notes (
    name    text   COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    about   text   COLLATE "C" NOT NULL,
    note    text   NOT NULL,
    PRIMARY KEY (name, version, about)
);

-- Who wants to run a projection, until when without word of it, and who does.
CREATE TABLE {schema}.leases (
    name    text    COLLATE "C" NOT NULL,
    version bigint  NOT NULL,
    owner   uuid    NOT NULL,
    leads   boolean NOT NULL,
    until   timestamptz NOT NULL,
    PRIMARY KEY (name, version, owner)
);

-- One leads.
CREATE UNIQUE INDEX leases_lead ON {schema}.leases (name, version) WHERE leads;

-- States of aggregates, to load them faster. `event_id`: that of the aggregate's event of this sequence, so that a
-- state from a lost tail of the log is not taken for good. (postgres-es has a table `snapshots`.)
CREATE TABLE {schema}.aggregate_snapshots (
    aggregate_type text   COLLATE "C" NOT NULL,
    aggregate_id   text   COLLATE "C" NOT NULL,
    sequence       bigint NOT NULL,
    event_id       uuid   NOT NULL,
    shape          text   NOT NULL,
    state          text   NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id)
);
