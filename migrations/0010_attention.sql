-- People are told of accounts, too: what is looked at for that every few seconds is found by an index.

-- Requests that are told to be stuck, by account: what is told of them depends on whether its list is read.
CREATE INDEX alert_stuck ON alert (account) WHERE resolved_at IS NULL AND rule = 'stuck';

PRAGMA user_version = 10;
