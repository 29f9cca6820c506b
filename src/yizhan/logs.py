"""Logs: to stderr, text on a terminal, else JSON lines. No secrets, no message text, bounded lines."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

VALUE_MAX = 2_000
"""Longest value of a field; what others tell us is theirs to bound, the line is ours."""


def configure(level: str, style: str) -> None:
    """Sets up structlog and the standard library's logging for this process.

    Args:  level  debug, info, warning, error;  style  auto, text, json
    """
    text = style == "text" or (style == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _bounded,
    ]
    render: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # the default draws the variables of every frame: tokens, and what people write
            exception_formatter=structlog.dev.plain_traceback,
        )
        if text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info if not text else _unchanged,
            render,
        ],
    )
    out = logging.StreamHandler(sys.stderr)
    out.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [out]
    root.setLevel(logging.WARNING)
    logging.getLogger("yizhan").setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_Named(),
        cache_logger_on_first_use=True,
    )


class _Named:
    """Loggers named `yizhan.<room>`; the room is what `structlog.get_logger` was given."""

    def __call__(self, *names: Any) -> logging.Logger:
        return logging.getLogger(".".join(["yizhan", *(str(name) for name in names)]))


def _bounded(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str) and len(value) > VALUE_MAX:
            event[name] = value[:VALUE_MAX] + "…"
    return event


def _unchanged(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return event
