-- What amplinkd remembers. Times are milliseconds since 1970 in UTC, always ours, never the database's.
-- The v_ views at the end are the public interface and change only by addition; tables may change.

CREATE TABLE account (
    id           INTEGER PRIMARY KEY,
    account      TEXT    NOT NULL UNIQUE,
    state        TEXT    NOT NULL CHECK (state IN ('active', 'suspended')),
    since        BIGINT  NOT NULL,
    suspended_by TEXT    CHECK (suspended_by IN ('operator', 'wechat')),
    errcode      BIGINT,
    errmsg       TEXT,
    -- NULL when nothing of this account waits for a look.
    next_check_at BIGINT,
    -- Since when its youngest waiting state stands: how often it is looked at follows from it.
    pace_from    BIGINT,
    -- From when on a listing must be read although it equals the last one.
    reread_at    BIGINT,
    checked_at   BIGINT,
    listing_hash BIGINT,
    failures     INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
    last_error   TEXT,
    -- What kind of failure that was.
    trouble      TEXT    CHECK (trouble IN ('token', 'other')),
    budget_day   INTEGER NOT NULL DEFAULT 0,
    budget_used  INTEGER NOT NULL DEFAULT 0 CHECK (budget_used >= 0),
    CHECK ((state = 'suspended') = (suspended_by IS NOT NULL))
);

