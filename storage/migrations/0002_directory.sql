-- Users, and which database holds which logical shard. Used in the first database only.

CREATE TABLE users (
    id            uuid   PRIMARY KEY,
    username      text   NOT NULL,
    password_hash bytea  NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now()
);
-- In "C", since names are ASCII, and lower('I') depends on the database's language elsewhere.
CREATE UNIQUE INDEX users_by_name ON users (lower(username COLLATE "C"));

-- Each database's own lasting name, in each database, and that of the first one it was used with.
CREATE TABLE database_identity (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    name      uuid NOT NULL DEFAULT gen_random_uuid(),
    directory uuid
);
INSERT INTO database_identity DEFAULT VALUES;

CREATE TABLE shards (
    shard    smallint PRIMARY KEY,
    database uuid NOT NULL
);
