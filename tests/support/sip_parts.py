"""Parts of a SIP message that tell dialogs and transactions apart (RFC 3261 sections 12 and 17)."""

import re

from support.sip_peer import Message


def branch_of(message: Message) -> str:
    """Give the branch of the top Via."""
    return message.header("Via").partition("branch=")[2].partition(";")[0].partition(",")[0]


def tag_of(address: str) -> str:
    """Give the tag of a From or To; empty for none."""
    return address.rpartition(">")[2].partition("tag=")[2].partition(";")[0]


def number_of(message: Message) -> int:
    """Give the CSeq's number."""
    return int(message.header("CSeq").split(" ")[0])


def direction_of(message: Message) -> str:
    """Give the direction of the sound that a description offers."""
    found = re.search(r"^a=(sendrecv|sendonly|recvonly|inactive)\r?$", message.body, re.MULTILINE)
    return found[1] if found else "sendrecv"
