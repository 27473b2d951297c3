-- The rows have moved: the old tables go, the new ones take their names. (Names of parents in other tables stay as they are
-- written, because nothing refers to the new name.)

DROP VIEW v_request;
DROP VIEW v_transition;
DROP VIEW v_conflict;
DROP VIEW v_account;
DROP VIEW v_delivery;
DROP VIEW v_nudge;

-- No number is given twice, also where the last rows of the old table had been taken away.
INSERT INTO sqlite_sequence (name, seq)
SELECT 'log', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'log');
UPDATE sqlite_sequence
SET seq = max(seq, coalesce((SELECT o.seq FROM sqlite_sequence AS o WHERE o.name = 'outbox'), 0))
WHERE name = 'log';

DROP TABLE outbox;
DROP TABLE transition;
DROP TABLE request;
ALTER TABLE request_next RENAME TO request;

PRAGMA writable_schema = 1;

UPDATE sqlite_schema SET sql = sql || ' STRICT' WHERE type = 'table' AND name IN ('request', 'log');

-- What a delivery is of is a row of the log, by its number.
UPDATE sqlite_schema SET sql = replace(sql, ' REFERENCES outbox (id)', '') WHERE type = 'table' AND name = 'delivery';

PRAGMA writable_schema = RESET;

-- One wish is held by one open request; a look at an account finds what is open by it, and what is linked by the other. Both
-- stay as they are at every step that neither ends a request nor links it.
CREATE UNIQUE INDEX request_one_open ON request (account, program, kind) WHERE finished_at IS NULL;
CREATE INDEX request_linked ON request (account, program) WHERE state = 'linked';
-- Pages of lists, each in the order of the ids.
CREATE INDEX request_by_state ON request (state, id);
CREATE INDEX request_by_account ON request (account, id);
CREATE INDEX request_by_program ON request (program, id);
-- Who is waited for, and since when.
CREATE INDEX request_waiting ON request (state, since) WHERE finished_at IS NULL;
-- Calls that were out when a process died.
CREATE INDEX request_calling ON request (id) WHERE state = 'initiating' AND outcome_unknown = 0;
CREATE INDEX request_deferred ON request (deferred_until) WHERE deferred_until IS NOT NULL;
CREATE INDEX request_retry ON request (retry_of) WHERE retry_of IS NOT NULL;
CREATE UNIQUE INDEX request_key ON request (key) WHERE key IS NOT NULL;

-- Old names are looked for once a day, by reading all of them.
DROP INDEX program_name_by_age;

-- The history of a request.
CREATE UNIQUE INDEX log_by_request ON log (request, step) WHERE request IS NOT NULL;
-- Messages by their age: those that nobody is owed any more are taken away, those of an alert are found.
CREATE INDEX log_messages ON log (at) WHERE data IS NOT NULL;
-- How requests ended lately.
CREATE INDEX log_ended ON log (at) WHERE to_state >= 6;

CREATE VIEW v_request AS
SELECT r.id, r.kind, r.account, r.program, r.username, r.state,
       CASE
           WHEN r.state = 'requested' THEN 'us'
           WHEN r.state = 'initiating' OR (r.state = 'initiated' AND r.kind = 'link') THEN 'wechat'
           WHEN r.state IN ('initiated', 'awaiting_account_admin') THEN 'account_admin'
           WHEN r.state = 'awaiting_program_admin' THEN 'program_admin'
           WHEN r.state = 'deferred' THEN 'quota'
       END AS waiting_on,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.since / 1000.0, 'unixepoch') AS since,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.requested_at / 1000.0, 'unixepoch') AS requested_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.finished_at / 1000.0, 'unixepoch') AS finished_at,
       r.attempt, r.outcome_unknown > 0 AS outcome_unknown, r.errcode, r.errmsg,
       strftime('%Y-%m-%dT%H:%M:%fZ',
                CASE WHEN r.finished_at IS NULL THEN coalesce(r.deferred_until, a.next_check_at) END / 1000.0,
                'unixepoch') AS next_check_at,
       r.retry_of, r.labels, r.failure, r.key, r.notify_users, r.show_profile, r.seen_status,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.called_at / 1000.0, 'unixepoch') AS called_at,
       a.state AS account_state
