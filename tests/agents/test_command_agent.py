"""The command agent with real programs: what they are told, what they may say, and how they end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.agents.conftest import answers, ask
from yizhan.agents import FAILURE_CODES
from yizhan.agents.answer import TOO_LONG
from yizhan.agents.command import CommandAnswers
from yizhan.ports import AgentFailed, Text
from yizhan.settings import CommandAgent

Commands = Callable[..., CommandAnswers]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")


@pytest.fixture
def command(tmp_path: Path) -> Commands:
    """`command("prog", "arg", timeout_s=…)` → an agent whose home is an empty directory."""

    def make(*argv: str, **settings: Any) -> CommandAnswers:
        return CommandAnswers("main", CommandAgent(kind="command", argv=argv, **settings), tmp_path, "zh")

    return make


def python(source: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", textwrap.dedent(source), *arguments)


async def failure(agent: CommandAnswers, text: str = "你好") -> AgentFailed:
    with pytest.raises(AgentFailed) as caught:
        await answers(agent, ask(text))
    assert caught.value.code in FAILURE_CODES
    return caught.value


async def appears(file: Path) -> str:
    """Waits until somebody has written the file."""
    async with asyncio.timeout(10):
        while not (text := _content(file)):
            await asyncio.sleep(0.01)
    return text


async def gone(pid: int) -> bool:
    """Whether the process ends within a while."""
    for _ in range(500):
        if _ended(pid):
            return True
        await asyncio.sleep(0.01)
    return False


def _content(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def _ended(pid: int) -> bool:
    """A zombie that init has not collected yet counts as ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return "State:\tZ" in _content(Path(f"/proc/{pid}/status"))


def _processes_with(word: str) -> list[str]:
    """Processes that have the word in their command line."""
    return [str(one) for one in Path("/proc").glob("[0-9]*") if word.encode() in _command_line(one)]


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def family(file: Path, stubborn: bool = False) -> tuple[str, ...]:
    """A program with a child, which writes both their numbers into the file. Stubborn ones ignore TERM, both."""
    trap = "trap '' TERM; " if stubborn else ""
    return ("sh", "-c", f"{trap}sleep 600 & echo $$ $! > {file}; wait")


async def test_text_goes_in_and_the_answer_comes_out(command: Commands) -> None:
    """The whole protocol: stdin to its end, stdout, exit code 0."""
    assert ["你好\n世界"] == await answers(command("cat"), ask("你好\n世界"))


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_both_event_loops_carry_a_megabyte_through(command: Commands, loop: Any) -> None:
    """The gateway runs on uvloop where there is one; pipes must not stall on either."""
    text = "驿" * 400_000
    with asyncio.Runner(loop_factory=loop) as runner:
        assert [text] == runner.run(answers(command("cat", max_answer_chars=500_000), ask(text)))


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_both_event_loops_end_the_family(command: Commands, tmp_path: Path, loop: Any) -> None:
    """The same for the other half of the job."""

    async def story() -> None:
        agent = command(*family(tmp_path / "pids"), timeout_s=600)
        asking = asyncio.create_task(answers(agent))
        pids = [int(pid) for pid in (await appears(tmp_path / "pids")).split()]
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert [True, True] == [await gone(pid) for pid in pids]

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(story())


@pytest.mark.field("F88")
async def test_nothing_is_a_shell(command: Commands, tmp_path: Path) -> None:
    """Neither the text nor an argument is ever read as shell code."""
    evil = f"hi; touch {tmp_path / 'x'} && $(touch {tmp_path / 'y'})"
    assert [evil] == await answers(command("cat"), ask(evil))
    assert [evil] == await answers(command("echo", evil), ask(evil))
    assert [] == os.listdir(tmp_path)


async def test_the_program_is_told_who_asks(command: Commands, tmp_path: Path) -> None:
    """A program can keep a memory per chat, and can push by itself later."""
    names = ["YIZHAN_HOME", "YIZHAN_CHAT", "YIZHAN_SENDER", "YIZHAN_SESSION", "YIZHAN_TURN", "EXTRA"]
    agent = command(
        *python("import os, sys; print(*[os.environ[n] for n in sys.argv[1:]])", *names), env={"EXTRA": "e"}
    )
    told = f"{tmp_path} weixin:ab12@im.bot:o9@im.wechat o9@im.wechat s_1 t_1 e"
    assert [told] == await answers(agent)


