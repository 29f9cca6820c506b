"""The QQ gateway's end of the socket: HELLO to RESUMED, and every way a connection ends."""

from __future__ import annotations

import pytest

from simulator.qq_caller import NOW, QqCaller, events
from yizhan_simulator import Effect, Fault, Outage, SimReply, SimRequest, World
from yizhan_simulator.qq.codes import CLOSES

CLOSE_CODES = sorted(CLOSES)


def test_a_client_connects_and_hears_a_person(world: World, ann: str) -> None:
    """The first road: token, address, HELLO, IDENTIFY, READY, an event, a reply on the screen."""
    client = QqCaller(world, world.qq.add_bot("Echo", app_id="102000007", secret="s3cr3t"))
    assert "7200" == client.get_token()["expires_in"]
    (ready,) = client.identify()
    assert {"op": 10, "d": {"heartbeat_interval": 41_250}} == client.frames[0]
    assert ("READY", 1, "Echo", [0, 1]) == (
        ready["t"], ready["s"], ready["d"]["user"]["username"], ready["d"]["shard"]
    )  # fmt: skip
    message_id = world.qq.say(ann, "hello", NOW)
    (event,) = client.read()
    assert ("C2C_MESSAGE_CREATE", 2, "hello", message_id) == (
        event["t"], event["s"], event["d"]["content"], event["d"]["id"]
    )  # fmt: skip
    assert event["id"].startswith("C2C_MESSAGE_CREATE:")
    assert world.qq.openid("Echo", "Ann") == event["d"]["author"]["user_openid"]
    told = client.c2c("Ann", "hi", msg_id=message_id, msg_seq=1)
    (bubble,) = world.qq.shown("Echo", "Ann")
    assert ("hi", told["id"]) == (bubble.text, bubble.message_id)


def test_heartbeats_are_answered_and_missing_ones_end_the_connection(qq: QqCaller) -> None:
    """Two intervals without op 1: 4009, and the session can be resumed."""
    assert [{"op": 11}] == qq.beat()
    qq.later(80)
    assert ([], []) == (qq.read(), qq.ends)
    qq.later(3)
    qq.read()
    assert [4009] == qq.ends
    assert ["RESUMED"] == [frame["t"] for frame in qq.resume()]


def test_after_half_an_hour_the_server_asks_to_reconnect_and_closes(qq: QqCaller) -> None:
    """Normal life: op 7, then 4009; what is said in between comes with RESUME, in order and before RESUMED."""
    for _ in range(60):
        qq.later(30)
        qq.beat()
    assert [7, 11] == sorted(frame["op"] for frame in qq.frames[-2:])
    qq.later(1)
    qq.read()
    assert [4009] == qq.ends
    world = qq.world
    world.qq.say("Ann", "one", qq.now_ms)
    world.qq.say("Ann", "two", qq.now_ms)
    frames = qq.resume()
    assert [("C2C_MESSAGE_CREATE", "one"), ("C2C_MESSAGE_CREATE", "two")] == events(frames)
    assert ("RESUMED", "", qq.seq) == (frames[-1]["t"], frames[-1]["d"], frames[-1]["s"])
    assert sorted(frame["s"] for frame in frames) == [frame["s"] for frame in frames]


@pytest.mark.parametrize("code", CLOSE_CODES)
def test_every_close_code_can_be_played(qq: QqCaller, code: int) -> None:
    """The codes of the documentation and those seen; afterwards a session is resumable or not, as the table says."""
    qq.world.qq.close("Echo", code, qq.now_ms)
    qq.read()
    assert [code] == qq.ends
    resumable = code < 4000 or code in (4000, 4004, 4008, 4009)
    told = [frame.get("t") or frame["op"] for frame in qq.resume()]
    assert (["RESUMED"] if resumable else [9]) == told


@pytest.mark.parametrize(
    ("how", "told", "end"), [("op9", [9], 4006), ("close", [], 4006), ("silent", [], 1005)]
)
def test_a_refused_resume_comes_in_all_its_forms(qq: QqCaller, how: str, told: list[int], end: int) -> None:
    """A client that waits for op 9 alone would resume for ever."""
    qq.world.turn(qq={"resume_refusal": how})
    qq.world.qq.forget_sessions("Echo")
    qq.world.qq.close("Echo", 4009, qq.now_ms)
    qq.read()
    assert told == [frame["op"] for frame in qq.resume()]
    assert [4009, end] == qq.ends
    assert ["READY"] == [frame["t"] for frame in qq.identify()]


