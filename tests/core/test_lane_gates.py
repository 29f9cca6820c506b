"""Who may go at all: fairness between chats and accounts, gates, and what waiting costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from yizhan.core.attribution import ATTRIBUTION_MS
from yizhan.core.breaker import BreakerNumbers
from yizhan.core.choice import Load, LookAgain, Send
from yizhan.core.hosts import Hosts
from yizhan.core.lanes import Lanes
from yizhan.core.limiter import Pace
from yizhan.core.reaction import Gates
from yizhan.core.verdict import Barred, Deferred, InDoubt, Throttled
from yizhan.model import AccountId, MessageState, WaitingFor

LIMITED = Throttled("-2", "rate limited")
Calls = Callable[[Callable[[], object]], int]


def test_chats_of_an_account_take_turns(road: Any) -> None:
    """One hot chat must not starve the others."""
    for n in range(3):
        for chat in ("a", "b", "c"):
            road.accept(f"{chat}{n}", chat)
    assert ["a0.1", "b0.1", "c0.1"] == road.dispatch()
    road.answer_all()
    assert ["a1.1", "b1.1", "c1.1"] == road.dispatch()


def test_a_new_chat_does_not_wait_for_the_backlog_of_another(road: Any) -> None:
    for n in range(100):
        road.accept(f"hot{n}", "hot")
    road.dispatch()
    road.accept("small", "small")
    assert ["small.1"] == road.dispatch()


def test_accounts_take_turns(road_of: Any) -> None:
    """An account with a thousand chats gets no more turns than one with a single chat."""
    road = road_of()
    for account in ("weixin:a", "weixin:b"):
        road.open(account, in_flight_max=100)
    for n in range(5):
        road.accept(f"a{n}", f"c{n}", "weixin:a")
    road.accept("b0", "c0", "weixin:b")
    assert "b0.1" in road.dispatch()[:2]


def test_no_more_than_in_flight_max_of_an_account_are_on_the_wire(road_of: Any) -> None:
    road = road_of()
    road.open(in_flight_max=3)
    for n in range(10):
        road.accept(f"m{n}", f"c{n}")
    assert 3 == len(road.dispatch())
    road.answer(next(iter(road.wire)))
    assert 1 == len(road.dispatch())


def test_a_probing_account_lets_exactly_one_through(road_of: Any) -> None:
    """After an account-wide limit a single request asks whether it is over."""
    road = road_of()
    road.open(gates=Gates(account=Pace(refusals=2, not_before_ms=0, quiet_ms=5_000)))
    for n in range(5):
        road.accept(f"m{n}", f"c{n}")
    assert 1 == len(road.dispatch())
    road.answer_all()
    assert 4 == len(road.dispatch())


def test_lost_answers_of_several_messages_shut_the_account_for_one_probe_at_a_time(road: Any) -> None:
    for n in range(6):
        road.accept(f"m{n}", f"c{n}")
    road.dispatch()
    for target in list(road.wire)[:3]:
        road.answer(target, InDoubt("no_answer", "time-out"))
    road.answer_all(InDoubt("no_answer", "time-out"))
    assert [] == road.dispatch()
    assert (road.look_again() or 0) >= 500
    road.now_ms += road.look_again()
    assert 1 == len(road.dispatch())


def test_a_limited_chat_does_not_delay_another(road: Any) -> None:
    road.accept("sick", "sick")
    road.dispatch()
    road.answer_all(LIMITED)
    road.accept("well", "well")
    assert ["well.1"] == road.dispatch()


def test_a_limited_chat_wakes_when_its_quiet_time_is_over_not_before(road: Any) -> None:
    road.accept("m")
    road.dispatch()
    road.answer_all(LIMITED)
    assert 30_000 == road.look_again()
    road.now_ms += 29_999
    assert [] == road.dispatch()
    road.now_ms += 1
    assert ["m.1"] == road.dispatch()


def test_an_account_that_is_not_open_sends_nothing_and_says_for_what_it_waits(road: Any) -> None:
    road.lanes.open_account(AccountId("weixin:a"), WaitingFor.LOGIN)
    road.accept("m")
    assert [] == road.dispatch()
    assert road.look_again() is None
    assert WaitingFor.LOGIN is road.lanes.account_lanes(AccountId("weixin:a")).waits
    road.lanes.open_account(AccountId("weixin:a"), None)
    assert ["m.1"] == road.dispatch()


def test_chats_that_were_known_before_their_account_are_sent_when_it_appears(road_of: Any) -> None:
    """At a start the table is read before the lines are opened; nothing may depend on who is first."""
    road = road_of()
    road.commit("m")
    road.lanes.knows(road.target())
    assert [] == road.dispatch()
    road.open()
    assert ["m.1"] == road.dispatch()


# a host that cannot be reached


def test_one_probe_over_all_accounts_asks_for_a_host_that_cannot_be_reached(road_of: Any) -> None:
    """A thousand accounts must not hammer a dead host."""
    road = road_of()
    accounts = [f"weixin:{letter}" for letter in "abcde"]
    for account in accounts:
        road.open(account)
        for n in range(3):
            road.accept(f"{account}{n}", f"c{n}", account)
    first = road.dispatch()
    for target in list(road.wire):
        road.answer(target, Deferred("not_sent", "no route"))
    assert 15 == len(first)
    probes = 0
    for _ in range(10):
        wait_ms = road.look_again()
        assert 1_000 <= wait_ms <= 2_000
        road.now_ms += wait_ms
        assert 1 == len(road.dispatch())
        probes += 1
        road.answer_all(Deferred("not_sent", "no route"))
    road.now_ms += road.look_again()
    road.dispatch()
    road.answer_all()
    assert 10 == probes
    assert 10 <= len(road.dispatch()), "everybody goes again when the probe was answered"


def test_another_host_is_not_concerned(road_of: Any) -> None:
    road = road_of()
    road.open("weixin:a", "h1")
    road.open("weixin:b", "h2")
    road.accept("a", account="weixin:a")
    road.dispatch()
    road.answer_all(Deferred("not_sent", "no route"))
    road.accept("b", account="weixin:b")
    assert ["b.1"] == road.dispatch()


def test_while_a_line_probes_the_host_no_lane_does(road: Any) -> None:
    """Polls and sends share one probe."""
    road.hosts.unreachable("h1", road.now_ms, 0.5)
    road.now_ms += 5_000
    assert road.hosts.claim("h1")
    road.accept("m")
    assert [] == road.dispatch()
    road.hosts.worked("h1")
    road.lanes.host_changed("h1")
    assert ["m.1"] == road.dispatch()


def test_a_probe_that_was_put_back_leaves_the_host_to_the_next_one(road_of: Any) -> None:
    """The message was cancelled between choice and wire. Nobody else is told by the network, so the lanes tell."""
    road = road_of()
    for account in ("weixin:a", "weixin:b"):
        road.open(account)
        road.accept(account, account=account)
    road.hosts.unreachable("h1", road.now_ms, 0.5)
    road.lanes.host_changed("h1")
    road.now_ms += 5_000
    probe = None
    while isinstance(choice := road.lanes.choose(road.now_ms), Load | Send):
        if isinstance(choice, Load):
            road.lanes.loaded(road.view(choice.target))
        else:
            assert probe is None, "two probes"
            probe = choice.message
    road.end(probe, MessageState.CANCELLED)
    road.lanes.put_back(probe.target, road.now_ms)
    other = "weixin:b" if probe.account == "weixin:a" else "weixin:a"
    assert [f"{other}.1"] == road.dispatch()


def test_a_put_back_that_was_no_probe_does_not_free_the_probe_of_another(road: Any) -> None:
    """The host was open when the lane was chosen, and shut and claimed by a line when it was put back."""
    road.accept("m")
    road.lanes.choose(road.now_ms)
    road.lanes.loaded(road.view(road.target()))
    assert isinstance(road.lanes.choose(road.now_ms), Send)
    road.hosts.unreachable("h1", road.now_ms, 0.5)
    road.hosts.claim("h1")
    road.lanes.put_back(road.target(), road.now_ms)
    assert not road.hosts.free("h1")


def test_an_account_that_moves_to_another_host_is_judged_by_that_host(road: Any) -> None:
    """A login may be moved. Asking the old host's breaker about the new host is a hot loop when the new one is dead."""
    road.accept("m")
    road.open(host="h2")
    road.hosts.unreachable("h2", road.now_ms, 0.5)
    road.lanes.host_changed("h2")
    assert [] == road.dispatch()
    assert road.look_again() == 1_500


