-- Where events and commands contradict each other; each row is one finding.

SELECT 'the log holds ' || held.events || ' events, and its last position is ' || held.last
FROM (SELECT count(*) AS events, coalesce(max(position), 0) AS last FROM {schema}.events) held
WHERE held.events <> held.last

UNION ALL
(SELECT 'event ' || position || problem
FROM (
    SELECT e.position, CASE
        WHEN c.command_id IS NULL THEN ' names a command that is not among the commands'
        WHEN e.position NOT BETWEEN c.first_position AND c.first_position + c.events - 1
            THEN ' lies outside of the range that its command wrote'
        WHEN e.recorded_at <> c.recorded_at THEN ' has another time of recording than its command'
    END AS problem
    FROM {schema}.events e LEFT JOIN {schema}.commands c ON c.command_id = e.command_id
) found
WHERE problem IS NOT NULL LIMIT 1000)

UNION ALL
(SELECT 'command ' || replace(command_id::text, '-', '') || problem
FROM (
    SELECT c.command_id, CASE
        WHEN c.events < 0 OR c.first_position < 0 OR c.head_position < 0 OR length(c.body_digest) <> 32
            THEN ' holds what no command has'
        WHEN c.events > 0 AND e.event_id IS DISTINCT FROM c.head_event_id
            THEN ' wrote ' || c.events || ' events from position ' || c.first_position
                || ', and the last of them is not there as it was'
        WHEN c.events > 0 AND (e.command_id <> c.command_id OR c.first_position + c.events - 1 <> c.head_position)
            THEN ' does not end with its own last event'
        WHEN c.events = 0 AND c.head_event_id IS DISTINCT FROM
                CASE c.head_position WHEN 0 THEN '00000000-0000-0000-0000-000000000000' ELSE e.event_id END
            THEN ' saw the log up to event ' || c.head_position || ', which is not there as it was'
        WHEN c.events = 0 AND c.first_position <> c.head_position
            THEN ' wrote nothing, and says that it began elsewhere than it ended'
        WHEN c.recorded_at < e.recorded_at THEN ' was recorded before the last event that it saw'
    END AS problem
    FROM {schema}.commands c LEFT JOIN {schema}.events e ON e.position = c.head_position
) found
WHERE problem IS NOT NULL LIMIT 1000)

UNION ALL
SELECT 'the commands wrote ' || c.written || ' events in all, the log holds ' || e.held
FROM (SELECT coalesce(sum(events), 0) AS written FROM {schema}.commands) c,
    (SELECT count(*) AS held FROM {schema}.events) e
WHERE c.written <> e.held