async def test_our_secrets_stay_with_us(command: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program inherits PATH and the like, not the gateway's keys."""
    monkeypatch.setenv("YIZHAN_SECRET_KEY", "s3cret")
    monkeypatch.setenv("YIZHAN_API_KEY", "k3y")
    monkeypatch.setenv("INNOCENT", "passed on")
    (seen,) = await answers(command(*python("import os; print(dict(os.environ))")))
    assert "passed on" in seen
    assert "s3cret" not in seen
    assert "k3y" not in seen


async def test_a_told_yizhan_command_accepts_its_own_variables(command: Commands) -> None:
    """A program may call `yizhan send`; what we tell it must not be refused as an unknown key."""
    source = """
        import os, pathlib
        from yizhan.settings import load
        print(load(pathlib.Path(os.environ["YIZHAN_HOME"]), os.environ).agent)
    """
    assert ["none"] == await answers(command(*python(source)))


async def test_working_directory_is_the_home_or_the_chosen_one(command: Commands, tmp_path: Path) -> None:
    """Relative files of a program lie where its operator put them."""
    (tmp_path / "sub").mkdir()
    assert [str(tmp_path)] == await answers(command("pwd"))
    assert [str(tmp_path / "sub")] == await answers(command("pwd", cwd=str(tmp_path / "sub")))


async def test_program_that_does_not_read_answers_all_the_same(command: Commands) -> None:
    """A closed stdin is the program's right; a megabyte unread must not block or break."""
    assert ["fixed"] == await answers(command("echo", "fixed"), ask("x" * 1_000_000))


async def test_no_output_means_nothing_to_say(command: Commands) -> None:
    """A program may decide not to answer."""
    assert [] == await answers(command("true"))


async def test_bytes_that_are_no_utf8_are_shown_as_such(command: Commands) -> None:
    """A program in another encoding is a nuisance, not a crash."""
    source = r"import sys; sys.stdout.buffer.write(b'ok \xff\xfe \xe4\xbd')"
    assert ["ok \ufffd\ufffd \ufffd"] == await answers(command(*python(source)))


async def test_endless_output_is_cut_and_the_program_ended(command: Commands, tmp_path: Path) -> None:
    """`yes` must not fill the gateway, and must not go on."""
    source = """
        import os, sys
        open(sys.argv[1], "w").write(str(os.getpid()))
        while True:
            print("y" * 10_000)
    """
    agent = command(*python(source, str(tmp_path / "pid")), max_answer_chars=1000)
    (text,) = await answers(agent)
    assert "y" * 1000 + "\n\n" + TOO_LONG["zh"] == text
    assert await gone(int((tmp_path / "pid").read_text()))


async def test_exit_code_fails_the_turn_with_the_last_words(command: Commands) -> None:
    """The operator sees the end of stderr, at most 2 KB; what was printed is no answer."""
    source = "import sys; print('half'); sys.stderr.write('x' * 100_000 + 'no such model'); sys.exit(7)"
    problem = await failure(command(*python(source)))
    assert "agent-error" == problem.code
    assert "exit code 7" in problem.detail
    assert problem.detail.endswith("no such model")
    assert len(problem.detail) < 2048 + 300


async def test_program_ended_by_a_signal_says_which(command: Commands) -> None:
    """Killed for its memory looks different from having failed."""
    problem = await failure(command(*python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")))
    assert ("agent-error", True) == (problem.code, f"signal {int(signal.SIGKILL)}" in problem.detail)


async def test_missing_program_is_named(command: Commands) -> None:
    """The commonest mistake, with the key to look at."""
    problem = await failure(command("no-such-program-here"))
    assert "agent-not-found" == problem.code
    assert "no-such-program-here" in problem.detail
    assert "agents.main" in problem.detail


async def test_missing_directory_is_named(command: Commands, tmp_path: Path) -> None:
    """The same error number from the system, another thing to repair."""
    problem = await failure(command("cat", cwd=str(tmp_path / "nowhere")))
    assert "agent-not-found" == problem.code
    assert "nowhere" in problem.detail


async def test_file_that_is_no_program(command: Commands, tmp_path: Path) -> None:
    """Not executable, or not a program at all."""
    (tmp_path / "notes.txt").write_text("hello")
    assert "agent-unreachable" == (await failure(command(str(tmp_path / "notes.txt")))).code


async def test_timeout_ends_the_whole_family(command: Commands, tmp_path: Path) -> None:
    """A grandchild left behind would work, and cost, unseen."""
    agent = command(*family(tmp_path / "pids"), timeout_s=3)
    problem = await failure(agent)
    assert ("agent-timeout", True) == (problem.code, "within 3 s" in problem.detail)
    pids = [int(pid) for pid in (await appears(tmp_path / "pids")).split()]
    assert [True, True] == [await gone(pid) for pid in pids]


async def test_program_that_ignores_term_is_killed(command: Commands, tmp_path: Path) -> None:
    """Asked first, made to after the grace; `/stop` always works."""
    agent = command(*family(tmp_path / "pids", stubborn=True))
    asking = asyncio.create_task(answers(agent))
    pids = [int(pid) for pid in (await appears(tmp_path / "pids")).split()]
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asking, 10)
    assert [True, True] == [await gone(pid) for pid in pids]


async def test_cancelled_twice_it_kills_at_once(command: Commands, tmp_path: Path) -> None:
    """A gateway that must stop now does not leave a stubborn program behind."""
    agent = command(*family(tmp_path / "pids", stubborn=True))
    asking = asyncio.create_task(answers(agent))
    pids = [int(pid) for pid in (await appears(tmp_path / "pids")).split()]
    for _ in range(2):
        asking.cancel()
        await asyncio.sleep(0.05)
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert [True, True] == [await gone(pid) for pid in pids]


async def test_cancelled_while_starting_it_leaves_nothing(command: Commands, tmp_path: Path) -> None:
    """Between the start and the first look at it there is no gap."""
    (tmp_path / "marker").touch()
    agent = command("tail", "-f", str(tmp_path / "marker"))
    for turns_of_the_loop in range(20):
        asking = asyncio.create_task(answers(agent))
        for _ in range(turns_of_the_loop):
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert [] == _processes_with(str(tmp_path / "marker"))


async def test_child_that_keeps_stdout_open_does_not_hold_the_answer(
    command: Commands, tmp_path: Path
) -> None:
    """The program has ended; a background child of its group must not make the chat wait for it."""
    source = """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        open(sys.argv[1], "w").write(str(child.pid))
        print("done")
    """
    assert ["done"] == await answers(command(*python(source, str(tmp_path / "pid"))))
    assert await gone(int((tmp_path / "pid").read_text()))


async def test_no_descriptor_is_left_open(command: Commands) -> None:
    """A gateway answers for months; one pipe a turn would end it."""
    agent = command("cat")
    await answers(agent)
    before = len(os.listdir("/dev/fd"))
    for _ in range(10):
        await answers(agent)
        await failure(command("no-such-program-here"))
    async with asyncio.timeout(10):
        while len(os.listdir("/dev/fd")) > before:
            await asyncio.sleep(0.01)


async def test_programs_run_side_by_side(command: Commands) -> None:
    """Chats do not wait for each other: all of them must be inside before any may leave."""
    source = """
        import pathlib, sys, time
        name = sys.stdin.read()
        pathlib.Path(name).touch()
        while len(list(pathlib.Path(".").glob("chat-*"))) < 4:
            time.sleep(0.01)
        print(name)
    """
    agent = command(*python(source), timeout_s=30)
    names = [f"chat-{number}" for number in range(4)]
    assert [[name] for name in names] == await asyncio.gather(*[answers(agent, ask(name)) for name in names])


async def test_words_are_told_as_they_are_printed(command: Commands, tmp_path: Path) -> None:
    """The chat may read the first line while the program works on the second."""
    source = """
        import pathlib, sys, time
        print("first", flush=True)
        while not pathlib.Path("more").exists():
            time.sleep(0.01)
        print("second")
    """
    pieces = command(*python(source)).answer(ask())
    assert Text("first") == await anext(pieces)
    (tmp_path / "more").touch()
    assert [Text("\nsecond")] == [rest async for rest in pieces]


async def test_listener_who_leaves_ends_the_program(command: Commands, tmp_path: Path) -> None:
    """Closing the iteration is all that a listener has to do."""
    source = (
        "import os, time; print('hi', flush=True); open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    )
    pieces = command(*python(source)).answer(ask())
    await anext(pieces)
    pid = int(await appears(tmp_path / "pid"))
    await pieces.aclose()
    assert await gone(pid)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not bound address space")
async def test_memory_is_bounded_for_the_program_and_its_children(command: Commands) -> None:
    """One runaway answer must not take the machine, and with it every chat."""
    source = """
        import subprocess, sys
        taking = "x = bytearray(1 << 30); print('taken')"
        print(subprocess.run([sys.executable, "-c", taking], capture_output=True).returncode)
        x = bytearray(1 << 30)
    """
    problem = await failure(command(*python(source), memory_mib=256))
    assert ("agent-error", True) == (problem.code, "MemoryError" in problem.detail)
    assert ["fine"] == await answers(command("echo", "fine", memory_mib=256))


async def test_missing_program_is_named_with_a_bound_too(command: Commands) -> None:
    """What sets the bound must not hide what is wrong."""
    assert "agent-not-found" == (await failure(command("no-such-program-here", memory_mib=256))).code
