"""Who may talk to the labelling page: what a browser was made to send by other pages is turned away.

On the loopback interface only requests for a loopback name are taken, so that no web site can reach the page by having
its own name point here (DNS rebinding). On a network a token is needed, which is in the link that is printed, and
which the browser then keeps as a cookie. What changes anything must be JSON from the page itself (`Origin`).
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'; base-uri 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def refuse(status: int, line: str) -> Response:
    """An error that the page shows as it is."""
    return JSONResponse({"error": line}, status)


class Guard:
    """Middleware that lets through what comes from the page itself, opened by someone who may."""

    def __init__(self, app: ASGIApp, port: int, token: str | None, host: str):
        """token: needed where the page is open to a network; host: the name or address that it was opened by."""
        self.app, self.port, self.token = app, port, token
        names = [host, socket.gethostname(), socket.getfqdn()] if token else []
        self.names = {*LOOPBACK, *(name.lower() for name in names)}
        self.cookie = f"repro_label_{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["type"] != "http":
            return
        answer = self._check(Request(scope)) or self.app
        await answer(scope, receive, send_with_headers)

    def _check(self, request: Request) -> Response | None:
        """What is wrong with the request, None if nothing is."""
        host = _split_host(request.headers.get("host", ""))
        if host is None or host[1] not in (self.port, None) or not self._is_ours(host[0]):
            return refuse(421, "this page is not known by that name; open the link that repro label printed")
        if self.token and not _equal(request.cookies.get(self.cookie, ""), self.token):
            if request.method == "GET" and _equal(request.query_params.get("token", ""), self.token):
                response = RedirectResponse(request.url.path, 303)
                # Not strict: where the link stands in a mail or a chat, a browser would keep it back from the page.
                response.set_cookie(self.cookie, self.token, httponly=True, samesite="lax")
                return response
            return refuse(401, "open the whole link that repro label printed, with its token")
        if request.method == "POST":
            if request.headers.get("origin") != f"http://{request.headers['host']}":
                return refuse(403, "answers are taken from the labelling page only")
            if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return refuse(415, "answers are taken as JSON only")
        return None

    def _is_ours(self, name: str) -> bool:
        """Whether a request for this host may come from a link that we printed."""
        if name in self.names:
            return True
        if not self.token:
            return False
        try:
            ipaddress.ip_address(name)  # no name that could point elsewhere tomorrow
        except ValueError:
            return False
        return True


def _equal(given: str, wanted: str) -> bool:
    """Compares in a time that does not tell how much of it is right."""
    return secrets.compare_digest(given.encode(), wanted.encode())


def _split_host(header: str) -> tuple[str, int | None] | None:
    """Name in lower case and port of a Host header, None if it is none."""
    try:
        parts = urlsplit(f"//{header}")
        return (parts.hostname, parts.port) if parts.hostname and parts.netloc == header and "@" not in header else None
    except ValueError:
        return None
