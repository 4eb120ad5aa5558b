"""Means to test agents with."""

from .cutter import Cutter as Cutter
from .fake_tool import FakeTool as FakeTool
from .invariants import assert_event_grammar as assert_event_grammar
from .invariants import assert_stream_grammar as assert_stream_grammar
from .invariants import assert_transcript_valid as assert_transcript_valid
from .leftovers.assertion import NothingLeft as NothingLeft
from .leftovers.assertion import assert_nothing_left as assert_nothing_left
from .recorder import EventRecorder as EventRecorder
from .server.fake import FakeServer as FakeServer
from .server.fake import open_fake_server as open_fake_server
from .server.steps import FakeRequest as FakeRequest
from .server.steps import FakeStep as FakeStep
from .server.steps import fake_bytes as fake_bytes
from .server.steps import fake_status as fake_status
from .sweep import SweepReport as SweepReport
from .sweep import cancel_everywhere as cancel_everywhere
from .sweep import run_cut as run_cut
