"""Fixtures for the tests of applications: ``faux``, ``faux_model``, ``event_recorder``, ``fake_server``, ``nothing_left``.

pytest finds them by itself where agentrio is installed; ``-p no:agentrio`` leaves them out. Those that look back at a test
when it is over say nothing about one that has failed already. Every run of pytest imports this module: what the fixtures
need is imported when they are used.
"""

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from providers.faux import FauxProvider
    from runtime.values.model import Model

    from .recorder import EventRecorder
    from .server.fake import FakeServer

_PASSED = pytest.StashKey[bool]()
_RECORDER = pytest.StashKey["EventRecorder"]()


class _TestFailed(Exception):
    """There is nothing to check any more."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember how a test ended, and show what its agent said if it failed."""
    report = yield
    if call.when == "call":
        item.stash[_PASSED] = report.passed
        recorder = item.stash.get(_RECORDER, None)
        if report.failed and recorder is not None and recorder.events:
            report.sections.append(("Agent events", str(recorder)))
    return report


def _has_passed(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.stash.get(_PASSED, False))


@pytest.fixture
def faux(request: pytest.FixtureRequest) -> "Iterator[FauxProvider]":
    """A faux provider: give it a script with ``faux.set_responses``. Steps that the test leaves unused fail it."""
    from providers.faux import register_faux_provider

    provider = register_faux_provider()
    yield provider
    provider.unregister()
    if _has_passed(request):
        provider.assert_no_pending_responses()


@pytest.fixture
def faux_model(faux: "FauxProvider") -> "Model":
    """The model of ``faux``."""
    return faux.get_model()


@pytest.fixture
def event_recorder(request: pytest.FixtureRequest) -> "EventRecorder":
    """A listener for ``agent.subscribe``. What it recorded is shown if the test fails."""
    from .recorder import EventRecorder

    recorder = request.node.stash[_RECORDER] = EventRecorder()
    return recorder


@pytest.fixture
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails a test that leaves threads, sockets or child processes behind: see ``assert_nothing_left``.

    What fixtures set up before this one stays; put it first. For all tests of a file:
    ``pytestmark = pytest.mark.usefixtures("nothing_left")``.
    """
    from .leftovers.assertion import assert_nothing_left

    with suppress(_TestFailed), assert_nothing_left():
        yield
        if not _has_passed(request):
            raise _TestFailed


@pytest.fixture
def _fake_server_script(request: pytest.FixtureRequest) -> "Iterator[FakeServer]":
    """The server before it runs, and its script when it is over: an async fixture does not know how the test ended."""
    _check_trio(request)
    from .server.fake import FakeServer

    server = FakeServer()
    yield server
    if _has_passed(request):
        server.assert_no_pending_responses()


@pytest.fixture
async def fake_server(_fake_server_script: "FakeServer") -> "AsyncIterator[FakeServer]":
    """A server on loopback: give it a script with ``fake_server.set_responses``. Steps that the test leaves unused fail it.

    For async tests that pytest-trio runs. Its models: ``fake_server.responses.model("any")``.
    """
    async with _fake_server_script.running():
        yield _fake_server_script


def _check_trio(request: pytest.FixtureRequest) -> None:
    """Fail with a sentence where pytest would hand out an async generator."""
    if request.node.get_closest_marker("anyio") is not None:
        return
    if not request.config.pluginmanager.hasplugin("trio"):
        pytest.fail("fake_server is an async fixture: install pytest-trio, which runs it", pytrace=False)
    if request.node.get_closest_marker("trio") is None:
        pytest.fail(
            "fake_server is for async tests: mark the test with @pytest.mark.trio, or set trio_mode = true for all",
            pytrace=False,
        )
