"""What a handle adds to every call of its models."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from runtime.errors import InvalidOptionError
from runtime.values.options import RequestOptions, check_headers, shown_name
from runtime.values.secret import Secret

if TYPE_CHECKING:
    import httpx

_O = TypeVar("_O", bound=RequestOptions)


@dataclass(frozen=True, eq=False)
class Access:
    """A key, variables, headers and a client: frozen copies, which show no secret.

    A blank ``api_key`` is none. Raises InvalidOptionError for what cannot be sent.
    """

    api_key: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    http_client: "httpx.AsyncClient | None" = None

    def __post_init__(self) -> None:
        if not isinstance(self.api_key, str | None):
            raise InvalidOptionError(f"api_key must be a string, not {type(self.api_key).__name__}")
        own = {
            "api_key": Secret.or_none(self.api_key),
            "env": _private("env", self.env),
            "headers": _private("headers", self.headers),
        }
        for name, value in own.items():
            object.__setattr__(self, name, value)
        check_headers(self.headers)

    def with_client(self, options: _O) -> _O:
        """The options of a call, with this client if they have none of their own."""
        if options.http_client is not None or self.http_client is None:
            return options
        return replace(options, http_client=self.http_client)


def _private(name: str, values: object) -> Mapping[str, str]:
    if not isinstance(values, Mapping):
        raise InvalidOptionError(f"{name} must be a mapping, not {type(values).__name__}")
    for key, value in values.items():
        if not isinstance(key, str):
            raise InvalidOptionError(f"{name} must have strings as keys, not {type(key).__name__}")
        if not isinstance(value, str):
            raise InvalidOptionError(
                f"{name}[{shown_name(key)}] must be a string, not {type(value).__name__}"
            )
    return MappingProxyType({key: Secret(value) for key, value in values.items()})
