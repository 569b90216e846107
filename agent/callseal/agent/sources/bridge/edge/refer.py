"""A REFER within a dialog of the child: what is asked for (RFC 3515, 3891, 3892, 4488).

The edge answers it and the source has it carried out; the child never sees it. Nor does it see an INVITE that
is to take a call's place: nobody gets into a call that is recorded but by a REFER of who is in it.

Conventions: texts are those of the message, escapes of a URI's headers undone. What names people or numbers
is in no `repr`, and so in no log. Pure.
"""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from callseal.agent.errors import SipSyntaxError
from callseal.agent.sip import statuses
from callseal.agent.sip.grammar import Params, find_param, read_params, split_list
from callseal.agent.sip.message import Request
from callseal.agent.sip.proxying import Reply
from callseal.agent.sip.uri import MAX_URI_CHARS, Uri, parse_name_addr, parse_uri
from callseal.agent.sources.bridge.edge.dialog import Dialog
from callseal.agent.sources.bridge.edge.dialogs import Dialogs
from callseal.agent.sources.bridge.edge.facts import Party, untagged

_KNOWN_OPTIONS: Final = frozenset(("replaces", "tdialog"))
"""What a REFER may require; `norefersub` would have us send no NOTIFY, and the child always does."""
_SCHEMES: Final = frozenset(("sip", "sips", "tel"))
_DIALABLE: Final = re.compile(rf"[A-Za-z]+:[!#-;=@-~]{{1,{MAX_URI_CHARS}}}", re.ASCII)
"""Printable, without blanks, quotes and angle brackets."""
_PRINTABLE: Final = re.compile(r"[ -~]+", re.ASCII)
_DECLINED: Final = Reply(status=603, reason="Decline")
_NO_SUCH_CALL: Final = Reply(
    status=statuses.NO_SUCH_CALL.code,
    reason=statuses.NO_SUCH_CALL.reason,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Referred:
    """Somebody in a call of ours wants the other party to be connected with another one."""

    token: str
    side: Party
    """Who asks."""
    target_uri: str = field(repr=False)
    """Whom to call, without the URI's headers and method."""
    target_user: str = field(repr=False)
    """User part of that URI, or the number of a tel URI, as it is written; "" where there is none."""
    replaces_token: str | None
    """Another call of ours, whose place the new one is to take; it may not be answered yet."""
    replaces: str = field(repr=False)
    """The Replaces as it would be sent: "" for none, in which case this is no attended transfer."""
    referred_by: str = field(repr=False)
    """Who the asker says that it is, a name-addr; "" where it does not say."""
    call_id: str = field(repr=False)
    refer_id: str
    """Parameter `id` of the NOTIFYs' Event; "" for none."""
    wants_notify: bool
    """False for `Refer-Sub: false`; a 202 without Refer-Sub says that NOTIFYs come anyhow (RFC 4488)."""


def read_refer(request: Request, dialog: Dialog, dialogs: Dialogs) -> Referred | Reply:
    """Read a REFER of a dialog's other party, or say how to refuse it.

    One that is well-formed is counted in its dialog. Target-Dialog says nothing within a dialog.
    """
    unknown = [option for option in request.headers.all("require") if option.lower() not in _KNOWN_OPTIONS]
    if unknown:
        headers = tuple(("unsupported", option) for option in unknown)
        return Reply(status=420, reason="Bad Extension", headers=headers)
    try:
        uri, address = _refer_to(request)
        replaces = _replaces(address.headers)
        referred_by = _referred_by(request)
    except SipSyntaxError as error:
        return Reply(status=error.status or 400, reason=str(error))
    return Referred(
        token=dialog.token,
        side=dialog.other,
        target_uri=uri,
        target_user=address.user,
        replaces_token=_call_replaced(replaces, dialog, dialogs),
        replaces=replaces,
        referred_by=referred_by,
        call_id=request.call_id,
        refer_id=dialog.take_refer_id(request.cseq.number),
        wants_notify=_first_word(request.headers.get("refer-sub")) != "false",
    )


def refuse_replacing(invite: Request, side: Party, dialogs: Dialogs) -> Reply | None:
    """Say how an INVITE of a side is refused that is to take a call's place (RFC 3891 section 3).

    None for any other. Taken for a new call instead, it would ring somebody who may be in that very call.
    """
    values = invite.headers.all("replaces")
    if not values:
        return None
    if len(values) > 1:
        return Reply(status=400, reason="Exactly One Replaces Is Possible")
    params = _replaces_params(values[0])
    to_tag, from_tag = (find_param(params, name) or "" for name in ("to-tag", "from-tag"))
    found = dialogs.find_replaced(values[0].partition(";")[0].strip(), to_tag, from_tag, side=side)
    return _NO_SUCH_CALL if found is None else _DECLINED


def _refer_to(request: Request) -> tuple[str, Uri]:
    """Return whom to call: the URI to dial, and all that Refer-To has of it."""
    values = [item for value in request.headers.all("refer-to") for item in split_list(value)]
    if len(values) != 1:
        raise SipSyntaxError("Exactly One Refer-To Is Needed", status=400)
    try:
        uri = parse_name_addr(values[0]).uri
        address = parse_uri(uri)
    except SipSyntaxError as error:
        raise SipSyntaxError("Malformed Refer-To", status=error.status or 400) from None
    if not address.scheme or (address.scheme != "tel" and not address.host and address.scheme in _SCHEMES):
        raise SipSyntaxError("Malformed Refer-To", status=400)
    if address.scheme not in _SCHEMES:
        raise SipSyntaxError("Unsupported Scheme In Refer-To", status=416)
    if (address.param("method") or "INVITE").upper() != "INVITE":
        raise SipSyntaxError("Only Calls Can Be Transferred", status=403)
    dialled = _dialled(uri)
    if _DIALABLE.fullmatch(dialled) is None:
        raise SipSyntaxError("Malformed Refer-To", status=400)
    return dialled, address


def _dialled(uri: str) -> str:
    """Leave a URI's headers and its method out, which no request URI may have (RFC 3261 section 19.1.1)."""
    user, at, place = uri.partition("@") if "@" in uri else ("", "", uri)
    place = place.partition("?")[0]
    pieces = (piece for piece in place.split(";") if piece.partition("=")[0].lower() != "method")
    return f"{user}{at}{';'.join(pieces)}"


def _replaces(headers: Params) -> str:
    """Return the Replaces in a URI's headers, checked; "" where there is none."""
    values = [value for name, value in headers if name == "replaces"]
    if not values:
        return ""
    try:
        text = unquote(values[0], errors="strict").strip()
    except UnicodeDecodeError:
        text = ""
    params = _replaces_params(text)
    tags = [find_param(params, name) for name in ("to-tag", "from-tag")]
    names = [name for name, _ in params]
    is_whole = all(tags) and names.count("to-tag") == names.count("from-tag") == 1
    if len(values) != 1 or _PRINTABLE.fullmatch(text) is None or text.startswith(";") or not is_whole:
        raise SipSyntaxError("Malformed Replaces In Refer-To", status=400)
    return text


def _replaces_params(text: str) -> Params:
    return read_params(text.partition(";")[2])


def _call_replaced(replaces: str, dialog: Dialog, dialogs: Dialogs) -> str | None:
    if not replaces:
        return None
    params = _replaces_params(replaces)
    to_tag, from_tag = (find_param(params, name) or "" for name in ("to-tag", "from-tag"))
    return dialogs.find_replaced(replaces.partition(";")[0].strip(), to_tag, from_tag, side=dialog.other)


def _referred_by(request: Request) -> str:
    """Return the Referred-By without parameters: the token that `cid` points to is in a body (RFC 3892)."""
    values = request.headers.all("referred-by")
    if not values:
        return ""
    try:
        has_scheme = bool(parse_name_addr(values[0]).address.scheme)
    except SipSyntaxError:
        has_scheme = False
    if len(values) > 1 or not has_scheme:
        raise SipSyntaxError("Malformed Referred-By", status=400)
    return untagged(values[0])


def _first_word(value: str | None) -> str:
    return (value or "").partition(";")[0].strip().lower()
