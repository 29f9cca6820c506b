"""The operator's settings as the numbers that each part of the gateway works with: seconds become milliseconds, and
keys of docs/configuration.md the words of the code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from yizhan.core.access import AccessNumbers
from yizhan.core.alerts import AlertNumbers
from yizhan.core.breaker import BreakerNumbers
from yizhan.core.frequency import FrequencyNumbers
from yizhan.core.ghosts import GhostNumbers
from yizhan.core.limiter import PaceNumbers
from yizhan.core.reaction import Numbers
from yizhan.model import InDoubtPolicy, MessageClass
from yizhan.runtime.allowances import AllowanceNumbers
from yizhan.settings import Settings


@dataclass(frozen=True, slots=True)
class RoadNumbers:
    """What an operator may set of the road out.

    reaction        what follows from replies
    lifetimes_ms    how long a message of each class waits before it expires
    text_max_chars  the longest text that is accepted for one message
    part_max_chars  the longest part, None: as the platform declares it
    render          texts are written so that the platform's client shows them well
    number_parts    the parts of a message are numbered where there are several
    requests_per_s  over all accounts, 0: as many as can be
    chunk_gap_ms    between two requests of a chat, from start to start
    """

    reaction: Numbers
    lifetimes_ms: Mapping[MessageClass, int]
    text_max_chars: int
    part_max_chars: int | None = None
    render: bool = True
    number_parts: bool = True
    requests_per_s: float = 0
    chunk_gap_ms: int = 0
    allowances: AllowanceNumbers = field(default_factory=AllowanceNumbers)


def road_numbers_of(settings: Settings) -> RoadNumbers:
    delivery = settings.delivery
    return RoadNumbers(
        reaction=_reaction_numbers_of(settings),
        lifetimes_ms=_lifetimes_of(settings),
        text_max_chars=delivery.text_max_chars,
        part_max_chars=delivery.part_max_chars,
        render=delivery.render,
        number_parts=delivery.number_parts,
        requests_per_s=delivery.max_requests_per_s,
        chunk_gap_ms=_ms(delivery.chunk_gap_s),
        allowances=_allowance_numbers_of(settings),
    )


def _reaction_numbers_of(settings: Settings) -> Numbers:
    limiter, breaker = settings.delivery.limiter, settings.delivery.breaker
    return Numbers(
        pace=PaceNumbers(
            first_quiet_ms=_ms(limiter.first_quiet_s),
            growth=limiter.growth,
            soft_cap_ms=_ms(limiter.soft_cap_s),
            max_quiet_ms=_ms(limiter.max_quiet_s),
            reject_budget=limiter.reject_budget,
        ),
        breaker=BreakerNumbers(
            probe_ms=_ms(breaker.probe_s),
            slow_after_ms=_ms(breaker.slow_after_s),
            slow_probe_ms=_ms(breaker.slow_probe_s),
            in_doubt_base_ms=_ms(breaker.in_doubt_base_s),
            in_doubt_cap_ms=_ms(breaker.in_doubt_cap_s),
            in_doubt_threshold=breaker.threshold,
        ),
        ghosts=GhostNumbers(
            alarm_after=settings.delivery.ghosts.alarm_after,
            push_pause_ms=_ms(settings.delivery.ghosts.push_pause_s),
            push_pause_max_ms=_ms(settings.delivery.ghosts.push_pause_max_s),
        ),
        in_doubt=InDoubtPolicy(settings.delivery.in_doubt),
    )


def alert_numbers_of(settings: Settings) -> AlertNumbers:
    alerts = settings.alerts
    return AlertNumbers(
        down_ms=_ms(alerts.account_down_s),
        waiting_ms=_ms(alerts.waiting_s),
        limited_ms=_ms(alerts.limited_s),
        queue=alerts.queue_above,
        dead_letter_ms=_ms(alerts.dead_letter_s),
        ghosts=settings.delivery.ghosts.alarm_after,
        disk_free_bytes=alerts.disk_free_mib * 1024 * 1024,
    )


def access_numbers_of(settings: Settings) -> AccessNumbers:
    access = settings.access
    return AccessNumbers(
        policy=access.policy,
        allow=frozenset(access.allow),
        admins=frozenset(access.admins),
        groups=access.groups,
        rooms=frozenset(access.group_allow),
        people={chat: frozenset(senders) for chat, senders in access.group_people.items()},
        mention=access.mention,
    )


def frequency_numbers_of(settings: Settings) -> FrequencyNumbers:
    return FrequencyNumbers(settings.access.per_minute, settings.access.per_day)


def _allowance_numbers_of(settings: Settings) -> AllowanceNumbers:
    allowance = settings.delivery.allowance
    return AllowanceNumbers(
        language=settings.language,
        sends=allowance.sends,
        window_ms=None if allowance.window_s is None else _ms(allowance.window_s),
        progress_reserve=allowance.progress_reserve,
        probe_ms=_ms(allowance.probe_s),
        notice=allowance.notice,
    )


def _lifetimes_of(settings: Settings) -> dict[MessageClass, int]:
    retention = settings.retention
    reply_ms = _ms(retention.reply_s)
    return {
        MessageClass.REPLY: reply_ms,
        MessageClass.NOTICE: reply_ms,
        MessageClass.PUSH: _ms(retention.push_s),
        MessageClass.PROGRESS: _ms(retention.progress_s),
    }


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
