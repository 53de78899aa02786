-- What a vendor adds for each card, whatever its value, in the product's currency, as agreed.
ALTER TABLE vendor_products
    ADD COLUMN fee_minor bigint NOT NULL DEFAULT 0
        CONSTRAINT vendor_products_fee_check CHECK (fee_minor >= 0 AND fee_minor <= 1000000000);
