-- When a client was last told that an endpoint fails: once for all failures without a success between.
ALTER TABLE webhook_endpoints ADD COLUMN failing_told_at timestamptz;
