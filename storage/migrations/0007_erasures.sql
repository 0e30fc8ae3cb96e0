-- Users who were erased from the directory, and whose traces in the conversations are being removed.
-- Until that is done nobody else may have the name: it would meet what is left.

CREATE TABLE user_erasures (
    user_id       uuid PRIMARY KEY,
    username      text NOT NULL,
    pseudonym     text NOT NULL,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    claimed_until timestamptz NOT NULL DEFAULT '-infinity'   -- a node is at it until then
);
CREATE UNIQUE INDEX user_erasures_by_name ON user_erasures (lower(username COLLATE "C"));
