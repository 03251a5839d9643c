"""As much of the W&B service as a run needs, on this machine: it keeps what it was sent, and says so to who resumes."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Service(ThreadingHTTPServer):
    """What was streamed to it, oldest first."""

    def __init__(self, port: int = 0):
        super().__init__(("127.0.0.1", port), Handler)
        self.streams = []
        self.starts = []  # variables of the requests that begin or resume a run
        self.known = False  # whether the run is there, to be resumed
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def stop(self):
        self.shutdown()
        self.server_close()

    def lines(self, name):
        """Those of a file of the run that arrived."""
        files = [request["files"].get(name) for request in self.streams if "files" in request]
        return [json.loads(line) for file in filter(None, files) for line in file["content"]]

    def rows(self):
        """env_step of the rows that arrived."""
        return [row["env_step"] for row in self.lines("wandb-history.jsonl")]

    def bucket(self):
        """The run, for who resumes it."""
        history, summaries = self.lines("wandb-history.jsonl"), self.lines("wandb-summary.json")
        return {
            "id": "b",
            "name": "run",
            "summaryMetrics": json.dumps(summaries[-1] if summaries else {}),
            "displayName": "run",
            "logLineCount": 0,
            "historyLineCount": len(history),
            "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(history[-1])] if history else []),
            "eventsTail": "[]",
            "config": "{}",
            "wandbConfig": '{"t": 1}',
            "tags": [],
        }


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/graphql":
            self.server.streams.append(request)
            self.answer({})
            return
        project = {"name": "test", "entity": {"name": "lab"}}
        variables, operation = request.get("variables", {}), request.get("operationName")
        if operation == "UpsertBucket":
            self.server.starts.append(variables)
        places = [{"name": name, "uploadUrl": f"{self.server.url}/{name}"} for name in variables.get("files", [])]
        bucket = {"id": "b", "name": variables.get("name"), "config": "{}", "project": project}
        resumed = {"bucket": self.server.bucket()} if self.server.known else None
        data = {
            "UpsertBucket": {"upsertBucket": {"bucket": bucket, "inserted": not self.server.known}},
            "RunResumeStatus": {"model": resumed and {"id": "m", "name": "test", "entity": {"name": "lab"}} | resumed},
            "CreateRunFiles": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": places}},
        }
        if operation == "UpsertBucket":
            self.server.known = True
        self.answer({"data": data.get(operation, {})})

    def answer(self, content):
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
