-- Quotas roll late: what was refused in the first hours of a month or day is asked again every half hour, by one call for
-- all that wait. The account's month has a gate as the program's has, one for each code.
PRAGMA writable_schema = 1;

UPDATE sqlite_schema
SET sql = replace(sql, 'kind IN (''program_month'', ''api_day'', ''ip'')',
                  'kind IN (''program_month'', ''account_month'', ''api_day'', ''ip'')')
WHERE type = 'table' AND name = 'gate';

PRAGMA writable_schema = RESET;

-- 1: the month or day had just begun and has perhaps not rolled at WeChat: until is when one call asks again.
ALTER TABLE gate ADD COLUMN early INTEGER NOT NULL DEFAULT 0 CHECK (early IN (0, 1));

-- What an account's month holds back today has no gate yet.
INSERT INTO gate (kind, subject, until, errcode, errmsg, at)
SELECT 'account_month', r.account || '/' || r.errcode, min(r.deferred_until), r.errcode, coalesce(max(r.errmsg), ''),
       max(r.since)
FROM request AS r INDEXED BY request_deferred
WHERE r.deferred_until IS NOT NULL AND r.errcode IN (89016, 89017, 89030)
GROUP BY r.account, r.errcode
ON CONFLICT (kind, subject) DO NOTHING;

-- Gates that somebody outside the daemon opened: it forgets them within a second and takes the rows away.
CREATE TABLE gate_opening (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

DROP VIEW v_gate;
CREATE VIEW v_gate AS
SELECT g.kind, g.subject,
       strftime('%Y-%m-%dT%H:%M:%fZ', g.until / 1000.0, 'unixepoch') AS until,
       g.errcode, g.errmsg,
       strftime('%Y-%m-%dT%H:%M:%fZ', g.at / 1000.0, 'unixepoch') AS at,
       g.early
FROM gate AS g;

PRAGMA user_version = 6;
