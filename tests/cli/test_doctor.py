"""`yizhan doctor`: each thing that can be wrong is named, with what to change; nothing else is blamed."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from tests.cli.conftest import Ran, SmallGateway, account
from yizhan.cli.checkup import EARLIEST_MS, check_clock, check_home, check_port, check_secrets
from yizhan.cli.checkup_agent import _check_key, check_agent
from yizhan.cli.checkup_gateway import check_logins
from yizhan.cli.checkup_rooms import check_rooms
from yizhan.cli.client import Api
from yizhan.cli.findings import Finding, Level
from yizhan.core.connection import Lost, LostKind, NotGranted
from yizhan.settings import OpenAiAgent, Settings, load

Run = Callable[..., Ran]
NOW_MS = int(datetime(2026, 11, 21, tzinfo=UTC).timestamp() * 1000)


def settings_of(home: Path, **keys: Any) -> Settings:
    return load(home, {}, keys)


def findings(ran: Ran) -> dict[str, tuple[str, str]]:
    """check → (level, text + fix), the worst of each check."""
    order = ["ok", "warn", "fail"]
    worst: dict[str, tuple[str, str]] = {}
    for row in ran.json["findings"]:
        before = worst.get(row["check"], ("ok", ""))
        if order.index(row["level"]) >= order.index(before[0]):
            worst[row["check"]] = (row["level"], row["text"] + " " + row["fix"])
    return worst


@pytest.fixture
def endpoint(gateway: SmallGateway) -> SmallGateway:
    """The small gateway, played as a model's endpoint."""
    gateway.routes["GET", "/v1/models"] = (200, {"data": [{"id": "small"}, {"id": "large"}]})
    return gateway


def ask_endpoint(home: Path, url: str, model: str = "small") -> Finding:
    agents = {"main": {"kind": "openai", "base_url": url, "model": model, "api_key": "sk"}}
    return next(check_agent(settings_of(home, agent="main", agents=agents)))


def test_a_working_endpoint_is_asked_for_its_models_with_its_key(home: Path, endpoint: SmallGateway) -> None:
    """No question costs money just to see whether somebody is there."""
    assert Level.OK is ask_endpoint(home, endpoint.url + "/v1/").level
    assert "Bearer sk" == endpoint.only.headers["authorization"]


def test_a_model_that_the_endpoint_does_not_list_is_named_with_those_it_does(
    home: Path, endpoint: SmallGateway
) -> None:
    """A misspelt model fails only when somebody writes; here it shows at once."""
    finding = ask_endpoint(home, endpoint.url + "/v1", model="medium")
    assert Level.WARN is finding.level
    assert "large, small" in finding.fix


@pytest.mark.parametrize(
    ("reply", "level", "needle"),
    [
        ((401, {}), Level.FAIL, "agents.main.api_key"),
        ((404, {}), Level.WARN, "/v1"),
        ((200, "<html>login</html>"), Level.WARN, "/v1"),
        ((200, {"data": "no list"}), Level.WARN, "/v1"),
        (None, Level.FAIL, "agents.main.base_url"),
    ],
)
def test_an_endpoint_that_is_not_what_it_should_be_says_which_key_to_change(
    home: Path, endpoint: SmallGateway, reply: Any, level: Level, needle: str
) -> None:
    """The commonest mistake is a base URL without /v1, which answers with a page."""
    endpoint.routes["GET", "/v1/models"] = reply
    finding = ask_endpoint(home, endpoint.url + "/v1")
    assert level is finding.level
    assert needle in finding.fix


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/v1", "http:///v1", "http://host:port/v1", "http://nowhere.invalid/v1"]
)
def test_an_endpoint_nobody_listens_on_is_a_failure(home: Path, url: str) -> None:
    """Whatever stands in base_url, the answer is a sentence."""
    finding = ask_endpoint(home, url)
    assert Level.FAIL is finding.level
    assert "base_url" in finding.fix


@pytest.mark.parametrize(
    ("base_url", "told"),
    [
        ("http://models.example.com/v1", True),
        ("http://93.184.216.34/v1", True),
        ("https://models.example.com/v1", False),
        ("http://192.168.1.5:18789/v1", False),
        ("http://ollama:11434/v1", False),
        ("http://box.local/v1", False),
    ],
)
def test_a_key_that_travels_in_the_clear_is_told(home: Path, base_url: str, told: bool) -> None:
    """The key of an agent is often good for everything that the agent can do. Nobody is asked for this."""
    agent = OpenAiAgent(kind="openai", base_url=base_url, model="m", api_key="sk")
    findings = list(_check_key("main", agent))
    assert [Level.WARN] * told == [finding.level for finding in findings]
    assert all("agents.main.base_url" in (finding.fix or "") for finding in findings)


