"""The pages that people read: true where that can be checked, whole, and written for strangers."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.conftest import DOCS, ROOT, SRC, pages, sources
from yizhan import model
from yizhan.agents import FAILURE_CODES
from yizhan.core.verdict import VERDICT_NAMES

NAMES_OF_PAGES = [str(page.relative_to(ROOT)) for page in pages()]
ADRS = sorted((DOCS / "adr").glob("0*.md"))
HEADINGS = ["Context", "Decision", "What we gave up", "What would change our mind"]
A_PLACE_ON_SOME_MACHINE = re.compile(r"(?<![\w.$~}])/(work|root|home/\w+|Users/\w+)/|\.\./shared")
KEPT_OUT_OF_LOGS = {
    "text",
    "token",
    "secret",
    "cursor",
    "body",
    "api_key",
    "password",
    "qr_text",
    "credentials",
}
LOG_CALLS = {"debug", "info", "warning", "error", "exception", "critical", "bind", "new"}


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def in_code(page: Path) -> set[str]:
    """The words of a page that stand in code, in-line or in blocks."""
    return set(
        re.findall(r"[\w./:{}<>-]+", " ".join(re.findall(r"```.*?```|`[^`\n]+`", text_of(page), re.DOTALL)))
    )


# names


@pytest.mark.parametrize(
    "enum", [model.MessageState, model.AccountState, model.TurnState, model.WaitingFor, model.TokenState]
)
def test_states_page_tells_every_state(enum: type[model.MessageState]) -> None:
    """A state that nobody explains is a riddle on a console page."""
    assert [] == [state.value for state in enum if state.value not in in_code(DOCS / "states.md")]


@pytest.mark.parametrize("page", ["states.md", "glossary.md"])
def test_every_verdict_is_told(page: str) -> None:
    """The closed set, for those who read attempts."""
    shown = text_of(DOCS / page)
    assert [] == [name for name in VERDICT_NAMES if not re.search(rf"\b{name}\b", shown)]


def test_every_failure_of_an_agent_is_told() -> None:
    """The codes are what an operator has in hand."""
    assert [] == [code for code in FAILURE_CODES if code not in in_code(DOCS / "connect-an-agent.md")]


def test_every_problem_of_an_agent_is_one_of_these() -> None:
    """A code that is raised but not listed would be told nowhere."""
    raised = {
        str(node.value)
        for module, tree in sources().items()
        if module.startswith("yizhan.agents")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and re.fullmatch(r"agent-[a-z-]+", str(node.value))
    }
    assert set(FAILURE_CODES) == raised


def test_every_route_is_in_the_contract() -> None:
    """What the API answers and what its page tells are one list."""
    from yizhan.web.api import ROUTERS

    told = _without_names(text_of(DOCS / "contract.md"))
    routes = {_without_names(getattr(route, "path", "")) for router in ROUTERS for route in router.routes}
    assert routes
    assert [] == sorted(path for path in routes if path not in told)


def test_every_field_of_every_answer_is_in_the_contract() -> None:
    """Who writes a client reads the page, not the schema."""
    from yizhan.web import shapes

    told = text_of(DOCS / "contract.md")
    made = [
        each for each in vars(shapes).values() if isinstance(each, type) and issubclass(each, shapes.Shape)
    ]
    fields = {name for each in made for name in each.model_fields}
    assert len(fields) > 50
    assert [] == sorted(name for name in fields if not re.search(rf'[`"]{name}[`"]', told))


def _without_names(text: str) -> str:
    """`/v1/messages/{id}` and `/v1/messages/{message_id}` are the same route."""
    return re.sub(r"\{[^}\n]*\}", "{}", text)


def test_every_guest_has_a_line() -> None:
    """A dependency without a place and a way out is a tenant."""
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    guests = {re.split(r"[\[<>=;! ]", line)[0] for line in project["project"]["dependencies"]}
    told = set(
        re.findall(
            r"[\w-]+", " ".join(re.findall(r"^\| ([^|]+) \|", "".join(map(text_of, ADRS)), re.MULTILINE))
        )
    )
    assert [] == sorted(guests - told)


# whole


@pytest.mark.parametrize("name", NAMES_OF_PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """A dead link is a closed door in the hallway."""
    page = ROOT / name
    links = re.findall(r"\]\(([^)\s]+)\)", text_of(page))
    dead = [link for link in links if not re.match(r"\w+:", link) and not _leads(page, link)]
    assert [] == dead


def _leads(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_first_screen_has_the_command(name: str) -> None:
    """One sentence, one promise, one command, before anybody has to scroll."""
    assert "make demo" in "\n".join(text_of(ROOT / name).splitlines()[:35])


def test_both_readmes_say_the_same() -> None:
    """Same sections, same commands, same pages, in both languages."""
    english, chinese = text_of(ROOT / "README.md"), text_of(ROOT / "README.zh-CN.md")
    for pattern in (
        r"^(#+) ",
        r"\]\(((?!README)[^)]+)\)",
        r"^(?:make|yizhan|YIZHAN_\S+) (\w+)",
    ):
        assert re.findall(pattern, english, re.MULTILINE) == re.findall(pattern, chinese, re.MULTILINE)


def test_commands_of_the_pages_exist() -> None:
    """A verb that is told can be typed."""
    from yizhan.cli.main import build

    known = set(_verbs(build()))
    for name in NAMES_OF_PAGES:
        blocks = re.findall(r"```sh\n(.*?)```|`(yizhan [^`\n]+)`", text_of(ROOT / name), re.DOTALL)
        for line in "\n".join(a or b for a, b in blocks).splitlines():
            if typed := re.match(r"(?:YIZHAN_\S+ )*yizhan ((?:[a-z]+ ?){1,3})", line):
                words = typed[1].split()
                assert {" ".join(words[:count]) for count in (1, 2, 3)} & known, f"{name}: {line}"


def _verbs(app: object) -> Iterator[str]:
    """`run`, `outbox show` …; a group counts only with its verb."""
    from typer.main import get_command

    def walk(command: object, path: str) -> Iterator[str]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield path
        for name, one in (inner or {}).items():
            yield from walk(one, f"{path} {name}".strip())

    yield from walk(get_command(app), "")  # type: ignore[arg-type]


@pytest.mark.parametrize("adr", ADRS, ids=[adr.stem for adr in ADRS])
def test_decisions_have_their_four_parts(adr: Path) -> None:
    """Also what we gave up, and what would change our mind."""
    assert HEADINGS == re.findall(r"^## (.+)$", text_of(adr), re.MULTILINE)
    assert len(text_of(adr).splitlines()) < 70
    assert f"({adr.name})" in text_of(DOCS / "adr" / "README.md")


def test_decisions_are_numbered_without_gaps() -> None:
    """Numbers are how they are cited."""
    assert [f"{number:04}" for number in range(1, len(ADRS) + 1)] == [adr.name[:4] for adr in ADRS]


# for strangers


def test_no_page_and_no_source_names_a_place_on_some_machine() -> None:
    """What is written here is read elsewhere."""
    files = [
        *pages(),
        *SRC.rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
    ]
    files.remove(Path(__file__).resolve())
    found = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in files
        for line in text_of(file).splitlines()
        if A_PLACE_ON_SOME_MACHINE.search(line)
    ]
    assert [] == found


@pytest.mark.field("F85")
def test_logs_carry_neither_text_nor_secrets() -> None:
    """A log line is copied into bug reports; what people wrote, and what opens their account, must not be in it."""
    leaks = [
        f"{module}:{node.lineno} {keyword.arg}"
        for module, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and _is_log_call(node)
        for keyword in node.keywords
        if keyword.arg in KEPT_OUT_OF_LOGS
    ]
    assert [] == leaks


def _is_log_call(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in LOG_CALLS:
        return False
    owner = call.func.value
    while isinstance(owner, ast.Call):
        owner = owner.func
    name = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
    return "log" in name.lower() or name in LOG_CALLS


def test_the_search_for_leaks_finds_them() -> None:
    """A test that cannot fail would protect nothing."""
    calls = [
        "log.info('x', text=t)",
        "self._log.bind(account=a).warning('x', token=t)",
        "logger.error('x', body=b)",
    ]
    assert [True] * 3 == [_is_log_call(ast.parse(call, mode="eval").body) for call in calls]  # type: ignore[arg-type]
