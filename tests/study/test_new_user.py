"""What a new user is told who has a script and no study yet."""

from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.study.load import SHIPPED, find_study, is_shipped


def help_of(name: str) -> str:
    with pytest.raises(UserError) as error:
        find_study(name)
    return str(error.value)


@pytest.mark.parametrize(("script", "start"), [("train.py", "python train.py"), ("run.sh", "./run.sh")])
def test_a_script_in_place_of_a_study_is_told_how_to_become_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, start: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(script).write_text("pass")
    assert f'ablate new NAME --command "{start} --OPTION VALUE"' in help_of(script)


def test_the_studies_of_the_paper_are_named_only_where_there_are_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "ablate new makes one; the studies of the paper are: augment_pairs" in help_of("nosuch")
    Path("studies").mkdir()
    Path("studies/rates.toml").write_text("")
    assert "help: studies are: rates" in help_of("nosuch")
    monkeypatch.chdir(SHIPPED.parent)
    assert not is_shipped(Path("studies/temperature.toml"))
