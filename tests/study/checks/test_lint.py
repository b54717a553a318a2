"""Warnings on studies that are allowed, and likely not meant."""

from pathlib import Path

import pytest

from ablate.study.check import check_files

HEAD = 'name = "mine"\ntitle = "Mine"\nquestion = "Why?"\n'
CLAIM = '[[claims]]\nid = "A1"\ntext = "t"\n'
HEADS = 'axes.head = { setting = "head.name", values = ["nonlinear", "none"] }\n'


def warnings(folder: Path, text: str) -> list[str]:
    path = folder / "mine.toml"
    path.write_text(HEAD + text)
    checked = check_files([str(path)], ["embedded"])[0]
    assert checked.problems == ()
    return [problem.message for problem in checked.warnings]


def test_a_study_that_varies_one_factor_has_no_warning(tmp_path: Path) -> None:
    assert warnings(tmp_path, HEADS) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("axes.epochs = [3]\n" + HEADS, "axis 'epochs' has only one value, so it varies nothing"),
        (
            'exclude = [{ head = "none", epochs = 2 }]\n'
            'axes.epochs = { setting = "epochs", values = [1, 2], when = "head != \'none\'" }\n' + HEADS,
            "this exclude matches no cell",
        ),
        (
            HEADS + '[[cases]]\nname = "both"\nlabel = ""\nset = { epochs = 1, loss.temperature = 1.0 }\n',
            "case 'both' changes 2 settings at once (epochs, loss.temperature), "
            "so its effect cannot be attributed to one of them",
        ),
        (
            HEADS + '[[cases]]\nname = "same"\nlabel = ""\nset.head.name = "none"\n',
            "these cells have identical settings: head=none seed=0; same seed=0. "
            "They are trained once and share one result",
        ),
        (
            HEADS + 'axes.dimension = { setting = "head.output_dimension", values = [16, 32] }\n',
            "axis 'dimension': head.output_dimension changes nothing in 2 of 4 cells: without a head z is h; "
            "leave them out with `when` or `exclude`",
        ),
        (
            'axes.strength = { setting = "augment.blur.sigma_max", values = [1, 2] }\n'
            'base.augment.transforms = ["crop"]\n',
            "axis 'strength': augment.blur.sigma_max changes nothing in any cell: augment.transforms does not have "
            "'blur'; leave them out with `when` or `exclude`",
        ),
        (
            HEADS + CLAIM + "kind = \"best\"\nis = \"head == 'none' and head == 'nonlinear'\"\n",
            "claim 'A1' cannot be measured: no cell matches head == 'none' and head == 'nonlinear'",
        ),
        (
            HEADS + CLAIM + "kind = \"best\"\nis = \"head == 'none' or head == 'nonlinear'\"\n",
            "claim 'A1' cannot be measured: there is no other cell to compare with",
        ),
        (
            "axes.batch_size = [16, 32]\n",
            "axis 'batch_size': the learning rate stays the same at every batch size: optimizer.scaling is 'none'. "
            "Set it to 'linear' or 'sqrt', or let optimizer.learning_rate vary along",
        ),
    ],
)
def test_what_is_likely_not_meant_is_a_warning(tmp_path: Path, text: str, told: str) -> None:
    assert told in warnings(tmp_path, text)


def test_a_warning_stands_where_its_axis_does(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        HEAD + HEADS + '[[zip]]\nepochs = [3]\nrate = { setting = "optimizer.learning_rate", values = [1] }\n'
    )
    first, second = check_files([str(path)], ["embedded"])[0].warnings
    assert str(first).splitlines()[:2] == [
        "warning: axis 'epochs' has only one value, so it varies nothing",
        f"  --> {path}:6:1",
    ]
    assert f"{path}:7:1" in str(second)


def test_an_exclude_that_matches_at_one_profile_only_is_no_warning(tmp_path: Path) -> None:
    text = "exclude = ['epochs == 7']\naxes.epochs = [3, 4]\nprofile.small.axes.epochs = [11, 7]\n"
    assert warnings(tmp_path, text) == []


def test_a_claim_that_can_be_measured_at_one_profile_has_no_warning(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    claim = CLAIM + 'kind = "best"\nis = "head == \'none\'"\n'
    path.write_text(HEAD + HEADS + claim + '[profile.small]\naxes.head = ["nonlinear"]\n')
    found = {profile: [each.message for each in check_files([str(path)], [profile])[0].warnings]
             for profile in ("small", "embedded")}  # fmt: skip
    assert found == {"small": ["claim 'A1' cannot be measured: no cell matches head == 'none'"], "embedded": []}
    assert check_files([str(path)], [])[0].warnings == ()


def test_a_profile_that_leaves_one_of_several_values_is_no_warning(tmp_path: Path) -> None:
    text = "axes.epochs = [3, 4]\n" + HEADS
    assert warnings(tmp_path, text + "profile.embedded.axes.epochs = [3]\n") == []
    one = "axis 'epochs' has only one value, so it varies nothing"
    assert warnings(tmp_path, text.replace("[3, 4]", "[3]") + "profile.embedded.axes.epochs = [4]\n") == [one]


def test_batch_sizes_with_rates_along_are_no_warning(tmp_path: Path) -> None:
    text = '[[zip]]\nbatch_size = [16, 32]\nrate = { setting = "optimizer.learning_rate", values = [0.1, 0.2] }\n'
    assert warnings(tmp_path, text) == []


def test_values_that_look_alike_are_told_with_their_characters(tmp_path: Path) -> None:
    pairs = [("caf\u00e9", "cafe\u0301"), ("ab", "a\u200bb"), ("a b", "a  b"), ("x", "\u202ex")]
    for one, two in pairs:
        named = f'{{ "{one}" = "nonlinear", "{two}" = "none" }}'
        told = warnings(tmp_path, f'axes.head = {{ setting = "head.name", values = {named} }}\n')
        assert told == [f"axis 'head' has two values that look alike: {one!a} and {two!a}"]
    assert warnings(tmp_path, 'axes.h = { setting = "head.name", values = { "R2" = "none", "R²" = "linear" } }\n') == []
