"""For the tests of those who build on agentrio.

``runtime.testing.strategies`` needs Hypothesis, so it is imported by that name only.
"""
