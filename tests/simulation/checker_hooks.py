"""Posted events in the books: a program has each event that it wants, in the stream's order, and no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from simulation.books import Books
from simulation.books_hooks import Addressed
from yizhan.model import Event


def posted(books: Books) -> Iterator[str]:
    """Nothing is passed over: a program has taken every event that it wants, up to the end of the world."""
    for program in _programs(books):
        taken = {post.event for post in program.posts if post.taken}
        missing = [
            event for event in _wanted(program, books) if event.id <= program.until and event.id not in taken
        ]
        if missing:
            yield f"{program.url} never got {len(missing)} events, the first is {missing[0].id} ({missing[0].type})"
        if program.final is None or program.final.cursor < program.until or program.final.missed:
            yield f"{program.url} has not come to the end of the stream: {program.final}"


def in_turn(books: Books) -> Iterator[str]:
    """An event is posted when all before it were taken, and not again once its answer was heard, while the process
    lives; a process that has just begun may begin with what the last one did not write down."""
    for program in _programs(books):
        ids = [event.id for event in _wanted(program, books)]
        done, known = set[int](), 0
        for number, post in enumerate(program.posts):
            while known < len(ids) and ids[known] in done:
                known += 1
            if known < len(ids) and post.event > ids[known]:
                yield f"{program.url} was posted {post.event} before it had taken {ids[known]}"
                break
            last = program.posts[number - 1] if number else None
            if last is not None and last.process is post.process and number not in program.resumed:
                if post.event < last.event:
                    yield f"{program.url} was posted {post.event} after {last.event}"
                if post.event == last.event and last.heard:
                    yield f"{program.url} was posted {post.event} again, although it had said that it has it"
            if post.taken:
                done.add(post.event)


def unwanted(books: Books) -> Iterator[str]:
    """Text, other accounts' events and other types go to nobody who has not asked for them; and what is posted is what
    the stream shows, signed, under the event's own id."""
    stream = {event.id: event for event in books.stream}
    for program in _programs(books):
        wanted = {event.id for event in _wanted(program, books)}
        for post in program.posts:
            if post.event not in wanted:
                yield f"{program.url} was posted {post.event}, which it does not want"
            elif post.headers["webhook-id"] != f"evt_{post.event}" or not post.signed_by(program.key):
                yield f"{program.url} was posted {post.event} without a right signature"
            elif not _as_in_the_stream(stream[post.event], post.body):
                yield f"{program.url} was posted {post.event} with other words than the stream's"


def switched_off(books: Books) -> Iterator[str]:
    """A program that wants nothing more is left alone until somebody switches it on; a process that dies before it has
    written that down asks once more."""
    for program in _programs(books):
        for number, post in enumerate(program.posts[1:], 1):
            before = program.posts[number - 1]
            if before.gone and before.process is post.process and number not in program.resumed:
                yield f"{program.url} was posted {post.event} after it had said that it wants nothing more"


def _programs(books: Books) -> list[Addressed]:
    """Those whose owner knows that they are posted to."""
    return [program for program in books.programs if program.id]


def _wanted(program: Addressed, books: Books) -> list[Event]:
    return [event for event in books.stream if program.wants(event)]


def _as_in_the_stream(event: Event, body: bytes) -> bool:
    told, kept = json.loads(body), json.loads(event.data)
    return bool(told.pop("id") == str(event.id) and told == kept)


HOOKS: tuple[Callable[[Books], Iterable[str]], ...] = (posted, in_turn, unwanted, switched_off)
