"""Query parameters that a route does not know are refused: a filter with a slip of the pen must not show everything."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from yizhan.errors import InvalidRequest

SHOWN = 50


async def known_parameters_only(request: Request) -> None:
    """For every route of the API. Raises InvalidRequest, which names the nearest that is known."""
    if not request.query_params or not request.url.path.startswith("/v1/"):
        return
    route = request.scope.get("route")
    known = sorted(set(_names(route.dependant))) if isinstance(route, APIRoute) else []
    for name in request.query_params:
        if name not in known:
            raise InvalidRequest(f"There is no parameter {name[:SHOWN]!r} here.", _fix(name, known))


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _names(inner)


def _fix(name: str, known: list[str]) -> str:
    if not known:
        return "This address takes none."
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"Did you mean {near[0]}?" if near else f"Known: {', '.join(known)}."
