"""Means to test agents with: invariants as assertions, and the sweep that cuts a scenario at every checkpoint.

``runtime.testing.strategies`` has Hypothesis strategies for messages, contexts and models; it alone imports Hypothesis.
"""

from .invariants import EventRecorder as EventRecorder
from .invariants import assert_event_grammar as assert_event_grammar
from .invariants import assert_stream_grammar as assert_stream_grammar
from .invariants import assert_transcript_valid as assert_transcript_valid
from .sweep import Cutter as Cutter
from .sweep import SweepReport as SweepReport
from .sweep import cancel_everywhere as cancel_everywhere
from .sweep import run_cut as run_cut
