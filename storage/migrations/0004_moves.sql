-- Logical shards that move from database to database, and nodes that read meanwhile.

-- True, or an error if any of these conversations is not served here: they are elsewhere, or on
-- their way here. A read has it in its own statement, so that both see the same moment.
CREATE FUNCTION check_served(p_conversations uuid[]) RETURNS boolean
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    fenced smallint[];
BEGIN
    SELECT array_agg(shard) INTO fenced FROM shard_fences WHERE state <> 'frozen';
    IF fenced IS NOT NULL AND EXISTS (
        SELECT FROM unnest(p_conversations) AS c (id) WHERE logical_shard(c.id) = ANY (fenced)
    ) THEN
        RAISE EXCEPTION 'a conversation is not served here' USING ERRCODE = 'C4M01';
    END IF;
    RETURN true;
END
$$;

-- Neither column ever changes, so updates in place stay what they are.
CREATE INDEX conversations_by_shard ON conversations (shard, id);

-- In the directory: every database that was ever used with it, by its lasting name. The address
-- (host, port and database, no credentials) is the one that a node reached it by last.
CREATE TABLE databases (
    name    uuid PRIMARY KEY,
    address text NOT NULL
);

-- In the directory: moves that are not over, so that whoever comes next finishes them.
CREATE TABLE shard_moves (
    shard      smallint PRIMARY KEY,
    source     uuid NOT NULL,
    target     uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);
