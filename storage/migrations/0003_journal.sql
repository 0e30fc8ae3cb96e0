-- What one node commits, the others learn from `journal`; a shard that moves is fenced off.

-- One row for each commit and each creation: how far its conversations have come, and who came in.
-- Ids are given before the commit, so rows may appear out of their order: readers look holes up again.
CREATE TABLE journal (
    id                   bigserial PRIMARY KEY,
    at                   timestamptz NOT NULL DEFAULT clock_timestamp(),
    writer               text NOT NULL,
    heads                bytea NOT NULL,     -- 24 bytes each: conversation, seq (0: just created)
    joined_conversations uuid[],
    joined_users         text[]
);

-- Logical shards that are not to be written here. No row: nothing is in the way.
--   frozen   until `until`, for the last step of a move: reads go on
--   copying  on their way to this database: not to be seen yet
--   moved    to another database
-- A writer holds the advisory lock (0x6334, 1) shared until it has committed; who freezes a shard
-- takes it exclusively for an instant, so that no commit is under way afterwards.
CREATE TABLE shard_fences (
    shard smallint PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
    state text NOT NULL CHECK (state IN ('frozen', 'copying', 'moved')),
    until timestamptz CHECK ((state = 'frozen') = (until IS NOT NULL))
);

-- The logical shard of a conversation: the low six bits of its id.
CREATE FUNCTION logical_shard(p_conversation uuid) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS 'SELECT (get_byte(uuid_send(p_conversation), 15) & 63)::smallint';

ALTER TABLE conversations ADD COLUMN shard smallint
    GENERATED ALWAYS AS ((get_byte(uuid_send(id), 15) & 63)::smallint) STORED;

-- The logical shards that may not be written here now.
CREATE FUNCTION fenced_shards() RETURNS smallint[]
LANGUAGE sql VOLATILE
AS $$
    SELECT array_agg(shard) FROM shard_fences
    WHERE state <> 'frozen' OR until > clock_timestamp()
$$;

-- As before (0001), and: what is fenced off has status 8, and whatever is stored is in the journal.
DROP FUNCTION commit_batch;
CREATE FUNCTION commit_batch(
    p_conversation uuid[], p_sender text[], p_id uuid[], p_kind smallint[], p_digest bigint[],
    p_reply_to bigint[], p_target bigint[], p_body bytea[], p_meta bytea[], p_subject text[],
    p_role text[], p_member_limit integer,
    m_conversation uuid[], m_username text[], m_recv bigint[], m_read bigint[], p_writer text
) RETURNS TABLE (o_status smallint, o_first bigint, o_second bigint)
LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint;
    fenced smallint[];
