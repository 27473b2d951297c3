-- Accounts are followed as requests are: why a list cannot be read and since when, how urgent the next look is, and a
-- pause of calls of its own.

-- Every table becomes STRICT: a value of another type than its column's is refused where it is written. What SQLite keeps
-- on disk is the same, so the schema's text alone is changed (https://www.sqlite.org/lang_altertable.html, "making other
-- kinds of table schema changes"): no row is copied, and a row that is not legal today stays to be found by the audit.
PRAGMA writable_schema = 1;

UPDATE sqlite_schema
SET sql = replace(replace(sql, 'BIGINT', 'INTEGER'),
                  'CHECK (trouble IN (''token'', ''other''))',
                  'CHECK (trouble IN (''token'', ''refused'', ''unreadable'', ''unreachable''))')
          || CASE WHEN sql LIKE '%WITHOUT ROWID' THEN ', STRICT' ELSE ' STRICT' END
WHERE type = 'table'
  AND name IN ('account', 'request', 'request_label', 'transition', 'conflict', 'program', 'program_name', 'gate',
               'outbox', 'wakeup', 'job', 'copy', 'salvage', 'alert', 'vigil', 'watch', 'delivery', 'nudge');

PRAGMA writable_schema = RESET;

-- Somebody asked for this look: it goes before all others.
ALTER TABLE account ADD COLUMN asked INTEGER NOT NULL DEFAULT 0 CHECK (asked IN (0, 1));
-- Since when its list cannot be read; NULL while it can.
ALTER TABLE account ADD COLUMN unread_since INTEGER;
-- Calls that were refused in a row, since when, why, and before when none is made again.
ALTER TABLE account ADD COLUMN call_failures INTEGER NOT NULL DEFAULT 0 CHECK (call_failures >= 0);
ALTER TABLE account ADD COLUMN calls_refused_since INTEGER;
ALTER TABLE account ADD COLUMN call_after INTEGER;
ALTER TABLE account ADD COLUMN call_error TEXT;

UPDATE account SET trouble = 'unreadable' WHERE trouble = 'other';
UPDATE account SET unread_since = coalesce(checked_at, since) WHERE failures > 0 AND state = 'active';

DROP INDEX account_without_token;
CREATE INDEX account_unread ON account (unread_since) WHERE unread_since IS NOT NULL;
CREATE INDEX account_calls_refused ON account (calls_refused_since) WHERE calls_refused_since IS NOT NULL;

-- A wake-up by somebody who waits for the answer goes before those of an import.
ALTER TABLE wakeup ADD COLUMN asked INTEGER NOT NULL DEFAULT 0 CHECK (asked IN (0, 1));

-- The plan that the daemon works by: by how much all waits are stretched because demand exceeds supply. One row.
CREATE TABLE pace (
    one           INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    -- Thousandths: 1000 is as the configuration says.
    stretch       INTEGER NOT NULL CHECK (stretch >= 1000),
    -- How late a look may be by that plan, milliseconds.
    late_ms       INTEGER NOT NULL CHECK (late_ms >= 0),
    -- Since when the stretch is above 2; NULL while it is not.
    strained_since INTEGER,
    at            INTEGER NOT NULL
) WITHOUT ROWID, STRICT;

DROP VIEW v_account;
CREATE VIEW v_account AS
SELECT a.account, a.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.since / 1000.0, 'unixepoch') AS since,
       a.suspended_by, a.errcode, a.errmsg,
       (SELECT count(*) FROM request AS r INDEXED BY request_one_open
        WHERE r.account = a.account AND r.finished_at IS NULL) AS open_requests,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.next_check_at / 1000.0, 'unixepoch') AS next_check_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.checked_at / 1000.0, 'unixepoch') AS checked_at,
       a.failures, a.last_error,
       strftime('%Y-%m-%d', nullif(a.budget_day, 0) * 86400, 'unixepoch') AS budget_day,
       a.budget_used,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.checked_at / 1000.0, 'unixepoch') AS last_read_at,
       a.trouble,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.unread_since / 1000.0, 'unixepoch') AS unread_since,
       a.call_failures,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.calls_refused_since / 1000.0, 'unixepoch') AS calls_refused_since,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.call_after / 1000.0, 'unixepoch') AS next_call_at,
       a.call_error
FROM account AS a;

PRAGMA user_version = 5;
