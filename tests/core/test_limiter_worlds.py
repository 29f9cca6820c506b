"""The limiter against platforms it cannot see into: a few worlds of the benchmark, held to its promises.

`python -m benchmarks limits` measures all of them; here are enough to notice that something has become worse.
"""

from __future__ import annotations

import pytest

from benchmarks import shared_limit, worlds
from benchmarks.limits import score, summary
from benchmarks.senders import ours

FEW = [worlds.TUNING[number] for number in (0, 2, 4, 5, 7, 8, 11, 12)]


def test_a_backlog_drains_nearly_as_fast_as_if_the_limit_were_known_and_with_few_refusals() -> None:
    sums = summary([score(ours, world, range(3)) for world in FEW])
    assert sums.mean <= 1.10
    assert sums.worst <= 1.6
    assert sums.refusals <= 11
    assert 0 == sums.lost


@pytest.mark.parametrize("world", worlds.PENALTIES[::3], ids=lambda world: world.name)
def test_a_long_penalty_sees_five_refused_sends_at_most_and_loses_nothing(world: worlds.World) -> None:
    """Every attempt in it adds ten minutes; bots were blocked for days by their own retries."""
    result = score(ours, world, [1])
    assert result.worst_row <= 5
    assert 0 == result.lost


@pytest.mark.parametrize(
    "crowd", [shared_limit.CROWDS[0], shared_limit.CROWDS[2]], ids=lambda crowd: crowd.name
)
def test_ten_chats_under_one_account_limit_lose_nothing_and_are_refused_rarely(
    crowd: shared_limit.Crowd,
) -> None:
    result = shared_limit.score(crowd)
    assert 0 == result.lost
    assert result.refusals <= 7
    assert result.ratio <= 1.5
