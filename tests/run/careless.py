"""Trainers for tests, as someone may write them who thinks of nothing but the one trial."""

import os
import signal
import sys
import threading
import time

from pydantic import BaseModel

from ablate.trainer.contract import Context, Interrupted

NAME = f"{__name__}:train"


class Settings(BaseModel):
    seed: int = 0
    does: str = "nothing"


def train(config: Settings, context: Context) -> dict[str, float] | None:
    match config.does:
        case "change the folder":
            os.chdir("/")
        case "close the output":
            sys.stdout.close()
        case "report a tensor":
            import torch

            for step in range(3):
                context.progress(step, 3, lambda: {"loss": torch.tensor(0.5)})
                time.sleep(0.3)
        case "leave a thread":
            threading.Thread(target=time.sleep, args=(30,)).start()
        case "handle signals itself, as Lightning does":
            _handle_signals(context)
        case "return when asked to stop":
            while not context.stopping():
                time.sleep(0.01)
            return None
    return {"accuracy": 0.5}


def _handle_signals(context: Context) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: None)
    while not context.stopping():
        time.sleep(0.01)
    raise Interrupted
