-- An import is written in pages, and all of it is seen in one moment. Its lines wait in a table of their own until the last
-- one is there; then one small write accepts them all. From then on they are requests to everybody who reads the views, and
-- whoever runs moves them, page by page, to where the daemon finds them.

CREATE TABLE import (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    -- 'staged': nobody sees it. 'accepted': everybody does, and its lines are being moved. 'stuck': all are moved but those
    -- whose rows are not legal. 'abandoned': it came to nothing, and its lines are being taken away.
    state       TEXT    NOT NULL CHECK (state IN ('staged', 'accepted', 'stuck', 'abandoned')),
    begun_at    INTEGER NOT NULL,
    -- When somebody last worked at it. Where nobody does, others finish it, or take it away.
    beat_at     INTEGER NOT NULL,
    accepted_at INTEGER,
    -- How often requests of somebody else took the place of lines that are not accepted yet.
    claims      INTEGER NOT NULL DEFAULT 0,
    CHECK ((accepted_at IS NOT NULL) = (state IN ('accepted', 'stuck')))
) STRICT;

-- One at a time. Also what tells the planner of queries that there is hardly ever a line to read.
CREATE UNIQUE INDEX import_accepted ON import (state) WHERE state = 'accepted';

CREATE TABLE import_line (
    import       INTEGER NOT NULL REFERENCES import (id),
    -- What the request is called.
    id           TEXT    NOT NULL,
    kind         TEXT    NOT NULL CHECK (kind IN ('link', 'unlink')),
    account      TEXT    NOT NULL,
    program      TEXT    NOT NULL,
    username     TEXT,
    notify_users INTEGER NOT NULL CHECK (notify_users IN (0, 1)),
    show_profile INTEGER NOT NULL CHECK (show_profile IN (0, 1)),
    requested_at INTEGER NOT NULL,
    key          TEXT,
    labels       TEXT    NOT NULL,
    -- The hash of its first transition.
    chain        BLOB    NOT NULL CHECK (length(chain) = 32),
    -- The request that holds this wish instead, and takes the key if it has none.
    twin         TEXT,
    -- 1: that request came after the line was written.
    claimed      INTEGER NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1)),
    -- 1: it cannot be moved because its row is not legal; it holds up no other.
    stuck        INTEGER NOT NULL DEFAULT 0 CHECK (stuck IN (0, 1)),
    PRIMARY KEY (import, id)
) WITHOUT ROWID, STRICT;

CREATE INDEX import_line_by_pair ON import_line (account, program, kind);
CREATE INDEX import_line_by_key ON import_line (key) WHERE key IS NOT NULL;
CREATE INDEX import_line_claimed ON import_line (import, id) WHERE claimed = 1;

-- Whether a pair is linked already is asked of every new link.
CREATE INDEX request_linked ON request (account, program, id) WHERE state = 'linked';

-- What refers to a request is found when an old one is taken away.
CREATE INDEX request_retry ON request (retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX request_label_of ON request_label (request_id);
CREATE INDEX alert_by_request ON alert (request_id) WHERE request_id IS NOT NULL;

DROP VIEW v_request;
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

DROP VIEW v_transition;
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

PRAGMA user_version = 8;
