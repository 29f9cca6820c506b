"""The connection to QQ's gateway as a function: what follows from what, and when."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.connection import Lost, LostKind
from yizhan.platforms.fields import Odd
from yizhan.platforms.qq import line as lines
from yizhan.platforms.qq import memory as memories
from yizhan.platforms.qq import ration as rations
from yizhan.platforms.qq.closes import CLOSES, After, ending_of
from yizhan.platforms.qq.frames import Frame, heartbeat, identify, read_frame, resume
from yizhan.platforms.qq.intents import LADDER
from yizhan.platforms.qq.line import (
    Action,
    Alive,
    Deliver,
    Entered,
    Part,
    Phase,
    SayHeartbeat,
    SayIdentify,
    SayResume,
    Talk,
)
from yizhan.platforms.qq.memory import Memory
from yizhan.platforms.qq.ration import Ration
from yizhan.platforms.qq.session import Places, Session, read_cursor, read_places, write_cursor, write_places

NOW = 1_790_000_000_000
INTERVAL_MS = 41_250
HELLO = {"op": 10, "d": {"heartbeat_interval": INTERVAL_MS}}
READY = {"op": 0, "s": 1, "t": "READY", "d": {"version": 1, "session_id": "new", "user": {"id": "1"}}}
RESUMED = {"op": 0, "s": 8, "t": "RESUMED", "d": ""}
ACK = {"op": 11}
OLD = Session("old", 5, NOW - 3_600_000)
FORGETFUL = Memory()
bounded = settings(max_examples=200, deadline=None, derandomize=True)


def frame(said: object) -> Frame:
    read = read_frame(json.dumps(said))
    assert isinstance(read, Frame)
    return read


def message(seq: int | None) -> dict[str, object]:
    return {
        "op": 0,
        "s": seq,
        "t": "C2C_MESSAGE_CREATE",
        "id": "C2C_MESSAGE_CREATE:1",
        "d": {"id": f"m{seq}"},
    }


@dataclass
class Scene:
    """A connection that things happen to, and what it did about them."""

    resumes: Session | None = None
    now_ms: int = NOW
    did: list[Action] = field(default_factory=list)
    talk: Talk = field(init=False)

    def __post_init__(self) -> None:
        self.talk = lines.opened(self.resumes, self.now_ms)

    def hears(self, *said: object) -> Scene:
        for each in said:
            self._take(lines.heard(self.talk, frame(each), self.now_ms))
        return self

    def waits(self, ms: int) -> Scene:
        """Time passes, and every timer fires when it is due."""
        until_ms = self.now_ms + ms
        while (due_ms := lines.next_ms(self.talk)) <= until_ms and not self.over:
            self.now_ms = max(self.now_ms, due_ms)
            self._take(lines.ticked(self.talk, self.now_ms))
        self.now_ms = until_ms
        return self

    def _take(self, said: tuple[Talk, tuple[Action, ...]]) -> None:
        self.talk, actions = said
        self.did += actions

    @property
    def over(self) -> Part | None:
        return next((action for action in self.did if isinstance(action, Part)), None)

    def after(
        self, memory: Memory = FORGETFUL, code: int | None = None, jitter: float = 0.5
    ) -> tuple[Memory, Lost]:
        part = self.over or lines.closed(self.talk, code)
        return memories.after(memory, self.talk, part, self.now_ms, jitter)


def up(resumes: Session | None = None) -> Scene:
    return Scene(resumes).hears(HELLO, RESUMED if resumes else READY)


def test_a_first_connection_identifies_and_is_up_at_ready() -> None:
    scene = Scene().hears(HELLO)
    assert [SayIdentify()] == scene.did
    scene.hears(READY)
    assert [Entered(Session("new", 1, NOW))] == scene.did[1:]
    assert Phase.UP is scene.talk.phase


def test_events_that_were_missed_are_replayed_before_the_line_is_up() -> None:
    """RESUME replays first and says RESUMED last; both belong to the same session."""
    scene = Scene(OLD).hears(HELLO, message(6), message(7), RESUMED)
    assert [SayResume(OLD)] == scene.did[:1]
    assert [6, 7] == [action.session.seq for action in scene.did if isinstance(action, Deliver)]
    assert [Entered(replace(OLD, seq=8))] == scene.did[-1:]


def test_a_long_replay_is_waited_for_as_long_as_it_moves() -> None:
    scene = Scene(OLD).hears(HELLO)
    for seq in range(6, 11):
        scene.waits(15_000).hears(message(seq))
    assert scene.over is None
    scene.waits(20_000)
    assert scene.over is not None
    assert "no-ready" == scene.over.code


@pytest.mark.parametrize(("steps", "code"), [((), "no-hello"), ((HELLO,), "no-ready")])
def test_no_step_of_an_attempt_waits_for_ever(steps: tuple[object, ...], code: str) -> None:
    """A server that takes the connection and says nothing is the longest outage there is."""
    scene = Scene().hears(*steps).waits(60_000)
    assert scene.over is not None
    assert code == scene.over.code


def test_a_dead_socket_is_told_within_two_and_a_half_intervals() -> None:
    """Half-open sockets take every heartbeat and answer none; bots stayed deaf for 18 hours."""
    scene = up()
    scene.waits(int(INTERVAL_MS * 0.75)).hears(ACK)
    dead_since_ms = scene.now_ms
    while scene.over is None:
        scene.waits(100)
    assert "no-ack" == scene.over.code
    assert scene.now_ms - dead_since_ms <= 2.5 * INTERVAL_MS
    assert After.RESUME is scene.over.ending.after


def test_answered_heartbeats_keep_a_silent_chat_alive_for_days() -> None:
    """Liveness is protocol traffic and not what users write."""
    scene = up()
    for _ in range(600):
        scene.waits(int(INTERVAL_MS * 0.75)).hears(ACK)
    assert scene.over is None
    beats = sum(isinstance(action, SayHeartbeat) for action in scene.did)
    assert beats == sum(isinstance(action, Alive) for action in scene.did) == 600


def test_a_process_that_was_starved_hears_its_answers_before_it_judges() -> None:
    scene = up().waits(int(INTERVAL_MS * 1.5))
    scene.now_ms += 600_000
    scene.hears(ACK)
    assert 0 == scene.talk.missed
    scene.waits(1_000)
    assert scene.over is None


def test_a_host_that_has_slept_asks_at_once_whether_the_line_lives() -> None:
    """After a laptop's sleep nothing used to work until a restart."""
    scene = up()
    scene.now_ms += 3_600_000
    scene._take(lines.woken(scene.talk, scene.now_ms))
    assert [SayHeartbeat(1)] == scene.did[-1:]
    scene.waits(5_000)
    assert scene.over is not None
    assert "no-sign" == scene.over.code


