-- What staff buy ahead of demand: orders with vendors for our own stock, and the way to know demand.

CREATE TABLE stock_orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id bigint NOT NULL,
    denomination_minor bigint NOT NULL CONSTRAINT stock_orders_denomination_check CHECK (denomination_minor > 0),
    currency text NOT NULL,
    vendor_id bigint NOT NULL CONSTRAINT stock_orders_vendor_fk REFERENCES vendors,
    quantity integer NOT NULL CONSTRAINT stock_orders_quantity_check CHECK (quantity > 0),
    -- As agreed with the vendor, in `currency`; what it charged is on the purchases.
    cost_minor bigint NOT NULL CONSTRAINT stock_orders_cost_check CHECK (cost_minor >= 0),
    state text NOT NULL CONSTRAINT stock_orders_state_check
        CHECK (state IN ('WAITING', 'ORDERED', 'RECEIVED', 'SHORT', 'FAILED', 'CALLED_OFF')),
    -- It costs more than one person may order.
    second_person boolean NOT NULL,
    -- Codes that came, and those of them that can be sold; over all its purchases.
    received integer NOT NULL DEFAULT 0,
    usable integer NOT NULL DEFAULT 0 CONSTRAINT stock_orders_usable_check CHECK (usable BETWEEN 0 AND received),
    -- What whoever asked calls it: ordered once, however often it is sent.
    reference text CONSTRAINT stock_orders_reference_key UNIQUE,
    asked_by bigint NOT NULL CONSTRAINT stock_orders_asked_by_fk REFERENCES staff_users,
    reason text NOT NULL,
    -- Why it ended as it did, where that was not as asked.
    message text,
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT stock_orders_ended_check CHECK ((ended_at IS NULL) = (state IN ('WAITING', 'ORDERED'))),
    CONSTRAINT stock_orders_outcome_check CHECK (CASE state
        WHEN 'RECEIVED' THEN usable >= quantity
        WHEN 'SHORT' THEN usable > 0 AND usable < quantity
        WHEN 'ORDERED' THEN true
        ELSE usable = 0
    END)
);
-- The same is on order with a vendor once: of two who ask at the same time one wins.
CREATE UNIQUE INDEX stock_orders_open_key ON stock_orders (vendor_id, product_id, denomination_minor, currency)
    WHERE state IN ('WAITING', 'ORDERED');
CREATE INDEX stock_orders_product_idx ON stock_orders (product_id, id);

-- Demand of the last days is read over all clients. Orders lie in order of time, so this index has one entry for
-- many pages and costs a new order next to nothing.
CREATE INDEX orders_placed_idx ON orders USING brin (placed_at) WITH (pages_per_range = 32, autosummarize = on);
