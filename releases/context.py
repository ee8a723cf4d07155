"""In whose name a line of the log is written: a request, a build. Each line carries it, whoever writes the line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from types import MappingProxyType

Facts = Mapping[str, str | int]
_facts: ContextVar[Facts] = ContextVar("facts", default=MappingProxyType({}))


@contextmanager
def about(**facts: str | int) -> Iterator[None]:
    """What is logged inside is about these, too; an empty one is left out."""
    token = _facts.set({**_facts.get(), **{name: fact for name, fact in facts.items() if fact != ""}})
    try:
        yield
    finally:
        _facts.reset(token)


def facts() -> Facts:
    return _facts.get()


def carried(work: Callable[[], None]) -> Callable[[], None]:
    """The work for a thread, which by itself would know nothing of who started it."""
    context = copy_context()
    return lambda: context.run(work)


class Carry(logging.Filter):
    """Puts the facts on each record: one by one for JSON, as `facts` for a person."""

    def filter(self, record: logging.LogRecord) -> bool:
        known = dict(facts())
        asked = getattr(getattr(record, "request", None), "request_id", "")  # Django tells of a bad answer after it
        if asked:
            known.setdefault("request_id", asked)
        for name, fact in known.items():
            setattr(record, name, fact)
        record.facts = f" [{' '.join(f'{name}={fact}' for name, fact in known.items())}]" if known else ""
        return True
