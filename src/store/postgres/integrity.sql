-- What is missing of the schema, and where events and commands contradict each other; each row is one finding.

SELECT 'the trigger ' || expected.trigger || ' is missing, was changed or is disabled'
FROM (VALUES ('events', 'events_stay'), ('commands', 'commands_stay')) AS expected (relation, trigger)
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger t
    WHERE t.tgrelid = to_regclass(format('%I.%I', $1::text, expected.relation)) AND t.tgname = expected.trigger
        AND t.tgenabled = 'A' AND t.tgtype = 58 -- for each statement, before update, delete and truncate
        AND t.tgqual IS NULL AND t.tgfoid = to_regproc(format('%I.stay', $1::text))
)

UNION ALL
SELECT 'the constraint ' || expected.name || ' is missing, was changed or is not valid'
FROM (VALUES
    ('events', 'events_pkey', 'PRIMARY KEY (aggregate_type, aggregate_id, sequence)'),
    ('events', 'events_position', 'UNIQUE ("position")'),
    ('commands', 'commands_pkey', 'PRIMARY KEY (command_id)')
) AS expected (relation, name, definition)
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_index i ON i.indexrelid = c.conindid
    WHERE c.conrelid = to_regclass(format('%I.%I', $1::text, expected.relation)) AND c.conname = expected.name
        AND i.indisvalid
        -- Only of ours: another schema's may just be dropped, and then it cannot be told.
        AND CASE WHEN c.conrelid = to_regclass(format('%I.%I', $1::text, expected.relation))
            THEN pg_catalog.pg_get_constraintdef(c.oid) = expected.definition ELSE false END
)

UNION ALL
SELECT 'the index events_by_type is missing or not valid'
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_index i
    WHERE i.indexrelid = to_regclass(format('%I.events_by_type', $1::text)) AND i.indisvalid
)

UNION ALL
SELECT 'the log holds ' || held.events || ' events, and its last position is ' || held.last
FROM (SELECT count(*) AS events, coalesce(max(position), 0) AS last FROM {schema}.events) held
WHERE held.events <> held.last

UNION ALL
(SELECT 'event ' || e.position || ' names a command that is not among the commands'
FROM {schema}.events e LEFT JOIN {schema}.commands c ON c.command_id = e.command_id
WHERE c.command_id IS NULL LIMIT 1000)

UNION ALL
(SELECT 'event ' || e.position || ' lies outside of the range that its command wrote'
FROM {schema}.events e JOIN {schema}.commands c ON c.command_id = e.command_id
WHERE e.position NOT BETWEEN c.first_position AND c.first_position + c.events - 1 LIMIT 1000)

UNION ALL
(SELECT 'command ' || replace(c.command_id::text, '-', '') || ' wrote ' || c.events || ' events from position '
    || c.first_position || ', and the last of them is not there as it was'
FROM {schema}.commands c LEFT JOIN {schema}.events e ON e.position = c.head_position
WHERE c.head_position > 0 AND e.event_id IS DISTINCT FROM c.head_event_id LIMIT 1000)

UNION ALL
SELECT 'the commands wrote ' || c.written || ' events in all, the log holds ' || e.held
FROM (SELECT coalesce(sum(events), 0) AS written FROM {schema}.commands) c,
    (SELECT count(*) AS held FROM {schema}.events) e
WHERE c.written <> e.held
