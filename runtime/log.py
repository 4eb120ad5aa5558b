"""Logging: structlog over the standard library's loggers, below the name ``agentrio``.

Silent until the application configures logging; structlog is imported when a line is really wanted.
"""

import logging
from typing import Any

logging.getLogger("agentrio").addHandler(logging.NullHandler())


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
