-- What is known of files; their bytes are in an object store. Used in the first database only.

CREATE TABLE files (
    id               uuid PRIMARY KEY,
    owner            text NOT NULL,
    name             text NOT NULL,
    size             bigint NOT NULL CHECK (size > 0),
    mime             text NOT NULL,
    conversation     uuid,
    key              text NOT NULL,
    chunk_size       bigint NOT NULL CHECK (chunk_size > 0),
    state            text NOT NULL DEFAULT 'uploading' CHECK (state IN
        ('uploading', 'checking', 'ready', 'quarantined', 'rejected', 'removing')),
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at       timestamptz NOT NULL,
    upload           text,                     -- the store's name of the upload in parts
    sha256           bytea,
    reason           text,
    width            integer,
    height           integer,
    thumbnail        text,                     -- the key of an object that may stand
    thumbnail_stands boolean NOT NULL DEFAULT false,
    completed_at     timestamptz,
    bytes_stand      boolean NOT NULL DEFAULT true,
    holder           text,                     -- who checks it, or did last
    held_until       timestamptz NOT NULL DEFAULT '-infinity', -- a check or removal is somebody's
    looked_at        timestamptz,              -- when the last look at its uses began
    use_noted        boolean NOT NULL DEFAULT false,           -- since then
    unused_since     timestamptz
);
CREATE INDEX files_of_owner ON files (owner, id) INCLUDE (size, state);
-- One for each question of the sweeper, which holds what it asks for and nothing else.
CREATE INDEX files_by_expiry ON files (expires_at) WHERE state = 'uploading';
CREATE INDEX files_in_check ON files (held_until) WHERE state = 'checking';
CREATE INDEX files_unscanned ON files (completed_at)
    WHERE state = 'quarantined' AND reason = 'unscanned';
CREATE INDEX files_in_quarantine ON files (id) WHERE state = 'quarantined';
CREATE INDEX files_by_look ON files (looked_at) WHERE state = 'ready';
CREATE INDEX files_to_remove ON files (held_until)
    WHERE state IN ('rejected', 'removing') AND bytes_stand;
CREATE INDEX files_to_forget ON files (completed_at) WHERE state = 'rejected' AND NOT bytes_stand;

-- Events that were to carry a file: noted before they were stored.
CREATE TABLE file_uses (
    file         uuid NOT NULL REFERENCES files ON DELETE CASCADE,
    conversation uuid NOT NULL,
    event        uuid NOT NULL,
    noted_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (file, conversation, event)
);