def test_a_sequence_number_from_nowhere_is_refused(qq: QqCaller) -> None:
    """4007: the client claims to have read what was never written."""
    qq.world.qq.close("Echo", 4009, qq.now_ms)
    qq.read()
    qq.resume(seq=999)
    assert 4007 == qq.ends[-1]


def test_a_muted_socket_gives_no_sign(qq: QqCaller) -> None:
    """Half-open: no frame, no acknowledgement, no close, though the server has long given up."""
    qq.world.qq.mute("Echo", qq.now_ms)
    qq.world.qq.say("Ann", "are you there?", qq.now_ms)
    assert [] == qq.beat()
    qq.later(600)
    assert [] == qq.read()
    assert [] == qq.ends
    lost = qq.world.ledger.select("qq.dispatch", effect=Effect.LOST)
    assert ["are you there?"] == [row.text for row in lost]
    assert [("C2C_MESSAGE_CREATE", "are you there?")] == events(qq.resume())


def test_identify_is_refused_by_its_code(world: World, ann: str) -> None:
    """Each wrong IDENTIFY closes with the code of the documentation."""
    bot = world.qq.add_bot("Echo", intents=(1 << 25) | (1 << 30))
    client = QqCaller(world, bot)
    client.identify(intents=1 << 31)
    client.identify(intents=(1 << 25) | (1 << 12))
    client.identify(shard=[1, 1])
    client.identify(token="QQBot wrong")
    client.identify(token=None)
    assert [4013, 4014, 4010, 4004, 4002] == client.ends
    assert ["READY"] == [frame["t"] for frame in client.identify(intents=1 << 25)]
    bot.offline = True
    client.identify(intents=1 << 25)
    bot.banned = True
    client.identify(intents=1 << 25)
    assert [4914, 4915] == client.ends[-2:]


def test_a_bot_of_too_few_shards_is_sent_away(world: World, ann: str) -> None:
    """4011; and each shard is asked for by itself."""
    bot = world.qq.add_bot("Echo")
    world.turn(qq={"shards_needed": 2})
    client = QqCaller(world, bot)
    client.identify()
    assert [4011] == client.ends
    shards = [QqCaller(world, bot) for _ in range(2)]
    shards[1].identify(shard=[1, 2])
    assert not world.qq.online("Echo")
    shards[0].identify(shard=[0, 2])
    assert world.qq.online("Echo")
    world.qq.close("Echo", 4009, NOW, shard=1)
    for shard in shards:
        shard.read()
    assert [[], [4009]] == [shard.ends for shard in shards]
    assert not world.qq.online("Echo")


def test_the_ration_of_identifies_is_counted_and_comes_back(world: World, ann: str) -> None:
    """An identify loop burns the day's allowance; a day later it is whole again."""
    world.turn(qq={"identify_total": 3})
    client = QqCaller(world, world.qq.add_bot("Echo"))
    for _ in range(3):
        assert ["READY"] == [frame["t"] for frame in client.identify()]
    limit = client.json("GET", "/gateway/bot")["session_start_limit"]
    assert (3, 0, 1) == (limit["total"], limit["remaining"], limit["max_concurrency"])
    assert [] == client.identify()
    assert [4903] == client.ends
    client.later(limit["reset_after"] / 1000 + 1)
    client.get_token()
    assert ["READY"] == [frame["t"] for frame in client.identify()]


@pytest.mark.parametrize(
    "frame",
    ['{"op":', "[]", '"x"', "{}", '{"op":2}', '{"op":6,"d":7}', '{"op":"2"}', "[" * 9000],
    ids=["cut", "list", "text", "empty", "identify", "resume", "types", "nested"],
)
def test_no_frame_of_a_client_breaks_the_server(qq: QqCaller, frame: str) -> None:
    """Whatever comes is answered with a close, and the next connection works."""
    qq.connect()
    qq.read()
    qq.put(frame)
    qq.read()
    assert 1 == len(qq.ends)
    assert ["READY"] == [each["t"] for each in qq.identify()]


def test_a_second_connection_keeps_the_first(qq: QqCaller) -> None:
    """Nobody knows whether the platform closes the older one; both hear the event."""
    first = qq.line
    qq.identify()
    qq.world.qq.say("Ann", "both of you", qq.now_ms)
    assert [("C2C_MESSAGE_CREATE", "both of you")] == events(qq.read())
    assert first is not None
    assert 1 == len(first.take())


