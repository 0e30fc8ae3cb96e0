-- Who somebody is, and what was done in whose name. Used in the first database only.

ALTER TABLE users
    ADD COLUMN email text,
    ADD COLUMN display_name text,
    ADD COLUMN password_changed_at timestamptz;

-- One row for each device that logged in: a family of refresh tokens, of which one counts.
CREATE TABLE logins (
    id            uuid PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    device        text,
    address       text,
    user_agent    text,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_used_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    salt          bytea NOT NULL,        -- the node derives the tokens from it and its own key
    generation    integer NOT NULL DEFAULT 1,
    token_hash    bytea NOT NULL,
    previous_hash bytea,
    rotated_at    timestamptz,
    expires_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    ended_why     text
);
CREATE INDEX logins_of_user ON logins (user_id, last_used_at);
CREATE INDEX logins_by_expiry ON logins (expires_at);

-- What every node must learn within two seconds, and remember while access tokens live: logins that
-- ended, and names whose users or service clients are gone (see `users.valid_from`).
CREATE TABLE ended_logins (
    login    uuid PRIMARY KEY,
    username text NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ended_logins_by_at ON ended_logins (at);
CREATE TABLE revoked_names (
    name       text PRIMARY KEY,
    valid_from bigint NOT NULL
);
CREATE INDEX revoked_names_by_valid_from ON revoked_names (valid_from);

CREATE TABLE service_clients (
    id          text PRIMARY KEY,
    name        text NOT NULL,
    secret_hash bytea NOT NULL,
    scopes      text[] NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    disabled_at timestamptz
);
CREATE UNIQUE INDEX service_clients_by_name ON service_clients (name) WHERE disabled_at IS NULL;

CREATE TABLE signing_keys (
    kid         text PRIMARY KEY,
    algorithm   text NOT NULL CHECK (algorithm IN ('HS256', 'RS256', 'EdDSA')),
    secret      bytea NOT NULL,          -- encrypted with a key that only the nodes have
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    active_from timestamptz NOT NULL,
    retires_at  timestamptz
);

-- A user's second factor; it counts once it is confirmed.
CREATE TABLE second_factors (
    user_id      uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    secret       bytea NOT NULL,         -- encrypted, likewise
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    confirmed_at timestamptz,
    last_step    bigint NOT NULL DEFAULT 0,
    attempts     timestamptz[] NOT NULL DEFAULT '{}'
);
CREATE TABLE recovery_codes (
    user_id   uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    PRIMARY KEY (user_id, code_hash)
);

-- Written in the transaction of the act it tells of; without secrets, names or contents.
CREATE TABLE audit (
    id      bigserial PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor   text NOT NULL,
    act     text NOT NULL,
    subject text,
    address text,
    trace   bytea,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX audit_by_subject ON audit (subject, id);
CREATE INDEX audit_by_at ON audit (at);

-- What a request with an Idempotency-Key was answered.
CREATE TABLE idempotency (
    caller     text NOT NULL,
    key        text NOT NULL,
    digest     bytea NOT NULL,
    claim      uuid NOT NULL,            -- whose request is being answered
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    status     smallint,                 -- NULL: not answered yet
    body       bytea,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_by_age ON idempotency (claimed_at);
