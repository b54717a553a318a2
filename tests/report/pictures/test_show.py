import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablate.records.files import write_json
from ablate.report.formats import write_report
from ablate.report.page import write_page
from ablate.report.pictures import draw_pictures
from ablate.report.pictures.histograms import mean_overlap
from ablate.report.reading import read_study
from ablate.report.verify import verify
from ablate.simclr import draw as drawing
from ablate.simclr.pictures import SHOWN
from tests.report.pictures.studies import PAIRS, measured, study_of_pairs

HOSTILE = "<img src=x onerror='window.hacked=1'>\"& \u202e"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of what is drawn, one after another."""
    calls: list[str] = []
    for name in ("strip", "histograms", "neighbours"):

        def counted(*arguments: object, draw: object = getattr(drawing, name), name: str = name) -> object:
            calls.append(name)
            return draw(*arguments)  # type: ignore[operator]

        monkeypatch.setattr(drawing, name, counted)
    return calls


def image_folder(root: Path, *names: str) -> dict[str, object]:
    """A few images of each class, as the settings of a trial name them."""
    for split in ("train", "test"):
        for label, name in enumerate(names):
            (root / split / name).mkdir(parents=True)
            for number in range(12):
                noise = np.random.default_rng([label, number]).integers(0, 256, (16, 16, 3), np.uint8)
                Image.fromarray(noise).save(root / split / name / f"{number}.png")
    return {"name": "folder", "root": str(root), "image_size": 16}


class Texts(HTMLParser):
    """The tags of a page, and what its pictures are called."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.labels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.labels += [value or "" for name, value in attrs if name == "aria-label"]


def test_a_study_of_pairs_shows_each_transformation_alone_and_the_best_and_worst_cell(tmp_path: Path) -> None:
    names = ("crop", "color", "blur", "noise")
    top1 = {(first, second): 10.0 + place for place, first in enumerate(names) for second in names}
    top1 |= {("blur", "color"): 90.0, ("color", "noise"): 1.0}
    pictures = draw_pictures(results := study_of_pairs(tmp_path, top1), measured(results))
    assert [strip.name for strip in pictures.strips] == [
        *(f"{name} alone" for name in names),
        "blur, then color",
        "color, then noise",
    ]
    assert [strip.note.partition(",")[0] for strip in pictures.strips[-2:]] == ["best cell", "worst cell"]
    assert pictures.more == 16 - 6
    assert [each.name for each in pictures.neighbours] == ["best cell: blur, color", "worst cell: color, noise"]
    assert pictures.missing == []


def test_a_study_of_few_pipelines_shows_them_all(tmp_path: Path) -> None:
    pictures = draw_pictures(results := study_of_pairs(tmp_path), measured(results))
    assert len(PAIRS) <= SHOWN
    assert [strip.name for strip in pictures.strips] == [
        "crop alone",
        "crop, then color",
        "color, then crop",
        "color alone",
    ]
    assert pictures.more == 0
    assert [figure.name for figure in pictures.figures] == ["histograms"]


def test_a_study_that_leaves_color_alone_has_no_histograms(tmp_path: Path) -> None:
    results = study_of_pairs(tmp_path, {("crop", "blur"): 30.0, ("blur", "crop"): 20.0})
    assert draw_pictures(results, measured(results)).figures == []


def test_a_cell_that_an_axis_does_not_reach_is_named_by_its_transformations(tmp_path: Path) -> None:
    results = study_of_pairs(tmp_path)
    (path,) = results.plans("pairs").iterdir()
    plan = json.loads(path.read_text())
    for trial in plan["trials"][:-1]:
        trial["axes"]["policy"] = "a"
        trial["axes"]["grey"] = False
    policy = {"name": "policy", "setting": "augment", "values": ["a"], "label": "color distortion"}
    grey = {"name": "grey", "setting": "augment.grey", "values": [False], "label": "gray scale"}
    write_json(path, plan | {"axes": [*plan["axes"], policy, grey]})
    names = [strip.name for strip in draw_pictures(results, measured(results)).strips]
    assert len(names) == 4
    assert [name for name in names if not name.endswith(", a, not gray scale")] == ["color alone"]


