"""The demo as a newcomer meets it: what it says can be typed, and nothing of it stays behind, however it ends."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import environment
from yizhan.demo import DemoOptions, command, settings_of, speaks_chinese

PATIENCE_S = 20
BARE_PATH = "/usr/bin:/bin"
"""PATH of a terminal that knows nothing of our virtual environment."""

pytestmark = pytest.mark.skipif(not Path("/proc/self").exists(), reason="finds child processes by /proc")


@dataclass
class Demo:
    """A running `yizhan demo`, what it has printed, and the simulator that it started."""

    process: subprocess.Popen[bytes]
    home: Path
    text: str
    simulator: int

    @property
    def ended(self) -> bool:
        """Whether neither of the two processes runs."""
        return self.process.poll() is not None and not _runs(self.simulator)

    def wait_for_its_end(self) -> int:
        code = self.process.wait(PATIENCE_S)
        _until(lambda: self.ended)
        return code


Begin = Callable[..., Demo]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts a demo and waits until it has said everything; whatever still runs at the end is killed."""
    started: list[Demo] = []

    def begin_demo(command: tuple[str, ...] = (sys.executable, "-m", "yizhan"), **options: Any) -> Demo:
        home = tmp_path / "demo's home"
        env = environment(tmp_path, {"PATH": BARE_PATH, "LANG": "C.UTF-8"} | options.pop("env", {}))
        master: int | None = options.pop("master", None)
        outputs = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options
        process = subprocess.Popen([*command, "demo", "--home", str(home)], env=env, **outputs)
        if process.stdout is not None:
            text = _read_until(process.stdout, b"Ctrl-C")
        else:
            with os.fdopen(os.dup(master or 0), "rb") as screen:
                text = _read_until(screen, b"Ctrl-C")
        demo = Demo(process, home, text, _simulator_of(process.pid))
        started.append(demo)
        return demo

    yield begin_demo
    for demo in started:
        demo.process.kill()
        demo.process.communicate()
        if _runs(demo.simulator):
            os.kill(demo.simulator, signal.SIGKILL)


def _read_until(screen: Any, word: bytes) -> str:
    text = b""
    while word not in text:
        line = screen.readline()
        assert line, text.decode()
        text += line
    return text.decode()


def _simulator_of(parent: int) -> int:
    [child] = [
        int(line.split()[0])
        for line in _processes()
        if int(line.split()[1]) == parent and "yizhan_simulator" in line
    ]
    return child


def _processes() -> list[str]:
    """Lines of: id, parent, command."""
    lines = []
    for folder in Path("/proc").iterdir():
        try:
            parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            lines.append(f"{int(folder.name)} {parent} {(folder / 'cmdline').read_text()}")
        except (OSError, ValueError):
            continue
    return lines


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_a_closed_terminal_ends_the_demo_and_leaves_nothing_running(begin: Begin) -> None:
    """The simulator and gateway.json stayed behind, and the next verb spoke to a gateway that was none."""
    master, slave = os.openpty()

    def take_the_terminal() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    terminal = {"stdin": slave, "stdout": slave, "stderr": slave, "start_new_session": True}
    demo = begin(master=master, preexec_fn=take_the_terminal, **terminal)
    os.close(slave)
    assert (demo.home / "gateway.json").exists()
    os.close(master)
    assert 0 == demo.wait_for_its_end()
    assert not (demo.home / "gateway.json").exists()


SPEAKS_TO_THE_END = """
import sys
from yizhan.app import run, say

async def work():
    say("up")
    sys.stdin.read(1)
    say("last words")
    return 0

sys.exit(run(work()))
"""


def test_last_words_to_a_closed_terminal_are_no_failure() -> None:
    """A window that is closed while the demo introduces itself made it fail with "Input/output error"."""
    master, slave = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", SPEAKS_TO_THE_END], stdin=subprocess.PIPE, stdout=slave, stderr=slave
    ) as process:
        os.close(slave)
        assert b"up" in os.read(master, 100)
        os.close(master)
        process.communicate(b"!", PATIENCE_S)
    assert 0 == process.returncode