def test_op_7_is_followed_by_one_new_connection_with_the_same_session() -> None:
    """Code that closed by itself and then took the 4009 for a lost session identified 284 times in three days."""
    scene = up(OLD).waits(600_000 - 1).hears(ACK)
    scene = replace_talk(scene, missed=0)
    scene.hears({"op": 7}).waits(2_000)
    assert scene.over is not None
    assert "op 7" == scene.over.code
    _, lost = scene.after()
    assert LostKind.RECYCLED is lost.kind
    closed_first = up(OLD).hears({"op": 7, "d": None})
    assert "op 7" == lines.closed(closed_first.talk, 4009).code


def replace_talk(scene: Scene, **changes: int) -> Scene:
    scene.did = [action for action in scene.did if not isinstance(action, Part)]
    scene.talk = replace(scene.talk, **changes)
    return scene


@pytest.mark.parametrize("code", [4006, 4007, 4902, 4903, 4009, 4900])
def test_a_session_that_is_refused_by_a_close_is_given_up(code: int) -> None:
    """Resuming a dead session again and again kept bots deaf for hours."""
    memory, lost = Scene(OLD).hears(HELLO).after(code=code)
    assert memories.to_resume(memory, OLD, NOW) is None
    assert LostKind.BARRED is not lost.kind


def test_op_9_gives_the_session_up() -> None:
    memory, _ = Scene(OLD).hears(HELLO, {"op": 9, "d": False}).after()
    assert memories.to_resume(memory, OLD, NOW) is None


@pytest.mark.parametrize("code", [None, 1006, 1005])
def test_a_resume_that_breaks_twice_gives_way_to_a_new_session(code: int | None) -> None:
    """A silent close may be the network or the refusal; after two nobody waits for the third."""
    memory, _ = Scene(OLD).hears(HELLO).after(code=code)
    assert OLD == memories.to_resume(memory, OLD, NOW)
    memory, _ = Scene(OLD).hears(HELLO).after(memory, code=code)
    assert memories.to_resume(memory, OLD, NOW) is None


@pytest.mark.parametrize("code", [1006, 4009])
def test_a_session_that_is_cut_off_as_soon_as_it_is_resumed_is_given_up_after_five_times(code: int) -> None:
    """Accepted and closed, for hours: that is no success. Once or twice it is a storm, and what waits is replayed."""
    memory = Memory()
    for _ in range(memories.RESUMES_HOLLOW_MAX):
        assert OLD == memories.to_resume(memory, OLD, NOW)
        memory, _ = up(OLD).after(memory, code=code)
    assert memories.to_resume(memory, OLD, NOW) is None


def test_connections_that_hold_for_a_few_seconds_cost_a_good_session_nothing() -> None:
    """A storm of closes, and the messages said between two of them were in the session that was thrown away."""
    memory = Memory()
    for _ in range(50):
        scene = up(OLD)
        scene.now_ms += memories.MOMENT_MS
        memory, _ = scene.after(memory, code=4009)
    assert OLD == memories.to_resume(memory, OLD, NOW)


