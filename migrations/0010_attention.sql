-- People are told of accounts, too: what is looked at for that every few seconds is found by an index, to a bound.

-- Requests that are told to be stuck, by account: what is told of them depends on whether its list is read.
CREATE INDEX alert_stuck ON alert (account) WHERE resolved_at IS NULL AND rule = 'stuck';

-- Accounts that were not read at three looks in a row, by the reason; those that WeChat suspended, by its code.
CREATE INDEX account_unreadable ON account (trouble, unread_since)
    WHERE failures >= 3 AND unread_since IS NOT NULL AND state = 'active' AND next_check_at IS NOT NULL;
CREATE INDEX account_refused ON account (errcode) WHERE state = 'suspended' AND suspended_by = 'wechat';

-- The Beijing day on which its looks are used up; NULL while some are left.
ALTER TABLE account ADD COLUMN spent_day INTEGER;
CREATE INDEX account_spent ON account (spent_day) WHERE spent_day IS NOT NULL;

-- Items that are listed with a status which no page documents.
CREATE INDEX program_unknown ON program (status) WHERE gone_at IS NULL AND status NOT IN (1, 2, 3, 12);

PRAGMA user_version = 10;
