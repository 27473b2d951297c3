-- What people ask first, answered at any size: open requests by stage and age, steps in the order in
-- which they were written, requests by label. No new index: an existing one answers each.

-- Open requests. Not a compound as v_request is, so that counts and orders go along the index of who waits since when.
CREATE VIEW v_waiting AS
SELECT r.id, r.kind, r.account, r.program, r.username, r.state,
       CASE
           WHEN r.state = 'requested' THEN 'us'
           WHEN r.state = 'initiating' OR (r.state = 'initiated' AND r.kind = 'link') THEN 'wechat'
           WHEN r.state IN ('initiated', 'awaiting_account_admin') THEN 'account_admin'
           WHEN r.state = 'awaiting_program_admin' THEN 'program_admin'
           WHEN r.state = 'deferred' THEN 'quota'
       END AS waiting_on,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.since / 1000.0, 'unixepoch') AS since,
       r.since AS since_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.requested_at / 1000.0, 'unixepoch') AS requested_at,
       r.attempt, r.outcome_unknown > 0 AS outcome_unknown, r.errcode, r.errmsg,
       strftime('%Y-%m-%dT%H:%M:%fZ',
                coalesce(r.deferred_until, (SELECT a.next_check_at FROM account AS a WHERE a.account = r.account)) / 1000.0,
                'unixepoch') AS next_check_at,
       r.labels, r.key,
       (SELECT a.state FROM account AS a WHERE a.account = r.account) AS account_state
FROM request AS r
WHERE r.finished_at IS NULL;

-- The states of open requests. Whoever asks for them counts by age with `v_waiting`, at a time of their own.
CREATE VIEW v_stage AS
SELECT s.column1 AS state,
       (SELECT count(*) FROM request AS r INDEXED BY request_waiting
        WHERE r.state = s.column1 AND r.finished_at IS NULL) AS requests,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', min(r.since) / 1000.0, 'unixepoch')
        FROM request AS r INDEXED BY request_waiting
        WHERE r.state = s.column1 AND r.finished_at IS NULL) AS oldest_since,
       (SELECT min(r.since) FROM request AS r INDEXED BY request_waiting
        WHERE r.state = s.column1 AND r.finished_at IS NULL) AS oldest_since_ms
FROM (VALUES ('requested'), ('initiating'), ('initiated'), ('awaiting_account_admin'), ('awaiting_program_admin'),
             ('deferred')) AS s;

-- Steps in the order of their commits.
CREATE VIEW v_change AS
SELECT l.seq AS number, r.id AS request_id, l.step AS seq, r.kind, r.account, r.program,
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
       strftime('%Y-%m-%dT%H:%M:%fZ', l.at / 1000.0, 'unixepoch') AS at,
       l.at AS at_ms,
       l.at - (SELECT b.at FROM log AS b WHERE b.request = l.request AND b.step = l.step - 1) AS lasted_ms,
       CASE l.cause
           WHEN 0 THEN 'accepted' WHEN 1 THEN 'listing' WHEN 2 THEN 'call' WHEN 3 THEN 'answer'
           WHEN 4 THEN 'quota' WHEN 5 THEN 'deadline' WHEN 6 THEN 'operator'
           WHEN 7 THEN 'restore'
       END AS cause,
       l.status, l.errcode, l.detail, r.labels
FROM log AS l
JOIN request AS r ON r.row = l.request;

-- Requests by label.
CREATE VIEW v_label AS
SELECT l.name, l.value, l.request_id, r.kind, r.account, r.program, r.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', r.since / 1000.0, 'unixepoch') AS since,
       r.since AS since_ms
FROM request_label AS l
JOIN request AS r ON r.id = l.request_id;

-- As it was, but for the casts of words: unless both halves have the same affinity, SQLite builds all of it for every join.
DROP VIEW v_transition;

CREATE VIEW v_transition AS
SELECT t.request_id, t.seq, CAST(t.from_state AS TEXT) AS from_state, CAST(t.to_state AS TEXT) AS to_state,
       strftime('%Y-%m-%dT%H:%M:%fZ', t.at / 1000.0, 'unixepoch') AS at,
       CAST(t.cause AS TEXT) AS cause, t.status, t.errcode, t.detail, lower(hex(t.hash)) AS hash
FROM transition AS t
UNION ALL
SELECT l.id, CAST(1 AS INTEGER), CAST(NULL AS TEXT), CAST('requested' AS TEXT),
       strftime('%Y-%m-%dT%H:%M:%fZ', l.requested_at / 1000.0, 'unixepoch'),
       CAST('accepted' AS TEXT), CAST(NULL AS INTEGER), CAST(NULL AS INTEGER), CAST(NULL AS TEXT), lower(hex(l.chain))
FROM import AS i
CROSS JOIN import_line AS l ON l.import = i.id AND l.twin IS NULL
WHERE i.state = 'accepted';

PRAGMA user_version = 15;
