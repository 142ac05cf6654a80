-- What operators do is listed (`GET /v1/audit`), and done to many destinations by one command.

-- Of an act by a glob, `target`: how many destinations it matched; null: an act on what `target` names. The release before this one
-- writes rows without it. Locks: a nullable column, so for a moment only; nothing is rewritten.
alter table audit add column matched integer;
