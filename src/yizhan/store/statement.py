"""Core statements that are compiled once and then run through the driver.

SQLAlchemy's own execution costs tens of microseconds for a statement and several for every row; a commit runs
about a dozen statements and writes about a dozen rows for each message. (Measured: 690 µs of CPU for a message
accepted, begun and settled through Core's execution, 64 callers.) These classes keep what Core is good at, one text
for two engines, and hand tuples straight to the driver. Values must be what drivers take as they are: text,
integers, None. Errors are the driver's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.elements import CompilerElement

from yizhan.store.queries.terms import PREFIX
from yizhan.store.rows import Row, Values

_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Lists are asked for in these lengths, the last key repeated to fill them: few texts, each compiled once."""


def driver_cursor(connection: Connection) -> Any:
    """A cursor of the driver, inside the connection's transaction."""
    return connection.connection.cursor()


@dataclass(frozen=True, slots=True)
class _Text:
    """A statement as its driver takes it; compiling costs a millisecond, and the outcome never changes."""

    sql: str
    names: tuple[str, ...]
    fixed: Values


_compiled: dict[tuple[CompilerElement, str], _Text] = {}


def _text_of(element: CompilerElement, dialect: Dialect) -> _Text:
    key = element, dialect.name
    if key not in _compiled:
        compiled = element.compile(dialect=dialect)
        names: Sequence[str] = getattr(compiled, "positiontup", None) or ()
        fixed = {name: compiled.params[name] for name in names if not name.startswith(PREFIX)}
        _compiled[key] = _Text(str(compiled), tuple(name.removeprefix(PREFIX) for name in names), fixed)
    return _compiled[key]


class Statement:
    """One statement in one engine's dialect. Parameters are named after columns, see `queries/terms.py`.

    Elements are constants of a module: their texts are kept for the life of the process.
    """

    def __init__(self, element: CompilerElement, dialect: Dialect) -> None:
        text = _text_of(element, dialect)
        self._sql, self._names, self._fixed = text.sql, text.names, text.fixed
        self._pick = itemgetter(*self._names)

    def _tuple(self, values: Values) -> tuple[Any, ...]:
        picked: tuple[Any, ...] = self._pick({**values, **self._fixed} if self._fixed else values)
        return picked if len(self._names) > 1 else (picked,)

    def write(self, connection: Connection, rows: Sequence[Values]) -> None:
        """Runs it once for each row; nothing for no rows."""
        if rows:
            self._run(driver_cursor(connection), rows)

    def _run(self, cursor: Any, rows: Sequence[Values]) -> None:
        if len(rows) == 1:
            cursor.execute(self._sql, self._tuple(rows[0]))
        else:
            cursor.executemany(self._sql, [self._tuple(values) for values in rows])

    def read(self, connection: Connection, values: Values) -> Sequence[Row]:
        cursor = driver_cursor(connection)
        cursor.execute(self._sql, self._tuple(values))
        found: Sequence[Row] = cursor.fetchall()
        return found


_lists: dict[tuple[Callable[[Any], CompilerElement], str], dict[int, str]] = {}


class ListQuery:
    """A query for a list of keys. `like` shows the shape of one key: a scalar or a tuple.

    The list is the query's only parameter.
    """

    def __init__(self, build: Callable[[Any], CompilerElement], like: Any, dialect: Dialect) -> None:
        self._build = build
        self._like = like
        self._dialect = dialect
        self._texts = _lists.setdefault((build, dialect.name), {})

    def read(self, connection: Connection, keys: Iterable[Any]) -> list[Row]:
        """The rows for all keys, in the query's order within each chunk of 256 keys."""
        wanted = list(keys)
        found: list[Row] = []
        for start in range(0, len(wanted), _SIZES[-1]):
            found += self._chunk(connection, wanted[start : start + _SIZES[-1]])
        return found

    def _chunk(self, connection: Connection, keys: list[Any]) -> Sequence[Row]:
        size = next(size for size in _SIZES if size >= len(keys))
        filled = keys + keys[-1:] * (size - len(keys))
        flat = [part for key in filled for part in key] if isinstance(self._like, tuple) else filled
        cursor = driver_cursor(connection)
        cursor.execute(self._text(size), flat)
        found: Sequence[Row] = cursor.fetchall()
        return found

    def _text(self, size: int) -> str:
        if size not in self._texts:
            query = self._build([self._like] * size)
            compiled = query.compile(dialect=self._dialect, compile_kwargs={"render_postcompile": True})
            self._texts[size] = str(compiled)
        return self._texts[size]
