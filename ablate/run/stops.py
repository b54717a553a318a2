"""How a worker process is told to stop, and why: a signal for each cause."""

import signal

STOPS = {"stopped": signal.SIGTERM, "timeout": signal.SIGUSR2, "preempted": signal.SIGUSR1}
"""Cause of the interrupted attempt -> signal."""
CAUSES = {number: cause for cause, number in STOPS.items()}
