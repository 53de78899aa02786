-- The audit trail is chained after commit, and can be searched (docs/adr/0025).

-- The sealer reads a window of transactions, over and over; it is never far from the end.
CREATE INDEX audit_entries_xid_idx ON audit_entries (xid, id);

-- The place of each entry, and the digest of what it said when it got it.
CREATE TABLE audit_chain (
    position bigint CONSTRAINT audit_chain_pk PRIMARY KEY
        CONSTRAINT audit_chain_position_check CHECK (position > 0),
    entry_id bigint NOT NULL CONSTRAINT audit_chain_entry_key UNIQUE,
    digest bytea NOT NULL CONSTRAINT audit_chain_digest_check CHECK (octet_length(digest) = 32)
);
CREATE TRIGGER audit_chain_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_chain
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- A link of the chain: the digest covers that of the link before and those of the entries at these
-- positions, and is signed with a key that is not in the database.
CREATE TABLE audit_seals (
    sequence bigint CONSTRAINT audit_seals_pk PRIMARY KEY
        CONSTRAINT audit_seals_sequence_check CHECK (sequence > 0),
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    sealed_at timestamptz NOT NULL,
    digest bytea NOT NULL CONSTRAINT audit_seals_digest_check CHECK (octet_length(digest) = 32),
    signature bytea NOT NULL
        CONSTRAINT audit_seals_signature_check CHECK (octet_length(signature) = 64),
    CONSTRAINT audit_seals_positions_check CHECK (0 < first_position AND first_position <= last_position)
);
CREATE INDEX audit_seals_sealed_idx ON audit_seals (sealed_at, sequence);
CREATE TRIGGER audit_seals_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_seals
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- How far sealing has come, as in event_sealing, and the last seal. The row is the lock of whoever seals.
CREATE TABLE audit_sealing (
    only_row boolean NOT NULL DEFAULT true CONSTRAINT audit_sealing_pk PRIMARY KEY
        CONSTRAINT audit_sealing_only_row_check CHECK (only_row),
    sealed pg_snapshot,
    target pg_snapshot,
    after_id bigint,
    upto_id bigint,
    sequence bigint NOT NULL,
    position bigint NOT NULL,
    sealed_at timestamptz NOT NULL,
    digest bytea NOT NULL CONSTRAINT audit_sealing_digest_check CHECK (octet_length(digest) = 32),
    CONSTRAINT audit_sealing_target_check CHECK (num_nulls(target, after_id, upto_id) IN (0, 3))
) WITH (fillfactor = 10);
INSERT INTO audit_sealing (sequence, position, sealed_at, digest)
VALUES (0, 0, '1970-01-01 00:00Z', decode(repeat('00', 32), 'hex'));

-- What the trail is searched by, each newest first. Placing an order pays for the first four; what
-- clients do by the thousand is in none of those after them, but for the one of requests: a filter a
-- few hundred rows wide, made behind the writers' backs.
CREATE INDEX audit_entries_at_idx ON audit_entries (at, id);
CREATE INDEX audit_entries_client_idx ON audit_entries (client_id, at, id) WHERE client_id IS NOT NULL;
CREATE INDEX audit_entries_action_idx ON audit_entries (action COLLATE "C", at, id);
CREATE INDEX audit_entries_address_idx ON audit_entries (address, at, id) WHERE address IS NOT NULL;
CREATE INDEX audit_entries_actor_idx ON audit_entries (actor_kind, at, id) WHERE actor_kind <> 'CLIENT';
CREATE INDEX audit_entries_staff_idx ON audit_entries (actor_id, at, id) WHERE actor_kind = 'STAFF';
CREATE INDEX audit_entries_request_idx ON audit_entries
    USING brin (request_id text_bloom_ops) WITH (pages_per_range = 32, autosummarize = on);
CREATE INDEX audit_entries_reason_idx ON audit_entries
    USING gin (to_tsvector('simple', reason)) WHERE reason IS NOT NULL;
