"""Verbs without a running gateway: the same application, on the store opened under the home's lock."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran, SmallGateway, dead_pid, write_gateway_file

Run = Callable[..., Ran]
Start = Callable[..., "subprocess.Popen[bytes]"]
ID = "weixin:ab12@im.bot"
TO = f"{ID}:o9@im.wechat"


@pytest.fixture
def with_account(run: Run) -> Run:
    """A home with one account."""
    arguments = ("--account-id", "ab12@im.bot", "--token-stdin", "--base-url", "http://127.0.0.1:1")
    assert 0 == run("account", "add", "weixin", *arguments, stdin="ab12@im.bot:06\n").code
    return run


def test_a_message_is_accepted_kept_cancelled_and_revived(with_account: Run, home: Path) -> None:
    """Accepted means committed, also when nobody can send it yet."""
    run = with_account
    sent = run("send", "-t", TO, "hello", "--json")
    assert (0, "queued", TO) == (sent.code, sent.json["state"], sent.json["to"])
    assert "will be sent when one runs" in sent.err
    message_id = sent.json["id"]
    assert [message_id] == [row["id"] for row in run("outbox", "list", "--json").json["items"]]
    assert "cancelled" == run("outbox", "cancel", message_id, "--json").json["state"]
    assert [message_id] == [
        row["id"]
        for row in run("outbox", "list", "--state", "cancelled", "--since", "1h", "--json").json["items"]
    ]
    assert "queued" == run("outbox", "retry", message_id, "--json").json["state"]


def test_the_same_account_again_replaces_its_credentials(with_account: Run) -> None:
    """A new token must not cost the queue."""
    run = with_account
    run("send", "-t", TO, "hello")
    again = run(
        "account", "add", "weixin", "--account-id", ID, "--token-stdin", "--json", stdin="ab12@im.bot:07"
    )
    assert {"id": ID, "created": False} == again.json
    status = run("status", "--json").json
    assert (False, {"queued": 1}) == (status["gateway"]["running"], status["accounts"][0]["live"])
    assert 1 == run("status", "--check").code


def test_the_same_key_with_another_text_is_refused(with_account: Run) -> None:
    """An idempotency key names one message."""
    run = with_account
    first = run("send", "-t", TO, "one", "--key", "k", "--json").json["id"]
    assert first == run("send", "-t", TO, "one", "--key", "k", "--json").json["id"]
    other = run("send", "-t", TO, "two", "--key", "k", "--json")
    assert (2, "urn:yizhan:problem:idempotency-conflict") == (other.code, other.json["type"])


@pytest.mark.parametrize(
    ("target", "text", "name"),
    [
        ("weixin:zz@im.bot:u", "x", "unknown-account"),
        ("qq:1:c2c/u", "x", "unknown-account"),
        ("nonsense", "x", "invalid-request"),
        (TO, "", "text-empty"),
        (TO, "long" * 100_000, "text-too-long"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_with_what_to_change(
    with_account: Run, target: str, text: str, name: str
) -> None:
    """Nothing of it is accepted."""
    ran = with_account("send", "-t", target, "-", "--json", stdin=text)
    assert (2, f"urn:yizhan:problem:{name}") == (ran.code, ran.json["type"])
    assert 1 == ran.err.count("\n")


def test_access_keys_and_pauses_are_written_down(with_account: Run) -> None:
    """What an operator decides holds from the next start on."""
    run = with_account
    assert "allow" == run("access", "allow", "someone@im.wechat", "--json").json["rule"]
    listed = next(line for line in run("access", "list").out.splitlines() if "someone@im.wechat" in line)
    assert "20" not in listed, "a sender who has never written was never seen"
    key = run("key", "add", "cron", "--json").json
    assert key["key"].startswith("yz_")
    assert key["key"] not in run("key", "list").out
    assert run("key", "revoke", key["id"], "--json").json["revoked_at"]
    assert run("account", "pause", ID, "--json").json["paused"]
    assert 0 == run("account", "remove", ID).code
    gone = run("account", "resume", ID, "--json")
    assert (2, "urn:yizhan:problem:unknown-account") == (gone.code, gone.json["type"])


def test_a_stale_gateway_file_is_passed_over_and_left_alone(run: Run, home: Path) -> None:
    """After a crash the file names a process that is gone."""
    write_gateway_file(home, "http://127.0.0.1:1", dead_pid())
    ran = run("account", "list", "--json")
    assert (0, []) == (ran.code, ran.json["items"])
    assert (home / "gateway.json").exists()


def test_a_home_that_somebody_holds_without_answering_is_said_to_be_in_use(run: Run, home: Path) -> None:
    """Two writers on one store would be worse than no answer."""
    lock = os.open(home / "yizhan.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    ran = run("status", "--json")
    os.close(lock)
    assert (3, "urn:yizhan:problem:store-in-use") == (ran.code, ran.json["type"])
    assert "in use" in ran.err


def test_a_verb_waits_a_moment_for_another_verb_on_the_same_home(with_account: Run, start: Start) -> None:
    """Two cron jobs at the same minute must both get through."""
    verbs = [start("send", "-t", TO, str(number)) for number in range(3)]
    assert [0, 0, 0] == [verb.wait(60) for verb in verbs]
    assert 3 == len(with_account("outbox", "list", "--json").json["items"])


def test_a_corrupted_database_is_one_sentence(run: Run, home: Path) -> None:
    """A broken disk is bad enough without a traceback."""
    (home / "yizhan.db").write_bytes(b"this is no database" * 500)
    for verb in (("status",), ("run",), ("send", "-t", TO, "x")):
        ran = run(*verb, env={"YIZHAN_SERVER__PORT": "0"})
        assert 1 == ran.code, ran
        assert "Traceback" not in ran.err
        assert "yizhan.db" in ran.err
    level = [row["level"] for row in run("doctor", "--json").json["findings"] if row["check"] == "store"]
    assert ["fail"] == level


def test_states_without_a_gateway_are_told_as_past(with_account: Run) -> None:
    """Nobody keeps them true: "up" would be a lie."""
    for verb in (("status",), ("account", "list")):
        out = with_account(*verb).out
        assert "was starting" in out
    assert "starting" == with_account("status", "--json").json["accounts"][0]["state"]


def test_a_wrong_target_is_refused_in_words_of_ours(with_account: Run) -> None:
    """Nobody should have to know the library that checks it."""
    ran = with_account("send", "-t", "", "hi")
    assert (2, True) == (ran.code, "to must not be empty" in ran.err)
    ran = with_account("send", "-t", "x" * 600, "hi")
    assert "to must have at most 512 characters" in ran.err
    assert "String" not in ran.err


@pytest.mark.parametrize("verb", [("status",), ("run",), ("doctor",)])
def test_a_home_that_cannot_be_used_is_one_sentence(run: Run, home: Path, verb: tuple[str, ...]) -> None:
    """A file in its place, as after a slip in a script."""
    (home / "file").touch()
    ran = run(*verb, "--home", str(home / "file"))
    assert (1 if verb == ("doctor",) else 2) == ran.code
    assert "Traceback" not in ran.err
    assert f"{home / 'file'} is not a directory" in ran.err + ran.out
    assert "config.yaml" not in ran.err


@pytest.mark.parametrize("verb", [("status",), ("run",), ("doctor",)])
def test_a_home_that_may_not_be_read_is_one_sentence(run: Run, home: Path, verb: tuple[str, ...]) -> None:
    """Started as the wrong user. (Root may read everything, so it becomes nobody here.)"""
    home.chmod(0)
    ran = run(*verb, "--home", str(home), user=65534 if os.geteuid() == 0 else None)
    home.chmod(0o700)
    assert (1 if verb == ("doctor",) else 2) == ran.code
    assert "Traceback" not in ran.err
    assert str(home) in ran.out + ran.err


@pytest.mark.parametrize("verb", [("status",), ("run",), ("send", "-t", TO, "x")])
def test_a_wrong_configuration_key_names_the_nearest(run: Run, home: Path, verb: tuple[str, ...]) -> None:
    """Every verb that needs the configuration says the same."""
    (home / "config.yaml").write_text("sever: {port: 1}\n")
    ran = run(*verb)
    assert 2 == ran.code
    assert "did you mean server" in ran.err


def test_run_says_that_its_port_is_taken(run: Run) -> None:
    """2: the configuration must change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run("run", "--port", str(taken.getsockname()[1]))
    assert (2, "") == (ran.code, ran.out)
    assert "server.port" in ran.err


