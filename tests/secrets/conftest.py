"""One TLS context for all: loading certificates takes longer than a call, and nothing here is encrypted."""

import functools

import httpx
import pytest

_create = functools.cache(httpx.create_ssl_context)


@pytest.fixture(scope="module", autouse=True)
def _one_tls_context():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx, "create_ssl_context", _create)
        yield
