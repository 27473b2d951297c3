-- Who may act over HTTP, and who did what, by whichever door.

CREATE TABLE user (
    name        TEXT    NOT NULL PRIMARY KEY,
    role        TEXT    NOT NULL CHECK (role = 'viewer' OR role = 'operator' OR role = 'admin'),
    -- argon2id, as a PHC string.
    password    TEXT    NOT NULL,
    created_at  BIGINT  NOT NULL,
    password_at BIGINT  NOT NULL,
    -- When the user was disabled; NULL for one who may sign in.
    disabled_at BIGINT
) WITHOUT ROWID;

CREATE TABLE session (
    -- SHA-256 of what the cookie holds.
    digest     BLOB    NOT NULL PRIMARY KEY,
    -- How people name it; it opens nothing.
    id         TEXT    NOT NULL UNIQUE,
    user       TEXT    NOT NULL REFERENCES user (name) ON DELETE CASCADE,
    created_at BIGINT  NOT NULL,
    seen_at    BIGINT  NOT NULL,
    expires_at BIGINT  NOT NULL,
    address    TEXT,
    agent      TEXT
) WITHOUT ROWID;

CREATE INDEX session_of_user ON session (user, created_at);
CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE api_token (
    -- The part of the token that is no secret.
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    role       TEXT    NOT NULL CHECK (role = 'viewer' OR role = 'operator' OR role = 'admin'),
    -- A JSON list of words.
    scopes     TEXT    NOT NULL CHECK (json_valid(scopes)),
    -- SHA-256 of the whole token.
    digest     BLOB    NOT NULL,
    -- Whose it is; NULL for one that was made on the machine.
    user       TEXT    REFERENCES user (name) ON DELETE CASCADE,
    created_at BIGINT  NOT NULL,
    created_by TEXT    NOT NULL,
    -- NULL: never.
    expires_at BIGINT,
    used_at    BIGINT,
    revoked_at BIGINT
) WITHOUT ROWID;

-- A name is free again once its token is revoked.
CREATE UNIQUE INDEX api_token_name ON api_token (name) WHERE revoked_at IS NULL;
CREATE INDEX api_token_of_user ON api_token (user) WHERE user IS NOT NULL;

-- One deed of a person or of a program of theirs. Of what touches many, how far it has come.
CREATE TABLE action (
    id           TEXT   NOT NULL PRIMARY KEY,
    at           BIGINT NOT NULL,
    actor        TEXT   NOT NULL,
    via          TEXT   NOT NULL CHECK (via = 'cli' OR via = 'api' OR via = 'web'),
    -- The API token that was used.
    token        TEXT,
    address      TEXT,
    action       TEXT   NOT NULL,
    subject_kind TEXT   NOT NULL,
    -- NULL where it touches many.
    subject      TEXT,
    -- A JSON object of the filters that chose them.
    filter       TEXT   CHECK (filter IS NULL OR json_valid(filter)),
    -- What it touches; NULL until that is known.
    count        BIGINT CHECK (count >= 0),
    reason       TEXT,
    -- NULL while it goes on.
    outcome      TEXT   CHECK (outcome = 'done' OR outcome = 'partly' OR outcome = 'failed'),
    finished_at  BIGINT,
    -- Of what is done in the background: by which values, up to which id, from which on, and how many came to what.
    arguments    TEXT   CHECK (arguments IS NULL OR json_valid(arguments)),
    cutoff       TEXT,
    position     TEXT,
    done         BIGINT NOT NULL DEFAULT 0 CHECK (done >= 0),
    failed       BIGINT NOT NULL DEFAULT 0 CHECK (failed >= 0),
    CHECK ((outcome IS NULL) = (finished_at IS NULL))
) WITHOUT ROWID;

CREATE INDEX action_of_subject ON action (subject, id) WHERE subject IS NOT NULL;
CREATE INDEX action_of_actor ON action (actor, id);
CREATE INDEX action_under_way ON action (id) WHERE outcome IS NULL;

CREATE VIEW v_action AS
SELECT a.id, strftime('%Y-%m-%dT%H:%M:%fZ', a.at / 1000.0, 'unixepoch') AS at,
       a.actor, a.via, a.token, a.address, a.action, a.subject_kind, a.subject, a.filter, a.count, a.reason, a.outcome,
       CASE WHEN a.outcome IS NULL THEN 'running' ELSE 'finished' END AS state,
       a.done, a.failed, CASE WHEN a.outcome IS NULL THEN max(a.count - a.done - a.failed, 0) ELSE 0 END AS "left",
       strftime('%Y-%m-%dT%H:%M:%fZ', a.finished_at / 1000.0, 'unixepoch') AS finished_at
FROM action AS a;

-- Who told us what of an alert, and the last word that was left with it.
ALTER TABLE alert ADD COLUMN acknowledged_by TEXT;
ALTER TABLE alert ADD COLUMN snoozed_by TEXT;
ALTER TABLE alert ADD COLUMN resolved_by TEXT;
ALTER TABLE alert ADD COLUMN note TEXT;

DROP VIEW v_alert;
CREATE VIEW v_alert AS
SELECT l.id, l.key, l.rule, l.request_id, l.account, l.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.since / 1000.0, 'unixepoch') AS since,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.fired_at / 1000.0, 'unixepoch') AS fired_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.acknowledged_at / 1000.0, 'unixepoch') AS acknowledged_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.snoozed_until / 1000.0, 'unixepoch') AS snoozed_until,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.resolved_at / 1000.0, 'unixepoch') AS resolved_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.notified_at / 1000.0, 'unixepoch') AS notified_at,
       l.notifications, l.message_en, l.message_zh, l.reason, l.program, l.resolution,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.notify_at / 1000.0, 'unixepoch') AS notify_at,
       l.acknowledged_by, l.snoozed_by, l.resolved_by, l.note
FROM alert AS l;

PRAGMA user_version = 18;
