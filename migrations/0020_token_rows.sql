-- Tokens again, in tables that hold nothing but what is meant. What an edit past us has left is mended where that comes again by
-- itself; a row that cannot be is left out: the next push about its account, or the list of authorizers, brings it back.

DROP VIEW v_authorizer;

CREATE TABLE component_next (
    appid         TEXT    NOT NULL PRIMARY KEY,
    -- Seals a known word: a wrong key is noticed before it overwrites anything.
    key_check     BLOB    NOT NULL,
    ticket        BLOB,
    -- When WeChat made the ticket, and when we had it.
    ticket_made   INTEGER,
    ticket_at     INTEGER,
    -- Since when there is no ticket that works; NULL while there is one.
    ticketless_since INTEGER,
    -- The ticket that was refused, by the time at which it was made: it is not tried again.
    ticket_refused INTEGER,
    token         BLOB,
    renew_at      INTEGER,
    token_until   INTEGER,
    generation    INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
    claimed_by    TEXT,
    claimed_until INTEGER,
    -- Calls of a Beijing day, for tokens and lists, and for single accounts.
    calls_day     INTEGER NOT NULL DEFAULT 0,
    calls_used    INTEGER NOT NULL DEFAULT 0 CHECK (calls_used >= 0),
    lookups_used  INTEGER NOT NULL DEFAULT 0 CHECK (lookups_used >= 0),
    -- The last refusal, since when, and until when nothing is tried because of it; NULL `held_until` beside a refusal:
    -- until a person has acted.
    errcode       INTEGER,
    errmsg        TEXT,
    refused_since INTEGER,
    held_until    INTEGER,
    -- The last sweep of the list of authorizers: when it began, and how far it has come; NULL when it is done.
    swept_at      INTEGER,
    sweep_offset  INTEGER,
    -- Ids of the keys that the daemon of the last start opens values with, separated by blanks.
    open_keys     TEXT,
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CHECK ((token IS NULL) = (token_until IS NULL)),
    CHECK ((ticket IS NULL) = (ticket_made IS NULL))
) WITHOUT ROWID, STRICT;

-- Claims are of processes that are gone.
INSERT OR IGNORE INTO component_next
SELECT appid, key_check,
       CASE WHEN typeof(ticket) = 'blob' AND typeof(ticket_made) = 'integer' THEN ticket END,
       CASE WHEN typeof(ticket) = 'blob' AND typeof(ticket_made) = 'integer' THEN ticket_made END,
       CASE typeof(ticket_at) WHEN 'integer' THEN ticket_at END,
       CASE typeof(ticketless_since) WHEN 'integer' THEN ticketless_since END,
       CASE typeof(ticket_refused) WHEN 'integer' THEN ticket_refused END,
       CASE WHEN typeof(token) = 'blob' AND typeof(token_until) = 'integer' THEN token END,
       CASE typeof(renew_at) WHEN 'integer' THEN renew_at END,
       CASE WHEN typeof(token) = 'blob' AND typeof(token_until) = 'integer' THEN token_until END,
       CASE WHEN typeof(generation) = 'integer' THEN max(generation, 0) ELSE 0 END,
       NULL, NULL,
       CASE typeof(calls_day) WHEN 'integer' THEN calls_day ELSE 0 END,
       CASE WHEN typeof(calls_used) = 'integer' THEN max(calls_used, 0) ELSE 0 END,
       CASE WHEN typeof(lookups_used) = 'integer' THEN max(lookups_used, 0) ELSE 0 END,
       CASE typeof(errcode) WHEN 'integer' THEN errcode END,
       CASE typeof(errmsg) WHEN 'text' THEN errmsg END,
       CASE typeof(refused_since) WHEN 'integer' THEN refused_since END,
       CASE typeof(held_until) WHEN 'integer' THEN held_until END,
       CASE typeof(swept_at) WHEN 'integer' THEN swept_at END,
       CASE typeof(sweep_offset) WHEN 'integer' THEN sweep_offset END,
       NULL
FROM component
WHERE typeof(appid) = 'text' AND typeof(key_check) = 'blob';

