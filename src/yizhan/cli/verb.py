"""What every verb has in common: --home, --json, one line per error, exit codes.

A verb is a plain function `(desk, its own arguments) -> exit code or None`, registered with `@verb(group)`.
The decorator adds the two common options (they may stand before the verb as well), gives the function its
Desk, and turns every expected error into one line on stderr that says what to change; with `--json` the
problem document also goes to stdout.
"""

from __future__ import annotations

import errno
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from yizhan.cli.client import Api, Json, RemoteApi
from yizhan.cli.connect import connect, connect_running
from yizhan.cli.trouble import DONE, FAILED, DiskFull, UsageMistake, exit_code, problem
from yizhan.errors import YizhanError

P = ParamSpec("P")
Verb = Callable[Concatenate["Desk", P], "int | None"]

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        readable=False,
        help="Home of the gateway. Default: $YIZHAN_HOME, else ~/.yizhan.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True, slots=True)
class Common:
    """--home and --json as they stood before the verb."""

    home: Path | None = None
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a verb works: the home, and how it speaks to whoever called it.

    home_given is --home alone, None without it; for verbs that do not work on the operator's own home.
    """

    home: Path
    as_json: bool
    home_given: Path | None = None

    @property
    def key_from_environment(self) -> str | None:
        return os.environ.get("YIZHAN_API_KEY")

    @contextmanager
    def api(self) -> Iterator[Api]:
        """The API of this home, with or without a running gateway."""
        with connect(self.home, self.key_from_environment) as api:
            yield api

    @contextmanager
    def running_api(self) -> Iterator[RemoteApi]:
        """The API of a running gateway; NoGateway if there is none."""
        with connect_running(self.home, self.key_from_environment) as api:
            yield api

    def show(self, shape: Json, *lines: str) -> None:
        """The result: the object with `--json`, else the lines for people."""
        if self.as_json:
            print(json.dumps(shape, ensure_ascii=False, indent=2), flush=True)
            return
        for line in lines:
            print(line, flush=True)

    def note(self, line: str) -> None:
        """Something to know beside the result, on stderr."""
        print(f"yizhan: {line}", file=sys.stderr, flush=True)


def print_line(shape: Json) -> None:
    """One step of something that goes on, as JSON on one line."""
    print(json.dumps(shape, ensure_ascii=False, separators=(",", ":")), flush=True)


def verb(group: typer.Typer, name: str | None = None, **options: Any) -> Callable[[Verb[P]], Verb[P]]:
    """Registers a function as a verb of the group. `options` are those of Typer's `command`."""

    def register(function: Verb[P]) -> Verb[P]:
        group.command(name or function.__name__.replace("_", "-"), **options)(_with_common_options(function))
        return function

    return register


def _with_common_options(function: Verb[P]) -> Callable[..., None]:
    work: Callable[..., int | None] = function

    def run(ctx: typer.Context, home: Path | None, json: bool, **given: Any) -> None:
        before = ctx.find_root().obj or Common()
        as_json = json or before.as_json
        given_home = home or before.home
        raise typer.Exit(answer_for(lambda: work(_desk(given_home, as_json), **given), as_json))

    kind = inspect.Parameter.KEYWORD_ONLY
    own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]
    parameters = [one.replace(kind=kind) for one in own] + [
        inspect.Parameter("ctx", kind, annotation=typer.Context),
        inspect.Parameter("home", kind, default=None, annotation=HomeOption),
        inspect.Parameter("json", kind, default=False, annotation=JsonOption),
    ]
    run.__doc__ = function.__doc__
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    run.__dict__["__signature__"] = inspect.Signature(parameters)
    return run


def _desk(given: Path | None, as_json: bool) -> Desk:
    """The home is --home, else YIZHAN_HOME, else ~/.yizhan: as settings.default_home, without loading it."""
    if given is not None and str(given).startswith("-"):
        raise UsageMistake(
            f"--home needs a directory, not {given}.", "Write ./ before a name that begins so."
        )
    chosen = given or Path(os.environ.get("YIZHAN_HOME") or "~/.yizhan")
    home = Path(os.path.abspath(chosen.expanduser()))
    return Desk(home, as_json, given and home)


def answer_for(work: Callable[[], int | None], as_json: bool) -> int:
    """Does the work; its exit code, or that of the expected error it ended with, which is reported."""
    try:
        return work() or DONE
    except YizhanError as error:
        return report(error, as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        return report(_explain(error), as_json)


def report(error: YizhanError, as_json: bool) -> int:
    """One line on stderr, with `--json` the problem document on stdout; answers the exit code."""
    if as_json:
        print(json.dumps(problem(error), ensure_ascii=False, indent=2), flush=True)
    print(f"yizhan: {error}", file=sys.stderr, flush=True)
    return exit_code(error)


def _explain(error: OSError) -> YizhanError:
    """What the operating system refused, in words."""
    about = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(f"{about}{error.strerror}.", "Free some space.")
    fix = "Check that it exists and who may read and write it; or choose another home with --home."
    return UsageMistake(f"{about}{error.strerror or error}.", fix if error.filename else "")
