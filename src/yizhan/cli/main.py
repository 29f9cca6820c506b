"""The list of verbs, and the entry point of the command `yizhan`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from yizhan import __version__
from yizhan.cli import (
    access,
    accounts,
    doctor,
    keys,
    login,
    outbox,
    schedules,
    send,
    stations,
    status,
    turns,
    webhooks,
)
from yizhan.cli.trouble import FAILED, INTERRUPTED, USAGE, UsageMistake
from yizhan.cli.verb import Common, HomeOption, JsonOption, report

SETTINGS = {"help_option_names": ["-h", "--help"]}


def _group(name: str, about: str, under: typer.Typer) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=about)
    under.add_typer(group, name=name)
    return group


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"yizhan {__version__}")
        raise typer.Exit


def _common(
    ctx: typer.Context,
    home: HomeOption = None,
    as_json: JsonOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """A relay station between any agent and the chats people live in.

    Yizhan answers for every message it has accepted: each ends in one recorded, visible outcome.
    """
    ctx.obj = Common(home, as_json)


def build() -> typer.Typer:
    """The command with all its verbs, in the order in which `--help` lists them."""
    root = typer.Typer(
        name="yizhan",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings=SETTINGS,
    )
    root.callback()(_common)
    stations.register(root)
    login.register(_group("login", "Log in an account by a QR code.", root))
    account = _group("account", "The bots this gateway speaks for.", root)
    add = _group("add", "Add an account whose credentials you have.", account)
    chat = _group("chat", "Pause and resume single chats.", root)
    accounts.register(account, add, chat)
    access.register(_group("access", "Who may talk to the agent.", root))
    keys.register(_group("key", "Keys of the API for other programs.", root))
    send.register(root)
    status.register(root)
    outbox.register(_group("outbox", "Everything promised to be sent.", root))
    turns.register(_group("turn", "Answers in the making, and what became of them.", root))
    schedules.register(_group("schedule", "What is said at set times.", root))
    schedules.register(_group("cron", "The same as schedule.", root))
    webhooks.register(_group("webhook", "Addresses that events are posted to.", root))
    doctor.register(root)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns its exit code; expected errors are one line on stderr, never a traceback."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _speak_utf8()
    if any(_broken(word) for word in given):
        mistake = UsageMistake(
            "An argument is not valid UTF-8.", "Use a UTF-8 locale, or give the text on stdin."
        )
        return report(mistake, "--json" in given)
    try:
        code = build()(given, prog_name="yizhan", standalone_mode=False)
    except typer.TyperException as error:
        return _usage(error, "--json" in given)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else FAILED if code else 0


def _broken(word: str) -> bool:
    """Whether it holds bytes that were no UTF-8 (Python keeps them as lone surrogates)."""
    return any("\ud800" <= char <= "\udfff" for char in word)


def _usage(error: typer.TyperException, as_json: bool) -> int:
    """A command line that Typer refused. A group without a verb shows its help instead."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(error.format_message(), file=sys.stderr)
        return USAGE
    path = context.command_path if context is not None else "yizhan"
    return report(UsageMistake(error.format_message(), f"See: {path} --help"), as_json)


def _speak_utf8() -> None:
    """Names and texts are in any script; a terminal that cannot show one gets a replacement, not an error."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
