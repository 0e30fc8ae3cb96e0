"""What can go wrong.

ClientError
├── ConnectError             no connection came about in the time allowed
├── ConnectionRefusedByServer  the server does not want this client: connecting again is no use
├── ClientClosed             the client was closed while this was waiting
├── OutcomeUnknown           the connection broke before the answer; it may have been done
├── TransferFailed           an upload or download was given up for now: the same call goes on
├── FileChanged              the file on the disk was changed while it was uploaded
├── WrongChecksum            what came is not the file: nothing of it was kept
└── RequestRefused           the server answered with an error; nothing was changed
    └── SendRefused          … to a message, which is given up
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of everything this package raises on purpose."""


class ConnectError(ClientError):
    """No connection came about in the time allowed; the text says why the last attempt failed."""


class ConnectionRefusedByServer(ClientError):
    """The server refused for good: wrong token, kicked, replaced by the same device, …"""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the server refused the connection: {reason or 'no reason'} ({code})")
        self.code = code
        """The WebSocket close code, or the HTTP status of a refused handshake."""
        self.reason = reason


class ClientClosed(ClientError):
    """The client was closed. What was on the wire may have been stored."""


class OutcomeUnknown(ClientError):
    """No answer came, and asking again could do it twice."""


class TransferFailed(ClientError):
    """An upload or download was given up for now; the same call goes on where it stopped."""


class FileChanged(ClientError):
    """The file on the disk was changed while it was uploaded: upload it again."""


class WrongChecksum(ClientError):
    """What came is not the file that was uploaded. Nothing of it was kept."""


class RequestRefused(ClientError):
    """The server refused a request; nothing was changed or stored."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        """One of `chat4all_protocol.codes.ErrorCode`."""
        self.message = message
        """In words, for people."""
        self.field = field
        """The path of the field at fault, if one is."""


class SendRefused(RequestRefused):
    """A message was refused for good: sending it again would not help."""
