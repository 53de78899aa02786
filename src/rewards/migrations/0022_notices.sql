-- Mail: what somebody is told by it and how that went. Its words and codes are made when it is sent, never kept.

-- Whether somebody is to be told of this by mail, too. Only these are looked at for it.
ALTER TABLE events ADD COLUMN mail boolean NOT NULL DEFAULT false;
CREATE INDEX events_mail_idx ON events (xid, id) WHERE mail;

-- How a client's mail looks, and who of the client gets some.
CREATE TABLE notice_settings (
    client_id bigint CONSTRAINT notice_settings_pk PRIMARY KEY
        CONSTRAINT notice_settings_client_fk REFERENCES clients,
    -- NULL: the client's own name.
    brand_name text,
    accent text NOT NULL CONSTRAINT notice_settings_accent_check CHECK (accent ~ '^#[0-9a-f]{6}$'),
    logo_url text,
    logo bytea,
    logo_type text CONSTRAINT notice_settings_logo_type_check CHECK (logo_type IN ('image/png', 'image/jpeg', 'image/gif')),
    -- NULL: the name and the address of the settings.
    sender_name text,
    sender_address text,
    reply_to text,
    footer text,
    language text NOT NULL,
    contacts text[] NOT NULL CONSTRAINT notice_settings_contacts_check CHECK (cardinality(contacts) <= 10),
    muted text[] NOT NULL,
    changed_at timestamptz NOT NULL,
    CONSTRAINT notice_settings_logo_check CHECK ((logo IS NULL) = (logo_type IS NULL) AND (logo IS NULL OR logo_url IS NULL))
);

CREATE TABLE notices (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id bigint NOT NULL CONSTRAINT notices_client_fk REFERENCES clients,
    kind text NOT NULL CONSTRAINT notices_kind_check
        CHECK (kind IN ('ORDER_DELIVERED', 'ORDER_CANCELLED', 'LOW_BALANCE', 'ENDPOINT_FAILING', 'ENDPOINT_DISABLED')),
    audience text NOT NULL CONSTRAINT notices_audience_check CHECK (audience IN ('CUSTOMER', 'CLIENT')),
    address text NOT NULL,
    -- What happened, in words that are the same however often it is looked at.
    cause text NOT NULL,
    order_id bigint,
    -- Figures of the moment that are nowhere else; never a code or a link.
    facts jsonb NOT NULL,
    -- The same at every attempt, so that a receiver knows a mail that it has already.
    message_id text NOT NULL CONSTRAINT notices_message_id_key UNIQUE,
    resend_of bigint CONSTRAINT notices_resend_fk REFERENCES notices ON DELETE SET NULL,
    state text NOT NULL DEFAULT 'QUEUED' CONSTRAINT notices_state_check
        CHECK (state IN ('QUEUED', 'SENT', 'FAILED', 'SUPPRESSED', 'SKIPPED')),
    attempts smallint NOT NULL DEFAULT 0 CONSTRAINT notices_attempts_check CHECK (attempts >= 0),
    next_at timestamptz NOT NULL,
    -- Whoever sends it holds the lease.
    lease uuid,
    leased_until timestamptz,
    -- Why it ended as it did, or is not there yet.
    reason text,
    created_at timestamptz NOT NULL,
    finished_at timestamptz,
    CONSTRAINT notices_cause_key UNIQUE (cause, kind, address),
    CONSTRAINT notices_lease_check CHECK ((lease IS NULL) = (leased_until IS NULL) AND (lease IS NULL OR state = 'QUEUED')),
    CONSTRAINT notices_finished_check CHECK ((finished_at IS NULL) = (state = 'QUEUED')),
    CONSTRAINT notices_reason_check CHECK (state IN ('QUEUED', 'SENT') OR reason IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX notices_due_idx ON notices (next_at, id) WHERE state = 'QUEUED';
CREATE INDEX notices_order_idx ON notices (order_id, id) WHERE order_id IS NOT NULL;
CREATE INDEX notices_client_idx ON notices (client_id, id);
CREATE INDEX notices_finished_idx ON notices (finished_at) WHERE finished_at IS NOT NULL;
-- Of two who resend the same at once one wins.
CREATE UNIQUE INDEX notices_resend_key ON notices (resend_of) WHERE resend_of IS NOT NULL AND state = 'QUEUED';

-- What each attempt met. Rows go with their notice when that has been kept long enough.
CREATE TABLE notice_attempts (
    notice_id bigint NOT NULL CONSTRAINT notice_attempts_notice_fk REFERENCES notices ON DELETE CASCADE,
    number smallint NOT NULL CONSTRAINT notice_attempts_number_check CHECK (number > 0),
    outcome text NOT NULL CONSTRAINT notice_attempts_outcome_check
        CHECK (outcome IN ('ACCEPTED', 'DEFERRED', 'LOST', 'UNREACHED', 'TURNED_AWAY', 'REFUSED', 'NO_MAILBOX')),
    -- Of the dialogue; NULL where there was none.
    stage text,
    reply_code smallint,
    -- What the server said, without addresses; nothing of what it said once it had seen the mail.
    reply text,
    started_at timestamptz NOT NULL,
    took_ms integer NOT NULL CONSTRAINT notice_attempts_took_check CHECK (took_ms >= 0),
    CONSTRAINT notice_attempts_pk PRIMARY KEY (notice_id, number)
);
CREATE TRIGGER notice_attempts_append_only BEFORE UPDATE ON notice_attempts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- Mailboxes that do not exist, by the word of their own server. Nothing more is sent there until staff ask for it.
CREATE TABLE suppressed_addresses (
    address text CONSTRAINT suppressed_addresses_pk PRIMARY KEY,
    notice_id bigint NOT NULL,
    reply_code smallint NOT NULL,
    at timestamptz NOT NULL
);

-- Events of transactions before this one, and up to this event of it, are read. The row is the reader's lock.
CREATE TABLE notice_reading (
    only_row boolean NOT NULL DEFAULT true CONSTRAINT notice_reading_pk PRIMARY KEY
        CONSTRAINT notice_reading_only_row_check CHECK (only_row),
    through_xid xid8 NOT NULL,
    after_id bigint NOT NULL
) WITH (fillfactor = 10);
INSERT INTO notice_reading (through_xid, after_id) VALUES ('0', 0);
