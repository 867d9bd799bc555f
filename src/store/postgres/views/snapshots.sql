-- Snapshots of aggregates with the running SHA-256 over the digests of the events that they were folded from. Those
-- without one may hold a state that was never in the log, and nothing in them tells: they are dropped, and new ones are
-- made from the log. No default: a program of before, which may still run, can keep no snapshot any more.
TRUNCATE {schema}.aggregate_snapshots;
ALTER TABLE {schema}.aggregate_snapshots ADD COLUMN digest bytea NOT NULL CHECK (length(digest) = 32);
