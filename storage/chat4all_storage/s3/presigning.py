"""Addresses of S3 that carry their own right: Signature Version 4 in the query.

Botocore's presigning walks its models and rules for each address; an upload of 2 GiB needs 256 at
once. This is the same signature and nothing around it.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import hmac
import math
from hashlib import sha256
from time import gmtime, strftime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST: Final = 7 * 24 * 3600
"""Seconds for which S3 lets an address live."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Credentials(Struct, frozen=True):
    """Who signs."""

    access_key: str
    secret_key: str
    token: str | None = None
    """Of credentials that are lent for a time."""


class Presigner:
    """Signs addresses of one bucket, as clients reach it."""

    def __init__(self, endpoint: str, bucket: str, region: str, *, path_style: bool) -> None:
        """`path_style`: the bucket is in the path, not in the host's name."""
        parts = urlsplit(endpoint)
        host = parts.hostname or ""
        if ":" in host:
            host = f"[{host}]"
        if parts.port is not None and parts.port != _DEFAULT_PORTS.get(parts.scheme):
            host = f"{host}:{parts.port}"
        self._host = host if path_style else f"{bucket}.{host}"
        self._scheme = parts.scheme
        self._prefix = parts.path.rstrip("/") + (f"/{bucket}/" if path_style else "/")
        self._region = region
        self._key: tuple[str, str, bytes] = ("", "", b"")

    def sign(
        self,
        credentials: Credentials,
        method: str,
        key: str,
        query: Mapping[str, str],
        *,
        lifetime: float,
        now: float,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """The address at which this is done with an object until `lifetime` seconds after `now`.

        Whoever uses it has to send exactly these `headers` (named in lower case) and may send
        others. An address lives for a week at most.
        """
        at = strftime("%Y%m%dT%H%M%SZ", gmtime(now))
        scope = f"{at[:8]}/{self._region}/s3/aws4_request"
        signed = {"host": self._host, **(headers or {})}
        names = ";".join(sorted(signed))
        fields = {
            **query,
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{credentials.access_key}/{scope}",
            "X-Amz-Date": at,
            "X-Amz-Expires": str(max(1, min(math.ceil(lifetime), LONGEST))),
            "X-Amz-SignedHeaders": names,
        }
        if credentials.token is not None:
            fields["X-Amz-Security-Token"] = credentials.token
        asked = "&".join(sorted(f"{_quote(name)}={_quote(text)}" for name, text in fields.items()))
        path = self._prefix + quote(key, safe="/-_.~")
        request = "\n".join(
            [
                method,
                path,
                asked,
                *(f"{name}:{signed[name]}" for name in sorted(signed)),
                "",
                names,
                "UNSIGNED-PAYLOAD",
            ]
        )
        digest = sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}"
        secret = self._signing_key(credentials.secret_key, at[:8])
        signature = hmac.new(secret, text.encode(), sha256).hexdigest()
        return f"{self._scheme}://{self._host}{path}?{asked}&X-Amz-Signature={signature}"

    def _signing_key(self, secret: str, day: str) -> bytes:
        """The key of a day, which is the same for all addresses of it."""
        if self._key[:2] != (secret, day):
            key = f"AWS4{secret}".encode()
            for word in (day, self._region, "s3", "aws4_request"):
                key = hmac.new(key, word.encode(), sha256).digest()
            self._key = (secret, day, key)
        return self._key[2]


def _quote(text: str) -> str:
    return quote(text, safe="-_.~")
