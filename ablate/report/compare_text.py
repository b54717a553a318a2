"""The comparison of two results folders as Markdown, for the summary of a pull request."""

from ablate.judge import wording
from ablate.judge.verdict import Verdict
from ablate.records.plain import plural
from ablate.report.compare import FolderPair, StudyPair, changed
from ablate.report.render.text import cut, markdown

_WITHOUT = "claim not defined"


def as_markdown(found: FolderPair) -> str:
    """The verdicts that changed, and for each study how many cells are higher or lower after the change."""
    names = [markdown(str(each.root)) for each in (found.before, found.after)]
    total = sum(len(each.verdicts) for each in found.studies)
    count = sum(each.changed for each in found.studies)
    lines = [
        "## Before and after",
        "",
        f"{names[0]} compared with {names[1]}: {count} of {plural(total, 'verdict')} changed.",
    ]
    if count:
        lines += ["", "| study | claim | before | after |", "|---|---|---|---|"]
        lines += [line for each in found.studies for line in _verdicts(each)]
    lines += ["", "| study | cells | higher | lower | equal |", "|---|--:|--:|--:|--:|", *map(_cells, found.studies)]
    for where, only in ((names[0], found.only_before), (names[1], found.only_after)):
        if only:
            lines += ["", f"Only in {where}: {', '.join(markdown('-'.join(each)) for each in only)}."]
    return "\n".join(lines) + "\n"


def _verdicts(pair: StudyPair) -> list[str]:
    rows = []
    for before, after in pair.verdicts:
        either = after or before
        if either is not None and changed(before, after):
            text = markdown(cut(f"{either.claim.id}: {either.claim.text}"))
            rows.append(f"| {markdown(pair.name)} | {text} | {_verdict(before)} | {_verdict(after)} |")
    return rows


def _verdict(verdict: Verdict | None) -> str:
    if verdict is None:
        return _WITHOUT
    numbers = f" {wording.effect(verdict.decision)}" if verdict.decision else ""
    return markdown(f"{wording.MARKS[verdict.kind]} {verdict.label}{numbers}")


def _cells(pair: StudyPair) -> str:
    differences = [each.difference for each in pair.cells if each.difference is not None]
    higher, lower = sum(each > 0 for each in differences), sum(each < 0 for each in differences)
    counts = (len(differences), higher, lower, len(differences) - higher - lower)
    return f"| {markdown(pair.name)} | {' | '.join(map(str, counts))} |"
