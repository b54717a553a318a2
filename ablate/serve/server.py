"""The server's process: its socket on the loopback address, the watcher's thread, and the end at Ctrl-C."""

import os
import secrets
import socket
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

import uvicorn

from ablate.errors import UserError
from ablate.records.files import Results
from ablate.serve.app import make_app
from ablate.serve.watcher import Watcher

_HOST = "127.0.0.1"
_TOKEN_BYTES = 18
_FIRST_LOOK_SECONDS = 600
_END_SECONDS = 2.0


def serve_records(results: Results, reports: Path, port: int, opens: bool, say: Callable[[str], None]) -> None:
    """Serve the records until Ctrl-C. port: 0 for any free one. opens: whether to open a browser.

    Raises UserError without a results folder, and for a port that cannot be had.
    """
    if not results.root.is_dir():
        raise UserError(f"there is no results folder {results.root}", help="run a study first, or name its folder")
    listening = _listen(port)
    port = listening.getsockname()[1]
    watcher, ready = Watcher(results), threading.Event()
    watching = threading.Thread(target=watcher.run, args=(ready,), daemon=True, name="watcher")
    watching.start()
    try:
        ready.wait(_FIRST_LOOK_SECONDS)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        address = f"http://{_HOST}:{port}/?token={token}"
        say(f"{results.root}: {address}  (Ctrl-C ends it)")
        if opens:  # in a thread: a browser in the terminal returns when it is closed, and needs the server before
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        # Streams of changes never end by themselves: at Ctrl-C they are cut off at once.
        config = uvicorn.Config(
            make_app(watcher, reports, token, port), lifespan="off", ws="none", log_level="critical", access_log=False,
            server_header=False, timeout_graceful_shutdown=0,
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listening])
    finally:
        listening.close()
        watcher.stop()
        watching.join(_END_SECONDS)


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":  # on Windows it would let another process take the port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        help = "choose another one with --port N; --port 0 takes any free one"
        raise UserError(f"port {port} of {_HOST} cannot be used: {error.strerror}", help=help) from error
    return listening
