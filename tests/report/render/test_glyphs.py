"""Labels that no font of the machine can draw are found before a reader sees boxes."""

import json
import shutil
import subprocess
from pathlib import Path

import altair as alt
import pytest

from ablate.report.formats import write_formats
from ablate.report.reading import read_study
from ablate.report.render.figure import Figure
from ablate.report.render.glyphs import not_drawn
from tests.report.test_page import like_the_paper, results_with


def of(text: str) -> Figure:
    chart = alt.Chart(alt.InlineData(values=[{"label": text}])).mark_point().encode(y="label:N")
    return Figure("one", chart, "", "")


def test_latin_text_and_the_signs_of_charts_are_drawn_and_a_character_for_private_use_is_not() -> None:
    assert not_drawn([of("Gr\u00f6\u00dfe, na\u00efve; <b> & \u201cquotes\u201d")]) == ""
    assert not_drawn([of("a\ue123b"), of("\uf8fe\u200d")]) == "\ue123\uf8fe"


@pytest.mark.skipif(shutil.which("fc-list") is None, reason="needs fontconfig, which says what fonts have")
@pytest.mark.parametrize("character", ["\u4e2d", "\u304b", "\ud55c", "\U0001f600", "\u03bb", "\u2192"])
def test_a_character_is_drawn_if_fontconfig_knows_a_font_with_it(character: str) -> None:
    fonts = subprocess.run(["fc-list", f":charset={ord(character):x}", "file"], capture_output=True, text=True)
    assert not_drawn([of(character)]) == ("" if fonts.stdout.strip() else character)


def test_charts_with_such_labels_are_written_with_a_warning_that_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = results_with(tmp_path, like_the_paper())
    for plan in tmp_path.rglob("plan-*.json"):
        content = json.loads(plan.read_text())
        plan.write_text(json.dumps(content | {"axes": [{**axis, "label": "\ue123"} for axis in content["axes"]]}))
    write_formats(results, read_study(results, "pairs", None), tmp_path / "reports", ["svg"], with_pictures=False)
    assert capsys.readouterr().err == ""
    write_formats(results, read_study(results, "pairs", None), tmp_path / "reports", ["pdf"], with_pictures=False)
    assert "warning: no font on this machine has \ue123, so the charts of pairs show boxes" in capsys.readouterr().err
