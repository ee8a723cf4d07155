"""A sentence is kept beside its English text and told in the reader's language."""

from __future__ import annotations

import json

from django.utils.translation import override

from releases.errors import Sentence, grouped, say, say_many
from releases.sentences import changed, columns, kept, restored, told

LIMIT = "%(path)s has %(size)s bytes and %(limit)s are allowed: make the application smaller or raise the limit."


def test_text_that_was_not_said_is_told_as_it_is() -> None:
    with override("es"):
        assert told("Connection refused") == "Connection refused"
        assert told(OSError("No such file")) == "No such file"


def test_a_sentence_is_told_in_the_readers_language_with_its_numbers() -> None:
    sentence = say(LIMIT, path="app.tar.gz", size=grouped(1234567), limit=grouped(1000))
    assert sentence == told(sentence)
    assert "1,234,567 bytes" in sentence
    with override("es"):
        assert "app.tar.gz" in told(sentence)
        assert "1\N{NO-BREAK SPACE}234\N{NO-BREAK SPACE}567 bytes" in told(sentence)
        assert told(sentence) != sentence


def test_a_rounded_number_has_the_comma_of_the_language() -> None:
    sentence = say("%(size).1f MB of 100 %%", size=35.46)
    assert sentence == "35.5 MB of 100 %"
    with override("es"):
        assert told(sentence) == "35,5 MB of 100 %"


def test_a_sentence_that_counts_has_two_forms() -> None:
    assert say_many("%(n)d file of %(of)s", "%(n)d files of %(of)s", n=1, of="a") == "1 file of a"
    assert say_many("%(n)d file of %(of)s", "%(n)d files of %(of)s", n=3, of="a") == "3 files of a"


def test_what_is_kept_is_json_and_comes_back_whole() -> None:
    inner = say_many("%(n)d file", "%(n)d files", n=2)
    sentence = say("%(what)s in %(where)s, %(size)s bytes", what=inner, where="app", size=grouped(12345))
    row = columns("message", sentence, most=200)
    assert row["message"] == "2 files in app, 12,345 bytes"
    back = restored(row["message"], json.loads(json.dumps(row["message_said"])))
    assert isinstance(back, Sentence)
    assert back == sentence
    assert isinstance(back.facts["what"], Sentence)


def test_a_text_that_was_cut_or_changed_is_shown_as_it_stands() -> None:
    sentence = say("%(path)s is missing.", path="a" * 50)
    assert columns("message", sentence, most=20) == {"message": "a" * 20, "message_said": None}
    assert restored("edited by hand", kept(sentence)) == "edited by hand"
    assert kept("plain text") is None
    assert kept(say("%(words)s", words="a" * 9000)) is None


def test_a_change_goes_through_the_facts_and_never_leaves_one_behind() -> None:
    def mask(text: str) -> str:
        return text.replace("hunter22", "***")

    sentence = say("%(who)s said %(what)s", who="pip", what=say("“%(line)s”", line="the key is hunter22"))
    masked = changed(sentence, mask)
    assert masked == "pip said “the key is ***”"
    assert "hunter22" not in json.dumps(kept(masked))
    assert isinstance(masked, Sentence)
    # a secret that is not within one fact: the text alone is kept
    across = changed(say("hunter%(n)s", n=22), mask)
    assert (across, kept(across)) == ("***", None)
