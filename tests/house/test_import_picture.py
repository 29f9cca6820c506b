"""The picture of the house, drawn from the real imports. When it breaks, either the code or the picture is wrong."""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.house.conftest import ROOT, imports, sources

SEES: dict[str, str] = {
    "model": "",
    "errors": "",
    "core": "model",
    "guarded": "core",
    "settings": "errors",
    "ports": "core model",
    "platforms": "ports core model errors settings",
    "agents": "ports core model errors settings",
    "store": "ports core model errors settings",
    "runtime": "ports guarded core model errors settings",
    "web": "runtime ports guarded core model errors settings",
    "home": "ports core model errors settings",
    "logs": "settings",
    "systemd": "",
    "app": "web runtime platforms agents store home logs systemd ports guarded core model errors settings",
    "demo": "app web runtime home ports core model errors settings",
    "cli": "app demo web runtime home logs ports core model errors settings simulator",
}
"""room → the rooms it may import from, itself apart. ARCHITECTURE.md shows the same table."""

PURE = ("model", "core", "errors", "ports")
"""Rooms that import nothing but the standard library and each other."""

GUESTS = {"core": {"cronsim"}}
"""Libraries in them that are functions themselves: no file, no clock, no chance."""

LATE = ("app", "demo", "web", "store", "platforms", "agents", "simulator")
"""What the command line imports only inside the verb that needs it: `yizhan --help` must be light."""

WAY_BACK = ("yizhan.cli.client", "yizhan.cli.offline")
"""A verb finds no gateway and opens the store itself, in a module that is loaded only then and asks like any client."""


def room_of(dotted: str) -> str | None:
    """The room of a module; None for what is not ours, and for the package's own name and version."""
    first, _, rest = dotted.partition(".")
    if first == "yizhan_simulator":
        return "simulator"
    room = rest.split(".")[0]
    return room if first == "yizhan" and room in SEES else None


def picture() -> dict[str, dict[str, list[str]]]:
    """room → room it imports from → the modules that do so."""
    drawn: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for module, tree in sources().items():
        room = room_of(module)
        for name in imports(module, tree):
            other = room_of(name)
            if room and other and room != other:
                drawn[room][other].append(module)
    return drawn


def show(drawn: dict[str, dict[str, list[str]]]) -> str:
    return "\n".join(f"{room:>9} ──► {', '.join(sorted(others))}" for room, others in sorted(drawn.items()))


def test_every_module_stands_in_a_room() -> None:
    """A new room is a decision: it belongs into the table and into ARCHITECTURE.md."""
    homeless = [module for module in sources() if room_of(module) is None]
    assert {"yizhan", "yizhan.__main__"} == set(homeless)


def test_imports_point_one_way() -> None:
    """Runtime never names a platform or an engine; nobody looks up the stairs."""
    drawn = picture()
    wrong = [
        f"{', '.join(sorted(set(modules)))} imports from {other}"
        for room, others in drawn.items()
        for other, modules in others.items()
        if other not in SEES[room].split()
    ]
    assert not wrong, "\n".join([*wrong, "", "the picture as it is:", show(drawn)])


def test_the_table_itself_has_no_circle() -> None:
    """One way means one way: the rooms can be put in an order."""
    seen: list[str] = []
    while len(seen) < len(SEES):
        free = [room for room in SEES if room not in seen and set(SEES[room].split()) <= {*seen, "simulator"}]
        assert free, f"a circle among {set(SEES) - set(seen)}"
        seen.extend(free)


def neighbours() -> dict[str, set[str]]:
    """module → the modules it imports from, late and by their names as text as well."""
    known = sources()
    drawn = {}
    for module, tree in known.items():
        named = {_module_of(name) for name in (*imports(module, tree), *_loaded_by_name(tree))}
        drawn[module] = {name for name in named if name in known and (module, name) != WAY_BACK} - {module}
    return drawn


def _loaded_by_name(tree: ast.Module) -> Iterator[str]:
    """What is loaded with `importlib.import_module("a.b")`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name))]):
                yield name


def test_no_module_imports_from_itself_by_a_detour() -> None:
    """Two modules that need each other are one, or want a third below both."""
    try:
        TopologicalSorter(neighbours()).prepare()
    except CycleError as circle:
        pytest.fail(" ◄── ".join(circle.args[1]))


@pytest.mark.parametrize("room", PURE)
def test_decisions_need_the_standard_library_only(room: str) -> None:
    """What decides can be tested as a function, and outlives every library."""
    foreign = (
        {
            name.split(".")[0]
            for module, tree in sources().items()
            if room_of(module) == room
            for name in imports(module, tree)
        }
        - {"yizhan"}
        - GUESTS.get(room, set())
    )
    assert foreign <= sys.stdlib_module_names


def test_platforms_do_not_see_each_other() -> None:
    """A third platform is one folder; taking one away breaks no other."""
    for module, tree in sources().items():
        folder = re.match(r"yizhan\.platforms\.(\w+)\.", module + ".")
        for name in imports(module, tree):
            other = re.match(r"yizhan\.platforms\.(\w+)\.", name + ".")
            if folder and other and _is_platform(folder[1]) and _is_platform(other[1]):
                assert folder[1] == other[1], f"{module} imports {name}"


def _is_platform(folder: str) -> bool:
    return f"yizhan.platforms.{folder}.codec" in sources()


def test_the_simulator_shares_no_code_with_us() -> None:
    """One misreading of the protocol must not confirm itself."""
    ours = [
        f"{module}: {name}"
        for module, tree in sources("yizhan_simulator").items()
        for name in imports(module, tree)
        if name.split(".")[0] == "yizhan"
    ]
    assert [] == ours


def test_the_command_line_imports_heavy_rooms_late() -> None:
    """`yizhan --help` and `send` to a running gateway load neither database, web framework nor console."""
    loaded, waiting = set(), ["yizhan.cli.main"]
    while waiting:
        module = waiting.pop()
        loaded.add(module)
        found = {_module_of(name) for one in _top_level(sources()[module]) for name in imports(module, one)}
        waiting += [name for name in found if name in sources() and name not in loaded]
    assert [] == sorted(module for module in loaded if room_of(module) in LATE)


def _module_of(name: str) -> str:
    """`yizhan.core.lane.Lanes` → `yizhan.core.lane`."""
    return name if name in sources() else name.rpartition(".")[0]


def _top_level(tree: ast.Module) -> Iterator[ast.stmt]:
    """The import statements that run when the module is loaded."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        statement = waiting.pop()
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" not in ast.dump(statement.test):
            waiting += [*statement.body, *statement.orelse]
        elif isinstance(statement, ast.Try):
            waiting += [*statement.body, *statement.orelse, *statement.finalbody]


def test_architecture_shows_this_table() -> None:
    """The page that newcomers read says the same as the test that holds."""
    page = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page, re.MULTILINE))
    told = {room: set(re.findall(r"`(\w+)`", others)) for room, others in shown.items() if room in SEES}
    assert {room: set(others.split()) for room, others in SEES.items()} == told
