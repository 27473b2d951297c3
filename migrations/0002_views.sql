-- The public interface. Columns are only ever added. Times are RFC 3339 texts in UTC with milliseconds.

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
JOIN account AS a ON a.account = r.account;

CREATE VIEW v_transition AS
SELECT t.request_id, t.seq, t.from_state, t.to_state,
       strftime('%Y-%m-%dT%H:%M:%fZ', t.at / 1000.0, 'unixepoch') AS at,
       t.cause, t.status, t.errcode, t.detail, lower(hex(t.hash)) AS hash
FROM transition AS t;

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
       a.budget_used
FROM account AS a;

CREATE VIEW v_program AS
SELECT p.account, p.program, p.username, p.status, p.nickname, p.headimg_url, p.email, p.source, p.selected,
       p.nearby_display_status, p.released, p.copy_verify_status, p.func_infos,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.first_seen_at / 1000.0, 'unixepoch') AS first_seen_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', coalesce(p.gone_at, a.checked_at, p.status_since) / 1000.0, 'unixepoch')
           AS last_seen_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.gone_at / 1000.0, 'unixepoch') AS gone_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.status_since / 1000.0, 'unixepoch') AS status_since,
       p.item
FROM program AS p
JOIN account AS a ON a.account = p.account;

CREATE VIEW v_gate AS
SELECT g.kind, g.subject,
       strftime('%Y-%m-%dT%H:%M:%fZ', g.until / 1000.0, 'unixepoch') AS until,
       g.errcode, g.errmsg,
       strftime('%Y-%m-%dT%H:%M:%fZ', g.at / 1000.0, 'unixepoch') AS at
FROM gate AS g;

PRAGMA user_version = 2;
