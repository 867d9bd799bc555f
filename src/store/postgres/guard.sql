-- What keeps the log as it is, version 1: the same for a new table and for one that was taken over.

ALTER TABLE {schema}.events
    ADD CONSTRAINT events_position UNIQUE (position),
    ADD CONSTRAINT events_position_counts CHECK (position > 0),
    ADD CONSTRAINT events_digest_length CHECK (length(digest) = 32);

-- For readers that want few of the event types.
CREATE INDEX events_by_type ON {schema}.events (event_type, position);

CREATE FUNCTION {schema}.stay() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $annals$
BEGIN
    RAISE EXCEPTION 'annals: % are never changed or deleted', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$annals$;

-- ALWAYS: also in a session that replays a replication.
CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.events
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.stay();
ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER events_stay;
CREATE TRIGGER commands_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON {schema}.commands
    FOR EACH STATEMENT EXECUTE FUNCTION {schema}.stay();
ALTER TABLE {schema}.commands ENABLE ALWAYS TRIGGER commands_stay;
