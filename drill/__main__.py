"""`python -m drill [NAME ...]`: plants every bug, or the named ones, and tells which test killed it.

Exit code 1 if a bug survives, does not apply, or if its tests fail without it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from drill.field import NoCheckout, Outcome, copied, drilled, look
from drill.patches import Bug, bugs

HEALTHY_S = 600


def main(names: Sequence[str]) -> int:
    known = {bug.name: bug for bug in bugs()}
    strangers = [name for name in names if name not in known]
    if strangers:
        print(f"no bug is named {', '.join(strangers)}; known: {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [known[name] for name in names] or list(known.values())
    began = time.monotonic()
    try:
        if not _healthy(chosen):
            return 1
    except NoCheckout as error:
        print(error, file=sys.stderr)
        return 2
    with ThreadPoolExecutor(os.cpu_count() or 1) as crew:
        outcomes = list(crew.map(_told, chosen))
    killed = sum(bool(outcome.killed_by) for outcome in outcomes)
    print(f"{killed} of {len(chosen)} bugs killed in {time.monotonic() - began:.0f} s")
    return 0 if killed == len(chosen) else 1


def _healthy(chosen: Sequence[Bug]) -> bool:
    """Whether the tests that are to kill pass without any bug: else their failing means nothing."""
    selection = sorted({test for bug in chosen for test in bug.kill})
    with copied() as tree:
        outcome = look(tree, selection, HEALTHY_S)
    healthy = outcome.trouble == "SURVIVED"
    if not healthy:
        print(f"without any bug the tests do not pass: {outcome.killed_by or outcome.trouble}")
    return healthy


def _told(bug: Bug) -> Outcome:
    outcome = drilled(bug)
    end = f"killed by {outcome.killed_by} in {outcome.took_s:.0f} s" if outcome.killed_by else outcome.trouble
    print(f"{bug.name}: {bug.tells}\n    {end}", flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main([name for argument in sys.argv[1:] for name in argument.split()]))
