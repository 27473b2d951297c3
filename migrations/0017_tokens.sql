-- The platform's own tokens: its component (the third-party platform), the accounts that authorized it, and pushes about
-- them. Every BLOB is sealed under a key that is not in this file. `generation` counts the tokens of a row, so that a
-- refresh that was overtaken is thrown away; whoever refreshes claims the row first.

CREATE TABLE component (
    appid         TEXT    NOT NULL PRIMARY KEY,
    -- Seals a known word: a wrong key is noticed before it overwrites anything.
    key_check     BLOB    NOT NULL,
    ticket        BLOB,
    -- When WeChat made the ticket, and when we had it.
    ticket_made   BIGINT,
    ticket_at     BIGINT,
    -- Since when there is no ticket that works; NULL while there is one.
    ticketless_since BIGINT,
    -- The ticket that was refused, by the time at which it was made: it is not tried again.
    ticket_refused BIGINT,
    token         BLOB,
    renew_at      BIGINT,
    token_until   BIGINT,
    generation    BIGINT  NOT NULL DEFAULT 0 CHECK (generation >= 0),
    claimed_by    TEXT,
    claimed_until BIGINT,
    -- Calls of a Beijing day, for tokens and lists, and for single accounts.
    calls_day     BIGINT  NOT NULL DEFAULT 0,
    calls_used    BIGINT  NOT NULL DEFAULT 0 CHECK (calls_used >= 0),
    lookups_used  BIGINT  NOT NULL DEFAULT 0 CHECK (lookups_used >= 0),
    -- The last refusal, since when, and until when nothing is tried because of it; NULL `held_until` beside a refusal:
    -- until a person has acted.
    errcode       BIGINT,
    errmsg        TEXT,
    refused_since BIGINT,
    held_until    BIGINT,
    -- The last sweep of the list of authorizers: when it began, and how far it has come; NULL when it is done.
    swept_at      BIGINT,
    sweep_offset  BIGINT,
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CHECK ((token IS NULL) = (token_until IS NULL)),
    CHECK ((ticket IS NULL) = (ticket_made IS NULL))
) WITHOUT ROWID;

CREATE TABLE authorizer (
    appid         TEXT    NOT NULL PRIMARY KEY,
    state         TEXT    NOT NULL CHECK (state = 'authorized' OR state = 'unauthorized' OR state = 'unknown'),
    since         BIGINT  NOT NULL,
    refresh       BLOB,
    token         BLOB,
    renew_at      BIGINT,
    token_until   BIGINT,
    generation    BIGINT  NOT NULL DEFAULT 0 CHECK (generation >= 0),
    claimed_by    TEXT,
    claimed_until BIGINT,
    -- The last push that counted: when WeChat made it, and what it said.
    event_made    BIGINT,
    event         TEXT    CHECK (event = 'authorized' OR event = 'updateauthorized' OR event = 'unauthorized'),
    -- When the account authorized the platform, as the list of authorizers says.
    auth_time     BIGINT,
    -- Permission sets, a JSON list of numbers; NULL while they are not known.
    permissions   TEXT    CHECK (json_valid(permissions)),
    username      TEXT,
    nickname      TEXT,
    errcode       BIGINT,
    errmsg        TEXT,
    failures      BIGINT  NOT NULL DEFAULT 0 CHECK (failures >= 0),
    -- Before when no refresh is tried again.
    retry_at      BIGINT,
    -- The last refresh that somebody forced by a refused token.
    forced_at     BIGINT,
    -- How often a token died within minutes of its refresh, lately: somebody else refreshes, too.
    killed_at     BIGINT,
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CHECK ((token IS NULL) = (token_until IS NULL)),
    CHECK ((event IS NULL) = (event_made IS NULL))
) WITHOUT ROWID;

-- Who must authorize, in the order of the names.
CREATE INDEX authorizer_gone ON authorizer (appid) WHERE state <> 'authorized';
-- Who waits for the list of authorizers to have a refresh token.
CREATE INDEX authorizer_lacking ON authorizer (appid)
WHERE refresh IS NULL AND state <> 'unauthorized' AND errcode = 61023;
CREATE INDEX authorizer_killed ON authorizer (killed_at) WHERE killed_at IS NOT NULL;

-- Pushes about accounts, by the SHA-256 of what was encrypted: the same one again changes nothing.
CREATE TABLE push (
    id      TEXT   NOT NULL PRIMARY KEY,
    appid   TEXT   NOT NULL,
    kind    TEXT   NOT NULL,
    made    BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    -- The authorization code, until it is traded for tokens.
    code    BLOB,
    -- NULL: something is still to be done about it.
    done_at BIGINT
) WITHOUT ROWID;

CREATE INDEX push_open ON push (at) WHERE done_at IS NULL;
CREATE INDEX push_done ON push (done_at) WHERE done_at IS NOT NULL;

-- What a command asks the running daemon to ask WeChat, and what came of it.
CREATE TABLE token_task (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT    NOT NULL CHECK (kind = 'sync' OR kind = 'refresh'),
    -- The account of a refresh.
    appid   TEXT,
    at      BIGINT  NOT NULL,
    done_at BIGINT,
    -- What came of it, in words; NULL when it went well and there is nothing to say.
    said    TEXT,
    is_well INTEGER CHECK (is_well = 0 OR is_well = 1)
);

CREATE INDEX token_task_open ON token_task (id) WHERE done_at IS NULL;

CREATE VIEW v_authorizer AS
SELECT a.appid, a.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.since / 1000.0, 'unixepoch') AS since,
       EXISTS (SELECT 1 FROM json_each(coalesce(a.permissions, '[]')) AS p WHERE p.value = 33) AS has_link_permission,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.token_until / 1000.0, 'unixepoch') AS token_until,
       a.username, a.nickname, a.errcode, a.errmsg
FROM authorizer AS a;

PRAGMA user_version = 17;