def test_without_a_session_nothing_is_kept(world: World, ann: str) -> None:
    """The platform answers the person itself then, and the message does not come later."""
    client = QqCaller(world, world.qq.add_bot("Echo"))
    world.qq.say(ann, "anybody?", NOW)
    assert [] == events(client.identify())
    assert ["no session"] == [row.rule for row in world.ledger.select("qq.dispatch", effect=Effect.LOST)]


def test_a_session_that_is_forgotten_ends_with_its_connection(qq: QqCaller) -> None:
    """It took in what was said afterwards, and the books called that told."""
    world = qq.world
    qq.identify()
    world.qq.forget_sessions("Echo")
    world.qq.say("Ann", "heard", qq.now_ms)
    assert ["heard"] == [text for _, text in events(qq.read())]
    world.qq.close("Echo", 4009, qq.now_ms)
    world.qq.say("Ann", "in vain", qq.now_ms)
    assert ["no session"] == [row.rule for row in world.ledger.select("qq.dispatch", effect=Effect.LOST)]


def test_an_outage_breaks_or_silences_what_is_open(qq: QqCaller) -> None:
    """refuse: the connection is gone without a close frame; hang: it becomes half-open and stays so."""
    qq.world.add_outage(Outage(to_s=10, kind="refuse"), qq.now_ms)
    qq.later(0)
    qq.read()
    assert [1006] == qq.ends
    qq.later(10)
    qq.resume()
    qq.world.add_outage(Outage(to_s=10, kind="hang"), qq.now_ms)
    qq.later(11)
    assert [] == qq.beat()
    assert [1006] == qq.ends


@pytest.mark.parametrize(
    ("fault", "ops", "ends"),
    [
        (Fault(kind="silence", call="qq.resume"), [], []),
        (Fault(kind="close", call="qq.resume", code=4902), [], [4902]),
        (Fault(kind="invalid_session", call="qq.resume"), [9], []),
        (Fault(kind="invalid_session", call="qq.resume", code=4903), [9], [4903]),
        (Fault(kind="accept_close", call="qq.resume", code=1000), [0, 0], [1000]),
        (Fault(kind="lose_gap", call="qq.resume"), [0], []),
        (Fault(kind="mute", call="qq.resume"), [], []),
        (Fault(kind="not_json", call="qq.resume"), [None, 0, 0], []),
    ],
)
def test_faults_of_a_resume(qq: QqCaller, fault: Fault, ops: list[int | None], ends: list[int]) -> None:
    """Each way in which a RESUME has gone wrong in public logs."""
    qq.world.qq.close("Echo", 4009, qq.now_ms)
    qq.read()
    qq.ends.clear()
    qq.world.qq.say("Ann", "in the gap", qq.now_ms)
    qq.world.add_fault(fault, qq.now_ms)
    assert ops == [frame.get("op") for frame in qq.resume()]
    assert ends == qq.ends


def test_a_resume_can_give_again_what_was_read(qq: QqCaller) -> None:
    """Messages seen minutes before come again: a client must recognise them by their id."""
    for number in range(5):
        qq.world.qq.say("Ann", f"word {number}", qq.now_ms)
    qq.read()
    qq.world.qq.close("Echo", 4009, qq.now_ms)
    qq.read()
    qq.world.add_fault(Fault(kind="replay_older", call="qq.resume", count=2), qq.now_ms)
    assert [("C2C_MESSAGE_CREATE", "word 3"), ("C2C_MESSAGE_CREATE", "word 4")] == events(qq.resume())


@pytest.mark.parametrize(
    ("kind", "heard"),
    [
        ("double", ["x", "x"]),
        ("double_new_s", ["x", "x"]),
        ("silence", []),
        ("late", []),
        ("unknown_event", ["?", "x"]),
        ("null_d", [None, "x"]),
        ("empty_d", [None, "x"]),
        ("bare", ["x"]),
        ("extra", ["x"]),
        ("unknown_op", ["x"]),
    ],
)
def test_faults_of_an_event(qq: QqCaller, kind: str, heard: list[str | None]) -> None:
    """Doubled, delayed, swallowed and strange events; strange ones come beside the true one, never instead."""
    qq.world.add_fault(Fault(kind=kind, call="qq.dispatch", times=1, delay_s=5), qq.now_ms)  # type: ignore[arg-type]
    qq.world.qq.say("Ann", "x", qq.now_ms)
    assert heard == [text for _, text in events(qq.read())]
    if kind == "late":
        qq.world.qq.say("Ann", "y", qq.now_ms)
        qq.later(5)
        assert ["y", "x"] == [text for _, text in events(qq.read())]


