"""Both languages are whole: English in the code, Spanish in its catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages import Catalog
from babel.messages.mofile import read_mo

from portal import words

TEMPLATE = """
{% load i18n %}
<p title="{% translate "A title" %}">
    {% translate "Stop" context "a container" %}
    {% blocktranslate trimmed count n=files|length %}
      {{ n }} file
    {% plural %}
      {{ n }} files
    {% endblocktranslate %}
  {% blocktranslate asvar said with name=who %}Hello {{ name }}, 100 %{% endblocktranslate %}
      {{ _("As a filter's argument")|upper }}
</p>
"""
CODE = """
raise BuildFailed(
    say(
        "%(path)s is missing: "
        "add it.",
        path=path,
    )
)
say(pattern)
say_many("%(n)d file", "%(n)d files", n=3)
label = gettext_lazy("label")
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project, with a catalogue of its own."""
    for folder in ("releases", "portal", "templates"):
        (tmp_path / folder).mkdir()
    (tmp_path / "templates" / "page.html").write_text(TEMPLATE)
    (tmp_path / "releases" / "code.py").write_text(CODE)
    monkeypatch.setattr(words, "ROOT", tmp_path)
    monkeypatch.setattr(words, "LOCALE", tmp_path / "locale")
    return tmp_path


def ids(catalogue: Catalog) -> set[object]:
    return {message.id for message in catalogue if message.id}


def test_every_sentence_of_the_portal_is_translated() -> None:
    assert words.problems() == [], "./run words brings the catalogue up to date; then translate what it names"


def test_every_form_of_saying_is_gathered(tree: Path) -> None:
    found = words.gathered()
    assert ids(found) == {
        "A title",
        "Stop",
        ("%(n)s file", "%(n)s files"),
        "Hello %(name)s, 100 %%",
        "As a filter's argument",
        "%(path)s is missing: add it.",
        ("%(n)d file", "%(n)d files"),
        "label",
    }
    assert found.get("Stop", "a container") is not None


def test_what_is_not_translated_is_named_with_its_file(tree: Path) -> None:
    assert "releases/code.py: “label” is not translated in Spanish" in words.update()
    catalogue = words.catalogue_of("es")
    catalogue.write_text(catalogue.read_text().replace('msgid "label"\nmsgstr ""', 'msgid "label"\nmsgstr "etiqueta"'))
    assert not any("label" in problem for problem in words.problems())


def test_a_translation_with_other_placeholders_is_told(tree: Path) -> None:
    words.update()
    catalogue = words.catalogue_of("es")
    text = catalogue.read_text()
    catalogue.write_text(text.replace('add it."\nmsgstr ""', 'add it."\nmsgstr "Falta %(camino)s: añádelo."'))
    [problem] = [problem for problem in words.problems() if "add it" in problem]
    assert problem.endswith("has the placeholders %(camino)s instead of %(path)s in Spanish")


def test_a_catalogue_that_is_late_is_told_and_updated_without_losing_anything(tree: Path) -> None:
    words.update()
    catalogue = words.catalogue_of("es")
    catalogue.write_text(catalogue.read_text().replace('msgid "label"\nmsgstr ""', 'msgid "label"\nmsgstr "etiqueta"'))
    before = catalogue.read_text()
    words.update()
    assert catalogue.read_text() == before  # nothing churns
    (tree / "portal" / "more.py").write_text('title = gettext("One more")\n')
    assert any("./run words" in problem for problem in words.problems())
    words.update()
    assert 'msgstr "etiqueta"' in catalogue.read_text()
    assert 'msgid "One more"' in catalogue.read_text()


def test_what_gettext_reads_is_made_once(tree: Path) -> None:
    words.update()
    catalogue = words.catalogue_of("es")
    catalogue.write_text(catalogue.read_text().replace('msgid "label"\nmsgstr ""', 'msgid "label"\nmsgstr "etiqueta"'))
    words.compile_catalogues()
    made = catalogue.with_suffix(".mo")
    with made.open("rb") as file:
        message = read_mo(file).get("label")
    assert message is not None
    assert message.string == "etiqueta"
    stamp = made.stat().st_mtime_ns
    words.compile_catalogues()
    assert made.stat().st_mtime_ns == stamp
    assert [path.name for path in catalogue.parent.iterdir()] != []
    assert sorted(path.suffix for path in catalogue.parent.iterdir()) == [".mo", ".po"]
