-- An attempt that failed before anything was planned has no transaction: the destination could not be reached.
-- Changes the catalogue alone, no row is read: its lock is held for a moment. The release before this one reads such rows, and
-- shows an empty id.
alter table attempts alter column txn_id drop not null;
