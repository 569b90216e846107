"""An account at an S3 store: asks for things with its credentials, and tells what was answered.

For who sets a store up or examines it, where a refusal is a finding and no error. What recordings go through
is elsewhere (`opening`).

Conventions: an operation is named as in the S3 API (``PutObject``); parameters are those of boto3. Whatever
says nothing of the account's rights is raised: a store that can't be reached, credentials that it does not
know. Nothing is asked for twice: a second attempt would meet what the first has done. Messages name the store
and the profile, never a key.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, cast

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from callseal.config.central import S3Store
from callseal.store.errors import StoreDenied, StoreError, StoreRefused
from callseal.store.s3_client import make_client
from callseal.store.s3_errors import REMOTE_ERRORS, code_of, is_about_credentials, translate

NONSENSE: Final = b"<nonsense>"
"""No document at all: whoever may make a change is told 400, whoever may not 403, and nothing is changed."""

_CLOCK_CODES: Final = frozenset({"RequestExpired", "RequestTimeTooSkewed"})
_MISADDRESSED: Final = frozenset({"AuthorizationHeaderMalformed", "PermanentRedirect"})
_NOT_ABOUT_RIGHTS: Final = _CLOCK_CODES | _MISADDRESSED
_NO_BUCKET: Final = "NoSuchBucket"


class Kind(StrEnum):
    """What an answer comes to."""

    DONE = "done"
    DENIED = "denied"
    MISSING = "missing"
    TAKEN = "taken"
    CONFLICT = "conflict"
    INVALID = "invalid"
    UNKNOWN = "unknown"
    """The store does not have this operation at all."""
    BUSY = "busy"


_KINDS: Final = {
    400: Kind.INVALID,
    403: Kind.DENIED,
    404: Kind.MISSING,
    405: Kind.UNKNOWN,
    408: Kind.BUSY,
    409: Kind.CONFLICT,
    412: Kind.TAKEN,
    415: Kind.UNKNOWN,
    429: Kind.BUSY,
    501: Kind.UNKNOWN,
}
_FIRST_ERROR: Final = 300
_FIRST_OF_SERVER: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the store answered: its status and code, and the reply if it did what was asked."""

    status: int
    code: str = ""
    reply: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @property
    def kind(self) -> Kind:
        """What it comes to."""
        if self.status < _FIRST_ERROR:
            return Kind.DONE
        return _KINDS.get(self.status, Kind.BUSY if self.status >= _FIRST_OF_SERVER else Kind.INVALID)

    @property
    def done(self) -> bool:
        """Whether it was done."""
        return self.kind is Kind.DONE

    def __str__(self) -> str:
        return str(self.status) if self.code in {"", str(self.status)} else f"{self.status} {self.code}"


class Account:
    """One profile's credentials at the store of one table of the settings.

    Without a profile they are the usual ones, never those that the settings name: they are a service's.
    StoreDenied where there are none.
    """

    def __init__(self, item: S3Store, profile: str | None) -> None:
        who = "the usual credentials" if profile is None else f"profile {profile!r}"
        self._where = f"store {item.name!r}, {who}"
        self._name = item.name
        with self._translated():
            self._client = make_client(item.model_copy(update={"profile": ""}), profile=profile)

    def ask(self, operation: str, **parameters: object) -> Answer:
        """Ask for one thing.

        Raises StoreUnreachable, StoreDenied where the credentials are not known, StoreRefused where there is
        no such bucket (but for ``HeadBucket``, which asks just that).
        """
        with self._translated():
            answer = self._ask(operation, parameters)
            body = answer.reply.get("Body")
            if isinstance(body, StreamingBody):
                body.close()
            return answer

    def ask_nonsense(self, operation: str, **parameters: object) -> Answer:
        """Ask for a change of the bucket's settings, with a body that no store can carry out."""

        def spoil(params: dict[str, object], **_context: object) -> None:
            params["body"] = NONSENSE

        event = f"before-call.s3.{operation}"
        events = self._client.meta.events
        events.register(event, spoil)
        try:
            return self.ask(operation, **parameters)
        finally:
            events.unregister(event, spoil)

    def read(self, **parameters: object) -> tuple[Answer, bytes]:
        """Ask for an object, and read it whole: for what is known to be small."""
        with self._translated():
            answer = self._ask("GetObject", parameters)
            body = answer.reply.get("Body")
            return answer, body.read() if isinstance(body, StreamingBody) else b""

    def _ask(self, operation: str, parameters: Mapping[str, object]) -> Answer:
        method = cast("Callable[..., Mapping[str, object]]", getattr(self._client, xform_name(operation)))
        try:
            return Answer(status=200, reply=method(**parameters))
        except ClientError as problem:
            code = code_of(problem)
            status = int(problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            if code in _NOT_ABOUT_RIGHTS or is_about_credentials(problem):
                raise StoreDenied(str(translate(problem, self._where))) from problem
            if code == _NO_BUCKET and operation != "HeadBucket":
                words = f"store {self._name!r}: there is no bucket {parameters.get('Bucket')!r}"
                raise StoreRefused(f"{words}: make it with `callseal store init`") from problem
            return Answer(status=status, code=code)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what the store, the network and the credentials raise into errors of stores."""
        try:
            yield
        except StoreError:
            raise
        except REMOTE_ERRORS as problem:
            raise translate(problem, self._where) from problem
