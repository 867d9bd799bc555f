-- Version 9: append gets one more argument. The function of version 8 keeps its rights, under another name, until the new one is
-- there and has them too: see known.sql.
DO $annals$
DECLARE
    old regprocedure;
BEGIN
    FOR old IN
        SELECT oid FROM pg_catalog.pg_proc
        WHERE pronamespace = '{schema}'::regnamespace AND proname = 'append' AND pronargs = 36
    LOOP
        EXECUTE format('ALTER FUNCTION %s RENAME TO append_8', old);
    END LOOP;
END
$annals$;
