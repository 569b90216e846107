"""How a socket becomes a connection: TCP to a peer, and TLS from either side."""

import asyncio
import socket

from callseal.agent.sip.connection import Connection
from callseal.agent.sip.sockets import Address, open_stream
from callseal.agent.sip.tls import ServerTls
from callseal.agent.sip.tls_client import ClientTls
from callseal.agent.sip.transport_limits import TransportLimits


async def reach(destination: Address, limits: TransportLimits) -> socket.socket:
    """Connect to a peer by TCP; OSError, of which TimeoutError is one, where that fails."""
    stream, address = open_stream(destination, unacknowledged_s=limits.unacknowledged_s)
    try:
        async with asyncio.timeout(limits.connect_s):
            await asyncio.get_running_loop().sock_connect(stream, address)
    except BaseException:
        stream.close()
        raise
    return stream


async def open_connection(
    connection: Connection,
    stream: socket.socket,
    tls: ServerTls | ClientTls | None,
    limits: TransportLimits,
) -> None:
    """Give a connection its socket, by TLS from the one side or the other, or without.

    OSError where TLS does not come about; the socket is then the caller's to close.
    """
    loop = asyncio.get_running_loop()
    if tls is None:
        await loop.connect_accepted_socket(lambda: connection, stream)
    elif isinstance(tls, ServerTls):
        await loop.connect_accepted_socket(
            lambda: connection,
            stream,
            ssl=tls.context,
            ssl_handshake_timeout=limits.handshake_s,
            ssl_shutdown_timeout=limits.closing_s,
        )
    else:
        await loop.create_connection(
            lambda: connection,
            sock=stream,
            ssl=tls.context,
            server_hostname=tls.server_name,
            ssl_handshake_timeout=limits.handshake_s,
            ssl_shutdown_timeout=limits.closing_s,
        )
