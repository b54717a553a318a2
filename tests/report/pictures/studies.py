"""Records of studies with real settings and checkpoints, without training anything."""

from pathlib import Path
from typing import Any

import torch

from ablate.judge.evidence import Evidence
from ablate.records.files import Results, write_json
from ablate.report.reading import read_study
from ablate.simclr.base.checkpoint import Checkpoints
from ablate.simclr.config import RECIPE_VERSION, Config
from ablate.simclr.hooks import prepare
from ablate.simclr.model import make_model
from ablate.simclr.pretrain import owner
from tests.records.by_hand import save_record, write_trial

TEXTURES = {"name": "textures", "train_images": 64, "test_images": 40, "image_size": 16}
CONFIG: dict[str, Any] = {
    "batch_size": 16,
    "epochs": 1,
    "warmup_epochs": 0,
    "encoder": {"name": "resnet8", "stem": "strided"},
    "head": {"output_dimension": 8},
}
PAIRS: dict[tuple[str, str], float | None] = {
    ("crop", "crop"): 30.0,
    ("crop", "color"): 60.0,
    ("color", "crop"): 50.0,
    ("color", "color"): 20.0,
}


def config_of(first: str, second: str, data: dict[str, Any] | None = None, **settings: Any) -> Config:
    augment = {"transforms": [first, second], "views": "one", "base_crop": True}
    config = Config.model_validate({**CONFIG, "data": data or TEXTURES, "augment": augment, **settings})
    return prepare(config)


def study_of_pairs(
    folder: Path,
    top1: dict[tuple[str, str], float | None] | None = None,
    data: dict[str, Any] | None = None,
    classes: int = 10,
    trainer: str = "ablate.simclr.trainer:train",
    recipe: int = RECIPE_VERSION,
) -> Results:
    """A study like Fig. 5 whose trials are done, but for those without a number."""
    results, planned = Results(folder / "results"), []
    for place, ((first, second), value) in enumerate((top1 or PAIRS).items()):
        key = f"{place:064x}"
        config = config_of(first, second, data)
        write_trial(results, key, "failed" if value is None else "done", numbers={"top1": value})
        record = {"key": key, "pretrain_key": f"p{place}", "trainer": trainer, "recipe_version": recipe}
        write_json(results.trial(key).trial, record | {"config": config.model_dump(mode="json")})
        save_untrained(results, f"p{place}", config, classes)
        planned.append({"key": key, "seed": 0, "axes": {"first": first, "second": second}, "case": None})
    values = list(dict.fromkeys(name for pair in top1 or PAIRS for name in pair))
    axes = [
        {"name": name, "setting": f"augment.transforms.{place}", "values": values}
        for place, name in enumerate(("first", "second"))
    ]
    plan = {"study": "pairs", "profile": "embedded", "design": "d", "title": "Pairs", "question": "Which?"}
    save_record(results, "pairs", plan | {"trainer": trainer, "axes": axes, "cases": [], "trials": planned})
    return results


def save_untrained(results: Results, pretrain_key: str, config: Config, classes: int = 10) -> Path:
    """A checkpoint of the initial weights, as the end of a pretraining."""
    model = make_model(config, classes, torch.device("cpu"))
    store = Checkpoints(results.pretrained(pretrain_key), owner(config))
    return store.finish({"model": model.state_dict(), "metrics": {}})


def measured(results: Results) -> Evidence:
    return read_study(results, "pairs", None).measured
