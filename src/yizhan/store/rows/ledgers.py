"""Rows of allowances."""

from __future__ import annotations

from yizhan.core.allowance import Ledger
from yizhan.model import AccountId, ChatId, Target
from yizhan.store.rows.kept import Row, Values


def ledger_of(row: Row) -> tuple[Target, Ledger]:
    """The chat and its ledger."""
    (
        account,
        chat,
        key,
        opened,
        seq,
        used,
        unsure,
        accepted,
        closed,
        before,
        probes,
        probe_at,
        noticed,
        pending,
        sent,
    ) = row
    ledger = Ledger(
        key=key,
        opened_at_ms=opened,
        seq=seq,
        used=used,
        unsure=bool(unsure),
        accepted_at_ms=accepted,
        closed=bool(closed),
        closed_before=before,
        probes=probes,
        probe_at_ms=probe_at,
        noticed=bool(noticed),
        pending=bool(pending),
        sent=sent,
    )
    return Target(AccountId(account), ChatId(chat)), ledger


def ledger_values(target: Target, ledger: Ledger) -> Values:
    return {
        "account": target.account,
        "chat": target.chat,
        "key": ledger.key,
        "opened_at_ms": ledger.opened_at_ms,
        "seq": ledger.seq,
        "used": ledger.used,
        "unsure": int(ledger.unsure),
        "accepted_at_ms": ledger.accepted_at_ms,
        "closed": int(ledger.closed),
        "closed_before": ledger.closed_before,
        "probes": ledger.probes,
        "probe_at_ms": ledger.probe_at_ms,
        "noticed": int(ledger.noticed),
        "pending": int(ledger.pending),
        "sent": ledger.sent,
    }
