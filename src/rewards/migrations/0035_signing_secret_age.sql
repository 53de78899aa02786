-- Since when a client signs with the secret it has, so that staff are told of one that is too old.

ALTER TABLE credentials
    -- The default serves processes of the version before this one.
    ADD COLUMN signing_secret_set_at timestamptz NOT NULL DEFAULT now();
-- Of rotations until now nothing was put down here.
UPDATE credentials SET signing_secret_set_at = created_at;
