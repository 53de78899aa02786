-- Pre-bought voucher units, sealed; the shelf of those for sale, and the pool: what a pump has loaded.

CREATE TABLE batches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL CONSTRAINT batches_source_check CHECK (source IN ('FILE', 'VENDOR', 'SANDBOX')),
    name text NOT NULL,
    status text NOT NULL DEFAULT 'OPEN' CONSTRAINT batches_status_check CHECK (status IN ('OPEN', 'BLOCKED', 'RECALLED')),
    status_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'IMPORTING' CONSTRAINT batches_state_check CHECK (state IN ('IMPORTING', 'DONE', 'FAILED')),
    rows_read integer NOT NULL DEFAULT 0,
    loaded integer NOT NULL DEFAULT 0,
    duplicate integer NOT NULL DEFAULT 0,
    invalid integer NOT NULL DEFAULT 0,
    error text,
    staff_id bigint,
    created_at timestamptz NOT NULL,
    -- Moved by every chunk; an import that stopped moving is dead.
    touched_at timestamptz NOT NULL,
    finished_at timestamptz
);
CREATE INDEX batches_importing_idx ON batches (touched_at) WHERE state = 'IMPORTING';

-- Rows of a file that did not become units, and why. Never holds a code.
CREATE TABLE batch_rejects (
    batch_id bigint NOT NULL REFERENCES batches,
    row_number integer NOT NULL,
    outcome text NOT NULL CONSTRAINT batch_rejects_outcome_check CHECK (outcome IN ('DUPLICATE', 'INVALID')),
    reason text NOT NULL,
    CONSTRAINT batch_rejects_pk PRIMARY KEY (batch_id, row_number)
);

-- No column that an index covers ever changes after the insert, so a sale is a HOT update. Half of each page
-- is left free for it: units of one file lie side by side and are sold in one go, and at 85 most new
-- versions went to other pages and into every index (28 % HOT, a 1,000-unit order 21 ms against 11).
CREATE SEQUENCE units_id_seq;
CREATE TABLE units (
    id bigint PRIMARY KEY,
    product_id bigint NOT NULL,
    denomination_minor bigint NOT NULL CONSTRAINT units_denomination_check CHECK (denomination_minor > 0),
    currency text NOT NULL,
    -- No foreign key: every insert would lock the batch's row; `rewards doctor` checks it.
    batch_id bigint NOT NULL,
    state text NOT NULL DEFAULT 'AVAILABLE' CONSTRAINT units_state_check
        CHECK (state IN ('AVAILABLE', 'ALLOCATED', 'DELIVERED', 'COMPLETED', 'BLOCKED', 'REVOKED')),
    -- 'infinity' where the brand sets no end.
    expires_at timestamptz NOT NULL DEFAULT 'infinity',
    cost_minor bigint,
    cost_currency text,
    -- All secret fields as one JSON object, AES-256-GCM; the AAD binds table, field, unit and key.
    sealed bytea NOT NULL,
    -- Keyed HMAC of the code: finds a duplicate without opening anything.
    fingerprint bytea NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT units_fingerprint_key UNIQUE (product_id, fingerprint)
) WITH (fillfactor = 50);
CREATE INDEX units_batch_idx ON units (batch_id, id);

-- Every AVAILABLE unit has a row here, and no other unit has. `loaded`: a pump has validated it, it
-- is in the pool and may be sold. A sale deletes the row; whoever deletes it owns the unit.
CREATE TABLE shelf (
    unit_id bigint PRIMARY KEY,
    product_id bigint NOT NULL,
    denomination_minor bigint NOT NULL,
    currency text NOT NULL,
    expires_at timestamptz NOT NULL,
    loaded boolean NOT NULL DEFAULT false
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000);
CREATE INDEX shelf_pool_idx ON shelf (product_id, denomination_minor, currency, expires_at, unit_id) WHERE loaded;
CREATE INDEX shelf_waiting_idx ON shelf (product_id, denomination_minor, currency, expires_at, unit_id) WHERE NOT loaded;

-- Every BLOCKED unit has a row here, and no other unit has: counted and explained without a scan of
-- units, whose state no index may cover.
CREATE TABLE blocked_units (
    unit_id bigint PRIMARY KEY,
    product_id bigint NOT NULL,
    denomination_minor bigint NOT NULL,
    currency text NOT NULL,
    reason text NOT NULL CONSTRAINT blocked_units_reason_check CHECK (reason IN ('STAFF', 'BATCH', 'EXPIRED', 'SHORT_LIFE', 'SUSPECT')),
    blocked_at timestamptz NOT NULL
);
CREATE INDEX blocked_units_shelf_idx ON blocked_units (product_id, denomination_minor, currency);