CREATE TABLE authorizer_next (
    appid         TEXT    NOT NULL PRIMARY KEY,
    state         TEXT    NOT NULL CHECK (state = 'authorized' OR state = 'unauthorized' OR state = 'unknown'),
    since         INTEGER NOT NULL,
    refresh       BLOB,
    token         BLOB,
    renew_at      INTEGER,
    token_until   INTEGER,
    generation    INTEGER NOT NULL DEFAULT 0 CHECK (generation >= 0),
    claimed_by    TEXT,
    claimed_until INTEGER,
    -- The last push that counted: when WeChat made it, and what it said.
    event_made    INTEGER,
    event         TEXT    CHECK (event = 'authorized' OR event = 'updateauthorized' OR event = 'unauthorized'),
    -- When the account authorized the platform, as the list of authorizers says.
    auth_time     INTEGER,
    -- Permission sets, a JSON list of numbers; NULL while they are not known.
    permissions   TEXT    CHECK (permissions IS NULL OR json_valid(permissions)),
    username      TEXT,
    nickname      TEXT,
    errcode       INTEGER,
    errmsg        TEXT,
    failures      INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    -- Before when no refresh is tried again.
    retry_at      INTEGER,
    -- The last refresh that somebody forced by a refused token.
    forced_at     INTEGER,
    -- How often a token died within minutes of its refresh, lately: somebody else refreshes, too.
    killed_at     INTEGER,
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CHECK ((token IS NULL) = (token_until IS NULL)),
    CHECK ((event IS NULL) = (event_made IS NULL)),
    CHECK (state <> 'unauthorized' OR (token IS NULL AND refresh IS NULL))
) WITHOUT ROWID, STRICT;

INSERT OR IGNORE INTO authorizer_next
SELECT appid, state,
       CASE typeof(since) WHEN 'integer' THEN since ELSE 0 END,
       CASE WHEN typeof(refresh) = 'blob' AND state <> 'unauthorized' THEN refresh END,
       CASE WHEN typeof(token) = 'blob' AND typeof(token_until) = 'integer' AND state <> 'unauthorized' THEN token END,
       CASE typeof(renew_at) WHEN 'integer' THEN renew_at END,
       CASE WHEN typeof(token) = 'blob' AND typeof(token_until) = 'integer' AND state <> 'unauthorized' THEN token_until END,
       CASE WHEN typeof(generation) = 'integer' THEN max(generation, 0) ELSE 0 END,
       NULL, NULL,
       CASE WHEN event IN ('authorized', 'updateauthorized', 'unauthorized') AND typeof(event_made) = 'integer'
            THEN event_made END,
       CASE WHEN event IN ('authorized', 'updateauthorized', 'unauthorized') AND typeof(event_made) = 'integer'
            THEN event END,
       CASE typeof(auth_time) WHEN 'integer' THEN auth_time END,
       CASE WHEN typeof(permissions) = 'text' AND json_valid(permissions) THEN permissions END,
       CASE typeof(username) WHEN 'text' THEN username END,
       CASE typeof(nickname) WHEN 'text' THEN nickname END,
       CASE typeof(errcode) WHEN 'integer' THEN errcode END,
       CASE typeof(errmsg) WHEN 'text' THEN errmsg END,
       CASE WHEN typeof(failures) = 'integer' THEN max(failures, 0) ELSE 0 END,
       CASE typeof(retry_at) WHEN 'integer' THEN retry_at END,
       CASE typeof(forced_at) WHEN 'integer' THEN forced_at END,
       CASE typeof(killed_at) WHEN 'integer' THEN killed_at END
FROM authorizer
WHERE typeof(appid) = 'text' AND state IN ('authorized', 'unauthorized', 'unknown');

-- Pushes about accounts, by the SHA-256 of what was encrypted: the same one again changes nothing.
CREATE TABLE push_next (
    id      TEXT    NOT NULL PRIMARY KEY,
    appid   TEXT    NOT NULL,
    kind    TEXT    NOT NULL CHECK (kind = 'authorized' OR kind = 'updateauthorized' OR kind = 'unauthorized'),
    made    INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    -- The authorization code, until it is traded for tokens.
    code    BLOB,
    -- NULL: something is still to be done about it.
    done_at INTEGER,
    CHECK (done_at IS NULL OR code IS NULL)
) WITHOUT ROWID, STRICT;

