"""`yizhan schedule …`, also called `cron`: what is said at set times, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer

from yizhan.cli.client import Api, Json
from yizhan.cli.moments import seconds_of
from yizhan.cli.once import Key, make
from yizhan.cli.paper import local_time, reason_text, safe, short, table
from yizhan.cli.trouble import UsageMistake
from yizhan.cli.verb import Desk, verb

PAGE = 200
NONE = "none"
MISSED = ("skip", "once", "all")
JITTER_MOST_S = 3_600

Id = Annotated[str, typer.Argument(metavar="ID", help="As `schedule list` shows it.")]
WHEN_HELP = '"0 9 * * 1-5", "every 2h", 30m, "at 18:00" or "at 2026-12-24T18:00".'
When = Annotated[str, typer.Argument(metavar="WHEN", help=WHEN_HELP)]
Text = Annotated[str, typer.Argument(metavar="TEXT", help="What to say, or with --ask what to ask.")]
Ask = Annotated[bool, typer.Option("--ask", help="TEXT is for the agent; its answer is said.")]
To = Annotated[
    list[str] | None,
    typer.Option("--to", "-t", metavar="TARGET", help="Whom to write to; may be given several times."),
]
Name = Annotated[str | None, typer.Option("--name", help="A name for people.")]
Zone = Annotated[
    str | None, typer.Option("--zone", help="Time zone that WHEN is meant in, as Asia/Shanghai.")
]
Missed = Annotated[
    str | None,
    typer.Option("--missed", metavar="skip|once|all", help="What becomes of what was due while none ran."),
]
MissedMost = Annotated[
    int | None, typer.Option("--missed-most", min=1, max=100, help="The most that `all` makes up for.")
]
Jitter = Annotated[
    str | None, typer.Option("--jitter", metavar="TIME", help="Begin up to so much later: 30s, 5m, or none.")
]
Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="TIME", help="What it says may wait so long: 2h, 1d, or none."),
]
Ends = Annotated[
    str | None,
    typer.Option("--ends", metavar="TIME", help="Nothing is due later: 2026-12-31T00:00:00Z, or none."),
]


def register(group: typer.Typer) -> None:
    """Adds the verbs of the group `schedule`."""
    verb(group, "list")(list_schedules)
    verb(group)(add)
    verb(group)(edit)
    verb(group, "pause", help="Let nothing be due until it is resumed.")(_switch(True))
    verb(group, "resume", help="Let it go on; what was due meanwhile is not made up for.")(_switch(False))
    verb(group)(run)
    verb(group)(remove)
    verb(group)(runs)
    verb(group)(preview)


def list_schedules(desk: Desk) -> None:
    """List schedules, the newest first."""
    with desk.api() as api:
        rows = _all(api)
    if desk.as_json:
        desk.show({"items": rows, "next": None})
    elif not rows:
        desk.note("no schedules; add one with yizhan schedule add WHEN TEXT --to TARGET.")
    else:
        table(("id", "name", "when", "zone", "state", "next due", "last due", "to", "why"), map(_row, rows))


def add(
    desk: Desk,
    when: When,
    text: Text,
    to: To = None,
    ask: Ask = False,
    name: Name = None,
    zone: Zone = None,
    missed: Missed = None,
    missed_most: MissedMost = None,
    jitter: Jitter = None,
    expires: Expires = None,
    ends: Ends = None,
    key: Key = None,
) -> None:
    """Add a schedule: say TEXT to every TARGET at the times of WHEN, or what the agent answers to it."""
    if not to:
        raise UsageMistake("It is not said whom to write to.", "Name a chat: --to TARGET")
    body = {"when": when, "prompt" if ask else "text": text, "to": to}
    body |= _given(name, zone, missed, missed_most, jitter, expires, ends)
    with desk.api() as api:
        made = make(api, "/v1/schedules", key, body)
        _note_nobody_runs(desk, api)
    desk.show(made, _line(made))


def edit(
    desk: Desk,
    schedule_id: Id,
    when: Annotated[str | None, typer.Option("--when", help=WHEN_HELP)] = None,
    text: Annotated[str | None, typer.Option("--text", help="What to say.")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="What to ask the agent instead.")] = None,
    to: To = None,
    name: Name = None,
    zone: Zone = None,
    missed: Missed = None,
    missed_most: MissedMost = None,
    jitter: Jitter = None,
    expires: Expires = None,
    ends: Ends = None,
) -> None:
    """Change a schedule; what is not named stays as it is."""
    words = (("when", when), ("text", text), ("prompt", prompt), ("to", to))
    body: Json = {key: value for key, value in words if value}
    body |= _given(name, zone, missed, missed_most, jitter, expires, ends)
    if not body:
        raise UsageMistake("Nothing is to be changed.", "Name what to change, for example --when.")
    with desk.api() as api:
        changed = api.call("PATCH", _path(schedule_id), body=body)
    desk.show(changed, _line(changed))


def _switch(paused: bool) -> Callable[..., None]:
    def switch(desk: Desk, schedule_id: Id) -> None:
        with desk.api() as api:
            changed = api.call("PATCH", _path(schedule_id), body={"paused": paused})
        if changed.get("state") == "ended":
            desk.note(f"it is over; to begin it anew: yizhan schedule edit {safe(schedule_id)} --when WHEN")
        desk.show(changed, _line(changed))

    return switch


def run(desk: Desk, schedule_id: Id, key: Key = None) -> None:
    """Run a schedule now, also if it is paused or over."""
    with desk.api() as api:
        happened = make(api, f"{_path(schedule_id)}/run", key)
        if not api.running:
            desk.note("no gateway is running; it is sent when one does: yizhan run")
    desk.show(happened, *_run_lines(happened))


def remove(desk: Desk, schedule_id: Id) -> None:
    """Remove a schedule and its history; what its runs have handed over stays in the outbox."""
    with desk.api() as api:
        api.call("DELETE", _path(schedule_id))
    desk.show({"id": schedule_id, "removed": True}, f"removed {safe(schedule_id)}")


def runs(
    desk: Desk,
    schedule_id: Id,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many, newest first.")] = 20,
) -> None:
    """Show when a schedule ran, and what became of what it said."""
    with desk.api() as api:
        page = api.call("GET", f"{_path(schedule_id)}/runs", query={"limit": limit})
    rows = page.get("items") or []
    if not rows and not desk.as_json:
        desk.note("it has not run yet.")
    desk.show(page, *(line for each in rows for line in _run_lines(each)))


def preview(desk: Desk, when: When, zone: Zone = None) -> None:
    """Show the next five times of WHEN."""
    body = {"when": when} | ({"zone": zone} if zone else {})
    with desk.api() as api:
        answer = api.call("POST", "/v1/schedules/preview", body=body)
    desk.show(answer, *map(local_time, answer.get("due") or []))


def _given(
    name: str | None,
    zone: str | None,
    missed: str | None,
    missed_most: int | None,
    jitter: str | None,
    expires: str | None,
    ends: str | None,
) -> Json:
    """The options that were given, as the API names them."""
    given: dict[str, Any] = {
        "name": name,
        "zone": zone,
        "missed": None if missed is None else _missed(missed),
        "missed_most": missed_most,
    }
    body = {key: value for key, value in given.items() if value is not None}
    if jitter is not None:
        body["jitter_s"] = 0 if jitter == NONE else _jitter(jitter)
    if expires is not None:
        fix = "Write for example --expires 12h, or --expires none for as long as any push."
        body["expires_after_s"] = None if expires == NONE else _seconds(expires, "--expires", fix)
    if ends is not None:
        body["ends_at"] = None if ends == NONE else _time(ends)
    return body


def _missed(word: str) -> str:
    if word not in MISSED:
        raise UsageMistake(f"--missed {word!r} is no rule.", "Write --missed skip, once or all.")
    return word


def _jitter(text: str) -> float:
    fix = "Write for example --jitter 30s or --jitter 5m, an hour at most, or --jitter none."
    seconds = _seconds(text, "--jitter", fix)
    if seconds > JITTER_MOST_S:
        raise UsageMistake(f"--jitter {text!r} is too long.", fix)
    return seconds


def _seconds(text: str, option: str, fix: str) -> float:
    seconds = seconds_of(text)
    if seconds is None:
        raise UsageMistake(f"{option} {text!r} is no length of time.", fix)
    return seconds


def _time(text: str) -> str:
    from yizhan.core.contract import parse_time

    try:
        parse_time(text)
    except (ValueError, OverflowError):
        fix = "Write for example --ends 2026-12-31T00:00:00Z, or 2026-12-31T08:00:00+08:00, or --ends none."
        raise UsageMistake(f"--ends {text!r} is no time with an offset.", fix) from None
    return text


def _all(api: Api) -> list[Json]:
    rows: list[Json] = []
    cursor: str | None = None
    while True:
        page = api.call("GET", "/v1/schedules", query={"cursor": cursor, "limit": PAGE})
        rows += page.get("items") or []
        cursor = page.get("next")
        if cursor is None:
            return rows


def _note_nobody_runs(desk: Desk, api: Api) -> None:
    if not api.running:
        desk.note("no gateway is running; schedules run when one does: yizhan run")


def _path(schedule_id: str) -> str:
    return f"/v1/schedules/{quote(schedule_id, safe='')}"


def _row(row: Json) -> tuple[object, ...]:
    to = row.get("to") or []
    more = f" and {len(to) - 1} more" if len(to) > 1 else ""
    return (
        row.get("id"),
        short(row.get("name")),
        row.get("when"),
        row.get("zone"),
        row.get("state"),
        local_time(row.get("next_due_at")),
        local_time(row.get("last_due_at")),
        f"{to[0] if to else '-'}{more}",
        reason_text(row.get("reason")),
    )


def _line(row: Json) -> str:
    return f"{safe(row.get('id'))}  {safe(row.get('state'))}  next due {local_time(row.get('next_due_at'))}"


def _run_lines(each: Json) -> list[str]:
    """A run, then what became of each of its messages."""
    missed = f"  {each['missed']} missed" if each.get("missed") else ""
    head = f"{local_time(each.get('due_at'))}  {safe(each.get('state'))} ({safe(each.get('cause'))}){missed}"
    return [
        head,
        *(_turn_line(turn) for turn in each.get("turns") or []),
        *(_message_line(message) for message in each.get("messages") or []),
        *(
            f"  {safe(no.get('to'))}  refused  {reason_text(no.get('reason'))}"
            for no in each.get("refused") or []
        ),
    ]


def _turn_line(turn: Json) -> str:
    why = f"{safe(turn.get('id'))}  {reason_text(turn.get('reason'))}".rstrip()
    return f"  asked {safe(turn.get('agent'))}  {safe(turn.get('state'))}  {why}"


def _message_line(message: Json) -> str:
    waiting = f" ({message['waiting_for']})" if message.get("waiting_for") else ""
    why = f"{safe(message.get('id'))}  {reason_text(message.get('reason'))}".rstrip()
    return f"  {safe(message.get('to'))}  {safe(message.get('state'))}{waiting}  {why}"
