-- A rate says how it came, its spread, and when it was set; one that jumps waits for a person; an
-- order keeps whose rate it was charged with, and of when.

-- How a rate came decides for how long it may be used; the rates there are were set by setup.
ALTER TABLE fx_rates
    ADD COLUMN channel text NOT NULL DEFAULT 'SETUP'
        CONSTRAINT fx_rates_channel_check CHECK (channel IN ('SETUP', 'FILE', 'STAFF', 'PROVIDER')),
    -- Percent on top of the rate, against the client.
    ADD COLUMN spread_percent numeric(7, 4) NOT NULL DEFAULT 0
        CONSTRAINT fx_rates_spread_check CHECK (spread_percent >= 0 AND spread_percent < 100),
    -- NULL on rates older than this column.
    ADD COLUMN set_at timestamptz;
ALTER TABLE fx_rates ALTER COLUMN set_at SET DEFAULT now();

-- Rates that came by machine and differ too much from the one in force.
CREATE TABLE fx_rates_held (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL CONSTRAINT fx_rates_held_source_fk REFERENCES currencies (code),
    target text NOT NULL CONSTRAINT fx_rates_held_target_fk REFERENCES currencies (code),
    rate numeric(24, 12) NOT NULL CONSTRAINT fx_rates_held_rate_check CHECK (rate > 0),
    spread_percent numeric(7, 4) NOT NULL
        CONSTRAINT fx_rates_held_spread_check CHECK (spread_percent >= 0 AND spread_percent < 100),
    channel text NOT NULL
        CONSTRAINT fx_rates_held_channel_check CHECK (channel IN ('SETUP', 'FILE', 'STAFF', 'PROVIDER')),
    origin text NOT NULL,
    quoted_at timestamptz NOT NULL,
    -- What clients were charged, spread included, when it was held.
    charged_before numeric(24, 12) NOT NULL,
    held_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'OPEN'
        CONSTRAINT fx_rates_held_state_check CHECK (state IN ('OPEN', 'CONFIRMED', 'DISMISSED', 'SUPERSEDED')),
    decided_at timestamptz,
    CONSTRAINT fx_rates_held_pair_check CHECK (source <> target),
    CONSTRAINT fx_rates_held_decided_check CHECK ((state = 'OPEN') = (decided_at IS NULL))
);
-- A person decides about the newest one only.
CREATE UNIQUE INDEX fx_rates_held_open_key ON fx_rates_held (source, target) WHERE state = 'OPEN';
CREATE INDEX fx_rates_held_pair_idx ON fx_rates_held (source, target, id DESC);

ALTER TABLE orders ADD COLUMN forex_rate_source text, ADD COLUMN forex_rate_at timestamptz;
-- Not validated: orders of before have a rate and do not say whose.
ALTER TABLE orders ADD CONSTRAINT orders_forex_check CHECK (
    (forex_rate_source IS NULL) = (forex_rate_at IS NULL)
    AND (forex_rate_at IS NULL OR forex_rate IS NOT NULL)) NOT VALID;
