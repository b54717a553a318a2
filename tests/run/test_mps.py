"""Workers that share a GPU under NVIDIA's MPS, with stand-ins for its control daemon and for CUDA."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from ablate.records.attempt import events_of
from ablate.records.files import Results
from ablate.run import mps
from ablate.run.causes import GPU_ERROR
from ablate.run.mps import PIPE, MultiProcessService, is_shared
from ablate.run.pool import Pool
from ablate.run.worker import Task, Worker
from tests.command.test_trainer import ask as ask_command
from tests.run.toy import Settings, ask

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="MPS is for Linux only")
ROOT = Path(__file__).parents[2]
CONTROL = f"""#!{sys.executable} -I
import os, pathlib, signal, socket, sys, time
behavior = os.environ.get("STAND_IN", "")
pipe = pathlib.Path(os.environ["{PIPE}"])
asked = sys.argv[1:] or [sys.stdin.read().strip()]
seen = os.environ.get("CUDA_VISIBLE_DEVICES")
with open(pathlib.Path(__file__).with_name("asked"), "a") as file:
    file.write(f"{{' '.join(asked)}} {{pipe}} {{seen}}\\n")
if asked == ["-d"]:
    if behavior == "fails":
        sys.exit("no GPU is free")
    if behavior == "hangs":
        time.sleep(300)
    if os.fork() or behavior == "has no socket":
        os._exit(0)
    os.setsid()
    (pipe / "pid").write_text(str(os.getpid()))
    socket.socket(socket.AF_UNIX).bind(str(pipe / "control"))
    time.sleep(300)
elif asked[0].startswith("quit"):
    os.kill(int((pipe / "pid").read_text()), signal.SIGKILL)
"""
SEES = """
import os
under = "ablate-mps-" in os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "")
visible = os.environ.get("CUDA_VISIBLE_DEVICES", "GPU-a")
"""
LOOK = f'{SEES}print("9", "GPU-a" if visible == "0" else visible)'
TORCH = """
import os, torch
from types import SimpleNamespace
for name, value in {
    "set_device": None, "set_per_process_memory_fraction": None, "reset_peak_memory_stats": None,
    "empty_cache": None, "synchronize": None, "is_initialized": True, "device_count": 1, "max_memory_reserved": 0,
    "get_device_properties": SimpleNamespace(total_memory=2**34), "get_device_name": "a stand-in", "is_available": True,
}.items():
    setattr(torch.cuda, name, lambda *_, value=value: value)
def init():
    under = "ablate-mps-" in os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "")
    if under and os.environ.get("STAND_IN") == "refuses trials":
        raise RuntimeError("error 805: MPS client failed to connect to the MPS control daemon or the MPS server")
