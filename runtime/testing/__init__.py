"""Means to test agents with: invariants as assertions, the sweep that cuts a scenario at every checkpoint, and doubles.

The names are listed in ``__init__.pyi``; each is imported when it is first used. ``runtime.testing.strategies`` has
Hypothesis strategies for values, scripts, tool batches, events and wire bytes; it alone imports Hypothesis.
``runtime.testing.pytest_plugin`` has fixtures, which pytest finds by itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
