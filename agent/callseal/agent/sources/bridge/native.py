"""What pjsua2 does not offer and the library below it does, by its C interface.

Layouts are those of pjproject 2.15.1, and are checked before they are used: where they are others, what
depends on them is left out.

Trap that shapes this file: the library makes its answer to an INVITE when that comes in, before anybody can
know what the other leg will speak. The answer is taken from the negotiator, which has the SRTP key in it,
and handed back with fewer codings.
"""

import ctypes
from typing import Final

import pjsua2 as pj

_DIALOG_AT: Final = 120
_NEGOTIATOR_AT: Final = 136
"""Where `dlg` and `neg` stand in `pjsip_inv_session`, in bytes (pjsip-ua/sip_inv.h)."""
_WAITING: Final = 3
"""`PJMEDIA_SDP_NEG_STATE_WAIT_NEGO`: offer and answer are there, nothing has been sent."""
_MAX_DESCRIPTION: Final = 16_384

_library = ctypes.CDLL(str(pj._pjsua2.__file__))  # noqa: SLF001 - it is all in pjsua2's one module
_pointer = ctypes.c_void_p
_library.pjsip_dlg_get_inv_session.restype = _pointer
_library.pjsip_dlg_get_inv_session.argtypes = [_pointer]
_library.pjsip_dlg_dec_lock.argtypes = [_pointer]
_library.pjmedia_sdp_neg_get_state.argtypes = [_pointer]
_library.pjmedia_sdp_neg_get_neg_local.argtypes = [_pointer, ctypes.POINTER(_pointer)]
_library.pjmedia_sdp_print.argtypes = [_pointer, ctypes.c_char_p, ctypes.c_size_t]


def unsent_answer(call_id: int) -> str:
    """Give the session description that an incoming call would be answered with; empty when it has none."""
    call, dialog = _pointer(), _pointer()
    if _library.acquire_call(b"answer", call_id, ctypes.byref(call), ctypes.byref(dialog)) != 0:
        return ""
    try:
        return _answer_of(dialog.value or 0)
    finally:
        _library.pjsip_dlg_dec_lock(dialog)


def _answer_of(dialog: int) -> str:
    session = _library.pjsip_dlg_get_inv_session(dialog)
    if not session or _word(session + _DIALOG_AT) != dialog:
        return ""
    negotiator = _word(session + _NEGOTIATOR_AT)
    if not negotiator or _library.pjmedia_sdp_neg_get_state(negotiator) != _WAITING:
        return ""
    local = _pointer()
    if _library.pjmedia_sdp_neg_get_neg_local(negotiator, ctypes.byref(local)) != 0:
        return ""
    text = ctypes.create_string_buffer(_MAX_DESCRIPTION)
    length = _library.pjmedia_sdp_print(local, text, _MAX_DESCRIPTION)
    return text.raw[: max(0, length)].decode("latin-1")


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value
