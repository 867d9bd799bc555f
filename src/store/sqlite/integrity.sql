-- Where events and commands contradict each other; each row is one finding.

SELECT 'event ' || e.position || ' names a command that is not among the commands'
FROM events e LEFT JOIN commands c ON c.command_id = e.command_id
WHERE c.command_id IS NULL

UNION ALL
SELECT 'event ' || e.position || ' lies outside of the range that its command wrote'
FROM events e JOIN commands c ON c.command_id = e.command_id
WHERE e.position NOT BETWEEN c.first_position AND c.first_position + c.events - 1

UNION ALL
SELECT 'command ' || lower(hex(c.command_id)) || ' wrote ' || c.events || ' events from position '
    || c.first_position || ', and the last of them is not there as it was'
FROM commands c LEFT JOIN events e ON e.position = c.head_position
WHERE c.head_position > 0 AND e.event_id IS NOT c.head_event_id

UNION ALL
SELECT 'the commands wrote ' || c.written || ' events in all, the log holds ' || e.held
FROM (SELECT coalesce(sum(events), 0) AS written FROM commands) c, (SELECT count(*) AS held FROM events) e
WHERE c.written <> e.held

LIMIT 1000;
