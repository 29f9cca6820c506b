"""What a reply to a send means: every sentence the platform ever said, and every odd thing it might say."""

from __future__ import annotations

import itertools
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from yizhan.core.verdict import (
    Deferred,
    Delivered,
    Ghost,
    InDoubt,
    Rejected,
    StaleToken,
    Throttled,
    Verdict,
    name_of,
)
from yizhan.platforms.ilink.judging import classify
from yizhan.platforms.ilink.policy import HINT_MAX_MS, TEXT_LIMIT_BYTES
from yizhan.ports import Absence, AbsenceKind, Answer, Evidence

SAMPLES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "samples.yaml").read_text())
VERDICTS = Delivered | Ghost | InDoubt | Throttled | StaleToken | Deferred | Rejected


def judge(
    body: str | bytes,
    status: int = 200,
    *,
    with_token: bool = True,
    gives_receipts: bool = True,
    text_bytes: int = 20,
    headers: dict[str, str] | None = None,
    **known: Any,
) -> Verdict:
    raw = body.encode() if isinstance(body, str) else body
    evidence = Evidence(with_token, gives_receipts, text_bytes, **known)
    return classify(Answer(status, headers or {}, raw), evidence)


def in_short(verdict: Verdict) -> str:
    """The verdict as samples.yaml writes it."""
    match verdict:
        case Delivered(receipt):
            return f"Delivered {receipt}"
        case Ghost(alarming):
            return f"Ghost {'loud' if alarming else 'quiet'}"
        case Throttled(token_suspect=suspect):
            return f"Throttled {'suspect' if suspect else 'plain'}"
        case _:
            return name_of(verdict)


def cases() -> list[Any]:
    """Every sentence under every kind of evidence: token or none, receipts before or never, small text or too large."""
    made = []
    for sample in SAMPLES:
        histories = [sample["receipts"]] if "receipts" in sample else [True, False]
        columns = itertools.product((True, False), histories, (False, True))
        for with_token, gives_receipts, large in columns:
            expected = sample["with"] if with_token else sample.get("without", sample["with"])
            expected = sample.get("large", expected) if large else expected
            name = f"{sample.get('status', 200)} {sample['body'][:50]}"
            name += f" token={with_token} receipts={gives_receipts} large={large}"
            made.append(pytest.param(sample, with_token, gives_receipts, large, expected, id=name))
    return made


@pytest.mark.parametrize(("sample", "with_token", "gives_receipts", "large", "expected"), cases())
def test_recorded_sentence_means(
    sample: dict[str, Any], with_token: bool, gives_receipts: bool, large: bool, expected: str
) -> None:
    """A misjudged reply is a lost message or a lie; so each sentence has its row, with its source."""
    verdict = judge(
        sample["body"],
        sample.get("status", 200),
        with_token=with_token,
        gives_receipts=gives_receipts,
        text_bytes=TEXT_LIMIT_BYTES + 1 if large else TEXT_LIMIT_BYTES,
    )
    assert expected == in_short(verdict)


def test_every_sample_names_its_source() -> None:
    """A row without a source cannot be corrected when the platform changes."""
    assert [] == [sample for sample in SAMPLES if not sample.get("source")]


ODD = {
    "null": "null",
    "list": "[]",
    "list of success": '[{"message_id":7}]',
    "number": "7",
    "text": '"ok"',
    "code as text": '{"ret":"-2"}',
    "zero as text, with id": '{"ret":"0","message_id":7}',
    "code as float": '{"ret":-2.0}',
    "zero as float, with id": '{"ret":0.0,"message_id":7}',
    "code as bool, with id": '{"ret":false,"message_id":7}',
    "code as list, with id": '{"errcode":[],"message_id":7}',
    "code beyond 64 bits": '{"ret":' + "9" * 400 + "}",
    "number of 100,000 digits": '{"message_id":' + "9" * 100_000 + "}",
    "code not a number": '{"ret":NaN,"message_id":7}',
    "code infinite": '{"ret":1e999,"message_id":7}',
    "id as float": '{"message_id":7.498796439671022e18}',
    "id as bool": '{"ret":0,"message_id":true}',
    "id as list": '{"message_id":[7]}',
    "id nested": '{"message_id":{"id":7}}',
    "id negative": '{"message_id":-7}',
    "id beyond 64 bits": '{"message_id":18446744073709551616}',
    "id blank": '{"message_id":"  "}',
    "id endless": '{"message_id":"' + "7" * 500 + '"}',
    "answer nested in another": '{"data":{"message_id":7}}',
    "code said twice": '{"ret":-2,"ret":0,"message_id":7}',
    "id said twice": '{"message_id":7,"message_id":8}',
    "unknown success": '{"ok":true}',
    "words without a code": '{"errmsg":"something is wrong"}',
    "truncated": '{"message_id":74987',
    "two answers": '{"message_id":7}{"ret":-2}',
    "html": "<html>hello</html>",
    "not utf-8": b'{"message_id":"\xff\xfe"}',
    "byte order mark": b'\xef\xbb\xbf{"message_id":7}',
    "utf-16": '{"message_id":7}'.encode("utf-16"),
    "nul": b"\x00",
    "a million pieces": '{"message_id":7,"a":[' + "{}," * 1_000_000 + "{}]}",
    "lists 10,000 deep": "[" * 10_000 + "]" * 10_000,
    "objects 10,000 deep": '{"a":' * 10_000 + "1" + "}" * 10_000,
    "deep inside a success": '{"message_id":7,"a":' + "[" * 10_000 + "]" * 10_000 + "}",
}


