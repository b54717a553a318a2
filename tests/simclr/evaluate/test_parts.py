"""The parts of an evaluation, each on a small model that was pretrained for a moment."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ablate.simclr.config import Config
from ablate.simclr.data.dataset import Dataset, load
from ablate.simclr.data.images import Resident, Split, balanced, joined, named, share_of_each
from ablate.simclr.data.pack import pack
from ablate.simclr.evaluate.frozen import Frozen
from ablate.simclr.evaluate.transfer import labelled
from ablate.simclr.evaluate.transformation import _transform
from ablate.simclr.pretrain import pretrain
from ablate.simclr.trainer import PARTS, evaluate, train
from tests.simclr.conftest import Listener, small_config

CPU = torch.device("cpu")


def pretrained(data: Dataset, listener: Listener | None = None, **changes: Any) -> Frozen:
    config = small_config(**changes)
    model, _ = pretrain(config, data, Listener())
    return Frozen(config, model, data, listener or Listener())


@pytest.mark.parametrize("part", ["contrastive", "geometry"])
def test_the_online_probes_top1_is_never_the_trials(data: Dataset, part: str) -> None:
    found = evaluate(pretrained(data, evaluate={"parts": [part]}))
    assert "online_test_top1" in found
    assert "top1" not in found


def test_every_part_that_the_settings_may_name_gives_finite_numbers_and_a_row(data: Dataset, pack_root: Path) -> None:
    names = [name for name in PARTS if name not in ("classifier", "spectrum")]
    settings = {
        "parts": names,
        "linear": {"epochs": 2, "batch_size": 24},
        "finetune": {"epochs": 1, "batch_size": 8, "label_share": 0.5},
        "transfer": {"root": pack_root},
        "transformation": {"epochs": 2},
    }
    case = pretrained(data, listener := Listener(), evaluate=settings)
    found = evaluate(case)
    assert [row["phase"] for row in listener.rows] == names
    assert all(math.isfinite(value) for value in found.values())
    assert found["top1"] == found["linear_top1"]
    for name, right in case.correct.items():
        assert found[name] == 100 * int(right.sum()) / 40, name
    assert list(case.correct) == ["linear_top1", "cached_linear_top1", "knn_top1", "finetune_top1"]
    assert listener.correct == {"top1": case.correct["linear_top1"].tolist()}  # one record, of the first part
    assert found["linear_minus_cached"] == found["linear_top1"] - found["cached_linear_top1"]
    assert found["finetune_images"] == 40  # half of 7 or 8 images a class, rounded
    assert 0 <= found["transfer_top1"] <= 100


@pytest.mark.parametrize("part", ["contrastive", "geometry", "transformation"])
def test_a_part_gives_the_same_numbers_for_the_same_checkpoint(data: Dataset, part: str) -> None:
    case = pretrained(data, evaluate={"parts": [part]})
    again = Frozen(case.config, case.model, data, Listener())
    assert PARTS[part](case) == PARTS[part](again)  # type: ignore[index]


@pytest.mark.parametrize(("target", "chance"), [("rotation", 25), ("noise", 50), ("sobel", 50)])
def test_transformations_are_told_at_least_as_well_as_by_chance_which_is_the_papers(target: str, chance: float) -> None:
    config = small_config(
        data={"name": "textures", "image_size": 16, "train_images": 600, "test_images": 400},
        evaluate={"parts": ["transformation"], "transformation": {"target": target, "epochs": 20}},
    )
    found = train(config, Listener())
    assert found["transformation_chance"] == pytest.approx(chance, abs=6)
    if target != "rotation":  # a texture turned by a quarter is mostly another texture
        assert float(found["transformation_h_top1"]) > float(found["transformation_chance"])
        guessing = 100 * (0.5 * 0.5 / 400) ** 0.5  # the deviation of guesses on the test images; z may hold nothing
        assert float(found["transformation_z_top1"]) > chance - 4 * guessing


def test_color_distortion_is_told_where_all_images_have_one_tint(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for split, count in (("train", 400), ("test", 200)):
        for number in range(count):
            folder = tmp_path / split / str(number % 2)
            folder.mkdir(parents=True, exist_ok=True)
            tinted = random.integers(60, 255, (16, 16, 1)) * np.array([1.0, 0.8, 0.5])
            Image.fromarray(tinted.astype(np.uint8)).save(folder / f"{number}.png")
    config = small_config(
        data={"name": "folder", "root": tmp_path, "image_size": 16},
        evaluate={"parts": ["transformation"], "transformation": {"target": "color", "epochs": 20}},
    )
    found = train(config, Listener())
    assert found["transformation_chance"] == pytest.approx(80, abs=6)
    assert float(found["transformation_h_top1"]) > float(found["transformation_chance"]) + 5


def test_a_transformed_image_is_the_one_that_its_label_says() -> None:
    images = torch.rand(4, 3, 8, 8)
    labels, seeds = np.array([0, 1, 2, 3]), np.arange(4, dtype=np.int32)

    def made(target: str, which: np.ndarray = labels) -> torch.Tensor:
        settings = small_config(evaluate={"transformation": {"target": target}}).evaluate.transformation
        return _transform(images, which, seeds, settings)

    for turns in range(4):
        assert torch.equal(made("rotation")[turns], images[turns].rot90(turns, (1, 2)))
    some = np.array([0, 1, 0, 1])
    for target in ("color", "noise", "sobel"):
        changed = made(target, some)
        assert torch.equal(changed[::2], images[::2])
        assert (changed[1::2] - images[1::2]).abs().mean() > 0.05
    gray = made("color", some)[1]
    assert torch.equal(gray[0], gray[2])
    assert made("noise", some)[1].sub(images[1]).std().item() == pytest.approx(0.2, rel=0.4)  # before it is clipped


def test_contrastive_numbers_of_views_that_are_alike_are_those_of_a_perfect_match(data: Dataset) -> None:
    alike, sharp = {"transforms": []}, {"temperature": 1e-5}
    case = pretrained(data, epochs=0, augment=alike, loss=sharp, evaluate={"parts": ["contrastive"]})
    found = PARTS["contrastive"](case)
    assert found["contrastive_test_accuracy"] == 100
    assert found["contrastive_test_entropy"] < 0.1


def test_the_spectrum_of_a_linear_head_is_numpys_one_eigenvalue_a_row(data: Dataset) -> None:
    case = pretrained(data, listener := Listener(), head={"name": "linear", "output_dimension": 64})
    PARTS["spectrum"](case)
    weight = case.model.head.last[0].weight.detach().double().numpy()
    expected = np.sort(np.abs(np.linalg.eigvals(weight)) ** 2)[::-1]
    assert [row["number"] for row in listener.rows] == list(range(1, 65))
    np.testing.assert_allclose([row["squared_eigenvalue"] for row in listener.rows], expected, rtol=1e-6)


def test_finetuning_moves_the_encoder_of_a_copy_and_leaves_the_frozen_one(data: Dataset) -> None:
    case = pretrained(data, evaluate={"parts": ["finetune"], "finetune": {"epochs": 3, "label_share": 1.0}})
    before = {name: value.clone() for name, value in case.model.state_dict().items()}
    found = PARTS["finetune"](case)
    assert found["finetune_images"] == 72
    assert all(torch.equal(value, before[name]) for name, value in case.model.state_dict().items())


def test_more_labels_make_finetuning_better() -> None:
    config = small_config(
        epochs=4,
        data={"name": "textures", "image_size": 16, "train_images": 1000, "test_images": 500},
        evaluate={"parts": ["finetune"], "finetune": {"epochs": 20, "batch_size": 32, "learning_rate": 0.4}},
    )
    data = load(config.data, CPU)
    model, _ = pretrain(config, data, Listener())
    top1 = []
    for share in (0.01, 1.0):
        settings = config.evaluate.finetune.model_copy(update={"label_share": share})
        changed = config.model_copy(update={"evaluate": config.evaluate.model_copy(update={"finetune": settings})})
        top1.append(PARTS["finetune"](Frozen(changed, model, data, Listener()))["finetune_top1"])
    assert top1[1] > top1[0] + 20


def test_a_share_of_the_labels_is_the_same_share_of_every_class_and_smaller_ones_are_within() -> None:
    labels = np.repeat(np.arange(5), [100, 100, 200, 50, 3])
    tenth, all_of_it = share_of_each(labels, 0.1, seed=0), share_of_each(labels, 1.0, seed=0)
    assert np.bincount(labels[tenth]).tolist() == [10, 10, 20, 5, 1]
    assert set(share_of_each(labels, 0.05, seed=0)) <= set(tenth)
    assert np.array_equal(all_of_it, np.arange(453))
    assert not np.array_equal(tenth, share_of_each(labels, 0.1, seed=1))


def test_a_balanced_subset_has_as_many_images_of_every_class() -> None:
    labels = np.arange(1000) % 7
    chosen = balanced(labels, 100, seed=0)
    assert sorted(np.bincount(labels[chosen]).tolist()) == [14] * 5 + [15] * 2
    assert set(balanced(labels, 50, seed=0)) <= set(chosen)


def test_a_list_file_names_the_images_whose_labels_are_used(tmp_path: Path) -> None:
    names = [f"train/a/{number}.png" for number in range(10)]
    (tmp_path / "list.txt").write_text("7.png\n2.png\n\n")
    assert named(names, tmp_path / "list.txt").tolist() == [2, 7]
    both = ["train/cat/0.png", "train/dog/0.png"]
    (tmp_path / "list.txt").write_text("dog/0.png\n")
    assert named(both, tmp_path / "list.txt").tolist() == [1]
    (tmp_path / "list.txt").write_text("0.png\n")
    with pytest.raises(ValueError, match=r"several images are called '0\.png'; write <class>/<name>"):
        named(both, tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("7.png\nother.png\n")
    with pytest.raises(ValueError, match=r"1 of 2 images are not in the data set, first 'other\.png'"):
        named(names, tmp_path / "list.txt")


@pytest.fixture(scope="module")
def pack_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pack of three classes that differ in color, not square."""
    root = tmp_path_factory.mktemp("source")
    random = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 10)):
        for channel, name in enumerate(("red", "green", "blue")):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                levels = random.integers(0, 120, (18, 24, 3))
                levels[..., channel] += 100
                Image.fromarray(levels.astype(np.uint8)).save(root / split / name / f"{number}.png")
    pack(root, root.parent / "pack", size=20)
    return root.parent / "pack"


