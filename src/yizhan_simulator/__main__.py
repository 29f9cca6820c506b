"""`python -m yizhan_simulator`: the simulator as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from yizhan_simulator.clock import Clock, ManualClock, RealClock
from yizhan_simulator.reading import ScriptError
from yizhan_simulator.script import Script
from yizhan_simulator.server import serve


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 stopped, 1 port in use, 2 wrong arguments or script."""
    parser = argparse.ArgumentParser(
        prog="python -m yizhan_simulator", description="simulated WeChat (iLink) and QQ"
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--control-port", type=int, default=0, help="phone page and control API")
    parser.add_argument("--script", type=Path, help="fault script, YAML or JSON")
    parser.add_argument("--ledger", type=Path, help="file that gets every record as a line of JSON")
    parser.add_argument("--clock", choices=("real", "manual"), default="real")
    parser.add_argument(
        "--until-stdin-closes", action="store_true", help="end with the program that holds the other end"
    )
    chosen = parser.parse_args(arguments)
    clock: Clock = ManualClock() if chosen.clock == "manual" else RealClock()
    try:
        script = Script.from_file(chosen.script) if chosen.script else None
        asyncio.run(
            serve(chosen.host, chosen.port, control_port=chosen.control_port, script=script,
                  ledger=chosen.ledger, clock=clock, until_stdin_closes=chosen.until_stdin_closes)
        )  # fmt: skip
    except ScriptError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"simulator: cannot listen or write: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
