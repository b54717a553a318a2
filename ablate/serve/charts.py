"""A live curve as a small SVG drawing, without a drawing library: it is drawn again with every row that arrives."""

from ablate.records.curves import LiveCurve
from ablate.report.render.text import cut

_WIDTH, _HEIGHT = 320, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 6, 6, 18, 32
_LONGEST = 40


def drawing(curve: LiveCurve) -> dict[str, object]:
    """What the template draws: title, paths, dots, the limits of both axes, and a sentence that says the same."""
    numbers = [(at, value) for at, value in zip(curve.at, curve.values, strict=True) if value is not None]
    low, high = (min(value for _, value in numbers), max(value for _, value in numbers)) if numbers else (0.0, 0.0)
    first, last = (curve.at[0], curve.at[-1]) if curve.at else (0.0, 0.0)
    name = cut(f"{curve.name} ({curve.phase})" if curve.phase else curve.name, _LONGEST)
    if numbers:
        said = f"{name}: {numbers[0][1]:.4g} to {numbers[-1][1]:.4g}, {curve.along} {first:.6g} to {last:.6g}"
    else:
        said = f"{name}: no finite number yet"

    def place(at: float, value: float) -> tuple[float, float]:
        x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * _share(at, first, last)
        y = _TOP + (_HEIGHT - _TOP - _BOTTOM) * _share(value, high, low)
        return round(x, 1), round(y, 1)

    path, gap = [], True
    for at, value in zip(curve.at, curve.values, strict=True):
        if value is not None:
            path.append("{}{} {}".format("M" if gap else "L", *place(at, value)))
        gap = value is None
    return {
        "name": name, "said": said, "path": " ".join(path), "end": place(*numbers[-1]) if numbers else None,
        "value": f"{numbers[-1][1]:.4g}" if numbers else "no number", "low": f"{low:.4g}", "high": f"{high:.4g}",
        "first": f"{curve.along} {first:.6g}", "last": f"{last:.6g}", "width": _WIDTH, "height": _HEIGHT,
        "flat": high == low,
    }  # fmt: skip


def _share(value: float, start: float, end: float) -> float:
    """How far a value lies from start to end, 0 to 1; the middle if they are the same."""
    way = end / 2 - start / 2  # halves: the difference of finite numbers may be infinite
    return (value / 2 - start / 2) / way if way else 0.5
