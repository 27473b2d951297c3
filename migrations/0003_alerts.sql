-- Who is to be told of what, and what became of it.

-- One thing that a person must know. The same key with the same since is the same thing: it fires once.
CREATE TABLE alert (
    id         TEXT    NOT NULL PRIMARY KEY,
    key        TEXT    NOT NULL,
    rule       TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    request_id TEXT    REFERENCES request (id),
    account    TEXT,
    program    TEXT,
    state      TEXT    NOT NULL CHECK (state IN ('firing', 'acknowledged', 'snoozed', 'resolved')),
    since      BIGINT  NOT NULL,
    fired_at   BIGINT  NOT NULL,
    acknowledged_at BIGINT,
    snoozed_until   BIGINT,
    resolved_at     BIGINT,
    -- How it ended: 'over', 'operator', 'aged_out'.
    resolution TEXT,
    notified_at     BIGINT,
    notifications   INTEGER NOT NULL DEFAULT 0 CHECK (notifications >= 0),
    -- When it is to be told of next; NULL when it is not.
    notify_at  BIGINT,
    -- The age from which the channels are told that were told last; NULL before the first.
    reach      BIGINT,
    message_en TEXT    NOT NULL,
    message_zh TEXT    NOT NULL,
    version    INTEGER NOT NULL DEFAULT 0,
    CHECK ((resolved_at IS NOT NULL) = (state = 'resolved')),
    CHECK ((resolved_at IS NOT NULL) = (resolution IS NOT NULL)),
    CHECK (state <> 'snoozed' OR snoozed_until IS NOT NULL),
    CHECK (state <> 'acknowledged' OR acknowledged_at IS NOT NULL)
) WITHOUT ROWID;

CREATE UNIQUE INDEX alert_one_open ON alert (key) WHERE resolved_at IS NULL;
CREATE UNIQUE INDEX alert_once ON alert (key, since);
CREATE INDEX alert_of_request ON alert (request_id) WHERE resolved_at IS NULL;
CREATE INDEX alert_of_pair ON alert (account, program, request_id) WHERE resolved_at IS NULL;
CREATE INDEX alert_by_state ON alert (state, id);
CREATE INDEX alert_by_rule ON alert (rule, id) WHERE resolved_at IS NULL;
CREATE INDEX alert_to_tell ON alert (reason, notify_at) WHERE notify_at IS NOT NULL;

-- When a request must be looked at again because something of it gets too old.
CREATE TABLE vigil (
    request_id TEXT   NOT NULL PRIMARY KEY REFERENCES request (id),
    due_at     BIGINT NOT NULL
) WITHOUT ROWID;

CREATE INDEX vigil_due ON vigil (due_at);

-- How far the outbox has been read for alerts and deliveries, and by which rules. One row.
CREATE TABLE watch (
    one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    seq    BIGINT  NOT NULL,
    -- The thresholds in words; others mean that every request must be looked at again.
    policy TEXT    NOT NULL
) WITHOUT ROWID;

-- One message for one channel.
CREATE TABLE delivery (
    id         TEXT    NOT NULL PRIMARY KEY,
    event_id   TEXT    NOT NULL REFERENCES outbox (id),
    -- The event's place in the outbox and its key: what comes after what, without looking there.
    seq        BIGINT  NOT NULL,
    partition_key TEXT NOT NULL,
    channel    TEXT    NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts   INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Of these, in a row, the ones that the service refused.
    refusals   INTEGER NOT NULL DEFAULT 0 CHECK (refusals >= 0),
    created_at BIGINT  NOT NULL,
    next_at    BIGINT,
    delivered_at BIGINT,
    last_error TEXT,
    CHECK ((next_at IS NOT NULL) = (state = 'pending')),
    CHECK ((delivered_at IS NOT NULL) = (state = 'delivered'))
) WITHOUT ROWID;

-- Taking old messages away asks for each whether it is still owed.
CREATE UNIQUE INDEX delivery_once ON delivery (event_id, channel);
CREATE INDEX delivery_pending ON delivery (channel, next_at) WHERE state = 'pending';
CREATE INDEX delivery_in_order ON delivery (channel, partition_key, seq) WHERE state = 'pending';
CREATE INDEX delivery_done ON delivery (channel, delivered_at) WHERE state = 'delivered';
CREATE INDEX delivery_dead ON delivery (channel, id) WHERE state = 'dead';

CREATE VIEW v_alert AS
SELECT l.id, l.key, l.rule, l.request_id, l.account, l.state,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.since / 1000.0, 'unixepoch') AS since,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.fired_at / 1000.0, 'unixepoch') AS fired_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.acknowledged_at / 1000.0, 'unixepoch') AS acknowledged_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.snoozed_until / 1000.0, 'unixepoch') AS snoozed_until,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.resolved_at / 1000.0, 'unixepoch') AS resolved_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.notified_at / 1000.0, 'unixepoch') AS notified_at,
       l.notifications, l.message_en, l.message_zh, l.reason, l.program, l.resolution,
       strftime('%Y-%m-%dT%H:%M:%fZ', l.notify_at / 1000.0, 'unixepoch') AS notify_at
FROM alert AS l;

CREATE VIEW v_delivery AS
SELECT d.id, d.event_id, o.type AS event_type, d.channel, d.state, d.attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.next_at / 1000.0, 'unixepoch') AS next_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.delivered_at / 1000.0, 'unixepoch') AS delivered_at,
       d.last_error, o.subject,
       strftime('%Y-%m-%dT%H:%M:%fZ', d.created_at / 1000.0, 'unixepoch') AS created_at
FROM delivery AS d
JOIN outbox AS o ON o.id = d.event_id;

PRAGMA user_version = 3;
