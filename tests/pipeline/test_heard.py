"""The builders' own last sentences are known again, word for word, so that they can be translated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.utils.translation import override

from releases.errors import Sentence
from releases.pipeline.heard import SENTENCES, recognised
from releases.sentences import told

BUILDER = Path(settings.BASE_DIR) / "releases" / "stacks" / "python3.13-uwsgi" / "builder" / "build.sh"


@pytest.mark.parametrize("pattern", SENTENCES)
def test_the_builder_says_it_so(pattern: str) -> None:
    pieces = [piece for piece in re.split(r"%\(\w+\)s", pattern) if piece.strip()]
    script = BUILDER.read_text()
    assert all(piece in script for piece in pieces)


def test_what_the_builder_said_is_told_in_the_readers_language() -> None:
    line = "The requirements in requirements.txt cannot be met: No matching distribution found for flask==99"
    sentence = recognised(line)
    assert sentence == line
    with override("es"):
        assert "flask==99" in told(sentence)
        assert "cannot be met" not in told(sentence)


def test_what_is_not_known_stays_as_it_is() -> None:
    assert not isinstance(recognised("Our own builder is on strike."), Sentence)
