"""Editors: the schemas in Taplo's language server, which Even Better TOML bundles, and in ajv, which SchemaStore uses.

Both are npm packages: `npm install @taplo/lsp ajv ajv-formats` in a folder, named by ABLATE_NODE_MODULES.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ablate.run.cluster_file import cluster_schema
from ablate.study.json_schema import json_schema
from ablate.study.load import SHIPPED
from ablate.trainer.find import find_trainer

FOLDER = Path(os.environ.get("ABLATE_NODE_MODULES", "none"))
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules" / "@taplo" / "lsp").is_dir(),
    reason="needs node, and ABLATE_NODE_MODULES with @taplo/lsp, ajv and ajv-formats",
)
START = 'name = "x"\ntitle = "t"\nquestion = "q"\n'
CLAIM = '[[claims]]\nid = "A"\ntext = "t"\nsource = "s"\n'


def run(script: str, given: Any) -> Any:
    command = ["node", str(Path(__file__).parent / script)]
    done = subprocess.run(command, input=json.dumps(given), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_validator_in_strict_mode_takes_the_schemas() -> None:
    trainer = find_trainer()
    schemas = {"study": json_schema(trainer), "profile": json_schema(trainer, True), "cluster": cluster_schema()}
    assert run("strict.mjs", schemas) == {"study": None, "profile": None, "cluster": None}
    assert run("strict.mjs", {"x": {"identity": 1}}) == {"x": 'strict mode: unknown keyword: "identity"'}


def asked(folder: Path, texts: list[str]) -> list[dict[str, Any]]:
    """What the server offers at `|` in each text, if that is in it, and what it reports."""
    schema = folder / "study.schema.json"
    schema.write_text(json.dumps(json_schema(find_trainer())))
    questions = []
    for number, text in enumerate(texts):
        before, at, after = f"#:schema {schema.as_uri()}\n{text}".partition("|")
        lines = before.split("\n")
        place = {"line": len(lines) - 1 if at else None, "character": len(lines[-1])}
        questions.append({"uri": (folder / f"{number}.toml").as_uri(), "text": before + after, **place})
    answers: list[dict[str, Any]] = run("taplo.mjs", questions)
    return answers


def test_the_server_offers_keys_and_values_and_reports_the_key_that_is_wrong(tmp_path: Path) -> None:
    offered = {
        f"{START}|\n": {"design", "claims", "reference", "base.loss.temperature"},
        f"{START}[base]\n|\n": {"loss.temperature", "batch_size"},
        f"{START}[base.loss]\nname = |\n": {'"nt_xent"', '"margin"'},
        f"{START}[axes.t]\nsetting = |\n": {'"loss.temperature"', '"batch_size"'},
        f"{START}[design]\nkind = |\n": {'"leave_one_out"'},
        f"{START}{CLAIM}kind = |\n": {'"best"', '"rank_correlation"'},
        f'{START}{CLAIM}kind = "best"\n|\n': {"is", "cells", "margin"},
        f"{START}[reference]\n|\n": {"table", "where"},
        f"{START}[[cases]]\n|\n": {"label", "set.loss.temperature"},
    }
    wrong = {
        f"{START}sed = 3\n": "'sed' was unexpected",
        f'{START}[base]\nepochs = "three"\n': '"three" is not of type "integer"',
        f'{START}{CLAIM}kind = "bset"\n': '"bset" is not one of',
        f'{START}{CLAIM}kind = "best"\nis = "a == 1"\nmargn = 5\n': "'margn' was unexpected",
        'name = "x"\n': '"title" is a required property',
    }
    studies = [path.read_text(encoding="utf-8") for path in sorted(SHIPPED.glob("*.toml"))]
    answers = asked(tmp_path, [*offered, *wrong, *studies])
    for (text, expected), answer in zip(offered.items(), answers, strict=False):
        assert expected <= set(answer["labels"]), f"{text}\n{answer}"
    for (text, expected), answer in zip(wrong.items(), answers[len(offered) :], strict=False):
        messages = [each["text"] for each in answer["messages"]]
        assert any(expected in message for message in messages), f"{text}\n{messages}"
        assert not any("any of the schemas" in message for message in messages), f"{text}\n{messages}"
    for path, answer in zip(sorted(SHIPPED.glob("*.toml")), answers[len(offered) + len(wrong) :], strict=True):
        assert answer["messages"] == [], path
