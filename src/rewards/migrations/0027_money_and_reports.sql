-- Money that takes a second person, what one person did alone, and files that are made in the background.

ALTER TABLE approvals
    -- What whoever asked calls it; '' where it has no name. Two named apart may wait for one subject.
    ADD COLUMN reference text NOT NULL DEFAULT '',
    ADD COLUMN withdrawn_at timestamptz,
    -- The code of why what was agreed to could not be done any more; nothing moved then.
    ADD COLUMN refused text,
    -- What moved the money that was agreed to.
    ADD COLUMN transfer_id bigint,
    DROP CONSTRAINT approvals_state_check,
    ADD CONSTRAINT approvals_state_check
        CHECK (state IN ('REQUESTED', 'APPROVED', 'REJECTED', 'EXPIRED', 'WITHDRAWN', 'CARRIED_OUT')),
    ADD CONSTRAINT approvals_withdrawn_check CHECK ((withdrawn_at IS NOT NULL) = (state = 'WITHDRAWN')),
    ADD CONSTRAINT approvals_outcome_check
        CHECK (state = 'CARRIED_OUT' OR refused IS NULL AND transfer_id IS NULL),
    -- Money that was agreed to moved by exactly one transfer, or it says why not.
    ADD CONSTRAINT approvals_moved_check CHECK (CASE
        WHEN state = 'CARRIED_OUT' AND kind IN ('TOPUP', 'ADJUSTMENT') THEN (transfer_id IS NULL) <> (refused IS NULL)
        ELSE transfer_id IS NULL
    END);
CREATE UNIQUE INDEX approvals_transfer_key ON approvals (transfer_id) WHERE transfer_id IS NOT NULL;
DROP INDEX approvals_open_key;
CREATE UNIQUE INDEX approvals_open_key ON approvals (kind, subject_kind, subject_id, reference)
    WHERE state IN ('REQUESTED', 'APPROVED');
CREATE INDEX approvals_requested_by_idx ON approvals (requested_by, id);

-- What one person did without a second: many small acts count as the large one that they make together.
CREATE TABLE staff_lone_acts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    staff_id bigint NOT NULL CONSTRAINT staff_lone_acts_staff_fk REFERENCES staff_users,
    -- Of a WALLET money that was moved; of a CLIENT what vendors were asked to deliver.
    scope text NOT NULL CONSTRAINT staff_lone_acts_scope_check CHECK (scope IN ('WALLET', 'CLIENT')),
    scope_id bigint NOT NULL,
    amount_minor bigint NOT NULL CONSTRAINT staff_lone_acts_amount_check CHECK (amount_minor > 0),
    currency text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX staff_lone_acts_idx ON staff_lone_acts (staff_id, scope, scope_id, at);
CREATE INDEX staff_lone_acts_at_idx ON staff_lone_acts USING brin (at);

-- Files that somebody of the staff asked for. A worker writes them a chunk at a time.
CREATE TABLE reports (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    -- What of it, as the kind reads it.
    parameters jsonb NOT NULL,
    asked_by bigint NOT NULL CONSTRAINT reports_asked_by_fk REFERENCES staff_users,
    state text NOT NULL DEFAULT 'QUEUED' CONSTRAINT reports_state_check
        CHECK (state IN ('QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED', 'EXPIRED')),
    -- Ids it goes through: behind the first, up to the last, both fixed when it begins; and how far
    -- it is, written with the chunk that ends there. NULL before it has begun.
    first_after bigint,
    position bigint,
    upto bigint,
    rows bigint NOT NULL DEFAULT 0,
    chunks integer NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    problem text,
    asked_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    expires_at timestamptz,
    -- Who is at it, by the database's clock.
    lease uuid,
    leased_until timestamptz,
    CONSTRAINT reports_position_check CHECK (position BETWEEN first_after AND upto),
    CONSTRAINT reports_begun_check
        CHECK ((position IS NULL) = (first_after IS NULL) AND (position IS NULL) = (upto IS NULL)),
    CONSTRAINT reports_ended_check CHECK ((ended_at IS NULL) = (state IN ('QUEUED', 'RUNNING'))),
    CONSTRAINT reports_expires_check CHECK ((expires_at IS NOT NULL) = (ended_at IS NOT NULL)),
    CONSTRAINT reports_lease_check CHECK ((lease IS NULL) = (leased_until IS NULL) AND (lease IS NULL OR ended_at IS NULL))
);
CREATE INDEX reports_asked_by_idx ON reports (asked_by, id);
CREATE INDEX reports_open_idx ON reports (id) WHERE ended_at IS NULL;
CREATE INDEX reports_expires_idx ON reports (expires_at) WHERE state IN ('DONE', 'FAILED', 'CANCELLED');

CREATE TABLE report_chunks (
    report_id bigint NOT NULL CONSTRAINT report_chunks_report_fk REFERENCES reports ON DELETE CASCADE,
    number integer NOT NULL,
    -- CSV, compressed by itself (zlib): chunks are opened one after the other.
    content bytea NOT NULL,
    CONSTRAINT report_chunks_pk PRIMARY KEY (report_id, number)
);
