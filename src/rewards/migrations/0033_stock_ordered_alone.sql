-- What one person orders for our own stock within a day counts together, as what they move on a wallet does.

ALTER TABLE staff_lone_acts
    DROP CONSTRAINT staff_lone_acts_scope_check,
    -- Of a WALLET money that was moved; of a CLIENT what vendors were asked to deliver; of STOCK (scope_id 0)
    -- what they were asked to deliver for ourselves.
    ADD CONSTRAINT staff_lone_acts_scope_check CHECK (scope IN ('WALLET', 'CLIENT', 'STOCK'));