def test_without_a_result_there_are_views_and_no_neighbours(tmp_path: Path) -> None:
    results = study_of_pairs(tmp_path, dict.fromkeys(PAIRS))
    pictures = draw_pictures(results, measured(results))
    assert len(pictures.strips) == 4
    assert pictures.neighbours == []


def test_what_was_drawn_before_is_not_drawn_again_and_is_the_same(tmp_path: Path, drawn: list[str]) -> None:
    results = study_of_pairs(tmp_path)
    first = write_report(results, "pairs", None, tmp_path / "a").read_bytes()
    assert sorted(drawn) == ["histograms", "neighbours", "neighbours", "strip", "strip", "strip", "strip"]
    drawn.clear()
    assert write_report(results, "pairs", None, tmp_path / "a").read_bytes() == first
    assert drawn == []
    shutil.rmtree(results.pictures)
    assert write_report(results, "pairs", None, tmp_path / "a").read_bytes() == first


def test_a_kept_picture_in_the_place_of_another_is_drawn_anew(tmp_path: Path, drawn: list[str]) -> None:
    results = study_of_pairs(tmp_path)
    first = write_report(results, "pairs", None, tmp_path / "a").read_bytes()
    paths = sorted(results.pictures.iterdir())
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, [*contents[1:], contents[0]], strict=True):
        path.write_bytes(content)
    drawn.clear()
    assert write_report(results, "pairs", None, tmp_path / "a").read_bytes() == first
    assert len(drawn) == len(paths) - 2 == 7  # of the other two files, one has the histograms' chart, one the others


def test_where_nothing_can_be_kept_pictures_are_drawn_all_the_same(tmp_path: Path, drawn: list[str]) -> None:
    results = study_of_pairs(tmp_path)
    results.pictures.write_text("a file where the folder would be")
    assert [len(draw_pictures(results, measured(results)).strips) for _ in range(2)] == [4, 4]
    assert drawn.count("strip") == 8


def test_other_weights_of_the_same_settings_are_drawn_anew(tmp_path: Path, drawn: list[str]) -> None:
    results = study_of_pairs(tmp_path)
    draw_pictures(results, measured(results))
    drawn.clear()
    (old,) = results.pretrained("p1").glob("final-*.pt")
    shutil.copy(old, old.with_name("final-ffffffffffffffff.pt"))  # named by another content
    assert "is damaged" in draw_pictures(results, measured(results)).missing[0]
    assert drawn == ["neighbours"]


def test_a_checkpoint_that_is_gone_is_told(tmp_path: Path) -> None:
    results = study_of_pairs(tmp_path)
    shutil.rmtree(results.root / "pretrained")
    pictures = draw_pictures(results, measured(results))
    assert pictures.neighbours == []
    assert [told.partition(" cannot")[0] for told in pictures.missing] == [
        "Nearest neighbours of the best cell: crop, color",
        "Nearest neighbours of the worst cell: color, color",
    ]
    assert "its checkpoint is not here" in pictures.missing[0]


@pytest.mark.parametrize("change", ["gone", "changed"])
def test_data_that_are_gone_or_changed_are_told_once_with_their_path(tmp_path: Path, change: str) -> None:
    root = tmp_path / "data"
    results = study_of_pairs(tmp_path, data=image_folder(root, "cat", "dog"), classes=2)
    shutil.rmtree(root) if change == "gone" else (root / "train/cat/0.png").unlink()
    pictures = draw_pictures(results, measured(results))
    assert (pictures.strips, pictures.figures, pictures.neighbours) == ([], [], [])
    (views_told,) = [told for told in pictures.missing if told.startswith("Views cannot be shown")]
    assert str(root) in views_told
    assert "`ablate report` shows them" in views_told
    assert "Augmented views" in write_report(results, "pairs", None, tmp_path / "reports").read_text()


