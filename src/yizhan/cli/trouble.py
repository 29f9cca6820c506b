"""Errors of the command line, and the exit code that each error has.

Exit codes, the same for every verb: 0 done, 1 failed, 2 usage or configuration (the caller must change
something), 3 no gateway to talk to or home in use (nothing happened), 4 the outcome is not known (yet),
130 interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yizhan.errors import RequestError, SettingsError, StoreError, StoreInUse, YizhanError

DONE = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 3
UNKNOWN = 4
INTERRUPTED = 130

PROBLEM_PREFIX = "urn:yizhan:problem:"
SCHEMA = "/openapi.json"


class UsageMistake(YizhanError):
    """The command itself must be changed."""

    name = "usage"
    status = 400


class DiskFull(YizhanError):
    """The command is right and may be given again; a service is to be started again."""

    name = "disk-full"
    status = 507


class NoGateway(YizhanError):
    """There is no gateway that answers, and the verb could do nothing without it. Nothing happened."""

    name = "no-gateway"
    status = 503


class AnswerLost(YizhanError):
    """The request left, its answer never came: it may have been carried out."""

    name = "answer-lost"
    status = 504


class ApiProblem(YizhanError):
    """The API said no. Carries its problem document as it came."""

    def __init__(self, document: Mapping[str, Any], status: int) -> None:
        super().__init__(_sentence(document, status), _fix(document))
        self.name = str(document.get("type", "")).removeprefix(PROBLEM_PREFIX) or "error"
        self.status = status
        self.document = dict(document)


def exit_code(error: YizhanError) -> int:
    """The exit code of a verb that ended with this error."""
    match error:
        case UsageMistake() | SettingsError() | RequestError():
            return USAGE
        case NoGateway() | StoreInUse():
            return UNREACHABLE
        case AnswerLost():
            return UNKNOWN
        case ApiProblem():
            return _exit_code_of_status(error.status)
        case StoreError() if type(error).name == "busy":
            return UNREACHABLE
        case _:
            return FAILED


def problem(error: YizhanError) -> dict[str, Any]:
    """The error as a problem document (RFC 9457), for `--json`."""
    if isinstance(error, ApiProblem):
        return error.document
    return {
        "type": PROBLEM_PREFIX + error.name,
        "title": error.name.replace("-", " ").capitalize(),
        "status": error.status,
        "detail": error.detail,
        "fix": error.fix,
    }


def _exit_code_of_status(status: int) -> int:
    if status == 503:
        return UNREACHABLE
    return USAGE if 400 <= status < 500 else FAILED


def _fix(document: Mapping[str, Any]) -> str:
    """What to change; whoever types options is not sent to the schema."""
    fix = str(document.get("fix") or "")
    options = str(document.get("type")).endswith(":invalid-request") and SCHEMA in fix
    return "See the same command with --help." if options else fix


def _sentence(document: Mapping[str, Any], status: int) -> str:
    return str(document.get("detail") or document.get("title") or f"The gateway answered with HTTP {status}.")