@pytest.mark.parametrize("status", [200, 201, 299])
@pytest.mark.parametrize("gives_receipts", [True, False])
@pytest.mark.parametrize("body", ODD.values(), ids=ODD.keys())
def test_odd_body_is_a_doubt(body: str | bytes, gives_receipts: bool, status: int) -> None:
    """Unknown is neither success nor refusal: the part goes again under its id."""
    verdict = judge(body, status, gives_receipts=gives_receipts)
    assert isinstance(verdict, InDoubt)
    assert verdict.text


def test_connection_that_failed_is_free() -> None:
    """No byte left: the try costs nothing and nothing can be doubled."""
    verdict = classify(Absence(AbsenceKind.NOT_SENT, "host: refused"), Evidence(True, True, 1))
    assert Deferred("not_sent", "host: refused") == verdict


def test_lost_answer_is_a_doubt() -> None:
    """The request left; it may be on the screen."""
    verdict = classify(Absence(AbsenceKind.NO_ANSWER, "host: reset"), Evidence(True, True, 1))
    assert InDoubt("no_answer", "host: reset") == verdict


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, ""),
        ({"token_sends": 9, "token_age_ms": 1_000}, ""),
        (
            {"token_sends": 10, "token_age_ms": 1_000},
            "; 10 answers went out since the user last wrote, which is what WeChat allows",
        ),
        (
            {"token_sends": 1, "token_age_ms": 30 * 3_600_000},
            "; the user last wrote 30 hours ago, and WeChat allows answers for a day",
        ),
    ],
)
def test_refusal_says_what_the_token_s_use_and_age_make_likely(known: dict[str, int], words: str) -> None:
    """`prepare failed` alone told nobody whether to wait, to write first, or to look for a fault. The verdict stays
    the same: only trying tells."""
    verdict = judge('{"ret":-2,"errmsg":"prepare failed"}', **known)
    assert isinstance(verdict, Throttled)
    assert verdict.token_suspect
    assert f"prepare failed{words}" == verdict.text


HINTS = [
    ('{"ret":-2,"retry_after":30}', {}, 30_000),
    ('{"ret":-2,"retry_after":"30"}', {}, 30_000),
    ('{"ret":-2,"retry_after":1.5}', {}, 1_500),
    ('{"ret":-2,"retry_after_ms":1500}', {}, 1_500),
    ('{"ret":-2,"retry_after_ms":" 1500 "}', {}, 1_500),
    ('{"ret":-2,"retryAfter":3}', {}, 3_000),
    ('{"ret":-2}', {"Retry-After": "7"}, 7_000),
    ('{"ret":-2}', {"retry-after": "7"}, 7_000),
    (
        '{"ret":-2}',
        {"date": "Sat, 21 Nov 2026 08:00:00 GMT", "retry-after": "Sat, 21 Nov 2026 08:00:20 GMT"},
        20_000,
    ),
    (
        '{"ret":-2}',
        {"date": "Saturday, 21-Nov-26 08:00:00 GMT", "retry-after": "Sat Nov 21 08:00:20 2026"},
        20_000,
    ),
    (
        '{"ret":-2}',
        {"date": "Sat, 21 Nov 2026 08:00:20 GMT", "retry-after": "Sat, 21 Nov 2026 08:00:00 GMT"},
        None,
    ),
    ('{"ret":-2}', {"retry-after": "Sat, 21 Nov 2026 08:00:20 GMT"}, None),
    ('{"ret":-2}', {"retry-after": "Wed, 31 Feb 2026 25:61:00 GMT"}, None),
    ('{"ret":-2,"retryAfterMs":2500}', {}, 2_500),
    ('{"ret":-2,"data":{"retry_after":4}}', {}, 4_000),
    ('{"ret":-2,"error":{"retry_after_ms":"4000"}}', {}, 4_000),
    ('{"ret":-2,"data":[4],"error":"4"}', {}, None),
    ('{"ret":-2,"retry_after":1,"data":{"retry_after":4}}', {"retry-after": "9"}, 1_000),
    ('{"ret":-2,"retry_after":0}', {}, 0),
    ('{"ret":-2,"retry_after":-5}', {}, None),
    ('{"ret":-2}', {"retry-after": "-1"}, None),
    ('{"ret":-2}', {"retry-after": "NaN"}, None),
    ('{"ret":-2}', {"retry-after": "\udcff"}, None),
    ('{"ret":-2,"retry_after":999999999}', {}, 3_600_000),
    ('{"ret":-2,"retry_after":"soon"}', {"retry-after": "soon"}, None),
    ('{"ret":-2,"retry_after":true}', {}, None),
    ('{"ret":-2,"retry_after":[1]}', {}, None),
    ('{"ret":-2,"retry_after":1e999}', {}, None),
    ('{"ret":-2,"retry_after":' + "9" * 4_000 + "}", {}, None),
    ('{"ret":-2,"retry_after":"٣"}', {}, None),
    ('{"ret":-2,"retry_after":"x"}', {"retry-after": "9"}, 9_000),
]


