from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest
import vl_convert

from ablate.report.render import html as rendering
from ablate.report.render.figure import bundle, packed
from ablate.report.render.html import html


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundle.cache_clear()
    yield tmp_path
    bundle.cache_clear()


def test_the_script_is_made_once_for_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda **_: calls.append(1) or "script")
    assert bundle() == packed("script")
    bundle.cache_clear()  # as in another process
    assert bundle() == packed("script")
    assert len(calls) == 1


def test_where_nothing_can_be_kept_it_is_made_all_the_same(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda **_: "script")
    (cache / "ablate").write_text("a file where the folder would be")
    assert bundle() == packed("script")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the templates that were compiled, of which there is one, `page`."""
    names: list[str] = []
    compiling = jinja2.Environment.compile

    def compile(self: jinja2.Environment, source: str, name: str, *rest: str) -> object:
        names.append(name)
        return compiling(self, source, name, *rest)

    monkeypatch.setattr(jinja2.Environment, "compile", compile)
    monkeypatch.setattr(rendering, "_template", lambda name: "{{ value }}" if name == "page" else "")
    return names


def test_a_template_is_compiled_once_for_all_processes_until_it_changes(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [html("page", value="<"), html("page", value="b")] == ["&lt;", "b"]
    assert compiled == ["page"]
    monkeypatch.setattr(rendering, "_template", lambda name: "{{ value }}!" if name == "page" else "")
    assert [html("page", value="c"), compiled] == ["c!", ["page", "page"]]


MAGIC = len(jinja2.bccache.bc_magic)


@pytest.mark.parametrize("kept", [slice(0), slice(3), slice(MAGIC), slice(MAGIC + 9), slice(-20), slice(9, None)])
def test_a_damaged_compiled_template_is_compiled_again(cache: Path, compiled: list[str], kept: slice) -> None:
    assert html("page", value="a") == "a"
    (file,) = next((cache / "ablate").glob("templates-*")).iterdir()
    file.write_bytes(file.read_bytes()[kept])
    assert [html("page", value="b"), html("page", value="c"), compiled] == ["b", "c", ["page", "page"]]


def test_templates_are_filled_where_nothing_can_be_kept(cache: Path, compiled: list[str]) -> None:
    (cache / "ablate").write_text("a file where the folder would be")
    assert [html("page", value="a"), html("page", value="b"), compiled] == ["a", "b", ["page", "page"]]
