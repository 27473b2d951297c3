-- Lists are judged as a whole before they are asked about single programs, and what is remembered of them is bounded.

-- Since when the account's list shows nothing of what stood in it before, and is not believed; NULL while it is.
ALTER TABLE account ADD COLUMN emptied_at INTEGER;
-- Since when its list holds more items than are remembered; NULL while all are.
ALTER TABLE account ADD COLUMN overfull_since INTEGER;

CREATE INDEX account_emptied ON account (emptied_at) WHERE emptied_at IS NOT NULL;

-- For taking away what has been gone for long, and names that nobody has used for long. `at` of a name is from here on
-- when it was learned or last found in use.
CREATE INDEX program_gone ON program (gone_at) WHERE gone_at IS NOT NULL;
CREATE INDEX program_name_by_age ON program_name (at);

-- While a list is not believed to have lost everything, its items are listed no longer and not gone yet.
DROP VIEW v_program;
CREATE VIEW v_program AS
SELECT p.account, p.program, p.username, p.status, p.nickname, p.headimg_url, p.email, p.source, p.selected,
       p.nearby_display_status, p.released, p.copy_verify_status, p.func_infos,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.first_seen_at / 1000.0, 'unixepoch') AS first_seen_at,
       strftime('%Y-%m-%dT%H:%M:%fZ',
                coalesce(p.gone_at, a.emptied_at, a.checked_at, p.status_since) / 1000.0, 'unixepoch') AS last_seen_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.gone_at / 1000.0, 'unixepoch') AS gone_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.status_since / 1000.0, 'unixepoch') AS status_since,
       p.item
FROM program AS p
JOIN account AS a ON a.account = p.account;

PRAGMA user_version = 7;
