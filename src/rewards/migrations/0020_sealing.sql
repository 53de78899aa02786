-- How far sealing has come, as a snapshot: whatever that one saw is in the feed. A single transaction
-- id could say it only of what is older than the oldest transaction still open.
ALTER TABLE event_sealing
    DROP COLUMN through_xid,
    -- NULL: nobody knows, so all events are looked through.
    ADD COLUMN sealed pg_snapshot,
    -- While more waits than one transaction takes: what this one saw is looked through by id, after
    -- the one up to the other, and then counts as sealed.
    ADD COLUMN target pg_snapshot,
    ADD COLUMN after_id bigint,
    ADD COLUMN upto_id bigint,
    ADD CONSTRAINT event_sealing_target_check CHECK (num_nulls(target, after_id, upto_id) IN (0, 3));