CREATE INDEX account_due ON account (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX account_idle ON account (account) WHERE next_check_at IS NULL;
CREATE INDEX account_without_token ON account (account) WHERE trouble = 'token' AND failures >= 3;
CREATE INDEX account_suspended ON account (account) WHERE state = 'suspended';

CREATE TABLE request (
    id            TEXT    NOT NULL PRIMARY KEY,
    kind          TEXT    NOT NULL CHECK (kind IN ('link', 'unlink')),
    account       TEXT    NOT NULL REFERENCES account (account),
    program       TEXT    NOT NULL,
    username      TEXT,
    notify_users  INTEGER NOT NULL CHECK (notify_users IN (0, 1)),
    show_profile  INTEGER NOT NULL CHECK (show_profile IN (0, 1)),
    state         TEXT    NOT NULL CHECK (state IN (
                      'requested', 'initiating', 'initiated', 'awaiting_account_admin', 'awaiting_program_admin',
                      'deferred', 'linked', 'rejected', 'failed', 'lapsed', 'cancelled', 'unlinked')),
    -- 1: the answer of its call is lost; 2: a copy of the database was restored, and whether it was called is not known.
    outcome_unknown INTEGER NOT NULL CHECK (outcome_unknown IN (0, 1, 2)),
    deferred_until BIGINT,
    failure       TEXT    CHECK (failure IN ('refused', 'our_bug', 'attempts', 'deadline')),
    since         BIGINT  NOT NULL,
    requested_at  BIGINT  NOT NULL,
    finished_at   BIGINT,
    attempt       INTEGER NOT NULL CHECK (attempt >= 0),
    called_at     BIGINT,
    seen_status   BIGINT,
    baseline_rejected INTEGER NOT NULL CHECK (baseline_rejected IN (0, 1)),
    -- A sighting that waits for its confirmation: 'absent', or the listed status as a number.
    doubt         TEXT,
    doubt_at      BIGINT,
    errcode       BIGINT,
    errmsg        TEXT,
    retry_of      TEXT    REFERENCES request (id),
    key           TEXT    UNIQUE,
    labels        TEXT    NOT NULL,
    version       INTEGER NOT NULL CHECK (version >= 0),
    -- The head of its history: the number and the hash of its last transition.
    last_seq      INTEGER NOT NULL CHECK (last_seq >= 1),
    chain         BLOB    NOT NULL CHECK (length(chain) = 32),
    CHECK ((finished_at IS NOT NULL) = (state IN ('linked', 'rejected', 'failed', 'lapsed', 'cancelled', 'unlinked'))),
    CHECK ((deferred_until IS NOT NULL) = (state = 'deferred')),
    CHECK ((failure IS NOT NULL) = (state = 'failed')),
    CHECK ((doubt IS NULL) = (doubt_at IS NULL)),
    CHECK (outcome_unknown = 0 OR state = 'initiating'),
    CHECK (kind = 'link' OR state NOT IN ('awaiting_account_admin', 'awaiting_program_admin', 'linked', 'rejected'))
) WITHOUT ROWID;

CREATE UNIQUE INDEX request_one_open ON request (account, program, kind) WHERE finished_at IS NULL;
-- What a listing may still move: the open ones and the linked.
CREATE INDEX request_watched ON request (account) WHERE finished_at IS NULL OR state = 'linked';
CREATE INDEX request_by_state ON request (state, id);
CREATE INDEX request_by_account ON request (account, id);
CREATE INDEX request_by_program ON request (program, id);
CREATE INDEX request_calling ON request (id) WHERE state = 'initiating' AND outcome_unknown = 0;
CREATE INDEX request_deferred ON request (deferred_until) WHERE deferred_until IS NOT NULL;

-- The labels once more, for lists by label: they never change.
CREATE TABLE request_label (
    name       TEXT NOT NULL,
    value      TEXT NOT NULL,
    request_id TEXT NOT NULL REFERENCES request (id),
    PRIMARY KEY (name, value, request_id)
) WITHOUT ROWID;

CREATE TABLE transition (
    request_id TEXT    NOT NULL REFERENCES request (id),
    seq        INTEGER NOT NULL CHECK (seq >= 1),
    from_state TEXT,
    to_state   TEXT    NOT NULL,
    at         BIGINT  NOT NULL,
    cause      TEXT    NOT NULL CHECK (cause IN ('accepted', 'listing', 'call', 'answer', 'quota', 'deadline', 'operator',
                      'restore')),
    status     BIGINT,
    errcode    BIGINT,
    detail     TEXT,
    -- Over the hash before it and every other column (docs/database.md says how): a changed row breaks the chain.
    hash       BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (request_id, seq),
    CHECK ((from_state IS NULL) = (seq = 1))
) WITHOUT ROWID;

CREATE TABLE conflict (
    id           TEXT   NOT NULL PRIMARY KEY,
    request_id   TEXT   NOT NULL REFERENCES request (id),
    kind         TEXT   NOT NULL CHECK (kind IN (
                     'invitation_already_out', 'linking_from_console', 'already_linked', 'unlink_already_out',
                     'adopted', 'backward', 'vanished')),
    errcode      BIGINT,
    errmsg       TEXT,
    at           BIGINT NOT NULL,
    our_state    TEXT   NOT NULL,
    their_status BIGINT,
    resolved_at  BIGINT,
    resolution   TEXT,
    CHECK ((resolved_at IS NULL) = (resolution IS NULL))
) WITHOUT ROWID;

CREATE INDEX conflict_by_request ON conflict (request_id);
CREATE INDEX conflict_open ON conflict (id) WHERE resolved_at IS NULL;

-- The latest listing of every account, item by item.
CREATE TABLE program (
    account   TEXT   NOT NULL REFERENCES account (account),
    -- The gh_ id, else the appid, else the place in the list; a second item of the same name ends in #2.
    item      TEXT   NOT NULL,
    program   TEXT,
    username  TEXT,
    status    BIGINT NOT NULL,
    nickname  TEXT,
    headimg_url TEXT,
    email     TEXT,
    source    TEXT,
    selected  BIGINT,
    nearby_display_status BIGINT,
    released  BIGINT,
    copy_verify_status BIGINT,
    func_infos TEXT,
    status_since  BIGINT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    gone_at   BIGINT,
    PRIMARY KEY (account, item)
) WITHOUT ROWID;

CREATE INDEX program_by_program ON program (program);

-- gh_ ids are global: one listing that shows both names teaches every account.
CREATE TABLE program_name (
    username TEXT   NOT NULL PRIMARY KEY,
    program  TEXT   NOT NULL,
    at       BIGINT NOT NULL
) WITHOUT ROWID;

-- Calls held back by a quota or a block: a program's month, one API's day, our address.
CREATE TABLE gate (
    kind    TEXT   NOT NULL CHECK (kind IN ('program_month', 'api_day', 'ip')),
    subject TEXT   NOT NULL,
    until   BIGINT NOT NULL,
    errcode BIGINT NOT NULL,
    errmsg  TEXT   NOT NULL,
    at      BIGINT NOT NULL,
    PRIMARY KEY (kind, subject)
) WITHOUT ROWID;

-- Messages owed to the outside, written with the decision that caused them.
CREATE TABLE outbox (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    id      TEXT    NOT NULL UNIQUE,
    type    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    -- Events with the same key are delivered in order: the request's id, or the name of a group of alerts.
    partition_key TEXT NOT NULL,
    -- Of an alert's event: the channels it is for, by the age from which they are told (milliseconds). NULL: all.
    reach   BIGINT,
    at      BIGINT  NOT NULL,
    data    TEXT    NOT NULL
);

CREATE INDEX outbox_by_time ON outbox (at);

-- Accounts that somebody outside the daemon changed: it reads them within a second and takes the rows away.
CREATE TABLE wakeup (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT    NOT NULL,
    at      BIGINT  NOT NULL
);

CREATE INDEX wakeup_by_account ON wakeup (account);

-- When each cron job last ran to its end, NULL when it never did, and when it is due; the audit watches it.
CREATE TABLE job (
    name   TEXT   NOT NULL PRIMARY KEY,
    ran_at BIGINT,
    due_at BIGINT
) WITHOUT ROWID;

-- Only in a copy of the database: that it is one. The daemon that starts on it asks WeChat's lists before it calls
-- anybody (engine/restore.rs) and takes the row away.
CREATE TABLE copy (
    made_at     BIGINT NOT NULL,
    restored_at BIGINT
);

-- Beside it, what the database that it replaced knew of requests after the copy was made.
CREATE TABLE salvage (
    request_id TEXT NOT NULL PRIMARY KEY REFERENCES request (id),
    fate       TEXT NOT NULL CHECK (fate IN ('called', 'taken', 'cancelled'))
) WITHOUT ROWID;
