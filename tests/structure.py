"""The structure of the package as numbers: printed by `python -m tests.structure`, held by test_structure.py."""

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "ablate"
SINCE: Mapping[str, str] = {
    "judge.on_paper": "claims on the paper's numbers, which need no seeds, apart from answers by measurements",
    "judge.outliers": "runs that collapsed or failed, which can withhold a verdict",
    "judge.statistics.comparisons": "all comparisons of a claim with their numbers, apart from its decision",
    "judge.statistics.sequential": "repeated looks, apart from decisions at a single look",
    "judge.statistics.describe": "descriptions of a comparison that decide nothing, apart from the tests that decide",
    "records.together": "the waits of many files for the disk at once, apart from what is written",
    "records.published": "records as one Parquet file that git keeps, and back",
    "records.without_paths": "the paths of a machine, cut from records that others read",
    "records.correct": "which test examples a trial got right, as bits",
    "trainer.rendezvous": "how the ranks of a job find each other, apart from what they compute together",
    "run.context": "what a trainer may call during a run, apart from the attempt around it",
    "judge.described": "descriptions of the comparisons of a claim, from evidence and records",
    "judge.settings": "the settings of up to 100,000 trials, parsed and kept once where they are shared",
    "judge.combinations": "which combinations of parts were measured, apart from the effects computed from them",
    "judge.comparison_rows": "the numbers of all comparisons by name, for JSON and export",
    "records.update": "what changes the store, whose imports readers of an unchanged store do without",
    "report.render.kept": "charts kept for the next page, without the slow imports that draw them",
    "report.charts.logged": "what trials logged, for pages whose charts are drawn already",
    "report.charts.forest": "the forest plot of a claim",
    "judge.statistics.image_variance": "the share of the test images in a comparison's variance",
    "simclr.evaluate.histograms": "color histograms that identify images (Fig. 6), which need no network",
    "simclr.data.archives": "WebDataset and Hugging Face archives as sources of a pack",
    "simclr.data.formats": "the suffixes of images, for planning without Pillow",
    "simclr.data.scan": "the images of any layout of folders, and what is left out",
    "simclr.data.csv_list": "lists of images",
    "simclr.data.content": "identity by content",
    "simclr.data.reader": "one reader of image files for folders, packs and `data look`",
    "simclr.data.fit": "what a trial needs of its images",
    "simclr.config.mistakes": "the config of the trainer alone, and its mistakes in words",
    "simclr.data.look": "`ablate data look`",
    "report.macros": "the numbers of a paper as LaTeX macros, and whether they still agree with the records",
    "commands.streams": "standard output and error; split from `output`, which had grown too large",
    "run.gpu": "a worker's part of a GPU, apart from the machine's other means",
    "run.mps": "NVIDIA's daemon for workers that share a GPU: its start, its end and its check, apart from the pool",
    "simclr.base.color_kernel": "the one module that imports Triton",
    "simclr.graph": "a step of the training as a CUDA graph, apart from what it computes",
    "simclr.fusion": "whether trainings as one network pay, and how many fit",
    "simclr.group": "trainings that do each step together, apart from the decision to do so",
    "simclr.model.fused": "several models as one network, apart from the training that uses it",
    "run.companions": "which trials a worker takes along, in the pool and in the attempt",
    "simclr.means": "sums on the device that are read without a wait",
    "simclr.model.synchronized": "batch norm over GPUs without a wait in each layer",
    "records.strict": "JSON with finite numbers and without deep nesting, apart from the forms of records",
    "records.signatures": "which of 100,000 trials changed, without reading them: for the store and for plans",
    "records.space": "what takes space below a folder; split from `files`, which had two subjects",
    "run.slurm.controller": "how Slurm's commands are run, apart from what is asked of them",
    "run.slurm.command": "how a job starts Python: which one, and in which container",
    "run.slurm.rehearsal": "the jobs of a run, shown to sbatch by `ablate doctor`",
    "study.schema.resources": "what a trial needs; split from `schema.study`, which was full",
    "run.slurm.room": "how many jobs a cluster accepts, and fewer when it refuses",
    "run.slurm.watch": "the follow-up job of a submission, which can be refused or lost",
    "run.slurm.last": "what the last job of an array does if nobody watches",
    "run.slurm.ends": "causes of trials without a result; split from `follow`, which had two subjects",
    "run.slurm.standing": "what a submission waits for, who watches and what it cost, for `status`",
    "run.slurm.waiting": "`--wait`, which only looks on since a follow-up job does the work",
    "workflow.follow": "the work of a follow-up job; split from `pages`, which had two subjects",
    "records.plan_reference": "a published table and tuned values in a plan, of which `plan_file` had grown too large",
    "judge.tried": "what cells tried by [tune], for the page's tables and its chart, which imports altair",
    "report.charts.tuning": "the curve of [tune], apart from its tables, which need no altair",
    "study.schema.design": "the keys of [design]",
    "study.schema.removal": "lists without some of their items; split from `values`, which was full",
    "study.expansion.control": "what cells without random items are called, once their list is known",
    "study.expansion.levels": "the combinations of a design as pure functions",
    "study.expansion.combinations": "which axes a design combines",
    "study.checks.design": "checks of [design]",
    "simclr.model.launches": "a forward pass in few kernels",
    "simclr.model.compiled": "a forward pass as compiled code, whose import is slow and whose failure must be harmless",
    "commands.imports": "`ablate import`",
    "judge.noise": "the noise from seed to seed, and the seeds that an effect needs, apart from verdicts",
    "workflow.import_runs": "runs that were trained elsewhere, from their sources to a study with records",
    "workflow.imported_study": "the study of imported runs and its columns, apart from their import",
    "records.source": "a source of imported runs: its rows, its hash, and what it says of its columns",
    "records.sources": "finding out what a source is; apart from `source`, which every reader imports",
    "records.source_tables": "CSV, TSV, JSON lines and Parquet as sources",
    "records.source_tensorboard": "TensorBoard's event folders as sources",
    "records.source_mlflow": "MLflow's stores as sources",
    "records.source_optuna": "Optuna's SQLite files as sources",
    "records.source_hydra": "Hydra's multirun folders as sources",
    "records.source_wandb": "W&B's offline runs and exported CSV as sources",
    "records.source_exports": "trackio's and Neptune's files as sources, which need no library",
    "records.runs": "the rows of all sources joined by run",
    "records.run_checks": "what would make a comparison of imported runs wrong, apart from joining them",
    "records.import_trials": "the records of imported runs",
    "records.import_trace": "from imported results back to the rows of their sources",
    "study.imported": "the study file of imported runs",
    "trainer.imported": "the trainer of imported runs, which trains nothing",
    "command": "a command as a trainer",
    "command.words": "the placeholders in the words of a command",
    "command.config": "the settings of a command's trial",
    "command.files": "the files that a command needs",
    "command.output": "what a command writes: curves and results",
    "command.trainer": "the process of a command",
    "study.checks.command": "checks of a command's study, apart from those of any study",
    "study.from_command": "the study of a command line, apart from that of a setting of SimCLR",
    "study.from_function": "the study of a Python function, apart from that of a command line",
    "workflow.recorded_trial": "a trial of any code, which no worker runs",
    "workflow.recorded_study": "the file that such trials write and extend, and the values that it may have",
    "study.expansion.command": "the trainer that a study's command makes",
    "study.cells.baseline": "the baseline as a value, and which cell it is for each other cell",
    "run.order": "the order in which trials run",
    "workflow.needed": "which cells undecided claims compare, for the order of trials, which `run` cannot judge",
    "judge.baseline": "the difference of each cell to the baseline, apart from claims",
    "report.charts.dots_form": "a row with its name at full length for each cell, in four charts",
    "report.charts.difference": "the chart of the differences to the baseline",
    "judge.attribution": "what parts contribute, as far as a study's cells can tell",
    "judge.statistics.attribution": "effects of parts as sums over combinations, apart from studies",
    "report.charts.attribution": "the waterfall and the interactions of parts",
    "commands.attribute": "`ablate attribute`",
    "study.expansion.baseline": "the baseline that a study file names, and its check",
    "report.compare_text": "the comparison of two folders as Markdown, apart from its page",
    "api.testing": "a fixture for pytest, whose import needs pytest",
    "run.mirrors": "copies of rows in trackers: the run's side",
    "run.mirror_process": "the process that sends rows to a tracker, which shares nothing with a trial",
    "run.mirror_targets": "the four trackers and their libraries",
    "workflow.mirror": "`ablate mirror`",
    "study.json_schema": "the JSON Schema for editors, apart from new study files",
    "study.schema.profile": "the keys of a profile file, split from those of a study, which became too long",
    "simclr.config.data": "the settings of the images, since those of the trainer became too long",
    "study.expansion.tune": "the stages of [tune] as pure functions",
    "study.checks.tune": "checks of [tune]",
    "report.tuning": "what each cell chose, as a page shows it",
    "workflow.tuning": "from the first stage of [tune] to the second",
    "study.claims.parts": "the claims about parts of a method: contributes, interacts",
    "report.claim_cards": "claims with their interval plots, apart from the page's other parts",
    "report.charts.main_effects": "main effects as numbers, without a drawing library",
    "report.charts.effects": "the chart of main effects",
    "report.render.names": "the names of cells and comparisons on all pages",
    "commands.json_trials": "what commands about plans and trials print with --json, as types",
    "commands.json_verdicts": "what commands that read results print with --json, as types",
    "commands.json_schema": "the JSON Schema of each command's output, from those types",
    "records.curves": "the numbers that running trials log as short curves, for `status` and `serve`",
    "commands.serve": "`ablate serve`",
    "serve": "the records in a browser, live: a room of its own, since nothing else needs a server's libraries",
    "serve.server": "the process: socket, watcher's thread, end",
    "serve.app": "the routes and the stream of changes",
    "serve.guard": "what a request must pass before any view: host, origin, method, token",
    "serve.watcher": "one look at the records for all browsers",
    "serve.views": "what each view shows, as plain values",
    "serve.charts": "curves as SVG without a drawing library",
    "report.render.glyphs": "which characters have no font, apart from drawing charts",
    "report.thumbnail": "a study's small picture on the index",
    "study.toml.table": "what no table of a file accepts, apart from the words of errors, which schemas do not import",
    "workflow.import_cells": "which cell of a study an imported run is, apart from the import around it",
}
"""Modules that later features added, each with its reason; the bar of 225 was set for the package without them."""
BARS = {
    "modules": 225 + len(SINCE),
    "lines of the largest module": 260,
    "lines of the longest function": 45,
    "lines of the longest command": 40,
    "depth of imports": 7,
    "cycles between folders": 0,
    "imports that climb the layers": 0,
}
"""The most of each that the package may have. The lines of the whole package are printed and have no bar."""
LAYERS: Mapping[str, frozenset[str]] = {
    "__main__": frozenset({"cli"}),
    "cli": frozenset({"commands", "errors"}),
    "commands": frozenset(
        {"errors", "judge", "paper", "records", "report", "run", "serve", "simclr", "study", "trainer", "workflow"}
    ),
    "serve": frozenset({"errors", "records", "report", "run", "study"}),
    "api": frozenset({"errors", "judge", "records", "report", "run", "study", "workflow"}),
    "workflow": frozenset({"errors", "judge", "paper", "records", "report", "run", "study", "trainer"}),
    "report": frozenset({"errors", "judge", "paper", "records", "study", "trainer"}),
    "judge": frozenset({"errors", "paper", "records", "study", "trainer"}),
    "run": frozenset({"errors", "records", "study", "trainer"}),
    "records": frozenset({"errors", "study"}),
    "study": frozenset({"command", "errors", "paper", "trainer"}),
    "simclr": frozenset({"errors", "trainer"}),
    "command": frozenset({"errors", "trainer"}),
    "trainer": frozenset({"errors"}),
    "paper": frozenset({"errors"}),
    "errors": frozenset(),
}
"""Folder or module at the top of the package -> those that it may import; each only from further down."""


