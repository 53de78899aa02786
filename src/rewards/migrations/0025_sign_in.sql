-- Sessions of staff, each a row that can be ended; second factors and the codes for their loss.

CREATE TABLE staff_sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    staff_id bigint NOT NULL CONSTRAINT staff_sessions_staff_id_fkey REFERENCES staff_users (id),
    -- What was shown at the login, or since.
    proof text NOT NULL CONSTRAINT staff_sessions_proof_check
        CHECK (proof IN ('PASSWORD', 'PASSWORD_AND_CODE', 'PASSWORD_AND_RECOVERY_CODE')),
    proven_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    -- Written at most once a minute.
    last_seen_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    address text,
    user_agent text,
    ended_at timestamptz,
    -- Of the staff; nobody where the command line did it.
    ended_by bigint,
    end_reason text CONSTRAINT staff_sessions_end_reason_check
        CHECK (end_reason IN ('LOGGED_OUT', 'ENDED', 'ENDED_BY_ADMIN', 'PASSWORD_CHANGED',
            'DEACTIVATED', 'SECOND_FACTOR_CHANGED')),
    CONSTRAINT staff_sessions_ended_check CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
    CONSTRAINT staff_sessions_ended_by_check CHECK (ended_at IS NOT NULL OR ended_by IS NULL)
);
CREATE INDEX staff_sessions_staff_id_idx ON staff_sessions (staff_id, id);
CREATE INDEX staff_sessions_expires_at_idx ON staff_sessions (expires_at);

-- One a person. It is asked for once it is confirmed; until then it waits for its first code.
CREATE TABLE staff_second_factors (
    staff_id bigint PRIMARY KEY
        CONSTRAINT staff_second_factors_staff_id_fkey REFERENCES staff_users (id),
    secret bytea NOT NULL,
    created_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    -- The number of the last half minute whose code was used: none is taken twice.
    last_step bigint NOT NULL DEFAULT 0
);

CREATE TABLE staff_recovery_codes (
    staff_id bigint NOT NULL CONSTRAINT staff_recovery_codes_staff_id_fkey
        REFERENCES staff_second_factors (staff_id) ON DELETE CASCADE,
    -- An HMAC under a key of the vault: without that nothing can be guessed from it.
    digest bytea NOT NULL,
    used_at timestamptz,
    CONSTRAINT staff_recovery_codes_pkey PRIMARY KEY (staff_id, digest)
);
