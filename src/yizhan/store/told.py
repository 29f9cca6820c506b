"""What an event tells of how a turn ended.

An agent's complaint may quote what it was asked: a program its input, an endpoint the prompt. The turn's row
keeps it for the operator's timeline; events go to programs, and carry message text nowhere but in
`message.received` (docs/contract.md). So they get the code, and a sentence of ours.
"""

from __future__ import annotations

from yizhan.model import Reason

_SENTENCES = {
    "stopped": "It was ended by /stop.",
    "account-removed": "The account was removed.",
    "agent-timeout": "The agent did not finish in time; the timeline says more.",
    "agent-unreachable": "The agent cannot be reached; the timeline says why.",
    "agent-silent": "The agent ended without an answer; the timeline says more.",
}
_AGENT_FAILED = "The agent failed; the timeline says why."
_OTHERWISE = "The turn failed; the timeline says why."


def told(reason: Reason | None) -> Reason | None:
    """The same code with a sentence that depends on nothing else."""
    if reason is None:
        return None
    otherwise = _AGENT_FAILED if reason.code.startswith("agent-") else _OTHERWISE
    return Reason(reason.code, _SENTENCES.get(reason.code, otherwise))
