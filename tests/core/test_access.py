"""Who may talk to the agent: every combination, written out as a table, and ids that only look alike."""

from __future__ import annotations

import itertools
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.access import AccessNumbers, Asker, Ruling, asks, decide, is_admin
from yizhan.core.frequency import DAY_MS, Frequency, FrequencyNumbers
from yizhan.model import Access, AccountId, ChatId, Rule

bounded = settings(max_examples=60, deadline=None, derandomize=True)

ACCOUNT, GROUP = AccountId("qq:1020304"), ChatId("group/G1")
ASKER = Asker(ACCOUNT, ChatId("c2c/o9"), "direct", "o9")
IN_GROUP = replace(ASKER, chat=GROUP, chat_kind="group")

YES, NO, LATER = Access.ALLOWED, Access.DENIED, Access.PENDING

SENDERS = {
    "stranger": (ASKER, frozenset(), frozenset()),
    "listed": (replace(ASKER, rule=Rule.PENDING), frozenset(), frozenset()),
    "allowed": (replace(ASKER, rule=Rule.ALLOW), frozenset(), frozenset()),
    "blocked": (replace(ASKER, rule=Rule.BLOCK), frozenset(), frozenset()),
    "configured": (ASKER, frozenset({"o9"}), frozenset()),
    "configured and blocked": (replace(ASKER, rule=Rule.BLOCK), frozenset({"o9"}), frozenset()),
    "admin": (ASKER, frozenset(), frozenset({"o9"})),
    "admin and blocked": (replace(ASKER, rule=Rule.BLOCK), frozenset(), frozenset({"o9"})),
    "owner": (replace(ASKER, owner="o9"), frozenset(), frozenset()),
    "owner and blocked": (replace(ASKER, owner="o9", rule=Rule.BLOCK), frozenset(), frozenset()),
    "another's owner": (replace(ASKER, owner="o8"), frozenset({"o7"}), frozenset({"o6"})),
}
"""Everybody who may come: as the door knows him, and whom the configuration allows and makes admins."""

ALONE = {
    # sender                   open                 pairing                allowlist
    "stranger":               ((YES, "open"),       (LATER, "pairing"),    (NO, "allowlist")),
    "listed":                 ((YES, "open"),       (LATER, "pairing"),    (NO, "allowlist")),
    "allowed":                ((YES, "allowed"),    (YES, "allowed"),      (YES, "allowed")),
    "blocked":                ((NO, "blocked"),     (NO, "blocked"),       (NO, "blocked")),
    "configured":             ((YES, "configured"), (YES, "configured"),   (YES, "configured")),
    "configured and blocked": ((NO, "blocked"),     (NO, "blocked"),       (NO, "blocked")),
    "admin":                  ((YES, "configured"), (YES, "configured"),   (YES, "configured")),
    "admin and blocked":      ((NO, "blocked"),     (NO, "blocked"),       (NO, "blocked")),
    "owner":                  ((YES, "owner"),      (YES, "owner"),        (YES, "owner")),
    "owner and blocked":      ((NO, "blocked"),     (NO, "blocked"),       (NO, "blocked")),
    "another's owner":        ((YES, "open"),       (LATER, "pairing"),    (NO, "allowlist")),
}  # fmt: skip
POLICIES = ("open", "pairing", "allowlist")

ROOMS = {
    "as alone": {},
    "as alone, this group": {"rooms": frozenset({GROUP})},
    "as alone, this group by TARGET": {"rooms": frozenset({f"{ACCOUNT}:{GROUP}"})},
    "off": {"groups": "off"},
    "another group": {"rooms": frozenset({"group/G2"})},
    "another bot's group": {"rooms": frozenset({f"qq:9:{GROUP}"})},
    "open": {"groups": "open"},
    "open, another group": {"groups": "open", "rooms": frozenset({"group/G2"})},
    "its people": {"people": {GROUP: frozenset({"o9"})}},
    "other people": {"people": {GROUP: frozenset({"o1"})}},
    "open, other people": {"groups": "open", "people": {GROUP: frozenset({"o1"})}},
    "other people elsewhere": {"people": {"group/G2": frozenset({"o1"})}},
}


def _in_room(room: str, sender: str, alone: tuple[Access, str]) -> tuple[Access, str]:
    """What the room makes of what the sender would be alone."""
    if "blocked" in sender:
        return NO, "blocked"
    match room:
        case "off":
            return NO, "groups-off"
        case "another group" | "another bot's group" | "open, another group":
            return NO, "group-not-allowed"
        case "open":
            return YES, "group-open"
        case "its people":
            return YES, "group-people"
        case "other people" | "open, other people":
            return (YES if sender in ("admin", "owner") else NO), "group-people"
        case _:
            return alone


def _numbers(policy: str, sender: str, **room: object) -> AccessNumbers:
    _, allow, admins = SENDERS[sender]
    return AccessNumbers(policy, allow, admins, **room)  # type: ignore[arg-type]


@pytest.mark.field("F84")
@pytest.mark.parametrize(("sender", "column"), list(itertools.product(ALONE, range(3))))
def test_what_the_door_says_in_a_chat_of_ones_own(sender: str, column: int) -> None:
    """Policy × sender. A block wins over everything, also over being the owner or an admin."""
    ruling = decide(_numbers(POLICIES[column], sender), SENDERS[sender][0])
    assert Ruling(*ALONE[sender][column]) == ruling


