-- Pages of lists for what was found row by row. None of these is touched by a poll, a step of a link or a link that is
-- accepted: unlinks, alerts and the end of a conflict are few beside them.

CREATE INDEX request_unlink_by_state ON request (state, id) WHERE kind = 'unlink';

CREATE INDEX alert_of_account ON alert (account, id) WHERE account IS NOT NULL;

CREATE INDEX conflict_resolved ON conflict (id) WHERE resolved_at IS NOT NULL;

PRAGMA user_version = 21;
