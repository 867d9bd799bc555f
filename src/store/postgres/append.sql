-- Versions 4, 7 and 9: the function that appends a batch, whole, in one transaction. REPLACE keeps the rights that were granted.
--
-- Any role with EXECUTE may call it with any values. It refuses rows that this crate could not read, and times and ids
-- that would hold back all later ones. It cannot know whether an event is true: see SECURITY.md.

-- Why this crate could not read such a row; NULL if it can. `before` is the id of the event before it in the batch.
-- STABLE SQL without settings: the planner puts the expression in place of the call.
CREATE OR REPLACE FUNCTION {schema}.unreadable(
    kind text, id text, sequence bigint, metadata text, event_id uuid, before uuid, occurred timestamptz, digest bytea
) RETURNS text LANGUAGE sql STABLE AS $annals$
    SELECT CASE
        WHEN kind COLLATE "C" !~ '^[a-z][a-z0-9_-]*$' THEN 'its aggregate type is not a kind'
        WHEN octet_length(id) NOT BETWEEN 1 AND 1024 THEN 'its aggregate id is empty or longer than 1024 bytes'
        WHEN sequence < 1 THEN 'its sequence is less than 1'
        WHEN get_byte(uuid_send(event_id), 6) >> 4 <> 7 OR get_byte(uuid_send(event_id), 8) >> 6 <> 2
            THEN 'its id is not a UUIDv7'
        WHEN event_id <= before THEN 'its id is not greater than the id before it'
        WHEN length(digest) <> 32 THEN 'its digest is not 32 bytes long'
        WHEN occurred < timestamptz '4713-01-01 00:00:00+00 BC'
            OR occurred > timestamptz '9999-12-30 22:00:00.999999+00' THEN 'its occurred_at is out of range'
        -- As this crate writes it, the actor comes first: that is looked at without parsing all of it. JSON that holds
        -- \u0000 anywhere is kept, but no field of it can be extracted: hence the replacement.
        WHEN (octet_length(metadata) > 1024 OR metadata COLLATE "C" !~ '^\{"actor":"[a-z][a-z0-9_-]*:[^"\\]') AND (
            coalesce(replace(metadata, '\u0000', '\u0001')::json ->> 'actor', '') COLLATE "C" !~ '^[a-z][a-z0-9_-]*:.'
            OR octet_length(replace(metadata, '\u0000', '\u0001')::json ->> 'actor') > 1024 + 256
        ) THEN 'its metadata names no actor'
    END
$annals$;

