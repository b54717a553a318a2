"""The table of docs/reliability.md, from the committed figures of a campaign."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.common import facts
from tests.chaos.faults import KINDS

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
RESULTS = Path(__file__).parent / "results"


def save(faults: int, seed: int, operations: int, seconds: float, rows: Mapping[str, Any]) -> None:
    """Write the figures, with the machine's facts; kinds that were not tried this time keep theirs."""
    path = RESULTS / "chaos.json"
    others = json.loads(path.read_text())["kinds"] if path.exists() else {}
    rows = {kind: (others | rows)[kind] for kind in KINDS if kind in others | rows}
    command = f"python -m tests.chaos --faults {faults} --seed {seed}"
    figures = {"command": command, **facts(), "seconds": round(seconds), "operations": operations, "kinds": rows}
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")


def blocks() -> dict[str, str]:
    """Name of a marked block -> its text, by the committed figures."""
    from tests.chaos.campaign import table

    figures = json.loads((RESULTS / "chaos.json").read_text())
    told = (
        f"`{figures['command']}`, commit {figures['commit'][:7]}, {figures['date']}, {figures['cores']} cores, "
        f"{figures['seconds'] // 60 + 1} minutes. "
        f"One run of one trial makes {figures['operations']} operations that write below `results/`."
        f"{figures.get('note', '')}"
    )
    found = {"faults": f"{table(figures['kinds'])}\n\n{told}"}
    if (RESULTS / "peers.json").exists():
        from tests.chaos.peers import table as table_of_peers

        found["peers"] = table_of_peers(json.loads((RESULTS / "peers.json").read_text()))
    return found


def written(text: str) -> str:
    """The document with its blocks by the committed figures."""
    for name, block in blocks().items():
        mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = mark.sub(lambda match, block=block: f"{match[1]}{block}\n{match[2]}", text)
    return text


def write_document() -> None:
    """Rewrite the blocks of docs/reliability.md."""
    DOCUMENT.write_text(written(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
