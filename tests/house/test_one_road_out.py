"""Whoever wants to send accepts an entry: one place puts messages on the wire, and it never repeats by itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.conftest import sources

CARRIER = "yizhan.runtime.carrier"


def wire_calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Where a module makes a request of a message, or hands one to a platform's transport."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            asked = (_last_name(node.func.value), node.func.attr)
            if asked in {("transport", "send"), ("codec", "encode")}:
                yield node


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name.removeprefix("_")
        case _:
            return ""


@pytest.mark.field("F73")
@pytest.mark.field("F79")
def test_one_place_puts_messages_on_the_wire() -> None:
    """A second sender has its own patience, its own limits and its own idea of what was sent."""
    places = {module: len(list(wire_calls(tree))) for module, tree in sources().items()}
    assert {CARRIER: 2} == {module: count for module, count in places.items() if count}


def test_nothing_on_the_road_tries_again_by_itself() -> None:
    """The outbox is the retry: between intent and settlement there is one request."""
    loops = [
        node
        for node in ast.walk(sources()[CARRIER])
        if isinstance(node, ast.For | ast.While | ast.AsyncFor) and list(wire_calls(node))
    ]
    assert [] == loops


def test_the_search_finds_a_second_sender() -> None:
    """A search that finds nothing proves nothing."""
    second = "async def urgently(line, request):\n    return await line._transport.send(request)"
    assert 1 == len(list(wire_calls(ast.parse(second))))
