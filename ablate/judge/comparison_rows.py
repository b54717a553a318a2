"""All numbers of the comparisons of a study's claims, by name: for JSON, and as rows for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ablate.records.plain import csv_cell

if TYPE_CHECKING:
    from ablate.judge.described import Described, Describer
    from ablate.judge.study import Judged

Row = dict[str, Any]


def numbers_of(described: Described) -> Row:
    """Name -> number, or a group of numbers by name; None for those that the comparison cannot have."""
    compared, parts = described.compared, described.variance
    groups = {
        "interquartile_mean": described.interquartile_mean,
        "improvement": described.improvement,
        "posterior": described.posterior,
        "sensitivity": described.sensitivity,
    }
    return {
        "label": compared.label,
        "decides": compared.decides,
        "within": compared.within,
        "effect": compared.effect,
        "bound": compared.bound,
        "n": len(compared.seeds),
        "sd": compared.sd,
        "p_supports": compared.supports,
        "p_refutes": compared.refutes,
        "interval": compared.interval and dict(zip(("low", "high"), compared.interval, strict=True)),
        "seeds": list(compared.seeds),
        "left_out": list(compared.left_out),
        "values": list(compared.values),
        "standardized": described.standardized,
        "seed_correlation": described.correlation,
        "paired_width": described.paired_width,
        **{name: None if group is None else group._asdict() for name, group in groups.items()},
        "variance": parts and {**vars(parts), "share_of_test_images": parts.share, "wider": parts.wider},
    }


_GROUPS: Mapping[str, tuple[str, ...]] = {
    "interval": ("low", "high"),
    "interquartile_mean": ("value", "low", "high"),
    "improvement": ("value", "low", "high"),
    "posterior": ("rope", "below", "within", "above"),
    "sensitivity": ("pooled", "moderated"),
    "variance": ("seeds", "images", "both", "count", "share_of_test_images", "wider"),
}


def rows_of(judged: Judged, describer: Describer) -> list[Row]:
    """One row per comparison: its study, profile, claim and state, then its numbers; groups become several columns."""
    found = []
    for verdict in judged.verdicts:
        for described in describer.describe(verdict):
            row: Row = {"study": judged.plan.study, "profile": judged.plan.profile, "claim": verdict.claim.id}
            row["state"] = verdict.state
            for name, value in numbers_of(described).items():
                if name in _GROUPS:
                    row |= {f"{name}_{part}": (value or {}).get(part) for part in _GROUPS[name]}
                else:
                    row[name] = value
            found.append(row)
    return found


def as_csv(rows: Sequence[Row]) -> str:
    """Rows, of which there are some, with a header; lists as numbers separated by spaces."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(" ".join(map(str, each)) if isinstance(each, list) else csv_cell(each) for each in row.values())
    return file.getvalue()


def as_parquet(rows: Sequence[Row]) -> bytes:
    """Rows with lists as lists."""
    import polars

    file = io.BytesIO()
    polars.DataFrame(rows, infer_schema_length=None).write_parquet(file)
    return file.getvalue()


def written(rows: Sequence[Row], format: str) -> bytes:
    """Rows as `csv`, `json` or `parquet`."""
    if format == "parquet":
        return as_parquet(rows)
    return (as_csv(rows) if format == "csv" else json.dumps(rows, indent=2) + "\n").encode("utf-8", "replace")
