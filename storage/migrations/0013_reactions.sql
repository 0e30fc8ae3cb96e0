-- Reactions: to what they may be put, and which stand.

-- `meta` is {"emoji": …, "on": …} in MessagePack, so its last byte tells on (c3) from off (c2), and
-- the others are the same for both; NULL: its sender was erased.
CREATE INDEX events_reactions ON events (conversation, target) WHERE kind = 3;

-- As before (0006), and for reactions: everybody may react to a message that is not deleted.
CREATE OR REPLACE FUNCTION refusal(
    p_kind smallint, p_group boolean, p_sender text, m_role text, p_subject text, s_role text,
    p_role text, t_kind smallint, t_sender text, t_deleted boolean, t_age bigint,
    p_members bigint, p_owners bigint, p_member_limit integer,
    p_edit_window bigint, p_delete_window bigint
) RETURNS smallint LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (CASE p_kind
        WHEN 1 THEN CASE
            WHEN t_kind IS DISTINCT FROM 0 THEN 10
            WHEN t_sender <> p_sender THEN 9
            WHEN t_deleted THEN 11
            WHEN p_edit_window > 0 AND t_age > p_edit_window THEN 13
        END
        WHEN 2 THEN CASE
            WHEN t_kind IS DISTINCT FROM 0 THEN 10
            WHEN t_sender <> p_sender AND NOT (p_group AND m_role <> 'member') THEN 9
            WHEN t_deleted THEN 11
            WHEN p_delete_window > 0 AND t_age > p_delete_window
                AND NOT (p_group AND m_role <> 'member') THEN 13
        END
        WHEN 3 THEN CASE
            WHEN t_kind IS DISTINCT FROM 0 THEN 10
            WHEN t_deleted THEN 11
        END
        WHEN 4 THEN CASE
            WHEN NOT p_group OR m_role = 'member' OR (p_role <> 'member' AND m_role <> 'owner')
                THEN 9
            WHEN s_role IS NOT NULL THEN 5
            WHEN p_members >= p_member_limit THEN 7
        END
        WHEN 5 THEN CASE
            WHEN NOT p_group OR (p_subject <> p_sender AND m_role = 'member') THEN 9
            WHEN s_role IS NULL THEN 6
            WHEN p_subject <> p_sender AND m_role = 'admin' AND s_role <> 'member' THEN 9
            WHEN p_subject = p_sender AND s_role = 'owner' AND p_owners = 1 AND p_members > 1
                THEN 12
        END
        WHEN 6 THEN CASE
            WHEN NOT p_group OR m_role = 'member' OR (p_subject IS NOT NULL AND m_role <> 'owner')
                THEN 9
            WHEN p_subject IS NOT NULL AND s_role IS NULL THEN 6
            WHEN s_role = 'owner' AND p_role <> 'owner' AND p_owners = 1 THEN 12
        END
    END)::smallint
$$;

