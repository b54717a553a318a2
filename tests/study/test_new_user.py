"""What a new user is told who has a script and no study yet."""

from pathlib import Path

import pytest

from ablate.errors import UserError
from ablate.study.load import SHIPPED, find_study, is_shipped, load_study


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


def test_a_claim_needs_no_source_and_its_id_may_be_lowercase(tmp_path: Path) -> None:
    path = tmp_path / "rates.toml"
    head = 'name = "rates"\ntitle = "t"\nquestion = "q"\ntrainer = "imported"\nmetric = "accuracy"\n'
    axis = '[axes]\nlr = { setting = "settings.lr", values = [0.1, 0.3] }\n'
    path.write_text(head + axis + '[[claims]]\nid = "c1"\ntext = "0.3 is best."\nkind = "best"\nis = "lr == 0.3"\n')
    loaded = load_study(str(path))
    assert loaded.problems == ()
    assert [claim.id for claim in loaded.study.claims] == ["c1"]
