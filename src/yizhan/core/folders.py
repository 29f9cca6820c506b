"""Which files may leave the house that somebody else has named. Pure: judges places, opens nothing.

A path that stands in an agent's answer is a wish, and whoever writes to the agent may be its author. Only what lies
inside of a folder that the operator has named may be read for it; and a place is judged as what it is once all
links are resolved, since a link inside of a folder may lead anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from yizhan.core.addresses import Forbidden


def judge_file(place: PurePath, folders: Sequence[PurePath]) -> Forbidden | None:
    """None: the file may be read. Both `place` and `folders` are absolute, with their links resolved."""
    if not place.is_absolute() or ".." in place.parts:
        return Forbidden("it is no absolute path")
    if not any(place != folder and place.is_relative_to(folder) for folder in folders):
        return Forbidden("it lies outside of the folders that may be read")
    return None
