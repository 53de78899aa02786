-- What every slice leans on: cache invalidation, wrapped data keys, idempotency.

-- A row says "whatever you cached about this subject is stale". `xid` lets a reader see commits in
-- an order that never hides a late one: it reads from the oldest transaction still open last time.
CREATE TABLE changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    subject_id bigint NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX changes_xid_idx ON changes (xid);

-- Data keys, each wrapped by a key that lives outside the database.
CREATE TABLE data_keys (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    purpose text NOT NULL,
    wrapped bytea NOT NULL,
    wrapped_by text NOT NULL,
    -- How many values it has sealed, as processes report it from time to time.
    seals bigint NOT NULL DEFAULT 0 CONSTRAINT data_keys_seals_check CHECK (seals >= 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz
);
CREATE UNIQUE INDEX data_keys_active_idx ON data_keys (purpose) WHERE retired_at IS NULL;

-- One row for each accepted request that carried an Idempotency-Key, written in the transaction of
-- its effect. `answer` holds what is needed to build the first reply again, never a secret.
CREATE TABLE idempotency_keys (
    client_id bigint NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    answer jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pk PRIMARY KEY (client_id, route, key)
);
CREATE INDEX idempotency_keys_created_idx ON idempotency_keys USING brin (created_at);

-- Raised on any attempt to rewrite history; attached to each append-only table.
CREATE FUNCTION refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
