"""The server called directly, without a port: its views, its checks, and its stream of changes."""

import asyncio
import contextlib
import errno
import io
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from ablate.commands.serve import serve
from ablate.errors import UserError
from ablate.records.curves import LiveCurve
from ablate.records.files import Results
from tests.records.by_hand import key_of, make_old, write_plan, write_trial
from tests.report.hostile import hostile

pytest.importorskip("starlette", reason="starlette is not installed")
from starlette.testclient import TestClient

from ablate.serve.app import _Server, make_app
from ablate.serve.charts import drawing
from ablate.serve.watcher import Watcher

KEYS = [key_of(number) for number in range(250)]
TOKEN = "the-token"
PORT = 8127


def client_of(results: Results, store: Path) -> tuple[TestClient, Watcher]:
    """A browser on the server of these records, after the watcher's first look. store: the watcher's folder."""
    store.mkdir()
    watcher = Watcher(results, _folder=store)
    watcher.look(0.0)
    client = TestClient(make_app(watcher, results.root.parent / "reports", TOKEN, PORT), f"http://127.0.0.1:{PORT}")
    client.cookies.set(f"ablate_{PORT}", TOKEN)
    return client, watcher


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[TestClient, Watcher]:
    """A study of 250 trials: one done, one running, two failed, the others not started; with a report page."""
    folder = tmp_path_factory.mktemp("served")
    results = Results(folder / "results")
    write_trial(results, KEYS[0], numbers={"top1": 71.25})
    write_trial(results, KEYS[1], state="running", losses=(3.0, 2.0, 1.5), printed="epoch 3 <b>of 9</b>\n")
    for key in KEYS[2:4]:
        write_trial(results, key, state="failed", cause="exception", message="ZeroDivisionError", printed="Traceback\n")
    write_plan(results, {key: {"size": size} for size, key in enumerate(KEYS)}, metric="top1")
    (folder / "reports/mine").mkdir(parents=True)
    (folder / "reports/mine.html").write_text("<p>the report</p>")
    (folder / "reports/mine/measured.svg").write_text("<svg/>")
    (folder / "reports/secret.html").write_text("of no study")
    return client_of(results, folder / "store")


def test_the_index_shows_progress_what_runs_with_its_curve_and_why_trials_failed(served: Any) -> None:
    page = served[0].get("/").text
    assert "1 of 250 done" in page
    assert 'aria-label="loss (pretrain): 3 to 1.5, epoch 1 to 3"' in page
    assert "ZeroDivisionError" in page
    assert 'href="/pages/mine.html"' in page


def test_a_study_shows_a_hundred_trials_at_a_time_and_those_of_one_state(served: Any) -> None:
    get = served[0].get
    assert get("/study/mine").text.count('<th scope="row"') == 100
    last = get("/study/mine?page=3").text
    assert last.count('<th scope="row"') == 50
    assert "size=249 seed=0" in last
    assert get("/study/mine?page=99").text == last
    failed = get("/study/mine?state=failed").text
    assert [f"size={size} seed=0" in failed for size in range(5)] == [False, True, True, True, False]  # 1 is running
    assert failed.count('<th scope="row"') == 2
    assert ">71.25<" in get("/study/mine?state=done").text


def test_a_trial_shows_its_curve_its_log_and_why_it_failed(served: Any) -> None:
    get = served[0].get
    running = get(f"/trial/{KEYS[1]}").text
    assert "epoch 3 &lt;b&gt;of 9&lt;/b&gt;" in running
    assert 'class="line" d="M6.0 18.0 L160.0 84.7 L314.0 118.0"' in running
    failed = get(f"/trial/{KEYS[2]}").text
    assert "ZeroDivisionError" in failed
    assert "Traceback" in failed
    assert f"ablate why {KEYS[2][:12]}" in failed
    assert "not started" in get(f"/trial/{KEYS[9]}").text
    assert "Traceback" in get(f"/log/{KEYS[2]}/stderr?attempt=001-local").text


