"""What a store can fail with.

StorageError
├── Unavailable     for now, and surely nothing was stored: trying again makes sense
│   └── Moved       the conversation is in another database, or on its way there
├── InDoubt         for now, and the write may have been stored: only a retry can tell
├── Rejected        the store will never accept this; nothing was stored
├── UsernameTaken   answers of the directory: nothing was stored
└── ClientTaken
"""

from __future__ import annotations


class StorageError(Exception):
    """A store failed; see the module."""


class Unavailable(StorageError):
    """The store can't be used for now. Nothing was stored."""


class Moved(Unavailable):
    """The logical shard of a conversation is on its way to another database, or is there."""


class InDoubt(StorageError):
    """The connection broke while a write was under way: it may have been committed."""


class Rejected(StorageError):
    """The store refuses this for good: a defect, not bad luck. Nothing was stored."""


class UsernameTaken(StorageError):
    """A user of that name exists, perhaps in other letter case."""


class ClientTaken(StorageError):
    """A service client of that id or name exists."""
