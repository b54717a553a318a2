"""`python -m ablate` is the `ablate` command."""

import signal
import sys


def main() -> None:
    """The `ablate` command, also where Ctrl-C comes while it is still being imported, or once it only exits."""
    try:
        from ablate.cli import main as command

        command()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        _ignore_signals()


def _ignore_signals() -> None:
    """Let no further Ctrl-C, SIGTERM or SIGHUP interrupt Python's exit functions, which would print a traceback."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):  # Windows has no SIGHUP
            signal.signal(getattr(signal, name), signal.SIG_IGN)


if __name__ == "__main__":
    main()
