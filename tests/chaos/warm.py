"""Commands as forks of a process that has imported everything: 20 ms to start instead of seconds.

A fork stands for a fresh Python: it has a session of its own, closes what it would not inherit, and runs the exit
functions at its end. The processes that it starts by `python -c` or `python -m` are forks, too; their ablate is the one
that is imported here, of which the snapshot that they are given is a copy.
"""

import _posixsubprocess
import atexit
import contextlib
import importlib
import io
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

_start = _posixsubprocess.fork_exec
_MODULES_OF_TESTS = ("tests.", "pytest", "_pytest", "__main__")


def import_what_commands_need(folder: Path, commands: Sequence[Sequence[str]]) -> None:
    """Run commands in forks, and import here what they had imported: no thread of theirs is in later forks then."""
    told, report = folder.parent / "warm.txt", folder.parent / "modules.txt"
    for command in commands:
        process = start_command(folder, command, told, at_exit=lambda: _note(report))
        if code := os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
            raise RuntimeError(f"ablate {' '.join(command)}: exit code {code}\n{told.read_text()}")
        for name in sorted(set(report.read_text().split()) - set(sys.modules)):
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _note(path: Path) -> None:
    names = [name for name in sys.modules if not name.startswith(_MODULES_OF_TESTS)]
    with path.open("a") as file:
        file.write("\n".join(names) + "\n")


def start_command(
    folder: Path,
    arguments: Sequence[str],
    output: Path,
    before: Callable[[], None] = lambda: None,
    at_exit: Callable[[], None] | None = None,
) -> int:
    """Start `ablate ARGUMENTS` in a folder, with its output in a file; returns the process, leader of its group."""
    if not (process := os.fork()):
        _be_command(folder, arguments, output, before, at_exit)
    return process


def _be_command(
    folder: Path,
    arguments: Sequence[str],
    output: Path,
    before: Callable[[], None],
    at_exit: Callable[[], None] | None,
) -> NoReturn:
    os.setsid()
    os.chdir(folder)
    _standard_files(os.open(os.devnull, os.O_RDONLY), *2 * [os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)])
    sys.argv[:] = ["ablate", *arguments]
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    subprocess._fork_exec = _posixsubprocess.fork_exec = _forked  # type: ignore[attr-defined]
    if at_exit:
        atexit.register(at_exit)
        _Forked.at_exit = at_exit

    def run() -> None:
        from ablate.__main__ import main

        before()
        main()

    _run_and_exit(run)


def _standard_files(*descriptors: int) -> None:
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), write_through=True)  # noqa: SIM115
    sys.stdout = io.TextIOWrapper(open(1, "wb", 0, closefd=False), write_through=True)  # noqa: SIM115
    sys.stderr = io.TextIOWrapper(open(2, "wb", 0, closefd=False), write_through=True)  # noqa: SIM115


def _run_and_exit(run: Callable[[], Any]) -> NoReturn:
    """As the end of a Python process: its threads are waited for, its exit functions run."""
    code: Any = 0
    try:
        run()
    except SystemExit as error:
        code = error.code
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    finally:
        os._exit(code or 0)


class _Forked:
    """What forks of forks need to know."""

    at_exit: Callable[[], None] | None = None


def _forked(args: Any, executables: Any, close: bool, keep: Any, cwd: Any, env: Any, *rest: Any) -> int:
    """`_posixsubprocess.fork_exec`, but for Python itself: a fork that runs the code of `-c` or `-m`."""
    texts = [os.fsdecode(each) for each in args]
    options = next((number for number, text in enumerate(texts) if text in ("-c", "-m")), None)
    if texts[0] != sys.executable or options is None or any(not text.startswith("-") for text in texts[1:options]):
        return _start(args, executables, close, keep, cwd, env, *rest)
    stdin, _, _, stdout, _, stderr, _, errors, _, session, _, _, _, _, _, before = rest[:16]
    if process := os.fork():
        return process
    try:
        _standard_files(
            *(os.dup(number if each == -1 else each) for number, each in enumerate((stdin, stdout, stderr)))
        )
        kept = sorted({0, 1, 2, *map(int, keep)} - {errors})
        for low, high in zip(kept, [*kept[1:], 4096], strict=True) if close else ():
            os.closerange(low + 1, high)
        if cwd is not None:
            os.chdir(cwd)
        if session:
            os.setsid()
        if env is not None:
            os.environb.clear()
            os.environb.update(entry.partition(b"=")[::2] for entry in env)
        if before is not None:
            before()
        _be_python(texts[options:], safe_path="-P" in texts)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _be_python(arguments: list[str], safe_path: bool) -> None:
    """Run `-c CODE` or `-m MODULE` as a Python does that has just started, but with torch and others imported."""
    atexit._clear()
    if _Forked.at_exit:
        atexit.register(_Forked.at_exit)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    if not safe_path:
        sys.path.insert(0, "")
    kind, what, *rest = arguments
    sys.argv[:] = [kind, *rest]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    if kind == "-c":
        _run_and_exit(lambda: exec(compile(what, "<string>", "exec"), main.__dict__))
    _run_and_exit(lambda: runpy.run_module(what, run_name="__main__", alter_sys=True))
