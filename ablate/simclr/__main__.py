"""The trainer by itself: `python -m ablate.simclr CONFIG.toml --output DIR`; on many ranks by torchrun or srun.

    torchrun --nproc-per-node 8 -m ablate.simclr config.toml --output runs/first --device cuda

Prints a row of metrics an epoch, keeps checkpoints in DIR and goes on from them, and writes DIR/result.json.
SIGTERM, SIGUSR1, SIGUSR2 and Ctrl-C save the state and end with exit code 75, for "start me again".
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence

from ablate.errors import Location, UserError, as_path
from ablate.simclr.config.mistakes import read_config
from ablate.simclr.hooks import prepare
from ablate.trainer.contract import Console, DataError, Diverged, Interrupted, OtherOwnerError, SettingError

_NAMES = ("SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINT")
SIGNALS = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
STOPPED = 75


def main(words: Sequence[str] | None = None) -> int:
    """Train one config; returns the exit code: 0, 1 if the training diverged, 2 for the user's mistakes, or STOPPED."""
    arguments = _arguments(words)
    asked: list[int] = []
    try:
        config = prepare(read_config(arguments.config))
        for number in SIGNALS:
            signal.signal(number, lambda received, frame: asked.append(received))

        from ablate.simclr.trainer import train
        from ablate.trainer.world import started

        with started(arguments.device) as (world, place):
            console = Console(place, arguments.output / "checkpoints", world, stopping=lambda: bool(asked))
            try:
                result = train(config, console)
            except Interrupted:
                if world.first:
                    print("stopped; run the same command to resume from the last checkpoint", file=sys.stderr)
                return STOPPED
            if world.first:
                text = json.dumps(result, indent=2) + "\n"
                (arguments.output / "result.json").write_text(text, encoding="utf-8")
        return 0
    except SettingError as error:
        print(UserError(str(error), location=Location(arguments.config), help=error.help), file=sys.stderr)
    except (UserError, DataError, OtherOwnerError, OSError) as error:
        print(error if isinstance(error, UserError) else f"error: {error}", file=sys.stderr)
    except Diverged as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 2


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ablate.simclr", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=as_path, help="a TOML file with the settings of ablate.simclr.config.Config")
    parser.add_argument("--output", type=as_path, required=True, help="folder for checkpoints and the result")
    parser.add_argument("--device", default="cpu", help="cpu or cuda; with several ranks each takes its own GPU")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main())
