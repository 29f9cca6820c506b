"""What the committer commits: one write of one caller.

An operation says which rows it wants and then does its work on the working set, in memory. It checks before
it changes anything: one that raises has, as a rule, changed nothing, and its neighbours go on. (If it has, the
writer notices and carries the whole batch out again, each operation for itself.)
"""

from __future__ import annotations

from typing import ClassVar, Protocol, TypeVar

from yizhan.store.wants import Wants
from yizhan.store.working_set import WorkingSet

R_co = TypeVar("R_co", covariant=True)


class Operation(Protocol[R_co]):
    """One write.

    label  its name in logs and in drills that crash at a commit
    alone  it runs queries of its own: what came before it is flushed first, what comes after it reads anew
    """

    label: ClassVar[str]
    alone: ClassVar[bool]

    def wants(self, wants: Wants) -> None:
        """Adds the rows it needs."""
        ...

    def apply(self, rows: WorkingSet) -> R_co:
        """Does it. Raises RequestError if the caller asked for the impossible."""
        ...
