-- A recharge is delivered to a telephone: its item has no unit, unless the operator gave a PIN.
ALTER TABLE order_items DROP CONSTRAINT order_items_unit_check;
ALTER TABLE order_items ADD CONSTRAINT order_items_unit_check CHECK (
    (unit_id IS NOT NULL) = (status IN ('DELIVERED', 'REVOKED')) OR recharge_status IS NOT NULL
);
