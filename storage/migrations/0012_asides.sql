-- What came in through channels and was put aside is found without what was worked on.

CREATE INDEX channel_inbox_aside ON channel_inbox (account, id) WHERE aside IS NOT NULL;
