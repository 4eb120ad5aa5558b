"""Things that only a context manager of ours may make, so that somebody always closes them."""

from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class OpenedOnly(type):
    """A type whose objects are got by ``async with``, and in no other way."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{cls.__name__} has no public constructor; use 'async with open_agent(...)'")

    def make(cls: type[T], *args: Any) -> T:
        """For the context manager."""
        made: T = type.__call__(cls, *args)
        return made
