"""docs/configuration.md and the code, compared in both directions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tests.house.conftest import DOCS
from yizhan.settings import AGENT_KINDS, NOT_KEYS, TOLD_TO_COMMANDS, Route, Settings, keys, load

PAGE = (DOCS / "configuration.md").read_text(encoding="utf-8")
SIGNS = {"≥": "ge", ">": "gt", "≤": "le"}
UNITS = {
    "_per_s": "per second",
    "_s": "seconds",
    "_days": "days",
    "_chars": "characters",
    "_messages": "lines",
}
KINDS = {"Mapping": "map", "tuple": "list", "bool": "`true`, `false`", "str": "text", "int": "whole number"}


def rows() -> Iterator[tuple[str, str]]:
    """(key, its row of the page) for every key of the code."""
    yield from _rows(Settings, "")
    for kind, section in {**AGENT_KINDS, "route": Route}.items():
        for name, field in section.model_fields.items():
            if name != "kind":
                yield f"{kind}: {name}", _row(name, field)


def _rows(section: type[BaseModel], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _rows(kind, f"{prefix}{name}.")
        elif name != "home":
            yield f"{prefix}{name}", _row(f"{prefix}{name}", field)


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{name}` | {_default(field)} | {_values(name, field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.default
    if value in (None, "", ()) or value == {}:
        return "unset" if value is None else "empty"
    shown = {True: "true", False: "false"}[value] if isinstance(value, bool) else f"{value}"
    return f"`{shown}`"


def _values(name: str, field: FieldInfo) -> str:
    """What may be written: choices, or the kind of value with its unit and bounds."""
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    unit = next((unit for end, unit in UNITS.items() if name.endswith(end)), "")
    bounds = {sign: value for rule in field.metadata for sign, value in _bound(rule)}
    if ">" in bounds:
        bounds.pop("≥", None)
    return ", ".join([unit or _kind(field), *(f"{sign} {value}" for sign, value in sorted(bounds.items()))])


def _bound(rule: object) -> Iterator[tuple[str, int | float]]:
    for sign, name in SIGNS.items():
        if hasattr(rule, name):
            yield sign, getattr(rule, name)


def _kind(field: FieldInfo) -> str:
    shown = str(field.annotation)
    for sign, word in KINDS.items():
        if sign in shown:
            return word
    return "number"


ROWS = list(rows())


@pytest.mark.parametrize(("key", "row"), ROWS, ids=[key for key, _ in ROWS])
def test_every_key_of_the_code_is_told(key: str, row: str) -> None:
    """Default, values and meaning as the code has them; add or replace the row that the failure shows."""
    assert row in PAGE.splitlines(), f"docs/configuration.md needs the row:\n{row}"


def test_every_key_of_the_page_exists() -> None:
    """A key that is told but unknown would be refused at the start."""
    told = re.findall(r"^\| `([a-z_.]+)` \|", PAGE, re.MULTILINE)
    assert sorted(told) == sorted(key.split(": ")[-1] for key, _ in ROWS)


def test_keys_are_listed_for_the_program_too() -> None:
    """`settings.keys` is what suggestions are made of; it must not know fewer names than the page."""
    assert {key for key, _ in ROWS if ": " not in key} == {name for name, _, _ in keys()}


def test_special_variables_are_told() -> None:
    """Variables with our prefix that are no keys."""
    for name in {*NOT_KEYS, *TOLD_TO_COMMANDS} - {"YIZHAN_TEST_REQUIRE"}:
        assert f"`{name}`" in PAGE


def test_examples_of_the_page_are_accepted(tmp_path: Any) -> None:
    """Whoever copies the full example gets a gateway that starts."""
    for example in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        load(tmp_path, {}, yaml.safe_load(example))
    (variables,) = re.findall(r"```sh\n(YIZHAN_.*?)```", PAGE, re.DOTALL)
    environ = dict(re.findall(r"^(YIZHAN_\w+)='?(.*?)'?$", variables, re.MULTILINE))
    assert environ
    load(tmp_path, environ)