@pytest.mark.parametrize("code", [4004, 4008])
def test_a_bad_token_or_too_much_haste_says_nothing_about_the_session(code: int) -> None:
    memory, _ = Scene(OLD).hears(HELLO).after(code=code)
    assert OLD == memories.to_resume(memory, OLD, NOW)
    assert (code == 4004) == ending_of(code).new_token


def test_a_session_is_renewed_every_day_and_never_resumed_after_two() -> None:
    """After about three days a resumed session delivered nothing."""
    day_old, two_days_old = (replace(OLD, born_ms=NOW - hours * 3_600_000) for hours in (24, 48))
    assert memories.is_due(day_old, NOW, 0.99)
    assert not memories.is_due(OLD, NOW, 0.0)
    assert day_old == memories.to_resume(Memory(), day_old, NOW)
    assert memories.to_resume(Memory(), two_days_old, NOW) is None


def test_half_an_hour_and_a_close_is_ordinary_life() -> None:
    scene = up(OLD)
    scene.now_ms += 1_800_000
    memory, lost = scene.after(Memory(short=3), code=4009)
    assert (LostKind.RECYCLED, 0) == (lost.kind, memory.short)
    assert 800 <= lost.wait_ms <= 1_200


def test_connections_that_do_not_hold_come_ever_slower_and_never_end() -> None:
    """Ready and closed, ready and closed: a back-off that is reset by READY is none."""
    memory, waits = Memory(), []
    for _ in range(200):
        memory, lost = up().after(memory, code=4903)
        waits.append(lost.wait_ms)
    assert [1_000, 2_000, 5_000, 10_000, 30_000, 60_000] == waits[:6]
    assert {60_000} == set(waits[5:])


def test_new_sessions_are_rationed_to_one_a_minute_after_fifty() -> None:
    """A loop of two seconds burns a day's thousand in half an hour."""
    ration = Ration()
    for number in range(rations.PER_HOUR):
        assert not rations.is_stretched(ration, NOW)
        ration = rations.asking(ration, NOW + number)
    assert rations.is_stretched(ration, NOW)
    assert not rations.is_stretched(ration, NOW + rations.HOUR_MS + 60)
    assert not rations.is_stretched(ration, NOW, shards=40), "each shard needs one of its own"
    scene = up()
    part = lines.closed(scene.talk, 4006)
    _, lost = memories.after(Memory(), scene.talk, part, NOW, 0.5, stretched=True)
    assert 48_000 <= lost.wait_ms


@pytest.mark.parametrize(("at_once", "waits"), [(1, [0, 6_000, 6_000]), (2, [0, 0, 6_000])])
def test_new_sessions_are_begun_no_faster_than_qq_says(at_once: int, waits: list[int]) -> None:
    """Shards of one bot that all began at once were turned away."""
    ration, waited = Ration(), []
    now_ms = NOW
    for _ in waits:
        waited.append(rations.wait_ms(ration, at_once, now_ms))
        now_ms += waited[-1]
        ration = rations.asking(ration, now_ms)
    assert waits == waited


def test_intents_that_are_not_granted_are_asked_for_no_more_and_the_last_rung_asks_a_person() -> None:
    """A missing permission for guilds must not cost the groups."""
    memory, rungs = Memory(), []
    for _ in LADDER[1:]:
        memory, lost = Scene().hears(HELLO).after(memory, code=4014)
        rungs.append(memory.rung)
        assert LostKind.SERVER is lost.kind
    assert list(range(1, len(LADDER))) == rungs
    memory, lost = Scene().hears(HELLO).after(memory, code=4014)
    assert (LostKind.BARRED, 0) == (lost.kind, memory.rung)
    assert "q.qq.com" in lost.action


@pytest.mark.parametrize("code", [4914, 4915, 4012])
def test_what_only_a_person_can_change_says_so(code: int) -> None:
    _, lost = up().after(code=code)
    assert LostKind.BARRED is lost.kind
    assert lost.action


@pytest.mark.parametrize("told", [None, 0, -5, "soon", 10**12, 1])
def test_absurd_heartbeat_intervals_are_not_obeyed(told: object) -> None:
    scene = Scene().hears({"op": 10, "d": {"heartbeat_interval": told}}, READY)
    assert lines.INTERVAL_MIN_MS <= scene.talk.interval_ms <= lines.INTERVAL_MAX_MS


@pytest.mark.parametrize(
    "odd",
    [
        "",
        "null",
        "[]",
        "{",
        "{}",
        '{"op":true}',
        '{"op":"1"}',
        "\ud800",
        "[" * 100_000,
        b"\xff\xfe",
        '{"op":-1}',
    ],
)
def test_odd_frames_are_told_and_raise_nothing(odd: str | bytes) -> None:
    assert isinstance(read_frame(odd), Odd)


