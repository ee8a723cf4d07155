"""A sentence is plain English as text, and keeps what it was made of."""

from __future__ import annotations

import copy
import pickle

from releases.errors import BuildFailed, say


def test_a_sentence_is_its_english_text() -> None:
    sentence = say("%(path)s holds %(n)s files: remove some.", path="app/", n=3)
    assert sentence == "app/ holds 3 files: remove some."
    assert (sentence.pattern, sentence.facts) == ("%(path)s holds %(n)s files: remove some.", {"path": "app/", "n": 3})


def test_a_sentence_without_facts_may_hold_a_per_cent_sign() -> None:
    assert say("The disk is 90 % full.") == "The disk is 90 % full."


def test_an_error_gives_its_sentence_back() -> None:
    error = BuildFailed(say("%(path)s is missing.", path="app/main.py"))
    assert str(error) == "app/main.py is missing."
    assert getattr(error.message, "facts", None) == {"path": "app/main.py"}
    assert BuildFailed("As plain text.").message == "As plain text."


def test_a_sentence_can_be_copied_and_pickled() -> None:
    sentence = say("%(path)s is missing.", path="a")
    for other in (copy.deepcopy(sentence), pickle.loads(pickle.dumps(sentence))):  # noqa: S301 - its own
        assert (other, other.pattern, other.facts) == (sentence, sentence.pattern, sentence.facts)
