-- The daily comparison of orders, units, ledger and vendors' books; what differs waits for a person.

-- A day's orders lie together: the index is a few pages, and a sale adds nothing to it.
CREATE INDEX orders_delivered_idx ON orders USING brin (delivered_at);
CREATE INDEX vendor_orders_settled_idx ON vendor_orders (vendor_id, settled_at, id) WHERE settled_at IS NOT NULL;
CREATE INDEX vendor_orders_batch_idx ON vendor_orders (batch_id) WHERE batch_id IS NOT NULL;

-- One for each day and vendor, and one without a vendor: our own books.
CREATE TABLE reconciliation_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day date NOT NULL,
    vendor_id bigint,
    state text NOT NULL CONSTRAINT reconciliation_runs_state_check CHECK (state IN ('RUNNING', 'DONE')),
    phase text NOT NULL CONSTRAINT reconciliation_runs_phase_check
        CHECK (phase IN ('LISTING', 'PURCHASES', 'ORDERS', 'LEDGER', 'UNITS')),
    -- How often the day was gone through; what an earlier round read of a vendor is read again.
    round integer NOT NULL DEFAULT 1,
    -- How far the phase is, by id, and where it ends; NULL until somebody has looked.
    position bigint NOT NULL DEFAULT 0,
    upto bigint,
    -- What this round has looked at and found.
    purchases integer NOT NULL DEFAULT 0,
    orders integer NOT NULL DEFAULT 0,
    reconciled integer NOT NULL DEFAULT 0,
    units bigint NOT NULL DEFAULT 0,
    -- Purchases that the vendor said nothing about when it was last asked, and why.
    unread integer NOT NULL DEFAULT 0,
    problem text,
    next_at timestamptz NOT NULL,
    lease uuid,
    leased_until timestamptz,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT reconciliation_runs_key UNIQUE NULLS NOT DISTINCT (day, vendor_id),
    CONSTRAINT reconciliation_runs_ended_check CHECK ((ended_at IS NOT NULL) = (state = 'DONE')),
    CONSTRAINT reconciliation_runs_lease_check CHECK ((lease IS NULL) = (leased_until IS NULL))
);
CREATE INDEX reconciliation_runs_due_idx ON reconciliation_runs (next_at, id) WHERE state = 'RUNNING';

-- What a vendor's books said about a purchase of ours when they were last read.
CREATE TABLE reconciled_purchases (
    purchase_id bigint CONSTRAINT reconciled_purchases_pk PRIMARY KEY,
    run_id bigint NOT NULL CONSTRAINT reconciled_purchases_run_fk REFERENCES reconciliation_runs,
    round integer NOT NULL,
    matched boolean NOT NULL,
    read_at timestamptz NOT NULL
);
CREATE INDEX reconciled_purchases_run_idx ON reconciled_purchases (run_id, purchase_id);

-- Where two books disagree, with both sides. Nothing repairs it; a person explains it.
CREATE TABLE drifts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL CONSTRAINT drifts_run_fk REFERENCES reconciliation_runs,
    day date NOT NULL,
    vendor_id bigint,
    kind text NOT NULL,
    -- Such as `order 17`, `purchase 4`, `unit 9`, or the vendor's own name of what we do not know.
    subject_kind text NOT NULL
        CONSTRAINT drifts_subject_check CHECK (subject_kind IN ('order', 'purchase', 'unit', 'transfer', 'vendor_key')),
    subject text NOT NULL,
    ours jsonb NOT NULL,
    theirs jsonb NOT NULL,
    state text NOT NULL DEFAULT 'OPEN' CONSTRAINT drifts_state_check CHECK (state IN ('OPEN', 'EXPLAINED')),
    found_at timestamptz NOT NULL,
    explained_by bigint,
    explained_at timestamptz,
    note text,
    CONSTRAINT drifts_explained_check CHECK (
        (state = 'EXPLAINED') = (explained_by IS NOT NULL)
        AND (explained_by IS NOT NULL) = (explained_at IS NOT NULL)
        AND (explained_by IS NOT NULL) = (note IS NOT NULL)
    ),
    -- The same finding is listed once, whoever looks how often; other facts are another finding.
    CONSTRAINT drifts_key UNIQUE NULLS NOT DISTINCT (kind, subject_kind, subject, vendor_id, ours, theirs)
);
CREATE INDEX drifts_open_idx ON drifts (id) WHERE state = 'OPEN';
CREATE INDEX drifts_run_idx ON drifts (run_id, id);