def test_an_account_opened_again_keeps_what_its_gates_have_learned(road: Any) -> None:
    """The memory's gates are newer than the store's."""
    road.accept("m1", "c1")
    road.accept("m2", "c2")
    road.dispatch()
    road.answer_all(LIMITED)
    before = road.lanes.gates_of(road.target()).account
    road.open()
    assert before.refusals == 1
    assert before == road.lanes.gates_of(road.target()).account


# evidence of health


def test_an_inbound_message_lets_one_probe_of_a_limited_chat_through_at_once(road: Any) -> None:
    road.accept("m1")
    road.accept("m2")
    road.dispatch()
    road.answer_all(LIMITED)
    assert [] == road.dispatch()
    road.hear(road.target())
    assert ["m1.1"] == road.dispatch()
    road.answer_all(LIMITED)
    assert [] == road.dispatch()


def test_someone_who_writes_right_after_a_restart_is_answered_at_once(road: Any) -> None:
    """The chat's long quiet time was read back from the store only after they had written."""
    road.chat(road.target()).pace = Pace(
        refusals=9, not_before_ms=road.now_ms + 3_000_000, quiet_ms=3_000_000
    )
    road.hear(road.target(), "t1")
    road.accept("answer")
    assert ["answer.1"] == road.dispatch()


