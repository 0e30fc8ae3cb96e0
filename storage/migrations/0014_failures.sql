-- Programs are told of what can't be sent through a channel: rows of the journal, as those of files.

ALTER TABLE journal
    ADD COLUMN failed_conversation uuid,
    ADD COLUMN failed_seq bigint,
    ADD COLUMN failed_user text,              -- the member whom it does not reach
    ADD COLUMN failed_account text,
    ADD COLUMN failed_reason text;
