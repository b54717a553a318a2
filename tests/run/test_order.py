"""The shipped trainer may train trial after trial in one process: the order of trials changes no bit."""

import json
from pathlib import Path
from typing import Any

import torch

from ablate.records.files import Results, write_json
from ablate.run.pool import Pool
from ablate.simclr.config import Config
from ablate.trainer.find import DEFAULT_TRAINER

COMMON = {
    "batch_size": 16,
    "epochs": 1,
    "warmup_epochs": 0.5,
    "data": {"name": "textures", "train_images": 48, "test_images": 30, "image_size": 16},
}
VERY_DIFFERENT: dict[str, dict[str, Any]] = {
    "001abc": {
        **COMMON,
        "encoder": {"name": "resnet8", "stem": "strided"},
        "head": {"output_dimension": 8},
        "optimizer": {"name": "adamw", "learning_rate": 0.01, "scaling": "none"},
        "evaluate": {"parts": ["cached_linear", "knn"]},
    },
    "002abc": {
        **COMMON,
        "seed": 3,
        "precision": "float64",
        "data": {"name": "textures", "train_images": 32, "test_images": 20, "image_size": 12},
        "augment": {"transforms": ["crop", "blur"]},
        "encoder": {"name": "resnet8", "stem": "imagenet"},
        "head": {"name": "linear"},
        "evaluate": {"parts": ["transformation"], "transformation": {"epochs": 1, "batch_size": 16}},
    },
}


def trained(folder: Path, order: list[str]) -> dict[str, tuple[dict[str, Any], dict[str, torch.Tensor]]]:
    """The numbers and the weights of trials that one process trained in this order."""
    results = Results(folder)
    for key, settings in VERY_DIFFERENT.items():
        config = Config.model_validate(settings)
        spec = {"key": key, "pretrain_key": key, "trainer": DEFAULT_TRAINER, "config": config.model_dump(mode="json")}
        write_json(results.trial(key).trial, spec)
    with Pool(results, 1, 1, "cpu", fresh=False) as pool:
        outcomes = dict(pool.run({key: key for key in order}, tick=lambda: None))
    assert [outcome["state"] for outcome in outcomes.values()] == ["done", "done"], outcomes
    processes = set()
    found = {}
    for key in order:
        events = (results.trial(key).attempts / "001-local" / "events.jsonl").read_text().splitlines()
        processes.add(json.loads(events[0])["pid"])
        metrics = json.loads(results.trial(key).result.read_text())["metrics"]
        numbers = {name: value for name, value in metrics.items() if "second" not in name}
        (checkpoint,) = results.pretrained(key).rglob("final-*.pt")
        found[key] = (numbers, _tensors(torch.load(checkpoint, weights_only=True)))
    assert len(processes) == 1
    return found


def _tensors(value: Any, name: str = "") -> dict[str, torch.Tensor]:
    """All tensors of a nested state, by their places in it."""
    if isinstance(value, torch.Tensor):
        return {name: value}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    return {place: each for key, part in items for place, each in _tensors(part, f"{name}.{key}").items()}


def test_very_different_trials_get_the_same_bits_in_either_order(tmp_path: Path) -> None:
    keys = list(VERY_DIFFERENT)
    one, other = trained(tmp_path / "one", keys), trained(tmp_path / "other", keys[::-1])
    for key in keys:
        (numbers, weights), (same_numbers, same_weights) = one[key], other[key]
        assert numbers
        assert numbers == same_numbers
        assert weights
        assert weights.keys() == same_weights.keys()
        assert all(torch.equal(weights[name], same_weights[name]) for name in weights)
