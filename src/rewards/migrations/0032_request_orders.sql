-- The order that a request placed or was about: the log leads on to it. Null for lines from before.
ALTER TABLE client_requests ADD COLUMN order_id bigint;
