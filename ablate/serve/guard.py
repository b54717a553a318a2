"""What every request must pass (host, origin, method, token), and the headers of every answer."""

import secrets
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OURS = ("127.0.0.1", "localhost", "::1")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Nothing that stands in a record can run, load or send anything."""
REPORT_POLICY = (
    "sandbox allow-scripts allow-top-navigation-by-user-activation allow-downloads; default-src 'none'; "
    "script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report page has its scripts and styles inside: it gets an origin of its own, which can reach nothing."""
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """The server behind its checks; `token` is the secret in the address that the command prints."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self.app = app
        self.token = token
        self.cookie = f"ablate_{port}"  # browsers share cookies between the ports of a host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._refusal(scope) or self.app)(scope, receive, answer)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that must not reach the views; None for one that may."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if _name(host) not in _OURS:  # a page elsewhere whose name was bound to this address
            return PlainTextResponse("this server answers to 127.0.0.1 and localhost only\n", 403)
        if "origin" in headers and headers["origin"] != f"http://{host}":
            return PlainTextResponse("this server answers to its own pages only\n", 403)
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            return PlainTextResponse("this server answers to its own pages only\n", 403)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("this server only shows records\n", 405, {"Allow": "GET, HEAD"})
        return self._without_token(scope)

    def _without_token(self, scope: Scope) -> Response | None:
        """Other users of this machine reach its ports too, but not the records that only you can read."""
        if self._is_token(Request(scope).cookies.get(self.cookie, "")):  # read whatever other servers here have set
            return None
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        if not self._is_token(asked.pop("token", [""])[0]):
            return PlainTextResponse("open the address that `ablate serve` printed: it contains a token\n", 403)
        rest = urlencode(asked, doseq=True)
        response = RedirectResponse(f"/?{rest}" if rest else "/", 303)
        response.set_cookie(self.cookie, self.token, httponly=True, samesite="lax")
        return response

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode("utf-8", "replace"), self.token.encode())


def _name(host: str) -> str:
    """The name in a Host header, without its port; empty if it is not one."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
