-- One log. What happened to a request was written twice, as a row of its history and as an event owed to the outside; both
-- are one row of one table now, in the order of the commits. Inside, a request is a number; its id is written once.
--
-- This begins the move: from here on no older program opens the file. The rows follow page by page (store/moves.rs); 0014
-- takes the old tables away and makes the new ones STRICT, which they are not yet so that a row that is not legal is moved
-- as it is, too, and stays to be found by the audit.

CREATE TABLE request_next (
    -- What other tables call it.
    row           INTEGER PRIMARY KEY,
    id            TEXT    NOT NULL UNIQUE,
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
    deferred_until INTEGER,
    failure       TEXT    CHECK (failure IN ('refused', 'our_bug', 'attempts', 'deadline')),
    since         INTEGER NOT NULL,
    requested_at  INTEGER NOT NULL,
    finished_at   INTEGER,
    attempt       INTEGER NOT NULL CHECK (attempt >= 0),
    called_at     INTEGER,
    seen_status   INTEGER,
    baseline_rejected INTEGER NOT NULL CHECK (baseline_rejected IN (0, 1)),
    -- A sighting that waits for its confirmation: 'absent', or the listed status as a number.
    doubt         TEXT,
    doubt_at      INTEGER,
    errcode       INTEGER,
    errmsg        TEXT,
    retry_of      TEXT    REFERENCES request (id),
    key           TEXT,
    labels        TEXT    NOT NULL,
    version       INTEGER NOT NULL CHECK (version >= 0),
    -- The head of its history: the number and the hash of its last step.
    last_seq      INTEGER NOT NULL CHECK (last_seq >= 1),
    chain         BLOB    NOT NULL CHECK (length(chain) = 32),
    CHECK ((finished_at IS NOT NULL) = (state IN ('linked', 'rejected', 'failed', 'lapsed', 'cancelled', 'unlinked'))),
    CHECK ((deferred_until IS NOT NULL) = (state = 'deferred')),
    CHECK ((failure IS NOT NULL) = (state = 'failed')),
    CHECK ((doubt IS NULL) = (doubt_at IS NULL)),
    CHECK (outcome_unknown = 0 OR state = 'initiating'),
    CHECK (kind = 'link' OR state NOT IN ('awaiting_account_admin', 'awaiting_program_admin', 'linked', 'rejected'))
);

-- Everything that happened, in the order of the commits; rows are added and never changed. A row is a step of a request,
-- or a message with a body of its own: of a conflict, an alert, a digest, a nudge. Numbers up to 0 are steps from before
-- there was a log: history, and no news to anybody.
CREATE TABLE log (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    at         INTEGER NOT NULL,
    -- A step: whose it is, its number in that history, and the words by their place in the view `transition`.
    request    INTEGER REFERENCES request (row),
    step       INTEGER CHECK (step >= 1),
    from_state INTEGER CHECK (from_state BETWEEN 0 AND 11),
    to_state   INTEGER CHECK (to_state BETWEEN 0 AND 11),
    cause      INTEGER CHECK (cause BETWEEN 0 AND 7),
    status     INTEGER,
    errcode    INTEGER,
    detail     TEXT,
    -- Over the hash before it and every column of `v_transition` (docs/database.md says how).
    hash       BLOB    CHECK (length(hash) = 32),
    -- What its event says beside that: the attempts by then, and the code that the request then held.
    attempt    INTEGER,
    refusal    INTEGER,
    -- A message: its id, type, subject, the key of its order, the age from which channels are told that it is for, its body.
    id         TEXT,
    type       TEXT,
    subject    TEXT,
    partition_key TEXT,
    reach      INTEGER,
    data       TEXT,
    CHECK ((request IS NULL) = (data IS NOT NULL)),
    CHECK (request IS NULL OR (step IS NOT NULL AND to_state IS NOT NULL AND cause IS NOT NULL AND hash IS NOT NULL
                               AND (from_state IS NULL) = (step = 1))),
    CHECK (data IS NULL OR (id IS NOT NULL AND type IS NOT NULL AND subject IS NOT NULL AND partition_key IS NOT NULL))
);

PRAGMA user_version = 13;
