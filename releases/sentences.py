"""How a sentence of `say` is kept beside its English text, and told in the reader's language.

A row keeps the English text in a column of its own, for records and programs, and beside it, as JSON, what the sentence
was made of: `[pattern, facts]`, or `[one, facts, many]` for one that counts; a fact that is a list is such a sentence
again. What was not made by `say`, is too long, or was cut, is kept as text alone and shown as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

from releases.errors import Sentence, grouped, say, say_many

LONGEST_JSON = 8000
ROUNDED = re.compile(r"%\((\w+)\)\.(\d)f")


def told(text: object) -> str:
    """In the language of whoever reads; what was not made by `say`, such as an error of the system, as it is."""
    if not isinstance(text, Sentence):
        return str(text)
    if not text.pattern:
        return number_format(text.facts["n"], 0, force_grouping=True)
    pattern = ngettext(text.pattern, text.many, int(text.facts["n"])) if text.many else gettext(text.pattern)
    facts = {name: told(fact) if isinstance(fact, str) else fact for name, fact in text.facts.items()}

    def rounded(match: re.Match[str]) -> str:
        value, places = float(facts[match[1]]), int(match[2])
        return number_format(f"{value:.{places}f}", places)

    return ROUNDED.sub(rounded, pattern) % facts if facts else pattern


def columns(name: str, text: str, *, most: int) -> dict[str, Any]:
    """What a row writes in one UPDATE: the English text of at most `most` characters, and what it was made of."""
    return {name: str(text)[:most], f"{name}_said": kept(text) if len(text) <= most else None}


def kept(text: str) -> list[Any] | None:
    """What the sentence was made of, for a JSON column."""
    if not isinstance(text, Sentence):
        return None
    made_of = _as_json(text)
    return made_of if len(json.dumps(made_of)) <= LONGEST_JSON else None


def restored(text: str, made_of: list[Any] | None) -> str:
    """The sentence of a row again; the text alone where nothing else was kept."""
    if not made_of:
        return text
    sentence = _from_json(made_of)
    return sentence if sentence == text else text


def sentence_of(row: object, name: str) -> str:
    """What a row says in one of its columns, in the language of whoever reads."""
    return told(restored(getattr(row, name), getattr(row, f"{name}_said", None)))


def changed(text: str, change: Callable[[str], str]) -> str:
    """The text after `change`, such as the masking of secrets; still a sentence where changed facts give the same."""
    wanted = change(str(text))
    if not isinstance(text, Sentence):
        return wanted
    facts = {name: changed(fact, change) if isinstance(fact, str) else fact for name, fact in text.facts.items()}
    sentence = _made(text.pattern, facts, text.many)
    return sentence if sentence == wanted else wanted


def _as_json(sentence: Sentence) -> list[Any]:
    facts = {name: _as_json(fact) if isinstance(fact, Sentence) else fact for name, fact in sentence.facts.items()}
    return [sentence.pattern, facts, *([sentence.many] if sentence.many else [])]


def _from_json(made_of: list[Any]) -> Sentence:
    pattern, facts, *many = made_of
    facts = {name: _from_json(fact) if isinstance(fact, list) else fact for name, fact in facts.items()}
    return _made(pattern, facts, *many)


def _made(pattern: str, facts: dict[str, Any], many: str = "") -> Sentence:
    if not pattern:
        return grouped(facts["n"])
    return say_many(pattern, many, **facts) if many else say(pattern, **facts)
