-- What staff find orders by, what they write about them, and the searches they keep.

-- Only an order with an address has an entry; what is asked for is matched whole, in any case.
CREATE INDEX orders_email_idx ON orders (lower(email), id) WHERE email IS NOT NULL;
-- Ends that few orders come to. One that is served at once, and no link's, never enters it.
CREATE INDEX orders_apart_idx ON orders (status, sub_status, id)
    WHERE status IN ('CANCELLED', 'FAILED') OR sub_status IN ('GV_LINK_UNCLAIMED', 'GV_LINK_CLAIMED');
-- Whatever was asked of a second person about an order.
CREATE INDEX approvals_subject_idx ON approvals (subject_kind, subject_id, id);
-- Dead links of an order; a live one never enters it.
CREATE INDEX claim_links_ended_idx ON claim_links (order_id) WHERE ended_at IS NOT NULL;

-- What staff tell one another about an order; its client never reads it.
CREATE TABLE order_notes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL,
    staff_id bigint NOT NULL CONSTRAINT order_notes_staff_fk REFERENCES staff_users,
    text text NOT NULL CONSTRAINT order_notes_text_check CHECK (char_length(text) BETWEEN 1 AND 2000),
    created_at timestamptz NOT NULL
);
CREATE INDEX order_notes_order_idx ON order_notes (order_id, id);
CREATE TRIGGER order_notes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON order_notes
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- Searches that somebody wants to make again. `query`: parameters of the search and their values.
CREATE TABLE saved_searches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    staff_id bigint NOT NULL CONSTRAINT saved_searches_staff_fk REFERENCES staff_users,
    name text NOT NULL,
    query jsonb NOT NULL CONSTRAINT saved_searches_query_check CHECK (jsonb_typeof(query) = 'object'),
    shared boolean NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT saved_searches_name_key UNIQUE (staff_id, name)
);
CREATE INDEX saved_searches_shared_idx ON saved_searches (name) WHERE shared;
