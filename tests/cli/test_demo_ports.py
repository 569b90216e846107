"""The demo takes ports that nobody has, and that nobody is given between the look and the use."""

import socket
from pathlib import Path

from callseal.cli.demo.ports import HIGHEST, HOST, are_free, free_ports


def test_ports_come_in_a_row_below_those_that_anybody_may_be_given() -> None:
    lowest_of_anybody = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

    ports = free_ports(50)

    assert ports is not None
    assert list(ports) == list(range(ports[0], ports[0] + 50))
    assert ports[0] % 2 == 0
    assert ports[-1] < HIGHEST <= lowest_of_anybody


def test_a_port_that_somebody_has_by_either_protocol_is_not_free() -> None:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as taken:
            taken.bind((HOST, 0))
            port = taken.getsockname()[1]

            assert not are_free([port])
        assert are_free([port])
