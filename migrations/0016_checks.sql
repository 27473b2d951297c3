-- A list of more than two values in a CHECK, or in the condition of an index, is a table that SQLite fills anew for each row
-- that is written: five of them cost a step of a request more than the row itself (docs/performance.md). The rules stay as
-- they are, compared value by value; no row is touched, and the schema's text alone is changed, as in 0005.

DROP INDEX program_unknown;

PRAGMA writable_schema = 1;

UPDATE sqlite_schema
SET sql = replace(sql, 'trouble IN (''token'', ''refused'', ''unreadable'', ''unreachable'')',
                  'trouble = ''token'' OR trouble = ''refused'' OR trouble = ''unreadable'' OR trouble = ''unreachable''')
WHERE type = 'table' AND name = 'account';

UPDATE sqlite_schema
SET sql = replace(sql, 'state IN (
                      ''requested'', ''initiating'', ''initiated'', ''awaiting_account_admin'', ''awaiting_program_admin'',
                      ''deferred'', ''linked'', ''rejected'', ''failed'', ''lapsed'', ''cancelled'', ''unlinked'')', '
                      state = ''requested'' OR state = ''initiating'' OR state = ''initiated''
                      OR state = ''awaiting_account_admin'' OR state = ''awaiting_program_admin''
                      OR state = ''deferred'' OR state = ''linked'' OR state = ''rejected'' OR state = ''failed''
                      OR state = ''lapsed'' OR state = ''cancelled'' OR state = ''unlinked''')
WHERE type = 'table' AND name = 'request';

UPDATE sqlite_schema
SET sql = replace(sql, 'state IN (''linked'', ''rejected'', ''failed'', ''lapsed'', ''cancelled'', ''unlinked'')',
                  'state = ''linked'' OR state = ''rejected'' OR state = ''failed'' OR state = ''lapsed''
                                       OR state = ''cancelled'' OR state = ''unlinked''')
WHERE type = 'table' AND name = 'request';

UPDATE sqlite_schema
SET sql = replace(sql, 'state NOT IN (''awaiting_account_admin'', ''awaiting_program_admin'', ''linked'', ''rejected'')',
                  '(state <> ''awaiting_account_admin'' AND state <> ''awaiting_program_admin''
                                 AND state <> ''linked'' AND state <> ''rejected'')')
WHERE type = 'table' AND name = 'request';

UPDATE sqlite_schema
SET sql = replace(replace(sql, 'outcome_unknown IN (0, 1, 2)', 'outcome_unknown BETWEEN 0 AND 2'),
                  'failure IN (''refused'', ''our_bug'', ''attempts'', ''deadline'')',
                  'failure = ''refused'' OR failure = ''our_bug'' OR failure = ''attempts'' OR failure = ''deadline''')
WHERE type = 'table' AND name = 'request';

PRAGMA writable_schema = RESET;

CREATE INDEX program_unknown ON program (status)
WHERE gone_at IS NULL AND status NOT BETWEEN 1 AND 3 AND status <> 12;

PRAGMA user_version = 16;
