-- The people who run it.

CREATE TABLE staff_users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL CONSTRAINT staff_users_username_key UNIQUE,
    role text NOT NULL CONSTRAINT staff_users_role_check
        CHECK (role IN ('viewer', 'support', 'operations', 'finance', 'admin')),
    password_hash text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    -- Every access token carries the epoch it was made in; logout and a new password move it on.
    token_epoch integer NOT NULL DEFAULT 0,
    -- Where they logged in before; attempts from there are counted apart from a stranger's.
    known_addresses text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL
);
