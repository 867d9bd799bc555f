-- The differences of the schema from that of the migrations; each row is one finding. Settings of the session may change how
-- definitions are quoted: the caller turns quote_all_identifiers off.

WITH ours AS (
    SELECT c.oid, c.relname::text AS name, c.relowner, c.relacl, c.relkind, c.relpersistence, c.relrowsecurity,
        c.relforcerowsecurity
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1::text AND c.relname IN ('events', 'commands', 'meta')
),
guard (relation, name) AS (VALUES ('events', 'events_stay'), ('commands', 'commands_stay')),
keys (relation, name, definition) AS (VALUES
    ('events', 'events_pkey', 'PRIMARY KEY (aggregate_type, aggregate_id, sequence)'),
    ('events', 'events_position', 'UNIQUE ("position")'),
    ('commands', 'commands_pkey', 'PRIMARY KEY (command_id)'),
    ('meta', 'meta_pkey', 'PRIMARY KEY (key)')
),
wanted (relation, name, type, collation_name) AS (VALUES
    ('events', 'aggregate_type', 'text', 'C'), ('events', 'aggregate_id', 'text', 'C'),
    ('events', 'sequence', 'bigint', NULL), ('events', 'event_type', 'text', 'C'),
    ('events', 'event_version', 'text', 'C'), ('events', 'payload', 'json', NULL), ('events', 'metadata', 'json', NULL),
    ('events', 'position', 'bigint', NULL), ('events', 'event_id', 'uuid', NULL), ('events', 'command_id', 'uuid', NULL),
    ('events', 'occurred_at', 'timestamp with time zone', NULL),
    ('events', 'recorded_at', 'timestamp with time zone', NULL), ('events', 'digest', 'bytea', NULL),
    ('commands', 'command_id', 'uuid', NULL), ('commands', 'command', 'text', 'default'),
    ('commands', 'body_digest', 'bytea', NULL), ('commands', 'first_position', 'bigint', NULL),
    ('commands', 'events', 'bigint', NULL), ('commands', 'head_position', 'bigint', NULL),
    ('commands', 'head_event_id', 'uuid', NULL), ('commands', 'recorded_at', 'timestamp with time zone', NULL)
),
columns AS (
    SELECT o.name AS relation, a.attname::text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
        co.collname::text AS collation_name, a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS plain, a.attacl
    FROM ours o JOIN pg_catalog.pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_catalog.pg_collation co ON co.oid = a.attcollation
),
rights AS (
    SELECT o.name, a.grantee, a.privilege_type
    FROM ours o CROSS JOIN LATERAL pg_catalog.aclexplode(o.relacl) a WHERE a.grantee <> o.relowner
    UNION
    SELECT o.name, a.grantee, a.privilege_type
    FROM ours o JOIN columns c ON c.relation = o.name CROSS JOIN LATERAL pg_catalog.aclexplode(c.attacl) a
    WHERE a.grantee <> o.relowner
)

SELECT 'the trigger ' || g.name || ' is missing, was changed or is disabled'
FROM guard g
WHERE NOT EXISTS (
    SELECT FROM ours o JOIN pg_catalog.pg_trigger t ON t.tgrelid = o.oid
    WHERE o.name = g.relation AND t.tgname = g.name
        AND t.tgenabled = 'A' AND t.tgtype = 58 -- for each statement, before update, delete and truncate
        AND t.tgqual IS NULL AND t.tgfoid = to_regproc(format('%I.stay', $1::text))
)

UNION ALL
SELECT 'the trigger ' || t.tgname || ' of the table ' || o.name || ' was not created by this crate: it may change or refuse rows'
FROM ours o JOIN pg_catalog.pg_trigger t ON t.tgrelid = o.oid AND NOT t.tgisinternal
WHERE NOT EXISTS (SELECT FROM guard g WHERE g.relation = o.name AND g.name = t.tgname)

UNION ALL
SELECT 'the rule ' || r.rulename || ' of the table ' || o.name || ' was not created by this crate: it may change or refuse rows'
FROM ours o JOIN pg_catalog.pg_rewrite r ON r.ev_class = o.oid

