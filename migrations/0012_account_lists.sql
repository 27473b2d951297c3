-- Who asks about an account sees how its list is as a whole: suddenly empty and not believed yet, longer than is remembered.
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
       a.call_error,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.emptied_at / 1000.0, 'unixepoch') AS emptied_since,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.overfull_since / 1000.0, 'unixepoch') AS overfull_since
FROM account AS a;

PRAGMA user_version = 12;
