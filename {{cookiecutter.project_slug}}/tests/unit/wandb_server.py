"""As much of the W&B service as a run needs, on this machine: it keeps what it was sent, and says so to who resumes."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# What is answered of an artifact that has arrived.
PROJECT = {"id": "p", "internalId": "p", "name": "test", "entity": {"name": "lab"}}
COMMITTED = {
    "__typename": "Artifact",
    "artifactSequence": {"__typename": "ArtifactSequence", "name": "networks", "project": PROJECT},
    **{"state": "COMMITTED", "size": 1, "fileCount": 1, "digest": "d", "metadata": "{}", "tags": [], "aliases": []},
    **{"ttlDurationSeconds": -1, "ttlIsInherited": True, "createdAt": "2026-11-21T10:00:00Z"},
    **dict.fromkeys(("versionIndex", "description", "historyStep", "commitHash", "updatedAt")),
}


class Service(ThreadingHTTPServer):
    """What was streamed to it, oldest first."""

    def __init__(self, port: int = 0):
        super().__init__(("127.0.0.1", port), Handler)
        self.connections = 0
        self.requests = []  # path and login of each
        self.streams = []
        self.starts = []  # variables of the requests that begin or resume a run
        self.known = False  # whether the run is there, to be resumed
        self.artifacts = {}  # type -> names of its files
        self.files = {}  # path -> content, of what was uploaded
        self.refuses = self.hangs = False  # what it does with requests
        self.refuses_files = self.refuses_rows = False  # ... and with what is uploaded, and streamed
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def process_request(self, request, client_address):
        self.connections += 1
        super().process_request(request, client_address)

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

    def run(self):
        """The run, for who asks how it stands."""
        bucket, last = self.bucket(), self.streams[-1] if self.streams else {}
        state = "running" if "exitcode" not in last else "failed" if last["exitcode"] else "finished"
        return bucket | {"projectId": "1", "state": state, "systemMetrics": "{}", "historyKeys": None, "user": {}}

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

    def parse_request(self):
        parsed = super().parse_request()
        if parsed:
            self.server.requests.append((self.path, self.headers["Authorization"]))
        return parsed

    def do_PUT(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.server.refuses_files:
            self.server.files[self.path] = content
        self.answer({}, refuse=self.server.refuses_files)

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.server.hangs:  # what it was told meanwhile is lost, and never confirmed
            self.wait()
            self.close_connection = True
            return
        if self.server.refuses:
            self.answer({})
            return
        if self.path != "/graphql":
            if not self.server.refuses_rows:
                self.server.streams.append(request)
            self.answer({}, refuse=self.server.refuses_rows)
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
        if "query Run(" in request["query"]:
            data[operation] = {"project": {"run": self.server.run()}}
        if "query ArtifactType(" in request["query"]:
            data[operation] = {"project": {"artifact": None}}
        if "query ArtifactByID" in request["query"]:
            kind = variables["id"]
            data[operation] = {"artifact": COMMITTED | {"id": kind, "artifactType": {"name": kind}}}
        self.answer({"data": data.get(operation) or self.about_artifacts(operation, variables)})

    def about_artifacts(self, operation, variables):
        """What is answered to who uploads one: its kind, its files, its manifest."""
        given, artifacts = variables.get("input", {}), self.server.artifacts
        if operation == "CreateArtifact":
            artifacts[given["artifactTypeName"]] = set()
            made = {"id": given["artifactTypeName"], "state": "PENDING", "artifactSequence": {"latestArtifact": None}}
            return {"createArtifact": {"artifact": made}}
        if operation == "CreateArtifactManifest":
            file = {"id": "f", "uploadUrl": f"{self.server.url}/manifest", "uploadHeaders": []}
            return {"createArtifactManifest": {"artifactManifest": {"id": variables["artifactID"], "file": file}}}
        if operation == "CreateArtifactFiles":
            edges = []
            for file in given["artifactFiles"]:
                artifacts[file["artifactID"]].add(file["name"])
                place = {"storagePath": "s", "uploadUrl": f"{self.server.url}/{file['name']}", "uploadHeaders": []}
                edges.append({"node": place | {"artifact": {"id": file["artifactID"]}}})
            return {"createArtifactFiles": {"files": {"edges": edges}}}
        if operation == "CommitArtifact":
            return {"commitArtifact": {"artifact": {"id": variables["artifactID"], "digest": "d"}}}
        teams = {"edges": []}
        viewer = {"id": "u", "entity": "lab", "username": "anna", "email": "", "flags": "{}", "teams": teams}
        return {"viewer": viewer} if operation == "Viewer" else {}

    def wait(self):
        while self.server.hangs:
            time.sleep(0.1)

    def answer(self, content, refuse=False):
        self.wait()
        body = json.dumps(content).encode()
        self.send_response(403 if refuse or self.server.refuses else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