torch.cuda.init = init
"""
PART_OF_A_RUN = """
import sys, time
from ablate.run import mps
from ablate.run.mps import MultiProcessService
mps.visible_gpus, mps._LOOK = lambda: 1, sys.argv[1]
service = MultiProcessService("cuda", 2)
print(service.environment[mps.PIPE], flush=True)
time.sleep(300)
"""


DRIVER = """
extern "C" {
int cuInit(unsigned flags) { return CODE; }
int cuDeviceGetCount(int *count) { *count = 2; return 0; }
int cuDeviceGetUuid_v2(unsigned char *uuid, int device) {
    for (int i = 0; i < 16; i++) uuid[i] = 16 * device + i;
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) { *value = attribute == 75 ? 9 : 0; return 0; }
int cuDevicePrimaryCtxRetain(void **context, int device) { *context = &context; return 0; }
}
"""


class Machine:
    """What its stand-in for the control daemon was asked, and what it left."""

    def __init__(self, folder: Path) -> None:
        self._asked = folder / "asked"

    def asked(self) -> list[list[str]]:
        """The commands, each with the folder of the socket and the GPUs that are visible."""
        lines = self._asked.read_text().splitlines() if self._asked.exists() else []
        return [line.rsplit(" ", 2) for line in lines]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    folder = tmp_path / "machine"
    folder.mkdir()
    (folder / "nvidia-cuda-mps-control").write_text(CONTROL)
    (folder / "nvidia-cuda-mps-control").chmod(0o755)
    (folder / "sitecustomize.py").write_text(TORCH)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    monkeypatch.delenv(PIPE, raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(mps, "visible_gpus", lambda: 1)
    monkeypatch.setattr(mps, "_LOOK", LOOK)
    monkeypatch.setattr(mps, "_OF_THE_MACHINE", str(folder / "nowhere"))
    return Machine(folder)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ends(results: Results, key: str) -> list[tuple[str, str | None]]:
    """State and cause of each attempt at a trial."""
    found = [events_of(each)["ended"] for each in results.trial(key).attempt_folders()]
    return [(each["state"], each.get("cause")) for each in found]


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "auto"])
def test_workers_that_share_a_gpu_get_a_daemon_that_ends_with_their_pool(machine: Machine, device: str) -> None:
    service = MultiProcessService(device, 2)
    pipe = Path(service.environment[PIPE])
    assert service.environment["CUDA_VISIBLE_DEVICES"] == "GPU-a"
    assert is_shared(service.environment)
    assert service.device == device.replace("auto", "cuda")
    assert "2 workers on 1 GPU work at the same time, under NVIDIA MPS" in str(service.note)
    assert len(str(pipe / "control_privileged")) < 100
    daemon = int((pipe / "pid").read_text())
    assert service.end()
    until(lambda: is_gone(daemon))
    assert not pipe.parent.exists()
    assert machine.asked() == [["-d", str(pipe), "GPU-a"], ["quit -t 90", str(pipe), "GPU-a"]]


@pytest.mark.parametrize(("visible", "names"), [("0", "GPU-a"), ("MIG-1, MIG-2", "MIG-1"), ("GPU-b", "GPU-b")])
def test_daemon_and_workers_name_gpus_by_what_both_understand(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, visible: str, names: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(mps, "_LOOK", LOOK if visible != "MIG-1, MIG-2" else 'print("9 GPU-slice")')
    service = MultiProcessService("cuda", 2)
    service.end()
    assert service.environment["CUDA_VISIBLE_DEVICES"] == machine.asked()[0][2] == names


@pytest.mark.parametrize("gone", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_daemon_ends_with_the_process_of_its_pool_however_that_ends(machine: Machine, gone: signal.Signals) -> None:
    command = [sys.executable, "-c", PART_OF_A_RUN, LOOK]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        pipe = Path(run.stdout.readline().strip())
        daemon = int((pipe / "pid").read_text())
        run.send_signal(gone)
    until(lambda: is_gone(daemon) and not pipe.parent.exists())


def test_signals_that_slurm_sends_to_all_processes_of_a_job_do_not_end_a_daemon(machine: Machine) -> None:
    service = MultiProcessService("cuda", 2)
    assert service._keeper
    daemon = int((Path(service.environment[PIPE]) / "pid").read_text())
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(daemon, number)
        os.kill(service._keeper.pid, number)
    time.sleep(0.3)
    assert not is_gone(daemon)
    assert service.end()
    until(lambda: is_gone(daemon))


@pytest.mark.parametrize(
    ("behavior", "look", "why"),
    [
        ("fails", LOOK, "nvidia-cuda-mps-control ended with exit code 1 (no GPU is free)"),
        ("hangs", LOOK, "nvidia-cuda-mps-control was not ready within 3 s"),
        ("has no socket", LOOK, "nvidia-cuda-mps-control was not ready within 3 s"),
        ("", f'{SEES}print("9 GPU-b" if under else "9 GPU-a")', "under it, a process does not see the same GPUs"),
        ("", f'{SEES}raise SystemExit("cuInit returned error 805" if under else 0)', "cuInit returned error 805"),
        ("", f'{SEES}raise SystemExit("cuInit returned error 807" if under else 0)', "CUDA did not answer within 3 s"),
        ("", f"{SEES}import time; time.sleep(60 * under)", "CUDA did not answer within 3 s"),
        ("", 'print("6 GPU-a")', "before compute capability 7.0, trials could write into each other's memory"),
        ("", 'raise SystemExit("libcuda.so.1: cannot open")', "libcuda.so.1: cannot open"),
    ],
)
def test_where_mps_does_not_work_workers_go_without_and_the_user_reads_why(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, behavior: str, look: str, why: str
) -> None:
    before = set(Path("/tmp").glob("ablate-mps-*"))
    monkeypatch.setenv("STAND_IN", behavior)
    monkeypatch.setattr(mps, "_LOOK", look)
    monkeypatch.setattr(mps, "_START_SECONDS", 3.0)
    service = MultiProcessService("cuda", 2)
    assert service.note == f"2 workers on 1 GPU take turns, without NVIDIA MPS: {why}"
    assert service.environment == {}
    assert service.end()
    until(lambda: set(Path("/tmp").glob("ablate-mps-*")) <= before)


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a compiler")
def test_gpus_are_named_as_the_driver_names_them(tmp_path: Path) -> None:
    def look(code: int) -> list[str]:
        source = DRIVER.replace("CODE", str(code))
        build = ["g++", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(tmp_path / "libcuda.so.1")]
        subprocess.run(build, input=source, text=True, check=True)
        return mps._look({"LD_LIBRARY_PATH": str(tmp_path)}, time.monotonic() + 20)

    assert look(0) == ["9 GPU-00010203-0405-0607-0809-0a0b0c0d0e0f", "9 GPU-10111213-1415-1617-1819-1a1b1c1d1e1f"]
    with pytest.raises(mps._Unavailable, match=r"^cuInit returned error 805$"):
        look(805)


def test_a_server_that_still_sets_itself_up_is_asked_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    once = f"""{SEES}
if under and not os.path.exists("{tmp_path}/asked"):
    open("{tmp_path}/asked", "w")
    raise SystemExit("cuInit returned error 807")
