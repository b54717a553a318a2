"""Which test examples a trial got right, one bit each: 10,000 examples take 1,700 characters of result.json."""

import base64
import binascii
import math
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field, model_validator

MOST_EXAMPLES = 1 << 22
"""0.7 MB in a record."""
_TOLERANCE = 1e-6
"""Relative: trainers may round a share to float32."""


class Correct(BaseModel):
    """One bit per test example, in the order of the test set: 1 if the trial got it right."""

    # Not RECORD of ablate.records.reading, which imports this module.
    model_config = {"strict": True, "frozen": True, "extra": "ignore"}

    count: int = Field(gt=0, le=MOST_EXAMPLES)
    bits: str
    """In base64, the first example in the highest bit of the first byte, the rest of the last byte zero."""

    @model_validator(mode="after")
    def _complete(self) -> "Correct":
        try:
            data = base64.b64decode(self.bits, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("the bits are not base64") from None
        if len(data) != -(-self.count // 8):
            raise ValueError(f"{len(data)} bytes of bits for {self.count} examples")
        if data[-1] & (0xFF >> (self.count - 1) % 8 + 1):
            raise ValueError("bits after the last example")
        return self

    @property
    def data(self) -> bytes:
        """The bits, for `numpy.unpackbits(..., count=count)`."""
        return base64.b64decode(self.bits)

    @property
    def share(self) -> float:
        """The share of examples that are right, from 0 to 1."""
        return int.from_bytes(self.data).bit_count() / self.count

    def explains(self, value: object) -> bool:
        """Whether a metric's value is this share, as a fraction or in percent."""
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False
        return any(math.isclose(value, scale * self.share, rel_tol=_TOLERANCE, abs_tol=1e-12) for scale in (1, 100))


def packed(correct: Any) -> Correct:
    """The record of a list, an array or a tensor of truth values (also 0 and 1). Raises TypeError for anything else."""
    values = correct.tolist() if callable(getattr(correct, "tolist", None)) else correct
    if not isinstance(values, Iterable) or isinstance(values, (str, bytes)):
        raise TypeError(f"which examples are right is a list of true and false; got {type(correct).__name__}")
    bits = "".join("1" if _truth(value) else "0" for value in values)
    if not 0 < len(bits) <= MOST_EXAMPLES:
        raise TypeError(f"which examples are right has {len(bits):,} values; from 1 to {MOST_EXAMPLES:,} can be kept")
    size = -(-len(bits) // 8)
    data = int(bits.ljust(8 * size, "0"), 2).to_bytes(size)
    return Correct(count=len(bits), bits=base64.b64encode(data).decode())


def _truth(value: Any) -> bool:
    if isinstance(value, (bool, int, float)) and value in (0, 1):
        return bool(value)
    if callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        return _truth(value.item())
    raise TypeError(f"which examples are right is a list of true and false; one value is {str(value)[:60]}")