INSERT OR IGNORE INTO push_next
SELECT id, appid, kind, made, at, CASE WHEN typeof(code) = 'blob' AND done_at IS NULL THEN code END, done_at
FROM push
WHERE typeof(id) = 'text' AND typeof(appid) = 'text' AND typeof(made) = 'integer'
      AND kind IN ('authorized', 'updateauthorized', 'unauthorized') AND typeof(at) = 'integer' AND (done_at IS NULL OR typeof(done_at) = 'integer');

-- What a command asks the running daemon to ask WeChat, and what came of it.
CREATE TABLE token_task_next (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT    NOT NULL CHECK (kind = 'sync' OR kind = 'refresh'),
    -- The account of a refresh.
    appid   TEXT,
    at      INTEGER NOT NULL,
    done_at INTEGER,
    -- What came of it, in words; NULL when it went well and there is nothing to say.
    said    TEXT,
    is_well INTEGER CHECK (is_well = 0 OR is_well = 1),
    CHECK ((kind = 'refresh') = (appid IS NOT NULL)),
    CHECK ((done_at IS NULL) = (is_well IS NULL))
) STRICT;

INSERT OR IGNORE INTO token_task_next
SELECT id, kind, appid, at, done_at, CASE typeof(said) WHEN 'text' THEN said END, is_well
FROM token_task
WHERE typeof(at) = 'integer' AND ((kind = 'sync' AND appid IS NULL) OR (kind = 'refresh' AND typeof(appid) = 'text'))
      AND ((done_at IS NULL AND is_well IS NULL) OR (typeof(done_at) = 'integer' AND is_well IN (0, 1)));

-- No number is given twice, also where the last rows of the old table had been taken away.
INSERT INTO sqlite_sequence (name, seq)
SELECT 'token_task_next', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'token_task_next');
UPDATE sqlite_sequence
SET seq = max(seq, coalesce((SELECT o.seq FROM sqlite_sequence AS o WHERE o.name = 'token_task'), 0))
WHERE name = 'token_task_next';

DROP TABLE component;
DROP TABLE authorizer;
DROP TABLE push;
DROP TABLE token_task;
ALTER TABLE component_next RENAME TO component;
ALTER TABLE authorizer_next RENAME TO authorizer;
ALTER TABLE push_next RENAME TO push;
ALTER TABLE token_task_next RENAME TO token_task;

-- Who must authorize, in the order of the names.
CREATE INDEX authorizer_gone ON authorizer (appid) WHERE state <> 'authorized';
-- Whose next token is being fetched.
CREATE INDEX authorizer_claimed ON authorizer (claimed_until) WHERE claimed_until IS NOT NULL;
-- Who waits for the list of authorizers to have a refresh token.
CREATE INDEX authorizer_lacking ON authorizer (appid)
WHERE refresh IS NULL AND state <> 'unauthorized' AND errcode = 61023;
CREATE INDEX authorizer_killed ON authorizer (killed_at) WHERE killed_at IS NOT NULL;

CREATE INDEX push_open ON push (at) WHERE done_at IS NULL;
CREATE INDEX push_done ON push (done_at) WHERE done_at IS NOT NULL;

CREATE INDEX token_task_open ON token_task (id) WHERE done_at IS NULL;

CREATE VIEW v_authorizer AS
SELECT a.appid, a.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.since / 1000.0, 'unixepoch') AS since,
       -- A row that somebody edited must not keep the others from being read.
       CASE WHEN typeof(a.permissions) = 'text' AND json_valid(a.permissions)
            THEN EXISTS (SELECT 1 FROM json_each(a.permissions) AS p WHERE p.value = 33) ELSE 0
       END AS has_link_permission,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.token_until / 1000.0, 'unixepoch') AS token_until,
       a.username, a.nickname, a.errcode, a.errmsg
FROM authorizer AS a;

PRAGMA user_version = 20;
