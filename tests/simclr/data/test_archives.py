"""Archives against a folder with the same images: the packs must have the same pixels and labels."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import polars
import pytest
from PIL import Image

from ablate.simclr.data.archives import find_archives
from ablate.simclr.data.listing import Index
from ablate.simclr.data.pack import pack
from ablate.simclr.data.packed import Packed

Samples = list[tuple[str, bytes, int | None]]


def samples(seed: int, count: int = 6) -> Samples:
    """Names, PNG files and labels 2, 0, 10 in turn; one is turned by EXIF."""
    random, made = np.random.default_rng(seed), []
    for number in range(count):
        content, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = 6 if number == 1 else 1
        Image.fromarray(random.integers(0, 256, (12, 9, 3), dtype=np.uint8)).save(content, "PNG", exif=exif)
        made.append((f"{number:03}", content.getvalue(), (2, 0, 10)[number % 3]))
    return made


def tar(path: Path, wanted: Samples) -> None:
    with tarfile.open(path, "w") as archive:
        for name, content, label in wanted:
            parts = {"png": content} | ({"cls": str(label).encode()} if label is not None else {})
            for suffix, body in parts.items():
                member = tarfile.TarInfo(f"some/{name}.{suffix}")
                member.size = len(body)
                archive.addfile(member, io.BytesIO(body))


def parquet(path: Path, wanted: Samples, names: list[str] | None = None) -> None:
    images = [{"bytes": content, "path": name} for name, content, _ in wanted]
    frame = polars.DataFrame({"image": images})
    if wanted[0][2] is not None:
        frame = frame.with_columns(label=polars.Series([label for *_, label in wanted]))
    features = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    frame.write_parquet(path, metadata={"huggingface": json.dumps(features)} if names else None)


def same_as_folder(root: Path, index: Index, classes: dict[int, str]) -> None:
    for split, seed in (("train", 0), ("test", 1)):
        for number, (name, content, label) in enumerate(samples(seed)):
            folder = root / "folder" / split / classes[label or 0]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}-{name}.png").write_bytes(content)
    pack(root / "folder", root / "expected", 8)
    assert index.classes == tuple(sorted(classes.values()))
    for split in ("train", "test"):
        ours, theirs = Packed(root / "pack", split), Packed(root / "expected", split)
        assert ours.labels.tolist() == theirs.labels.tolist()
        assert ours.shapes.tolist() == theirs.shapes.tolist()
        rows = np.arange(6)
        assert np.array_equal(ours.take(rows).numpy(), theirs.take(rows).numpy())


def test_a_webdataset_gives_the_pack_of_a_folder_with_its_images(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    train = samples(0)
    tar(tmp_path / "web" / "x-train-0000.tar", train[:4])
    tar(tmp_path / "web" / "x-train-0001.tar", train[4:])
    tar(tmp_path / "web" / "x-validation-0000.tar", samples(1))
    index = pack(tmp_path / "web", tmp_path / "pack", 8)
    same_as_folder(tmp_path, index, {0: "00", 2: "02", 10: "10"})
    assert pack(tmp_path / "web", tmp_path / "pack", 8) == index


@pytest.mark.parametrize("named", [False, True])
def test_parquet_files_give_the_pack_of_a_folder_with_their_images(tmp_path: Path, named: bool) -> None:
    (tmp_path / "hub" / "data").mkdir(parents=True)
    names = [f"class {11 - number:02}" for number in range(11)] if named else None
    parquet(tmp_path / "hub/data/train-00000-of-00001.parquet", samples(0), names)
    parquet(tmp_path / "hub/data/test-00000-of-00001.parquet", samples(1), names)
    index = pack(tmp_path / "hub", tmp_path / "pack", 8)
    same_as_folder(tmp_path, index, {label: names[label] if names else f"{label:02}" for label in (0, 2, 10)})


def test_archives_without_labels_are_split_by_share_and_their_broken_images_are_named(tmp_path: Path) -> None:
    unlabelled: Samples = [(name, content, None) for name, content, _ in samples(0, 10)]
    unlabelled[3] = ("003", b"no image", None)
    tar(tmp_path / "a.tar", unlabelled)
    parquet(tmp_path / "a.parquet", unlabelled)
    for source, name in (("a.tar", "a.tar/some/003.png"), ("a.parquet", "a.parquet/00000003")):
        with pytest.raises(ValueError, match="has no test images"):
            pack(tmp_path / source, tmp_path / "pack", 8)
        with pytest.raises(ValueError, match=f"1 image cannot be read:\n  {name}: not an image"):
            pack(tmp_path / source, tmp_path / f"{source}-pack", 8, share=0.2)
        index = pack(tmp_path / source, tmp_path / f"{source}-pack", 8, share=0.2, skip_corrupt=True)
        assert index.classes == ()
        assert sum(split.count for split in index.splits.values()) == 9


def test_an_archive_beside_images_is_not_taken_for_the_data(tmp_path: Path) -> None:
    tar(tmp_path / "download.tar", samples(0))
    assert find_archives(tmp_path) == [tmp_path / "download.tar"]
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.png").write_bytes(samples(0)[0][1])
    assert find_archives(tmp_path) == []


def test_what_is_no_archive_or_has_no_images_or_labels_of_some_is_told(tmp_path: Path) -> None:
    for name in ("a.tar", "a.parquet"):
        (tmp_path / name).write_bytes(b"x" * 600)
        with pytest.raises(ValueError, match=rf"{name} (is not a tar file|cannot be read as a parquet file)"):
            pack(tmp_path / name, tmp_path / "pack", 8)
    polars.DataFrame({"text": ["a"]}).write_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet has no column of images; its columns are: text"):
        pack(tmp_path / "b.parquet", tmp_path / "pack", 8)
    tar(tmp_path / "b.tar", [*samples(0, 2), ("9", samples(1)[0][1], None)])
    with pytest.raises(ValueError, match="only some of the images have a class"):
        pack(tmp_path / "b.tar", tmp_path / "pack", 8)