def packed_config(root: Path, **changes: Any) -> Config:
    return small_config(data={"name": "packed", "root": root, "image_size": 16, "center_crop": 0.875}, **changes)


def test_a_trial_on_a_pack_is_the_same_whether_its_images_are_kept_in_memory(
    pack_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for budget in (2**29, 0):
        load.cache_clear()
        monkeypatch.setattr("ablate.simclr.data.dataset._RESIDENT_BYTES", budget)
        found = train(packed_config(pack_root, epochs=8), Listener())
        results.append({name: value for name, value in found.items() if "seconds" not in name})
    load.cache_clear()
    assert results[0] == results[1]
    assert float(results[0]["top1"]) > 60 > 100 / 3  # color tells the class


def test_labels_named_by_a_file_are_found_in_a_pack(pack_root: Path, tmp_path: Path) -> None:
    (tmp_path / "subset.txt").write_text("red/3.png\n")
    config = packed_config(pack_root, evaluate={"finetune": {"subset": tmp_path / "subset.txt"}})
    data = load(config.data, CPU)
    rows = labelled(data.train, config.evaluate.finetune)
    assert data.train.names is not None
    assert data.train.names()[rows[0]].endswith("red/3.png")


@pytest.mark.parametrize("layer", ["h", "hidden", "z"])
def test_linear_evaluation_by_the_papers_protocol_learns_what_the_layer_tells(pack_root: Path, layer: str) -> None:
    settings = {"parts": ["linear"], "layer": layer, "linear": {"epochs": 60, "batch_size": 20}}
    found = train(packed_config(pack_root, epochs=0, evaluate=settings), Listener())
    assert found["top1"] == found["linear_top1"]
    assert float(found["top1"]) > 60 > 100 / 3


@pytest.mark.parametrize("mode", ["linear", "finetune", "random_init"])
def test_transfer_to_another_data_set_gives_its_metric(data: Dataset, pack_root: Path, mode: str) -> None:
    settings = {"root": pack_root, "mode": mode, "steps": 30, "batch_size": 16, "learning_rate": 0.05}
    case = pretrained(data, evaluate={"parts": ["transfer"], "transfer": settings})
    found = PARTS["transfer"](case)
    assert found["transfer"] == found["transfer_top1"]
    assert found["transfer_top1"] > 60  # three classes that color tells
    assert ("transfer_l2" in found) == (mode == "linear")


def test_textures_transfer_to_textures_of_other_classes_where_no_pack_is_named(data: Dataset) -> None:
    found = PARTS["transfer"](pretrained(data, evaluate={"parts": ["transfer"]}))
    assert 0 < found["transfer_top1"] < 100


def test_alignment_and_uniformity_are_those_of_the_normalized_z_of_the_test_images(data: Dataset) -> None:
    case = pretrained(data, augment={"transforms": []}, evaluate={"parts": ["geometry"]})
    found = PARTS["geometry"](case)
    z = F.normalize(case.features("test", "z").double(), dim=1)
    distances = torch.cdist(z, z).square()[~torch.eye(40, dtype=torch.bool)]
    assert found["uniformity"] == pytest.approx(math.log(distances.mul(-2).exp().mean()), rel=1e-4)
    assert found["alignment"] == pytest.approx(0, abs=1e-9)  # views without transformation are alike
    assert 1 <= found["effective_rank_z"] <= 8


def test_two_sets_joined_stream_the_images_of_both() -> None:
    def numbered(first: int, count: int) -> Split:
        levels = torch.arange(first, first + count, dtype=torch.uint8)
        pixels = levels[:, None, None, None].expand(-1, 3, 4, 4).contiguous()
        return Split(Resident(pixels), torch.arange(count))

    both = joined(numbered(0, 10), numbered(10, 5))
    assert len(both.images) == len(both.labels) == 15
    orders = [np.array([14, 3, 10, 0]), np.array([1, 2]), np.array([12])]
    streamed = [batch[:, 0, 0, 0].tolist() for batch in both.images.stream(orders, CPU)]
    assert streamed == [[14, 3, 10, 0], [1, 2], [12]]