def modules() -> dict[str, Path]:
    """Dotted name -> file of every module; a package goes by the name of its folder."""
    found = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in sorted(found.items())}


@cache
def imports(at_the_top: bool) -> dict[str, frozenset[str]]:
    """Module -> modules of the package that it imports, at its top level only or anywhere in its text."""
    known = modules()
    found = {}
    for name, path in known.items():
        wanted: set[str] = set()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in _executed(tree) if at_the_top else ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                wanted |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                wanted |= {alias.name for alias in node.names}
        found[name] = frozenset(other for other in wanted if other in known and other not in (name, "ablate"))
    return found


def _executed(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported, also those in `try` or `if`, but not for type checkers."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop()
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
        elif isinstance(node, (ast.If, ast.Try, ast.With)):
            pending += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def layer(module: str) -> str:
    """`run` for `ablate.run.slurm.queue`; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def climbing() -> list[str]:
    """Imports, anywhere in a module, that LAYERS does not allow."""
    return [
        f"{module} imports {other}"
        for module, others in imports(at_the_top=False).items()
        for other in sorted(others)
        if layer(module) and layer(other) not in {layer(module), *LAYERS[layer(module)]}
    ]


@cache
def longest_chain(module: str) -> tuple[str, ...]:
    """The longest chain of imports at the top of modules that begins with this one."""
    return max(((module, *longest_chain(other)) for other in imports(True)[module]), key=len, default=(module,))


def cycles(graph: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """The groups of nodes that reach each other: strongly connected components of more than one node."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        pending = [*graph[start]]
        while pending:
            node = pending.pop()
            if node not in seen:
                seen.add(node)
                pending += graph.get(node, ())
        reach[start] = seen
    groups = {frozenset({a, *(b for b in reach[a] if a in reach.get(b, ()))}) for a in graph if a in reach[a]}
    return [sorted(group) for group in groups]


def between_folders() -> dict[str, frozenset[str]]:
    """Folder -> folders that modules of it import from, anywhere in their text."""
    known = modules()
    graph: dict[str, set[str]] = defaultdict(set)
    for module, others in imports(at_the_top=False).items():
        for other in others:
            here, there = (_folder(known[name]) for name in (module, other))
            graph[here].update({there} - {here})
    return {folder: frozenset(others) for folder, others in graph.items()}


def _folder(path: Path) -> str:
    """Its folder below the package; a module at the top is a room of its own."""
    inside = path.relative_to(PACKAGE)
    return (inside.parent if len(inside.parts) > 1 else inside.with_suffix("")).as_posix()


def functions(below: str = "") -> dict[str, int]:
    """`file:name` -> lines, from `def` to the last, of every function below a folder."""
    return {
        f"{path.relative_to(PACKAGE.parent)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in (PACKAGE / below).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


@cache
def measured() -> dict[str, tuple[int, str]]:
    """What BARS names -> how much of it there is, and where."""
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    largest = max(lines, key=lines.__getitem__)
    longest, command = (max(found.items(), key=lambda each: each[1]) for found in (functions(), functions("commands")))
    chain = max(map(longest_chain, modules()), key=len)
    folders = cycles(between_folders())
    return {
        "modules": (len(lines), ""),
        "lines": (sum(lines.values()), ""),
        "lines of the largest module": (lines[largest], largest),
        "lines of the longest function": (longest[1], longest[0]),
        "lines of the longest command": (command[1], command[0]),
        "depth of imports": (len(chain) - 1, " > ".join(name.removeprefix("ablate.") for name in chain)),
        "cycles between folders": (len(folders), "; ".join(" <-> ".join(group) for group in folders)),
        "imports that climb the layers": (len(climbing()), "; ".join(climbing()[:5])),
    }


def main() -> None:
    """Print each number with its bar, if it has one; raise AssertionError where one is above it."""
    above = []
    for name, (number, where) in measured().items():
        bar = f"   at most {BARS[name]:,}" if name in BARS else ""
        print(f"{name:32} {number:7,}{bar}{f'   {where}' if where else ''}")
        above += [name] if number > BARS.get(name, number) else []
    assert not above, f"above the bar: {', '.join(above)}"


if __name__ == "__main__":
    main()
