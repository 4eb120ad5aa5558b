"""TLS under our own connections: what is checked, what is told, and what of it is left."""

import itertools
import shutil
import ssl
import subprocess
from contextlib import asynccontextmanager

import httpx
import pytest
import trio

from providers.pool import Pool
from providers.transport import Request, open_response
from runtime.errors import TransportError
from runtime.values.model import Model
from runtime.values.options import StreamOptions
from tests.providers.direct_lab import connections_of, direct, fetch, pool_of
from tests.providers.loopback import head
from tests.providers.test_pool import CancelBefore

OK = head(200, {"content-length": "2"}) + b"ok"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1, signed by itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    place = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(place / "key"), "-out", str(place / "cert")],
        check=True, capture_output=True,
    )  # fmt: skip
    return place


@pytest.fixture
async def trusted(certificate):
    context = ssl.create_default_context(cafile=str(certificate / "cert"))
    context.set_alpn_protocols(["http/1.1"])
    async with direct(context) as client:
        yield client


class Corked(trio.abc.Stream):
    """A connection that, while it is corked, keeps what is sent, to send it in one packet."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.corked = False
        self._kept = b""

    async def send_all(self, data):
        self._kept += data
        if not self.corked:
            data, self._kept = self._kept, b""
            await self.stream.send_all(data)

    async def wait_send_all_might_not_block(self):
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes=None):
        return await self.stream.receive_some(max_bytes)

    async def aclose(self):
        await self.stream.aclose()


class Server:
    """Sends the records of the next answer, in one packet, for each request."""

    def __init__(self, port: int, context: ssl.SSLContext, answers: list[list[bytes]]) -> None:
        self.port = port
        self.url = f"https://127.0.0.1:{port}"
        self.streams: list[trio.SSLStream] = []
        self.open = 0
        self._context = context
        self._answers = answers

    async def serve(self, tcp: trio.SocketStream) -> None:
        wire = Corked(tcp)
        stream = trio.SSLStream(wire, self._context, server_side=True, https_compatible=True)
        self.streams.append(stream)
        self.open += 1
        try:
            while await stream.receive_some():
                wire.corked = True
                *records, last = self._answers.pop(0) if self._answers else [OK]
                for record in records:
                    await stream.send_all(record)
                wire.corked = False
                await stream.send_all(last)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client did not like the certificate, or was cancelled
        finally:
            self.open -= 1
            tcp.socket.close()


@asynccontextmanager
async def serving(certificate, *answers: list[bytes]):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert", certificate / "key")
    context.set_alpn_protocols(["h2", "http/1.1"])
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server(listener.socket.getsockname()[1], context, list(answers))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, server.serve, [listener])
        yield server
        nursery.cancel_scope.cancel()


async def test_a_certificate_that_is_trusted(certificate, trusted):
    """http/1.1 is agreed on, and connections are used again."""
    async with serving(certificate) as server:
        assert [await fetch(trusted, server.url) for _ in range(3)] == [b"ok"] * 3
        assert [stream.selected_alpn_protocol() for stream in server.streams] == ["http/1.1"]
        assert len(connections_of(trusted)) == 1


async def test_a_certificate_that_is_not(certificate, trusted):
    """Signed by nobody known, or for another name: no request is sent, and no socket is left."""
    async with serving(certificate) as server, direct() as unknown:
        for client, url, why in (
            (unknown, server.url, "self-signed certificate"),
            (trusted, server.url.replace("127.0.0.1", "localhost"), "Hostname mismatch"),
        ):
            with pytest.raises(httpx.ConnectError) as caught:
                await fetch(client, url)
            assert why in str(caught.value.__cause__.__cause__)
            assert connections_of(client) == []


async def test_a_certificate_that_is_not_trusted_is_told_as_such(certificate):
    """The error of a call says where that was, and what is wrong with the certificate."""
    model = Model(id="m", api="openai-completions", provider="test")
    async with serving(certificate) as server:
        with pytest.raises(TransportError, match="certificate verify failed") as caught:
            async with open_response(Request(server.url, {}, b"{}"), StreamOptions(max_retries=0), model):
                pass
        assert f"cannot connect to {server.url}" in str(caught.value)


async def test_certificates_of_the_environment_are_trusted(certificate, monkeypatch):
    """What SSL_CERT_FILE names is, as httpx has it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert"))
    async with serving(certificate) as server, Pool().lease() as client:
        assert (await client.post(server.url)).content == b"ok"
        await client.aclose()
        pool_of(client).close()


async def test_a_second_answer_in_a_record_of_its_own_is_nobodys(certificate, trusted):
    """It may have been received with the first, and not be taken apart yet: the next request must not get it."""
    forged = head(200, {"content-length": "6"}) + b"forged"
    async with serving(certificate, [OK, forged]) as server:
        assert await fetch(trusted, server.url) == b"ok"
        assert await fetch(trusted, server.url) == b"ok"
        assert len(server.streams) == 2


async def test_cancelled_at_any_checkpoint_a_request_leaves_no_socket(certificate, trusted):
    """From connecting over the handshake to the end of the answer, on a new connection and on one that was idle."""
    async with serving(certificate) as server:
        for idle in (False, True):
            for step in itertools.count(1):
                if idle:
                    await fetch(trusted, server.url)
                with trio.CancelScope() as scope:
                    instrument = CancelBefore(scope, step)
                    trio.lowlevel.add_instrument(instrument)
                    try:
                        await fetch(trusted, server.url)
                    finally:
                        trio.lowlevel.remove_instrument(instrument)
                if not scope.cancelled_caught:
                    break
                assert all(connection.is_idle() for connection in connections_of(trusted))
            assert step > (1 if idle else 3)
            pool_of(trusted).close()
        with trio.fail_after(5):
            while server.open:
                await trio.testing.wait_all_tasks_blocked(0.01)
