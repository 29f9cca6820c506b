"""Simulated WeChat (iLink) and QQ servers with phones, weather and a ledger. See README.md in this folder.

It is written from recorded facts and shares no code with any client, so that one misreading cannot confirm itself.
"""

from yizhan_simulator.knobs import DupInbound, Knobs, QrKnobs, Refusal
from yizhan_simulator.ledger import Effect, Ledger, Record
from yizhan_simulator.limits import Hint, Limit
from yizhan_simulator.people import Bot, Bubble, SimError
from yizhan_simulator.phone import Attachment, Quote
from yizhan_simulator.reading import ScriptError
from yizhan_simulator.script import Script
from yizhan_simulator.weather import Fault, Outage
from yizhan_simulator.wire import Hold, SimReply, SimRequest, Wire, WireKind
from yizhan_simulator.world import World

__all__ = [
    "Attachment", "Bot", "Bubble", "DupInbound", "Effect", "Fault", "Hint", "Hold", "Knobs", "Ledger", "Limit",
    "Outage", "QrKnobs", "Quote", "Record", "Refusal", "Script", "ScriptError", "SimError", "SimReply", "SimRequest",
    "Wire", "WireKind", "World",
]  # fmt: skip
