"""The trainer by itself: `python -m ablate.simclr CONFIG.toml --output DIR`; on many ranks by torchrun or srun.

    torchrun --nproc-per-node 8 -m ablate.simclr config.toml --output runs/first --device cuda

Prints a row of metrics an epoch, keeps checkpoints in DIR and goes on from them, and writes DIR/result.json.
SIGTERM, SIGUSR1, SIGUSR2 and Ctrl-C save the state and end with exit code 75, for "start me again".
"""

import argparse
import json
import signal
import sys
import tomllib
from pathlib import Path

from pydantic import ValidationError

from ablate.simclr.config import Config
from ablate.simclr.context import Console, Interrupted

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)
STOPPED = 75


def main() -> int:
    """Train one config; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ablate.simclr", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=Path, help="a TOML file with the settings of ablate.simclr.config.Config")
    parser.add_argument("--output", type=Path, required=True, help="folder of checkpoints and of the result")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; on many ranks each takes the GPU of its number")
    arguments = parser.parse_args()
    try:
        config = Config.model_validate(tomllib.loads(arguments.config.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        print(f"error: {arguments.config}: {error}", file=sys.stderr)
        return 2
    asked: list[int] = []
    for number in SIGNALS:
        signal.signal(number, lambda received, frame: asked.append(received))
    return _train(config, arguments.output, arguments.device, asked)


def _train(config: Config, output: Path, device: str, asked: list[int]) -> int:
    from ablate.simclr.distributed import started
    from ablate.simclr.trainer import train

    with started(device) as (world, place):
        try:
            result = train(config, Console(place, output / "checkpoints", world, stopping=lambda: bool(asked)))
        except Interrupted:
            if world.first:
                print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
            return STOPPED
        if world.first:
            (output / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
