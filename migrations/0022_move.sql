-- Where everything of a database went, and where it came from (`db move`).

CREATE TABLE move (
    -- 'out': of what is here to another database; from its beginning on nothing is written here any more. 'in': of another
    -- database's rows to here; until it is done nobody works with them.
    way      TEXT   NOT NULL PRIMARY KEY CHECK (way = 'out' OR way = 'in'),
    -- The same on both sides.
    id       TEXT   NOT NULL,
    -- Where the other database is, without its password.
    other    TEXT   NOT NULL,
    begun_at BIGINT NOT NULL,
    -- NULL: it is under way.
    done_at  BIGINT
) WITHOUT ROWID;

PRAGMA user_version = 22;
