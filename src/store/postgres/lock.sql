-- Version 3: the lock of the log, and tables that the append function alone checks.

-- The functions of versions 1 and 2.
DO $annals$
DECLARE
    old regprocedure;
BEGIN
    FOR old IN
        SELECT oid FROM pg_catalog.pg_proc
        WHERE pronamespace = '{schema}'::regnamespace AND proname IN ('append', 'hold')
    LOOP
        EXECUTE format('DROP FUNCTION %s', old);
    END LOOP;
END
$annals$;
DROP TABLE {schema}.head;
-- Postgres reads each of them from its catalogue again whenever it inserts: a tenth of an append of one event. Rows come
-- in through the function alone; `check` recomputes the digests and counts the positions.
ALTER TABLE {schema}.events
    DROP CONSTRAINT IF EXISTS events_sequence_check,
    -- As it was called where the table of postgres-es had the name.
    DROP CONSTRAINT IF EXISTS events_sequence_check1,
    DROP CONSTRAINT IF EXISTS events_position_counts,
    DROP CONSTRAINT IF EXISTS events_digest_length;
ALTER TABLE {schema}.commands DROP CONSTRAINT IF EXISTS commands_body_digest_check;

-- Locks the log against all other writers until the transaction ends. Not a row: to lock one is to write it.
CREATE FUNCTION {schema}.hold() RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $annals$
BEGIN
    PERFORM pg_advisory_xact_lock(1634627169, '{schema}.events'::regclass::oid::int);
END
$annals$;
REVOKE ALL ON FUNCTION {schema}.hold() FROM PUBLIC;
