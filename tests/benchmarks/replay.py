"""The server that is measured against: it sends what was rendered beforehand, from a process of its own.

``python -m tests.benchmarks.replay`` prints its port and serves until its input ends. The framing of a scenario says how bytes
travel: ``bulk`` in HTTP chunks of 64 KiB, ``each`` in one HTTP chunk for each event (many in a packet), ``packets`` in one packet
for each event, with a pause that lets the client read it.
"""

import json
import sys
import threading
import time
from functools import lru_cache
from socketserver import StreamRequestHandler, ThreadingTCPServer

from .wire import render

BULK = 64 * 1024
PAUSE = 0.0003
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_RESULTS = {"chat": b'"tool_call_id"', "responses": b'"function_call_output"', "anthropic": b'"tool_use_id"'}
_RENDERING = threading.Lock()


def api_of(path: str) -> str:
    return (
        "anthropic" if path.endswith("/messages") else "responses" if path.endswith("/responses") else "chat"
    )


@lru_cache(maxsize=8)
def packets(api: str, scenario: str, results: int) -> list[bytes]:
    """What is written to the socket, write by write."""
    events, framing = render(api, scenario, results), scenario.rpartition(":")[2]
    if framing == "packets":
        return [HEAD, *(chunk(event) for event in events), chunk(b"")]
    if framing == "bulk":
        body = b"".join(events)
        events = [body[at : at + BULK] for at in range(0, len(body), BULK)]
    return [b"".join((HEAD, *map(chunk, events), chunk(b"")))]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


class Replay(StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        try:
            while line := self.rfile.readline():
                self._answer(line.split()[1].decode(), self._body())
        except OSError:
            pass  # the client is gone

    def _body(self) -> bytes:
        size = 0
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                size = int(value)
        return self.rfile.read(size)

    def _answer(self, path: str, body: bytes) -> None:
        api, scenario = api_of(path), path.split("/")[1]
        results = body.count(_RESULTS[api]) if scenario.startswith(("turns", "crowd")) else 0
        with _RENDERING:
            writes = packets(api, scenario, results)
        for data in writes:
            self.request.sendall(data)
            if len(writes) > 1:
                time.sleep(PAUSE)


class Server(ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 2048


def main() -> None:
    with Server(("127.0.0.1", 0), Replay) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(json.dumps({"port": server.server_address[1]}), flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main()
