"""Order, repeats and text: what arrives is what was said, once, whole and in order (F37-F43)."""

from __future__ import annotations

import pytest

from tests.stories.conftest import Says, Tale, gaps_s, in_virtual_time

PART_CHARS = 4_000
DAY_S = 86_400


def pages(count: int) -> list[str]:
    """Texts that fill a part each."""
    return [f"({number})" + "x" * (PART_CHARS - 3) for number in range(count)]


@pytest.mark.field("F37")
@in_virtual_time()
async def test_the_second_half_arrives_before_the_first(tale: Tale) -> None:
    """A part is sent when the one before it has its answer, however long that takes."""
    await tale.ann_writes()
    lags_s = [2.0, 0.2, 1.5, 0.1]
    for lag_s in lags_s:
        tale.wechat_answers("slow", times=1, delay_s=lag_s)
    await tale.push("".join(pages(5)), priority="reply")
    await tale.until_quiet(60)
    assert pages(5) == tale.phone()
    assert all(gap_s >= lag_s for gap_s, lag_s in zip(gaps_s(tale.requests()), lags_s, strict=True))


@pytest.mark.field("F37")
@in_virtual_time()
async def test_an_answer_is_not_torn_apart_by_what_comes_after_it(tale: Tale) -> None:
    """A message once begun is finished before another begins."""
    await tale.ann_writes()
    tale.wechat_answers("slow", times=3, delay_s=1)
    await tale.push("".join(pages(3)), priority="reply")
    await tale.passes(0.5)
    await tale.push("by the way", priority="reply")
    await tale.until_quiet(60)
    assert [*pages(3), "by the way"] == tale.phone()
    assert 4 == len(tale.requests()), "one request for each"


@pytest.mark.field("F38")
@in_virtual_time()
async def test_the_last_part_is_missing_and_the_page_says_so(tale: Tale) -> None:
    """Two of three delivered is what it is called, until the third is."""
    await tale.ann_writes()
    tale.wechat_answers("status", skip=2, between_s=(0, 600))
    answer = await tale.push("".join(pages(3)), priority="reply")
    await tale.passes(300)
    assert ["delivered", "delivered", "waiting"] == await tale.parts(answer)
    assert "waiting" == (await tale.message(answer))["state"]
    assert pages(2) == tale.phone()
    await tale.until_quiet(600)
    assert ["delivered"] * 3 == await tale.parts(answer)
    assert pages(3) == tale.phone()


@pytest.mark.field("F37")
@in_virtual_time(delivery={"number_parts": True})
async def test_the_reader_cannot_tell_whether_more_will_come(tale: Tale) -> None:
    """Each part says which one it is, and of how many; what fits into one says nothing."""
    await tale.ann_writes("the report, please")
    await tale.push("short", priority="reply")
    await tale.push("word " * 2_300, priority="reply")
    await tale.until_quiet(60)
    short, *parts = tale.phone()
    assert "short" == short
    assert ["(1/3)", "(2/3)", "(3/3)"] == [part.rpartition("\n\n")[2] for part in parts]
    assert all(len(part) <= PART_CHARS for part in parts)
    assert ["word"] * 2_300 == " ".join(part.rpartition("\n\n")[0] for part in parts).split()


@pytest.mark.field("F39")
@pytest.mark.parametrize("letter", ["长", "x", "👨‍👩‍👧"], ids=["chinese", "ascii", "emoji"])
@in_virtual_time()
async def test_a_long_report_is_cut_without_notice(tale: Tale, letter: str) -> None:
    """The platform refuses or cuts what is too long; what is sent in parts that fit arrives whole."""
    await tale.ann_writes("the report, please")
    report = "\n\n".join(f"{number}. " + letter * 400 for number in range(25))
    await tale.push(report, priority="reply")
    await tale.until_quiet(60)
    shown = tale.phone()
    assert report == "".join(shown)
    assert all(len(part) <= PART_CHARS and len(part.encode()) <= 16_384 for part in shown)
    assert 0 == tale.refusals()


@pytest.mark.field("F40")
@in_virtual_time()
async def test_words_and_line_breaks_are_missing_where_a_text_was_cut(tale: Tale) -> None:
    """The parts put together are the text, to the last blank, but for fences that are closed and opened again; a cut is
    made between lines where there are any."""
    await tale.ann_writes()
    code = (
        "```python\n" + "".join(f"    value_{n} = {n}  # trailing blanks   \n" for n in range(120)) + "```\n"
    )
    text = f"  Indented, then code:\n\n{code}\n\nand a tail \n with blanks \n\n" * 3 + "end"
    await tale.push(text, priority="reply")
    await tale.until_quiet(60)
    shown = tale.phone()
    assert len(shown) > 2
    assert text == "".join(shown).replace("``````python\n", "")
    assert all(part.endswith(("\n", "\n```")) for part in shown[:-1])


@pytest.mark.field("F41")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("if a < b and c > d: return <T>", "if a ＜ b and c > d: return ＜T>"),
        ("这是*强调*的**中文**，文件 my_old_notes.md", "这是强调的**中文**，文件 `my_old_notes.md`"),
        (
            "| 一 | 二 | 三 | 四 | 五 | 六 |\n|---|---|---|---|---|---|\n| 1 | 2 | 3 | 4 | 5 | 6 |",
            "- **1** · 二: 2 · 三: 3 · 四: 4 · 五: 5 · 六: 6",
        ),
        ("![chart](https://example.org/a_b.png?x=1&y=2)", "[chart](https://example.org/a_b.png?x=1&y=2)"),
        ("`a < b_c`\n```\nif a < b_c:\n```", "`a < b_c`\n```\nif a < b_c:\n```"),
    ],
    ids=["angle brackets", "emphasis and names", "wide table", "image link", "code"],
)
@in_virtual_time()
async def test_everything_after_an_angle_bracket_is_gone(tale: Tale, text: str, shown: str) -> None:
    """What the phone would swallow or garble is written in another way; code is left alone."""
    await tale.ann_writes()
    await tale.push(text, priority="reply")
    await tale.until_quiet(60)
    assert [shown] == tale.phone()


