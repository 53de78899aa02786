-- What one person of the staff asks for and another must agree to; and what a recall put in the place
-- of a unit that was sold.

CREATE TABLE approvals (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- Kinds are the application's: each names the job that carries it out.
    kind text NOT NULL,
    subject_kind text NOT NULL,
    subject_id bigint NOT NULL,
    -- What it costs at most, where that is one sum in one currency.
    amount_minor bigint CONSTRAINT approvals_amount_check CHECK (amount_minor >= 0),
    currency text,
    -- What exactly was asked, as the kind reads it; never a secret.
    details jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'REQUESTED' CONSTRAINT approvals_state_check
        CHECK (state IN ('REQUESTED', 'APPROVED', 'REJECTED', 'EXPIRED', 'CARRIED_OUT')),
    requested_by bigint NOT NULL REFERENCES staff_users,
    reason text NOT NULL,
    requested_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    decided_by bigint REFERENCES staff_users,
    note text,
    decided_at timestamptz,
    carried_out_at timestamptz,
    CONSTRAINT approvals_money_check CHECK ((amount_minor IS NULL) = (currency IS NULL)),
    CONSTRAINT approvals_second_person_check CHECK (decided_by <> requested_by),
    CONSTRAINT approvals_decided_check CHECK (
        (decided_by IS NOT NULL) = (state IN ('APPROVED', 'REJECTED', 'CARRIED_OUT'))
        AND (decided_at IS NOT NULL) = (decided_by IS NOT NULL)
    ),
    CONSTRAINT approvals_carried_out_check CHECK ((carried_out_at IS NOT NULL) = (state = 'CARRIED_OUT'))
);
-- One open request for one thing; of two at once one wins.
CREATE UNIQUE INDEX approvals_open_key ON approvals (kind, subject_kind, subject_id)
    WHERE state IN ('REQUESTED', 'APPROVED');
CREATE INDEX approvals_expires_idx ON approvals (expires_at) WHERE state = 'REQUESTED';

-- A delivered item whose unit was recalled and that got another: which one it had before.
CREATE TABLE order_replacements (
    -- The unit that was taken back; REVOKED, and nobody's any more.
    unit_id bigint CONSTRAINT order_replacements_pk PRIMARY KEY,
    order_id bigint NOT NULL,
    position integer NOT NULL,
    replaced_by bigint NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT order_replacements_other_check CHECK (replaced_by <> unit_id)
);
CREATE UNIQUE INDEX order_replacements_replaced_by_key ON order_replacements (replaced_by);
CREATE INDEX order_replacements_order_idx ON order_replacements (order_id, position);
CREATE TRIGGER order_replacements_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON order_replacements
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