FROM request AS r
JOIN account AS a ON a.account = r.account
UNION ALL
SELECT l.id, l.kind, l.account, l.program, l.username, CAST('requested' AS TEXT), 'us',
       strftime('%Y-%m-%dT%H:%M:%fZ', l.requested_at / 1000.0, 'unixepoch'),
       strftime('%Y-%m-%dT%H:%M:%fZ', l.requested_at / 1000.0, 'unixepoch'),
       NULL, CAST(0 AS INTEGER), 0, CAST(NULL AS INTEGER), CAST(NULL AS TEXT),
       strftime('%Y-%m-%dT%H:%M:%fZ',
                CASE WHEN a.suspended_by IS NOT 'operator' THEN coalesce(a.next_check_at, i.accepted_at) END / 1000.0,
                'unixepoch'),
       CAST(NULL AS TEXT), l.labels, CAST(NULL AS TEXT), l.key, l.notify_users, l.show_profile, CAST(NULL AS INTEGER),
       NULL, CAST(coalesce(a.state, 'active') AS TEXT)
FROM import AS i
CROSS JOIN import_line AS l ON l.import = i.id AND l.twin IS NULL
LEFT JOIN account AS a ON a.account = l.account
WHERE i.state = 'accepted';

CREATE VIEW v_conflict AS
SELECT c.id, c.request_id, r.account, r.program, c.kind, c.errcode,
       strftime('%Y-%m-%dT%H:%M:%fZ', c.at / 1000.0, 'unixepoch') AS at,
       c.our_state, c.their_status,
       strftime('%Y-%m-%dT%H:%M:%fZ', c.resolved_at / 1000.0, 'unixepoch') AS resolved_at,
       c.resolution, c.errmsg
FROM conflict AS c
JOIN request AS r ON r.id = c.request_id;

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
       a.call_error,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.emptied_at / 1000.0, 'unixepoch') AS emptied_since,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.overfull_since / 1000.0, 'unixepoch') AS overfull_since
FROM account AS a;

-- History, in words.
CREATE VIEW transition AS
SELECT r.id AS request_id, l.step AS seq,
       CASE l.from_state
           WHEN 0 THEN 'requested' WHEN 1 THEN 'initiating' WHEN 2 THEN 'initiated'
           WHEN 3 THEN 'awaiting_account_admin' WHEN 4 THEN 'awaiting_program_admin'
           WHEN 5 THEN 'deferred' WHEN 6 THEN 'linked' WHEN 7 THEN 'rejected'
           WHEN 8 THEN 'failed' WHEN 9 THEN 'lapsed' WHEN 10 THEN 'cancelled'
           WHEN 11 THEN 'unlinked'
       END AS from_state,
       CASE l.to_state
           WHEN 0 THEN 'requested' WHEN 1 THEN 'initiating' WHEN 2 THEN 'initiated'
           WHEN 3 THEN 'awaiting_account_admin' WHEN 4 THEN 'awaiting_program_admin'
           WHEN 5 THEN 'deferred' WHEN 6 THEN 'linked' WHEN 7 THEN 'rejected'
           WHEN 8 THEN 'failed' WHEN 9 THEN 'lapsed' WHEN 10 THEN 'cancelled'
           WHEN 11 THEN 'unlinked'
       END AS to_state,
       l.at,
       CASE l.cause
           WHEN 0 THEN 'accepted' WHEN 1 THEN 'listing' WHEN 2 THEN 'call' WHEN 3 THEN 'answer'
           WHEN 4 THEN 'quota' WHEN 5 THEN 'deadline' WHEN 6 THEN 'operator'
           WHEN 7 THEN 'restore'
       END AS cause,
       l.status, l.errcode, l.detail, l.hash
FROM log AS l
JOIN request AS r ON r.row = l.request;

