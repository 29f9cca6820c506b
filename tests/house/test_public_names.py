"""What other programs rely on, written down a second time: a change here is a change of the contract."""

from __future__ import annotations

import ast
import re
import tomllib

import pytest

import yizhan
from tests.house.conftest import DOCS, ROOT, sources
from yizhan import errors, model
from yizhan.core import contract
from yizhan.core.verdict import VERDICT_NAMES, Verdict

EXPORTS = {"__version__"}

ACCOUNT_STATES = "starting up degraded down login_needed barred paused standby"
MESSAGE_STATES = "queued sending waiting delivered unconfirmed failed expired cancelled"
WAITING_FOR = "limit allowance user login connection audit operator"
TURN_STATES = "queued running waiting done failed stopped"
CLASSES = "reply notice push progress"
ACCESS = "allowed denied pending"
VERDICTS = "Delivered Ghost InDoubt Throttled StaleToken Deferred Rejected Barred"
EVENTS = "message.received message.state turn.state account.state chat.state alert schedule.run"
PROBLEMS = (
    "unknown-account unknown-chat text-empty text-too-long idempotency-conflict not-revivable busy cursor-gone "
    "invalid-request unauthorized forbidden"
)

ENUMS = [
    (model.AccountState, ACCOUNT_STATES),
    (model.MessageState, MESSAGE_STATES),
    (model.WaitingFor, WAITING_FOR),
    (model.TurnState, TURN_STATES),
    (model.Access, ACCESS),
]


def test_the_package_exports_these_names() -> None:
    """Small on purpose: the promise to programs is the HTTP API, not the modules."""
    assert set(yizhan.__all__) == EXPORTS


def test_the_version_is_told_once() -> None:
    """`yizhan --version`, the API and the package index agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == yizhan.__version__


@pytest.mark.parametrize(("enum", "names"), ENUMS, ids=[enum.__name__ for enum, _ in ENUMS])
def test_states_are_frozen(enum: type[model.MessageState], names: str) -> None:
    """A state that is renamed breaks programs that we shall never meet."""
    assert names.split() == [state.value for state in enum]


def test_classes_and_their_order_are_frozen() -> None:
    """The order is the order of sending."""
    assert CLASSES.upper().split() == [klass.name for klass in sorted(model.MessageClass)]


def test_verdicts_are_frozen_and_the_set_is_closed() -> None:
    """Attempts show these names; the union and its list of names are one set."""
    assert tuple(VERDICTS.split()) == VERDICT_NAMES
    assert set(VERDICT_NAMES) == {verdict.__name__ for verdict in Verdict.__args__}


def test_events_are_frozen() -> None:
    """Event types are what programs subscribe to."""
    made = {
        str(node.args[0].value)
        for node in ast.walk(sources()["yizhan.core.contract"])
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "_event"
        and isinstance(node.args[0], ast.Constant)
    }
    assert set(EVENTS.split()) == made
    assert made == set(contract.EVENT_TYPES), "what readers may ask for"


def test_problem_names_of_errors_are_frozen() -> None:
    """A program tells problems apart by these names."""
    raised = {
        error.name
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.RequestError | errors.StoreBusy)
    }
    assert set(PROBLEMS.split()) - {"unauthorized", "forbidden"} <= raised


@pytest.mark.parametrize(
    "names",
    [ACCOUNT_STATES, MESSAGE_STATES, WAITING_FOR, TURN_STATES, CLASSES, ACCESS, VERDICTS, EVENTS, PROBLEMS],
)
def test_the_contract_tells_every_name(names: str) -> None:
    """What is frozen is documented, as code."""
    page = (DOCS / "contract.md").read_text(encoding="utf-8")
    told = set(re.findall(r"[\w.-]+", " ".join(re.findall(r"```.*?```|`[^`\n]+`", page, re.DOTALL))))
    assert [] == [name for name in names.split() if name not in told]
