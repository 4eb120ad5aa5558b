"""What a login yields: two tokens, a time, and whatever else the provider wants to be kept."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from runtime.values.clock import now_ms
from runtime.values.secret import Secret
from runtime.values.text import Text, clean_json
from runtime.values.value import Count, Value

_OWN = ("refresh", "access", "expires")
_PUBLIC_EXTRAS = frozenset({"type", "enterpriseUrl", "availableModelIds"})


def _mask(value: Any) -> Any:
    match value:
        case str():
            return Secret(value)
        case list():
            return [_mask(item) for item in value]
        case dict():
            return {key: _mask(item) for key, item in value.items()}
    return value


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _strings(item)
        case dict():
            yield from _strings(list(value.values()))


Token = Annotated[Text, AfterValidator(Secret)]
_SecretJson = Annotated[Any, BeforeValidator(lambda value: _mask(clean_json(value)))]


class OAuthCredentials(Value):
    """The credentials of one login: ``refresh``, ``access``, and ``expires`` in Unix milliseconds.

    ``extra`` holds what a provider keeps beside them (``enterpriseUrl``, ...), and every key that a later
    version wrote. The JSON is flat: the extras stand beside the three fields. No ``repr`` shows a token, also not that
    of a field or of ``extra``; ``model_dump`` and ``model_dump_json`` do write them.

    ``expires`` already has the provider's safety margin taken off: from then on, ``access`` wants a refresh.
    """

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)
    __pydantic_extra__: dict[str, _SecretJson] = Field(init=False)

    refresh: Token
    access: Token
    expires: Count

    def __init__(
        self, refresh: str, access: str, expires: int, extra: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        if taken := [name for name in _OWN if name in extra]:
            raise TypeError(f"{taken[0]} is a field of its own, not an extra")
        super().__init__(**{"refresh": refresh, "access": access, "expires": expires, **extra})

    # Not a custom constructor for pydantic: it reads the flat form, in which ``extra`` is a key like any other.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @property
    def extra(self) -> Mapping[str, Any]:
        """What there is beside the three fields, read-only."""
        return MappingProxyType(self.__pydantic_extra__)

    def replace(
        self,
        *,
        refresh: str | None = None,
        access: str | None = None,
        expires: int | None = None,
        extra: Mapping[str, Any] = MappingProxyType({}),
    ) -> "OAuthCredentials":
        """A copy with some parts new. Extras that are not named stay; a value of ``None`` takes one away."""
        merged = {**self.extra, **extra}
        return OAuthCredentials(
            self.refresh if refresh is None else refresh,
            self.access if access is None else access,
            self.expires if expires is None else expires,
            {key: value for key, value in merged.items() if value is not None or key not in extra},
        )

    def expired(self, now: int) -> bool:
        """Whether ``access`` wants a refresh at that time, in Unix milliseconds."""
        return now >= self.expires

    @property
    def is_expired(self) -> bool:
        """Whether ``access`` wants a refresh now."""
        return self.expired(now_ms())

    def secrets(self) -> list[str]:
        """Every string in it that nobody may read, for a Redactor: an extra is taken for a secret until it is known."""
        extras = [value for key, value in self.extra.items() if key not in _PUBLIC_EXTRAS]
        return [self.refresh, self.access, *_strings(extras)]

    def __repr_args__(self) -> list[tuple[str | None, Any]]:  # type: ignore[override]
        return [
            ("refresh", self.refresh),
            ("access", self.access),
            ("expires", self.expires),
            ("extra", list(self.extra)),
        ]