def test_every_agent_that_may_be_asked_is_checked(home: Path) -> None:
    """Routes and choices lead to agents as well as the default does; those that nothing names are left alone."""
    agents = {name: {"kind": "command", "argv": ["no-such-program-here"]} for name in ("a", "b", "c", "d")}
    settings = settings_of(home, agent="a", agents=agents, routes=[{"agent": "b"}], agent_choices=["c"])
    assert ["a", "b", "c"] == [finding.text.split(":")[0] for finding in check_agent(settings)]


def test_a_command_agent_must_be_a_program_that_can_be_run(home: Path) -> None:
    """Found by its name or by its path; a file that is not executable is none."""
    (home / "plain.txt").write_text("no program")
    levels = []
    for program in (sys.executable, "sh", "no-such-program", "./plain.txt"):
        agents = {"main": {"kind": "command", "argv": [program]}}
        levels += [finding.level for finding in check_agent(settings_of(home, agent="main", agents=agents))]
    assert [Level.OK, Level.OK, Level.FAIL, Level.FAIL] == levels


def test_without_an_agent_doctor_warns_that_nobody_answers(home: Path) -> None:
    """It is allowed, and easily forgotten."""
    [none] = check_agent(settings_of(home))
    [echo] = check_agent(settings_of(home, agent="echo"))
    assert (Level.WARN, Level.OK) == (none.level, echo.level)
    assert "nobody answers" in none.text


def test_files_that_others_can_read_are_named_with_the_command_that_mends_it(home: Path) -> None:
    """Tokens lie in these files."""
    assert [Level.OK] * 3 == [finding.level for finding in check_home(home)]
    (home / "api-key").write_text("x")
    (home / "api-key").chmod(0o644)
    home.chmod(0o755)
    fixes = [finding.fix for finding in check_home(home) if finding.level is Level.WARN]
    assert [f"chmod 700 {home}", f"chmod 600 {home / 'api-key'}"] == fixes


def test_a_home_that_is_a_file_is_a_failure(home: Path) -> None:
    """A typing mistake in --home."""
    (home / "file").touch()
    [finding] = check_home(home / "file")
    assert Level.FAIL is finding.level


@pytest.mark.parametrize(
    ("now_ms", "newest_ms", "level"),
    [
        (NOW_MS, None, Level.OK),
        (NOW_MS, NOW_MS + 59_000, Level.OK),
        (NOW_MS, NOW_MS + 3_600_000, Level.WARN),
        (EARLIEST_MS - 1, None, Level.FAIL),
        (0, None, Level.FAIL),
        (NOW_MS * 3, None, Level.FAIL),
    ],
)
def test_a_clock_that_cannot_be_right_is_noticed(now_ms: int, newest_ms: int | None, level: Level) -> None:
    """A machine that woke up in 1970, and one whose clock was set back."""
    assert level is check_clock(now_ms, newest_ms).level


def test_unencrypted_logins_are_said_to_be_so(home: Path) -> None:
    """The operator decides, knowing it."""
    assert Level.WARN is check_secrets({}, home).level
    assert Level.OK is check_secrets({"YIZHAN_SECRET_KEY": "k"}, home).level


