-- Version 6: a constraint that `lock.sql` did not drop at first, in a database taken over from postgres-es.

-- Postgres reads it from its catalogue again whenever it inserts.
ALTER TABLE {schema}.events DROP CONSTRAINT IF EXISTS events_sequence_check1;
