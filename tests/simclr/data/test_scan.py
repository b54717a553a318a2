"""Which files count as images, by kinds of folders that people have."""

import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from ablate.simclr.data import content
from ablate.simclr.data.csv_list import read_list
from ablate.simclr.data.listing import find_images, look
from ablate.simclr.data.scan import Found

DOT = Image.new("RGB", (2, 2))


def fill(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        DOT.save(root / path, "PNG")
    return root


def images(found: Found) -> dict[str, list[str]]:
    """Split -> `class: path`; `path` alone without labels."""
    return {
        split: [
            f"{found.classes[label]}: {path}" if found.classes else path
            for path, label in zip(files.paths, files.labels, strict=True)
        ]
        for split, files in found.splits.items()
    }


BOTH = ("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png")


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Test", "VAL", "testing"])
def test_a_validation_folder_takes_the_place_of_a_missing_test_folder(tmp_path: Path, name: str) -> None:
    fill(tmp_path, "train/a/1.png", "train/b/2.png", f"{name}/a/3.png", f"{name}/b/4.png")
    assert images(find_images(tmp_path)) == {
        "train": ["a: train/a/1.png", "b: train/b/2.png"],
        "test": [f"a: {name}/a/3.png", f"b: {name}/b/4.png"],
    }


def test_a_test_folder_goes_before_a_validation_folder(tmp_path: Path) -> None:
    fill(tmp_path, *BOTH, "valid/a/5.png", "valid/b/6.png")
    assert images(find_images(tmp_path))["test"] == ["a: test/a/3.png", "b: test/b/4.png"]
    assert images(find_images(tmp_path))["val"] == ["a: valid/a/5.png", "b: valid/b/6.png"]


def test_images_in_folders_below_a_class_belong_to_it(tmp_path: Path) -> None:
    fill(tmp_path, *BOTH, "train/a/deep/er/5.png", "train/a/z.png")
    found = images(find_images(tmp_path))["train"]
    assert found == ["a: train/a/1.png", "a: train/a/deep/er/5.png", "a: train/a/z.png", "b: train/b/2.png"]


def test_every_suffix_of_a_decoder_counts_in_any_case_and_others_are_counted_by_suffix(tmp_path: Path) -> None:
    fill(tmp_path, *BOTH, *(f"train/a/x.{each}" for each in ("jfif", "JPE", "avif", "jp2", "pnm", "pbm", "Tga")))
    fill(tmp_path, "train/a/c.heic", "train/a/d.heic", "train/a/e.jpg~", "train/a/README", "train/b/f.eps")
    found = find_images(tmp_path)
    assert len(found.splits["train"].paths) == 9
    counts = {why: len(what) for why, what in found.omitted.items()}
    assert counts == {".heic": 2, ".jpg~": 1, "files without suffix": 1, ".eps": 1}


def test_hidden_and_system_entries_are_neither_classes_nor_images(tmp_path: Path) -> None:
    fill(tmp_path, *BOTH, "train/.ipynb_checkpoints/1.png", "train/@eaDir/1.png", "__MACOSX/train/a/1.png")
    fill(tmp_path, "train/a/._1.png", "train/a/.DS_Store", "test/.ipynb_checkpoints/1.png", "test/b/@eaDir/1.png")
    found = find_images(tmp_path)
    assert images(found) == images(find_images(fill(tmp_path / "plain", *BOTH)))
    assert set(found.omitted["hidden"]) == {
        *("__MACOSX", "test/.ipynb_checkpoints", "test/b/@eaDir", "train/.ipynb_checkpoints", "train/@eaDir"),
        *("train/a/._1.png", "train/a/.DS_Store"),
    }


def test_folders_pipes_and_loops_named_like_images_are_left_out_and_counted(tmp_path: Path) -> None:
    fill(tmp_path, *BOTH, "train/a/folder.jpg/inner.png")
    os.mkfifo(tmp_path / "train/a/pipe.png")
    (tmp_path / "train/empty.jpg").mkdir()
    (tmp_path / "train/a/up").symlink_to(tmp_path / "train")
    (tmp_path / "train/b/itself").symlink_to(tmp_path / "train/b/itself")
    found = find_images(tmp_path)
    assert len(found.splits["train"].paths) == 2
    assert {why: sorted(what) for why, what in found.omitted.items()} == {
        "folders named like images": ["train/a/folder.jpg", "train/empty.jpg"],
        "neither files nor folders": ["train/a/pipe.png"],
        "links to a folder above": ["train/a/up"],
        "files without suffix": ["train/b/itself"],
    }


def test_a_dead_link_is_an_image_that_cannot_be_read_and_not_a_missing_one(tmp_path: Path) -> None:
    fill(tmp_path, *BOTH)
    (tmp_path / "train/a/gone.png").symlink_to("nowhere")
    assert "a: train/a/gone.png" in images(find_images(tmp_path))["train"]
    assert look(tmp_path).train_images == 3


def test_a_class_that_is_a_link_is_followed(tmp_path: Path) -> None:
    fill(tmp_path, *BOTH, "elsewhere/5.png")
    for split in ("train", "test"):
        (tmp_path / split / "c").symlink_to(tmp_path / "elsewhere")
    assert images(find_images(tmp_path))["train"][-1] == "c: train/c/5.png"


def test_two_spellings_of_an_accent_are_one_class(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD"))
    fill(tmp_path, *BOTH, f"train/{composed}/5.png", f"test/{decomposed}/6.png")
    assert find_images(tmp_path).classes == ("a", "b", composed)
    fill(tmp_path, f"train/{decomposed}/7.png")
    with pytest.raises(ValueError, match="two spellings of Unicode"):
        find_images(tmp_path)


def test_a_name_with_bytes_that_are_not_utf8_is_read_and_printed_escaped(tmp_path: Path) -> None:
    fill(tmp_path, *BOTH)
    (tmp_path / "train" / os.fsdecode(b"\xe9")).mkdir()
    os.link(tmp_path / "train/a/1.png", os.fsencode(tmp_path / "train") + b"/\xe9/\xff.png")
    with pytest.raises(ValueError, match=r"differ in the classes .udce9"):
        look(tmp_path)
    (tmp_path / "test" / os.fsdecode(b"\xe9")).mkdir()
    os.link(tmp_path / "train/a/1.png", os.fsencode(tmp_path / "test") + b"/\xe9/\xff.png")
    assert look(tmp_path).train_images == 3


FLAT = [f"{number:03}.png" for number in range(20)]


@pytest.mark.parametrize("below", ["", "train/", "one/", "train/one/", "train/one/two/"])
def test_images_without_class_folders_have_no_labels(tmp_path: Path, below: str) -> None:
    found = find_images(fill(tmp_path, *(below + name for name in FLAT)))
    assert found.classes == ()
    assert images(found) == {"train": [below + name for name in FLAT]}


def test_images_beside_class_folders_are_left_out_and_counted(tmp_path: Path) -> None:
    found = find_images(fill(tmp_path, *BOTH, "train/stray.png"))
    assert len(found.splits["train"].paths) == 2
    assert found.omitted == {"images beside the class folders": ("train/stray.png",)}


def test_a_single_folder_is_split_by_share_within_every_class(tmp_path: Path) -> None:
    fill(tmp_path, *(f"a/{name}" for name in FLAT), *(f"b/{name}" for name in FLAT[:3]), "c/only.png")
    assert list(find_images(tmp_path).splits) == ["train"]
    found = find_images(tmp_path, 0.2)
    assert found.splits["test"].counts(3) == (4, 1, 0)
    assert found.splits["train"].counts(3) == (16, 2, 1)
    both = set(found.splits["train"].paths) | set(found.splits["test"].paths)
    assert both == set(find_images(tmp_path).splits["train"].paths)
    assert find_images(tmp_path, 0.2) == found
    fill(tmp_path, "a/100.png")
    assert len(set(found.splits["test"].paths) - set(find_images(tmp_path, 0.2).splits["test"].paths)) <= 1
    assert look(tmp_path, 0.2).fingerprint != look(tmp_path, 0.3).fingerprint


def test_a_share_of_a_folder_with_test_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.split = 0\.1 draws test images, but .* has its own"):
        find_images(fill(tmp_path, *BOTH), 0.1)


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (["test/a/1.png", "test/b/2.png"], r"has test/ but no train/"),
        ([*BOTH, "val/a/1.png", "valid/a/1.png"], r"has val and valid; keep one of them"),
        (["train/a/1.png", "train/b/2.png", "test/images/3.png"], r"test and train: only one of them has classes"),
        ([*BOTH, "test/wolf/1.png"], r"test and train differ in the classes wolf"),
        (["train/a/1.heic", "train/b/2.heic"], r"train contains no images that can be read, but 2 \.heic"),
        ([*BOTH, "train/c/1.heic"], r"train/c contains no images that can be read, but 1 \.heic"),
    ],
)
def test_a_layout_that_is_unclear_is_refused_with_the_reason(tmp_path: Path, paths: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_images(fill(tmp_path, *paths))


def table(root: Path, *lines: str) -> Path:
    (root / "list.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    return root / "list.csv"


def test_a_csv_list_names_images_labels_and_splits(tmp_path: Path) -> None:
    fill(tmp_path, "x/1.png", "a,b.png", "3.png", "4.dat")
    rows = ("path,label,split", "x/1.png,cat,train", '"a,b.png",dog,', "3.png,cat,val", "4.dat,dog,valid")
    with pytest.raises(ValueError, match=r"list\.csv:3: split '' is not one of"):
        read_list(table(tmp_path, *rows))
    found = read_list(table(tmp_path, *rows[:2], '"a,b.png",dog,train', *rows[3:]))
    assert images(found) == {"train": ["cat: x/1.png", "dog: a,b.png"], "test": ["cat: 3.png", "dog: 4.dat"]}
    listing = look(tmp_path / "list.csv")
    assert (listing.kind, listing.train_images, listing.test_images, listing.classes) == ("folder", 2, 2, 2)


def test_a_csv_list_without_labels_or_splits_is_a_flat_folder(tmp_path: Path) -> None:
    fill(tmp_path, *FLAT)
    found = find_images(table(tmp_path, "path", *FLAT), 0.1)
    assert found.classes == ()
    assert {split: len(paths) for split, paths in images(found).items()} == {"train": 18, "test": 2}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path;label", "1.png;cat"], r"list\.csv:1: unknown column 'path;label'"),
        (["path,lable", "1.png,cat"], r"list\.csv:1: unknown column 'lable'; did you mean 'label'\?"),
        (["path,label", "1.png,cat", "1.png,dog"], r"list\.csv:3: 1\.png is in line 2 too"),
        (["path,label", "1.png,cat,x"], r"list\.csv:2: the row and the first line differ in their number of columns"),
        (["path,label", "1.png"], r"list\.csv:2: the row and the first line differ in their number of columns"),
        (["path,label", "1.png,cat", "9.png,dog"], r"list\.csv:3: the file .*/9\.png is missing"),
        (["path,label", ",cat"], r"list\.csv:2: the path is missing"),
        (["path,label", "1.png,cat", "2.png,dog", "3.png,"], r"list\.csv: 3\.png has no label"),
        (["path,label,split", "1.png,cat,test", "2.png,dog,test"], r"lists no training images"),
    ],
)
def test_a_mistake_in_a_csv_list_is_told_with_its_line(tmp_path: Path, lines: list[str], message: str) -> None:
    fill(tmp_path, "1.png", "2.png", "3.png")
    with pytest.raises(ValueError, match=message):
        read_list(table(tmp_path, *lines))


