"""Things that only a context manager of ours may make, so that somebody always closes them."""

from typing import Any, NoReturn


class OpenedOnly(type):
    """For what only a context manager of ours may make."""

    def __call__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(f"{cls.__name__} has no public constructor; use 'async with open_agent(...)'")

    def make(cls, *args: Any) -> Any:
        """For the context manager."""
        return super().__call__(*args)
