"""How many calls lie between a command and the loss: few enough to be followed by hand."""

import subprocess
import sys
from pathlib import Path

TRACED = """
import runpy, sys
loss = "nt_xent"  # Eq. 1 of the paper
chain = []

def note(frame, event, argument):
    if event == "call" and frame.f_code.co_name == loss and not chain:
        while frame is not None:
            file = frame.f_code.co_filename
            if "/ablate/" in file and "site-packages" not in file and frame.f_code.co_name[0] != "<":
                chain.append(f"{file.rpartition('/ablate/')[2]}:{frame.f_code.co_name}")
            frame = frame.f_back

module, *sys.argv[1:] = sys.argv[1:]
sys.setprofile(note)
try:
    runpy.run_module(module, run_name="__main__")
except SystemExit as stop:
    assert not stop.code, stop.code
finally:
    sys.setprofile(None)
print("calls:", *reversed(chain))
"""


def calls(folder: Path, *command: str) -> list[str]:
    """`file:function` of each call of ours that is open when the loss is first computed, the outermost first."""
    line = [sys.executable, "-c", TRACED, *command]
    ran = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.rpartition("calls: ")[2].split()


def test_at_most_twelve_calls_lead_from_the_run_command_to_the_loss(project: Path) -> None:
    found = calls(project, "ablate", "run", "studies/tiny.toml", "--inline", "--only", "first=crop")
    begins = found.index("commands/run.py:run")
    assert found[-1].endswith(":nt_xent")
    assert len(found) - 1 - begins <= 12, found


def test_at_most_four_calls_lead_from_the_trainer_alone_to_the_loss(project: Path) -> None:
    config = (project / "studies/profiles/embedded.toml").read_text().partition("[base]")[2]
    (project / "config.toml").write_text(config)
    found = calls(project, "ablate.simclr", "config.toml", "--output", "out")
    assert found[0] == "simclr/__main__.py:main"
    assert len(found) - 1 <= 4, found