def test_a_fault_that_fits_no_such_frame_is_refused() -> None:
    """A script with a kind in the wrong place would silently do nothing."""
    with pytest.raises(ValueError, match=r"does not befall `qq\.hello`"):
        Fault(kind="double", call="qq.hello")
    for kind in ("mute", "ghost"):
        with pytest.raises(ValueError, match="does not befall `sendmessage`"):
            Fault(kind=kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "wire"), [("hang", "hang"), ("lost_answer", "hang"), ("slow", "normal"), ("cut", "cut")]
)
def test_a_struck_upgrade_is_no_connection(qq: QqCaller, kind: str, wire: str) -> None:
    """Whatever befalls it: the client has no socket, and the server knows of none."""
    before = len(qq.world.qq.lines())
    qq.world.add_fault(Fault(kind=kind, call="qq.socket"), NOW)  # type: ignore[arg-type]
    answer = qq.world.qq.connect(SimRequest.of("GET", "ws://sim.test/websocket"), NOW)
    assert isinstance(answer, SimReply)
    assert wire == answer.wire.kind
    assert before == len(qq.world.qq.lines())


@pytest.mark.parametrize(
    ("fault", "told", "ends"),
    [
        (Fault(kind="silence", call="qq.hello"), [], []),
        (Fault(kind="close", call="qq.hello", code=1001), [], [1001]),
        (Fault(kind="absurd_interval", call="qq.hello", value=-1), [-1], []),
        (Fault(kind="absurd_interval", call="qq.hello", value="soon"), ["soon"], []),
        (Fault(kind="not_json", call="qq.hello"), [None, 41_250], []),
    ],
)
def test_faults_of_a_hello(world: World, ann: str, fault: Fault, told: list[object], ends: list[int]) -> None:
    """The first frame may be missing, late, absurd, or not the first."""
    client = QqCaller(world, world.qq.add_bot("Echo"))
    client.get_token()
    world.add_fault(fault, NOW)
    client.connect()
    assert told == [frame.get("d", {}).get("heartbeat_interval") for frame in client.read()]
    assert ends == client.ends


def test_a_hello_can_be_late(world: World, ann: str) -> None:
    """Later than a client should wait."""
    client = QqCaller(world, world.qq.add_bot("Echo"))
    client.get_token()
    world.add_fault(Fault(kind="slow", call="qq.hello", delay_s=30), NOW)
    client.connect()
    assert [] == client.read()
    client.later(30)
    assert [10] == [frame["op"] for frame in client.read()]


@pytest.mark.parametrize(
    ("fault", "told", "ends"),
    [
        (Fault(kind="silence", call="qq.identify"), [], []),
        (Fault(kind="close", call="qq.identify", code=4903, reason="create session error"), [], [4903]),
        (Fault(kind="invalid_session", call="qq.identify", code=4903), [9], [4903]),
        (Fault(kind="invalid_session", call="qq.identify"), [9], []),
        (Fault(kind="accept_close", call="qq.identify", code=1000), [0], [1000]),
        (Fault(kind="mute", call="qq.identify"), [], []),
    ],
)
def test_faults_of_an_identify(
    world: World, ann: str, fault: Fault, told: list[int], ends: list[int]
) -> None:
    """4903 with and without op 9, no answer, and an answer that is taken back at once."""
    client = QqCaller(world, world.qq.add_bot("Echo"))
    world.add_fault(fault, NOW)
    assert told == [frame["op"] for frame in client.identify()]
    assert ends == client.ends
    assert not world.qq.online("Echo")


def test_after_an_op_9_the_same_connection_may_identify(qq: QqCaller) -> None:
    """Some clients do not reconnect for it."""
    qq.world.qq.invalidate("Echo", qq.now_ms)
    assert [9] == [frame["op"] for frame in qq.read()]
    qq.world.qq.say("Ann", "lost", qq.now_ms)
    qq.put({"op": 2, "d": {"token": f"QQBot {qq.token}", "intents": 1 << 25, "shard": [0, 1]}})
    assert ["READY"] == [frame["t"] for frame in qq.read()]


