"""The time-stamping authority, over HTTP: a question goes there, an answer comes back, unread.

Conventions: ``http`` or ``https``; the answer is signed, so that plain HTTP loses nothing but privacy, and
there is none to lose: the question is a hash. A proxy is taken from the environment (``http_proxy``,
``https_proxy``, ``no_proxy``). Redirects are not followed: to follow one with a POST is not defined well,
and an authority has one address. An address in messages has no query, where some put a password.
This module opens sockets.

Source: RFC 3161, section 3.4.
"""

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from callseal.archive.errors import AuthorityRefused, AuthorityUnreachable
from callseal.seal.stamp import MAX_STAMP_BYTES

TIMEOUT_S: Final = 20.0
SCHEMES: Final = ("http", "https")

_QUERY_TYPE: Final = "application/timestamp-query"
_REPLY_TYPE: Final = "application/timestamp-reply"
_BLOCK_SIZE_BYTES: Final = 16 * 1024
_REDIRECTS: Final = range(300, 400)
_CLIENT_ERRORS: Final = range(400, 500)
_TRY_LATER: Final = frozenset({408, 425, 429})
_MAX_WORDS: Final = 200


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows none: the answer with the redirect becomes an HTTPError."""

    def redirect_request(self, *_arguments: object) -> None:
        """Return that there is no other request to make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """An authority at an address; ValueError for what is no address of one."""

    url: str
    timeout_s: float = TIMEOUT_S
    """How long it may keep silent, and again how long the whole answer may take."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in SCHEMES or not parts.hostname or not self.url.isascii():
            raise ValueError("an authority's address begins with http:// or https:// and names a host")
        if parts.username is not None or parts.password is not None:
            raise ValueError("an authority's address must not hold a name or a password")
        _ = parts.port  # raises ValueError for what is no port

    @property
    def name(self) -> str:
        """The address as it may be shown."""
        parts: SplitResult = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{parts.path}"

    def ask(self, question: bytes) -> bytes:
        """Return the answer's bytes, whatever they are, at most `MAX_STAMP_BYTES`.

        Raises AuthorityUnreachable and AuthorityRefused.
        """
        request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
            self.url,
            data=question,
            headers={"Content-Type": _QUERY_TYPE, "Accept": _REPLY_TYPE, "User-Agent": "callseal"},
            method="POST",
        )
        opener = urllib.request.build_opener(_NoRedirect())
        with self._network(), opener.open(request, timeout=self.timeout_s) as response:
            return self._read(response)

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        data = bytearray()
        deadline_s = time.monotonic() + self.timeout_s
        while block := response.read1(_BLOCK_SIZE_BYTES):
            data += block
            if len(data) > MAX_STAMP_BYTES:
                raise AuthorityRefused(
                    f"{self.name}: answers with more than the {MAX_STAMP_BYTES} bytes allowed"
                )
            if time.monotonic() > deadline_s:
                raise AuthorityUnreachable(f"{self.name}: its answer takes longer than {self.timeout_s:g} s")
        return bytes(data)

    @contextmanager
    def _network(self) -> Iterator[None]:
        """Turn what the network does into errors of ours."""
        try:
            yield
        except urllib.error.HTTPError as answer:
            answer.close()
            raise self._not_ok(answer.code) from answer
        except (OSError, http.client.HTTPException, ValueError) as problem:
            # A URLError wraps the OSError that says what happened.
            reason = problem.reason if isinstance(problem, urllib.error.URLError) else problem
            words = (str(reason) or type(reason).__name__)[:_MAX_WORDS]
            raise AuthorityUnreachable(f"{self.name}: can't be reached: {words}") from problem

    def _not_ok(self, status: int) -> AuthorityRefused | AuthorityUnreachable:
        if status in _REDIRECTS:
            return AuthorityRefused(
                f"{self.name}: sends elsewhere (HTTP {status}): give the address that it sends to"
            )
        if status in _CLIENT_ERRORS and status not in _TRY_LATER:
            return AuthorityRefused(f"{self.name}: refuses (HTTP {status}): is this an authority's address?")
        return AuthorityUnreachable(f"{self.name}: out of order (HTTP {status})")