@pytest.mark.parametrize(("body", "headers", "wait_ms"), HINTS, ids=[str(row[:2])[:70] for row in HINTS])
def test_hint_is_read_wherever_it_may_stand_and_clamped(
    body: str, headers: dict[str, str], wait_ms: int | None
) -> None:
    """Nobody has seen a hint from iLink yet; when one comes it is advice, never an order."""
    verdict = judge(body, headers=headers)
    assert isinstance(verdict, Throttled)
    assert wait_ms == verdict.wait_ms


def test_hint_that_is_a_date_is_read_by_our_clock_where_the_server_tells_no_time() -> None:
    """A proxy that strips the date must not cost the hint."""
    now_ms = int(datetime(2026, 11, 21, 8, 0, 0, tzinfo=UTC).timestamp() * 1_000)
    headers = {"retry-after": "Sat, 21 Nov 2026 08:00:20 GMT"}
    verdict = judge('{"ret":-2}', headers=headers, now_ms=now_ms)
    assert isinstance(verdict, Throttled)
    assert 20_000 == verdict.wait_ms


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ("", {"retry-after": "60"}),
        ("<h1>busy</h1>", {"retry-after": "60"}),
        ('{"retry_after":60}', {}),
        ('{"error":{"retry_after_ms":60000}}', {}),
    ],
)
def test_busy_server_s_word_about_when_to_come_back_is_read(
    status: int, body: str, headers: dict[str, str]
) -> None:
    """The two statuses for which HTTP itself has a word for waiting, with JSON or without."""
    verdict = judge(body, status, headers=headers)
    assert isinstance(verdict, Throttled if status == 429 else InDoubt)
    assert 60_000 == verdict.wait_ms


def test_words_shown_to_people_are_bounded_and_without_secrets() -> None:
    """A server that quotes our token back must not write it into the log."""
    words = (
        "bad token b0f5860fdecb@im.bot:060000aa11 or AARzJWAFAAABAAAAxyzAARzJWAFAAABAAAA\nnew line "
        + "x " * 999
    )
    verdict = judge(json.dumps({"ret": -2, "errmsg": words}))
    assert isinstance(verdict, Throttled)
    assert len(verdict.text) <= 200
    assert "\n" not in verdict.text
    assert "060000aa11" not in verdict.text
    assert "AARzJWAF" not in verdict.text


def test_long_words_are_judged_in_no_time() -> None:
    """A reply of a quarter megabyte must not hold the loop."""
    begun = time.monotonic()
    judge(json.dumps({"ret": -2, "errmsg": "a@im.bot" * 32_000}))
    assert time.monotonic() - begun < 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SCALARS = JSON | st.sampled_from([0, -2, -3, -14, 7, "0", "-2", "7", "", "prepare failed", 2**64, -(2**70)])
BODIES = (
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("ret", "errcode", "errmsg", "message_id", "retry_after"), SCALARS)
    )
    .map(json.dumps)
    .map(str.encode)
)
STATUSES = st.sampled_from([200, 200, 200, 204, 302, 400, 413, 429, 500, 503]) | st.integers(100, 999)
HINTED = st.dictionaries(
    st.sampled_from(["retry-after", "Retry-After", "date"]),
    st.text(max_size=12) | st.integers().map(str) | st.just("Sat, 21 Nov 2026 08:00:20 GMT"),
)
EVIDENCE = st.builds(
    Evidence,
    with_token=st.booleans(),
    gives_receipts=st.booleans(),
    text_bytes=st.sampled_from([1, TEXT_LIMIT_BYTES + 1]),
    token_sends=st.integers(0, 50),
    token_age_ms=st.none() | st.integers(-(10**6), 10**12),
    now_ms=st.none() | st.integers(0, 10**13),
)


@settings(max_examples=500, deadline=None)
@given(body=BODIES | st.binary(max_size=60), status=STATUSES, headers=HINTED, evidence=EVIDENCE)
def test_nothing_is_delivered_without_a_receipt(
    body: bytes, status: int, headers: dict[str, str], evidence: Evidence
) -> None:
    """Whatever comes back has a verdict, and `Delivered` stands only where an id came and no code but zero."""
    verdict = classify(Answer(status, headers, body), evidence)
    assert isinstance(verdict, VERDICTS)
    if isinstance(verdict, Delivered):
        said = json.loads(body)
        assert str(said["message_id"]).strip() == verdict.receipt
        assert said.get("ret") in (0, None)
        assert said.get("errcode") in (0, None)
        assert 200 <= status < 300
        return
    assert len(verdict.text) < 400
    assert verdict.text.isprintable()
    if isinstance(verdict, Throttled | InDoubt):
        assert verdict.wait_ms is None or 0 <= verdict.wait_ms <= HINT_MAX_MS