def test_pictures_that_are_kept_outlive_the_data(tmp_path: Path) -> None:
    results = study_of_pairs(tmp_path, data=image_folder(tmp_path / "data", "cat", "dog"), classes=2)
    before = draw_pictures(results, measured(results))
    shutil.rmtree(tmp_path / "data")
    assert draw_pictures(results, measured(results)).strips == before.strips


def test_folders_of_hostile_names_show_as_text(tmp_path: Path) -> None:
    pages = []
    for place, names in enumerate((("cat", "dog"), (HOSTILE, f"{HOSTILE}{{{{ 7 * 7 }}}}"))):
        data = image_folder(tmp_path / str(place), *names)
        results = study_of_pairs(tmp_path / f"of {place}", data=data, classes=2)
        page = Texts()
        page.feed(write_report(results, "pairs", None, tmp_path / "reports").read_text(encoding="utf-8"))
        pages.append(page)
    assert pages[0].tags == pages[1].tags
    assert any(HOSTILE in label for label in pages[1].labels)


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"trainer": "mine:train"}, "mine cannot be imported"), ({"recipe": 1}, "version 1 of the trainer's recipe")],
)
def test_of_another_trainer_or_version_nothing_is_drawn(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    results = study_of_pairs(tmp_path, **changed)  # type: ignore[arg-type]
    pictures = draw_pictures(results, measured(results))
    assert pictures.strips == []
    assert told in pictures.missing[0]


def test_a_page_may_be_written_without_pictures(tmp_path: Path, drawn: list[str]) -> None:
    results = study_of_pairs(tmp_path)
    text = write_page(
        results, read_study(results, "pairs", None), tmp_path / "reports", with_pictures=False
    ).read_text()
    assert "data:image" not in text
    assert drawn == []


def test_a_page_with_pictures_is_verified_with_them_and_one_without_without(tmp_path: Path, drawn: list[str]) -> None:
    results = study_of_pairs(tmp_path)
    page = write_report(results, "pairs", None, tmp_path / "reports")
    assert verify(page, None).same
    text = page.read_text()
    page.write_text(text.replace("data:image/webp;base64,UklG", "data:image/webp;base64,UklH", 1))
    assert not verify(page, None).same
    shutil.rmtree(results.root / "pretrained")
    shutil.rmtree(results.pictures)
    drawn.clear()
    write_page(results, read_study(results, "pairs", None), tmp_path / "reports", with_pictures=False)
    assert verify(page, None).same
    assert drawn == []


def test_all_pictures_of_a_page_stay_below_their_share_of_it(tmp_path: Path) -> None:
    results = study_of_pairs(tmp_path)
    text = write_report(results, "pairs", None, tmp_path / "reports").read_text()
    assert 7 < text.count("data:image/webp") < 10
    assert sum(map(len, re.findall(r"data:image/webp;base64,[^\"]+", text))) < 250_000


def test_a_page_whose_pictures_are_kept_imports_no_torch(tmp_path: Path) -> None:
    import subprocess
    import sys

    results = study_of_pairs(tmp_path)
    draw_pictures(results, measured(results))
    code = (
        "import sys; from pathlib import Path; from ablate.records.files import Results;"
        "from ablate.report.formats import write_report;"
        f"write_report(Results(Path({str(results.root)!r})), 'pairs', None, Path({str(tmp_path / 'r')!r}));"
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_crops_of_one_histogram_overlap_wholly_and_of_disjoint_ones_not_at_all() -> None:
    assert mean_overlap([[[0.5, 0.5, 0.0], [0.5, 0.5, 0.0]]]) == 1
    assert mean_overlap([[[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]]) == pytest.approx(1 / 3)
