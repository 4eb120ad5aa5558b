"""Hypothesis on a machine that may be slow: no deadlines, more examples when asked. Loopback without proxies."""

import os

from hypothesis import HealthCheck, settings

os.environ["no_proxy"] = "127.0.0.1,localhost"  # servers of tests are never behind a proxy

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), print_blob=True, derandomize=True)
settings.register_profile("soak", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
