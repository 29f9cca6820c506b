"""/metrics: counted from the events as they are committed, and read from the gateway when somebody asks.

Labels are bounded: an account is one, a chat, a message or a sender never is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CollectorRegistry, Counter, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from yizhan.errors import StoreError
from yizhan.model import AccountState, Alert, AlertKind, Event, MessageState
from yizhan.runtime.views import AccountView, GateView, Readiness

if TYPE_CHECKING:
    from yizhan.runtime.gateway import Gateway

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Stated(msgspec.Struct):
    state: str = ""


class _Happened(msgspec.Struct):
    cause: str = ""
    state: str = ""


class _Told(msgspec.Struct):
    """What counters need of an event."""

    state: str = ""
    access: str = ""
    message: _Stated = msgspec.field(default_factory=_Stated)
    turn: _Stated = msgspec.field(default_factory=_Stated)
    run: _Happened = msgspec.field(default_factory=_Happened)


_told = msgspec.json.Decoder(_Told).decode


@dataclass(frozen=True, slots=True)
class Reading:
    """The gateway as it is at one moment. None: the store could not be read."""

    readiness: Readiness
    accounts: tuple[AccountView, ...] | None
    open_turns: int | None
    alerts: tuple[Alert, ...] | None
    writable: bool
    event_readers: int
    now_ms: int


class Metrics:
    """Counters and the registry of one application."""

    def __init__(self, version: str) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._snapshot = _Snapshot(version)
        self._registry.register(self._snapshot)
        self._messages = self._counter("messages", "Changes of a message's state", "account", "state")
        self._received = self._counter("received", "Messages received", "account", "access")
        self._turns = self._counter("turns", "Changes of a turn's state", "account", "state")
        self._runs = self._counter("schedule_runs", "Runs of schedules", "cause", "state")
        self._accounts = self._counter("account_changes", "Changes of an account's state", "account", "state")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"yizhan_{name}", text, labels, registry=self._registry)

    def count(self, events: Sequence[Event]) -> None:
        """Counts committed events; a listener of the store."""
        for event in events:
            self._count(event)

    def _count(self, event: Event) -> None:
        told, account = _told(event.data), event.account or ""
        match event.type:
            case "message.state":
                self._messages.labels(account, told.message.state).inc()
            case "message.received":
                self._received.labels(account, told.access).inc()
            case "turn.state":
                self._turns.labels(account, told.turn.state).inc()
            case "schedule.run":
                self._runs.labels(told.run.cause, told.run.state).inc()
            case "account.state":
                self._accounts.labels(account, told.state).inc()

    def text(self, reading: Reading) -> bytes:
        """The exposition in Prometheus's text format."""
        self._snapshot.reading = reading
        return generate_latest(self._registry)


async def read(gateway: Gateway, event_readers: int) -> Reading:
    """Takes the reading. A store that cannot be read leaves its figures out instead of failing the scrape."""
    accounts: tuple[AccountView, ...] | None = None
    open_turns: int | None = None
    alerts: tuple[Alert, ...] | None = None
    try:
        accounts = await gateway.accounts()
        open_turns = (await gateway.store.counts()).open_turns
        alerts = await gateway.open_alerts()
    except StoreError:
        pass
    return Reading(
        readiness=await gateway.readiness(),
        accounts=accounts,
        open_turns=open_turns,
        alerts=alerts,
        writable=gateway.store.writable() is None,
        event_readers=event_readers,
        now_ms=gateway.clock.now_ms(),
    )


class _Snapshot(Collector):
    """Gauges of one reading; what it does not name is not there any more (a removed account, for example)."""

    def __init__(self, version: str) -> None:
        self._version = version
        self.reading: Reading | None = None

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily("yizhan", "The gateway", value={"version": self._version})
        if self.reading is None:
            return
        yield from _of_the_whole(self.reading)
        if self.reading.accounts is not None:
            yield from _of_accounts(self.reading.accounts, self.reading.now_ms)


def _of_the_whole(reading: Reading) -> Iterable[Metric]:
    yield _gauge("ready", "1 while the store takes writes and the dispatcher runs", reading.readiness.ready)
    yield _gauge("store_writable", "1 while writes to the store succeed", reading.writable)
    yield _gauge("event_readers", "Open event streams", reading.event_readers)
    if reading.open_turns is not None:
        yield _gauge("open_turns", "Turns that have not ended", reading.open_turns)
    if reading.alerts is not None:
        yield _of_alerts(reading.alerts)


def _of_alerts(alerts: Sequence[Alert]) -> GaugeMetricFamily:
    """Every kind is named, so that a rule of an alarm system finds it before there ever was one."""
    family = GaugeMetricFamily("yizhan_alerts_open", "Open alerts", labels=["kind"])
    for kind in AlertKind:
        family.add_metric([kind.value], sum(alert.kind is kind for alert in alerts))
    return family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"yizhan_{name}", text, value=float(value))


def _of_accounts(views: Sequence[AccountView], now_ms: int) -> Iterable[Metric]:
    states = GaugeMetricFamily(
        "yizhan_account_state", "1 for the state it is in", labels=["account", "state"]
    )
    live = GaugeMetricFamily(
        "yizhan_live_messages", "Messages we owe an outcome", labels=["account", "state"]
    )
    oldest = GaugeMetricFamily(
        "yizhan_oldest_live_seconds", "Age of the oldest live message", labels=["account"]
    )
    gates = GaugeMetricFamily("yizhan_gates_shut", "Gates that are not open", labels=["account", "scope"])
    for view in views:
        name = view.account.id
        for state in AccountState:
            states.add_metric([name, state.value], float(view.account.state == state))
        for live_state in filter(lambda state: state.live, MessageState):
            live.add_metric([name, live_state.value], view.live.get(live_state, 0))
        age_ms = max(0, now_ms - view.oldest_live_at_ms) if view.oldest_live_at_ms is not None else 0
        oldest.add_metric([name], age_ms / 1000)
        for scope in ("account", "chat", "host"):
            gates.add_metric([name, scope], _shut(view.gates, scope, now_ms))
    return states, live, oldest, gates


def _shut(gates: Sequence[GateView], scope: str, now_ms: int) -> int:
    """One that lets something go now, and only keeps to a limit, is open."""
    return sum(gate.scope == scope and gate.ready_at_ms > now_ms for gate in gates)
