"""The Python SDK of chat4all: a client that stays connected, loses nothing and repeats nothing.

    async with open_client("http://127.0.0.1:8000", token=token, device="laptop") as client:
        await client.send(conversation_id, "hello")     # returns once it is committed
        async for event in client.events():             # in order, over any number of reconnects
            if isinstance(event, Msg):
                print(event.from_, event.body)

    async with open_files("http://127.0.0.1:8000", token=token) as files:
        file = await files.upload("plan.pdf")
        await client.send(conversation_id, file.body("the plan"))

It runs on trio. `open_client` says what can be set, `Client` what can be done, `CursorStore` where
a restart goes on, `ClientError` what can go wrong. Times are in seconds, but for those of frames:
they are milliseconds since the epoch.
"""

from chat4all_protocol.frames import (
    Body,
    Composing,
    Conv,
    FileBody,
    FileProgress,
    MemberBody,
    Msg,
    Presence,
    Receipt,
    SendBody,
    Sent,
    TextBody,
)

from .client import Client
from .conversations import Conversation
from .cursors import CursorFile, Cursors, CursorStore, MemoryCursors
from .errors import (
    ClientClosed,
    ClientError,
    ConnectError,
    ConnectionRefusedByServer,
    FileChanged,
    OutcomeUnknown,
    RequestRefused,
    SendRefused,
    TransferFailed,
    WrongChecksum,
)
from .events import Connected, Disconnected, Event
from .figures import ClientStatistics
from .file_answers import RemoteFile
from .files import Files, open_files
from .opening import open_client
from .stream import EventStream
from .transport import Opener, Transport, TransportClosed, TransportRefused
from .upload_notes import UploadNotes
from .waiting import Outgoing

__all__ = [
    "Body",
    "Client",
    "ClientClosed",
    "ClientError",
    "ClientStatistics",
    "Composing",
    "ConnectError",
    "Connected",
    "ConnectionRefusedByServer",
    "Conv",
    "Conversation",
    "CursorFile",
    "CursorStore",
    "Cursors",
    "Disconnected",
    "Event",
    "EventStream",
    "FileBody",
    "FileChanged",
    "FileProgress",
    "Files",
    "MemberBody",
    "MemoryCursors",
    "Msg",
    "Opener",
    "OutcomeUnknown",
    "Outgoing",
    "Presence",
    "Receipt",
    "RemoteFile",
    "RequestRefused",
    "SendBody",
    "SendRefused",
    "Sent",
    "TextBody",
    "TransferFailed",
    "Transport",
    "TransportClosed",
    "TransportRefused",
    "UploadNotes",
    "WrongChecksum",
    "open_client",
    "open_files",
]