def test_a_retry_by_hand_before_anything_was_read_is_not_forgotten(road: Any) -> None:
    road.chat(road.target()).pace = Pace(
        refusals=9, not_before_ms=road.now_ms + 3_000_000, quiet_ms=3_000_000
    )
    road.commit("m")
    road.lanes.changed(road.target())
    road.lanes.insist(road.target(), road.now_ms)
    assert ["m.1"] == road.dispatch()


def test_when_answers_come_again_what_was_in_doubt_is_tried_at_once(road: Any) -> None:
    for n in range(4):
        road.accept(f"m{n}", f"c{n}")
    road.dispatch()
    road.answer_all(InDoubt("no_answer", "time-out"))
    assert [] == road.dispatch()
    road.lanes.recovered(AccountId("weixin:a"), road.now_ms)
    assert 1 == len(road.dispatch()), "one probe, since the account is still shut"
    road.answer_all()
    assert 3 == len(road.dispatch())


def test_a_send_that_hung_while_the_silence_ended_does_not_begin_another_long_wait(road: Any) -> None:
    """After three minutes without an answer the first message came 23 seconds after the platform was back."""
    road.accept("m")
    for _ in range(12):
        assert ["m.1"] == road.dispatch()
        road.answer_all(InDoubt("no_answer", "time-out"))
        road.now_ms += road.look_again()
    assert ["m.1"] == road.dispatch()
    road.lanes.recovered(AccountId("weixin:a"), road.now_ms)
    road.answer_all(InDoubt("no_answer", "time-out"))
    assert road.look_again() <= 2_000


def test_a_platform_that_answers_polls_now_and_then_and_sends_never_is_not_sent_to_as_if_it_were_well(
    road: Any,
) -> None:
    """Polls came and went every ten seconds, and no send was answered: each time its waits began anew, and a message
    was sent a hundred times in ten minutes. It may have been shown as often."""
    road.accept("m")
    end_ms, recovers_ms = road.now_ms + 600_000, road.now_ms + 10_000
    while road.now_ms < end_ms:
        road.dispatch()
        road.answer_all(InDoubt("no_answer", "http 502"))
        again_ms = road.now_ms + road.look_again()
        road.now_ms = min(again_ms, recovers_ms)
        if road.now_ms == recovers_ms:
            road.lanes.recovered(AccountId("weixin:a"), road.now_ms)
            recovers_ms += 10_000
    assert len(road.sent) <= 75, "one for each time it recovers, and a few while the waits are short"


def test_recovery_does_not_hurry_a_limit(road: Any) -> None:
    """An answered poll says nothing about a rate limit."""
    road.accept("m")
    road.dispatch()
    road.answer_all(LIMITED)
    road.lanes.recovered(AccountId("weixin:a"), road.now_ms)
    assert 30_000 == road.look_again()


def test_what_a_reply_has_taught_counts_before_it_is_kept(road: Any) -> None:
    """Four requests are refused within a few milliseconds while the store is busy with the first: the second one
    already knows that another chat was refused. All left before that: they are one refusal, and it is nobody's
    chat."""
    for n in range(4):
        road.accept(f"m{n}", f"c{n}")
    road.dispatch()
    decisions = {target: road.judge(target, LIMITED) for target in road.wire}
    assert 1 == road.lanes.gates_of(road.target()).account.refusals
    for target, decision in decisions.items():
        road.keep(target, decision)
    assert 1 == road.lanes.gates_of(road.target()).account.refusals
    assert [0, 0, 0, 0] == [road.lanes.gates_of(road.target(f"c{n}")).chat.refusals for n in range(4)]


def test_a_probe_that_was_accepted_opens_the_account_before_that_is_kept(road_of: Any) -> None:
    """The store may take its time; the others need not wait for it."""
    road = road_of()
    road.open(gates=Gates(account=Pace(1, 0, 5_000)))
    for n in range(3):
        road.accept(f"m{n}", f"c{n}")
    assert 1 == len(road.dispatch())
    road.lanes.learned(road.target("c0"), Gates(), None, False)
    assert 2 == len(road.dispatch())


def test_an_inbound_while_a_refusal_is_being_kept_still_hurries_the_chat(road: Any) -> None:
    road.accept("m")
    road.dispatch()
    decision = road.judge(road.target(), LIMITED)
    road.hear(road.target())
    road.keep(road.target(), decision)
    assert ["m.1"] == road.dispatch()


