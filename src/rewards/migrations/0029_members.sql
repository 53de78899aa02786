-- A client's own people: what each may do, what its keys are called, what it asked of the API.

-- Who had a login before could do everything, and still can.
ALTER TABLE client_logins
    ADD COLUMN role text NOT NULL DEFAULT 'owner'
        CONSTRAINT client_logins_role_check CHECK (role IN ('owner', 'developer', 'finance', 'viewer')),
    ADD COLUMN active boolean NOT NULL DEFAULT true;

ALTER TABLE credentials
    -- What it is for, in its owner's words.
    ADD COLUMN name text;

-- When a key was last used, to the hour: one in use costs no write a request.
CREATE TABLE credential_uses (
    credential_id bigint CONSTRAINT credential_uses_pk PRIMARY KEY,
    last_used_at timestamptz NOT NULL
);

-- One row a request that was let in: no body, no query, nothing secret. A slot is a day's number
-- modulo 16, so that a day is forgotten by emptying its partition, whatever its size.
CREATE SEQUENCE client_requests_id_seq AS bigint;
CREATE TABLE client_requests (
    slot smallint NOT NULL,
    id bigint NOT NULL DEFAULT nextval('client_requests_id_seq'),
    client_id bigint NOT NULL,
    at timestamptz NOT NULL,
    request_id text NOT NULL,
    method text NOT NULL,
    -- The route's template, never the path: ids and tokens are nobody's business here.
    route text NOT NULL,
    status smallint NOT NULL,
    code text,
    took_us bigint NOT NULL,
    credential_id bigint,
    login_id bigint,
    address text
) PARTITION BY LIST (slot);
ALTER SEQUENCE client_requests_id_seq OWNED BY client_requests.id;

DO $$
BEGIN
    FOR slot IN 0..15 LOOP
        EXECUTE format(
            'CREATE TABLE client_requests_%s PARTITION OF client_requests FOR VALUES IN (%s)',
            to_char(slot, 'FM00'), slot
        );
    END LOOP;
END
$$;
CREATE INDEX client_requests_client_idx ON client_requests (client_id, at DESC, id DESC);
CREATE INDEX client_requests_failed_idx ON client_requests (client_id, at DESC, id DESC) WHERE status >= 400;
CREATE INDEX client_requests_request_idx ON client_requests (request_id);

-- Somebody who is signed in at the portal. The browser has a random name of the row and nothing else:
-- the tokens stay here, sealed, so that no two tabs ever show one refresh token twice.
CREATE TABLE portal_sessions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL CONSTRAINT portal_sessions_digest_key UNIQUE,
    client_id bigint NOT NULL,
    tokens_sealed bytea NOT NULL,
    -- Counts the refreshes; who takes the next one holds the lease until then.
    turn bigint NOT NULL DEFAULT 0,
    refreshing_until timestamptz,
    access_expires_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX portal_sessions_expires_idx ON portal_sessions (expires_at);
