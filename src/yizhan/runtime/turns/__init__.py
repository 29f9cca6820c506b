"""Turns: stored messages → a question for the agent → its outputs, accepted before anything is sent.

One turn per chat at a time, many chats at once, at most `workers` agents at work. A turn is a row from its
start to its end: a crash re-runs it, and since its outputs have stable keys, what was accepted already is
not accepted again. Rapid messages are merged over *stored* messages, so that a restart only delays them.

    batches     stored messages that become one question, and when
    desk        a chat that is being answered: what waits, and the turn that is open
    roster      those who answer, and who of them answers what
    questions   what the agent is told
    asking      the agent at work, within a free worker and a time
    speaking    what it said, and what the gateway says itself, as drafts
    finishing   the end of a turn, with its outputs, in one transaction
    late        answers that come later, through our API
    commands    what a chat may tell the gateway
    turns       the loop of each chat, which has all of these done in order
"""

from yizhan.runtime.turns.numbers import TurnNumbers
from yizhan.runtime.turns.roster import roster_of
from yizhan.runtime.turns.turns import Turns

__all__ = ["TurnNumbers", "Turns", "roster_of"]
