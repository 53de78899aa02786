-- The people who run it.

CREATE TABLE staff_users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL CONSTRAINT staff_users_username_key UNIQUE,
    role text NOT NULL CONSTRAINT staff_users_role_check
        CHECK (role IN ('viewer', 'support', 'operations', 'finance', 'admin')),
    password_hash text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    token_epoch integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL
);
