"""What the numbers say, in sentences."""

from ablate.report.measured import Cell, Measured


def findings(measured: Measured) -> list[str]:
    """What the numbers say, in sentences: best cell, best single one, cases, agreement with the paper."""
    done = [cell for cell in measured.grid if cell.mean is not None]
    others = [
        (cell.label[:1].upper() + cell.label[1:], cell)
        for cell in measured.cells
        if cell.case and cell.mean is not None
    ]
    if measured.lacking:
        return [f"{measured.lacking}{'' if measured.lacking.endswith('?') else '.'}"]
    if not done:
        told = [f"{label}: {_mean(cell):.4g}." for label, cell in others]
        return told or ["No trial is done yet."]
    if "top-1" not in measured.metric:
        return [
            f"{cell.label}: {measured.metric} {_mean(cell):.4g}." for cell in (*done, *(cell for _, cell in others))
        ]
    best = max(done, key=_mean)
    said = [f"Best: {best.label}, with {_mean(best):.1f} % linear top-1."]
    if (single := _diagonal(measured, done)) is not None:
        others.insert(0, (f"Best on the diagonal: {single.label}", single))
    for label, cell in others:
        apart = _mean(best) - _mean(cell)
        where = f"{abs(apart):.1f} points {'below' if apart >= 0 else 'above'} the best"
        said.append(f"{label}: {_mean(cell):.1f} %, {where}{'' if apart >= 0 else ' of the grid'}.")
    if published := [cell for cell in measured.grid if cell.paper is not None]:
        top = max(published, key=lambda cell: cell.paper or 0)
        if top.mean is not None:
            place = 1 + sum(_mean(cell) > top.mean for cell in done)
            reference = measured.plan["reference"]["label"]
            here = f"Here it has {top.mean:.1f} %, place {place} of {len(done)}."
            said.append(f"Best of these cells in {reference}: {top.label}. {here}")
    if (rank := measured.rank_correlation) is not None:
        count = sum(cell.mean is not None and cell.paper is not None for cell in measured.grid)
        said.append(
            f"Rank correlation with {measured.plan['reference']['label']} over {count} cells: {rank:.2f} (Spearman)."
        )
    if max(len(cell.values) for cell in measured.cells) == 1:
        said.append("One seed a cell: this points to an answer, it is no verdict.")
    return said


def _diagonal(measured: Measured, done: list[Cell]) -> Cell | None:
    """The best cell with one value on every axis, where the axes have the same values, as in Fig. 5."""
    values = [axis["values"] for axis in measured.plan["axes"]]
    if len(values) < 2 or any(each != values[0] for each in values):
        return None
    single = [cell for cell in done if len(set(map(str, cell.axes.values()))) == 1]
    return max(single, key=_mean, default=None)


def _mean(cell: Cell) -> float:
    assert cell.mean is not None
    return cell.mean