@pytest.mark.field("F79")
def test_the_command_line_and_a_running_gateway_meet(with_account: Run, start: Start) -> None:
    """`run` in the foreground, verbs beside it, a second `run` refused, SIGTERM ends it with 0."""
    run, quick = with_account, {"YIZHAN_SERVER__PORT": "0", "YIZHAN_CONSOLE__ENABLED": "false"}
    gateway = start("run", env=quick)
    assert gateway.stdout is not None
    ready = gateway.stdout.readline().decode()
    assert ready.startswith("ready http://127.0.0.1:")
    status = run("status", "--json").json
    assert (True, ready.split()[1]) == (status["gateway"]["running"], status["gateway"]["url"])
    assert 4 == run("send", "-t", TO, "x", "--wait", "--timeout", "0.2").code
    assert 3 == run("run", env=quick).code
    gateway.terminate()
    assert 0 == gateway.wait(30)
    assert not run("status", "--json").json["gateway"]["running"]


def test_login_without_a_gateway_says_what_is_wrong_with_the_network(run: Run, gateway: SmallGateway) -> None:
    """The login page cannot be reached: an end, not a hang."""
    write_gateway_file(gateway.home, gateway.url, dead_pid())
    ran = run("login", "weixin", env={"YIZHAN_WEIXIN__LOGIN_URL": "http://127.0.0.1:1"})
    assert 1 == ran.code
    assert "no login" in ran.err
    assert "Traceback" not in ran.err
