"""The server: its routes, each a view of the records, and the stream of changes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from ablate.errors import AblateError
from ablate.records.reading import MOST_BYTES_OF_LINES, Damaged, content
from ablate.report.render.html import FILTERS
from ablate.serve import views
from ablate.serve.guard import REPORT_POLICY, Guard
from ablate.serve.watcher import Watcher

_LOOK_SECONDS = 0.5
_ALIVE_SECONDS = 15.0
_FILES = {"serve.js": "text/javascript", "serve.css": "text/css", "style.css": "text/css"}
_CHARTS = {"svg": "image/svg+xml", "png": "image/png"}


def make_app(watcher: Watcher, reports: Path, token: str, port: int) -> Guard:
    """The server as an ASGI application. reports: the folder of report pages. token, port: see `Guard`."""
    server = _Server(watcher, reports)
    routes = [
        Route("/", server.index),
        Route("/study/{study}", server.study),
        Route("/trial/{key}", server.trial),
        Route("/log/{key}/{stream}", server.log),
        Route("/queue", server.queue),
        Route("/events", server.events),
        Route("/favicon.ico", server.icon),
        Route("/files/{name}", server.file),
        Route("/pages/{name}.html", server.report),
        Route("/pages/{name}/{chart}.{kind}", server.chart),
        Route("/{place:path}trials/{name}/{rest:path}", partial(server.record, "trial")),
        Route("/{place:path}studies/{name}/{rest:path}", partial(server.record, "study")),
    ]
    app = Starlette(routes=routes, exception_handlers={404: server.missing})
    return Guard(app, token, port)


class _Server:
    """The views with what they read from."""

    def __init__(self, watcher: Watcher, reports: Path) -> None:
        self.watcher, self.reports = watcher, reports
        self.environment = jinja2.Environment(
            loader=jinja2.PackageLoader("ablate.serve"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )  # fmt: skip
        self.environment.filters |= FILTERS | {"query": _query}

    async def index(self, request: Request) -> Response:
        return await self._view("index.html.j2", partial(views.index, self.watcher, self.reports))

    async def study(self, request: Request) -> Response:
        asked, name = request.query_params, request.path_params["study"]
        found = (name, asked.get("profile"), asked.get("state"), _number(asked.get("page")))
        return await self._view("study.html.j2", partial(views.study, self.watcher, self.reports, *found))

    async def trial(self, request: Request) -> Response:
        return await self._view("trial.html.j2", partial(views.trial, self.watcher, request.path_params["key"]))

    async def log(self, request: Request) -> Response:
        key, stream = request.path_params["key"], request.path_params["stream"]
        attempt = request.query_params.get("attempt")
        return await self._view("log.html.j2", partial(views.log, self.watcher, key, attempt, stream))

    async def queue(self, request: Request) -> Response:
        page = _number(request.query_params.get("page"))
        return await self._view("queue.html.j2", partial(views.queue, self.watcher, page))

    async def missing(self, request: Request, error: Exception) -> Response:
        return self._error("There is no such page.", 404)

    async def file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _FILES:
            return self._error("There is no such file.", 404)
        package = "ablate.report" if name == "style.css" else "ablate.serve"
        text = (resources.files(package) / "templates" / name).read_text("utf-8")
        return Response(text, media_type=_FILES[name])

    async def icon(self, request: Request) -> Response:
        return Response(status_code=204)

    async def report(self, request: Request) -> Response:
        return await self._file(
            request.path_params["name"], None, "text/html", {"Content-Security-Policy": REPORT_POLICY}
        )

    async def chart(self, request: Request) -> Response:
        name, chart, kind = (request.path_params[part] for part in ("name", "chart", "kind"))
        if kind not in _CHARTS or not chart.replace("-", "").replace("_", "").isalnum():
            return self._error("There is no such chart.", 404)
        headers = {"Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'"}
        return await self._file(name, f"{chart}.{kind}", _CHARTS[kind], headers)

    async def record(self, view: str, request: Request) -> Response:
        """Where a report page links to the record of a trial, or to a plan of a study: its view."""
        return RedirectResponse(f"/{view}/{quote(request.path_params['name'], safe='')}")

    async def events(self, request: Request) -> Response:
        return StreamingResponse(self._changes(), media_type="text/event-stream")

    async def _changes(self) -> AsyncIterator[str]:
        """The version of the records, now and after each change: a slow browser may skip some, but gets the newest."""
        sent, silent = None, 0.0
        while True:
            if (version := self.watcher.version) != sent:
                yield f"data: {json.dumps({'version': version})}\n\n"
                sent, silent = version, 0.0
            elif silent >= _ALIVE_SECONDS:
                yield ": nothing new\n\n"
                silent = 0.0
            await asyncio.sleep(_LOOK_SECONDS)
            silent += _LOOK_SECONDS

    async def _view(self, template: str, read: Callable[[], dict[str, Any]]) -> Response:
        """A view in a thread, so that a slow one does not hold up others."""
        try:
            return await run_in_threadpool(self._render, template, read)
        except views.NotRecorded as error:
            return self._error(f"The records have {error}.", 404)
        except AblateError as error:
            return self._error(f"The records cannot be read: {error}", 503)

    def _render(self, template: str, read: Callable[[], dict[str, Any]], status: int = 200) -> Response:
        version = self.watcher.version  # before it is read: what changes meanwhile is fetched again
        about = {"version": version, "root": str(self.watcher.results.root), "problem": self.watcher.problem}
        text = self.environment.get_template(template).render(**about, **read())
        return HTMLResponse(text.encode("utf-8", "replace"), status)  # lone surrogates are possible in JSON only

    def _error(self, text: str, status: int) -> Response:
        return self._render("error.html.j2", lambda: {"text": text}, status)

    async def _file(self, name: str, chart: str | None, kind: str, headers: dict[str, str]) -> Response:
        """A report page, or one of its charts."""
        try:
            page = views.report_file(self.watcher, self.reports, name)
            path = page if chart is None else page.with_suffix("") / chart
            data = await run_in_threadpool(content, path, MOST_BYTES_OF_LINES)
        except (views.NotRecorded, Damaged, FileNotFoundError):
            return self._error("This page has not been written: ablate report writes it.", 404)
        return Response(data, media_type=kind, headers=headers)


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else 1


def _query(values: dict[str, Any]) -> str:
    """Parameters of an address, those without a value left out."""
    return urlencode({name: value for name, value in values.items() if value is not None}, errors="replace")