print("9 GPU-a")
"""
    monkeypatch.setattr(mps, "_LOOK", once)
    service = MultiProcessService("cuda", 2)
    assert is_shared(service.environment)
    service.end()


@pytest.mark.parametrize(
    ("device", "workers", "gpus", "own", "note"),
    [
        ("cuda", 1, 1, None, None),
        ("cuda", 4, 4, None, None),
        ("cpu", 4, 1, None, None),
        ("mps", 4, 0, None, None),
        ("cuda", 4, 0, None, None),
        (
            "cuda",
            25,
            1,
            None,
            "25 workers on 1 GPU take turns, without NVIDIA MPS: it serves at most 24 of them on a GPU",
        ),
        (
            *("cuda", 4, 2),
            "/dev/null",
            "4 workers on 2 GPUs take turns, without NVIDIA MPS: {PIPE}={own} has no daemon",
        ),
        (*("cuda:1", 4, 2), "running", "4 workers on 1 GPU use the NVIDIA MPS of {own}"),
        ("auto", 4, 2, None, "4 workers on 2 GPUs use the NVIDIA MPS of {machine}"),
    ],
)
def test_a_daemon_is_started_only_where_workers_share_a_gpu_and_nobody_else_runs_one(
    *,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    device: str,
    workers: int,
    gpus: int,
    own: str | None,
    note: str | None,
) -> None:
    running = tmp_path / "running"
    running.mkdir()
    (running / "nvidia-cuda-mps-control.pid").write_text(str(os.getpid()))
    own = str(running) if own == "running" else own
    if own:
        monkeypatch.setenv(PIPE, own)
    if note and "{machine}" in note:
        monkeypatch.setattr(mps, "_OF_THE_MACHINE", str(running))
    monkeypatch.setattr(mps, "visible_gpus", lambda: gpus)
    service = MultiProcessService(device, workers)
    assert service.note == (note and note.format(PIPE=PIPE, own=own, machine=running))
    assert service.environment == {}
    assert machine.asked() == []


def test_a_machine_without_nvidias_tools_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mps, "visible_gpus", lambda: 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    service = MultiProcessService("cuda", 2)
    assert (service.note, service.environment) == (None, {})


@pytest.mark.parametrize("fresh", [True, False])
def test_after_an_error_under_mps_all_trials_that_it_hit_run_again_without_mps(
    machine: Machine, tmp_path: Path, capfd: pytest.CaptureFixture[str], fresh: bool
) -> None:
    results = Results(tmp_path / "results")
    marker, does = tmp_path / "begun", "illegal access under MPS"
    keys = ask(results, *[Settings(seed=seed, does=does, marker=marker) for seed in range(3)])
    with Pool(results, 2, 1, "cuda", fresh=fresh) as pool:
        found = dict(pool.run({key: key for key in keys}, tick=lambda: None))
    assert [found[key]["state"] for key in keys] == ["done"] * 3
    states = [[events_of(each)["ended"]["state"] for each in results.trial(key).attempt_folders()] for key in keys]
    assert states == [["interrupted", "done"], ["interrupted", "done"], ["done"]]
    assert events_of(results.trial(keys[0]).attempt_folders()[0])["ended"]["cause"] == GPU_ERROR
    assert "Trials go on without NVIDIA MPS" in capfd.readouterr().err
    assert [command for command, *_ in machine.asked()] == ["-d", "quit -t 90"]


@pytest.mark.parametrize("fresh", [True, False])
def test_a_process_that_used_its_gpu_under_mps_stays_there_with_its_later_trials(tmp_path: Path, fresh: bool) -> None:
    """CUDA reads the variables once: an error in a later trial may still be that of another process."""
    sent: list[object] = []
    task = Task(tmp_path, 0, 1, "cuda", "local", 2, shared=False, fresh=fresh)
    worker = Worker(task, Mock(), Mock(send=sent.append), Mock())
    for folder in ("/tmp/ablate-mps-imitated/pipe", os.devnull):
        worker.give("000abc", {PIPE: folder})
    assert worker.under_mps == (not fresh)
    assert sent[1] == ("000abc", {PIPE: os.devnull if fresh else "/tmp/ablate-mps-imitated/pipe"}, ())


def test_trials_that_cannot_begin_under_mps_begin_without(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN", "refuses trials")
    results = Results(tmp_path / "results")
    keys = ask(results, *[Settings(seed=seed) for seed in range(3)])
    with Pool(results, 2, 1, "cuda") as pool:
        found = dict(pool.run({key: key for key in keys}, tick=lambda: None))
    assert [(found[key]["state"], len(results.trial(key).attempt_folders())) for key in keys] == [("done", 1)] * 3


@pytest.mark.parametrize("fresh", [True, False])
def test_when_a_process_is_lost_under_mps_the_trials_beside_it_run_again(
    machine: Machine, tmp_path: Path, fresh: bool
) -> None:
    results = Results(tmp_path / "results")
    marker = tmp_path / "begun"
    keys = ask(results, *[Settings(does=does, seconds=2, marker=marker) for does in ("die beside another", "wait")])
    with Pool(results, 2, 1, "cuda", fresh=fresh) as pool:
        dict(pool.run({key: key for key in keys}, tick=lambda: None))
    assert ends(results, keys[0]) == [("interrupted", GPU_ERROR), ("failed", "killed")]
    assert ends(results, keys[1]) == [("interrupted", GPU_ERROR), ("done", None)]


def test_trials_beside_a_lost_one_stop_before_the_processes_that_it_left_have_ended(
    machine: Machine, tmp_path: Path
) -> None:
    results = Results(tmp_path / "results")
    does = ("die beside another and leave a process", "wait")
    keys = ask(results, *[Settings(does=each, seconds=1.2, marker=tmp_path / "begun") for each in does])
    with Pool(results, 2, 1, "cuda") as pool:
        dict(pool.run({key: key for key in keys}, tick=lambda: None))
    assert ends(results, keys[1]) == [("interrupted", GPU_ERROR), ("done", None)]


def test_a_trial_that_dies_of_what_another_did_under_mps_runs_again(machine: Machine, tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    keys = ask(results, *[Settings(does="abort under MPS", seed=seed, marker=tmp_path / "begun") for seed in range(2)])
    with Pool(results, 2, 1, "cuda") as pool:
        dict(pool.run({key: key for key in keys}, tick=lambda: None))
    for key in keys:
        assert ends(results, key) == [("interrupted", GPU_ERROR), ("done", None)]


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize(
    ("end", "first"),
    [
        ("kill -KILL $$", ("interrupted", GPU_ERROR)),
        ("echo out of memory >&2; kill -ABRT $$", ("failed", "out_of_memory")),
    ],
)
def test_when_a_signal_ends_a_command_under_mps_the_trials_beside_it_run_again(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool, end: str, first: tuple[str, str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results, marker = Results(tmp_path / "results"), tmp_path / "begun"
    under = f'case "${PIPE}" in *ablate-mps-*)'
    wait = f"while ! grep -q . {marker}; do sleep 0.05; done"
    keys = ask(results, Settings(), Settings(does="wait", seconds=2, marker=marker))
    ask_command(results, ["sh", "-c", f"{under} {wait}; {end};; esac; echo accuracy=0.5"], key=keys[0])
    with Pool(results, 2, 1, "cuda", fresh=fresh) as pool:
        dict(pool.run({key: key for key in keys}, tick=lambda: None))
    assert ends(results, keys[0]) == [first, ("done", None)][: 2 if first[0] == "interrupted" else 1]
    assert ends(results, keys[1]) == [("interrupted", GPU_ERROR), ("done", None)]


def test_without_mps_a_command_sees_its_gpu_by_the_name_of_the_user(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    results = Results(tmp_path / "results")
    script = f'echo "$CUDA_VISIBLE_DEVICES" >> {tmp_path}/seen; case "${PIPE}" in *ablate-mps-*) kill -KILL $$;; esac'
    key = ask_command(results, ["sh", "-c", f"{script}; echo accuracy=0.5"])
    with Pool(results, 2, 1, "cuda") as pool:
        dict(pool.run({key: key}, tick=lambda: None))
    assert (tmp_path / "seen").read_text().split() == ["GPU-a", "0"]


@pytest.mark.parametrize("alive", ["process", "socket", "neither"])
def test_the_files_of_a_daemon_that_was_killed_do_not_count_as_one(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alive: str
) -> None:
    monkeypatch.setattr(mps, "_OF_THE_MACHINE", str(tmp_path))
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / "nvidia-cuda-mps-control.pid").write_text(f"{os.getpid() if alive == 'process' else gone.pid}\n")
    with socket.socket(socket.AF_UNIX) as daemon:
        daemon.bind(str(tmp_path / "control"))
        if alive == "socket":
            daemon.listen()
        service = MultiProcessService("cuda", 2)
        service.end()
    assert is_shared(service.environment) == (alive == "neither")
