from collections.abc import Iterator
from pathlib import Path

import pytest
import vl_convert

from ablate.report.bundle import bundle


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    bundle.cache_clear()
    yield tmp_path
    bundle.cache_clear()


def test_the_script_is_made_once_for_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda **_: calls.append(1) or "script")
    assert bundle() == "script"
    bundle.cache_clear()  # as in another process
    assert bundle() == "script"
    assert len(calls) == 1


def test_where_nothing_can_be_kept_it_is_made_all_the_same(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vl_convert, "javascript_bundle", lambda **_: "script")
    (cache / "ablate").write_text("a file where the folder would be")
    assert bundle() == "script"