def test_acknowledgements_can_be_missing_or_late(qq: QqCaller) -> None:
    """The connection is alive, and does not look so."""
    qq.world.add_fault(Fault(kind="silence", call="qq.heartbeat", times=1), NOW)
    qq.world.add_fault(Fault(kind="slow", call="qq.heartbeat", times=1, delay_s=20), NOW)
    assert [] == qq.beat()
    assert [] == qq.beat()
    qq.later(20)
    assert [{"op": 11}] == qq.read()
    qq.world.qq.say("Ann", "still here", qq.now_ms)
    assert [("C2C_MESSAGE_CREATE", "still here")] == events(qq.read())


@pytest.mark.parametrize(
    ("how", "ops", "ends"),
    [
        ("op7", [7], [4009]),
        ("4009", [], [4009]),
        ("op7 only", [7], []),
        ("1000", [], [1000]),
        ("1005", [], [1005]),
        ("1006", [], [1006]),
        ("never", [], []),
    ],
)
def test_a_connection_is_recycled_in_many_ways(
    world: World, ann: str, how: str, ops: list[int], ends: list[int]
) -> None:
    """A test need not wait half an hour for any of them."""
    world.turn(qq={"recycle": how, "recycle_s": 20})
    client = QqCaller(world, world.qq.add_bot("Echo"))
    client.identify()
    client.later(22)
    assert ops == [frame["op"] for frame in client.read()]
    assert ends == client.ends


def test_the_gateways_address_can_fail_for_hours(qq: QqCaller) -> None:
    """The seed of many reports: four hours of 500, and then it works."""
    qq.world.add_fault(Fault(kind="status", call="qq.gateway*", status=500, between_s=(0, 14_400)), NOW)
    for hour in range(4):
        qq.now_ms = NOW + hour * 3_600_000
        assert (500, 500) == (qq.reply("GET", "/gateway").status, qq.reply("GET", "/gateway/bot").status)
    qq.now_ms = NOW + 14_400_000
    qq.get_token()
    assert 200 == qq.reply("GET", "/gateway").status


def test_no_more_is_kept_than_the_buffer_holds(world: World, ann: str) -> None:
    """The oldest events of a long absence are gone; the newest come."""
    world.turn(qq={"buffer": 3})
    client = QqCaller(world, world.qq.add_bot("Echo"))
    client.identify()
    world.qq.close("Echo", 4009, NOW)
    for number in range(5):
        world.qq.say(ann, f"word {number}", NOW)
    assert ["word 2", "word 3", "word 4"] == [text for _, text in events(client.resume())]


def test_a_session_ages(qq: QqCaller) -> None:
    """After a day without a connection nobody knows it any more."""
    qq.world.qq.close("Echo", 4009, qq.now_ms)
    qq.read()
    qq.later(86_401)
    qq.get_token()
    assert [9] == [frame["op"] for frame in qq.resume()]


def test_a_half_open_connection_is_believed_in_until_heartbeats_are_missed(qq: QqCaller) -> None:
    """The client's goodbye does not arrive either."""
    assert qq.line is not None
    qq.world.qq.mute("Echo", qq.now_ms)
    qq.line.hang_up(qq.now_ms)
    assert qq.world.qq.state.online(qq.bot.app_id)
    qq.later(83)
    assert not qq.world.qq.state.online(qq.bot.app_id)
    assert ["4009 Session timed out"] == [row.detail for row in qq.world.ledger.select("qq.close")]
    assert ["RESUMED"] == [frame["t"] for frame in qq.resume()]


def test_the_same_seed_tells_the_same_story() -> None:
    """Tokens, ids, faults: a run can be repeated."""

    def story(seed: int) -> list[object]:
        world = World(seed)
        world.add_user("Ann")
        world.add_fault(Fault(kind="double", call="qq.dispatch", probability=0.5), NOW)
        client = QqCaller(world, world.qq.add_bot("Echo"))
        client.identify()
        ids = [world.qq.say("Ann", f"{number}", NOW) for number in range(20)]
        client.read()
        client.c2c("Ann", "x", msg_id=ids[-1])
        return [client.token, ids, client.frames, list(world.ledger)]

    assert story(7) == story(7)
    assert story(7) != story(8)