def test_a_hang_up_ends_the_demo_with_exit_code_0(begin: Begin) -> None:
    """As a closed window says it to whoever runs in it."""
    demo = begin()
    demo.process.send_signal(signal.SIGHUP)
    assert 0 == demo.wait_for_its_end()
    assert not (demo.home / "gateway.json").exists()


def test_a_demo_that_is_killed_takes_its_simulator_along(begin: Begin) -> None:
    """A simulator that nobody knows of would hold its port and its memory until the next start of the machine."""
    demo = begin()
    demo.process.kill()
    assert -signal.SIGKILL == demo.wait_for_its_end()


def test_started_to_outlive_its_terminal_it_does(begin: Begin) -> None:
    """nohup says so by ignoring the signal before we start."""
    demo = begin(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    demo.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert not demo.ended
    demo.process.send_signal(signal.SIGTERM)
    assert 0 == demo.wait_for_its_end()


@pytest.mark.parametrize("how", ["module", "console script"])
def test_the_push_that_the_demo_suggests_works_when_typed_in_another_terminal(
    begin: Begin, tmp_path: Path, how: str
) -> None:
    """After `make demo` the command `yizhan` is on nobody's PATH."""
    script = Path(sys.executable).with_name("yizhan")
    relative = os.path.relpath(script)
    demo = begin((relative,) if how == "console script" else (sys.executable, "-m", "yizhan"))
    to_weixin, to_qq = [line.strip() for line in demo.text.splitlines() if " send " in line]
    env = {"PATH": BARE_PATH, "HOME": str(tmp_path)}
    for line in (to_weixin, f"{to_qq} --wait"):
        typed = subprocess.run(["sh", "-c", line], env=env, cwd=tmp_path, capture_output=True, timeout=60)
        assert 0 == typed.returncode, typed.stderr.decode()
    assert b"delivered" in typed.stdout  # QQ lets a bot write to a group unasked


def test_where_yizhan_is_on_the_path_the_demo_keeps_it_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed by a tool that puts it there."""
    monkeypatch.setattr(sys, "argv", ["-m"])
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{BARE_PATH}")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    assert "yizhan" == command()


def test_a_virtual_environment_that_is_activated_here_is_not_so_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another terminal has another PATH."""
    folder = Path(sys.executable).parent
    monkeypatch.setattr(sys, "argv", ["-m"])
    monkeypatch.setenv("PATH", f"{folder}:{BARE_PATH}")
    monkeypatch.setenv("VIRTUAL_ENV", str(folder.parent))
    assert f"{folder}/yizhan" == command()


@pytest.mark.parametrize(
    ("env", "chinese"),
    [
        ({"LANG": "zh_CN.UTF-8"}, True),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, False),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, True),
        ({"LANG": "de_DE.UTF-8"}, False),
        ({}, False),
    ],
)
def test_the_terminals_language_is_known_by_the_usual_variables(env: dict[str, str], chinese: bool) -> None:
    """The most special one that is set and not empty decides, as for every other program."""
    assert chinese == speaks_chinese(env)


def test_the_demo_speaks_the_language_of_the_terminal(begin: Begin) -> None:
    """Most people who use WeChat read Chinese."""
    demo = begin(env={"LANG": "zh_CN.UTF-8"})
    assert re.search(r"^ +控制台 +http://", demo.text, re.MULTILINE)
    assert re.search(r"^ +手机 +http://", demo.text, re.MULTILINE)


def test_a_demo_is_set_by_its_own_home_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment may name the database of a gateway that is at work."""
    monkeypatch.setenv("YIZHAN_DATABASE__URL", "postgresql+psycopg://at-work/db")
    (tmp_path / "config.yaml").write_text("webhooks: {allow_private: true}\n")
    chosen = settings_of(tmp_path, DemoOptions(tmp_path), "http://127.0.0.1:9")
    assert (True, None) == (chosen.webhooks.allow_private, chosen.database.url)