-- Events. That of a step is worded when it is read, the same each time; its id is made of its time and its hash.
CREATE VIEW outbox AS
SELECT l.seq,
       coalesce(l.id, printf('%08x-%04x-7', l.at >> 16, l.at & 65535) || lower(
           substr(hex(l.hash), 1, 3) || '-8' || substr(hex(l.hash), 4, 3) || '-' || substr(hex(l.hash), 7, 12))) AS id,
       coalesce(l.type, 'amplinkd.request.' || CASE l.to_state
           WHEN 0 THEN 'requested' WHEN 1 THEN 'initiating' WHEN 2 THEN 'initiated'
           WHEN 3 THEN 'awaiting_account_admin' WHEN 4 THEN 'awaiting_program_admin'
           WHEN 5 THEN 'deferred' WHEN 6 THEN 'linked' WHEN 7 THEN 'rejected'
           WHEN 8 THEN 'failed' WHEN 9 THEN 'lapsed' WHEN 10 THEN 'cancelled'
           WHEN 11 THEN 'unlinked'
       END) AS type,
       coalesce(l.subject, r.id) AS subject, coalesce(l.partition_key, r.id) AS partition_key, l.reach, l.at,
       coalesce(l.data, json_object(
           'account', r.account, 'at', strftime('%Y-%m-%dT%H:%M:%fZ', l.at / 1000.0, 'unixepoch'), 'attempt', l.attempt,
           'cause', CASE l.cause
               WHEN 0 THEN 'accepted' WHEN 1 THEN 'listing' WHEN 2 THEN 'call' WHEN 3 THEN 'answer'
               WHEN 4 THEN 'quota' WHEN 5 THEN 'deadline' WHEN 6 THEN 'operator'
               WHEN 7 THEN 'restore'
           END, 'errcode', l.refusal, 'from', CASE l.from_state
               WHEN 0 THEN 'requested' WHEN 1 THEN 'initiating' WHEN 2 THEN 'initiated'
               WHEN 3 THEN 'awaiting_account_admin' WHEN 4 THEN 'awaiting_program_admin'
               WHEN 5 THEN 'deferred' WHEN 6 THEN 'linked' WHEN 7 THEN 'rejected'
               WHEN 8 THEN 'failed' WHEN 9 THEN 'lapsed' WHEN 10 THEN 'cancelled'
               WHEN 11 THEN 'unlinked'
           END,
           'kind', r.kind,
           'labels', json(CASE WHEN json_valid(r.labels) THEN r.labels ELSE '{}' END), 'program', r.program, 'request', r.id,
           'to', CASE l.to_state
               WHEN 0 THEN 'requested' WHEN 1 THEN 'initiating' WHEN 2 THEN 'initiated'
               WHEN 3 THEN 'awaiting_account_admin' WHEN 4 THEN 'awaiting_program_admin'
               WHEN 5 THEN 'deferred' WHEN 6 THEN 'linked' WHEN 7 THEN 'rejected'
               WHEN 8 THEN 'failed' WHEN 9 THEN 'lapsed' WHEN 10 THEN 'cancelled'
               WHEN 11 THEN 'unlinked'
           END)) AS data
FROM log AS l
LEFT JOIN request AS r ON r.row = l.request
WHERE l.seq > 0;

CREATE VIEW v_transition AS
SELECT t.request_id, t.seq, t.from_state, t.to_state,
       strftime('%Y-%m-%dT%H:%M:%fZ', t.at / 1000.0, 'unixepoch') AS at,
       t.cause, t.status, t.errcode, t.detail, lower(hex(t.hash)) AS hash
FROM transition AS t
UNION ALL
SELECT l.id, CAST(1 AS INTEGER), CAST(NULL AS TEXT), CAST('requested' AS TEXT),
       strftime('%Y-%m-%dT%H:%M:%fZ', l.requested_at / 1000.0, 'unixepoch'),
       CAST('accepted' AS TEXT), CAST(NULL AS INTEGER), CAST(NULL AS INTEGER), CAST(NULL AS TEXT), lower(hex(l.chain))
FROM import AS i
CROSS JOIN import_line AS l ON l.import = i.id AND l.twin IS NULL
WHERE i.state = 'accepted';

CREATE VIEW v_delivery AS
SELECT d.id, d.event_id, o.type AS event_type, d.channel, d.state, d.attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.next_at / 1000.0, 'unixepoch') AS next_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.delivered_at / 1000.0, 'unixepoch') AS delivered_at,
       d.last_error, o.subject,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.created_at / 1000.0, 'unixepoch') AS created_at
FROM delivery AS d
JOIN outbox AS o ON o.seq = d.seq;

CREATE VIEW v_nudge AS
SELECT n.id, n.request_id, r.account, r.program, n.stage, n.language, n.channel,
       strftime('%Y-%m-%dT%H:%M:%fZ', n.at / 1000.0, 'unixepoch') AS at,
       strftime('%Y-%m-%dT%H:%M:%fZ', t.at / 1000.0, 'unixepoch') AS approved_at,
       max(t.at - n.at, 0) / 1000 AS approved_within_seconds,
       t.at IS NOT NULL AND t.at - n.at <= n.effect_ms AS effective,
       n.effect_ms / 1000 AS effect_within_seconds,
       n.text
FROM nudge AS n
JOIN request AS r ON r.id = n.request_id
-- To awaiting_program_admin, linked or unlinked.
LEFT JOIN log AS t ON t.request = r.row AND t.step = n.seq + 1 AND t.to_state IN (4, 6, 11);

-- There until the file has given back the room of the old tables (store/migrate.rs): where that is interrupted, the next
-- daemon does it.
CREATE TABLE moved (
    at INTEGER NOT NULL
) STRICT;

PRAGMA user_version = 14;
