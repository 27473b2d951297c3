-- What amplinkd remembers, for PostgreSQL from 13 on: what the files of migrations/ add up to for SQLite. Times are
-- milliseconds since 1970 in UTC, always ours, never the database's. The v_ views at the end are the public interface and
-- change only by addition; tables may change.
--
-- Words sort by their bytes, as in SQLite, whatever the language of the database is. JSON is text, kept byte for byte.


-- Functions of SQLite that PostgreSQL has not, or not of these types: one text asks both. They answer NULL for NULL. The
-- planner writes one in SQL out where it is called, unless it is STRICT and holds a CASE or makes rows: such are not STRICT.

-- Milliseconds as 2026-11-30T21:00:00.123Z; NULL outside of what is a date in SQLite, which ends with the year 9999.
CREATE FUNCTION iso(bigint) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    at timestamp;
    year int;
BEGIN
    IF $1 NOT BETWEEN -210866760000000 AND 253402300799999 THEN
        RETURN NULL;
    END IF;
    at := date '1970-01-01' + ($1 / 86400000)::int + ($1 % 86400000) * interval '1 ms';
    IF $1 >= -62135596800000 THEN
        RETURN to_char(at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
    END IF;
    -- PostgreSQL has no year 0. The calendar is the same 4800 years later.
    at := at + interval '4800 years';
    year := date_part('year', at)::int - 4800;
    RETURN CASE year WHEN 0 THEN '0000' ELSE '-' || to_char(-year, 'FM9009') END
           || to_char(at, '-MM-DD"T"HH24:MI:SS.MS"Z"');
END
$$;

-- Days since 1970 as 2026-11-30.
CREATE FUNCTION day(bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 BETWEEN -2440587 AND 2932896 THEN left(iso($1 * 86400000), -14) END
$$;

-- Of seconds since 1970, in the formats that are in use; another one is an error that names it.
CREATE FUNCTION strftime(text, numeric, text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    IF $3 <> 'unixepoch' THEN
        RAISE EXCEPTION 'strftime knows no modifier %', $3;
    END IF;
    IF $2 NOT BETWEEN -210866760000 AND 253402300799.999 THEN
        RETURN NULL;
    END IF;
    CASE $1
        WHEN '%Y-%m-%dT%H:%M:%fZ' THEN RETURN iso(round($2 * 1000)::bigint);
        WHEN '%Y-%m-%d' THEN RETURN left(iso(round($2 * 1000)::bigint), -14);
        WHEN '%Y' THEN RETURN left(iso(round($2 * 1000)::bigint), -20);
        ELSE RAISE EXCEPTION 'strftime knows no format %', $1;
    END CASE;
END
$$;

CREATE FUNCTION strftime(text, double precision, text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT strftime($1, $2::numeric, $3)
$$;

-- An empty text of NULL, as there.
CREATE FUNCTION hex(bytea) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(upper(encode($1, 'hex')), '')
$$;

-- NULL of what is not hexadecimal.
CREATE FUNCTION unhex(text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 ~ '\A([0-9A-Fa-f]{2})*\Z' THEN decode($1, 'hex') END
$$;

CREATE FUNCTION instr(text, text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT strpos($1, $2)::bigint
$$;

-- The larger and the smaller of two; NULL where either is.
CREATE FUNCTION max(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 >= $2 THEN $1 WHEN $1 < $2 THEN $2 END
$$;

CREATE FUNCTION min(bigint, bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 <= $2 THEN $1 WHEN $1 > $2 THEN $2 END
$$;

-- A column holds what its type says: these tell it from NULL.
CREATE FUNCTION typeof(bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 IS NULL THEN 'null' ELSE 'integer' END
$$;

CREATE FUNCTION typeof(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 IS NULL THEN 'null' ELSE 'text' END
$$;

CREATE FUNCTION typeof(bytea) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN $1 IS NULL THEN 'null' ELSE 'blob' END
$$;

CREATE FUNCTION json_valid(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
    PERFORM $1::json;
    RETURN true;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
    RETURN false;
END
$$;

CREATE FUNCTION json_array_length(text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN json_typeof($1::json) = 'array' THEN json_array_length($1::json)::bigint WHEN $1 IS NOT NULL THEN 0 END
$$;

-- A field of an object that is kept as text.
CREATE FUNCTION json_field(text, text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT $1::json ->> $2
$$;

CREATE OPERATOR ->> (LEFTARG = text, RIGHTARG = text, FUNCTION = json_field);

-- The items of an array, numbered from 0: as they are, so that `value ->> 'id'` and `value ->> 0` read what is in them; as
-- texts; and as numbers.
CREATE FUNCTION json_each(text) RETURNS TABLE (key bigint, value jsonb) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT e.line - 1, e.value FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS e (value, line)
$$;

CREATE FUNCTION jsonb_each(text) RETURNS TABLE (key bigint, value jsonb) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT e.line - 1, e.value FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS e (value, line)
$$;

CREATE FUNCTION json_texts(text) RETURNS TABLE (key bigint, value text) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT e.line - 1, e.value FROM json_array_elements_text($1::json) WITH ORDINALITY AS e (value, line)
$$;

CREATE FUNCTION json_numbers(text) RETURNS TABLE (key bigint, value bigint) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT e.line - 1, e.value::bigint FROM json_array_elements_text($1::json) WITH ORDINALITY AS e (value, line)
$$;


-- What the views say in words.

-- States and causes are numbers in the log.
CREATE FUNCTION state_word(bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE $1
        WHEN 0 THEN 'requested' WHEN 1 THEN 'initiating' WHEN 2 THEN 'initiated'
        WHEN 3 THEN 'awaiting_account_admin' WHEN 4 THEN 'awaiting_program_admin'
        WHEN 5 THEN 'deferred' WHEN 6 THEN 'linked' WHEN 7 THEN 'rejected'
        WHEN 8 THEN 'failed' WHEN 9 THEN 'lapsed' WHEN 10 THEN 'cancelled'
        WHEN 11 THEN 'unlinked'
    END
$$;

CREATE FUNCTION cause_word(bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE $1
        WHEN 0 THEN 'accepted' WHEN 1 THEN 'listing' WHEN 2 THEN 'call' WHEN 3 THEN 'answer'
        WHEN 4 THEN 'quota' WHEN 5 THEN 'deadline' WHEN 6 THEN 'operator'
        WHEN 7 THEN 'restore'
    END
$$;

-- Who must act next on a request of this state and kind.
CREATE FUNCTION waiting_on(text, text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN $1 = 'requested' THEN 'us'
        WHEN $1 = 'initiating' OR ($1 = 'initiated' AND $2 = 'link') THEN 'wechat'
        WHEN $1 IN ('initiated', 'awaiting_account_admin') THEN 'account_admin'
        WHEN $1 = 'awaiting_program_admin' THEN 'program_admin'
        WHEN $1 = 'deferred' THEN 'quota'
    END
$$;

-- A flag as a view shows it.
CREATE FUNCTION flag(boolean) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT $1::int::bigint
$$;

-- The id of a step's event, made of its time and its hash.
CREATE FUNCTION event_id(bigint, bytea) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT lpad(to_hex($1 >> 16), greatest(8, length(to_hex($1 >> 16))), '0') || '-' || lpad(to_hex($1 & 65535), 4, '0')
           || '-7' || substr(encode($2, 'hex'), 1, 3) || '-8' || substr(encode($2, 'hex'), 4, 3)
           || '-' || substr(encode($2, 'hex'), 7, 12)
$$;

-- A text as JSON, and NULL as null.
CREATE FUNCTION json_word(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(to_json($1)::text, 'null')
$$;

-- JSON without the blanks between its parts; of what is no JSON, an empty object.
CREATE FUNCTION json_object_of(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN json_valid($1) THEN regexp_replace($1, '("(?:[^"\\]|\\.)*")|[ \t\r\n]+', '\1', 'g') ELSE '{}' END
$$;


-- The number of the last row of the log. Whoever writes to the log takes this row first, so that numbers are in the order of
-- the commits and none is left out. Beside it, which database this is: another one has to be treated as a copy. One row.
CREATE TABLE ledger (
    one      BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    seq      BIGINT NOT NULL CHECK (seq >= 0),
    system   BIGINT,
    timeline BIGINT
);

INSERT INTO ledger (one, seq) VALUES (1, 0);

-- The version of the schema, as in the file of SQLite that it equals. One row.
CREATE TABLE schema (
    one     BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL
);

INSERT INTO schema (one, version) VALUES (1, 22);

-- The daemons that work here, one row for each start. One that is fenced writes nothing any more: its transactions begin with
-- a look at its row, which they hold, so that nobody fences it in the middle of one.
CREATE TABLE node (
    id       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name     TEXT COLLATE "C" NOT NULL,
    fenced   BOOLEAN          NOT NULL DEFAULT false,
    -- An operator said `node drain`.
    draining BOOLEAN          NOT NULL DEFAULT false,
    began_at BIGINT           NOT NULL,
    -- Since when it is as it is: begun, draining, fenced.
    since    BIGINT           NOT NULL,
    version  TEXT COLLATE "C" NOT NULL
);

-- One daemon of a name at a time.
CREATE UNIQUE INDEX node_name ON node (name) WHERE NOT fenced;

-- Until when a daemon counts as living, by this server's clock. Apart from its row, so that a beat waits for no writer.
CREATE TABLE beat (
    node                   TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES node (id) ON DELETE CASCADE,
    until                  TIMESTAMPTZ      NOT NULL,
    at                     TIMESTAMPTZ      NOT NULL,
    -- By how much its calendar is ahead of this server's.
    ahead_ms               BIGINT           NOT NULL DEFAULT 0,
    -- What its configuration allows all daemons together, and what is its share of that.
    limit_per_second_milli BIGINT           NOT NULL DEFAULT 0,
    limit_in_flight        BIGINT           NOT NULL DEFAULT 0,
    per_second_milli       BIGINT           NOT NULL DEFAULT 0,
    in_flight              BIGINT           NOT NULL DEFAULT 0,
    config_hash            TEXT COLLATE "C" NOT NULL DEFAULT ''
);

-- What exactly one daemon owns at a time: a 64th of the accounts (the remainder of the row's number), what is done once for
-- all of them, and the refreshing of the platform's tokens.
CREATE TABLE lease (
    name       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    node       TEXT COLLATE "C" REFERENCES node (id) ON DELETE SET NULL,
    -- How often it changed hands.
    epoch      BIGINT           NOT NULL DEFAULT 0,
    -- How often its accounts were made due behind everybody's back: whoever owns it reads them again.
    reload     BIGINT           NOT NULL DEFAULT 0,
    -- Since when nobody has it.
    free_since BIGINT
);

INSERT INTO lease (name, free_since)
SELECT name, (extract(epoch FROM now()) * 1000)::bigint
FROM (SELECT 'accounts/' || lpad(n::text, 2, '0') AS name FROM generate_series(0, 63) AS n
      UNION ALL VALUES ('house'), ('tokens')) AS every;


CREATE TABLE account (
    id             BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    account        TEXT COLLATE "C" NOT NULL UNIQUE,
    state          TEXT COLLATE "C" NOT NULL CHECK (state IN ('active', 'suspended')),
    since          BIGINT           NOT NULL,
    suspended_by   TEXT COLLATE "C" CHECK (suspended_by IN ('operator', 'wechat')),
    errcode        BIGINT,
    errmsg         TEXT COLLATE "C",
    -- NULL when nothing of this account waits for a look.
    next_check_at  BIGINT,
    -- Since when its youngest waiting state stands: how often it is looked at follows from it.
    pace_from      BIGINT,
    -- From when on a listing must be read although it equals the last one.
    reread_at      BIGINT,
    checked_at     BIGINT,
    listing_hash   BIGINT,
    failures       BIGINT           NOT NULL DEFAULT 0 CHECK (failures >= 0),
    last_error     TEXT COLLATE "C",
    -- What kind of failure that was.
    trouble        TEXT COLLATE "C" CHECK (trouble IN ('token', 'refused', 'unreadable', 'unreachable')),
    budget_day     BIGINT           NOT NULL DEFAULT 0,
    budget_used    BIGINT           NOT NULL DEFAULT 0 CHECK (budget_used >= 0),
    -- Somebody asked for this look: it goes before all others.
    asked          BIGINT           NOT NULL DEFAULT 0 CHECK (asked IN (0, 1)),
    -- Since when its list cannot be read; NULL while it can.
    unread_since   BIGINT,
    -- Calls that were refused in a row, since when, why, and before when none is made again.
    call_failures  BIGINT           NOT NULL DEFAULT 0 CHECK (call_failures >= 0),
    calls_refused_since BIGINT,
    call_after     BIGINT,
    call_error     TEXT COLLATE "C",
    -- Since when its list shows nothing of what stood in it before, and is not believed; NULL while it is.
    emptied_at     BIGINT,
    -- Since when its list holds more items than are remembered; NULL while all are.
    overfull_since BIGINT,
    -- The Beijing day on which its looks are used up; NULL while some are left.
    spent_day      BIGINT,
    CHECK ((state = 'suspended') = (suspended_by IS NOT NULL))
);

CREATE INDEX account_due ON account (next_check_at) WHERE next_check_at IS NOT NULL;
CREATE INDEX account_idle ON account (account) WHERE next_check_at IS NULL;
CREATE INDEX account_suspended ON account (account) WHERE state = 'suspended';
CREATE INDEX account_unread ON account (unread_since) WHERE unread_since IS NOT NULL;
CREATE INDEX account_calls_refused ON account (calls_refused_since) WHERE calls_refused_since IS NOT NULL;
CREATE INDEX account_emptied ON account (emptied_at) WHERE emptied_at IS NOT NULL;
-- Accounts that were not read at three looks in a row, by the reason; those that WeChat suspended, by its code.
CREATE INDEX account_unreadable ON account (trouble, unread_since)
    WHERE failures >= 3 AND unread_since IS NOT NULL AND state = 'active' AND next_check_at IS NOT NULL;
CREATE INDEX account_refused ON account (errcode) WHERE state = 'suspended' AND suspended_by = 'wechat';
CREATE INDEX account_spent ON account (spent_day) WHERE spent_day IS NOT NULL;
-- Unread accounts by cause, counted and listed; suspended ones likewise.
CREATE INDEX account_trouble ON account (trouble, account, unread_since) WHERE trouble IS NOT NULL;
CREATE INDEX account_suspended_by ON account (suspended_by, errcode, account, since) WHERE suspended_by IS NOT NULL;

CREATE TABLE request (
    -- What other tables call it.
    row               BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    id                TEXT COLLATE "C" NOT NULL UNIQUE,
    kind              TEXT COLLATE "C" NOT NULL CHECK (kind IN ('link', 'unlink')),
    account           TEXT COLLATE "C" NOT NULL REFERENCES account (account),
    program           TEXT COLLATE "C" NOT NULL,
    username          TEXT COLLATE "C",
    notify_users      BIGINT           NOT NULL CHECK (notify_users IN (0, 1)),
    show_profile      BIGINT           NOT NULL CHECK (show_profile IN (0, 1)),
    state             TEXT COLLATE "C" NOT NULL CHECK (state IN (
                          'requested', 'initiating', 'initiated', 'awaiting_account_admin', 'awaiting_program_admin',
                          'deferred', 'linked', 'rejected', 'failed', 'lapsed', 'cancelled', 'unlinked')),
    -- 1: the answer of its call is lost; 2: a copy of the database was restored, and whether it was called is not known.
    outcome_unknown   BIGINT           NOT NULL CHECK (outcome_unknown BETWEEN 0 AND 2),
    deferred_until    BIGINT,
    failure           TEXT COLLATE "C" CHECK (failure IN ('refused', 'our_bug', 'attempts', 'deadline')),
    since             BIGINT           NOT NULL,
    requested_at      BIGINT           NOT NULL,
    finished_at       BIGINT,
    attempt           BIGINT           NOT NULL CHECK (attempt >= 0),
    called_at         BIGINT,
    seen_status       BIGINT,
    baseline_rejected BIGINT           NOT NULL CHECK (baseline_rejected IN (0, 1)),
    -- A sighting that waits for its confirmation: 'absent', or the listed status as a number.
    doubt             TEXT COLLATE "C",
    doubt_at          BIGINT,
    errcode           BIGINT,
    errmsg            TEXT COLLATE "C",
    retry_of          TEXT COLLATE "C" REFERENCES request (id),
    key               TEXT COLLATE "C",
    labels            TEXT COLLATE "C" NOT NULL,
    version           BIGINT           NOT NULL CHECK (version >= 0),
    -- The head of its history: the number and the hash of its last step.
    last_seq          BIGINT           NOT NULL CHECK (last_seq >= 1),
    chain             BYTEA            NOT NULL CHECK (length(chain) = 32),
    CHECK ((finished_at IS NOT NULL) = (state IN ('linked', 'rejected', 'failed', 'lapsed', 'cancelled', 'unlinked'))),
    CHECK ((deferred_until IS NOT NULL) = (state = 'deferred')),
    CHECK ((failure IS NOT NULL) = (state = 'failed')),
    CHECK ((doubt IS NULL) = (doubt_at IS NULL)),
    CHECK (outcome_unknown = 0 OR state = 'initiating'),
    CHECK (kind = 'link' OR state NOT IN ('awaiting_account_admin', 'awaiting_program_admin', 'linked', 'rejected'))
);

-- One wish is held by one open request; a look at an account finds what is open by it, and what is linked by the other. Both
-- stay as they are at every step that neither ends a request nor links it.
CREATE UNIQUE INDEX request_one_open ON request (account, program, kind) WHERE finished_at IS NULL;
CREATE INDEX request_linked ON request (account, program) WHERE state = 'linked';
-- Pages of lists, each in the order of the ids.
CREATE INDEX request_by_state ON request (state, id);
CREATE INDEX request_by_account ON request (account, id);
CREATE INDEX request_by_program ON request (program, id);
-- Who is waited for, and since when.
CREATE INDEX request_waiting ON request (state, since) WHERE finished_at IS NULL;
-- Calls that were out when a process died.
CREATE INDEX request_calling ON request (id) WHERE state = 'initiating' AND outcome_unknown = 0;
CREATE INDEX request_deferred ON request (deferred_until) WHERE deferred_until IS NOT NULL;
-- What refers to a request is found when an old one is taken away.
CREATE INDEX request_retry ON request (retry_of) WHERE retry_of IS NOT NULL;
CREATE UNIQUE INDEX request_key ON request (key) WHERE key IS NOT NULL;
-- Unlinks are few beside links, which are all requests but these: writing a link does not touch these indexes.
CREATE INDEX request_unlinks ON request (state, since) WHERE kind = 'unlink';
CREATE INDEX request_unlink_by_state ON request (state, id) WHERE kind = 'unlink';

-- The labels once more, for lists by label: they never change.
CREATE TABLE request_label (
    name       TEXT COLLATE "C" NOT NULL,
    value      TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL REFERENCES request (id),
    PRIMARY KEY (name, value, request_id)
);

CREATE INDEX request_label_of ON request_label (request_id);

-- One log: what happened to requests and what is owed to the outside, in the order of the commits. A row is a step of a
-- request, or a message with a body of its own: of a conflict, an alert, a digest, a nudge. Numbers up to 0 are steps from
-- before there was a log: history, and no news to anybody. Others come from the ledger.
CREATE TABLE log (
    seq           BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at            BIGINT           NOT NULL,
    -- A step: whose it is, its number in that history, and the words by their place in the view `transition`.
    request       BIGINT           REFERENCES request (row),
    step          BIGINT           CHECK (step >= 1),
    from_state    BIGINT           CHECK (from_state BETWEEN 0 AND 11),
    to_state      BIGINT           CHECK (to_state BETWEEN 0 AND 11),
    cause         BIGINT           CHECK (cause BETWEEN 0 AND 7),
    status        BIGINT,
    errcode       BIGINT,
    detail        TEXT COLLATE "C",
    -- Over the hash before it and every column of `v_transition` (docs/database.md says how).
    hash          BYTEA            CHECK (length(hash) = 32),
    -- What its event says beside that: the attempts by then, and the code that the request then held.
    attempt       BIGINT,
    refusal       BIGINT,
    -- A message: its id, type, subject, the key of its order, the age from which channels are told that it is for, its body.
    id            TEXT COLLATE "C",
    type          TEXT COLLATE "C",
    subject       TEXT COLLATE "C",
    partition_key TEXT COLLATE "C",
    reach         BIGINT,
    data          TEXT COLLATE "C",
    CHECK ((request IS NULL) = (data IS NOT NULL)),
    CHECK (request IS NULL OR (step IS NOT NULL AND to_state IS NOT NULL AND cause IS NOT NULL AND hash IS NOT NULL
                               AND (from_state IS NULL) = (step = 1))),
    CHECK (data IS NULL OR (id IS NOT NULL AND type IS NOT NULL AND subject IS NOT NULL AND partition_key IS NOT NULL))
);

-- The ledger's row is held from the first number that is drawn to the commit: nobody draws one in between.
CREATE FUNCTION hold_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM ledger FOR UPDATE;
    RETURN NULL;
END
$$;

CREATE FUNCTION write_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ledger SET seq = greatest(seq, pg_sequence_last_value(pg_get_serial_sequence('log', 'seq')));
    RETURN NULL;
END
$$;

CREATE TRIGGER log_is_numbered BEFORE INSERT ON log FOR EACH STATEMENT EXECUTE FUNCTION hold_ledger();

CREATE TRIGGER log_was_numbered AFTER INSERT ON log FOR EACH STATEMENT EXECUTE FUNCTION write_ledger();

-- The history of a request.
CREATE UNIQUE INDEX log_by_request ON log (request, step) WHERE request IS NOT NULL;
-- Messages by their age: those that nobody is owed any more are taken away, those of an alert are found.
CREATE INDEX log_messages ON log (at) WHERE data IS NOT NULL;
-- How requests ended lately.
CREATE INDEX log_ended ON log (at) WHERE to_state >= 6;

CREATE TABLE conflict (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    request_id   TEXT COLLATE "C" NOT NULL REFERENCES request (id),
    kind         TEXT COLLATE "C" NOT NULL CHECK (kind IN (
                     'invitation_already_out', 'linking_from_console', 'already_linked', 'unlink_already_out',
                     'adopted', 'backward', 'vanished')),
    errcode      BIGINT,
    errmsg       TEXT COLLATE "C",
    at           BIGINT           NOT NULL,
    our_state    TEXT COLLATE "C" NOT NULL,
    their_status BIGINT,
    resolved_at  BIGINT,
    resolution   TEXT COLLATE "C",
    CHECK ((resolved_at IS NULL) = (resolution IS NULL))
);

CREATE INDEX conflict_by_request ON conflict (request_id);
CREATE INDEX conflict_open ON conflict (id) WHERE resolved_at IS NULL;
CREATE INDEX conflict_open_kind ON conflict (kind, resolved_at) WHERE resolved_at IS NULL;
CREATE INDEX conflict_resolved ON conflict (id) WHERE resolved_at IS NOT NULL;

-- The latest listing of every account, item by item.
CREATE TABLE program (
    account       TEXT COLLATE "C" NOT NULL REFERENCES account (account),
    -- The gh_ id, else the appid, else the place in the list; a second item of the same name ends in #2.
    item          TEXT COLLATE "C" NOT NULL,
    program       TEXT COLLATE "C",
    username      TEXT COLLATE "C",
    status        BIGINT           NOT NULL,
    nickname      TEXT COLLATE "C",
    headimg_url   TEXT COLLATE "C",
    email         TEXT COLLATE "C",
    source        TEXT COLLATE "C",
    selected      BIGINT,
    nearby_display_status BIGINT,
    released      BIGINT,
    copy_verify_status BIGINT,
    func_infos    TEXT COLLATE "C",
    status_since  BIGINT           NOT NULL,
    first_seen_at BIGINT           NOT NULL,
    gone_at       BIGINT,
    PRIMARY KEY (account, item)
);

CREATE INDEX program_by_program ON program (program);
-- For taking away what has been gone for long.
CREATE INDEX program_gone ON program (gone_at) WHERE gone_at IS NOT NULL;
-- Items that are listed with a status which no page documents.
CREATE INDEX program_unknown ON program (status)
    WHERE gone_at IS NULL AND status NOT BETWEEN 1 AND 3 AND status <> 12;

-- gh_ ids are global: one listing that shows both names teaches every account. `at` is when it was learned or last found in
-- use.
CREATE TABLE program_name (
    username TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    program  TEXT COLLATE "C" NOT NULL,
    at       BIGINT           NOT NULL
);

-- Calls held back by a quota or a block: a program's month, an account's month, one API's day, our address.
CREATE TABLE gate (
    kind    TEXT COLLATE "C" NOT NULL CHECK (kind IN ('program_month', 'account_month', 'api_day', 'ip')),
    subject TEXT COLLATE "C" NOT NULL,
    until   BIGINT           NOT NULL,
    errcode BIGINT           NOT NULL,
    errmsg  TEXT COLLATE "C" NOT NULL,
    at      BIGINT           NOT NULL,
    -- 1: the month or day had just begun and has perhaps not rolled at WeChat: until is when one call asks again.
    early   BIGINT           NOT NULL DEFAULT 0 CHECK (early IN (0, 1)),
    PRIMARY KEY (kind, subject)
);

-- Gates that somebody outside the daemon opened: it forgets them within a second and takes the rows away.
CREATE TABLE gate_opening (
    seq     BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    kind    TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    at      BIGINT           NOT NULL
);

-- Accounts that somebody outside the daemon changed: it reads them within a second and takes the rows away.
CREATE TABLE wakeup (
    seq     BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    account TEXT COLLATE "C" NOT NULL,
    at      BIGINT           NOT NULL,
    -- 1: by somebody who waits for the answer: before those of an import.
    asked   BIGINT           NOT NULL DEFAULT 0 CHECK (asked IN (0, 1))
);

CREATE INDEX wakeup_by_account ON wakeup (account);

-- When each cron job last ran to its end, NULL when it never did, and when it is due; the audit watches it.
CREATE TABLE job (
    name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    ran_at BIGINT,
    due_at BIGINT
);

-- Only in a copy of the database: that it is one. The daemon that starts on it asks WeChat's lists before it calls
-- anybody and takes the row away.
CREATE TABLE copy (
    made_at     BIGINT NOT NULL,
    restored_at BIGINT
);

-- Beside it, what the database that it replaced knew of requests after the copy was made.
CREATE TABLE salvage (
    request_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES request (id),
    fate       TEXT COLLATE "C" NOT NULL CHECK (fate IN ('called', 'taken', 'cancelled'))
);

-- One thing that a person must know. The same key with the same since is the same thing: it fires once.
CREATE TABLE alert (
    id              TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    key             TEXT COLLATE "C" NOT NULL,
    rule            TEXT COLLATE "C" NOT NULL,
    reason          TEXT COLLATE "C" NOT NULL,
    request_id      TEXT COLLATE "C" REFERENCES request (id),
    account         TEXT COLLATE "C",
    program         TEXT COLLATE "C",
    state           TEXT COLLATE "C" NOT NULL CHECK (state IN ('firing', 'acknowledged', 'snoozed', 'resolved')),
    since           BIGINT           NOT NULL,
    fired_at        BIGINT           NOT NULL,
    acknowledged_at BIGINT,
    snoozed_until   BIGINT,
    resolved_at     BIGINT,
    -- How it ended: 'over', 'operator', 'aged_out'.
    resolution      TEXT COLLATE "C",
    notified_at     BIGINT,
    notifications   BIGINT           NOT NULL DEFAULT 0 CHECK (notifications >= 0),
    -- When it is to be told of next; NULL when it is not.
    notify_at       BIGINT,
    -- The age from which the channels are told that were told last; NULL before the first.
    reach           BIGINT,
    message_en      TEXT COLLATE "C" NOT NULL,
    message_zh      TEXT COLLATE "C" NOT NULL,
    version         BIGINT           NOT NULL DEFAULT 0,
    -- Who told us what of it, and the last word that was left with it.
    acknowledged_by TEXT COLLATE "C",
    snoozed_by      TEXT COLLATE "C",
    resolved_by     TEXT COLLATE "C",
    note            TEXT COLLATE "C",
    CHECK ((resolved_at IS NOT NULL) = (state = 'resolved')),
    CHECK ((resolved_at IS NOT NULL) = (resolution IS NOT NULL)),
    CHECK (state <> 'snoozed' OR snoozed_until IS NOT NULL),
    CHECK (state <> 'acknowledged' OR acknowledged_at IS NOT NULL)
);

CREATE UNIQUE INDEX alert_one_open ON alert (key) WHERE resolved_at IS NULL;
CREATE UNIQUE INDEX alert_once ON alert (key, since);
CREATE INDEX alert_of_request ON alert (request_id) WHERE resolved_at IS NULL;
CREATE INDEX alert_of_pair ON alert (account, program, request_id) WHERE resolved_at IS NULL;
CREATE INDEX alert_by_state ON alert (state, id);
CREATE INDEX alert_by_rule ON alert (rule, id) WHERE resolved_at IS NULL;
CREATE INDEX alert_to_tell ON alert (reason, notify_at) WHERE notify_at IS NOT NULL;
CREATE INDEX alert_by_request ON alert (request_id) WHERE request_id IS NOT NULL;
-- Requests that are told to be stuck, by account: what is told of them depends on whether its list is read.
CREATE INDEX alert_stuck ON alert (account) WHERE resolved_at IS NULL AND rule = 'stuck';
-- Open alerts, counted by reason and state. With the column of its condition, or every row would be read for it.
CREATE INDEX alert_open ON alert (rule, reason, state, resolved_at) WHERE resolved_at IS NULL;
CREATE INDEX alert_of_account ON alert (account, id) WHERE account IS NOT NULL;

-- When a request must be looked at again because something of it gets too old.
CREATE TABLE vigil (
    request_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES request (id),
    due_at     BIGINT           NOT NULL
);

CREATE INDEX vigil_due ON vigil (due_at);

-- How far the outbox has been read for alerts and deliveries, and by which rules. One row.
CREATE TABLE watch (
    one    BIGINT           NOT NULL PRIMARY KEY CHECK (one = 1),
    seq    BIGINT           NOT NULL,
    -- The thresholds in words; others mean that every request must be looked at again.
    policy TEXT COLLATE "C" NOT NULL
);

-- One message for one channel.
CREATE TABLE delivery (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    event_id      TEXT COLLATE "C" NOT NULL,
    -- The event's place in the outbox and its key: what comes after what, without looking there.
    seq           BIGINT           NOT NULL,
    partition_key TEXT COLLATE "C" NOT NULL,
    channel       TEXT COLLATE "C" NOT NULL,
    state         TEXT COLLATE "C" NOT NULL CHECK (state IN ('pending', 'delivered', 'dead')),
    attempts      BIGINT           NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- Of these, in a row, the ones that the service refused.
    refusals      BIGINT           NOT NULL DEFAULT 0 CHECK (refusals >= 0),
    created_at    BIGINT           NOT NULL,
    next_at       BIGINT,
    delivered_at  BIGINT,
    last_error    TEXT COLLATE "C",
    CHECK ((next_at IS NOT NULL) = (state = 'pending')),
    CHECK ((delivered_at IS NOT NULL) = (state = 'delivered'))
);

-- Taking old messages away asks for each whether it is still owed.
CREATE UNIQUE INDEX delivery_once ON delivery (event_id, channel);
CREATE INDEX delivery_pending ON delivery (channel, next_at) WHERE state = 'pending';
CREATE INDEX delivery_in_order ON delivery (channel, partition_key, seq) WHERE state = 'pending';
CREATE INDEX delivery_done ON delivery (channel, delivered_at) WHERE state = 'delivered';
CREATE INDEX delivery_dead ON delivery (channel, id) WHERE state = 'dead';

-- Whom a person was reminded to remind, and what came of it.
CREATE TABLE nudge (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    request_id TEXT COLLATE "C" NOT NULL REFERENCES request (id),
    stage      TEXT COLLATE "C" NOT NULL CHECK (stage IN ('account_admin', 'program_admin', 'unlink')),
    -- The move that had led into the stage: the next one of the request is what the nudge may have brought about.
    seq        BIGINT           NOT NULL CHECK (seq >= 1),
    language   TEXT COLLATE "C" NOT NULL CHECK (language IN ('en', 'zh')),
    -- NULL when the text was only printed.
    channel    TEXT COLLATE "C",
    text       TEXT COLLATE "C" NOT NULL,
    at         BIGINT           NOT NULL,
    -- Within how long an approval counts as its effect, by the configuration of that time.
    effect_ms  BIGINT           NOT NULL CHECK (effect_ms >= 0)
);

CREATE INDEX nudge_by_request ON nudge (request_id, at);

-- The plan that the daemon works by: by how much all waits are stretched because demand exceeds supply. One row.
CREATE TABLE pace (
    one            BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    -- Thousandths: 1000 is as the configuration says.
    stretch        BIGINT NOT NULL CHECK (stretch >= 1000),
    -- How late a look may be by that plan, milliseconds.
    late_ms        BIGINT NOT NULL CHECK (late_ms >= 0),
    -- Since when the stretch is above 2; NULL while it is not.
    strained_since BIGINT,
    at             BIGINT NOT NULL
);

-- An import is written in pages, and all of it is seen in one moment. Its lines wait in a table of their own until the last
-- one is there; then one small write accepts them all. From then on they are requests to everybody who reads the views, and
-- whoever runs moves them, page by page, to where the daemon finds them.
CREATE TABLE import (
    id          BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    -- 'staged': nobody sees it. 'accepted': everybody does, and its lines are being moved. 'stuck': all are moved but those
    -- whose rows are not legal. 'abandoned': it came to nothing, and its lines are being taken away.
    state       TEXT COLLATE "C" NOT NULL CHECK (state IN ('staged', 'accepted', 'stuck', 'abandoned')),
    begun_at    BIGINT           NOT NULL,
    -- When somebody last worked at it. Where nobody does, others finish it, or take it away.
    beat_at     BIGINT           NOT NULL,
    accepted_at BIGINT,
    -- How often requests of somebody else took the place of lines that are not accepted yet.
    claims      BIGINT           NOT NULL DEFAULT 0,
    CHECK ((accepted_at IS NOT NULL) = (state IN ('accepted', 'stuck')))
);

-- One at a time.
CREATE UNIQUE INDEX import_accepted ON import (state) WHERE state = 'accepted';

CREATE TABLE import_line (
    import       BIGINT           NOT NULL REFERENCES import (id),
    -- What the request is called.
    id           TEXT COLLATE "C" NOT NULL,
    kind         TEXT COLLATE "C" NOT NULL CHECK (kind IN ('link', 'unlink')),
    account      TEXT COLLATE "C" NOT NULL,
    program      TEXT COLLATE "C" NOT NULL,
    username     TEXT COLLATE "C",
    notify_users BIGINT           NOT NULL CHECK (notify_users IN (0, 1)),
    show_profile BIGINT           NOT NULL CHECK (show_profile IN (0, 1)),
    requested_at BIGINT           NOT NULL,
    key          TEXT COLLATE "C",
    labels       TEXT COLLATE "C" NOT NULL,
    -- The hash of its first transition.
    chain        BYTEA            NOT NULL CHECK (length(chain) = 32),
    -- The request that holds this wish instead, and takes the key if it has none.
    twin         TEXT COLLATE "C",
    -- 1: that request came after the line was written.
    claimed      BIGINT           NOT NULL DEFAULT 0 CHECK (claimed IN (0, 1)),
    -- 1: it cannot be moved because its row is not legal; it holds up no other.
    stuck        BIGINT           NOT NULL DEFAULT 0 CHECK (stuck IN (0, 1)),
    PRIMARY KEY (import, id)
);

CREATE INDEX import_line_by_pair ON import_line (account, program, kind);
CREATE INDEX import_line_by_key ON import_line (key) WHERE key IS NOT NULL;
CREATE INDEX import_line_claimed ON import_line (import, id) WHERE claimed = 1;

-- The daemon that runs, or else the last one that ran. One row.
CREATE TABLE daemon (
    one        BIGINT           NOT NULL PRIMARY KEY CHECK (one = 1),
    pid        BIGINT           NOT NULL,
    version    TEXT COLLATE "C" NOT NULL,
    started_at BIGINT           NOT NULL,
    -- Written anew every half minute: a daemon that runs and whose mark is older cannot write.
    written_at BIGINT           NOT NULL,
    -- When it ended in good order; NULL while it runs, and when it was killed.
    stopped_at BIGINT
);

-- Who may act over HTTP.
CREATE TABLE "user" (
    name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    role        TEXT COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    -- argon2id, as a PHC string.
    password    TEXT COLLATE "C" NOT NULL,
    created_at  BIGINT           NOT NULL,
    password_at BIGINT           NOT NULL,
    -- When the user was disabled; NULL for one who may sign in.
    disabled_at BIGINT
);

CREATE TABLE session (
    -- SHA-256 of what the cookie holds.
    digest     BYTEA            NOT NULL PRIMARY KEY,
    -- How people name it; it opens nothing.
    id         TEXT COLLATE "C" NOT NULL UNIQUE,
    "user"     TEXT COLLATE "C" NOT NULL REFERENCES "user" (name) ON DELETE CASCADE,
    created_at BIGINT           NOT NULL,
    seen_at    BIGINT           NOT NULL,
    expires_at BIGINT           NOT NULL,
    address    TEXT COLLATE "C",
    agent      TEXT COLLATE "C"
);

CREATE INDEX session_of_user ON session ("user", created_at);
CREATE INDEX session_expiry ON session (expires_at);

CREATE TABLE api_token (
    -- The part of the token that is no secret.
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name       TEXT COLLATE "C" NOT NULL,
    role       TEXT COLLATE "C" NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
    -- A JSON list of words.
    scopes     TEXT COLLATE "C" NOT NULL CHECK (json_valid(scopes)),
    -- SHA-256 of the whole token.
    digest     BYTEA            NOT NULL,
    -- Whose it is; NULL for one that was made on the machine.
    "user"     TEXT COLLATE "C" REFERENCES "user" (name) ON DELETE CASCADE,
    created_at BIGINT           NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    -- NULL: never.
    expires_at BIGINT,
    used_at    BIGINT,
    revoked_at BIGINT
);

-- A name is free again once its token is revoked.
CREATE UNIQUE INDEX api_token_name ON api_token (name) WHERE revoked_at IS NULL;
CREATE INDEX api_token_of_user ON api_token ("user") WHERE "user" IS NOT NULL;

-- One deed of a person or of a program of theirs, by whichever door. Of what touches many, how far it has come.
CREATE TABLE action (
    id           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    at           BIGINT           NOT NULL,
    actor        TEXT COLLATE "C" NOT NULL,
    via          TEXT COLLATE "C" NOT NULL CHECK (via IN ('cli', 'api', 'web')),
    -- The API token that was used.
    token        TEXT COLLATE "C",
    address      TEXT COLLATE "C",
    action       TEXT COLLATE "C" NOT NULL,
    subject_kind TEXT COLLATE "C" NOT NULL,
    -- NULL where it touches many.
    subject      TEXT COLLATE "C",
    -- A JSON object of the filters that chose them.
    filter       TEXT COLLATE "C" CHECK (filter IS NULL OR json_valid(filter)),
    -- What it touches; NULL until that is known.
    count        BIGINT           CHECK (count >= 0),
    reason       TEXT COLLATE "C",
    -- NULL while it goes on.
    outcome      TEXT COLLATE "C" CHECK (outcome IN ('done', 'partly', 'failed')),
    finished_at  BIGINT,
    -- Of what is done in the background: by which values, up to which id, from which on, and how many came to what.
    arguments    TEXT COLLATE "C" CHECK (arguments IS NULL OR json_valid(arguments)),
    cutoff       TEXT COLLATE "C",
    position     TEXT COLLATE "C",
    done         BIGINT           NOT NULL DEFAULT 0 CHECK (done >= 0),
    failed       BIGINT           NOT NULL DEFAULT 0 CHECK (failed >= 0),
    CHECK ((outcome IS NULL) = (finished_at IS NULL))
);

CREATE INDEX action_of_subject ON action (subject, id) WHERE subject IS NOT NULL;
CREATE INDEX action_of_actor ON action (actor, id);
CREATE INDEX action_under_way ON action (id) WHERE outcome IS NULL;

-- The platform's own tokens: its component (the third-party platform), the accounts that authorized it, and pushes about
-- them. Every BYTEA is sealed under a key that is not in this database. `generation` counts the tokens of a row, so that a
-- refresh that was overtaken is thrown away; whoever refreshes claims the row first.
CREATE TABLE component (
    appid            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    -- Seals a known word: a wrong key is noticed before it overwrites anything.
    key_check        BYTEA            NOT NULL,
    ticket           BYTEA,
    -- When WeChat made the ticket, and when we had it.
    ticket_made      BIGINT,
    ticket_at        BIGINT,
    -- Since when there is no ticket that works; NULL while there is one.
    ticketless_since BIGINT,
    -- The ticket that was refused, by the time at which it was made: it is not tried again.
    ticket_refused   BIGINT,
    token            BYTEA,
    renew_at         BIGINT,
    token_until      BIGINT,
    generation       BIGINT           NOT NULL DEFAULT 0 CHECK (generation >= 0),
    claimed_by       TEXT COLLATE "C",
    claimed_until    BIGINT,
    -- Calls of a Beijing day, for tokens and lists, and for single accounts.
    calls_day        BIGINT           NOT NULL DEFAULT 0,
    calls_used       BIGINT           NOT NULL DEFAULT 0 CHECK (calls_used >= 0),
    lookups_used     BIGINT           NOT NULL DEFAULT 0 CHECK (lookups_used >= 0),
    -- The last refusal, since when, and until when nothing is tried because of it; NULL `held_until` beside a refusal:
    -- until a person has acted.
    errcode          BIGINT,
    errmsg           TEXT COLLATE "C",
    refused_since    BIGINT,
    held_until       BIGINT,
    -- The last sweep of the list of authorizers: when it began, and how far it has come; NULL when it is done.
    swept_at         BIGINT,
    sweep_offset     BIGINT,
    -- Ids of the keys that the daemon of the last start opens values with, separated by blanks.
    open_keys        TEXT COLLATE "C",
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CHECK ((token IS NULL) = (token_until IS NULL)),
    CHECK ((ticket IS NULL) = (ticket_made IS NULL))
);

CREATE TABLE authorizer (
    appid         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    state         TEXT COLLATE "C" NOT NULL CHECK (state IN ('authorized', 'unauthorized', 'unknown')),
    since         BIGINT           NOT NULL,
    refresh       BYTEA,
    token         BYTEA,
    renew_at      BIGINT,
    token_until   BIGINT,
    generation    BIGINT           NOT NULL DEFAULT 0 CHECK (generation >= 0),
    claimed_by    TEXT COLLATE "C",
    claimed_until BIGINT,
    -- The last push that counted: when WeChat made it, and what it said.
    event_made    BIGINT,
    event         TEXT COLLATE "C" CHECK (event IN ('authorized', 'updateauthorized', 'unauthorized')),
    -- When the account authorized the platform, as the list of authorizers says.
    auth_time     BIGINT,
    -- Permission sets, a JSON list of numbers; NULL while they are not known.
    permissions   TEXT COLLATE "C" CHECK (permissions IS NULL OR json_valid(permissions)),
    username      TEXT COLLATE "C",
    nickname      TEXT COLLATE "C",
    errcode       BIGINT,
    errmsg        TEXT COLLATE "C",
    failures      BIGINT           NOT NULL DEFAULT 0 CHECK (failures >= 0),
    -- Before when no refresh is tried again.
    retry_at      BIGINT,
    -- The last refresh that somebody forced by a refused token.
    forced_at     BIGINT,
    -- How often a token died within minutes of its refresh, lately: somebody else refreshes, too.
    killed_at     BIGINT,
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL)),
    CHECK ((token IS NULL) = (token_until IS NULL)),
    CHECK ((event IS NULL) = (event_made IS NULL)),
    CHECK (state <> 'unauthorized' OR (token IS NULL AND refresh IS NULL))
);

-- Who must authorize, in the order of the names.
CREATE INDEX authorizer_gone ON authorizer (appid) WHERE state <> 'authorized';
-- Whose next token is being fetched.
CREATE INDEX authorizer_claimed ON authorizer (claimed_until) WHERE claimed_until IS NOT NULL;
-- Who waits for the list of authorizers to have a refresh token.
CREATE INDEX authorizer_lacking ON authorizer (appid)
    WHERE refresh IS NULL AND state <> 'unauthorized' AND errcode = 61023;
CREATE INDEX authorizer_killed ON authorizer (killed_at) WHERE killed_at IS NOT NULL;

-- Pushes about accounts, by the SHA-256 of what was encrypted: the same one again changes nothing.
CREATE TABLE push (
    id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    appid   TEXT COLLATE "C" NOT NULL,
    kind    TEXT COLLATE "C" NOT NULL CHECK (kind IN ('authorized', 'updateauthorized', 'unauthorized')),
    made    BIGINT           NOT NULL,
    at      BIGINT           NOT NULL,
    -- The authorization code, until it is traded for tokens.
    code    BYTEA,
    -- NULL: something is still to be done about it.
    done_at BIGINT,
    CHECK (done_at IS NULL OR code IS NULL)
);

CREATE INDEX push_open ON push (at) WHERE done_at IS NULL;
CREATE INDEX push_done ON push (done_at) WHERE done_at IS NOT NULL;

-- What a command asks the running daemon to ask WeChat, and what came of it.
CREATE TABLE token_task (
    id      BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    kind    TEXT COLLATE "C" NOT NULL CHECK (kind IN ('sync', 'refresh')),
    -- The account of a refresh.
    appid   TEXT COLLATE "C",
    at      BIGINT           NOT NULL,
    done_at BIGINT,
    -- What came of it, in words; NULL when it went well and there is nothing to say.
    said    TEXT COLLATE "C",
    is_well BIGINT           CHECK (is_well IN (0, 1)),
    CHECK ((kind = 'refresh') = (appid IS NOT NULL)),
    CHECK ((done_at IS NULL) = (is_well IS NULL))
);

CREATE INDEX token_task_open ON token_task (id) WHERE done_at IS NULL;

-- Where everything of a database went, and where it came from (`db move`).
CREATE TABLE move (
    -- 'out': of what is here to another database; from its beginning on nothing is written here any more. 'in': of another
    -- database's rows to here; until it is done nobody works with them.
    way      TEXT COLLATE "C" NOT NULL PRIMARY KEY CHECK (way IN ('out', 'in')),
    -- The same on both sides.
    id       TEXT COLLATE "C" NOT NULL,
    -- Where the other database is, without its password.
    other    TEXT COLLATE "C" NOT NULL,
    begun_at BIGINT           NOT NULL,
    -- NULL: it is under way.
    done_at  BIGINT
);


-- The public interface. Columns are only ever added. Times are RFC 3339 texts in UTC with milliseconds; yes is 1, no is 0.

-- A request whose line of an accepted import is not moved yet is a request as well.
CREATE VIEW v_request AS
SELECT r.id, r.kind, r.account, r.program, r.username, r.state,
       waiting_on(r.state, r.kind) AS waiting_on,
       iso(r.since) AS since,
       iso(r.requested_at) AS requested_at,
       iso(r.finished_at) AS finished_at,
       r.attempt, flag(r.outcome_unknown > 0) AS outcome_unknown, r.errcode, r.errmsg,
       iso(CASE WHEN r.finished_at IS NULL THEN coalesce(r.deferred_until, a.next_check_at) END) AS next_check_at,
       r.retry_of, r.labels, r.failure, r.key, r.notify_users, r.show_profile, r.seen_status,
       iso(r.called_at) AS called_at,
       a.state AS account_state
FROM request AS r
JOIN account AS a ON a.account = r.account
UNION ALL
SELECT l.id, l.kind, l.account, l.program, l.username, 'requested', 'us',
       iso(l.requested_at),
       iso(l.requested_at),
       NULL, 0, 0, NULL, NULL,
       iso(CASE WHEN a.suspended_by IS DISTINCT FROM 'operator' THEN coalesce(a.next_check_at, i.accepted_at) END),
       NULL, l.labels, NULL, l.key, l.notify_users, l.show_profile, NULL,
       NULL, coalesce(a.state, 'active')
FROM import AS i
JOIN import_line AS l ON l.import = i.id AND l.twin IS NULL
LEFT JOIN account AS a ON a.account = l.account
WHERE i.state = 'accepted';

-- History, in words.
CREATE VIEW transition AS
SELECT r.id AS request_id, l.step AS seq,
       state_word(l.from_state) COLLATE "C" AS from_state,
       state_word(l.to_state) COLLATE "C" AS to_state,
       l.at,
       cause_word(l.cause) COLLATE "C" AS cause,
       l.status, l.errcode, l.detail, l.hash
FROM log AS l
JOIN request AS r ON r.row = l.request;

-- Events. That of a step is worded when it is read, the same each time; its id is made of its time and its hash.
CREATE VIEW outbox AS
SELECT l.seq,
       coalesce(l.id, event_id(l.at, l.hash)) AS id,
       coalesce(l.type, 'amplinkd.request.' || state_word(l.to_state)) AS type,
       coalesce(l.subject, r.id) AS subject, coalesce(l.partition_key, r.id) AS partition_key, l.reach, l.at,
       coalesce(l.data,
           '{"account":' || json_word(r.account) || ',"at":' || json_word(iso(l.at))
           || ',"attempt":' || coalesce(l.attempt::text, 'null') || ',"cause":' || json_word(cause_word(l.cause))
           || ',"errcode":' || coalesce(l.refusal::text, 'null') || ',"from":' || json_word(state_word(l.from_state))
           || ',"kind":' || json_word(r.kind) || ',"labels":' || json_object_of(r.labels)
           || ',"program":' || json_word(r.program) || ',"request":' || json_word(r.id)
           || ',"to":' || json_word(state_word(l.to_state)) || '}') AS data
FROM log AS l
LEFT JOIN request AS r ON r.row = l.request
WHERE l.seq > 0;

CREATE VIEW v_transition AS
SELECT t.request_id, t.seq, t.from_state, t.to_state,
       iso(t.at) AS at,
       t.cause, t.status, t.errcode, t.detail, encode(t.hash, 'hex') COLLATE "C" AS hash
FROM transition AS t
UNION ALL
SELECT l.id, 1, NULL, 'requested',
       iso(l.requested_at),
       'accepted', NULL, NULL, NULL, encode(l.chain, 'hex')
FROM import AS i
JOIN import_line AS l ON l.import = i.id AND l.twin IS NULL
WHERE i.state = 'accepted';

CREATE VIEW v_conflict AS
SELECT c.id, c.request_id, r.account, r.program, c.kind, c.errcode,
       iso(c.at) AS at,
       c.our_state, c.their_status,
       iso(c.resolved_at) AS resolved_at,
       c.resolution, c.errmsg
FROM conflict AS c
JOIN request AS r ON r.id = c.request_id;

CREATE VIEW v_account AS
SELECT a.account, a.state,
       iso(a.since) AS since,
       a.suspended_by, a.errcode, a.errmsg,
       (SELECT count(*) FROM request AS r WHERE r.account = a.account AND r.finished_at IS NULL) AS open_requests,
       iso(a.next_check_at) AS next_check_at,
       iso(a.checked_at) AS checked_at,
       a.failures, a.last_error,
       day(nullif(a.budget_day, 0)) AS budget_day,
       a.budget_used,
       iso(a.checked_at) AS last_read_at,
       a.trouble,
       iso(a.unread_since) AS unread_since,
       a.call_failures,
       iso(a.calls_refused_since) AS calls_refused_since,
       iso(a.call_after) AS next_call_at,
       a.call_error,
       iso(a.emptied_at) AS emptied_since,
       iso(a.overfull_since) AS overfull_since
FROM account AS a;

-- While a list is not believed to have lost everything, its items are listed no longer and not gone yet.
CREATE VIEW v_program AS
SELECT p.account, p.program, p.username, p.status, p.nickname, p.headimg_url, p.email, p.source, p.selected,
       p.nearby_display_status, p.released, p.copy_verify_status, p.func_infos,
       iso(p.first_seen_at) AS first_seen_at,
       iso(coalesce(p.gone_at, a.emptied_at, a.checked_at, p.status_since)) AS last_seen_at,
       iso(p.gone_at) AS gone_at,
       iso(p.status_since) AS status_since,
       p.item
FROM program AS p
JOIN account AS a ON a.account = p.account;

CREATE VIEW v_gate AS
SELECT g.kind, g.subject,
       iso(g.until) AS until,
       g.errcode, g.errmsg,
       iso(g.at) AS at,
       g.early
FROM gate AS g;

CREATE VIEW v_alert AS
SELECT l.id, l.key, l.rule, l.request_id, l.account, l.state,
       iso(l.since) AS since,
       iso(l.fired_at) AS fired_at,
       iso(l.acknowledged_at) AS acknowledged_at,
       iso(l.snoozed_until) AS snoozed_until,
       iso(l.resolved_at) AS resolved_at,
       iso(l.notified_at) AS notified_at,
       l.notifications, l.message_en, l.message_zh, l.reason, l.program, l.resolution,
       iso(l.notify_at) AS notify_at,
       l.acknowledged_by, l.snoozed_by, l.resolved_by, l.note
FROM alert AS l;

CREATE VIEW v_delivery AS
SELECT d.id, d.event_id, o.type AS event_type, d.channel, d.state, d.attempts,
       iso(d.next_at) AS next_at,
       iso(d.delivered_at) AS delivered_at,
       d.last_error, o.subject,
       iso(d.created_at) AS created_at
FROM delivery AS d
JOIN outbox AS o ON o.seq = d.seq;

CREATE VIEW v_nudge AS
SELECT n.id, n.request_id, r.account, r.program, n.stage, n.language, n.channel,
       iso(n.at) AS at,
       iso(t.at) AS approved_at,
       max(t.at - n.at, 0) / 1000 AS approved_within_seconds,
       flag(t.at IS NOT NULL AND t.at - n.at <= n.effect_ms) AS effective,
       n.effect_ms / 1000 AS effect_within_seconds,
       n.text
FROM nudge AS n
JOIN request AS r ON r.id = n.request_id
-- To awaiting_program_admin, linked or unlinked.
LEFT JOIN log AS t ON t.request = r.row AND t.step = n.seq + 1 AND t.to_state IN (4, 6, 11);

CREATE VIEW v_daemon AS
SELECT d.pid, d.version,
       iso(d.started_at) AS started_at,
       iso(d.written_at) AS written_at,
       iso(d.stopped_at) AS stopped_at
FROM daemon AS d;

-- The daemons, as the last of each name stands.
CREATE VIEW v_node AS
SELECT n.name,
       (CASE
           WHEN n.fenced THEN 'fenced'
           WHEN b.until < clock_timestamp() THEN 'silent'
           WHEN NOT n.draining THEN 'active'
           WHEN EXISTS (SELECT 1 FROM lease AS l WHERE l.node = n.id) THEN 'draining'
           ELSE 'idle'
       END) COLLATE "C" AS state,
       iso(CASE WHEN NOT n.fenced AND b.until < clock_timestamp() THEN (extract(epoch FROM b.until) * 1000)::bigint
                ELSE n.since END) AS since,
       (SELECT count(*) FROM lease AS l WHERE l.node = n.id AND l.name LIKE 'accounts/%') AS shards,
       n.version, b.config_hash,
       iso((extract(epoch FROM b.at) * 1000)::bigint) AS beat_at
FROM node AS n JOIN beat AS b ON b.node = n.id;

-- Open requests. Not a compound as v_request is, so that counts and orders go along the index of who waits since when.
CREATE VIEW v_waiting AS
SELECT r.id, r.kind, r.account, r.program, r.username, r.state,
       waiting_on(r.state, r.kind) AS waiting_on,
       iso(r.since) AS since,
       r.since AS since_ms,
       iso(r.requested_at) AS requested_at,
       r.attempt, flag(r.outcome_unknown > 0) AS outcome_unknown, r.errcode, r.errmsg,
       iso(coalesce(r.deferred_until, (SELECT a.next_check_at FROM account AS a WHERE a.account = r.account)))
           AS next_check_at,
       r.labels, r.key,
       (SELECT a.state FROM account AS a WHERE a.account = r.account) AS account_state
FROM request AS r
WHERE r.finished_at IS NULL;

-- The states of open requests. Whoever asks for them counts by age with `v_waiting`, at a time of their own.
CREATE VIEW v_stage AS
SELECT s.state COLLATE "C" AS state,
       (SELECT count(*) FROM request AS r WHERE r.state = s.state AND r.finished_at IS NULL) AS requests,
       (SELECT iso(min(r.since)) FROM request AS r WHERE r.state = s.state AND r.finished_at IS NULL) AS oldest_since,
       (SELECT min(r.since) FROM request AS r WHERE r.state = s.state AND r.finished_at IS NULL) AS oldest_since_ms
FROM (VALUES ('requested'), ('initiating'), ('initiated'), ('awaiting_account_admin'), ('awaiting_program_admin'),
             ('deferred')) AS s (state);

-- Steps in the order of their commits.
CREATE VIEW v_change AS
SELECT l.seq AS number, r.id AS request_id, l.step AS seq, r.kind, r.account, r.program,
       state_word(l.from_state) COLLATE "C" AS from_state,
       state_word(l.to_state) COLLATE "C" AS to_state,
       iso(l.at) AS at,
       l.at AS at_ms,
       l.at - (SELECT b.at FROM log AS b WHERE b.request = l.request AND b.step = l.step - 1) AS lasted_ms,
       cause_word(l.cause) COLLATE "C" AS cause,
       l.status, l.errcode, l.detail, r.labels
FROM log AS l
JOIN request AS r ON r.row = l.request;

-- Requests by label.
CREATE VIEW v_label AS
SELECT l.name, l.value, l.request_id, r.kind, r.account, r.program, r.state,
       iso(r.since) AS since,
       r.since AS since_ms
FROM request_label AS l
JOIN request AS r ON r.id = l.request_id;

CREATE VIEW v_action AS
SELECT a.id, iso(a.at) AS at,
       a.actor, a.via, a.token, a.address, a.action, a.subject_kind, a.subject, a.filter, a.count, a.reason, a.outcome,
       (CASE WHEN a.outcome IS NULL THEN 'running' ELSE 'finished' END) COLLATE "C" AS state,
       a.done, a.failed, CASE WHEN a.outcome IS NULL THEN max(a.count - a.done - a.failed, 0) ELSE 0 END AS "left",
       iso(a.finished_at) AS finished_at
FROM action AS a;

CREATE VIEW v_authorizer AS
SELECT a.appid, a.state,
       iso(a.since) AS since,
       -- A row that somebody edited must not keep the others from being read.
       CASE WHEN json_valid(a.permissions) AND json_typeof(a.permissions::json) = 'array'
            THEN flag(EXISTS (SELECT 1 FROM json_array_elements(a.permissions::json) AS p WHERE p.value::text = '33')) ELSE 0
       END AS has_link_permission,
       iso(a.token_until) AS token_until,
       a.username, a.nickname, a.errcode, a.errmsg
FROM authorizer AS a;
