"""`yizhan run`, `demo`, `sim` and `console`: the programs that stay, and the way into the console."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from yizhan.cli.trouble import DONE, UsageMistake
from yizhan.cli.verb import Desk, verb

HostOption = Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.")]
PortOption = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
]


def register(group: typer.Typer) -> None:
    """Adds the verbs."""
    _register_run(group)
    _register_console(group)
    _register_demo(group)
    _register_sim(group)


def _register_run(group: typer.Typer) -> None:
    @verb(group)
    def run(desk: Desk, host: HostOption = None, port: PortOption = None) -> int:
        """Run the gateway in the foreground.

        Prints `ready http://ADDRESS:PORT` when it answers; logs go to stderr.
        Exit code: 0 stopped, 1 failed, 2 usage or configuration, 3 home or database in use.
        """
        _refuse_windows()
        _spare_collector()
        from yizhan import app, settings

        server = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
        chosen = settings.load(desk.home, os.environ, {"server": server} if server else None)
        _leave(app.run(app.serve(chosen)))


def _register_console(group: typer.Typer) -> None:
    @verb(group)
    def console(
        desk: Desk, open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False
    ) -> int:
        """Print a sign-in address for the console, valid once and for five minutes."""
        with desk.running_api() as api:
            ticket = api.call("POST", "/v1/console/ticket")
        url = str(ticket.get("url"))
        desk.show(ticket, url)
        if open_ and not webbrowser.open(url):
            desk.note("no browser could be opened here; open the address by hand.")
        return DONE


def _register_demo(group: typer.Typer) -> None:
    @verb(group)
    def demo(
        desk: Desk,
        port: PortOption = None,
        agent_url: Annotated[
            str | None,
            typer.Option(
                envvar="AGENT_URL",
                metavar="URL",
                help="OpenAI-compatible endpoint that answers instead of echo.",
            ),
        ] = None,
        model: Annotated[str | None, typer.Option(envvar="MODEL", help="Model to ask for there.")] = None,
        agent_key: Annotated[
            str | None, typer.Option(envvar="AGENT_KEY", metavar="KEY", help="Its key, if it wants one.")
        ] = None,
    ) -> int:
        """Gateway, simulated WeChat and QQ, phone page and console in one go. Needs no account.

        Prints the two addresses and what to try; leaves nothing behind but a directory that it names. Settings are
        read from the config.yaml of its home; YIZHAN_… in the environment is for other gateways, and left alone.
        """
        _refuse_windows()
        _spare_collector()
        from yizhan import demo as whole

        options = whole.DemoOptions(desk.home_given, port or 0, agent_url or "", model or "", agent_key or "")
        _leave(whole.run(options))


def _register_sim(group: typer.Typer) -> None:
    @verb(group)
    def sim(
        desk: Desk,
        host: HostOption = None,
        port: PortOption = None,
        control_port: Annotated[
            int | None,
            typer.Option(min=0, max=65535, help="Port of phone page and control API; 0 takes a free one."),
        ] = None,
        script: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Faults to play, YAML or JSON.")
        ] = None,
        ledger: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Write every record there, one line of JSON each.")
        ] = None,
        clock: Annotated[
            str | None,
            typer.Option(metavar="real|manual", help="manual: time stands until the control API moves it."),
        ] = None,
    ) -> int:
        """Run the simulated WeChat and QQ alone: server, phone page, control API."""
        from yizhan_simulator.__main__ import main

        given = {
            "--host": host,
            "--port": port,
            "--control-port": control_port,
            "--script": script,
            "--ledger": ledger,
            "--clock": clock,
        }
        arguments = [
            word for name, value in given.items() if value is not None for word in (name, str(value))
        ]
        return main(arguments)


def _spare_collector() -> None:
    """What is loaded from here on stays for ever, and is most of what there will be: a walk through it finds nothing,
    and walks are a tenth of a start. The app lets the collector work when everything is there."""
    gc.disable()


def _leave(code: int) -> NoReturn:
    """Ends the process. Everything of ours has ended; the interpreter would take up to a second more to take apart
    what the operating system drops at once."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _refuse_windows() -> None:
    if sys.platform == "win32":
        raise UsageMistake(
            "Yizhan does not run on Windows itself.", "Use WSL 2: wsl --install, then install it there."
        )
