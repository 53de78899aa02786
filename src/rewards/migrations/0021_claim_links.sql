-- Claim links: what an end user opens instead of being sent a code (docs/adr/0023).

-- How the vouchers of an order go out, as its product was then; NULL: as they are. NOT VALID spares
-- the rows that are there a scan: they have none.
ALTER TABLE orders ADD COLUMN link_type text;
ALTER TABLE orders ADD CONSTRAINT orders_link_type_check
    CHECK (link_type IN ('PUBLIC', 'PROTECTED')) NOT VALID;
ALTER TABLE orders ADD CONSTRAINT orders_claim_password_check
    CHECK ((link_type IS NOT DISTINCT FROM 'PROTECTED') = (claim_password_hash IS NOT NULL)) NOT VALID;

-- How far the link of an item is; NULL while it has no unit, and for whatever has no links.
ALTER TABLE order_items ADD COLUMN link_status text;
ALTER TABLE order_items ADD CONSTRAINT order_items_link_status_check
    CHECK (link_status IN ('GV_LINK_PENDING', 'GV_LINK_UNCLAIMED', 'GV_LINK_CLAIMED')) NOT VALID;
ALTER TABLE order_items ADD CONSTRAINT order_items_link_unit_check
    CHECK (link_status IS NULL OR unit_id IS NOT NULL) NOT VALID;
-- What a worker still makes links for: rare, and soon gone.
CREATE INDEX order_items_link_pending_idx ON order_items (order_id)
    WHERE link_status = 'GV_LINK_PENDING' AND status = 'DELIVERED';

-- Whoever holds a claim link acts too.
ALTER TABLE order_transitions DROP CONSTRAINT order_transitions_actor_check;
ALTER TABLE order_transitions ADD CONSTRAINT order_transitions_actor_check
    CHECK (actor_kind IN ('CLIENT', 'STAFF', 'SYSTEM', 'HOLDER')) NOT VALID;
ALTER TABLE audit_entries DROP CONSTRAINT audit_entries_actor_check;
ALTER TABLE audit_entries ADD CONSTRAINT audit_entries_actor_check
    CHECK (actor_kind IN ('CLIENT', 'STAFF', 'SYSTEM', 'HOLDER')) NOT VALID;

-- A link is a key to one item. Whether the item is still to be had, and was claimed, is the item's
-- to say; the link only says whether this key fits, and until when it may be used first.
CREATE SEQUENCE claim_links_id_seq;
CREATE TABLE claim_links (
    id bigint PRIMARY KEY,
    order_id bigint NOT NULL,
    position integer NOT NULL,
    -- SHA-256 of the token, by which a visitor's link is found.
    digest bytea NOT NULL CONSTRAINT claim_links_digest_key UNIQUE
        CONSTRAINT claim_links_digest_check CHECK (octet_length(digest) = 32),
    -- The token itself, sealed, for the answers of its client alone.
    sealed bytea NOT NULL,
    -- Unclaimed by then it opens nothing any more, and its value goes back to the wallet.
    claim_before timestamptz NOT NULL,
    -- Wrong passwords since `tries_since`, as far as they count.
    tries integer NOT NULL DEFAULT 0,
    tries_since timestamptz,
    created_at timestamptz NOT NULL,
    claimed_at timestamptz,
    -- Since when this key fits no more: another was issued, or it was not used in time.
    ended_at timestamptz,
    CONSTRAINT claim_links_ended_check CHECK (ended_at >= created_at)
) WITH (fillfactor = 85);
CREATE UNIQUE INDEX claim_links_live_key ON claim_links (order_id, position) WHERE ended_at IS NULL;
CREATE INDEX claim_links_due_idx ON claim_links (claim_before, id)
    WHERE claimed_at IS NULL AND ended_at IS NULL;