-- Commits, streams (an aggregate named by a commit) and events come as columns; aggregates and chains that are named
-- are numbered from 1.
--
-- Plans are made once and must not depend on how large the tables were then: hence the settings. Each statement costs
-- as much as the rows of several events: hence as few of them as can be, for a batch that fits.
CREATE OR REPLACE FUNCTION {schema}.append(
    writes          boolean,       -- whether anything is to be kept: if not, it only answers, without the lock
    seen_position   bigint,        -- the last event that this writer appended: it must still be there
    seen_event_id   uuid,
    now             timestamptz,   -- the clock of the writer: counts where it is behind that of the server
    plain           boolean,       -- within the batch all fits: sequences follow on each other, no id comes twice
    new_ids         boolean,       -- no command id can be known
    all_sure        boolean,       -- of all aggregates, what aggregate_sure says
    chains          int,           -- how many there are
    -- each aggregate once, with the sequence that is expected first
    aggregate_type  text[],
    aggregate_id    text[],
    aggregate_last  bigint[],
    aggregate_sure  boolean[],     -- whether that holds if nobody has appended since seen_position
    -- commits
    command_id      uuid[],
    command         text[],
    body_digest     bytea[],
    kept            boolean[],
    written         bigint[],      -- how many events
    till            bigint[],      -- how many with those of the commits before it
    streams         int[],         -- how many
    chain           int[],         -- 0: none
    twin            int[],         -- the last commit before it with the same id, 0: none
    -- streams
    stream_of       int[],         -- the aggregate
    stream_expected bigint[],
    stream_written  bigint[],
    -- events
    event_n         bigint[],      -- 1, 2, 3, …
    event_commit    int[],
    event_aggregate_type text[],
    event_aggregate_id   text[],
    event_sequence  bigint[],
    event_type      text[],
    event_version   text[],
    event_payload   text[],
    event_metadata  text[],
    event_occurred  timestamptz[],
    event_digest    bytea[],
    event_id        uuid[],        -- rising; others are made if the log is beyond the first or the last is ahead of the clock
    knows           text[] DEFAULT '{}', -- what the program knows that the log may require; earlier programs say nothing
    -- the log before it, and the time of what is recorded now
    OUT diverged    boolean,
    OUT base        bigint,
    OUT base_id     uuid,
    OUT recorded    timestamptz,
    OUT event_ids   uuid[],        -- of the events appended, NULL when they are those that were given
    -- what came of each commit, NULL when all were committed: 0 committed, 1 known, 2 known as another, 3 conflict,
    -- 4 the same id as an earlier one of the batch that was committed
    OUT outcomes    int[],
    -- the rows of known command ids
    OUT known_first bigint[],
    OUT known_events bigint[],
    OUT known_head  bigint[],
    OUT known_head_id uuid[],
    OUT known_recorded timestamptz[]
)
    LANGUAGE plpgsql VOLATILE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
    SET enable_bitmapscan = off
    SET jit = off
    SET lock_timeout = '30s'
AS $annals$
#variable_conflict use_column
DECLARE
    base_recorded timestamptz;
    required  text;          -- what the log requires of programs: names, separated by spaces
    own       timestamptz;   -- the clock of this server
    days      int;
    own_ms    bigint;
    after     uuid;          -- the id on which those of this batch follow
    appended  bigint;
    unmoved   boolean;
    fits      boolean;
    last      bigint[];
    known     int[];
    bad       boolean[];
    bad_chain boolean[];
    outcome   int;
    other     int;
    stream    int := 1;
    past      int;
    previous  text;
    time_part bigint;
    counter   bigint;
    nothing   text;