def test_what_was_logged_once_is_a_curve_only_while_more_may_follow(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    for key, state in zip(KEYS, ("done", "running"), strict=False):
        write_trial(results, key, state=state, losses=(2.5,))
    write_plan(results, {key: {"size": size} for size, key in enumerate(KEYS[:2])})
    client, _ = client_of(results, tmp_path / "store")
    assert ["<svg" in client.get(f"/trial/{key}").text for key in KEYS[:2]] == [False, True]


def test_the_queue_lists_what_runs_and_what_has_not_started_in_the_order_of_the_plan(served: Any) -> None:
    page = served[0].get("/queue").text
    assert "Running: 1" in page
    assert "Waiting: 246" in page
    assert page.index("size=4 seed=0") < page.index("size=5 seed=0")


def test_a_report_page_has_an_origin_of_its_own_and_its_links_to_records_lead_to_trials(served: Any) -> None:
    client = served[0]
    page = client.get("/pages/mine.html")
    assert page.text == "<p>the report</p>"
    assert page.headers["content-security-policy"].startswith("sandbox allow-scripts ")
    assert "connect-src" not in page.headers["content-security-policy"]  # default-src 'none' holds
    assert client.get("/pages/mine/measured.svg").headers["content-type"] == "image/svg+xml"
    for place in ("", "/results", "/any/results"):
        record = client.get(f"{place}/trials/{KEYS[0]}/result.json", follow_redirects=False)
        assert record.headers["location"] == f"/trial/{KEYS[0]}"
    assert client.get("/results/studies/mine/plan-1.json").url.path == "/study/mine"


@pytest.mark.parametrize(
    "path",
    ["/trial/0001", "/trial/..%2f..%2fstudies", "/log/{key}/trial.json", "/log/{key}/stderr?attempt=..%2f..%2fx",
     "/nothing",
     "/log/{key}/stderr?attempt=001-local%2f..%2f002", "/study/%2e%2e%2f%2e%2e", "/study/other",
     "/study/mine?profile=small",
     "/pages/secret.html", "/pages/..%2fresults%2findex.html", "/pages/mine/..%2f..%2fx.svg", "/pages/mine/nothing.svg",
     "/files/base.html.j2", "/files/..%2fapp.py"],
)  # fmt: skip
def test_what_the_records_do_not_name_is_not_there(served: Any, path: str) -> None:
    answer = served[0].get(path.format(key=KEYS[2]))
    assert (answer.status_code, "Nothing to show" in answer.text) == (404, True)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"host": "attacker.example"}, 403), ({"host": "attacker.example:8127"}, 403),
     ({"host": "127.0.0.1.evil.example"}, 403),
     ({"host": ""}, 403), ({"host": "[::1"}, 403), ({"origin": "http://attacker.example"}, 403),
     ({"origin": "null"}, 403),
     ({"origin": f"http://127.0.0.1:{PORT + 1}"}, 403), ({"origin": f"http://127.0.0.1:{PORT}"}, 200),
     ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}, 403),
     ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, 200),
     ({"host": "localhost:9999"}, 200), ({"host": "[::1]:8127"}, 200)],
)  # fmt: skip
def test_only_this_machines_own_names_and_the_servers_own_pages_are_answered(
    served: Any, headers: dict[str, str], status: int
) -> None:
    cookie = {"cookie": f"ablate_{PORT}={TOKEN}"}  # also to names to which a browser would not send it
    assert served[0].get("/queue", headers=headers | cookie).status_code == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_method_changes_anything(served: Any, method: str) -> None:
    assert served[0].request(method, "/study/mine").status_code == 405


def test_without_the_token_nothing_is_shown_and_the_printed_address_sets_it(served: Any) -> None:
    stranger = TestClient(served[0].app, f"http://127.0.0.1:{PORT}")
    for path in ("/", "/queue", f"/trial/{KEYS[1]}", "/events", "/files/serve.js", "/?token=wrong", "/?token="):
        assert stranger.get(path).status_code == 403
    entered = stranger.get(f"/?token={TOKEN}", follow_redirects=False)
    assert entered.headers["location"] == "/"
    assert "httponly" in entered.headers["set-cookie"].lower()
    assert stranger.get("/").status_code == 200
    for other in ('table={"a": [1, 2]}', "odd[name]=1", "\u00e9=1; broken"):  # of another server of this machine
        cookies = {"cookie": f"{other}; ablate_{PORT}={TOKEN}".encode()}
        assert TestClient(served[0].app, f"http://127.0.0.1:{PORT}", headers=cookies).get("/").status_code == 200


def test_numbers_of_any_size_are_drawn_within_the_chart() -> None:
    curve = LiveCurve("loss", "", "step", (-1.7e308, 0.0, 1.7e308), (-1.7e308, None, 1.7e308), 3)
    assert drawing(curve)["path"] == "M6.0 118.0 M314.0 18.0"
    least = LiveCurve("loss", "", "step", (0.0, 5e-324), (0.0, 5e-324), 2)
    assert drawing(least)["end"] == (160.0, 68.0)


def test_a_pipe_gets_the_address_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []

    class Pipe(io.StringIO):
        def flush(self) -> None:
            flushed.append(self.getvalue())

    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    with contextlib.redirect_stdout(Pipe()):
        serve(tmp_path, port=0)
    assert "?token=" in flushed[0]


def test_a_browser_that_returns_only_when_it_is_closed_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, closed = threading.Event(), threading.Event()
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: (served.set(), closed.wait(30)))
    monkeypatch.setattr("webbrowser.open", lambda address: served.wait(30) and closed.set())
    serve(tmp_path, port=0, open_=True)
    assert closed.is_set()


