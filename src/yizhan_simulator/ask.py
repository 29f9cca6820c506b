"""One request to the control API, and what answers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Ask:
    """Parts of the path below `/_sim/`, the query, and the JSON body."""

    parts: tuple[str, ...]
    query: dict[str, str]
    body: Any = field(repr=False)


Route = Callable[[Ask], Any]
Routes = dict[tuple[str, tuple[str, ...]], Route]
"""(method, parts with `*` for blanks) → route."""