def test_a_port_in_use_is_a_failure_and_a_free_one_is_not(home: Path) -> None:
    """`yizhan run` would say the same, later."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        [finding] = check_port(settings_of(home, server={"port": port}))
        assert Level.FAIL is finding.level
        assert "server.port" in finding.fix
    [finding] = check_port(settings_of(home, server={"port": 0}))
    assert Level.OK is finding.level


def test_an_address_beyond_loopback_is_a_warning(home: Path) -> None:
    """Without TLS the key travels in clear."""
    levels = [
        finding.level for finding in check_port(settings_of(home, server={"host": "0.0.0.0", "port": 0}))
    ]
    assert [Level.WARN, Level.OK] == levels


def test_doctor_tells_an_account_that_needs_its_person(run: Run, gateway: SmallGateway) -> None:
    """What the gateway knows is asked of the gateway."""
    bad = account("login_needed", action="Log in again: yizhan login weixin")
    gateway.routes["GET", "/v1/accounts"] = (200, {"items": [account(), bad | {"id": "weixin:cd@im.bot"}]})
    gateway.routes["GET", "/v1/messages"] = (200, {"items": [], "next": None})
    gateway.routes["GET", "/readyz"] = (200, {"ready": True, "reasons": [], "accounts": []})
    gateway.routes["GET", "/v1/settings"] = (200, {"settings": {"agent": "echo"}})
    ran = run("doctor", "--json")
    found = findings(ran)
    assert "the running gateway asks echo, while none is configured here" in found["agent"][1]
    assert 1 == ran.code
    assert "ok" == found["gateway"][0]
    assert "ok" == found["account weixin:ab12@im.bot"][0]
    assert "fail" == found["account weixin:cd@im.bot"][0]
    assert "yizhan login weixin" in found["account weixin:cd@im.bot"][1]


def test_without_a_gateway_doctor_says_what_a_platform_said_of_each_account() -> None:
    """Accepted, accepted with less than it could hear, refused with the address to allow, and barred when last seen."""
    barred = account(
        "barred", reason={"code": "close 4914", "text": "only its sandbox"}, action="Publish it."
    )
    answers = {
        "qq:1": None,
        "qq:2": NotGranted("QQ refused some of the events", "ask for them"),
        "qq:3": Lost(LostKind.BARRED, "11298", "QQ does not take requests from here", "add 1.2.3.4"),
        "qq:4": None,
    }
    shapes = (account(), account(), account(), barred)
    found = list(
        check_logins([shape | {"id": name} for name, shape in zip(answers, shapes, strict=True)], answers)
    )
    assert [Level.OK, Level.WARN, Level.FAIL, Level.WARN] == [finding.level for finding in found]
    assert ["ask for them", "add 1.2.3.4", "Publish it."] == [finding.fix for finding in found[1:]]
    assert "only its sandbox" in found[3].text


def test_doctor_names_the_nearest_key_for_one_that_does_not_exist(run: Run, home: Path) -> None:
    """The configuration is looked at even if nothing else can be."""
    (home / "config.yaml").write_text("acess: {policy: open}\n")
    ran = run("doctor", "--json")
    level, text = findings(ran)["configuration"]
    assert (1, "fail") == (ran.code, level)
    assert "access" in text


def test_doctor_says_that_the_key_is_refused(run: Run, gateway: SmallGateway) -> None:
    """A gateway that runs and refuses us is no broken store."""
    gateway.routes["GET", "/v1/accounts"] = (
        401,
        {"detail": "This key is not known.", "fix": "Use the right one."},
    )
    ran = run("doctor")
    assert 1 == ran.code
    assert "FAIL gateway: This key is not known." in ran.out
    assert "→ Use the right one." in ran.out


def test_doctor_does_not_call_a_gateway_fine_whose_only_account_is_down(
    run: Run, gateway: SmallGateway
) -> None:
    """Ready to accept is not the same as able to send."""
    gateway.routes["GET", "/v1/accounts"] = (200, {"items": [account("down")]})
    gateway.routes["GET", "/v1/messages"] = (200, {"items": [], "next": None})
    gateway.routes["GET", "/readyz"] = (200, {"ready": True, "reasons": [], "accounts": []})
    gateway.routes["GET", "/v1/settings"] = (200, {"settings": {"agent": "none"}})
    alert = {
        "kind": "disk",
        "severity": "warning",
        "account": None,
        "text": "10 MiB are left.",
        "action": "Free some.",
    }
    shown_by_state = alert | {"kind": "account_down", "account": "weixin:ab12@im.bot"}
    gateway.routes["GET", "/v1/alerts"] = (200, {"items": [shown_by_state, alert], "next": None})
    found = findings(run("doctor", "--json"))
    assert "warn" == found["gateway"][0]
    assert "none of its accounts is up" in found["gateway"][1]
    assert "10 MiB are left." in found["alert disk"][1]
    assert "alert account_down" not in found


class Chats:
    """An API that knows these chats."""

    def __init__(self, *targets: str) -> None:
        self._targets = targets

    def call(self, method: str, path: str, query: dict[str, Any]) -> dict[str, Any]:
        assert ("GET", "/v1/chats") == (method, path)
        return {"items": [{"chat": target} for target in self._targets if query["search"] in target]}


def test_a_rule_for_a_group_that_nobody_knows_is_told(home: Path) -> None:
    """A group was named without its `group/`: the rule that was to keep strangers out fitted no group at all."""
    api = cast(Api, Chats("qq:102:group/ABC", "qq:102:group/DEF", "weixin:ab@im.bot:o9@im.wechat"))
    access = {
        "group_allow": ["group/ABC", "qq:102:group/DEF"],
        "group_people": {"ABC": ["someone"], "group/DEF": ["someone"]},
    }
    routes = [
        {"agent": "echo", "chat": "o9@im.wechat"},
        {"agent": "echo", "chat": "group/XYZ"},
        {"agent": "echo"},
    ]
    told = list(check_rooms(api, settings_of(home, access=access, routes=routes)))
    assert [("access.group_people", "ABC"), ("routes", "group/XYZ")] == [
        (finding.check, finding.text.split()[0]) for finding in told
    ]
    assert {Level.WARN} == {finding.level for finding in told}
