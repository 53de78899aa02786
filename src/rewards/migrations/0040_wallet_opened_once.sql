-- What whoever opened a wallet called it: opened under the same word again, it is that wallet.
ALTER TABLE wallets ADD COLUMN reference text;
CREATE UNIQUE INDEX wallets_reference_key ON wallets (client_id, reference) WHERE reference IS NOT NULL;
