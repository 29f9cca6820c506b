"""The log in a storm: lines follow from minutes and accounts, never from messages."""

from __future__ import annotations

import structlog

from yizhan.runtime.bounded_log import BURST, BoundedLog


def test_ten_thousand_of_a_kind_are_a_few_lines_and_one_that_counts_them() -> None:
    """381,469 lines in thirteen days is what people reported elsewhere."""
    with structlog.testing.capture_logs() as logged:
        log = BoundedLog("room")
        for number in range(10_000):
            log.warning("part.failed", account="a", message=str(number))
        log.turn_over()
        log.turn_over()
    assert BURST + 1 == len(logged)
    assert {"lines": 10_000 - BURST, "of": "part.failed", "account": "a"}.items() <= logged[-1].items()


def test_each_account_and_each_event_has_its_own_lines() -> None:
    """One account's storm must not hide another's first failure."""
    with structlog.testing.capture_logs() as logged:
        log = BoundedLog("room")
        for _ in range(100):
            log.warning("part.failed", account="a")
        log.error("attempt.broke", account="a")
        log.warning("part.failed", account="b")
    assert BURST + 2 == len(logged)


def test_a_new_minute_has_new_lines() -> None:
    """A storm that lasts is told as one that lasts."""
    with structlog.testing.capture_logs() as logged:
        log = BoundedLog("room")
        for _ in range(3):
            for _ in range(50):
                log.info("inbound.refused", account="a")
            log.turn_over()
    assert 3 * (BURST + 1) == len(logged)
    assert {"info", "warning"} == {line["log_level"] for line in logged}
