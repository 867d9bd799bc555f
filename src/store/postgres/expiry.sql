-- Version 8: what ends an append that comes too late for a right with an end.

-- Raises an error if the batch is recorded at the end of a right or later: then nothing of it is written. The program
-- finds the commits that are too late by the time in the error's detail, in microseconds since 1970.
CREATE OR REPLACE FUNCTION {schema}.expire(recorded timestamptz, until timestamptz) RETURNS void LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $annals$
BEGIN
    IF recorded >= until THEN
        RAISE EXCEPTION 'annals: the right by which a command was allowed has ended'
            USING ERRCODE = 'AN003', DETAIL = round(extract(epoch FROM recorded)::numeric * 1000000)::text;
    END IF;
END
$annals$;
