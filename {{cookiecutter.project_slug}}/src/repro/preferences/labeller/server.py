"""The server of the labelling page: a few files, clips, and the answers, each committed before it is confirmed."""

from __future__ import annotations

import errno
import json
import re
import socket
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import uvicorn
from pydantic import Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from repro.config.base import NonNegativeFloat, Record
from repro.preferences.labeller.desk import Desk
from repro.preferences.labeller.guard import LOOPBACK, Guard, refuse
from repro.preferences.labeller.outlook import describe_outlook
from repro.preferences.labelling import Labelling, Pair, Stale, check_annotator
from repro.preferences.schema import Answer
from repro.reading import UserError

PAGES = Path(__file__).parent / "pages"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
AHEAD = 3  # pairs that a page has at hand, the one that is shown included
REVIEWED = 30  # answers that the review page asks for at once
DAY = 86400.0
MAX_BODY = 4096  # bytes of a request
Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class SentPair(Record):
    """A pair as `_show` gave it to the page."""

    key: Annotated[str, Field(pattern="^[0-9]{1,18}r?$")]
    version: Annotated[int, Field(ge=0, lt=10**18)]
    left: Hash
    right: Hash


class SentAnswer(Record):
    """What the page sends."""

    pair: SentPair
    answer: Answer | Literal["undo"]
    seconds: NonNegativeFloat | None = None  # that it took
    annotator: str | None = None


class BadRequest(UserError):
    """Not what the page sends."""


def make_app(desk: Desk, port: int, token: str | None, host: str) -> Guard:
    """The application. token: what a browser needs to know; None where the page is on the loopback interface.

    host: the name or address that the page was opened by.
    """
    routes = [Route("/", partial(_file, "label.html")), Route("/review", partial(_file, "review.html"))]
    routes += [
        Route(f"/{path.name}", partial(_file, path.name)) for path in PAGES.iterdir() if path.suffix != ".html"
    ]  # no path that a browser sends is ever looked up on the disk
    api = _Api(desk)
    routes += [
        Route("/api/setting", api.setting),
        Route("/api/work", api.work),
        Route("/api/answers", api.answer, methods=["POST"]),
        Route("/api/given", api.given),
        Route("/api/pair", api.pair),
        Route("/clips/{name}", api.clip),
    ]
    handlers: Any = {Stale: _explain(409), BadRequest: _explain(400), UserError: _explain(503), 404: _not_found}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), port, token, host)


async def _file(name: str, request: Request) -> Response:
    path = PAGES / name
    return Response(path.read_bytes(), media_type=KINDS[path.suffix])


def _explain(status: int) -> Any:
    async def handler(request: Request, error: Exception) -> Response:
        return refuse(status, str(error))

    return handler


async def _not_found(request: Request, error: Exception) -> Response:
    return refuse(404, "there is no such page")


