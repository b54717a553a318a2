"""A short trial that every tool trains: ten steps of 10 ms, and a line in a ledger of its own at its end."""

import os
import time
from pathlib import Path

STEPS, SECONDS = 10, 0.01


def train(x: int) -> float:
    """Train the cell x; the ledger that CHAOS_LEDGER names has a line for each training that reached its end."""
    for _ in range(STEPS):
        time.sleep(SECONDS)
    file = os.open(Path(os.environ["CHAOS_LEDGER"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{x}\n".encode())
    os.close(file)
    return value(x)


def value(x: int) -> float:
    """What the training of x returns."""
    return (37 * x % 200) / 2.0
