-- What may be done in a conversation and by whom: edits and deletions, roles, settings, retention.

-- `expired`: up to here retention has emptied all messages; `expires_at`: when to look again.
-- `revision` counts the changes of events that stood already. `digest` is over what its creator
-- wrote, `trace` is of the request that created it.
ALTER TABLE conversations
    ADD COLUMN metadata   bytea,
    ADD COLUMN retention  bigint,            -- seconds; NULL: messages are kept
    ADD COLUMN expired    bigint NOT NULL DEFAULT 0,
    ADD COLUMN expires_at bigint,
    ADD COLUMN revision   bigint NOT NULL DEFAULT 0,
    ADD COLUMN digest     bigint NOT NULL DEFAULT 0,
    ADD COLUMN trace      bytea;
-- None of these columns changes with an event, so updates in place stay what they are.
CREATE INDEX conversations_by_expiry ON conversations (expires_at) WHERE retention IS NOT NULL;
CREATE INDEX conversations_by_creator ON conversations (created_by);

-- `since`: the seq of the `join` that brought the member in, 0 from the start. `recv_at` and
-- `read_at`: when the watermark last rose.
ALTER TABLE members
    ADD COLUMN since   bigint NOT NULL DEFAULT 0,
    ADD COLUMN recv_at bigint,
    ADD COLUMN read_at bigint;

-- `subject` and `role`: whom a change of members is about, and what role it gives. `revised`: the
-- `revision` of its conversation that last changed the event; NULL: it stands as it was stored.
ALTER TABLE events
    ADD COLUMN subject    text,
    ADD COLUMN role       text,
    ADD COLUMN trace      bytea,             -- 16 bytes: of the request that brought the event
    ADD COLUMN edited_at  bigint,
    ADD COLUMN deleted_at bigint,
    ADD COLUMN revised    bigint;

-- Events that were stored before name their subject in the body alone, a MessagePack map:
-- {"type": "member", "user": NAME, …}, where NAME is a short string or one of up to 255 bytes.
UPDATE events SET subject = convert_from(
    CASE WHEN get_byte(body, 18) = 217 THEN substr(body, 21, get_byte(body, 19))
         ELSE substr(body, 20, get_byte(body, 18) & 31) END, 'UTF8')
WHERE kind IN (4, 5) AND substr(body, 2, 17) = '\xa474797065a66d656d626572a475736572'::bytea;
UPDATE members m SET since = j.seq
FROM (SELECT conversation, subject, max(seq) AS seq FROM events
      WHERE kind = 4 AND subject IS NOT NULL GROUP BY conversation, subject) j
WHERE m.conversation = j.conversation AND m.username = j.subject;

-- By id first: it finds a message by its id alone, and costs no more than the former order.
CREATE UNIQUE INDEX events_by_id ON events (id, conversation, sender);
ALTER TABLE events DROP CONSTRAINT events_conversation_sender_id_key;
CREATE INDEX events_by_subject ON events (subject) WHERE subject IS NOT NULL;
CREATE INDEX events_edits ON events (conversation, target) WHERE kind = 1;
CREATE INDEX events_revised ON events (conversation, revised) WHERE revised IS NOT NULL;

-- The bodies that a message had before: `edit` is the seq of the event that replaced it.
CREATE TABLE revisions (
    conversation uuid   NOT NULL,
    seq          bigint NOT NULL,
    edit         bigint NOT NULL,
    body         bytea,
    PRIMARY KEY (conversation, seq, edit)
);

-- The audit record of all conversations: who did what to whom, and in which request. It is the log
-- itself, so it is written with the act and can't be without it; it shows no bodies.
CREATE VIEW audit_events AS
    SELECT to_timestamp(e.ts / 1000.0) AS at,
        (ARRAY['message', 'edit', 'delete', 'react', 'join', 'leave', 'change'])[e.kind + 1] AS act,
        e.sender AS actor, e.conversation, e.seq, e.id AS event, e.target, e.subject, e.role,
        encode(e.trace, 'hex') AS trace_id
    FROM events e
    UNION ALL
    SELECT to_timestamp(c.created_at / 1000.0), 'create', c.created_by, c.id, 0, NULL, NULL, NULL,
        NULL, encode(c.trace, 'hex')
    FROM conversations c;

-- Leave nothing of a message but its place: neither its body, nor former ones, nor its edits'.
CREATE FUNCTION bury_message(p_conversation uuid, p_seq bigint, p_at bigint, p_revision bigint)
RETURNS void LANGUAGE sql
AS $$
    DELETE FROM revisions WHERE conversation = p_conversation AND seq = p_seq;
    UPDATE events SET body = NULL, meta = NULL, deleted = true, deleted_at = p_at,
        revised = p_revision
    WHERE conversation = p_conversation AND seq = p_seq;
    UPDATE events SET body = NULL, deleted = true, deleted_at = p_at, revised = p_revision
    WHERE conversation = p_conversation AND kind = 1 AND target = p_seq;