BEGIN
    diverged := false;
    -- Before anything is read: only what later statements read is as of the lock.
    IF writes THEN
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION 'annals: the log is appended to in READ COMMITTED, not in %',
                upper(current_setting('transaction_isolation')) USING ERRCODE = 'invalid_transaction_state';
        END IF;
        nothing := pg_advisory_xact_lock(1634627169, '{schema}.events'::regclass::oid::int);
        -- What is acknowledged is on the disk, whatever this role, database or session has as its default.
        IF current_setting('synchronous_commit') = 'off' THEN
            nothing := set_config('synchronous_commit', 'on', true);
        END IF;
    END IF;

    SELECT e.position, e.event_id, e.recorded_at, (SELECT m.value FROM {schema}.meta m WHERE m.key = 'requires')
        INTO base, base_id, base_recorded, required
        FROM {schema}.events e ORDER BY e.position DESC LIMIT 1;
    IF required IS NOT NULL AND NOT string_to_array(required, ' ') <@ coalesce(knows, '{}') THEN
        RAISE EXCEPTION 'annals: the log requires `%` of each program that appends to it: use a newer program that knows it',
            required USING ERRCODE = 'AN004', DETAIL = (
                SELECT r.name FROM unnest(string_to_array(required, ' ')) AS r (name)
                WHERE r.name <> ALL (coalesce(knows, '{}')) LIMIT 1
            );
    END IF;
    base := coalesce(base, 0);
    base_id := coalesce(base_id, '00000000-0000-0000-0000-000000000000');
    -- Never ahead of this server's clock: one process whose clock is wrong would hold the time of all others.
    own := clock_timestamp();
    recorded := greatest(base_recorded, least(now, own));

    unmoved := seen_position = base AND seen_event_id = base_id;
    IF seen_position > 0 AND NOT unmoved THEN
        diverged := NOT EXISTS (
            SELECT FROM {schema}.events e WHERE e.position = seen_position AND e.event_id = seen_event_id
        );
        IF diverged THEN
            RETURN;
        END IF;
    END IF;

    -- Scalar subqueries with LIMIT 1: an index is looked into once for each, whatever the planner thinks of the table.
    fits := plain;
    IF fits AND NOT (all_sure AND unmoved) THEN
        fits := NOT EXISTS (
            SELECT FROM unnest(append.aggregate_type, append.aggregate_id, aggregate_last, aggregate_sure)
                AS a (type, id, last, sure)
            WHERE NOT (a.sure AND unmoved) AND a.last <> coalesce((
                SELECT e.sequence FROM {schema}.events e
                WHERE e.aggregate_type = a.type AND e.aggregate_id = a.id
                ORDER BY e.sequence DESC LIMIT 1
            ), 0)
        );
    END IF;
    IF fits AND NOT new_ids THEN
        fits := NOT EXISTS (
            SELECT FROM unnest(append.command_id) AS c (id)
            WHERE (SELECT true FROM {schema}.commands k WHERE k.command_id = c.id LIMIT 1)
        );
    END IF;

    IF NOT fits THEN
        -- Something does not fit: each commit in turn, on what those before it leave.
        last := ARRAY(
            SELECT coalesce((
                SELECT e.sequence FROM {schema}.events e
                WHERE e.aggregate_type = a.type AND e.aggregate_id = a.id
                ORDER BY e.sequence DESC LIMIT 1
            ), 0)
            FROM unnest(append.aggregate_type, append.aggregate_id) AS a (type, id)
        );
        SELECT array_agg(k.outcome), array_agg(k.first_position), array_agg(k.events), array_agg(k.head_position),
               array_agg(k.head_event_id), array_agg(k.recorded_at)
        INTO known, known_first, known_events, known_head, known_head_id, known_recorded
        FROM (
            SELECT k.*
            FROM unnest(append.command_id, append.command, append.body_digest)
                WITH ORDINALITY AS c (id, name, digest, n)
            LEFT JOIN LATERAL (
                SELECT CASE WHEN k.command = c.name AND k.body_digest = c.digest THEN 1 ELSE 2 END AS outcome, k.*
                FROM {schema}.commands k WHERE k.command_id = c.id LIMIT 1
            ) k ON true
            ORDER BY c.n
        ) k;
        bad := array_fill(false, ARRAY[cardinality(aggregate_last)]);
        bad_chain := array_fill(false, ARRAY[chains]);
        outcomes := array_fill(0, ARRAY[cardinality(command_id)]);
        FOR c IN 1 .. cardinality(command_id) LOOP
            past := stream + streams[c];
            other := twin[c];
            WHILE other > 0 AND NOT (outcomes[other] = 0 AND kept[other]) LOOP
                other := twin[other];
            END LOOP;
            outcome := CASE
                WHEN known[c] IS NOT NULL THEN known[c]
                WHEN other > 0 THEN 4
                WHEN chain[c] > 0 AND bad_chain[nullif(chain[c], 0)] THEN 3
                ELSE 0
            END;
            FOR s IN stream .. past - 1 LOOP
                EXIT WHEN outcome <> 0;
                IF bad[stream_of[s]] OR last[stream_of[s]] <> stream_expected[s] THEN
                    outcome := 3;
                END IF;
            END LOOP;
            FOR s IN stream .. past - 1 LOOP
                IF outcome = 0 THEN
                    last[stream_of[s]] := last[stream_of[s]] + stream_written[s];
                ELSIF stream_written[s] > 0 THEN
                    -- An aggregate that it only read has not changed.
                    bad[stream_of[s]] := true;
                END IF;
            END LOOP;
            IF outcome <> 0 AND chain[c] > 0 THEN
                bad_chain[chain[c]] := true;
            END IF;
            outcomes[c] := outcome;
            stream := past;
        END LOOP;
        -- What is left of the batch is written; its events are counted anew.
        kept := ARRAY(SELECT c.kept AND outcomes[c.n] = 0 FROM unnest(kept) WITH ORDINALITY AS c (kept, n) ORDER BY c.n);
        till := ARRAY(
            SELECT (sum(c.written) FILTER (WHERE outcomes[c.n] = 0) OVER (ORDER BY c.n))::bigint
            FROM unnest(written) WITH ORDINALITY AS c (written, n) ORDER BY c.n
        );
        event_n := ARRAY(
            SELECT CASE WHEN outcomes[e.c] = 0 THEN count(*) FILTER (WHERE outcomes[e.c] = 0) OVER (ORDER BY e.n) END
            FROM unnest(event_commit) WITH ORDINALITY AS e (c, n) ORDER BY e.n
        );
    END IF;
    IF NOT writes THEN
        RETURN;
    END IF;

    IF outcomes IS NULL OR 0 = ANY (outcomes) THEN
        IF now > own + interval '1 minute' OR recorded > base_recorded + interval '1 day' THEN
            days := coalesce((
                SELECT m.value::int FROM {schema}.meta m WHERE m.key = 'clock_ahead_days' AND m.value ~ '^[0-9]{1,7}$'
            ), 1830);
            IF now > own + make_interval(days => days) THEN
                RAISE EXCEPTION 'annals: the clock of this program says %, the clock of the server %', now, own
                    USING ERRCODE = 'AN001';
            ELSIF recorded > base_recorded + make_interval(days => days) THEN
                RAISE EXCEPTION 'annals: the clock of the server says %, the last event was recorded at %', own,
                    base_recorded USING ERRCODE = 'AN001';
            END IF;
        END IF;
        IF recorded < timestamptz '4713-01-01 00:00:00+00 BC'
            OR recorded > timestamptz '9999-12-30 22:00:00.999999+00' THEN
            RAISE EXCEPTION 'annals: after event %, recorded_at would be %, which no reader could read', base, recorded
                USING ERRCODE = 'AN002';
        END IF;
    END IF;

    own_ms := date_part('epoch', own) * 1000;
    IF event_id[1] <= base_id
        OR event_id[cardinality(event_id)] > (lpad(to_hex(own_ms + 60000), 12, '0') || '7fffbfffffffffffffff')::uuid
    THEN
        -- A UUIDv7: 48 bits of milliseconds, 42 bits that count on, 32 bits of chance. Another writer was faster, or a
        -- clock is wrong. If the log is beyond the first id, time stays where its last id was, and counting goes on; the
        -- chance keeps a log that was restored and written on from giving out the ids of the tail that it lost. Ids
        -- ahead of this server's clock are replaced by ids of its time.
        after := base_id;
        IF event_id[1] > base_id THEN
            after := greatest(base_id, (lpad(to_hex(own_ms), 12, '0') || '70008000000000000000')::uuid);
        END IF;
        previous := replace(after::text, '-', '');
        time_part := ('x' || lpad(substr(previous, 1, 12), 16, '0'))::bit(64)::bigint;
        counter := (('x' || lpad(substr(previous, 14, 3), 16, '0'))::bit(64)::bigint << 30)
            + (('x' || lpad(substr(previous, 17, 8), 16, '0'))::bit(64)::bigint & 1073741823);
        IF counter > 4398046511103 - cardinality(event_id) THEN
            time_part := time_part + 1;
            counter := 0;
        END IF;
        event_id := ARRAY(
            SELECT (
                lpad(to_hex(time_part), 12, '0') || '7' || lpad(to_hex(n >> 30), 3, '0')
                || to_hex((n & 1073741823) | 2147483648)
                || lpad(to_hex(floor(random() * 4294967296)::bigint), 8, '0')
            )::uuid
            FROM generate_series(counter + 1, counter + cardinality(event_id)) AS n
        );
        event_ids := event_id;
        IF event_id[1] <= base_id THEN
            RAISE EXCEPTION 'annals: no event id follows on %, the last of the log', base_id USING ERRCODE = 'AN002';
        END IF;
    END IF;

    INSERT INTO {schema}.events (
        aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
        position, event_id, command_id, occurred_at, recorded_at, digest
    )
    SELECT e.aggregate_type, e.aggregate_id, e.sequence, e.event_type, e.event_version, e.payload::json,
        e.metadata::json, base + e.n, append.event_id[e.n], append.command_id[e.c], coalesce(e.occurred_at, recorded),
        recorded, e.digest
    FROM unnest(
        event_n, event_commit, event_aggregate_type, event_aggregate_id, event_sequence, append.event_type,
        append.event_version, event_payload, event_metadata, event_occurred, event_digest
    ) WITH ORDINALITY AS e (
        n, c, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, occurred_at, digest,
        place
    )
    WHERE e.n IS NOT NULL AND (e.n = e.place OR NOT fits) AND {schema}.unreadable(
        e.aggregate_type, e.aggregate_id, e.sequence, e.metadata, append.event_id[e.n], append.event_id[e.n - 1],
        e.occurred_at, e.digest
    ) IS NULL;
    GET DIAGNOSTICS appended = ROW_COUNT;
    IF appended <> coalesce(till[cardinality(till)], 0) THEN
        RAISE EXCEPTION 'annals: no reader could read an event of this batch: %', coalesce((
            SELECT format('%s of %s:%s, %s', e.event_type, e.kind, left(e.id, 100), e.reason)
            FROM (
                SELECT e.*, {schema}.unreadable(
                    e.kind, e.id, e.sequence, e.metadata, append.event_id[e.n], append.event_id[e.n - 1], e.occurred,
                    e.digest
                ) AS reason
                FROM unnest(
                    event_n, event_aggregate_type, event_aggregate_id, event_sequence, append.event_type,
                    event_metadata, event_occurred, event_digest
                ) AS e (n, kind, id, sequence, event_type, metadata, occurred, digest)
            ) e
            WHERE e.n IS NOT NULL AND e.reason IS NOT NULL LIMIT 1
        ), 'its columns contradict each other') USING ERRCODE = 'data_exception';
    END IF;

    -- The first rights: from now on, who appends must know of them.
    IF 'annals_access' = ANY (event_aggregate_type) AND 'access' <> ALL (string_to_array(coalesce(required, ''), ' '))
        AND EXISTS (SELECT FROM {schema}.events e WHERE e.position > base AND e.aggregate_type = 'annals_access')
    THEN
        INSERT INTO {schema}.meta (key, value) VALUES ('requires', concat_ws(' ', required, 'access'))
            ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    END IF;

    INSERT INTO {schema}.commands
    SELECT c.command_id, c.command, c.body_digest, base + c.till - c.written + least(c.written, 1), c.written,
        base + c.till, CASE WHEN c.till = 0 THEN base_id ELSE append.event_id[c.till] END, recorded
    FROM unnest(append.command_id, append.command, append.body_digest, kept, append.written, append.till)
        AS c (command_id, command, body_digest, kept, written, till)
    WHERE c.kept AND length(c.body_digest) = 32;
    GET DIAGNOSTICS appended = ROW_COUNT;
    IF appended <> cardinality(array_positions(kept, true)) THEN
        RAISE EXCEPTION 'annals: the digest of a command is 32 bytes long' USING ERRCODE = 'data_exception';
    END IF;
END
$annals$;

-- Nobody else needs it: the append function calls it as its owner.
REVOKE ALL ON FUNCTION {schema}.unreadable(text, text, bigint, text, uuid, uuid, timestamptz, bytea) FROM PUBLIC;
-- The owner grants EXECUTE to the roles that may append: see `migrate --grant`.
DO $annals$
BEGIN
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', (
        SELECT oid::regprocedure FROM pg_catalog.pg_proc
        WHERE pronamespace = '{schema}'::regnamespace AND proname = 'append'
    ));
END
$annals$;