@pytest.mark.parametrize("keep_times", [False, True])
def test_an_edit_that_keeps_the_size_changes_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep_times: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(content, "_SETTLED", 0)
    root = fill(tmp_path / "data", *BOTH)
    image = root / "train/a/1.png"
    Image.new("RGB", (4, 4)).save(image, "BMP")
    before, times = look(root), image.stat()
    assert look(root) == before
    Image.new("RGB", (4, 4), (1, 2, 3)).save(image, "BMP")
    if keep_times:
        os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert image.stat().st_size == times.st_size
    assert look(root).fingerprint != before.fingerprint


def test_content_is_hashed_once_and_a_damaged_cache_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root = fill(tmp_path / "data", *BOTH)
    hashed: list[Path] = []
    monkeypatch.setattr(content, "file_sha256", lambda path: hashed.append(path) or f"{path.name:0>64}")
    look(root)
    look(root)
    assert len(hashed) == 8  # files that have just been written are read again: their times may be too coarse
    monkeypatch.setattr(content, "_SETTLED", -(10**9))
    first = look(root)
    assert look(root) == first
    assert len(hashed) == 12
    (cache,) = (tmp_path / "cache" / "ablate").iterdir()
    cache.write_text("nonsense\n1 2 3 4 short\n")
    look(root)
    assert len(hashed) == 16
