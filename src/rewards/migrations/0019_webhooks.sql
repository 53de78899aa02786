-- How a client hears of its events: a feed without gaps, and deliveries to endpoints of its own.

-- An event for one endpoint alone, such as a test, whatever that endpoint subscribed to.
ALTER TABLE events ADD COLUMN endpoint_id bigint;
-- The sealer reads a window of transactions, over and over; it is never far from the end.
CREATE INDEX events_xid_idx ON events (xid, id);

CREATE TABLE webhook_endpoints (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id bigint NOT NULL CONSTRAINT webhook_endpoints_client_fk REFERENCES clients,
    name text NOT NULL,
    url text NOT NULL,
    -- NULL: every type, also those that come later.
    event_types text[] CONSTRAINT webhook_endpoints_types_check CHECK (cardinality(event_types) > 0),
    -- Signs with that credential's signing secret instead of one of its own.
    credential_id bigint CONSTRAINT webhook_endpoints_credential_fk REFERENCES credentials,
    secret bytea,
    -- What it was before a rotation; until then both sign.
    previous_secret bytea,
    previous_until timestamptz,
    status text NOT NULL CONSTRAINT webhook_endpoints_status_check CHECK (status IN ('ENABLED', 'DISABLED')),
    disabled_reason text CONSTRAINT webhook_endpoints_reason_check
        CHECK (disabled_reason IN ('CLIENT', 'STAFF', 'GONE', 'FAILING', 'CREDENTIAL_REVOKED')),
    disabled_at timestamptz,
    -- Since when nothing got through; NULL: the last attempt did, or there was none.
    failing_since timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    CONSTRAINT webhook_endpoints_secret_check CHECK ((credential_id IS NULL) = (secret IS NOT NULL)),
    CONSTRAINT webhook_endpoints_previous_check CHECK ((previous_secret IS NULL) = (previous_until IS NULL)),
    CONSTRAINT webhook_endpoints_disabled_check CHECK (
        (status = 'DISABLED') = (disabled_reason IS NOT NULL) AND (status = 'DISABLED') = (disabled_at IS NOT NULL)
    )
) WITH (fillfactor = 70);
CREATE INDEX webhook_endpoints_client_idx ON webhook_endpoints (client_id, id) WHERE deleted_at IS NULL;

-- The order in which a client's events were committed. What has a row here is never renumbered.
CREATE TABLE event_feed (
    client_id bigint NOT NULL,
    sequence bigint NOT NULL CONSTRAINT event_feed_sequence_check CHECK (sequence > 0),
    event_id bigint NOT NULL CONSTRAINT event_feed_event_key UNIQUE,
    sealed_at timestamptz NOT NULL,
    CONSTRAINT event_feed_pk PRIMARY KEY (client_id, sequence)
);
CREATE INDEX event_feed_sealed_idx ON event_feed USING brin (sealed_at) WITH (pages_per_range = 32, autosummarize = on);

CREATE TABLE event_counters (
    client_id bigint CONSTRAINT event_counters_pk PRIMARY KEY,
    last_sequence bigint NOT NULL CONSTRAINT event_counters_sequence_check CHECK (last_sequence > 0)
) WITH (fillfactor = 70);

-- Events of transactions below this one are in the feed. The row is the lock of whoever seals.
CREATE TABLE event_sealing (
    only_row boolean NOT NULL DEFAULT true CONSTRAINT event_sealing_pk PRIMARY KEY
        CONSTRAINT event_sealing_only_row_check CHECK (only_row),
    through_xid xid8 NOT NULL
) WITH (fillfactor = 10);
INSERT INTO event_sealing (through_xid) VALUES ('0');

-- One event on its way to one endpoint. PENDING also between attempts; FAILED: given up.
CREATE TABLE webhook_deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id bigint NOT NULL,
    client_id bigint NOT NULL,
    event_id bigint NOT NULL,
    sequence bigint NOT NULL,
    event_type text NOT NULL,
    status text NOT NULL DEFAULT 'PENDING'
        CONSTRAINT webhook_deliveries_status_check CHECK (status IN ('PENDING', 'DELIVERED', 'FAILED')),
    attempts smallint NOT NULL DEFAULT 0 CONSTRAINT webhook_deliveries_attempts_check CHECK (attempts >= 0),
    next_at timestamptz NOT NULL,
    -- Whoever sends it holds the lease. No index has these two, so that taking it rewrites none.
    lease uuid,
    leased_until timestamptz,
    last_status_code smallint,
    last_error text,
    -- The delivery that this one repeats, because somebody asked.
    redelivery_of bigint,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT webhook_deliveries_lease_check CHECK ((lease IS NULL) = (leased_until IS NULL)),
    CONSTRAINT webhook_deliveries_finished_check CHECK ((finished_at IS NULL) = (status = 'PENDING')),
    CONSTRAINT webhook_deliveries_leased_check CHECK (lease IS NULL OR status = 'PENDING'),
    CONSTRAINT webhook_deliveries_reason_check CHECK (status <> 'FAILED' OR last_error IS NOT NULL)
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02
);
-- An event goes to an endpoint once, however often its sealing is tried; all others say what they repeat.
CREATE UNIQUE INDEX webhook_deliveries_event_key ON webhook_deliveries (event_id, endpoint_id)
    WHERE redelivery_of IS NULL;
CREATE INDEX webhook_deliveries_repeat_idx ON webhook_deliveries (event_id, endpoint_id)
    WHERE redelivery_of IS NOT NULL;
CREATE INDEX webhook_deliveries_due_idx ON webhook_deliveries (endpoint_id, next_at, id) WHERE status = 'PENDING';
CREATE INDEX webhook_deliveries_log_idx ON webhook_deliveries (endpoint_id, created_at, id);
CREATE INDEX webhook_deliveries_type_idx ON webhook_deliveries (endpoint_id, event_type, created_at, id);
CREATE INDEX webhook_deliveries_failed_idx ON webhook_deliveries (endpoint_id, created_at, id) WHERE status = 'FAILED';
CREATE INDEX webhook_deliveries_created_idx ON webhook_deliveries
    USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on);

-- What each attempt met. Rows go with their delivery when that has been kept long enough.
CREATE TABLE webhook_attempts (
    delivery_id bigint NOT NULL,
    number smallint NOT NULL CONSTRAINT webhook_attempts_number_check CHECK (number > 0),
    started_at timestamptz NOT NULL,
    took_ms integer NOT NULL CONSTRAINT webhook_attempts_took_check CHECK (took_ms >= 0),
    status_code smallint,
    -- Why there is no answer, or none that counts.
    error text,
    -- The first 4 kB of the answer's body.
    answer text,
    CONSTRAINT webhook_attempts_pk PRIMARY KEY (delivery_id, number),
    CONSTRAINT webhook_attempts_outcome_check CHECK (status_code IS NOT NULL OR error IS NOT NULL)
);
CREATE TRIGGER webhook_attempts_append_only BEFORE UPDATE ON webhook_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