UNION ALL
SELECT 'row security is enabled on the table ' || o.name || ': it may hide or refuse rows'
FROM ours o WHERE o.relrowsecurity OR o.relforcerowsecurity

UNION ALL
SELECT 'the table ' || o.name || ' is not an ordinary, logged table'
FROM ours o WHERE o.relkind <> 'r' OR o.relpersistence <> 'p'

UNION ALL
SELECT 'the table ' || o.name || ' inherits from another table, or another one from it: rows may be in another table'
FROM ours o WHERE EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE o.oid IN (i.inhparent, i.inhrelid))

UNION ALL
SELECT 'the tables events, commands and meta are missing, or have different owners'
FROM ours o HAVING count(*) <> 3 OR count(DISTINCT o.relowner) <> 1

UNION ALL
SELECT CASE r.grantee WHEN 0 THEN 'everybody' ELSE 'the role ' || pg_catalog.pg_get_userbyid(r.grantee) END || ' may '
    || string_agg(r.privilege_type, ', ' ORDER BY r.privilege_type) || ' on the table ' || r.name
    || ': only the function append inserts rows, so revoke it'
FROM rights r
WHERE r.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')
GROUP BY r.grantee, r.name

UNION ALL
SELECT 'the column ' || coalesce(w.name, c.name) || ' of the table ' || coalesce(w.relation, c.relation)
    || CASE WHEN w.name IS NULL THEN ' was not created by this crate' ELSE ' is missing or was changed' END
FROM wanted w FULL JOIN columns c ON c.relation = w.relation AND c.name = w.name
WHERE coalesce(c.relation, '') <> 'meta' AND (w.name IS NULL OR c.name IS NULL OR w.type <> c.type OR NOT c.plain
    OR w.collation_name IS DISTINCT FROM c.collation_name)

UNION ALL
SELECT 'the constraint ' || k.name || ' is missing, was changed or is not valid'
FROM keys k
WHERE NOT EXISTS (
    SELECT FROM ours o JOIN pg_catalog.pg_constraint c ON c.conrelid = o.oid
    JOIN pg_catalog.pg_index i ON i.indexrelid = c.conindid
    WHERE o.name = k.relation AND c.conname = k.name AND i.indisvalid AND i.indisready
        -- Only this schema's: a constraint of another schema may be dropped meanwhile, and then it cannot be described.
        AND CASE WHEN c.conrelid = to_regclass(format('%I.%I', $1::text, k.relation))
            THEN pg_catalog.pg_get_constraintdef(c.oid) = k.definition ELSE false END
)

UNION ALL
SELECT 'the constraint ' || c.conname || ' of the table ' || o.name || ' was not created by this crate: it may refuse rows'
FROM ours o JOIN pg_catalog.pg_constraint c ON c.conrelid = o.oid AND c.contype IN ('c', 'f', 'u', 'p', 'x')
WHERE NOT EXISTS (SELECT FROM keys k WHERE k.relation = o.name AND k.name = c.conname)

UNION ALL
SELECT 'the unique index ' || x.relname || ' of the table ' || o.name || ' was not created by this crate: it may refuse rows'
FROM ours o JOIN pg_catalog.pg_index i ON i.indrelid = o.oid AND i.indisunique
JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.conindid = i.indexrelid)

UNION ALL
SELECT 'the index events_by_type is missing, was changed or is not valid'
WHERE NOT EXISTS (
    SELECT FROM ours o JOIN pg_catalog.pg_index i ON i.indrelid = o.oid
    WHERE o.name = 'events' AND i.indexrelid = to_regclass(format('%I.events_by_type', $1::text))
        AND i.indisvalid AND i.indpred IS NULL AND NOT i.indisunique
        AND ARRAY['event_type', 'position'] = ARRAY(
            SELECT a.attname::text FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (number, n)
            JOIN pg_catalog.pg_attribute a ON a.attrelid = o.oid AND a.attnum = k.number ORDER BY k.n
        )
)