-- As before (0011), and reactions are held to rules; they change nothing but the log.
CREATE OR REPLACE FUNCTION commit_batch(
    p_conversation uuid[], p_sender text[], p_id uuid[], p_kind smallint[], p_digest bigint[],
    p_reply_to bigint[], p_target bigint[], p_body bytea[], p_meta bytea[], p_subject text[],
    p_role text[], p_trace bytea[], p_channels text[], p_channel text[],
    x_n bigint[], x_fields integer[], x_title text[], x_metadata bytea[], x_retention bigint[],
    p_member_limit integer, p_edit_window bigint, p_delete_window bigint,
    m_conversation uuid[], m_username text[], m_recv bigint[], m_read bigint[], p_writer text
) RETURNS TABLE (o_status smallint, o_first bigint, o_second bigint)
LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint;
    fenced smallint[];
    ruled boolean := p_kind && '{1,2,3,4,5,6}';
    rare boolean := p_kind && '{1,2,4,5,6}';
    refused smallint[];
    heads bigint[];              -- of each entry's conversation, before the batch
    stored record;
    new_revision bigint;
    place integer;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(x'6334'::integer, 1);
    fenced := fenced_shards();
    IF cardinality(p_conversation) > 0 THEN
        PERFORM FROM conversations c WHERE c.id = ANY (p_conversation) ORDER BY c.id
            FOR NO KEY UPDATE;
        IF p_kind && '{5,6}' THEN
            -- They write members, and the marks below lock theirs: in one order for all.
            PERFORM FROM members m
                WHERE (m.conversation, m.username) IN (
                    SELECT * FROM unnest(p_conversation, p_subject)
                    UNION ALL SELECT * FROM unnest(m_conversation, m_username))
                ORDER BY m.conversation, m.username FOR UPDATE;
        END IF;
        now_ms := floor(extract(epoch FROM clock_timestamp()) * 1000);
        IF ruled THEN
            SELECT array_agg(x.refused ORDER BY x.n), array_agg(x.head ORDER BY x.n)
            INTO refused, heads
            FROM (
                SELECT i.n, c.head, CASE WHEN i.kind > 0 THEN refusal(
                    i.kind, c.type = 'group', i.sender, m.role, i.subject, s.role, i.role,
                    t.kind, t.sender, t.deleted, greatest(c.active_at, now_ms) - t.ts,
                    CASE WHEN i.kind IN (4, 5) THEN (SELECT count(*) FROM members a
                        WHERE a.conversation = i.conversation) END,
                    CASE WHEN i.kind IN (5, 6) THEN (SELECT count(*) FROM members a
                        WHERE a.conversation = i.conversation AND a.role = 'owner') END,
                    p_member_limit, p_edit_window, p_delete_window) END AS refused
                FROM unnest(p_conversation, p_sender, p_kind, p_target, p_subject, p_role)
                    WITH ORDINALITY AS i (conversation, sender, kind, target, subject, role, n)
                LEFT JOIN conversations c ON c.id = i.conversation
                LEFT JOIN members m ON m.conversation = i.conversation AND m.username = i.sender
                LEFT JOIN members s ON s.conversation = i.conversation AND s.username = i.subject
                LEFT JOIN events t ON t.conversation = i.conversation AND t.seq = i.target
                    AND i.kind IN (1, 2, 3)
            ) x;
        END IF;
        RETURN QUERY
        WITH input AS (
            SELECT * FROM unnest(p_conversation, p_sender, p_id, p_kind, p_digest, p_reply_to,
                                 p_target, p_body, p_meta, p_subject, p_role, p_trace, p_channels,
                                 p_channel, refused)
                WITH ORDINALITY AS i (conversation, sender, id, kind, digest, reply_to,
                                      target, body, meta, subject, role, trace, channels, channel,
                                      refused, n)
        ), decided AS (
            SELECT i.*, c.head, c.external, i.channels <> '["internal"]' AS named,
                e.seq AS old_seq, e.ts AS old_ts,
                greatest(c.active_at, now_ms) AS ts,
                (CASE
                    WHEN logical_shard(i.conversation) = ANY (fenced) THEN 8
                    WHEN e.digest = i.digest THEN 1
                    WHEN e.seq IS NOT NULL THEN 2
                    WHEN m.username IS NULL THEN 3
                    WHEN i.reply_to NOT BETWEEN 1 AND c.head THEN 4
                    ELSE coalesce(i.refused, 0)
                END)::smallint AS status
            FROM input i
            LEFT JOIN conversations c ON c.id = i.conversation
            LEFT JOIN events e ON e.conversation = i.conversation AND e.sender = i.sender
                AND e.id = i.id
            LEFT JOIN members m ON m.conversation = i.conversation AND m.username = i.sender
        ), numbered AS (
            SELECT d.*, d.head + row_number() OVER (
                PARTITION BY d.conversation, d.status ORDER BY d.n) AS seq
            FROM decided d
        ), added AS (
            INSERT INTO events (conversation, seq, id, sender, kind, ts, digest, reply_to, target,
                                body, meta, subject, role, trace, channel)
            SELECT d.conversation, d.seq, d.id, d.sender, d.kind, d.ts, d.digest, d.reply_to,
                   d.target, d.body, d.meta, d.subject, d.role, d.trace,
                   d.channel
            FROM numbered d WHERE d.status = 0
        ), advanced AS (
            UPDATE conversations c SET head = d.seq, active_at = d.ts,
                external = c.external OR d.named
            FROM (SELECT x.conversation, max(x.seq) AS seq, max(x.ts) AS ts,
                      coalesce(bool_or(x.named AND x.kind < 4), false) AS named
                  FROM numbered x WHERE x.status = 0 GROUP BY x.conversation) d
            WHERE c.id = d.conversation
        ), leaving AS (
            INSERT INTO outbox (conversation, seq, channels)
            SELECT d.conversation, d.seq, d.channels
            FROM numbered d WHERE d.status = 0 AND d.kind < 4 AND (d.external OR d.named)
            ORDER BY d.n
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

        IF rare THEN
            -- What is beyond the head that its conversation had was stored just now.
            FOR stored IN
                SELECT i.*, e.seq, e.ts
                FROM unnest(p_conversation, p_sender, p_id, p_kind, p_target, p_body, p_subject,
                            p_role, heads)
                    WITH ORDINALITY AS i (conversation, sender, id, kind, target, body, subject,
                                          role, head, n)
                JOIN events e ON e.conversation = i.conversation AND e.sender = i.sender
                    AND e.id = i.id AND e.seq > i.head
                WHERE i.kind IN (1, 2, 4, 5, 6) ORDER BY i.n
            LOOP
                IF stored.kind IN (1, 2) THEN
                    UPDATE conversations c SET revision = c.revision + 1
                        WHERE c.id = stored.conversation RETURNING c.revision INTO new_revision;
                END IF;
                CASE
                WHEN stored.kind = 1 THEN
                    INSERT INTO revisions (conversation, seq, edit, body)
                        SELECT t.conversation, t.seq, stored.seq, t.body FROM events t
                        WHERE t.conversation = stored.conversation AND t.seq = stored.target;
                    UPDATE events t
                        SET body = stored.body, edited_at = stored.ts, revised = new_revision
                        WHERE t.conversation = stored.conversation AND t.seq = stored.target;
                WHEN stored.kind = 2 THEN
                    PERFORM bury_message(stored.conversation, stored.target, stored.ts,
                                         new_revision);
                WHEN stored.kind = 4 THEN
                    INSERT INTO members (conversation, username, role, position, recv, read, since)
                        SELECT stored.conversation, stored.subject, stored.role,
                            coalesce(max(a.position), 0) + 1, stored.seq, stored.seq, stored.seq
                        FROM members a WHERE a.conversation = stored.conversation;
                WHEN stored.kind = 5 THEN
                    DELETE FROM members m WHERE m.conversation = stored.conversation
                        AND m.username = stored.subject;
                WHEN stored.subject IS NOT NULL THEN
                    UPDATE members m SET role = stored.role
                        WHERE m.conversation = stored.conversation AND m.username = stored.subject;
                ELSE
                    place := array_position(x_n, stored.n);
                    UPDATE conversations c SET
                        title = CASE WHEN x_fields[place] & 1 > 0 THEN x_title[place]
                            ELSE c.title END,
                        metadata = CASE WHEN x_fields[place] & 2 > 0 THEN x_metadata[place]
                            ELSE c.metadata END,
                        retention = CASE WHEN x_fields[place] & 4 > 0 THEN x_retention[place]
                            ELSE c.retention END,
                        expires_at = CASE WHEN x_fields[place] & 4 > 0 THEN 0
                            ELSE c.expires_at END
                    WHERE c.id = stored.conversation;
                END CASE;
            END LOOP;
        END IF;
    END IF;

    IF cardinality(m_conversation) > 0 THEN
        now_ms := floor(extract(epoch FROM clock_timestamp()) * 1000);
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
            UPDATE members m SET recv = l.recv, read = l.read,
                recv_at = CASE WHEN l.recv > l.old_recv THEN now_ms ELSE m.recv_at END,
                read_at = CASE WHEN l.read > l.old_read THEN now_ms ELSE m.read_at END
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
