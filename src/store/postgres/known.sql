-- Version 9, after append.sql: the new function has the rights of the one before. A program that was running calls it without
-- the last argument: it knows nothing that a log may require.
DO $annals$
DECLARE
    old   record;
    added regprocedure := (
        SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace = '{schema}'::regnamespace AND proname = 'append'
    );
BEGIN
    FOR old IN
        SELECT p.oid::regprocedure AS function, array_remove(array_agg(a.grantee), p.proowner) AS grantees
        FROM pg_catalog.pg_proc p CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) a
        WHERE p.pronamespace = '{schema}'::regnamespace AND p.proname = 'append_8' AND a.privilege_type = 'EXECUTE'
        GROUP BY p.oid
    LOOP
        FOR i IN 1 .. cardinality(old.grantees) LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', added, pg_get_userbyid(old.grantees[i]));
        END LOOP;
        EXECUTE format('DROP FUNCTION %s', old.function);
    END LOOP;
END
$annals$;

-- A log that has rights already.
INSERT INTO {schema}.meta (key, value)
SELECT 'requires', 'access'
WHERE EXISTS (SELECT FROM {schema}.events WHERE event_type >= 'annals_access.' AND event_type < 'annals_access/')
ON CONFLICT (key) DO NOTHING;
