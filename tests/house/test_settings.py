"""The door of the configuration: what an operator may write, and what they are told when it is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from yizhan.errors import SettingsError
from yizhan.settings import Settings, default_home, inherited_environment, load

OPENAI = {"kind": "openai", "base_url": "http://127.0.0.1:1/v1", "model": "tiny"}


def refusal(home: Path, file: str = "", environ: Mapping[str, str] | None = None) -> str:
    """What the operator reads."""
    (home / "config.yaml").write_text(file, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load(home, environ or {})
    assert caught.value.fix
    return str(caught.value)


def from_file(home: Path, text: str) -> Settings:
    (home / "config.yaml").write_text(text, encoding="utf-8")
    return load(home, {})


def test_without_anything_the_defaults_hold(tmp_path: Path) -> None:
    """A first start needs no file."""
    settings = load(tmp_path, {})
    assert (8787, "none", "pairing", tmp_path) == (
        settings.server.port,
        settings.agent,
        settings.access.policy,
        settings.home,
    )


def test_command_line_wins_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    """The order of precedence, one key for each layer."""
    text = "server: {host: file, port: 1}\nlanguage: en\ndelivery: {limiter: {growth: 2}}"
    (tmp_path / "config.yaml").write_text(text)
    environ = {"YIZHAN_SERVER__PORT": "2", "YIZHAN_LANGUAGE": "zh", "PATH": "/bin"}
    settings = load(tmp_path, environ, {"language": "en"})
    assert ("file", 2, "en", 2.0, 62.0) == (
        settings.server.host,
        settings.server.port,
        settings.language,
        settings.delivery.limiter.growth,
        settings.delivery.limiter.soft_cap_s,
    )


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("agnet: echo", "did you mean agent?"),
        ("server: {prot: 1}", "did you mean server.port?"),
        ("port: 8787", "did you mean server.port?"),
        ("limiter: {growth: 2}", "did you mean delivery.limiter"),
        ("accces: {policy: open}", "did you mean access?"),
        (
            "agents: {main: {kind: openai, base-url: 'http://h', model: m}}",
            "did you mean agents.main.base_url?",
        ),
    ],
)
def test_unknown_key_names_the_nearest(tmp_path: Path, wrong: str, nearest: str) -> None:
    """A silently ignored key is a setting that somebody believes in."""
    told = refusal(tmp_path, wrong)
    assert "no such key" in told
    assert nearest in told
    assert str(tmp_path / "config.yaml") in told


def test_unknown_variable_is_named_as_it_was_written(tmp_path: Path) -> None:
    """Environment variables with our prefix are keys too, and a typing error in them is as silent."""
    told = refusal(tmp_path, environ={"YIZHAN_SERVER__PROT": "1"})
    assert "YIZHAN_SERVER__PROT" in told
    assert "did you mean server.port?" in told


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    """Repairing one key per start is tedious."""
    told = refusal(tmp_path, "server: {port: 99999}\nlanguage: fr\n", {"YIZHAN_AGNET": "echo"})
    assert [True] * 3 == [name in told for name in ("server.port", "language", "agnet")]


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("server: {port: eighty}", "server.port", "valid integer"),
        ("server: {port: 70000}", "server.port", "65535"),
        ("server: 8787", "server", "holds keys of its own"),
        ("language: fr", "language", "'zh' or 'en'"),
        ("access: {allow: someone}", "access.allow", 'a list, for example ["a", "b"]'),
        ("console: {enabled: perhaps}", "console.enabled", "valid boolean"),
        ("delivery: {limiter: {growth: 0.5}}", "delivery.limiter.growth", "greater than or equal to 1"),
        ("agents: {main: {base_url: 'http://h'}}", "agents.main", "needs a kind; known: openai, command"),
        ("agents: {main: {kind: opnai}}", "agents.main", "unknown kind; known: openai, command"),
        ("agents: {main: {kind: openai, base_url: 'http://h'}}", "agents.main.model", "is required"),
        ("agents: {main: {kind: openai, base_url: h, model: m}}", "agents.main.base_url", "http"),
        ("agents: {main: {kind: command, argv: 'rm -rf'}}", "agents.main.argv", "a list"),
        ("agents: {main: {kind: command, argv: []}}", "agents.main.argv", "at least 1"),
        ("agents: {echo: {kind: command, argv: [cat]}}", "agents", "choose another name"),
        ("agent: mian\nagents: {main: {kind: command, argv: [cat]}}", "agent", "did you mean main?"),
        (
            'access: {allow: [ann, "b\u202eob"]}',
            "access.allow",
            "'b\\u202eob' holds a character that nobody sees",
        ),
        ('access: {admins: ["ann\\u200b"]}', "access.admins", "a character that nobody sees"),
        ('access: {group_allow: ["group/A "]}', "access.group_allow", "begins or ends with a blank"),
        (
            'access: {group_people: {"group/A\\ufeff": [ann]}}',
            "access.group_people",
            "a character that nobody sees",
        ),
        ('access: {group_people: {group/A: [" ann"]}}', "access.group_people", "begins or ends with a blank"),
        ('routes: [{agent: echo, chat: "group/A\\u200b"}]', "routes.0.chat", "a character that nobody sees"),
        (
            'agents: {main: {kind: openai, base_url: "http://h", model: m, api_key: "sk-1\\nsk-2"}}',
            "agents.main.api_key",
            "holds a line break",
        ),
        (
            'agents: {main: {kind: webhook, url: "http://h", secret: s, headers: {X-A: "b\\rc"}}}',
            "agents.main.headers",
            "holds a line break",
        ),
        ("database: {url: 'sqlite:///x.db'}", "database.url", "postgresql+psycopg://"),
        ("database: {url: ''}", "database.url", "leave it unset"),
        ("home: /elsewhere", "home", "YIZHAN_HOME"),
        ("1: 2", "", "string"),
        ("server: {host: ''}", "server.host", "at least 1"),
        ("delivery: {limiter: {first_quiet_s: -1}}", "delivery.limiter.first_quiet_s", "greater than 0"),
        (
            "delivery: {limiter: {first_quiet_s: 90, soft_cap_s: 30}}",
            "delivery.limiter",
            "first_quiet_s (90) is more",
        ),
        ("delivery: {limiter: {max_quiet_s: 30}}", "delivery.limiter", "soft_cap_s (62 unless set) is more"),
        (
            "delivery: {breaker: {probe_s: 20}}",
            "delivery.breaker",
            "raise slow_probe_s, or set probe_s to 15",
        ),
        ("delivery: {breaker: {in_doubt_cap_s: 0.5}}", "delivery.breaker", "in_doubt_base_s (1 unless set)"),
        ("delivery: {ghosts: {push_pause_s: 1000}}", "delivery.ghosts", "push_pause_max_s (900 unless set)"),
        ("retention: {push_s: 1.0e+30}", "retention.push_s", "less than or equal to 315360000"),
        ("retention: {reply_s: .inf}", "retention.reply_s", "less than or equal to 315360000"),
    ],
)
def test_wrong_values_say_what_is_wanted(tmp_path: Path, text: str, key: str, says: str) -> None:
    """Which key, and what to write instead."""
    told = refusal(tmp_path, text)
    assert key in told
    assert says in told


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    """Indentation is where YAML goes wrong."""
    assert "in line 4" in refusal(tmp_path, "agent: echo\nserver:\n  port: 1\n host: x\n")
    assert "is not valid YAML" in refusal(tmp_path, "agent: [echo")


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path: Path) -> None:
    """The last one won, and the operator believed in the first."""
    told = refusal(tmp_path, "language: en\nserver:\n  port: 1\n  host: a\n  port: 2\n")
    assert "the key 'port' stands twice, in lines 3 and 5" in told
    assert str(tmp_path / "config.yaml") in told
    assert "stands twice" in refusal(tmp_path, environ={"YIZHAN_SERVER": "{port: 1, port: 2}"})
    assert 1 == from_file(tmp_path, "server: {port: 1}\nconsole: {enabled: true}\n").server.port


def test_file_that_is_no_mapping_is_refused(tmp_path: Path) -> None:
    """A list, or a word, is a misunderstanding."""
    assert "keys and values" in refusal(tmp_path, "- agent\n- echo\n")
    assert "keys and values" in refusal(tmp_path, "echo")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """Not a file, and not UTF-8."""
    (tmp_path / "config.yaml").write_bytes(b"agent: \xff\xfe")
    with pytest.raises(SettingsError, match=r"config\.yaml cannot be read"):
        load(tmp_path, {})
    (tmp_path / "config.yaml").unlink()
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(SettingsError, match=r"config\.yaml cannot be read"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "server:\nagents:\ndelivery:\n  limiter:\n  # growth: 2\n"]
)
def test_empty_sections_set_nothing(tmp_path: Path, text: str) -> None:
    """Commenting out every line of a section must not be an error."""
    assert load(tmp_path, {}) == from_file(tmp_path, text)


def test_lists_and_maps_in_the_environment_are_written_as_in_yaml(tmp_path: Path) -> None:
    """One spelling for both places."""
    environ = {
        "YIZHAN_ACCESS__ALLOW": '["o9@im.wechat", "o8@im.wechat"]',
        "YIZHAN_AGENTS__TOOL": "{kind: command, argv: [cat, -u]}",
        "YIZHAN_AGENTS__MAIN__KIND": "openai",
        "YIZHAN_AGENTS__MAIN__BASE_URL": "http://127.0.0.1:1/v1",
        "YIZHAN_AGENTS__MAIN__MODEL": "tiny",
        "YIZHAN_AGENT": "main",
        "YIZHAN_CONSOLE__ENABLED": "false",
    }
    settings = load(tmp_path, environ)
    assert ("o9@im.wechat", "o8@im.wechat") == settings.access.allow
    assert ["tool", "main"] == list(settings.agents)
    assert not settings.console.enabled


def test_broken_list_in_the_environment_is_named(tmp_path: Path) -> None:
    """Shell quoting eats brackets and quotes."""
    told = refusal(tmp_path, environ={"YIZHAN_ACCESS__ALLOW": '["o9'})
    assert "YIZHAN_ACCESS__ALLOW" in told
    assert '["a", "b"]' in told


def test_plain_word_for_a_list_in_the_environment_is_named(tmp_path: Path) -> None:
    """The message names the variable, for that is what has to be changed."""
    told = refusal(tmp_path, environ={"YIZHAN_ACCESS__ALLOW": "o9@im.wechat"})
    assert "(YIZHAN_ACCESS__ALLOW)" in told
    assert "must be a list" in told


def test_our_special_variables_are_no_keys(tmp_path: Path) -> None:
    """They are read elsewhere, and must not stop a start."""
    special = ("HOME", "API_KEY", "SECRET_KEY", "TEST_REQUIRE", "CHAT", "SENDER", "SESSION", "TURN")
    assert load(tmp_path, {}) == load(tmp_path, {f"YIZHAN_{name}": "x" for name in special})


def test_secrets_stand_in_no_representation_and_no_message(tmp_path: Path) -> None:
    """Settings end up in logs and bug reports."""
    agents: dict[str, Any] = {
        "main": {**OPENAI, "api_key": "s3cret"},
        "tool": {"kind": "command", "argv": ["cat"], "env": {"TOKEN": "s3cret"}},
    }
    url = "postgresql+psycopg://user:s3cret@host/db"
    settings = load(tmp_path, {"YIZHAN_DATABASE__URL": url}, {"agents": agents})
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in str(settings)
    wrong = "agents: {main: {kind: openai, api_key: [s3cret], model: 1, base_url: s3cret}}\ndatabase: {url: s3cret}"
    assert "s3cret" not in refusal(tmp_path, wrong)


def test_settings_cannot_be_changed_afterwards(tmp_path: Path) -> None:
    """Checked once at the door, then the same for everybody."""
    with pytest.raises(ValueError, match="frozen"):
        load(tmp_path, {}).server.port = 1  # type: ignore[misc]


def test_home_comes_from_its_variable_or_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where everything lies."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path / ".yizhan" == default_home({})
    assert tmp_path / ".yizhan" == default_home({"YIZHAN_HOME": ""})
    assert tmp_path / "there" == default_home({"YIZHAN_HOME": "~/there"})


def test_programs_inherit_everything_but_our_own(tmp_path: Path) -> None:
    """A program that we start needs PATH, and none of our secrets."""
    assert {"PATH": "/bin"} == inherited_environment({"PATH": "/bin", "YIZHAN_SECRET_KEY": "x"})


def test_each_value_tells_where_it_comes_from(tmp_path: Path) -> None:
    """ "Which of the three places did I change?" is the first question when a setting seems to be ignored."""
    (tmp_path / "config.yaml").write_text(
        "language: en\nserver: {port: 1, host: 127.0.0.2}\nagents: {main: {kind: command, argv: [cat]}}\nconsole:\n"
    )
    environ = {"YIZHAN_SERVER__PORT": "2", "YIZHAN_LANGUAGE": "zh"}
    sources = load(tmp_path, environ, {"server": {"port": 3}}).sources
    assert {
        "language": "environment",
        "server.host": "file",
        "server.port": "command line",
        "agents.main.argv": "file",
        "agent": "default",
        "delivery.limiter.max_quiet_s": "default",
    } == {
        name: sources[name]
        for name in (
            "language",
            "server.host",
            "server.port",
            "agents.main.argv",
            "agent",
            "delivery.limiter.max_quiet_s",
        )
    }
