"""How long the page of 1,000 trials of 100 epochs takes to build, and the index over 25 studies; with their sizes."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ablate.records.files import Results, write_json
from tests.bench.common import spread
from tests.records.by_hand import save_record

EPOCHS, SEEDS, SIDE, STUDIES = 100, 5, (20, 10), 25
_BUILD = """
import sys, time
began = time.perf_counter()
from pathlib import Path
from ablate.records.files import Results
from ablate.records.store import open_store
from ablate.report.index import write_index
from ablate.report.page import write_page
from ablate.report.reading import read_study
results, reports = Results(Path(sys.argv[1])), Path(sys.argv[1]) / "reports"
imported = time.perf_counter()
open_store(results).close()
stored = time.perf_counter()
page = write_page(results, read_study(results, "large", None), reports)
written = time.perf_counter()
index = write_index(results, reports)
ended = time.perf_counter()
spans = (imported - began, stored - imported, written - stored, ended - written)
print(*spans, page.stat().st_size / 1e6, index.stat().st_size / 1e6)
"""
_CLAIMS = [
    {"id": "A1", "kind": "best", "is": "x == 9"},
    {"id": "A2", "kind": "greater", "left": "x == 9", "right": "x == 0"},
    {"id": "A3", "kind": "monotone", "along": "x"},
    {"id": "A4", "kind": "at_least", "value": 20.0},
]


def measure(runs: int = 5) -> dict[str, Any]:
    """Seconds in fresh processes; MB of the files."""
    with tempfile.TemporaryDirectory() as folder:
        results = Results(Path(folder))
        _fill(results)
        rows = [_built(results) for _ in range(runs)]
    names = ("imports", "store_from_nothing", "page", "index", "page_size", "index_size")
    figures = {name: spread([row[place] for row in rows]) for place, name in enumerate(names)}
    about = {"trials": SIDE[0] * SIDE[1] * SEEDS, "epochs": EPOCHS, "studies": STUDIES + 1}
    aim = "page of 1,000 trials 5 s and 3 MB, index over 25 studies 10 s"
    return {"unit": "seconds; MB", "aim": aim, **about, **figures}


def _built(results: Results) -> list[float]:
    results.database.unlink(missing_ok=True)
    script = (
        results.root / "build.py"
    )  # a file: with -c DuckDB takes the process for a session, and draws progress bars
    script.write_text(_BUILD, encoding="utf-8")
    command = [sys.executable, str(script), str(results.root)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(results.root / "cache")}  # the first run makes Vega's script
    run = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return [float(text) for text in run.stdout.split()]


def _fill(results: Results) -> None:
    """One study of all trials, and 25 that have a row of its grid each and make claims about it."""
    trials = []
    for x in range(SIDE[1]):
        for y in range(SIDE[0]):
            for seed in range(SEEDS):
                key = f"{len(trials):064x}"
                _finish(results, key, seed, 30.0 + 3 * x + y / 10 + ((x * 7 + y * 3 + seed * 11) % 13) / 5)
                trials.append({"key": key, "seed": seed, "axes": {"y": y, "x": x}, "case": None})
    _plan(results, "large", trials)
    for number in range(STUDIES):
        row = [trial for trial in trials if trial["axes"]["y"] == number % SIDE[0]]
        _plan(results, f"study{number}", [{**trial, "axes": {"x": trial["axes"]["x"]}} for trial in row])


def _plan(results: Results, study: str, trials: list[dict[str, Any]]) -> None:
    names = list(trials[0]["axes"])
    axes = [{"name": name, "values": list(dict.fromkeys(trial["axes"][name] for trial in trials))} for name in names]
    claims = [{**claim, "text": "It is so.", "source": "section 1"} for claim in _CLAIMS]
    about = {"study": study, "profile": "embedded", "design": "d", "title": study, "question": "What is best?"}
    parts = {"metric": "top1", "axes": axes, "cases": [], "claims": claims, "references": [], "trials": trials}
    save_record(results, study, json.loads(json.dumps({**about, **parts})))


def _finish(results: Results, key: str, seed: int, top1: float) -> None:
    folder = results.trial(key)
    attempt = folder.new_attempt("local")
    config = {"seed": seed, "epochs": EPOCHS, "data": {"name": "textures", "train_images": 500, "image_size": 32}}
    config["encoder"] = {"name": "resnet8"}
    write_json(folder.trial, {"key": key, "pretrain_key": key, "trainer": "a:b", "recipe_version": 1, "config": config})
    write_json(attempt / "env.json", {"host": "h", "device": "cpu", "packages": {"torch": "2"}})
    events = [
        {"event": "started", "time": 0.0, "host": "h", "pid": 1},
        {"event": "ended", "time": 9.0, "state": "done"},
    ]
    (attempt / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    rows = (
        {"phase": "pretrain", "epoch": epoch, "loss": 3.0 / epoch, "learning_rate": 0.1, "pairs_per_second": 900.0}
        for epoch in range(1, EPOCHS + 1)
    )
    (attempt / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_json(folder.result, {"key": key, "attempt": attempt.name, "top1": top1, "loss": 0.03, "seconds": 9.0})
