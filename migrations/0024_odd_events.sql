-- Events with numbers outside canonical JSON, or nested beyond 100 levels: many receivers refuse a whole transaction for one of them, so each is sent
-- alone (contract 5.9). Ingest knows, as it writes the text; nobody parses it again.
--
-- Locks: two nullable columns, so for a moment only; nothing is rewritten. Null: it is none of these, or it came before. The release before this one
-- neither reads nor writes them, and sends such events as others.
alter table events add column odd boolean;
alter table kept_events add column odd boolean;
