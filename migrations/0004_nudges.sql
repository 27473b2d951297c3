-- Whom a person was reminded to remind, and what came of it.

CREATE TABLE nudge (
    id         TEXT    NOT NULL PRIMARY KEY,
    request_id TEXT    NOT NULL REFERENCES request (id),
    stage      TEXT    NOT NULL CHECK (stage IN ('account_admin', 'program_admin', 'unlink')),
    -- The move that had led into the stage: the next one of the request is what the nudge may have brought about.
    seq        INTEGER NOT NULL CHECK (seq >= 1),
    language   TEXT    NOT NULL CHECK (language IN ('en', 'zh')),
    -- NULL when the text was only printed.
    channel    TEXT,
    text       TEXT    NOT NULL,
    at         BIGINT  NOT NULL,
    -- Within how long an approval counts as its effect, by the configuration of that time.
    effect_ms  BIGINT  NOT NULL CHECK (effect_ms >= 0)
) WITHOUT ROWID;

CREATE INDEX nudge_by_request ON nudge (request_id, at);

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
LEFT JOIN transition AS t ON t.request_id = n.request_id AND t.seq = n.seq + 1
     AND t.to_state IN ('awaiting_program_admin', 'linked', 'unlinked');

PRAGMA user_version = 4;