@pytest.mark.field("F84")
@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("kind", ["group", "channel"])
def test_what_the_door_says_in_a_room(room: str, kind: str) -> None:
    """Policy × sender × room: first the room, then the person."""
    for sender, column in itertools.product(ALONE, range(3)):
        asker = replace(SENDERS[sender][0], chat=GROUP, chat_kind=kind)
        ruling = decide(_numbers(POLICIES[column], sender, **ROOMS[room]), asker)
        assert Ruling(*_in_room(room, sender, ALONE[sender][column])) == ruling, (room, sender, column)


def test_rules_for_rooms_say_nothing_about_a_chat_of_ones_own() -> None:
    """Whoever shuts the groups has not shut the door."""
    for room in ROOMS.values():
        assert Ruling(LATER, "pairing") == decide(AccessNumbers("pairing", **room), ASKER)  # type: ignore[arg-type]


def test_a_policy_nobody_knows_lets_nobody_in() -> None:
    assert Ruling(NO, "allowlist") == decide(AccessNumbers("Open"), ASKER)


def test_nobody_is_the_owner_of_an_account_without_one() -> None:
    """A sender without an id must not match an owner that is not known."""
    nobody = replace(ASKER, sender="")
    assert Ruling(LATER, "pairing") == decide(AccessNumbers("pairing"), nobody)
    assert not is_admin(AccessNumbers("open"), nobody)


@pytest.mark.parametrize("sender", SENDERS)
def test_only_admins_and_the_owner_act_on_the_gateway(sender: str) -> None:
    """Being allowed to talk is not being allowed to decide."""
    assert (sender in ("admin", "owner")) is is_admin(_numbers("open", sender), SENDERS[sender][0])


@pytest.mark.parametrize("mention", [True, False])
def test_what_is_said_to_others_asks_nothing_unless_wanted(mention: bool) -> None:
    """Addressed, or in a group where everything counts."""
    numbers = AccessNumbers("open", mention=mention)
    assert asks(numbers, IN_GROUP)
    assert (not mention) is asks(numbers, replace(IN_GROUP, addressed=False))
    assert not asks(numbers, replace(ASKER, addressed=False))


def _alike(known: str) -> st.SearchStrategy[str]:
    """Ids that a person could take for this one."""
    wide = "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in known)
    greek = known.translate(str.maketrans("oOaAeEpPcC", "οΟаАеЕрРсС"))
    shapes = [
        known.upper(),
        known.lower(),
        known.title(),
        wide,
        greek,
        f"{known} ",
        f" {known}",
        f"{known}\u200b",
    ]
    shapes += [unicodedata.normalize("NFD", f"{known}é"), known[:-1], f"{known}{known}", known.swapcase()]
    noise = st.builds("{}{}".format, st.just(known), st.text(min_size=1, max_size=3))
    return st.sampled_from(shapes) | noise | st.text(max_size=20)


@pytest.mark.field("F84")
@bounded
@given(st.data())
def test_an_id_that_only_looks_alike_is_somebody_else(data: st.DataObject) -> None:
    """Case, width, look-alikes, spaces, zero-width letters: none of them opens the door, wherever ids stand."""
    known = "o9cqAe1@im.wechat"
    sender = data.draw(_alike(known).filter(lambda text: text != known))
    numbers = AccessNumbers(
        "allowlist", frozenset({known}), frozenset({known}), people={GROUP: frozenset({known})}
    )
    for asker in (replace(ASKER, owner=known), replace(IN_GROUP, owner=known)):
        assert NO is decide(numbers, replace(asker, sender=sender)).access
        assert not is_admin(numbers, replace(asker, sender=sender))
        assert YES is decide(numbers, replace(asker, sender=known)).access


@pytest.mark.field("F84")
@bounded
@given(st.data())
def test_a_group_that_only_looks_alike_is_another_group(data: st.DataObject) -> None:
    chat = ChatId(data.draw(_alike(GROUP).filter(lambda text: text != GROUP)))
    numbers = AccessNumbers("open", groups="open", rooms=frozenset({GROUP}))
    assert Ruling(NO, "group-not-allowed") == decide(numbers, replace(IN_GROUP, chat=chat))


# how often


def test_a_person_may_ask_so_often_in_a_minute_and_in_a_day() -> None:
    """Both windows slide; what was refused does not count."""
    numbers, asked = FrequencyNumbers(per_minute=2, per_day=3), Frequency()
    told = []
    for at_ms in (0, 1_000, 2_000, 60_000, 60_001, 61_500, DAY_MS, DAY_MS + 1):
        refusal = asked.refusal(numbers, at_ms)
        told.append(refusal)
        if refusal is None:
            asked.note(at_ms)
    assert [None, None, "per-minute", None, "per-day", "per-day", None, "per-day"] == told


@bounded
@given(st.lists(st.integers(0, 200_000), max_size=60), st.integers(1, 5), st.integers(0, 9))
def test_no_window_ever_holds_more_than_was_allowed(moments: list[int], minute: int, day: int) -> None:
    """Whatever the rhythm; and no more is remembered than is needed."""
    numbers, asked, passed = FrequencyNumbers(minute, day), Frequency(), []
    for at_ms in sorted(moments):
        if asked.refusal(numbers, at_ms) is None:
            asked.note(at_ms)
            passed.append(at_ms)
        assert len(asked.asked_ms) <= max(minute, day)
    assert all(sum(at - 60_000 < other <= at for other in passed) <= minute for at in passed)
    assert not day or len(passed) <= day


def test_without_limits_nothing_is_refused_and_nothing_remembered() -> None:
    numbers, asked = FrequencyNumbers(), Frequency()
    for at_ms in range(5):
        assert asked.refusal(numbers, at_ms) is None
        asked.note(at_ms)
    assert len(asked.asked_ms) == 1
