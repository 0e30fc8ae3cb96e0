-- Conversations, members, events, and the one statement that writes them.

CREATE TABLE conversations (
    id         uuid   PRIMARY KEY,
    type       text   NOT NULL CHECK (type IN ('private', 'group')),
    title      text,
    created_by text   NOT NULL,
    created_at bigint NOT NULL,          -- milliseconds since the epoch, as all times here
    head       bigint NOT NULL DEFAULT 0,
    active_at  bigint NOT NULL
) WITH (fillfactor = 70);                -- room to update head in place, without touching indexes

CREATE TABLE members (
    conversation uuid   NOT NULL REFERENCES conversations,
    username     text   NOT NULL,
    role         text   NOT NULL CHECK (role IN ('owner', 'admin', 'member')),
    position     integer NOT NULL,       -- order of coming, for display
    recv         bigint NOT NULL DEFAULT 0,
    read         bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (conversation, username),
    CHECK (read <= recv)
) WITH (fillfactor = 70);
CREATE INDEX members_by_username ON members (username);

CREATE TABLE events (
    conversation uuid     NOT NULL,
    seq          bigint   NOT NULL,
    id           uuid     NOT NULL,
    sender       text     NOT NULL,
    kind         smallint NOT NULL,
    ts           bigint   NOT NULL,
    digest       bigint   NOT NULL,
    reply_to     bigint,
    target       bigint,
    body         bytea,
    meta         bytea,
    channel      text,
    deleted      boolean  NOT NULL DEFAULT false,
    PRIMARY KEY (conversation, seq),
    UNIQUE (conversation, sender, id)
);

-- The write path: see ShardStore.commit for what it promises. Statuses are those of `Status`,
-- kinds the positions in KINDS. The row locks of the conversations order all writers; they are
-- taken in the order of ids, and after them those of members in their order, so writers cannot
-- deadlock. What is decided after the locks is decided in a statement of its own, whose snapshot
-- (of READ COMMITTED) therefore holds everything that earlier writers committed.
CREATE FUNCTION commit_batch(
    p_conversation uuid[], p_sender text[], p_id uuid[], p_kind smallint[], p_digest bigint[],
    p_reply_to bigint[], p_target bigint[], p_body bytea[], p_meta bytea[], p_subject text[],
    p_role text[], p_member_limit integer,
    m_conversation uuid[], m_username text[], m_recv bigint[], m_read bigint[]
) RETURNS TABLE (o_status smallint, o_first bigint, o_second bigint)
LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint;
BEGIN
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
            ORDER BY m.conversation, m.username FOR UPDATE OF m
        ), moved AS (
            UPDATE members m SET recv = l.recv, read = l.read
            FROM locked l
            WHERE m.conversation = l.conversation AND m.username = l.username
                AND (l.recv, l.read) <> (l.old_recv, l.old_read)
        )
        SELECT (CASE WHEN l.n IS NULL THEN 3 ELSE 0 END)::smallint, l.recv, l.read
        FROM wanted w LEFT JOIN locked l ON l.n = w.n ORDER BY w.n;
    END IF;
END
$$;
