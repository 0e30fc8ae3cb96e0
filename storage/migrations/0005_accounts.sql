-- Holds the place of the accounts' migration until that one is merged.
SELECT 1;