def test_a_barred_account_sends_nothing_more_once_it_is_shut(road: Any) -> None:
    road.accept("m1", "c1")
    road.dispatch()
    assert road.answer(road.target(), Barred("-9", "banned", "ask Tencent")).barred is not None
    road.lanes.open_account(AccountId("weixin:a"), WaitingFor.OPERATOR)
    road.accept("m2", "c2")
    assert [] == road.run()


# what waiting costs


@pytest.mark.parametrize("queued", [20, 2_000])
def test_a_limited_chat_costs_the_same_however_much_waits_in_it(road: Any, calls: Calls, queued: int) -> None:
    """The retry storm of old: two thousand queued messages, two thousand retry loops."""
    road.accept("m")
    road.dispatch()
    road.answer_all(LIMITED)
    road.look_again()
    loads = road.loads
    for n in range(queued):
        road.accept(f"m{n}")
    assert calls(lambda: road.lanes.choose(road.now_ms)) < 20
    assert 30_000 == road.look_again()
    assert loads == road.loads


@pytest.mark.parametrize("chats", [20, 2_000])
def test_a_shut_account_costs_the_same_however_many_chats_wait_in_it(
    road_of: Any, calls: Calls, chats: int
) -> None:
    road = road_of()
    road.open(gates=Gates(account=Pace(1, road.now_ms + 60_000, 5_000)))
    for n in range(chats):
        road.accept(f"m{n}", f"c{n}")
        road.lanes.choose(road.now_ms)
    assert calls(lambda: road.lanes.choose(road.now_ms)) < 20
    assert 60_000 == road.look_again()
    assert 0 == road.loads


def test_an_account_that_is_opened_again_and_again_while_limited_does_not_fill_the_heap(
    road_of: Any, calls: Calls
) -> None:
    """Every answered poll reports the account as open."""
    road = road_of()
    road.open(gates=Gates(account=Pace(1, road.now_ms + 60_000, 5_000)))
    road.accept("m")
    for _ in range(5_000):
        road.lanes.open_account(AccountId("weixin:a"), None)
        road.lanes.choose(road.now_ms)
    road.now_ms += 60_000
    assert calls(lambda: road.lanes.choose(road.now_ms)) < 1_000


def test_many_chats_behind_their_own_gates_cost_nothing_until_their_time(road: Any, calls: Calls) -> None:
    for n in range(200):
        road.chat(road.target(f"c{n}")).pace = Pace(1, road.now_ms + 10_000 + n, 5_000)
        road.accept(f"m{n}", f"c{n}")
    assert [] == road.dispatch()
    assert calls(lambda: road.lanes.choose(road.now_ms)) < 10
    assert 10_000 == road.look_again()
    assert 200 == road.loads


def test_empty_lanes_are_forgotten_beyond_a_bound(road_of: Any) -> None:
    """A bot may meet a million chats; memory holds those that wait."""
    road = road_of(idle_max=10)
    road.open()
    for n in range(100):
        road.accept(f"m{n}", f"c{n}")
    road.run()
    assert 10 == len(road.lanes)
    assert 100 == len(road.sent)


def test_an_empty_lane_whose_gate_remembers_something_is_kept(road_of: Any) -> None:
    road = road_of(idle_max=0)
    road.open()
    message = road.accept("m")
    road.dispatch()
    road.answer_all(LIMITED)
    road.end(message, MessageState.CANCELLED)
    road.lanes.changed(road.target())
    road.dispatch()
    assert 1 == road.lanes.gates_of(road.target()).chat.refusals


def test_lanes_without_accounts_come_to_rest() -> None:
    assert LookAgain(None) == Lanes(Hosts(BreakerNumbers())).choose(0)


# an account that goes


def test_an_account_removed_while_its_request_is_on_the_wire_ends_quietly(road: Any) -> None:
    road.accept("m1", parts=2)
    road.dispatch()
    road.lanes.forget_account(AccountId("weixin:a"))
    road.answer(road.target())
    assert [] == road.run()


def test_an_account_added_again_starts_with_a_clean_slate(road: Any) -> None:
    """Sleeping lanes of the removed one must not wake up beside the new ones."""
    message = road.accept("old")
    busy = road.accept("busy", "c2")
    road.dispatch()
    road.answer(road.target(), LIMITED)
    road.now_ms += ATTRIBUTION_MS  # the other answer is heard out no longer
    assert 30_000 - ATTRIBUTION_MS == road.look_again()
    road.lanes.forget_account(AccountId("weixin:a"))
    for each in (message, busy):
        road.end(each, MessageState.CANCELLED)
    road.chats.clear()
    road.open()
    road.accept("new")
    assert ["new.1"] == road.dispatch()
    road.accept("next", "c2")
    assert [] == road.dispatch(), "the old request of that chat is still on the wire"
    road.answer_all()
    assert ["next.1"] == road.run()
    assert 0 == road.lanes.account_lanes(AccountId("weixin:a")).in_flight
