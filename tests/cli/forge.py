"""Verbs as real processes without paying for the imports each time: everything is imported once, then forked.

Reads one JSON order per line on stdin: {"arguments", "env", "user", "stdin", "stdout", "stderr"}, the last three
being files. Runs `yizhan ARGUMENTS` in a child with exactly that environment, as that user if one is named, and
answers its exit code on a line.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

import yizhan.cli.checkup
import yizhan.cli.checkup_gateway
import yizhan.cli.main
import yizhan.cli.offline
import yizhan.cli.paper


def be_the_verb(order: dict[str, Any]) -> int:
    """In the child: its files, its environment, its arguments; never returns to the parent's loop."""
    for number, name, flags in (
        (0, "stdin", os.O_RDONLY),
        (1, "stdout", os.O_WRONLY),
        (2, "stderr", os.O_WRONLY),
    ):
        os.dup2(os.open(order[name], flags), number)
    if order["user"] is not None:
        os.setgroups([])
        os.setgid(order["user"])
        os.setuid(order["user"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    try:
        return yizhan.cli.main.main(order["arguments"])
    except SystemExit as end:
        return int(end.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1


def main() -> None:
    for line in sys.stdin.buffer:
        child = os.fork()
        if not child:
            code = be_the_verb(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        os.write(1, f"{os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main()