class _Api:
    """What the pages ask for. Nothing of the oracle and of true rewards is sent."""

    def __init__(self, desk: Desk):
        self.desk, self.task = desk, desk.task

    async def setting(self, request: Request) -> Response:
        """What does not change while the server runs."""
        names = ("run", "environment", "instruction", "annotator", "wanted")
        return JSONResponse({name: getattr(self.task, name) for name in names})

    async def work(self, request: Request) -> Response:
        """How things stand, and the pairs that the page lacks, beside those it has (`held`: keys)."""
        annotator = self._annotator(request.query_params.get("annotator"))
        held = [key for key in request.query_params.get("held", "").split(",") if key][:AHEAD]

        def look(labelling: Labelling) -> dict[str, Any]:
            last = labelling.last(annotator)
            pairs = labelling.pairs(annotator, AHEAD - len(held), held)
            progress = labelling.progress(annotator)
            return {"pairs": [_show(pair) for pair in pairs], "last": last and _show(last), "progress": progress}

        work, situation = await self.desk.ask(look), self.task.situation()
        unanswered = work["progress"]["waiting"]
        asked = work["progress"]["labels"] + unanswered
        outlook = describe_outlook(situation, self.task.run, self.task.wanted, asked, unanswered)
        stands_still = situation.waits and unanswered > 0
        return JSONResponse(work | {"status": situation.status, "outlook": outlook, "waits": stands_still})

    async def answer(self, request: Request) -> Response:
        """Store an answer, or an `undo`; returns the pair as it is then, when the answer is on disk."""
        sent = await _read_answer(request)
        annotator, key = self._annotator(sent.annotator), sent.pair.key
        pair = Pair(int(key.removesuffix("r")), key.endswith("r"), sent.pair.version, sent.pair.left, sent.pair.right)
        seconds = None if sent.seconds is None else min(sent.seconds, DAY)
        env_step = self.task.situation().env_step

        def store(labelling: Labelling) -> Pair:
            labelling.answer(annotator, pair, sent.answer, seconds, env_step)
            return labelling.pair(key, annotator)

        return JSONResponse(_show(await self.desk.ask(store)))

    async def given(self, request: Request) -> Response:
        """The annotator's answers, latest first; `before`: those that follow on the next page."""
        annotator, before = self._annotator(request.query_params.get("annotator")), request.query_params.get("before")
        if before is not None and not re.fullmatch(r"\d{1,18}", before):
            raise BadRequest("before: expected a number")

        def look(labelling: Labelling) -> dict[str, Any]:
            rows = labelling.given(annotator, REVIEWED, None if before is None else int(before))
            return {"given": rows, "progress": labelling.progress(annotator), "more": len(rows) == REVIEWED}

        return JSONResponse(await self.desk.ask(look))

    async def pair(self, request: Request) -> Response:
        """One pair, to look at again."""
        annotator, key = self._annotator(request.query_params.get("annotator")), request.query_params.get("key", "")
        return JSONResponse(_show(await self.desk.ask(lambda labelling: labelling.pair(key, annotator))))

    async def clip(self, request: Request) -> Response:
        """The pictures of a segment on one sheet; how they lie on it is in the header `Clip`."""
        name = request.path_params["name"]
        if not re.fullmatch(r"[0-9a-f]{64}", name):
            return refuse(404, "there is no such clip")
        clip = await self.desk.clip(name)
        headers = {"Clip": json.dumps(clip.description()), "Cache-Control": "private, max-age=86400, immutable"}
        return Response(clip.image, media_type="image/webp", headers=headers)

    def _annotator(self, name: str | None) -> str:
        if self.task.annotator is not None:
            return self.task.annotator
        try:
            return check_annotator(name or "")
        except UserError as error:
            raise BadRequest(str(error)) from None


def _show(pair: Pair) -> dict[str, Any]:
    return {"key": pair.key, "version": pair.version, "left": pair.left, "right": pair.right}


async def _read_answer(request: Request) -> SentAnswer:
    content = b""
    async for part in request.stream():
        content += part
        if len(content) > MAX_BODY:
            raise BadRequest(f"more than {MAX_BODY} bytes")
    try:
        return SentAnswer.model_validate_json(content)
    except ValidationError as error:
        place = error.errors(include_url=False)[0]["loc"] or ("answer",)
        raise BadRequest(f"{place[0]}: not as the page sends it") from None


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises UserError."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise UserError(f"--host {host}: no address of this machine; write one, or 0.0.0.0 for all") from None
        raise UserError(
            f"--host {host} --port {port}: {error.strerror or error}; --port 0 takes any free one"
        ) from None
    return listener


def page_address(host: str, listener: socket.socket, token: str | None) -> str:
    """The link to open. Where all addresses are listened on, it has the one by which others reach this machine."""
    if host in ("0.0.0.0", "::"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(("192.0.2.1", 9))  # chooses a route; nothing is sent
                host = probe.getsockname()[0]
            except OSError:
                host = socket.gethostname()
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/" + (f"?token={token}" if token else "")


def make_server(desk: Desk, port: int, token: str | None, host: str = LOOPBACK[0]) -> uvicorn.Server:
    """A server of the page; `run(sockets=[...])` serves it."""
    app = make_app(desk, port, token, host)
    return uvicorn.Server(
        uvicorn.Config(app, ws="none", log_level="warning", access_log=False, server_header=False, lifespan="off")
    )


def serve(desk: Desk, listener: socket.socket, token: str | None, host: str) -> None:
    """Serve the page until the process is interrupted."""
    try:
        make_server(desk, listener.getsockname()[1], token, host).run(sockets=[listener])
    finally:
        desk.close()
