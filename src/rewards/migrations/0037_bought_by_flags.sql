-- What products' flags had vendors deliver for one client within a day counts together, as what one person had does.

CREATE TABLE flagged_purchases (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id bigint NOT NULL,
    -- The face value of what the order lacked.
    amount_minor bigint NOT NULL CONSTRAINT flagged_purchases_amount_check CHECK (amount_minor > 0),
    currency text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX flagged_purchases_idx ON flagged_purchases (client_id, at);
CREATE INDEX flagged_purchases_at_idx ON flagged_purchases USING brin (at);
