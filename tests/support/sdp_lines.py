"""The session description of an answer, taken apart line by line, as it was written."""

import re
from dataclasses import dataclass

from support.sip_peer import Message


@dataclass(frozen=True)
class Line:
    """One m-line of an answer."""

    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    attributes: tuple[str, ...]

    @property
    def direction(self) -> str:
        return next(one for one in self.attributes if one in {"recvonly", "inactive", "sendrecv", "sendonly"})

    def value(self, name: str) -> str:
        """Give an attribute's value, empty without one."""
        return next((one.partition(":")[2] for one in self.attributes if one.startswith(f"{name}:")), "")


def lines_of(answer: Message) -> list[Line]:
    """Take an answer apart."""
    found = []
    for block in re.split(r"^(?=m=)", answer.body, flags=re.MULTILINE)[1:]:
        rows = block.split("\r\n")
        kind, port, protocol, *formats = rows[0][2:].split(" ")
        attributes = tuple(row[2:] for row in rows if row.startswith("a="))
        found.append(Line(kind, int(port), protocol, tuple(formats), attributes))
    return found


def origin_of(answer: Message) -> tuple[str, int]:
    """Give session id and version."""
    found = re.search(r"^o=\S+ (\d+) (\d+) ", answer.body, flags=re.MULTILINE)
    assert found is not None
    return found[1], int(found[2])