$$;

-- Why an event other than a message may not be stored: a `Status`, NULL if it may. `t_…` is the
-- target, `s_role` the role of the subject (NULL: no member), `m_role` that of the sender.
CREATE FUNCTION refusal(
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

-- As before (0003), with rules and effects for every kind of event. What concerns messages is
-- decided and stored in one statement for the whole batch; other kinds are few: why they are
-- refused is found out before it, and what they change is changed after it, one by one. A batch
-- holds nothing of a conversation after a join, leave or change, and one edit or deletion of a
-- message, so each is decided by what stood before the batch.
-- `x_…` are the settings that a change of the conversation itself gives, for the entry `x_n`;
-- `x_fields` has a bit for each that it does: 1 title, 2 metadata, 4 retention.
-- The former function stays for nodes of the release before, while they are being replaced.
CREATE FUNCTION commit_batch(
    p_conversation uuid[], p_sender text[], p_id uuid[], p_kind smallint[], p_digest bigint[],
    p_reply_to bigint[], p_target bigint[], p_body bytea[], p_meta bytea[], p_subject text[],
    p_role text[], p_trace bytea[],
    x_n bigint[], x_fields integer[], x_title text[], x_metadata bytea[], x_retention bigint[],
    p_member_limit integer, p_edit_window bigint, p_delete_window bigint,
    m_conversation uuid[], m_username text[], m_recv bigint[], m_read bigint[], p_writer text
) RETURNS TABLE (o_status smallint, o_first bigint, o_second bigint)
LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint;
    fenced smallint[];
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
        IF rare THEN
            SELECT array_agg(x.refused ORDER BY x.n), array_agg(x.head ORDER BY x.n)
            INTO refused, heads
            FROM (
                SELECT i.n, c.head, CASE WHEN i.kind IN (1, 2, 4, 5, 6) THEN refusal(
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
                    AND i.kind IN (1, 2)
            ) x;
        END IF;
        RETURN QUERY
        WITH input AS (
            SELECT * FROM unnest(p_conversation, p_sender, p_id, p_kind, p_digest, p_reply_to,
                                 p_target, p_body, p_meta, p_subject, p_role, p_trace, refused)
                WITH ORDINALITY AS i (conversation, sender, id, kind, digest, reply_to,
                                      target, body, meta, subject, role, trace, refused, n)
        ), decided AS (
            SELECT i.*, c.head, e.seq AS old_seq, e.ts AS old_ts,
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
                                body, meta, subject, role, trace)
            SELECT d.conversation, d.seq, d.id, d.sender, d.kind, d.ts, d.digest, d.reply_to,
                   d.target, d.body, d.meta, d.subject, d.role, d.trace
            FROM numbered d WHERE d.status = 0
        ), advanced AS (
            UPDATE conversations c SET head = d.seq, active_at = d.ts
            FROM (SELECT x.conversation, max(x.seq) AS seq, max(x.ts) AS ts
                  FROM numbered x WHERE x.status = 0 GROUP BY x.conversation) d
            WHERE c.id = d.conversation
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

-- As before (0003), with metadata, a digest of what its creator wrote, and the request's trace.
CREATE FUNCTION create_conversation(
    p_id uuid, p_type text, p_title text, p_creator text, p_usernames text[], p_roles text[],
    p_metadata bytea, p_digest bigint, p_trace bytea, p_writer text
) RETURNS smallint
LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
BEGIN
    PERFORM pg_advisory_xact_lock_shared(x'6334'::integer, 1);
    IF logical_shard(p_id) = ANY (fenced_shards()) THEN
        RETURN 8;
    END IF;
    INSERT INTO conversations (id, type, title, created_by, created_at, active_at, metadata,
                               digest, trace)
        VALUES (p_id, p_type, p_title, p_creator, now_ms, now_ms, p_metadata, p_digest, p_trace)
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

-- Empty messages that their conversation keeps no longer, looking at `p_limit` events at most: how
-- many were emptied, and whether there may be more. Conversations that are being written are left
-- for the next time. Times rise along a log, so what is due is always the next after `expired`.
CREATE FUNCTION expire_messages(p_now bigint, p_limit integer, OUT messages integer, OUT more boolean)
LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint := coalesce(p_now, floor(extract(epoch FROM clock_timestamp()) * 1000));
    fenced smallint[];
    c record;
    room integer := p_limit;
    last_due bigint;
    next_ts bigint;
    looked integer;
    emptied integer;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(x'6334'::integer, 1);
    fenced := fenced_shards();
    messages := 0;
    FOR c IN
        SELECT x.id, x.expired, x.retention * 1000 AS kept, x.revision + 1 AS revision
        FROM conversations x
        WHERE x.retention IS NOT NULL AND x.expires_at <= now_ms
            AND (x.shard = ANY (fenced)) IS NOT TRUE
        ORDER BY x.expires_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        EXIT WHEN room <= 0;
        SELECT max(e.seq) FILTER (WHERE e.ts <= now_ms - c.kept),
            min(e.ts) FILTER (WHERE e.ts > now_ms - c.kept), count(*)
        INTO last_due, next_ts, looked
        FROM (SELECT x.seq, x.ts FROM events x
              WHERE x.conversation = c.id AND x.seq > c.expired ORDER BY x.seq LIMIT room) e;
        IF last_due IS NOT NULL THEN
            DELETE FROM revisions r
                WHERE r.conversation = c.id AND r.seq > c.expired AND r.seq <= last_due;
            UPDATE events e SET body = NULL, deleted = true, deleted_at = now_ms,
                revised = c.revision
            WHERE e.conversation = c.id AND e.kind = 1 AND NOT e.deleted
                AND e.target > c.expired AND e.target <= last_due;
            UPDATE events e SET body = NULL, meta = NULL, deleted = true, deleted_at = now_ms,
                revised = c.revision
            WHERE e.conversation = c.id AND e.kind = 0 AND NOT e.deleted
                AND e.seq > c.expired AND e.seq <= last_due;
            GET DIAGNOSTICS emptied = ROW_COUNT;
            messages := messages + emptied;
        END IF;
        UPDATE conversations x SET
            expired = coalesce(last_due, x.expired),
            revision = c.revision,
            expires_at = CASE WHEN next_ts IS NOT NULL THEN next_ts + c.kept
                WHEN looked < room THEN now_ms + c.kept  -- what comes from now on
                ELSE now_ms END
        WHERE x.id = c.id;
        room := room - greatest(looked, 1);
    END LOOP;
    more := room <= 0;
END
$$;

-- How far the erasure of a user has come, by conversation; all of it is gone at the end. A private
-- conversation's id follows from the names, so its events get another one: `target`, and its other
-- member waits here until that is done.
CREATE TABLE erasures (
    username     text   NOT NULL,
    conversation uuid   NOT NULL,
    upto         bigint NOT NULL DEFAULT 0,
    target       uuid,
    other        members,
    PRIMARY KEY (username, conversation)
);

-- A text of up to 255 bytes in MessagePack.
CREATE FUNCTION packed_text(p_text text) RETURNS bytea LANGUAGE sql IMMUTABLE
AS $$
    SELECT '\xd9'::bytea || set_byte('\x00'::bytea, 0, octet_length(p_text))
        || convert_to(p_text, 'UTF8')
$$;

-- {"type": "member", "user": …, "role": …} in MessagePack,.
CREATE FUNCTION member_body(p_user text, p_role text) RETURNS bytea LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE WHEN p_role IS NULL THEN '\x82'::bytea ELSE '\x83'::bytea END
        || '\xa474797065a66d656d626572a475736572'::bytea || packed_text(p_user)
        || CASE WHEN p_role IS NULL THEN ''::bytea ELSE '\xa4'::bytea || 'role'::bytea
            || packed_text(p_role) END
$$;

-- One bounded step of the erasure of a user who is in no group any more: true when nothing is left.
CREATE FUNCTION erase_step(p_user text, p_pseudonym text, p_limit integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    now_ms bigint := floor(extract(epoch FROM clock_timestamp()) * 1000);
    fenced smallint[];
    job erasures;
    c conversations;
    other_member members;
    raw bytea;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(x'6334'::integer, 1);
    fenced := fenced_shards();
    SELECT * INTO job FROM erasures e WHERE e.username = p_user
        ORDER BY e.conversation LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
        -- What is done names the user no longer, so this finds what is left, however often.
        INSERT INTO erasures (username, conversation)
            SELECT p_user, x.id FROM (
                SELECT m.conversation AS id FROM members m WHERE m.username = p_user
                UNION SELECT e.conversation FROM events e WHERE e.subject = p_user
                UNION SELECT v.id FROM conversations v WHERE v.created_by = p_user
            ) x
            WHERE (logical_shard(x.id) = ANY (SELECT f.shard FROM shard_fences f
                WHERE f.state <> 'frozen')) IS NOT TRUE
            ON CONFLICT DO NOTHING;
        IF FOUND THEN
            RETURN false;
        END IF;
        UPDATE journal j SET joined_users = array_replace(j.joined_users, p_user, p_pseudonym)
            WHERE p_user = ANY (j.joined_users);
        RETURN true;
    END IF;
    IF logical_shard(job.conversation) = ANY (fenced) THEN
        RAISE EXCEPTION 'a conversation is not served here' USING ERRCODE = 'C4M01';
    END IF;
    SELECT * INTO c FROM conversations x WHERE x.id = job.conversation FOR NO KEY UPDATE;

    IF job.target IS NULL THEN
        IF c.type = 'private' THEN
            DELETE FROM members m WHERE m.conversation = c.id AND m.username = p_user;
        END IF;
        UPDATE conversations x SET revision = x.revision + 1,
            created_by = CASE WHEN x.created_by = p_user THEN p_pseudonym ELSE x.created_by END
            WHERE x.id = c.id;
        DELETE FROM revisions r USING events e
            WHERE r.conversation = c.id AND r.seq > job.upto AND r.seq <= job.upto + p_limit
                AND e.conversation = r.conversation AND e.seq = r.seq AND e.sender = p_user;
        UPDATE events e SET body = NULL, meta = NULL, digest = 0, revised = c.revision + 1,
            deleted = e.deleted OR e.kind <> 3,
            deleted_at = CASE WHEN e.kind <> 3 THEN coalesce(e.deleted_at, now_ms) END
            WHERE e.conversation = c.id AND e.seq > job.upto AND e.seq <= job.upto + p_limit
                AND e.sender = p_user AND e.kind IN (0, 1, 3);
        UPDATE events e SET subject = p_pseudonym, digest = 0, revised = c.revision + 1,
            body = CASE WHEN e.kind IN (4, 5) THEN member_body(p_pseudonym, e.role) ELSE e.body END,
            meta = CASE WHEN e.kind = 6 THEN '\x82a475736572'::bytea || packed_text(p_pseudonym)
                || '\xa4'::bytea || 'role'::bytea || packed_text(e.role) ELSE e.meta END
            WHERE e.conversation = c.id AND e.seq > job.upto AND e.seq <= job.upto + p_limit
                AND e.subject = p_user;
        UPDATE events e SET sender = p_pseudonym, revised = c.revision + 1
            WHERE e.conversation = c.id AND e.seq > job.upto AND e.seq <= job.upto + p_limit
                AND e.sender = p_user;
        IF c.head > job.upto + p_limit THEN
            UPDATE erasures e SET upto = job.upto + p_limit
                WHERE e.username = p_user AND e.conversation = c.id;
        ELSIF c.type = 'group' THEN
            DELETE FROM erasures e WHERE e.username = p_user AND e.conversation = c.id;
        ELSE
            -- From here on nobody is a member, so nobody writes: the other one comes back below.
            raw := uuid_send(gen_random_uuid());
            raw := set_byte(raw, 15, (get_byte(raw, 15) & 192) | logical_shard(c.id));
            DELETE FROM members m WHERE m.conversation = c.id RETURNING m.* INTO other_member;
            UPDATE erasures e
                SET target = encode(raw, 'hex')::uuid,
                    other = CASE WHEN other_member.username IS NOT NULL THEN other_member END
                WHERE e.username = p_user AND e.conversation = c.id;
            INSERT INTO conversations (id, type, title, created_by, created_at, head, active_at,
                metadata, retention, expired, expires_at, revision, digest, trace)
                SELECT encode(raw, 'hex')::uuid, x.type, x.title, x.created_by, x.created_at,
                    x.head, x.active_at, x.metadata, x.retention, x.expired, x.expires_at,
                    x.revision, x.digest, x.trace
                FROM conversations x WHERE x.id = c.id;
        END IF;
        RETURN false;
    END IF;

    IF EXISTS (SELECT FROM events e WHERE e.conversation = c.id) THEN
        UPDATE conversations x SET revision = x.revision + 1 WHERE x.id = job.target
            RETURNING x.* INTO c;
        WITH taken AS (
            UPDATE events e SET conversation = job.target, revised = c.revision
            WHERE e.conversation = job.conversation AND e.seq IN (
                SELECT x.seq FROM events x WHERE x.conversation = job.conversation
                ORDER BY x.seq LIMIT p_limit)
            RETURNING e.seq
        )
        UPDATE revisions r SET conversation = job.target FROM taken
            WHERE r.conversation = job.conversation AND r.seq = taken.seq;
        RETURN false;
    END IF;
    DELETE FROM conversations x WHERE x.id = job.conversation;
    other_member := job.other;
    IF other_member.username IS NOT NULL THEN
        other_member.conversation := job.target;
        INSERT INTO members SELECT other_member.*;
        INSERT INTO journal (writer, heads, joined_conversations, joined_users)
            VALUES ('erasure', uuid_send(job.target) || int8send(0), ARRAY[job.target],
                    ARRAY[other_member.username]);
    END IF;
    DELETE FROM erasures e WHERE e.username = p_user AND e.conversation = job.conversation;
    RETURN false;
END
$$;