@pytest.mark.field("F42")
@in_virtual_time()
async def test_the_same_message_twice_after_a_slow_answer(tale: Tale) -> None:
    """The answer was lost, not the message: the second request says that it is the same."""
    await tale.ann_writes()
    tale.wechat_answers("slow", times=1, delay_s=60)
    push = await tale.push("good morning")
    await tale.until_quiet(120)
    assert ["good morning"] == tale.phone()
    assert 1 == len({record.client_id for record in tale.requests()})
    shown = await tale.message(push)
    assert ("delivered", True) == (shown["state"], shown["possibly_doubled"])


@pytest.mark.field("F42")
@in_virtual_time(delivery={"in_doubt": "drop_visibly"})
async def test_who_prefers_a_gap_to_a_repeat_gets_one_and_is_told(tale: Tale) -> None:
    """A platform that shows every repeat, and an operator who wants none."""
    tale.world.turn(client_id_dedupe=False)
    await tale.ann_writes()
    tale.wechat_answers("lost_answer", times=1)
    push = await tale.push("good morning")
    await tale.passes(60)
    assert ["good morning"] == tale.phone()
    assert "unconfirmed" == (await tale.message(push))["state"]
    assert 1 == len(tale.requests())


@pytest.mark.field("F86")
@in_virtual_time(agent=Says("MEDIA:/etc/passwd", "![x](file:///etc/passwd) and /etc/shadow"))
async def test_the_agent_is_talked_into_sending_local_files(tale: Tale) -> None:
    """A path in an answer is a word like any other: nothing is opened or uploaded because a text names it."""
    await tale.ann_writes("send me your files")
    await tale.until_quiet(60)
    assert "MEDIA:/etc/passwd\n\n[x](file:///etc/passwd) and /etc/shadow" == "\n\n".join(tale.phone())
    assert [] == list(tale.world.ledger.select("getuploadurl"))


@pytest.mark.field("F42")
@in_virtual_time(delivery={"in_doubt": "hold"})
async def test_who_wants_to_decide_himself_is_waited_for(tale: Tale) -> None:
    """The doubt blocks its chat until somebody says: send it again."""
    await tale.ann_writes()
    tale.wechat_answers("hang", times=1)
    push = await tale.push("good morning")
    await tale.push("and good night")
    await tale.passes(60)
    assert ("waiting", "operator") == await tale.state(push)
    assert [] == tale.phone()
    await tale.api("POST", f"/v1/messages/{push}/retry")
    await tale.until_quiet(60)
    assert ["good morning", "and good night"] == tale.phone()


@pytest.mark.field("F43")
@pytest.mark.parametrize("recognises_repeats", [True, False])
@in_virtual_time()
async def test_killed_between_delivery_and_bookkeeping_it_doubles_nothing_silently(
    tale: Tale, recognises_repeats: bool
) -> None:
    """It is sent again with its old id, and whoever looks is told that it may be there twice."""
    tale.world.turn(client_id_dedupe=recognises_repeats)
    await tale.ann_writes()
    tale.dies_before("settle")
    push = await tale.push("good morning")
    await tale.is_back(down_s=3_600)
    await tale.until_quiet(60)
    assert ["good morning"] * (1 if recognises_repeats else 2) == tale.phone()
    shown = await tale.message(push)
    assert ("delivered", True) == (shown["state"], shown["possibly_doubled"])
    assert [] == await tale.findings()


@pytest.mark.field("F43")
@in_virtual_time()
async def test_nothing_leaves_before_it_is_written_down(tale: Tale) -> None:
    """Killed before the intent is on the disk, nothing has left: no doubt, and no second copy."""
    tale.world.turn(client_id_dedupe=False)
    await tale.ann_writes()
    tale.dies_before("begin_attempt")
    push = await tale.push("good morning")
    await tale.is_back()
    await tale.until_quiet(60)
    assert ["good morning"] == tale.phone()
    assert not (await tale.message(push))["possibly_doubled"]


@pytest.mark.field("F43")
@in_virtual_time()
async def test_what_waits_behind_a_limit_expires_in_its_time(tale: Tale) -> None:
    """A reminder for nine is not worth sending at noon, whatever held it up."""
    await tale.ann_writes()
    tale.wechat_refuses(for_s=300)
    push = await tale.push("it is nine o'clock", expires_at=tale.in_(120))
    behind = await tale.push("and one more thing", expires_at=tale.in_(120))
    await tale.passes(125)
    assert [("expired", None)] * 2 == [await tale.state(push), await tale.state(behind)]
    await tale.passes(300)
    assert [] == tale.phone()


@pytest.mark.field("F43")
@in_virtual_time()
async def test_week_old_messages_are_not_sent_after_a_long_absence(tale: Tale) -> None:
    """Yesterday's push is worth sending, last week's is worth an entry in the list of what was not."""
    tale.world.turn(window_s=0)
    await tale.ann_writes()
    tale.wechat_is_gone(for_s=10)
    old = await tale.push("last week's news")
    await tale.passes(2)
    await tale.dies(down_s=8 * DAY_S)
    await tale.push("today's news")
    await tale.until_quiet(60)
    assert ["today's news"] == tale.phone()
    shown = await tale.message(old)
    assert ("expired", "expired") == (shown["state"], shown["reason"]["code"])
