import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Ablate


@pytest.fixture
def source(project: Path) -> Path:
    """An image folder in the project: two classes, four training and two test images each."""
    for split, count in (("train", 4), ("test", 2)):
        for name in ("cat", "dog"):
            folder = project / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (30, 20), (number, 0, 0)).save(folder / f"{number}.png")
    return project / "photos"


@pytest.mark.usefixtures("source")
def test_a_folder_is_packed_then_verified_and_one_changed_byte_is_found(project: Path, ablate: Ablate) -> None:
    packed = ablate("data", "pack", "photos", "out", "--size", "16", "--workers", "1")
    assert packed.returncode == 0
    assert packed.stdout.startswith("out: 8 train, 4 test; 2 classes, 16 pixels, fingerprint ")
    assert packed.stderr == ""  # a bar is for terminals
    index = json.loads((project / "out" / "index.json").read_text())
    assert index["fingerprint"].startswith(packed.stdout.split()[-1])
    assert ablate("data", "verify", "out").stdout == packed.stdout
    shard = project / "out" / "test" / "shard-00000.bin"
    shard.write_bytes(b"\xff" + shard.read_bytes()[1:])
    wrong = ablate("data", "verify", "out")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: out/test/shard-00000.bin: the pack is damaged: its SHA-256")


def test_unreadable_images_are_told_and_left_out_on_demand(source: Path, ablate: Ablate) -> None:
    (source / "train" / "dog" / "2.png").write_text("no image")
    refused = ablate("data", "pack", "photos", "out", "--size", "16")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: 1 image cannot be read:\n  train/dog/2.png: not an image\n")
    packed = ablate("data", "pack", "photos", "out", "--size", "16", "--skip-corrupt")
    assert packed.stdout.splitlines()[0].startswith("out: 7 train, 4 test;")
    assert packed.stdout.splitlines()[1] == "1 unreadable image left out (listed in out/index.json)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("get", "cifar11"), "error: unknown data set 'cifar11'; did you mean 'cifar10'?"),
        (("get", "oxford_pet"), "error: unknown data set 'oxford_pet'; did you mean 'oxford_iiit_pet'?"),
        (("pack", "nowhere", "out"), "error: nowhere is neither a folder nor a CSV list of images"),
        (("pack", "photos", "photos"), "error: photos/train contains folders and cannot hold a pack"),
        (("pack", "photos", "studies/tiny.toml"), "error: "),
        (("pack", "photos", "out", "--background", "white"), "error: --background 'white' is not a color"),
        (("look", "photos", "--split", "0.5"), "error: data.split = 0.5 draws test images, but photos has its own"),
        (("verify", "photos"), "error: photos is not a complete pack (index.json is missing)"),
    ],
)
@pytest.mark.usefixtures("source")
def test_a_mistake_is_one_clear_error_with_exit_code_2(
    ablate: Ablate, arguments: tuple[str, ...], message: str
) -> None:
    result = ablate("data", *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith(message)
    assert "Traceback" not in result.stderr


@pytest.mark.usefixtures("source")
def test_a_look_prints_what_would_be_read_and_writes_a_contact_sheet(project: Path, ablate: Ablate) -> None:
    looked = ablate("data", "look", "photos", "--sheet", "sheet.png")
    assert looked.stdout.splitlines() == [
        "train: 8 images of 2 classes (4 each): cat, dog",
        "test: 4 images of 2 classes (2 each): cat, dog",
        "in test with the same content as in train: 4",
        *(f"  test/{name}/{number}.png = train/dog/{number}.png" for name in ("cat", "dog") for number in (0, 1)),
        "contact sheet: sheet.png",
    ]
    with Image.open(project / "sheet.png") as sheet:
        assert sheet.size == (800, 232)


def test_an_unknown_name_lists_all_sets(ablate: Ablate) -> None:
    told = ablate("data", "get", "imagenet").stderr
    assert all(name in told for name in ("cifar10", "voc2007", "flowers102", "ablate data pack SRC DST"))


def test_a_named_set_goes_to_a_folder_of_its_name_below_data(project: Path) -> None:
    code = """
        import sys
        from PIL import Image
        from ablate.cli import main
        from ablate.simclr.base.vision import torchvision

        class Fake(list):
            classes = ["a", "b"]
            def __init__(self, root, download, **wanted):
                assert download
                super().__init__([(Image.new("RGB", (9, 9)), 0), (Image.new("RGB", (9, 9)), 1)])

        torchvision.datasets.STL10 = Fake
        sys.argv = ["ablate", "data", "get", "stl10", *sys.argv[1:]]
        main()
    """
    command = [sys.executable, "-c", "\n".join(line[8:] for line in code.splitlines())]
    for arguments, folder, size in (((), "data/stl10", 96), (("--to", "here", "--size", "24"), "here", 24)):
        done = subprocess.run([*command, *arguments], cwd=project, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"{folder}: 2 train, 2 test; 2 classes, {size} pixels")
        assert (project / folder / "train" / "shard-00000.bin").stat().st_size == 2 * 3 * size**2
