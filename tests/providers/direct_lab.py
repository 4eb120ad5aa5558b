"""Our own connections without the pool of clients around them.

::

    async with direct() as client:
        response = await ask(client, server.url)
        assert not connections_of(client)
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from providers.connections import Connection, ConnectionPool
from providers.direct import DirectClient, DirectTransport

PLAIN = ssl.create_default_context()


@asynccontextmanager
async def direct(tls: ssl.SSLContext = PLAIN) -> AsyncIterator[DirectClient]:
    """A client with connections of its own, which are closed at the end."""
    pool = ConnectionPool(tls, 30)
    yield DirectClient(pool, verify=PLAIN, timeout=None)
    pool.close()


def pool_of(client: DirectClient) -> ConnectionPool:
    """The connections of a client."""
    assert isinstance(client._transport, DirectTransport)
    return client._transport._pool


def connections_of(client: DirectClient) -> list[Connection]:
    """Those that are open."""
    return list(pool_of(client).connections)


async def ask(
    client: DirectClient, url: str, body: bytes = b"{}", method: str = "POST", **fields: str
) -> httpx.Response:
    """Send a request; its response is still to be read."""
    return await client.send(client.build_request(method, url, content=body, headers=fields), stream=True)


async def fetch(client: DirectClient, url: str, method: str = "POST", **fields: str) -> bytes:
    """The body of an answer."""
    return await (await ask(client, url, method=method, **fields)).aread()
