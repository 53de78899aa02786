-- Who did what, and what the client is told. Both are written in the transaction they speak of.

CREATE TABLE audit_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor_kind text NOT NULL
        CONSTRAINT audit_entries_actor_check CHECK (actor_kind IN ('CLIENT', 'STAFF', 'SYSTEM')),
    actor_id bigint,
    client_id bigint,
    action text NOT NULL,
    subject_kind text NOT NULL,
    subject_id bigint NOT NULL,
    facts jsonb NOT NULL DEFAULT '{}',
    reason text,
    request_id text,
    address text,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX audit_entries_subject_idx ON audit_entries (subject_kind, subject_id);
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();

-- The outbox and the feed. A gap-free per-client sequence is sealed after commit by one worker step.
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id bigint NOT NULL,
    type text NOT NULL,
    order_id bigint,
    data jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX events_order_idx ON events (order_id);
CREATE TRIGGER events_append_only BEFORE UPDATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