def test_unknown_codes_and_events_are_passed_over() -> None:
    scene = up().hears({"op": 99, "d": {}}, {"op": 0, "s": 2, "t": "NEWS", "d": None}, message(None))
    assert scene.over is None
    assert [2, 2] == [action.session.seq for action in scene.did if isinstance(action, Deliver)]


def test_a_place_never_goes_back() -> None:
    """Replays may carry old places; a resume from there would repeat everything since."""
    scene = up(OLD).hears(message(12), message(9))
    assert 12 == scene.talk.session.seq if scene.talk.session else None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FRAMES = st.fixed_dictionaries(
    {"op": st.sampled_from([0, 1, 7, 9, 10, 11, 12, 99]) | JSON},
    optional={"s": JSON, "t": st.sampled_from(["READY", "RESUMED", "X"]) | JSON, "d": JSON, "id": JSON},
)


@bounded
@given(st.lists(FRAMES | st.integers(0, 200_000), max_size=12), st.booleans())
def test_whatever_a_server_says_a_connection_has_a_next_moment_or_an_end(
    story: list[dict[str, object] | int], resumes: bool
) -> None:
    """Nothing raises, nothing hangs: each state has a timer, and each end leaves a wait."""
    scene = Scene(OLD if resumes else None)
    for event in story:
        if scene.over:
            break
        if isinstance(event, int):
            scene.waits(event)
        else:
            read = read_frame(json.dumps(event))
            if isinstance(read, Frame):
                scene._take(lines.heard(scene.talk, read, scene.now_ms))
        assert lines.next_ms(scene.talk) <= scene.now_ms + lines.INTERVAL_MAX_MS
    _, lost = scene.after(code=1006)
    assert lost.kind is LostKind.BARRED or lost.wait_ms >= 800


@bounded
@given(st.integers(1_000, 5_999), st.booleans())
def test_every_close_code_has_a_next_connection(code: int, resumes: bool) -> None:
    """Stopping for good on a code is how a gateway goes deaf."""
    memory, lost = up(OLD if resumes else None).after(code=code)
    assert lost.text
    assert lost.kind is LostKind.BARRED or lost.wait_ms > 0
    assert 0 <= memory.rung < len(LADDER)


def test_what_we_say_is_what_the_documents_show() -> None:
    """Source: bot-docs, websocket reference."""
    assert {"token": "QQBot t", "session_id": "s", "seq": 1337} == json.loads(resume("t", "s", 1337))["d"]
    said = json.loads(identify("t", LADDER[0], (0, 1)))
    assert (2, "QQBot t", [0, 1]) == (said["op"], said["d"]["token"], said["d"]["shard"])
    assert ['{"op":1,"d":null}', '{"op":1,"d":7}'] == [heartbeat(None), heartbeat(7)]


def test_a_cursor_is_read_as_it_was_written_and_nonsense_is_no_session() -> None:
    fewer = replace(OLD, rung=2)
    assert [OLD, fewer] == [read_cursor(write_cursor(each)) for each in (OLD, fewer)]
    for places in (Places(), Places(1, {0: OLD}), Places(3, {0: OLD, 2: fewer}), Places(64, {63: OLD})):
        assert places == read_places(write_places(places))
    for nonsense in ("", "CiQ", "q1 5 6", "q1 x 6 0 id", "q2 5 6 0 id", "q1 5 6 0 ", "q1 5 6 9 id"):
        assert read_cursor(nonsense) is None
        assert Places() == read_places(nonsense)


@pytest.mark.parametrize(
    "cursor",
    [
        "q2 ",
        "q2 [3]",
        "q2 [3,[]]",
        'q2 [1,{"0":[5,6,0,"id"]}]',
        'q2 [65,{"0":[5,6,0,"id"]}]',
        'q2 [3,{"3":[5,6,0,"id"]}]',
        'q2 [3,{"x":[5,6,0,"id"]}]',
        'q2 [3,{"0":[5,6,9,"id"]}]',
        'q2 [3,{"0":[5,6,0]}]',
        'q2 [3,{"0":[5,true,0,"id"]}]',
        'q2 [3,{"0":[5,6,0,7]}]',
        "q2 " + "[" * 10_000,
    ],
)
def test_a_cursor_of_several_shards_that_is_none_names_no_session(cursor: str) -> None:
    assert Places() == read_places(cursor)


def test_the_table_knows_every_code_that_is_documented() -> None:
    assert {4001, 4002, 4006, 4007, 4008, 4009, 4010, 4011, 4012, 4013, 4014, 4914, 4915} <= set(CLOSES)
    assert {After.IDENTIFY} == {ending_of(code).after for code in range(4900, 4914)}
