-- Orders, their items, and every transition they made.
-- No foreign keys on these hot tables: see docs/adr; `rewards doctor` checks what they would have.

CREATE SEQUENCE orders_id_seq;
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    client_id bigint NOT NULL,
    ref text NOT NULL,
    transaction_id bigint NOT NULL,
    wallet_id bigint NOT NULL,
    -- Price, in the wallet's currency.
    currency text NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT orders_amount_check CHECK (amount_minor >= 0),
    discount_minor bigint NOT NULL,
    fees_minor bigint NOT NULL,
    tax_minor bigint NOT NULL,
    forex_rate numeric(24, 12),
    -- What was bought, in the product's currency.
    product_id bigint NOT NULL,
    product_revision_id bigint NOT NULL,
    product_name text NOT NULL,
    product_currency text NOT NULL,
    denomination_minor bigint NOT NULL,
    quantity integer NOT NULL CONSTRAINT orders_quantity_check CHECK (quantity > 0),
    on_partial text NOT NULL CONSTRAINT orders_on_partial_check CHECK (on_partial IN ('KEEP', 'ALL_OR_NOTHING')),
    deliver_by timestamptz,
    email text,
    mobile jsonb,
    metadata jsonb,
    claim_password_hash text,
    -- Progress. items_created: rows in order_items; fulfilled: items ever delivered; cancelled: of the
    -- quantity, before delivery; revoked: after it. Money goes back for cancelled + revoked.
    status text NOT NULL CONSTRAINT orders_status_check
        CHECK (status IN ('PLACED', 'PENDING', 'DELIVERED', 'PARTIALLY_DELIVERED', 'CANCELLED', 'FAILED')),
    sub_status text NOT NULL,
    items_created integer NOT NULL,
    fulfilled integer NOT NULL,
    cancelled integer NOT NULL DEFAULT 0,
    revoked integer NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0,
    refund_owed_minor bigint NOT NULL DEFAULT 0 CONSTRAINT orders_refund_owed_check CHECK (refund_owed_minor >= 0),
    placed_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    delivered_at timestamptz,
    cancelled_at timestamptz,
    CONSTRAINT orders_ref_key UNIQUE (client_id, ref),
    CONSTRAINT orders_refund_check CHECK (refunded_minor >= 0 AND refunded_minor + refund_owed_minor <= amount_minor),
    CONSTRAINT orders_items_check CHECK (
        items_created IN (0, quantity) AND fulfilled >= 0 AND cancelled >= 0
        AND fulfilled + cancelled <= quantity AND revoked BETWEEN 0 AND fulfilled
    )
) WITH (fillfactor = 85);
CREATE INDEX orders_client_idx ON orders (client_id, placed_at DESC, id DESC);
CREATE INDEX orders_client_product_idx ON orders (client_id, product_id, placed_at DESC, id DESC);
-- Rare statuses of a client; an order served at once never enters it.
CREATE INDEX orders_client_status_idx ON orders (client_id, status, placed_at DESC, id DESC) WHERE status <> 'DELIVERED';
-- What still waits for somebody; small, and the worker's and the operator's way in.
CREATE INDEX orders_open_idx ON orders (sub_status, id) WHERE status IN ('PLACED', 'PENDING', 'PARTIALLY_DELIVERED');
CREATE INDEX orders_deliver_by_idx ON orders (deliver_by) WHERE deliver_by IS NOT NULL AND status IN ('PLACED', 'PENDING', 'PARTIALLY_DELIVERED');
CREATE INDEX orders_refund_owed_idx ON orders (id) WHERE refund_owed_minor > 0;

CREATE TABLE order_items (
    order_id bigint NOT NULL,
    -- 1 to quantity; the public item id is order_id and this.
    position integer NOT NULL,
    status text NOT NULL CONSTRAINT order_items_status_check
        CHECK (status IN ('PENDING', 'DELIVERED', 'CANCELLED', 'REVOKED', 'FAILED')),
    unit_id bigint,
    recharge_status text CONSTRAINT order_items_recharge_check
        CHECK (recharge_status IN ('PENDING', 'DELIVERED', 'RECHARGED', 'FAILED', 'CANCELLED')),
    delivered_at timestamptz,
    CONSTRAINT order_items_pk PRIMARY KEY (order_id, position),
    CONSTRAINT order_items_unit_check CHECK ((unit_id IS NOT NULL) = (status IN ('DELIVERED', 'REVOKED')))
) WITH (fillfactor = 85);
-- A unit belongs to at most one item, ever.
CREATE UNIQUE INDEX order_items_unit_key ON order_items (unit_id) WHERE unit_id IS NOT NULL;

-- One row for each act upon an order. `path` lists every status it went through, first the one it
-- had, as STATUS·SUB_STATUS: one act can walk several steps of the state machine at once.
CREATE TABLE order_transitions (
    order_id bigint NOT NULL,
    seq integer NOT NULL,
    path text[] NOT NULL CONSTRAINT order_transitions_path_check CHECK (cardinality(path) >= 1),
    actor_kind text NOT NULL CONSTRAINT order_transitions_actor_check CHECK (actor_kind IN ('CLIENT', 'STAFF', 'SYSTEM')),
    actor_id bigint,
    reason text,
    at timestamptz NOT NULL,
    CONSTRAINT order_transitions_pk PRIMARY KEY (order_id, seq)
);
CREATE TRIGGER order_transitions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON order_transitions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- How many orders, worth how much, stand where: kept in the transaction of each transition, so that
-- a list knows its total and a summary its sums without counting a million rows.
CREATE TABLE order_tallies (
    client_id bigint NOT NULL,
    day date NOT NULL,
    product_id bigint NOT NULL,
    currency text NOT NULL,
    status text NOT NULL,
    sub_status text NOT NULL,
    orders bigint NOT NULL,
    amount_minor bigint NOT NULL,
    CONSTRAINT order_tallies_pk PRIMARY KEY (client_id, day, product_id, currency, status, sub_status)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
