-- Who is at work, what is wrong, and whom of the staff it was told.

-- One row for each process; it says every few seconds that it is still there. Times are the database's.
CREATE TABLE process_beats (
    id uuid CONSTRAINT process_beats_pk PRIMARY KEY,
    kind text NOT NULL CONSTRAINT process_beats_kind_check CHECK (kind IN ('API', 'WORKER')),
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    beat_at timestamptz NOT NULL,
    -- It ended in good order: its silence says nothing.
    stopped_at timestamptz
) WITH (fillfactor = 50);

-- One crossing of one limit by one subject. What kinds there are the code says, so that a new one
-- needs no migration.
CREATE TABLE alerts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    -- What it is about, in words that are the same at every look.
    subject text NOT NULL,
    -- As last seen, in the unit of the kind; and what more there is to say of it, never a secret.
    level numeric NOT NULL,
    facts jsonb NOT NULL,
    raised_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    cleared_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by bigint,
    note text,
    CONSTRAINT alerts_times_check CHECK (seen_at >= raised_at AND cleared_at >= raised_at),
    CONSTRAINT alerts_acknowledged_check CHECK (num_nulls(acknowledged_at, acknowledged_by, note) IN (0, 3))
);
-- Never two raised for one subject, whoever looks.
CREATE UNIQUE INDEX alerts_open_key ON alerts (kind, subject) WHERE cleared_at IS NULL;
CREATE INDEX alerts_kind_idx ON alerts (kind, id);

-- Whom of the staff each is told: once when raised, once when cleared.
CREATE TABLE alert_tellings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id bigint NOT NULL CONSTRAINT alert_tellings_alert_fk REFERENCES alerts ON DELETE CASCADE,
    what text NOT NULL CONSTRAINT alert_tellings_what_check CHECK (what IN ('RAISED', 'CLEARED')),
    channel text NOT NULL CONSTRAINT alert_tellings_channel_check CHECK (channel IN ('MAIL', 'WEBHOOK')),
    -- An address; empty for the webhook, whose URL is a setting and may be a secret.
    target text NOT NULL,
    state text NOT NULL DEFAULT 'QUEUED'
        CONSTRAINT alert_tellings_state_check CHECK (state IN ('QUEUED', 'SENT', 'FAILED')),
    attempts smallint NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    -- Whoever tells it holds the lease.
    lease uuid,
    leased_until timestamptz,
    -- Why it is not told yet, or never was.
    reason text,
    finished_at timestamptz,
    CONSTRAINT alert_tellings_key UNIQUE (alert_id, what, channel, target),
    CONSTRAINT alert_tellings_lease_check
        CHECK ((lease IS NULL) = (leased_until IS NULL) AND (lease IS NULL OR state = 'QUEUED')),
    CONSTRAINT alert_tellings_finished_check CHECK ((finished_at IS NULL) = (state = 'QUEUED')),
    CONSTRAINT alert_tellings_reason_check CHECK (state <> 'FAILED' OR reason IS NOT NULL)
);
CREATE INDEX alert_tellings_due_idx ON alert_tellings (next_at, id) WHERE state = 'QUEUED';

-- Whose turn it is to look, and until when nobody else does; no queue and no worker is needed for it.
CREATE TABLE alert_watch (
    only_row boolean NOT NULL DEFAULT true CONSTRAINT alert_watch_pk PRIMARY KEY
        CONSTRAINT alert_watch_only_row_check CHECK (only_row),
    turn uuid,
    turns bigint NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    -- When a look last came to its end.
    looked_at timestamptz
) WITH (fillfactor = 10);
INSERT INTO alert_watch (next_at) VALUES (now());
