"""Time and chance come in by one door, so that everything else can run in virtual time and be repeated."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.conftest import imports, sources

DOOR = "yizhan.runtime.clock"
MODULES = {"time", "random", "uuid", "secrets"}
CALLS = {
    "now",
    "utcnow",
    "today",
    "urandom",
    "getrandom",
    "time",
    "monotonic",
    "perf_counter",
    "uuid4",
    "token_hex",
}
OWNERS = {"datetime", "date", "os", "time", "loop", "uuid", "secrets", "get_running_loop", "get_event_loop"}

SETTING_TIMEOUTS = {("time", "get_running_loop")}
"""What `asyncio.Timeout.reschedule` wants: the loop's own time, which is virtual where the loop is."""


def readings(module: str, tree: ast.Module) -> Iterator[str]:
    """Where a module reads a clock or entropy by itself."""
    yield from (name for name in imports(module, tree) if name.split(".")[0] in MODULES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            owner = _last_name(node.func.value)
            if owner in OWNERS and (node.func.attr, owner) not in SETTING_TIMEOUTS:
                yield f"{owner}.{node.func.attr}() in line {node.lineno}"


def _last_name(node: ast.expr) -> str:
    match node:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name.removeprefix("_")
        case ast.Call(func=func):
            return _last_name(func)
        case _:
            return ""


def test_only_the_clock_reads_clock_and_entropy() -> None:
    """A hidden `time.time()` makes a story unrepeatable, and a test slow."""
    found = {module: list(readings(module, tree)) for module, tree in sources().items() if module != DOOR}
    assert {} == {module: what for module, what in found.items() if what}


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from random import random",
        "def f():\n    import uuid",
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "self._loop.time()",
        "os.urandom(16)",
    ],
)
def test_the_search_finds_each_way_in(line: str) -> None:
    """A test that cannot fail would protect nothing."""
    assert list(readings("planted", ast.parse(line)))


@pytest.mark.parametrize(
    "line", ["from datetime import UTC", "clock.now_ms()", "datetime.fromtimestamp(0, UTC)"]
)
def test_the_search_leaves_honest_lines_alone(line: str) -> None:
    """Turning a given number into a date is no reading of a clock."""
    assert not list(readings("planted", ast.parse(line)))