BEGIN
    PERFORM pg_advisory_xact_lock_shared(x'6334'::integer, 1);
    fenced := fenced_shards();
    IF cardinality(p_conversation) > 0 THEN
        PERFORM FROM conversations c WHERE c.id = ANY (p_conversation) ORDER BY c.id
            FOR NO KEY UPDATE;
        IF 5 = ANY (p_kind) THEN
            -- A leave deletes its member, and the marks below lock theirs: in one order for all.
            PERFORM FROM members m
                WHERE (m.conversation, m.username) IN (
                    SELECT * FROM unnest(p_conversation, p_subject)
                    UNION ALL SELECT * FROM unnest(m_conversation, m_username))
                ORDER BY m.conversation, m.username FOR UPDATE;
        END IF;
        now_ms := floor(extract(epoch FROM clock_timestamp()) * 1000);
        RETURN QUERY
        WITH input AS (
            SELECT * FROM unnest(p_conversation, p_sender, p_id, p_kind, p_digest, p_reply_to,
                                 p_target, p_body, p_meta, p_subject, p_role)
                WITH ORDINALITY AS i (conversation, sender, id, kind, digest, reply_to,
                                      target, body, meta, subject, role, n)
        ), decided AS (
            SELECT i.*, c.head, e.seq AS old_seq, e.ts AS old_ts,
                greatest(c.active_at, now_ms) AS ts,
                (CASE
                    WHEN logical_shard(i.conversation) = ANY (fenced) THEN 8
                    WHEN e.digest = i.digest THEN 1
                    WHEN e.seq IS NOT NULL THEN 2
                    WHEN m.username IS NULL THEN 3
                    WHEN i.reply_to NOT BETWEEN 1 AND c.head THEN 4
                    WHEN i.kind = 4 AND s.username IS NOT NULL THEN 5
                    WHEN i.kind = 5 AND s.username IS NULL THEN 6
                    WHEN i.kind = 4 AND (SELECT count(*) FROM members x
                        WHERE x.conversation = i.conversation) >= p_member_limit THEN 7
                    ELSE 0
                END)::smallint AS status
            FROM input i
            LEFT JOIN conversations c ON c.id = i.conversation
            LEFT JOIN events e ON e.conversation = i.conversation AND e.sender = i.sender
                AND e.id = i.id
            LEFT JOIN members m ON m.conversation = i.conversation AND m.username = i.sender
            LEFT JOIN members s ON s.conversation = i.conversation AND s.username = i.subject
        ), numbered AS (
            SELECT d.*, d.head + row_number() OVER (
                PARTITION BY d.conversation, d.status ORDER BY d.n) AS seq
            FROM decided d
        ), stored AS (
            INSERT INTO events (conversation, seq, id, sender, kind, ts, digest, reply_to, target,
                                body, meta)
            SELECT d.conversation, d.seq, d.id, d.sender, d.kind, d.ts, d.digest, d.reply_to,
                   d.target, d.body, d.meta
            FROM numbered d WHERE d.status = 0
        ), advanced AS (
            UPDATE conversations c SET head = d.seq, active_at = d.ts
            FROM (SELECT x.conversation, max(x.seq) AS seq, max(x.ts) AS ts
                  FROM numbered x WHERE x.status = 0 GROUP BY x.conversation) d
            WHERE c.id = d.conversation
        ), joined AS (
            INSERT INTO members (conversation, username, role, position, recv, read)
            SELECT d.conversation, d.subject, d.role,
                (SELECT max(x.position) + 1 FROM members x WHERE x.conversation = d.conversation),
                d.seq, d.seq
            FROM numbered d WHERE d.status = 0 AND d.kind = 4
        ), departed AS (
            DELETE FROM members m USING numbered d
            WHERE d.status = 0 AND d.kind = 5
                AND m.conversation = d.conversation AND m.username = d.subject
        ), journaled AS (
            INSERT INTO journal (writer, heads, joined_conversations, joined_users)
            SELECT p_writer, string_agg(uuid_send(h.conversation) || int8send(h.seq), ''::bytea),
                (SELECT array_agg(d.conversation ORDER BY d.n) FROM numbered d
                    WHERE d.status = 0 AND d.kind = 4),
                (SELECT array_agg(d.subject ORDER BY d.n) FROM numbered d
                    WHERE d.status = 0 AND d.kind = 4)
            FROM (SELECT x.conversation, max(x.seq) AS seq FROM numbered x
                  WHERE x.status = 0 GROUP BY x.conversation) h
            HAVING count(*) > 0
        )
        SELECT d.status,
            CASE WHEN d.status = 0 THEN d.seq WHEN d.status = 1 THEN d.old_seq ELSE 0 END,
            CASE WHEN d.status = 0 THEN d.ts WHEN d.status = 1 THEN d.old_ts ELSE 0 END
        FROM numbered d ORDER BY d.n;
    END IF;

    IF cardinality(m_conversation) > 0 THEN
        RETURN QUERY
        WITH wanted AS (
            SELECT * FROM unnest(m_conversation, m_username, m_recv, m_read)
                WITH ORDINALITY AS w (conversation, username, recv, read, n)
        ), locked AS (
            SELECT w.n, m.conversation, m.username,
                greatest(m.recv, least(greatest(w.recv, w.read), c.head)) AS recv,
                greatest(m.read, least(w.read, c.head)) AS read,
                m.recv AS old_recv, m.read AS old_read
            FROM wanted w
            JOIN members m ON m.conversation = w.conversation AND m.username = w.username
            JOIN conversations c ON c.id = w.conversation
            WHERE (c.shard = ANY (fenced)) IS NOT TRUE
            ORDER BY m.conversation, m.username FOR UPDATE OF m
        ), moved AS (
            UPDATE members m SET recv = l.recv, read = l.read
            FROM locked l
            WHERE m.conversation = l.conversation AND m.username = l.username
                AND (l.recv, l.read) <> (l.old_recv, l.old_read)
        )
        SELECT (CASE WHEN logical_shard(w.conversation) = ANY (fenced) THEN 8
            WHEN l.n IS NULL THEN 3 ELSE 0 END)::smallint, l.recv, l.read
        FROM wanted w LEFT JOIN locked l ON l.n = w.n ORDER BY w.n;
    END IF;
END
$$;

-- Create a conversation: 1 when it was made, 0 when it was there, 8 when its shard is fenced off.
CREATE FUNCTION create_conversation(
    p_id uuid, p_type text, p_title text, p_creator text, p_usernames text[], p_roles text[],
    p_writer text
) RETURNS smallint
LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
BEGIN
    PERFORM pg_advisory_xact_lock_shared(x'6334'::integer, 1);
    IF logical_shard(p_id) = ANY (fenced_shards()) THEN
        RETURN 8;
    END IF;
    INSERT INTO conversations (id, type, title, created_by, created_at, active_at)
        VALUES (p_id, p_type, p_title, p_creator, now_ms, now_ms)
        ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    INSERT INTO members (conversation, username, role, position)
        SELECT p_id, x.username, x.role, x.n
        FROM unnest(p_usernames, p_roles) WITH ORDINALITY AS x (username, role, n);
    INSERT INTO journal (writer, heads, joined_conversations, joined_users)
        VALUES (p_writer, uuid_send(p_id) || int8send(0),
                array_fill(p_id, ARRAY[cardinality(p_usernames)]), p_usernames);
    RETURN 1;
END
$$;

-- Of users, in the directory: when they were last there (milliseconds since the epoch), whether
-- others may see that, and since when their tokens count (seconds since the epoch).
ALTER TABLE users
    ADD COLUMN last_seen bigint,
    ADD COLUMN invisible boolean NOT NULL DEFAULT false,
    ADD COLUMN valid_from bigint NOT NULL DEFAULT 0;
CREATE INDEX users_by_last_seen ON users (last_seen DESC) WHERE last_seen IS NOT NULL;
CREATE INDEX users_by_valid_from ON users (valid_from) WHERE valid_from > 0;

-- What every node must learn within a second, in the directory; ids as in `journal`.
CREATE TABLE notices (
    id     bigserial PRIMARY KEY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    body   bytea NOT NULL
);
