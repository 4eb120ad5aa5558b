"""The connections that the HTTP pool of a run keeps open for later: they are nobody's, and not left behind."""

import sys
from collections.abc import Iterator
from typing import Any

import trio

Ends = tuple[Any, Any]
"""The addresses of a connection: ours and the other one."""


def idle_connections() -> set[Ends]:
    """The ends of each idle connection of the present run's pool; none outside of a run."""
    pools: Any = sys.modules.get("providers.pool")  # not imported: nobody has a pool
    if pools is None or not trio.lowlevel.in_trio_run():
        return set()
    pool = pools._POOL.get(None)  # noqa: SLF001 - current_pool() would make one
    return set() if pool is None else set(_idle(pool))


def _idle(pool: Any) -> Iterator[Ends]:
    """Our own connections outlive the clients that used them; those through proxies are httpx's, which says it only in private."""
    clients = [shard.client for shard in pool._shards]  # noqa: SLF001
    transports = [each for client in clients for each in (client._transport, *client._mounts.values())]  # noqa: SLF001
    keepers = [pool._connections, *(transport and transport._pool for transport in transports)]  # noqa: SLF001
    for connection in (connection for keeper in keepers if keeper for connection in keeper.connections):
        sock = _socket(connection) if connection.is_idle() else None
        if sock is not None and sock.fileno() >= 0:
            yield sock.getsockname(), sock.getpeername()


def _socket(connection: Any) -> Any:
    """The socket under a connection, which may be wrapped a few times where there is a proxy."""
    while connection is not None:
        if (stream := getattr(connection, "_network_stream", None)) is not None:
            return stream.get_extra_info("socket")
        connection = getattr(connection, "_connection", None)
    return None
