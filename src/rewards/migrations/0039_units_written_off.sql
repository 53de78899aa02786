-- Units that were taken out of stock for good before anybody had them: books that count what came in, went
-- out and is held need the moment. What an order gave back is REVOKED too, and is not here.
CREATE TABLE units_written_off (
    unit_id bigint PRIMARY KEY,
    written_off_at timestamptz NOT NULL
);
