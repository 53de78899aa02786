-- In whose hands an account of the staff was: who let that person in, or changed their password, role or second
-- factor, or whether they are active. Who did so might have signed in as them.

CREATE TABLE staff_hands (
    staff_id bigint NOT NULL CONSTRAINT staff_hands_staff_id_fkey REFERENCES staff_users (id),
    by_id bigint NOT NULL CONSTRAINT staff_hands_by_id_fkey REFERENCES staff_users (id),
    -- The last time.
    at timestamptz NOT NULL,
    CONSTRAINT staff_hands_pkey PRIMARY KEY (staff_id, by_id),
    CONSTRAINT staff_hands_other_check CHECK (staff_id <> by_id)
);
