"""Logging: structlog over the standard library's loggers, below the name ``agentrio``.

Silent until the application configures logging; structlog is imported when a line is really wanted. A line of a run
carries ``agent``, ``run``, from its first turn on ``turn``, in a tool ``call`` and ``tool``, and below an agent that called it
``callers``.
"""

import logging
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

logging.getLogger("agentrio").addHandler(logging.NullHandler())
_BOUND: ContextVar[Mapping[str, Any]] = ContextVar("agentrio_log_fields", default={})  # noqa: B039 - never changed


def bind(**fields: Any) -> None:
    """Put fields on every line that this task, and the tasks that it starts from now on, write."""
    _BOUND.set({**_BOUND.get(), **fields})


def bind_run(agent: str, run: int) -> Token[Mapping[str, Any]]:
    """The same for a run, which starts afresh: a call that it is made from goes to its ``callers``."""
    outer = _BOUND.get()
    fields: dict[str, Any] = {"agent": agent, "run": run}
    if "call" in outer:
        caller = "{agent} run {run} turn {turn} call {call}".format_map(outer)
        fields["callers"] = (*outer.get("callers", ()), caller)
    return _BOUND.set(fields)


def bound_fields() -> Mapping[str, Any]:
    """What this task's lines carry."""
    return _BOUND.get()


@contextmanager
def bound_to(fields: Mapping[str, Any]) -> Iterator[None]:
    """Have the lines of the block carry these fields, and none of this task."""
    token = _BOUND.set(fields)
    try:
        yield
    finally:
        unbind(token)


def add_agent_context(
    logger: object, method_name: str, event_dict: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: the application's own lines in hooks, listeners and tools say where they come from, too.

    Adds the fields of agentrio's own lines (``agent``, ``run``, ``turn``, ``call``, ``tool``, ``callers``), as far as there
    are any; what the line has already stays.
    """
    for name, value in _BOUND.get().items():
        event_dict.setdefault(name, value)
    return event_dict


def unbind(token: Token[Mapping[str, Any]]) -> None:
    """What was bound before a run holds again: a loop may run in a task of the application."""
    _BOUND.reset(token)


def debug(event: str, **fields: Any) -> None:
    """Say what happens."""
    _log(logging.DEBUG, event, fields)


def warn(event: str, **fields: Any) -> None:
    """Say that something needs attention, though it did not fail."""
    _log(logging.WARNING, event, fields)


def error(event: str, **fields: Any) -> None:
    """Say that something failed where nobody waits for the exception."""
    _log(logging.ERROR, event, fields)


def _log(level: int, event: str, fields: dict[str, Any]) -> None:
    logger = logging.getLogger("agentrio")
    if not logger.isEnabledFor(level) or not _somebody_listens(logger):
        return
    import structlog

    bound = structlog.wrap_logger(
        logger,
        processors=[
            add_agent_context,
            structlog.stdlib.add_log_level,
            structlog.stdlib.render_to_log_kwargs,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    bound.log(level, event, **fields)


def _somebody_listens(logger: logging.Logger) -> bool:
    here: logging.Logger | None = logger
    while here is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in here.handlers):
            return True
        here = here.parent if here.propagate else None
    return False
