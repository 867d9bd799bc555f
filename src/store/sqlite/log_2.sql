-- Version 2: a log that requires something of programs (`requires` in meta). Programs that do not look there, and may be running,
-- name no columns when they insert a command: with one column more, all that they append is refused. It is always NULL.
ALTER TABLE commands ADD COLUMN requires_newer_program TEXT;
