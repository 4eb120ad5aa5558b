"""Model calls through a backend of your own, which holds the keys: ``stream_fn`` for the client, the rest for the server.

::

    POST {url}/api/stream   Authorization: Bearer {token}   {"model": ..., "context": ..., "options": ...}

    200, text/event-stream:
    data: {"type":"start","timestamp":1700000000000}
    data: {"type":"text_start","contentIndex":0}
    data: {"type":"text_delta","contentIndex":0,"delta":"Hello."}
    data: {"type":"text_end","contentIndex":0,"contentSignature":"..."}
    data: {"type":"toolcall_start","contentIndex":1,"id":"call_1","toolName":"look"}
    data: {"type":"toolcall_delta","contentIndex":1,"delta":"{}"}
    data: {"type":"toolcall_end","contentIndex":1}
    data: {"type":"done","reason":"toolUse","usage":{...},"responseId":"..."}

Clients and servers of pi speak this wire, too. They leave out and pass over what is optional here: ``timestamp``, a
block's initial ``content`` or ``arguments``, ``redacted``, a final value that its deltas do not say, and at the end
``responseId``, ``responseModel``, ``diagnostics``, ``providerItems``, and ``blocks`` for what became known after a block's end.
"""

from .client import ProxyStreamFn, stream_fn
from .encode import encode_stream
from .request import CLIENT_OPTIONS, MAX_REQUEST_BYTES, ProxyRequest, decode_request

__all__ = [
    "CLIENT_OPTIONS",
    "MAX_REQUEST_BYTES",
    "ProxyRequest",
    "ProxyStreamFn",
    "decode_request",
    "encode_stream",
    "stream_fn",
]
