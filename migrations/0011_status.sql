-- What `amplinkd status` reads: which daemon drives the file and when it could last write, and the figures of one page.

-- The daemon that runs, or else the last one that ran. Whether one runs, the lock beside the file says. One row.
CREATE TABLE daemon (
    one        INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    pid        INTEGER NOT NULL,
    version    TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    -- Written anew every half minute: a daemon that runs and whose mark is older cannot write.
    written_at INTEGER NOT NULL,
    -- When it ended in good order; NULL while it runs, and when it was killed.
    stopped_at INTEGER
) WITHOUT ROWID, STRICT;

-- The longest wait of each stage.
CREATE INDEX request_waiting ON request (state, since) WHERE finished_at IS NULL;

-- Unread accounts by cause, counted and listed; suspended ones likewise.
CREATE INDEX account_trouble ON account (trouble, account, unread_since) WHERE trouble IS NOT NULL;
CREATE INDEX account_suspended_by ON account (suspended_by, errcode, account, since) WHERE suspended_by IS NOT NULL;

-- Open alerts, counted by reason and state. With the column of its condition, or every row would be read for it.
CREATE INDEX alert_open ON alert (rule, reason, state, resolved_at) WHERE resolved_at IS NULL;

CREATE VIEW v_daemon AS
SELECT d.pid, d.version,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.started_at / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.written_at / 1000.0, 'unixepoch') AS written_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.stopped_at / 1000.0, 'unixepoch') AS stopped_at
FROM daemon AS d;

PRAGMA user_version = 11;
