"""A real Slurm with accounting on this machine, in one temporary folder: four virtual nodes of four pretend GPUs each.

    with running_cluster(folder) as cluster:
        cluster.run("sbatch", "--wrap", "hostname")

    python -m tests.slurm.cluster COMMAND...        runs a command that has such a cluster

Every daemon listens on its own port, which was free a moment ago, and everything that the cluster started carries
its SLURM_CONF in its environment. By that a guard finds and ends it all, also when the tests themselves were killed.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 1200.0
"""Seconds for whatever a test waits for. A machine five times slower than usual, under a load of eight, meets it: it
costs time only where something is broken."""
NODES = ("node1", "node2", "node3", "node4")
_PARTS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sbatch")
_GUARD = "import sys; from tests.slurm.cluster import end_all; sys.stdin.read(); end_all(sys.argv[1])"

_SLURM_CONF = """\
ClusterName=ablatetest
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={controller}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool/%n
StateSaveLocation={folder}/state
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
SlurmdParameters=config_overrides
ReturnToService=2
MpiDefault=none
GresTypes=gpu
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SchedulerParameters=sched_interval=1,sched_min_interval=100000,bf_interval=1,batch_sched_delay=1,default_queue_depth=1000
SlurmctldParameters=preempt_send_user_signal
SlurmdTimeout=15
SlurmctldTimeout=10
JobAcctGatherType=jobacct_gather/none
DebugFlags=NO_CONF_HASH
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port=[{ports}] CPUs=4 RealMemory=4000 Gres=gpu:4 State=UNKNOWN
PartitionName=gpu Nodes=ALL Default=YES MaxTime=1-00:00:00 DefaultTime=60 State=UP PriorityTier=10 PreemptMode=OFF
PartitionName=preempt Nodes=ALL MaxTime=1-00:00:00 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=5
"""
_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge/socket
AccountingStorageEnforce=associations,limits,qos
"""
_SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
PidFile={folder}/slurmdbd.pid
"""
DEFAULTS = {"MaxArraySize": "1001", "KillWait": "5"}
"""Settings of slurm.conf that tests change."""


def missing() -> str | None:
    """Why no cluster can be started on this machine; None if one can."""
    if os.getuid() != 0:
        return "only root can start a Slurm"
    absent = [part for part in _PARTS if shutil.which(part) is None]
    return f"Slurm's parts are not installed: {', '.join(absent)}" if absent else None


@dataclass
class Cluster:
    """A running cluster; its methods break, repair and query it."""

    folder: Path
    ports: list[int]
    settings: dict[str, str] = field(default_factory=lambda: dict(DEFAULTS))
    accounting: bool = True
    """Whether slurm.conf names the accounting daemon."""
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which every command of Slurm talks to this cluster."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        return inherited | {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *command: str, check: bool = True, **options: object) -> str:
        """What a command prints that talks to this cluster."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=PATIENCE, **options
        )  # type: ignore[call-overload]
        if check and done.returncode:
            raise AssertionError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
        return str(done.stdout).strip()

    def jobs(self) -> dict[str, str]:
        """Job id -> state, of every job in the queue; each array task counts as a job."""
        lines = self.run("squeue", "--array", "--noheader", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def accounted(self, *options: str, fields: str = "JobID,State,ExitCode,NodeList") -> list[dict[str, str]]:
        """What sacct reports of all jobs, without their steps."""
        text = self.run("sacct", "--allocations", "--parsable2", f"--format={fields}", *options)
        header, *rows = [line.split("|") for line in text.splitlines()]
        return [dict(zip(header, row, strict=True)) for row in rows]

    def nodes(self) -> dict[str, str]:
        """Node -> state, such as `idle`, `mixed` or `down*`."""
        return dict(line.split() for line in self.run("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines())

    def kill_node(self, name: str) -> None:
        """Kill a node's daemon and every step on it, by SIGKILL."""
        self._kill(f"slurmd-{name}")
        _kill_all(lambda environment: environment.get("SLURMD_NODENAME") == name and self._is_ours(environment))

    def revive_node(self, name: str) -> None:
        """Start the node's daemon again."""
        self._slurmd(name)

    def kill_controller(self) -> None:
        """Kill slurmctld by SIGKILL: it forgets the jobs of the last seconds, which it had not saved yet."""
        self._kill("slurmctld")

    def wait_for_saved_jobs(self) -> None:
        """Wait until the controller has saved its state, which it does every few seconds."""
        begin = time.time()
        state = self.folder / "state" / "job_state"
        wait_until(lambda: state.exists() and state.stat().st_mtime > begin, "the controller's state")

    def revive_controller(self) -> None:
        """Start slurmctld again, from its saved state."""
        self._slurmctld()

    def stop_accounting(self) -> None:
        """Kill slurmdbd by SIGKILL: the controller continues, and sacct gets no answer."""
        self._kill("slurmdbd")

    def revive_accounting(self) -> None:
        """Start slurmdbd again."""
        self._slurmdbd()

    def configure(self, accounting: bool = True, **settings: str | int) -> None:
        """Restart the controller with other settings; without `accounting`, as one that never had any."""
        self.accounting, self.settings = accounting, DEFAULTS | {name: str(value) for name, value in settings.items()}
        self._write_settings()
        self.daemons["slurmctld"].terminate()  # it saves what it knows
        self.daemons["slurmctld"].wait(PATIENCE)
        self._slurmctld()
        wait_until(lambda: set(self.nodes().values()) <= {"idle", "mixed", "allocated"}, "nodes that are up")

    def heal(self) -> None:
        """Restore the state that tests start from: no jobs, default settings, all daemons up."""
        for name, revive in (("slurmdbd", self.revive_accounting), ("slurmctld", self.revive_controller)):
            if self.daemons[name].poll() is not None:
                revive()
        if self.accounting is False or self.settings != DEFAULTS:
            self.configure()
        for name in NODES:
            if self.daemons[f"slurmd-{name}"].poll() is not None:
                self.revive_node(name)
        self.run("scancel", "--user=root", check=False)
        wait_until(lambda: not self.jobs(), "an empty queue")
        wait_until(lambda: set(self.nodes().values()) == {"idle"}, "idle nodes")

    def start(self) -> None:
        """Start all daemons, in an empty folder."""
        for name in ("munge", "data", "log", "state", "spool", "dev"):
            (self.folder / name).mkdir()
        self._munged()
        self._write_settings()
        if self.accounting:
            self._database()
            self._slurmdbd()
        for node in NODES:
            (self.folder / "spool" / node).mkdir()
        for number in range(4):
            os.mknod(self.folder / "dev" / f"gpu{number}", 0o20666, os.makedev(1, 3))
        gres = f"Name=gpu File={self.folder}/dev/gpu[0-3]\n"
        (self.folder / "gres.conf").write_text(gres)
        self._slurmctld()
        for node in NODES:
            self._slurmd(node)
        wait_until(lambda: set(self.nodes().values()) == {"idle"}, "idle nodes")

    def _munged(self) -> None:
        munge = self.folder / "munge"
        (munge / "key").write_bytes(secrets.token_bytes(128))
        (munge / "key").chmod(0o400)
        for path in (munge, munge / "key"):
            shutil.chown(path, "munge", "munge")
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={munge / name}" for option, name in files.items()]
        self._start("munged", "munged", "--foreground", *options, user="munge", group="munge")
        wait_until(lambda: (munge / "socket").exists(), "munge")

    def _database(self) -> None:
        data, port = self.folder / "data", self.ports[2]
        init = ("mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root", "--skip-test-db")
        self.run(*init, "--auth-root-authentication-method=normal")
        grants = self.folder / "grants.sql"
        grants.write_text(
            "CREATE DATABASE slurm_acct_db;\n"
            "CREATE USER slurm@localhost IDENTIFIED BY 'slurm';\n"
            "GRANT ALL ON slurm_acct_db.* TO slurm@localhost;\n"
        )
        options = (f"--datadir={data}", f"--socket={data}/socket", f"--port={port}", "--bind-address=127.0.0.1")
        quick = ("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", f"--init-file={grants}")
        self._start("mariadbd", "mariadbd", "--no-defaults", "--user=root", *options, *quick)
        wait_until(lambda: _listens(port), "the database")

    def _slurmdbd(self) -> None:
        conf = self.folder / "slurmdbd.conf"
        conf.write_text(_SLURMDBD_CONF.format(folder=self.folder, port=self.ports[1], database=self.ports[2]))
        conf.chmod(0o600)
        self._start("slurmdbd", "slurmdbd", "-D")
        wait_until(lambda: _listens(self.ports[1]), "slurmdbd")
        if "ablatetest" not in self.run("sacctmgr", "--noheader", "show", "cluster"):
            self.run("sacctmgr", "--immediate", "add", "cluster", "ablatetest")
            self.run("sacctmgr", "--immediate", "add", "account", "lab", "description=lab", "organization=lab")
            self.run("sacctmgr", "--immediate", "add", "qos", "high")
            self.run("sacctmgr", "--immediate", "add", "user", "root", "account=lab", "qos=normal,high")

    def _slurmctld(self) -> None:
        self._start("slurmctld", "slurmctld", "-D")
        wait_until(self._answers, "slurmctld")

    def _slurmd(self, name: str) -> None:
        environment = self.environment | {"SLURMD_NODENAME": name}  # its steps have it too, and are found by it
        self._start(f"slurmd-{name}", "slurmd", "-D", "-N", name, env=environment)

    def _answers(self) -> bool:
        return " is UP" in self.run("scontrol", "ping", check=False)

    def _write_settings(self) -> None:
        controller, accounting, _, *nodes = self.ports
        host = socket.gethostname().partition(".")[0]
        values = {"host": host, "folder": self.folder, "controller": controller, "nodes": ",".join(NODES)}
        text = _SLURM_CONF.format(**values, ports=",".join(map(str, nodes)))
        text += _ACCOUNTING.format(port=accounting, folder=self.folder) if self.accounting else ""
        text += "".join(f"{name}={value}\n" for name, value in self.settings.items())
        (self.folder / "slurm.conf").write_text(text)

    def _start(self, name: str, *command: str, **options: object) -> None:
        with (self.folder / "log" / f"{name}.log").open("ab") as log:
            given = {"env": self.environment, "stdin": subprocess.DEVNULL, "stdout": log, "stderr": log, **options}
            self.daemons[name] = subprocess.Popen(command, start_new_session=True, **given)  # type: ignore[call-overload]

    def _kill(self, name: str) -> None:
        self.daemons[name].kill()
        self.daemons[name].wait()

    def _is_ours(self, environment: dict[str, str]) -> bool:
        return environment.get("SLURM_CONF") == str(self.folder / "slurm.conf")


@contextmanager
def running_cluster(folder: Path, accounting: bool = True) -> Iterator[Cluster]:
    """A cluster in an empty folder. None of its processes is left behind, however the caller ends."""
    folder.chmod(0o755)  # munge's own user has to get in
    for parent in folder.parents[: len(folder.parents) - 2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    cluster = Cluster(folder, _free_ports(3 + len(NODES)), accounting=accounting)
    guard = subprocess.Popen(
        [sys.executable, "-c", _GUARD, str(folder)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        cluster.start()
        yield cluster
    finally:
        end_all(str(folder))
        for daemon in cluster.daemons.values():
            daemon.wait()
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait()


def end_all(folder: str) -> None:
    """Kill every process whose SLURM_CONF is in the folder: daemons, steps, and the processes of jobs."""
    conf = str(Path(folder) / "slurm.conf")
    for _ in range(20):  # a job that was just being started is there the next time
        if not _kill_all(lambda environment: environment.get("SLURM_CONF") == conf):
            return
        time.sleep(0.1)


def wait_until(holds: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait until a condition holds. Raises AssertionError if it does not hold in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:.0f} s for {what}, in vain")
        time.sleep(0.2)


def _kill_all(chosen: Callable[[dict[str, str]], bool]) -> int:
    """Kill every other process whose environment matches; returns how many there were."""
    killed = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            text = (entry / "environ").read_bytes().decode(errors="replace")
            environment = dict(line.partition("=")[::2] for line in text.split("\0"))
            if chosen(environment):
                os.kill(int(entry.name), signal.SIGKILL)
                killed += (entry / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return killed


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def main() -> int:
    """Run the given command with a new cluster; returns its exit code."""
    if reason := missing():
        print(reason, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder, running_cluster(Path(folder)) as cluster:
        return subprocess.run(sys.argv[1:], env=cluster.environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
