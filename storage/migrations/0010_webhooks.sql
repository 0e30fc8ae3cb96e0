-- What programs are told of: endpoints and how far each has come, and changes that are no events.

-- In the directory. Milliseconds since the epoch are those of the databases' clocks.
CREATE TABLE webhooks (
    id              uuid PRIMARY KEY,
    owner           text NOT NULL,            -- user:ID or client:ID
    username        text,                     -- of a user, as members are named; clients have none
    url             text NOT NULL,
    events          text[] NOT NULL,
    secret          bytea NOT NULL,           -- sealed, as the former one
    former_secret   bytea,
    former_until    timestamptz,
    created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    state           text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'disabled')),
    reason          text,
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    since           bigint NOT NULL,          -- what happened before is not told
    replay_from     bigint,                   -- what happened since then is to be looked for
    positions       bytea NOT NULL DEFAULT '',
    failing_since   timestamptz,
    last_success_at timestamptz,
    last_failure_at timestamptz,
    last_failure    text,
    delivered       bigint NOT NULL DEFAULT 0,
    failed          bigint NOT NULL DEFAULT 0,
    given_up        bigint NOT NULL DEFAULT 0,
    holder          text,
    held_until      timestamptz NOT NULL DEFAULT '-infinity'
);
CREATE INDEX webhooks_of_owner ON webhooks (owner, id);
CREATE INDEX webhooks_to_hold ON webhooks (held_until) WHERE state = 'active';

-- What of one conversation, or of one file, an endpoint was not told in its turn.
CREATE TABLE webhook_backlogs (
    webhook  uuid    NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    key      uuid    NOT NULL,                -- the conversation, or the file
    file     boolean NOT NULL,
    after    bigint  NOT NULL,                -- events up to here were told; -1: not its creation
    upto     bigint  NOT NULL,
    rises    bigint,                          -- watermarks that rose since then are to be told
    version  bigint  NOT NULL DEFAULT 1,      -- counts what was added
    attempts integer NOT NULL DEFAULT 0,      -- of the next event
    due_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (webhook, key)
);
CREATE INDEX webhook_backlogs_due ON webhook_backlogs (webhook, due_at);

-- Rows of the journal that have no heads: watermarks that rose, or a file that became ready. There
-- are any only while somebody is to be told. Nodes of the version before read nothing in them.
ALTER TABLE journal
    ADD COLUMN risen_conversations uuid[],
    ADD COLUMN risen_users text[],
    ADD COLUMN risen_recv bigint[],           -- null where it did not rise
    ADD COLUMN risen_read bigint[],
    ADD COLUMN file uuid,
    ADD COLUMN file_owner text;

CREATE TABLE journal_watch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    until    timestamptz NOT NULL
);

-- Whether somebody is to be told of what is no event.
CREATE FUNCTION journal_watched() RETURNS boolean LANGUAGE sql VOLATILE
AS 'SELECT EXISTS (SELECT FROM journal_watch WHERE until > clock_timestamp())';

-- In the statement of a `commit_batch`, after it: the watermarks that it has raised. No rows.
CREATE FUNCTION note_rises(p_conversation uuid[], p_username text[], p_writer text)
RETURNS TABLE (o_status smallint, o_first bigint, o_second bigint)
LANGUAGE plpgsql AS $$
DECLARE
    began bigint := floor(extract(epoch FROM statement_timestamp()) * 1000);
BEGIN
    IF cardinality(p_conversation) = 0 OR NOT journal_watched() THEN
        RETURN;
    END IF;
    INSERT INTO journal (writer, heads, risen_conversations, risen_users, risen_recv, risen_read)
        SELECT p_writer, '', array_agg(r.conversation ORDER BY r.n),
            array_agg(r.username ORDER BY r.n), array_agg(r.recv ORDER BY r.n),
            array_agg(r.read ORDER BY r.n)
        FROM (
            SELECT w.n, m.conversation, m.username,
                CASE WHEN m.recv_at >= began THEN m.recv END AS recv,
                CASE WHEN m.read_at >= began THEN m.read END AS read
            FROM unnest(p_conversation, p_username) WITH ORDINALITY AS w (conversation, username, n)
            JOIN members m ON m.conversation = w.conversation AND m.username = w.username
            WHERE m.recv_at >= began OR m.read_at >= began
        ) r
        HAVING count(*) > 0;
END
$$;
