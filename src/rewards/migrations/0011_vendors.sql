-- Vendors, what they sell, and every order placed with them.

CREATE TABLE vendors (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The name staff know the account by; two accounts with one company are two vendors.
    name text NOT NULL CONSTRAINT vendors_name_key UNIQUE,
    adapter text NOT NULL,
    -- Addresses and account numbers; what must stay secret is sealed.
    config jsonb NOT NULL,
    sealed bytea NOT NULL,
    status text NOT NULL DEFAULT 'ACTIVE' CONSTRAINT vendors_status_check CHECK (status IN ('ACTIVE', 'PAUSED')),
    created_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL
);

-- Under which of its own names a vendor sells a product of ours.
CREATE TABLE vendor_products (
    product_id bigint NOT NULL,
    vendor_id bigint NOT NULL CONSTRAINT vendor_products_vendor_fk REFERENCES vendors,
    sku text NOT NULL,
    -- What the vendor takes off the face value, as agreed; the cost of a purchase is what it charged.
    discount_percent numeric(7, 4) NOT NULL DEFAULT 0
        CONSTRAINT vendor_products_discount_check CHECK (discount_percent >= 0 AND discount_percent <= 100),
    -- The lowest is asked first where nobody chooses.
    priority smallint NOT NULL DEFAULT 100,
    active boolean NOT NULL DEFAULT true,
    CONSTRAINT vendor_products_pk PRIMARY KEY (product_id, vendor_id)
);
CREATE INDEX vendor_products_vendor_idx ON vendor_products (vendor_id, sku);

-- A vendor's own catalogue as it was last read.
CREATE TABLE vendor_offers (
    vendor_id bigint NOT NULL CONSTRAINT vendor_offers_vendor_fk REFERENCES vendors,
    sku text NOT NULL,
    name text NOT NULL,
    currency text NOT NULL,
    min_minor bigint NOT NULL,
    max_minor bigint NOT NULL,
    -- Empty: anything between the two.
    fixed_minor bigint[] NOT NULL,
    -- NULL: the vendor does not say.
    stock integer,
    active boolean NOT NULL,
    read_at timestamptz NOT NULL,
    CONSTRAINT vendor_offers_pk PRIMARY KEY (vendor_id, sku),
    CONSTRAINT vendor_offers_range_check CHECK (min_minor > 0 AND max_minor >= min_minor)
);

CREATE TABLE vendor_balances (
    vendor_id bigint NOT NULL CONSTRAINT vendor_balances_vendor_fk REFERENCES vendors,
    currency text NOT NULL,
    balance_minor bigint NOT NULL,
    read_at timestamptz NOT NULL,
    CONSTRAINT vendor_balances_pk PRIMARY KEY (vendor_id, currency)
);

-- How reading a vendor's balances and its catalogue last went.
CREATE TABLE vendor_reads (
    vendor_id bigint NOT NULL CONSTRAINT vendor_reads_vendor_fk REFERENCES vendors,
    what text NOT NULL CONSTRAINT vendor_reads_what_check CHECK (what IN ('BALANCES', 'CATALOGUE')),
    tried_at timestamptz NOT NULL,
    -- When it last went well.
    read_at timestamptz,
    -- NULL: the last try went well.
    problem text,
    CONSTRAINT vendor_reads_pk PRIMARY KEY (vendor_id, what)
);

-- One purchase: committed with its key and all it asks for before the vendor hears of it.
CREATE TABLE vendor_orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vendor_id bigint NOT NULL CONSTRAINT vendor_orders_vendor_fk REFERENCES vendors,
    -- What makes the vendor sell at most once.
    key text NOT NULL,
    -- For whom: an order, a recharge of one item of an order, or our own stock.
    purpose text NOT NULL CONSTRAINT vendor_orders_purpose_check CHECK (purpose IN ('ORDER', 'RECHARGE', 'STOCK')),
    subject_id bigint NOT NULL,
    -- The item of a recharge; 0 for all others.
    position integer NOT NULL DEFAULT 0,
    sku text NOT NULL,
    face_minor bigint NOT NULL CONSTRAINT vendor_orders_face_check CHECK (face_minor > 0),
    currency text NOT NULL,
    quantity integer NOT NULL CONSTRAINT vendor_orders_quantity_check CHECK (quantity > 0),
    -- How many more the same approval covers, to be bought when these are here.
    remaining integer NOT NULL DEFAULT 0 CONSTRAINT vendor_orders_remaining_check CHECK (remaining >= 0),
    mobile jsonb,
    state text NOT NULL CONSTRAINT vendor_orders_state_check
        CHECK (state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED', 'FULFILLED', 'REFUSED', 'NOT_PLACED')),
    -- The vendor's own name for it, once told.
    vendor_ref text,
    reason text,
    message text,
    received integer NOT NULL DEFAULT 0 CONSTRAINT vendor_orders_received_check CHECK (received >= 0),
    -- Of those, codes that could not be sold: twice, wrong value, expired. They are blocked.
    quarantined integer NOT NULL DEFAULT 0
        CONSTRAINT vendor_orders_quarantined_check CHECK (quarantined BETWEEN 0 AND received),
    cost_minor bigint,
    cost_currency text,
    batch_id bigint,
    -- Calls made, and when the next is due. Whoever works on it holds the lease.
    calls integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    lease uuid,
    leased_until timestamptz,
    -- Reading back ends here; from then on it is a person's case.
    window_ends_at timestamptz NOT NULL,
    case_at timestamptz,
    asked_by bigint,
    created_at timestamptz NOT NULL,
    sent_at timestamptz,
    settled_at timestamptz,
    CONSTRAINT vendor_orders_key UNIQUE (vendor_id, key),
    CONSTRAINT vendor_orders_settled_check CHECK ((settled_at IS NOT NULL) = (state IN ('FULFILLED', 'REFUSED', 'NOT_PLACED'))),
    CONSTRAINT vendor_orders_lease_check CHECK ((lease IS NULL) = (leased_until IS NULL))
);
-- At most one purchase under way for whatever it is for.
CREATE UNIQUE INDEX vendor_orders_open_key ON vendor_orders (purpose, subject_id, position)
    WHERE state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED');
CREATE INDEX vendor_orders_subject_idx ON vendor_orders (purpose, subject_id, id);
CREATE INDEX vendor_orders_due_idx ON vendor_orders (next_at, id) WHERE state IN ('READY', 'SENDING', 'UNKNOWN', 'ACCEPTED');
CREATE INDEX vendor_orders_case_idx ON vendor_orders (id) WHERE case_at IS NOT NULL AND settled_at IS NULL;
-- A vendor's message names a purchase by the vendor's own reference.
CREATE INDEX vendor_orders_ref_idx ON vendor_orders (vendor_id, vendor_ref) WHERE vendor_ref IS NOT NULL;
CREATE INDEX vendor_orders_day_idx ON vendor_orders (vendor_id, created_at);

-- What was said on the wire, secrets removed.
CREATE TABLE vendor_exchanges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    vendor_id bigint NOT NULL,
    vendor_order_id bigint,
    call text NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    request text,
    status integer,
    answer text,
    -- Why there is no answer.
    problem text,
    took_ms integer NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX vendor_exchanges_order_idx ON vendor_exchanges (vendor_order_id, id) WHERE vendor_order_id IS NOT NULL;
CREATE INDEX vendor_exchanges_vendor_idx ON vendor_exchanges (vendor_id, id);
CREATE INDEX vendor_exchanges_at_idx ON vendor_exchanges (at);
