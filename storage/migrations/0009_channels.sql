-- Channels to other networks, in the directory: who holds an account, what came in, what is to be
-- sent and how far that has come, people there and users who are linked to them.

CREATE TABLE channel_accounts (
    account    text PRIMARY KEY,              -- as configured: telegram, telegram:support
    holder     text,                          -- the node that sends and works on what came in
    held_until timestamptz NOT NULL DEFAULT '-infinity',
    state      text NOT NULL DEFAULT 'unknown',
    detail     text NOT NULL DEFAULT '',
    told_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    cursor     text                           -- where polling goes on
);

-- What came in, once by its key; the body goes when it was worked on.
CREATE TABLE channel_inbox (
    id          bigserial PRIMARY KEY,
    account     text NOT NULL,
    key         text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body        bytea,
    attempts    integer NOT NULL DEFAULT 0,
    aside       text,                         -- why it can't be worked on
    UNIQUE (account, key)
);
CREATE INDEX channel_inbox_pending ON channel_inbox (account, id)
    WHERE body IS NOT NULL AND aside IS NULL;
CREATE INDEX channel_inbox_by_age ON channel_inbox (received_at);

CREATE TABLE deliveries (
    id           bigserial PRIMARY KEY,
    account      text     NOT NULL,
    chat         text     NOT NULL,           -- the provider's id
    address      text     NOT NULL,           -- the member it is for
    conversation uuid     NOT NULL,
    seq          bigint   NOT NULL,
    kind         smallint NOT NULL,
    target       bigint,
    part         integer  NOT NULL DEFAULT 0,
    state        text     NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'unknown',
                     'sent', 'delivered', 'read', 'failed', 'dropped')),
    attempts     integer  NOT NULL DEFAULT 0,
    message      text,                        -- the provider's id
    reason       text,
    due_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    added_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),  -- of its state
    sent_at      timestamptz,
    step_states  text[]        NOT NULL DEFAULT '{}',
    step_times   timestamptz[] NOT NULL DEFAULT '{}',
    UNIQUE (conversation, seq, account, chat, part)
);
CREATE INDEX deliveries_by_message ON deliveries (account, message) WHERE message IS NOT NULL;
CREATE INDEX deliveries_open ON deliveries (account, chat, id)
    WHERE state IN ('queued', 'sending');
CREATE INDEX deliveries_sent ON deliveries (account, chat, sent_at)
    WHERE state IN ('sent', 'delivered');
CREATE INDEX deliveries_in_trouble ON deliveries (state, id) WHERE state IN ('failed', 'unknown');
CREATE INDEX deliveries_at_rest ON deliveries (changed_at)
    WHERE state NOT IN ('queued', 'sending');

-- Which event a message at a provider is, whoever wrote it.
CREATE TABLE channel_messages (
    account      text    NOT NULL,
    chat         text    NOT NULL,
    message      text    NOT NULL,
    conversation uuid    NOT NULL,
    seq          bigint  NOT NULL,
    address      text    NOT NULL,
    part         integer NOT NULL DEFAULT 0,
    noted_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account, chat, message)
);
CREATE INDEX channel_messages_of_event ON channel_messages (conversation, seq);
CREATE INDEX channel_messages_by_age ON channel_messages (noted_at);

CREATE TABLE contacts (
    address      text PRIMARY KEY,            -- channel:identity, a member's name
    account      text NOT NULL,
    chat         text NOT NULL,
    name         text,
    handle       text,
    reachable    boolean NOT NULL DEFAULT true,
    wrote_at     bigint,                      -- milliseconds since the epoch, by the provider
    last_message text,
    conversation uuid,                        -- where the next message belongs
    UNIQUE (account, chat)
);
CREATE TABLE contact_aliases (
    account text NOT NULL,
    alias   text NOT NULL,
    address text NOT NULL REFERENCES contacts ON DELETE CASCADE,
    PRIMARY KEY (account, alias)
);

-- Users who say to be somebody on a channel, and have proved it once `verified_at` is set.
CREATE TABLE channel_links (
    username    text NOT NULL,
    channel     text NOT NULL,
    address     text NOT NULL,
    chat        text NOT NULL,
    code_hash   bytea,
    expires_at  bigint,
    tries       integer NOT NULL DEFAULT 0,
    verified_at bigint,
    PRIMARY KEY (username, channel)
);
CREATE UNIQUE INDEX channel_links_verified ON channel_links (channel, chat)
    WHERE verified_at IS NOT NULL;
