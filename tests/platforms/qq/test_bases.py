"""Which of QQ's two addresses is used."""

from __future__ import annotations

import pytest

from yizhan.platforms.qq.bases import FAILURES_MAX, OTHERS, Bases, bases_of, directed, noted
from yizhan.ports import Absence, AbsenceKind, Answer, Reply, Request

OLD, NEW = "https://api.sgroup.qq.com", "https://api.bot.qq.com"
FINE = Answer(200, {}, b'{"url":"wss://x"}')
REFUSED = Answer(401, {}, b'{"code":11298,"message":"no"}')
ILL = Answer(500, {}, b'{"code":1,"message":"oops"}')
GONE = Absence(AbsenceKind.NOT_SENT, "no connection")
PAGE = Answer(200, {}, b"<html>sign in</html>")


def after(bases: Bases, *replies: Reply) -> Bases:
    for reply in replies:
        bases = noted(bases, reply)
    return bases


@pytest.mark.parametrize("failure", [ILL, GONE, PAGE])
def test_five_failures_in_a_row_lead_to_the_other_address_and_five_more_back(failure: Reply) -> None:
    bases = bases_of(OLD, OTHERS)
    assert OLD == after(bases, *[failure] * (FAILURES_MAX - 1)).url
    there = after(bases, *[failure] * FAILURES_MAX)
    assert NEW == there.url
    assert NEW == after(there, FINE, FINE).url, "and it is kept while it works"
    assert OLD == after(there, *[failure] * FAILURES_MAX).url


@pytest.mark.parametrize("answer", [FINE, REFUSED])
def test_a_host_that_answers_is_not_left_for_what_it_says(answer: Reply) -> None:
    bases = bases_of(OLD, OTHERS)
    for _ in range(20):
        bases = after(bases, ILL, ILL, ILL, ILL, answer)
    assert OLD == bases.url


def test_an_address_of_the_operators_own_has_no_other() -> None:
    bases = bases_of("https://qq.example/", OTHERS)
    assert "https://qq.example/" == after(bases, *[GONE] * 50).url


def test_a_request_keeps_its_path_on_the_other_host() -> None:
    asked = Request("gateway", "GET", f"{OLD}/gateway/bot", {}, b"", 1_000)
    there = after(bases_of(OLD, OTHERS), *[GONE] * FAILURES_MAX)
    assert asked is directed(asked, bases_of(OLD, OTHERS))
    assert f"{NEW}/gateway/bot" == directed(asked, there).url
