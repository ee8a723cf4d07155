"""What the builders of this portal's stacks say last when they fail, known again so that it can be translated.

A builder is a script in an image and speaks English, by hand as in the portal. Its last line is the sentence of a
failed build: where it is one of these, it becomes one of ours with the same text; a stack of the site's own may say
what it likes, and that is shown as it stands."""

from __future__ import annotations

import re

from releases.errors import say


def heard(pattern: str) -> str:
    """Marks a sentence of `build.sh` for the catalogues."""
    return pattern


SENTENCES = (
    heard("The requirements in %(file)s cannot be met: %(why)s"),
    heard("pip could not install the requirements in %(file)s: %(why)s"),
    heard(
        "A package could not be built from its source, mostly because it does not compile here: %(why)s",
    ),
    heard("pip could not reach the package index: check the network, the index, the proxy and the CA bundle."),
    heard("pip needed more memory than this build may use, and was ended: raise the memory limit."),
    heard(
        "pip needed more processes and threads at once than this build may have: raise the limit of processes.",
    ),
    heard("pip was ended by signal %(signal)s: start the build again."),
    heard(
        "pip could not write a file: the disk is full or the file is larger than the build's limit; "
        "see its lines above.",
    ),
    heard(
        "The requirements file %(file)s is neither UTF-8 nor UTF-16 with a byte order mark: save it as UTF-8.",
    ),
    heard("The virtual environment could not be made: see the lines above."),
    heard("The environment could not be packed: see the lines above."),
)


def recognised(line: str) -> str:
    """The same line, as a sentence where it is known."""
    for pattern in SENTENCES:
        if found := _shape(pattern).fullmatch(line):
            return say(pattern, **found.groupdict())
    return line


def _shape(pattern: str) -> re.Pattern[str]:
    pieces = re.split(r"%\((\w+)\)s", pattern)
    return re.compile("".join(f"(?P<{piece}>.*)" if at % 2 else re.escape(piece) for at, piece in enumerate(pieces)))
