-- Rates and discounts: what turns a face value into a price.

-- Append-only; the newest row of a pair is in force. rate: units of target for one unit of source.
CREATE TABLE fx_rates (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL CONSTRAINT fx_rates_source_fk REFERENCES currencies (code),
    target text NOT NULL CONSTRAINT fx_rates_target_fk REFERENCES currencies (code),
    rate numeric(24, 12) NOT NULL CONSTRAINT fx_rates_rate_check CHECK (rate > 0),
    origin text NOT NULL,
    quoted_at timestamptz NOT NULL,
    CONSTRAINT fx_rates_pair_check CHECK (source <> target)
);
CREATE INDEX fx_rates_pair_idx ON fx_rates (source, target, id DESC);
CREATE TRIGGER fx_rates_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON fx_rates
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

CREATE TABLE client_discounts (
    client_id bigint NOT NULL CONSTRAINT client_discounts_client_fk REFERENCES clients,
    product_id bigint NOT NULL CONSTRAINT client_discounts_product_fk REFERENCES products,
    percent numeric(7, 4) NOT NULL
        CONSTRAINT client_discounts_percent_check CHECK (percent >= 0 AND percent <= 100),
    CONSTRAINT client_discounts_pk PRIMARY KEY (product_id, client_id)
);
