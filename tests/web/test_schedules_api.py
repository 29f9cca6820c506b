"""/v1/schedules as a program sees it; what they do over time is in tests/stories/test_schedules.py."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from tests.web.conftest import ACCOUNT, CHAT, SetClock, Station, problem_name
from yizhan.core.contract import parse_time, time_text
from yizhan.core.schedule import plan
from yizhan.model import Schedule, ScheduleId
from yizhan.ports import Firing
from yizhan.runtime.views import ScheduleWish
from yizhan.web import shapes

TARGET = f"{ACCOUNT}:{CHAT}"
BODY = {"when": "0 9 * * *", "zone": "Asia/Shanghai", "to": [TARGET], "text": "good morning"}
PATH = "/v1/schedules"


async def _added(station: Station, **more: Any) -> dict[str, Any]:
    answer = await station.client.post(PATH, json=BODY | more)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def test_a_schedule_is_added_shown_changed_and_removed(station: Station) -> None:
    """Its life, in the shapes of the contract."""
    await station.with_account()
    short = TARGET.replace(f"{ACCOUNT}", "weixin")
    made = await _added(station, to=[TARGET, short], name="晨报", jitter_s=1.5, expires_after_s=60)
    shapes.Schedule.model_validate(made)
    assert ([TARGET], "active", 1.5, 60.0) == (
        made["to"],
        made["state"],
        made["jitter_s"],
        made["expires_after_s"],
    )
    assert made["next_due_at"].endswith("T01:00:00.000Z"), "nine in Shanghai"
    path = f"{PATH}/{made['id']}"
    assert made == (await station.client.get(path)).json()
    assert [made] == (await station.client.get(PATH)).json()["items"]
    changed = (await station.client.patch(path, json={"expires_after_s": None, "name": ""})).json()
    assert (None, "", made["next_due_at"]) == (
        changed["expires_after_s"],
        changed["name"],
        changed["next_due_at"],
    )
    assert 204 == (await station.client.delete(path)).status_code
    for method in ("GET", "DELETE"):
        answer = await station.client.request(method, path)
        assert (404, "unknown-schedule") == (answer.status_code, problem_name(answer))


async def test_a_text_mended_at_the_moment_of_a_run_does_not_cost_the_run(station: Station) -> None:
    """A form sends the times with the text. Only who asks for other times takes back what is due."""
    await station.with_account()
    clock = station.gateway.clock
    assert isinstance(clock, SetClock)
    made = await _added(station, when="every 1h", jitter_s=600)
    path = f"{PATH}/{made['id']}"
    clock.ahead_ms = 3_600_000
    mended = {"text": "good day", "when": "every 1h", "zone": made["zone"], "jitter_s": 600, "ends_at": None}
    assert made["next_due_at"] == (await station.client.patch(path, json=mended)).json()["next_due_at"]
    other = await station.client.patch(path, json={"when": "every 2h"})
    assert made["next_due_at"] < other.json()["next_due_at"]


async def test_two_presses_of_the_console_s_button_add_one_schedule(station: Station) -> None:
    """Two would say everything twice, day after day."""
    await station.with_account()
    schedules = station.gateway.schedules
    wish, once = ScheduleWish(when="every 1h", to=(TARGET,), text="hi"), schedules.new_id()
    one, other = await asyncio.gather(schedules.add(wish, once), schedules.add(wish, once))
    assert one == other
    assert [once] == [each.id for each in (await schedules.page(None, 50)).rows]


async def test_a_run_shows_its_messages(station: Station) -> None:
    """Also of a schedule that rests."""
    await station.with_account()
    path = f"{PATH}/{(await _added(station, paused=True))['id']}"
    ran = await station.client.post(f"{path}/run", headers={"Idempotency-Key": "k"})
    assert 202 == ran.status_code
    shapes.Run.model_validate(ran.json())
    assert [TARGET] == [message["to"] for message in ran.json()["messages"]]
    page = (await station.client.get(f"{path}/runs")).json()
    shapes.RunPage.model_validate(page)
    assert [ran.json()["id"]] == [run["id"] for run in page["items"]]
    answer = await station.client.post(f"{path}/run", headers={"Idempotency-Key": "x" * 256})
    assert (422, "invalid-request") == (answer.status_code, problem_name(answer))


async def test_the_next_five_times_are_shown_of_what_one_types(station: Station) -> None:
    """Before anything is written down."""
    answer = await station.client.post(f"{PATH}/preview", json={"when": "every 90m"})
    due = [parse_time(text) for text in answer.json()["due"]]
    assert [90 * 60_000] * 4 == [late - early for early, late in pairwise(due)]
    assert "UTC" == answer.json()["zone"]
    whole = (await station.client.post(f"{PATH}/preview", json={"when": "0 0 1 1 *"})).json()["due"]
    ending = {"when": "0 0 1 1 *", "ends_at": whole[1]}
    assert whole[:2] == (await station.client.post(f"{PATH}/preview", json=ending)).json()["due"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"when": "61 * * * *"}, 422, "bad minute"),
        ({"when": "every 10s"}, 422, "too often"),
        ({"when": "at 2020-01-01T00:00"}, 422, "no time to come"),
        ({"when": ""}, 422, "when must"),
        ({"when": 5}, 422, "when must"),
        ({"zone": "Mars/Olympus"}, 422, "no time zone"),
        ({"to": []}, 422, "to must"),
        ({"to": TARGET}, 422, "to must"),
        ({"to": ["weixin:nobody@im.bot:x@im.wechat"]}, 404, "no account"),
        ({"to": ["nonsense"]}, 422, "not a target"),
        ({"text": "\x00\x01"}, 422, "empty"),
        ({"text": "hi", "prompt": "what?"}, 422, "Both"),
        ({"text": "x" * 100_001}, 413, "characters"),
        ({"missed": "never"}, 422, "missed must"),
        ({"missed_most": 0}, 422, "missed_most must"),
        ({"jitter_s": 3601}, 422, "jitter_s must"),
        ({"expires_after_s": 0}, 422, "expires_after_s must"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, 422, "ends_at is over"),
        ({"ends_at": "tomorrow"}, 422, "ends_at is not a time"),
        ({"ends_at": "2999-01-01T00:00:00"}, 422, "ends_at is not a time"),
        ({"colour": "red"}, 422, "colour"),
        ({"paused": "yes"}, 422, "paused must"),
    ],
)
async def test_what_cannot_be_is_refused_with_what_to_change(
    station: Station, change: dict[str, Any], status: int, words: str
) -> None:
    """Adding and changing alike, and nothing is half-changed."""
    await station.with_account()
    made = await _added(station)
    path = f"{PATH}/{made['id']}"
    for answer in (
        await station.client.post(PATH, json=BODY | change),
        await station.client.patch(path, json=change),
    ):
        assert status == answer.status_code, answer.text
        assert words in answer.json()["detail"], answer.text
        assert answer.json()["fix"]
    assert made == (await station.client.get(path)).json()


async def test_one_of_text_and_prompt_is_needed_and_a_prompt_needs_somebody(station: Station) -> None:
    """Nobody answers at this station."""
    await station.with_account()
    bare = {name: value for name, value in BODY.items() if name != "text"}
    answer = await station.client.post(PATH, json=bare)
    assert (422, True) == (answer.status_code, "what to say" in answer.json()["detail"])
    answer = await station.client.post(PATH, json=bare | {"prompt": "what is new?"})
    assert (422, True) == (answer.status_code, "Nobody answers" in answer.json()["detail"])


async def test_what_is_never_due_is_refused(station: Station) -> None:
    """An end before the first time is a mistake, not a schedule."""
    await station.with_account()
    body = BODY | {"when": "0 0 29 2 *", "ends_at": "2027-06-01T00:00:00Z"}
    answer = await station.client.post(PATH, json=body)
    assert (422, True) == (answer.status_code, "never due" in answer.json()["detail"])
    made = await _added(station)
    answer = await station.client.patch(f"{PATH}/{made['id']}", json={})
    assert (422, True) == (answer.status_code, "Nothing" in answer.json()["detail"])


@pytest.mark.parametrize("when", ["30m", "at 18:00", "every 20m"])
async def test_a_schedule_that_is_over_begins_anew_when_its_time_is_given_again(
    station: Station, when: str
) -> None:
    """Its old words are enough; a new text alone wakes nothing."""
    await station.with_account()
    clock = station.gateway.clock
    assert isinstance(clock, SetClock)
    ends_at = time_text(clock.now_ms() + 1_800_000) if when.startswith("every") else None
    path = f"{PATH}/{(await _added(station, when=when, ends_at=ends_at))['id']}"
    await _is_over(station, path)
    assert "ended" == (await station.client.patch(path, json={"text": "good day"})).json()["state"]
    change: dict[str, Any] = {"when": when}
    if ends_at:
        refused = await station.client.patch(path, json=change)
        assert (422, True) == (refused.status_code, "ends_at" in refused.json()["fix"])
        change |= {"ends_at": None}
    again = await station.client.patch(path, json=change)
    assert (200, "active") == (again.status_code, again.json()["state"]), again.text
    assert clock.now_ms() < parse_time(again.json()["next_due_at"]) <= clock.now_ms() + 86_400_000


@pytest.mark.parametrize("when", ["30m", "at 18:00", "every 20m"])
@pytest.mark.parametrize("first", [True, False])
async def test_pausing_and_resuming_repeats_nothing(station: Station, when: str, first: bool) -> None:
    """Who paused everything for a holiday and resumed it was sent last month's reminders once more; so was who repeated
    a resume whose answer was lost. `first`: it is paused before its time is over."""
    await station.with_account()
    clock = station.gateway.clock
    assert isinstance(clock, SetClock)
    ends_at = time_text(clock.now_ms() + 1_800_000) if when.startswith("every") else None
    path = f"{PATH}/{(await _added(station, when=when, ends_at=ends_at))['id']}"
    if first:
        assert "paused" == (await station.client.patch(path, json={"paused": True})).json()["state"]
    await _is_over(station, path)
    for paused in (True, False, False):
        answer = await station.client.patch(path, json={"paused": paused})
        assert (200, None) == (answer.status_code, answer.json()["next_due_at"]), answer.text
    assert "ended" == answer.json()["state"]


async def test_a_day_that_is_over_is_refused_until_another_is_given(station: Station) -> None:
    """There is nothing to count from anew."""
    await station.with_account()
    clock = station.gateway.clock
    assert isinstance(clock, SetClock)
    today_ms = clock.now_ms() // 1_000 * 1_000
    day, later = (time_text(today_ms + days * 86_400_000) for days in (1, 9))
    path = f"{PATH}/{(await _added(station, when=f'at {day}'))['id']}"
    await _is_over(station, path, 2 * 86_400_000)
    refused = await station.client.patch(path, json={"when": f"at {day}"})
    assert (422, True) == (refused.status_code, "no time to come" in refused.json()["detail"])
    again = await station.client.patch(path, json={"when": f"at {later}"})
    assert ("active", later) == (again.json()["state"], again.json()["next_due_at"])


async def test_one_that_ends_while_its_text_is_mended_stays_over(station: Station) -> None:
    """A form sends the time with the text; nobody has asked for another run."""
    await station.with_account()
    path = f"{PATH}/{(await _added(station, when='30m'))['id']}"
    store, schedule = station.gateway.store, ScheduleId(path.rpartition("/")[2])
    before = await store.schedule(schedule)
    reads = iter([before])

    async def read(name: ScheduleId) -> Schedule:
        for early in reads:
            await _is_over(station, path)
            return early
        return await real(name)

    real, store.schedule = store.schedule, read  # type: ignore[method-assign]
    answer = await station.client.patch(path, json={"text": "good day", "when": "30m"})
    assert (422, True) == (answer.status_code, "never due any more" in answer.json()["detail"])
    assert None is (await real(schedule)).next_due_ms


async def _is_over(station: Station, path: str, after_ms: int = 86_400_000) -> None:
    """All that was due has run."""
    clock, store = station.gateway.clock, station.gateway.store
    assert isinstance(clock, SetClock)
    clock.ahead_ms += after_ms
    for schedule in await store.due_schedules(clock.now_ms(), 10):
        await store.fire([Firing(plan(schedule, clock.now_ms()).following)])
