"""The catalogues of other languages than English: `./run words` brings them up to date with what the code says.

English stands in the code, so it has no catalogue; `locale/es` is Spanish. Gathered is what gettext's functions and
`say` (releases/errors.py) are called with, and what Django's own `templatize` finds in templates. A catalogue names
files but no lines and no dates, has one line a sentence, and keeps the order of the files, so that a change of one
sentence is a change of few lines. What gettext reads (`.mo`) is made from it by `compile_catalogues`, and is not kept
in git.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
LOCALE = ROOT / "locale"
TRANSLATED = {"es": "Spanish"}
"""Every language that has a catalogue, with its name."""
HEADER = """\
# The {name} of the portal; `./run words` keeps it up to date with the code, locale/README.md has the vocabulary.
msgid ""
msgstr ""
"Language: {code}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals={plurals}; plural={rule};\\n"

"""
GETTEXT: dict[str, Any] = {
    **DEFAULT_KEYWORDS,
    "gettext_lazy": None,
    "ngettext_lazy": (1, 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext_lazy": ((1, "c"), 2, 3),
}
PLACEHOLDER = re.compile(r"%\(\w+\)[^a-zA-Z%]*[a-zA-Z]")


# ---- gathering -----------------------------------------------------------------------------------------


def sources() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every file that says something to a person on a page, and the functions that it says it with."""
    for path in sorted((ROOT / "releases").rglob("*.py")):
        inside = path.relative_to(ROOT / "releases").parts
        if "migrations" not in inside and not (inside[0] == "stacks" and len(inside) > 2):
            yield path, {**GETTEXT, "say": None, "say_many": (1, 2), "heard": None}
    for path in sorted((ROOT / "portal").rglob("*.py")):  # its own `say` is for the terminal
        yield path, GETTEXT
    for path in sorted((ROOT / "templates").rglob("*.*")):
        yield path, GETTEXT


def gathered() -> Catalog:
    """All that the code says, with the files that say it."""
    found = Catalog()
    for path, keywords in sources():
        text = path.read_text()
        if path.suffix != ".py":
            # What is no sentence is blotted out there, but its indentation would not be Python's.
            text = "\n".join(line.lstrip() for line in templatize(text, origin=str(path)).splitlines())
        where = path.relative_to(ROOT).as_posix()
        for line, message, comments, context in extract("python", BytesIO(text.encode()), keywords):
            found.add(message, locations=[(where, line)], auto_comments=comments, context=context)
    for path in sorted((ROOT / "releases" / "stacks").glob("*/stack.toml")):  # what a stack says of itself
        about = tomllib.loads(path.read_text())
        for name in ("title", "description"):
            found.add(about[name], locations=[(path.relative_to(ROOT).as_posix(), 1)])
    return found


# ---- catalogues ----------------------------------------------------------------------------------------


def catalogue_of(code: str) -> Path:
    return LOCALE / code / "LC_MESSAGES" / "django.po"


def read(code: str) -> Catalog:
    path = catalogue_of(code)
    if not path.exists():
        return Catalog(locale=code)
    with path.open("rb") as file:
        return read_po(file, locale=code)


def written(code: str, said: Catalog) -> bytes:
    """The catalogue as it should be: what is said today, with the translations that are there."""
    catalogue = read(code)
    catalogue.update(said, no_fuzzy_matching=True)
    out = BytesIO()
    write_po(out, catalogue, width=0, sort_by_file=True, include_lineno=False, omit_header=True, ignore_obsolete=True)
    header = HEADER.format(name=TRANSLATED[code], code=code, plurals=catalogue.num_plurals, rule=catalogue.plural_expr)
    return header.encode() + out.getvalue()


def update() -> list[str]:
    """Bring every catalogue up to date; what is to be translated now."""
    said = gathered()
    for code in TRANSLATED:
        path = catalogue_of(code)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(code, said))
    return [problem for code in TRANSLATED for problem in untranslated(code, said)]


def problems() -> list[str]:
    """Every reason why a reader would not read all in one language, each with the file that says the sentence."""
    said = gathered()
    late = [
        f"{catalogue_of(code).relative_to(ROOT)} is not what the code says: run ./run words."
        for code in TRANSLATED
        if not catalogue_of(code).exists() or catalogue_of(code).read_bytes() != written(code, said)
    ]
    return late + [problem for code in TRANSLATED for problem in untranslated(code, said)]


def untranslated(code: str, said: Catalog) -> Iterator[str]:
    """Sentences of the code that a catalogue lacks, leaves open, or translates with other placeholders."""
    catalogue = read(code)
    for message in said:
        if message.id:
            known = catalogue.get(message.id, message.context)
            files = ", ".join(dict.fromkeys(path for path, _line in message.locations))
            if wrong := _wrong(message, known):
                yield f"{files}: “{_texts(message.id)[0]}” {wrong} in {TRANSLATED[code]}"


def _wrong(message: Message, known: Message | None) -> str:
    if known is None or not all(_texts(known.string)):
        return "is not translated"
    if known.fuzzy:
        return "is marked as fuzzy"
    wanted = set(PLACEHOLDER.findall(_texts(message.id)[-1]))
    for text in _texts(known.string)[-1:]:
        if (found := set(PLACEHOLDER.findall(text))) != wanted:
            return f"has the placeholders {_named(found)} instead of {_named(wanted)}"
    if set(PLACEHOLDER.findall(_texts(known.string)[0])) - wanted:
        return "has a placeholder in its singular that nothing fills"
    return ""


def _texts(said: str | Sequence[str] | None) -> tuple[str, ...]:
    return (said or "",) if said is None or isinstance(said, str) else tuple(said)


def _named(placeholders: Iterable[str]) -> str:
    return " ".join(sorted(placeholders)) or "none"


def compile_catalogues() -> None:
    """Make what gettext reads, where it is missing or older than its catalogue. Raises `OSError`."""
    for code in TRANSLATED:
        path = catalogue_of(code)
        made = path.with_suffix(".mo")
        if made.exists() and made.stat().st_mtime_ns >= path.stat().st_mtime_ns:
            continue
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as draft:  # two ./run may be at it at once
            write_mo(draft, read(code))
        Path(draft.name).chmod(0o644)
        os.replace(draft.name, made)  # noqa: PTH105 (a name, not a path)


def main(arguments: Sequence[str]) -> int:
    """`./run words` writes; `--check` only tells what is wrong; 1 when there is something."""
    if list(arguments) not in ([], ["--check"]):
        print("./run words takes no argument but --check.", file=sys.stderr)
        return 2
    found = problems() if arguments else update()
    for problem in found:
        print(problem)
    if not arguments:
        compile_catalogues()
        print(f"The catalogues are up to date; {len(found)} sentences are to be translated.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