def test_every_answer_forbids_scripts_of_others_frames_and_copies_in_caches(served: Any) -> None:
    for path in ("/", "/nothing", "/files/serve.css", "/pages/none.html"):
        headers = served[0].get(path).headers
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def test_hostile_texts_are_shown_as_texts_in_every_view(tmp_path: Path) -> None:
    results = hostile(tmp_path)
    folder = results.trial(key_of(4)).attempt_folders()[-1]
    (folder / "stderr").write_bytes(b"<script>window.hacked = 1</script>\x1b[31m\xff\x00" * 3000)
    client, _ = client_of(results, tmp_path / "store")
    paths = ["/", "/queue", "/study/hostile", "/study/hostile?state=failed", f"/trial/{key_of(4)}"]
    for path in [*paths, f"/log/{key_of(4)}/stderr", f"/trial/{key_of(99)}"]:
        answer = client.get(path)
        assert answer.status_code == 200
        assert "<script>window" not in answer.text
        assert "<img" not in answer.text
        assert answer.text.count("<script") == 1


def test_the_stream_tells_a_change_once_and_ends_with_its_reader(tmp_path: Path) -> None:
    async def heard() -> list[str]:
        watcher = Watcher(Results(tmp_path), version=3)
        stream = _Server(watcher, tmp_path)._changes()
        found = [await anext(stream)]
        watcher.version = 7
        found.append(await anext(stream))
        await stream.aclose()  # type: ignore[attr-defined]
        return found

    assert asyncio.run(heard()) == ['data: {"version": 3}\n\n', 'data: {"version": 7}\n\n']


def test_the_watcher_sees_a_new_row_and_writes_nothing_among_the_records(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    attempt = write_trial(results, KEYS[0], state="running", losses=(3.0,))
    write_plan(results, {KEYS[0]: {"size": 1}})
    before = sorted(results.root.rglob("*"))
    client, watcher = client_of(results, tmp_path / "store")
    assert "epoch 1 to 1" in client.get("/").text
    version, latest = watcher.version, watcher.look(0.0)
    with (attempt / "metrics.jsonl").open("a") as file:
        file.write('{"phase": "pretrain", "epoch": 2, "loss": 2.5}\n')
    watcher.look(latest)
    assert watcher.version > version
    assert "3 to 2.5, epoch 1 to 2" in client.get("/").text
    assert sorted(results.root.rglob("*")) == before


def test_whatever_goes_wrong_while_it_looks_is_told_and_it_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher = Watcher(Results(tmp_path))
    problems = []

    def update(found: object) -> None:
        problems.append(watcher.problem)
        if len(problems) == 1:
            raise ValueError("odd")
        if len(problems) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        watcher.stop()

    monkeypatch.setattr(watcher, "_update", update)
    monkeypatch.setattr("ablate.serve.watcher._LEAST_SECONDS", 0.01)
    watcher.run(threading.Event())
    assert problems == ["", "ValueError: odd", f"No space left on device: {watcher._folder}"]
    assert (watcher.version, watcher.problem) == (3, "")


def test_an_unchanged_folder_gives_no_new_version_and_a_lost_one_is_told(tmp_path: Path) -> None:
    results = Results(tmp_path / "results")
    write_trial(results, KEYS[0])
    write_plan(results, {KEYS[0]: {"size": 1}})
    make_old(results.root)  # a file that has just changed counts as changed again
    client, watcher = client_of(results, tmp_path / "store")
    latest = watcher.look(0.0)
    version = watcher.version
    assert watcher.look(latest) == latest
    assert watcher.version == version
    moved = results.root.rename(tmp_path / "moved")
    for _ in range(3):
        latest = watcher.look(latest)
        assert watcher.version == version + 1  # the same problem changes no page
        assert len(list((tmp_path / "store").iterdir())) == 1  # and no look leaves a store
    page = client.get("/").text
    assert 'id="problem" data-live' in page  # so that open pages show it
    assert f"out of date: there is no results folder {results.root}</p>" in page
    assert "1 of 1 done" in page  # what was read last
    moved.rename(results.root)
    watcher.look(latest)
    assert "cannot be read now" not in client.get("/").text


def test_without_its_libraries_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ablate.serve.server", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(UserError, match=r"(?s)ablate serve needs uvicorn.*pip install starlette uvicorn"):
        serve(tmp_path)


def test_a_folder_that_is_not_there_or_a_port_in_use_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no results folder"):
        serve(tmp_path / "none", port=0)
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UserError, match=r"(?s)cannot be used.*--port 0"),
    ):
        serve(tmp_path, port=taken.getsockname()[1])
