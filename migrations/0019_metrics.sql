-- Figures for monitoring, asked for every few seconds: each is counted along an index.

-- Unlinks are few beside links, which are all requests but these: writing a link does not touch this index.
CREATE INDEX request_unlinks ON request (state, since) WHERE kind = 'unlink';

CREATE INDEX conflict_open_kind ON conflict (kind, resolved_at) WHERE resolved_at IS NULL;

PRAGMA user_version = 19;
