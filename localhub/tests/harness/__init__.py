"""A Hub under test, raw HTTP requests to it, and the environment of real clients."""

from __future__ import annotations

import http.client
import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass(frozen=True)
class TestHub:
    __test__ = False
    endpoint: str
    data: Path
    home: Path
    alice: str
    bob: str
    reader: str
    pid: int = 0

    def ask(self, method, path, token=None, body=None, **headers) -> Answer:
        """Send a request; the path is sent as written, which HTTP clients would normalise."""
        address = urlsplit(self.endpoint)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        if isinstance(body, dict | list):
            body = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            got = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, got, answer.read())
        finally:
            connection.close()

    def create(self, name, token=None, **more) -> str:
        """Create a dataset repository, by default of alice, and return its API path."""
        token = token or self.alice
        answer = self.ask("POST", "/api/repos/create", token, {"name": name, "type": "dataset", **more})
        assert answer.status == 200, answer.body
        return f"/api/datasets/{answer.json['name']}"

    def commit(self, api, files, token=None, rev="main", **header) -> Answer:
        """Commit small files, or operations that are passed as mappings."""
        lines = [{"key": "header", "value": {"summary": "test", "description": "", **header}}]
        for path, content in files.items():
            if isinstance(content, dict):
                lines.append(content)
            else:
                lines.append({"key": "file", "value": {"path": path, "content": content, "encoding": "utf-8"}})
        body = "\n".join(json.dumps(line) for line in lines).encode()
        kind = {"Content_Type": "application/x-ndjson"}
        return self.ask("POST", f"{api}/commit/{rev}", token or self.alice, body, **kind)


def environment(hub: TestHub, token: str | None, xet: bool, home: Path) -> dict[str, str]:
    """Return the environment that keeps a client on this Hub and off the network."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    return {
        **kept,
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "0" if xet else "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "DISABLE_SAFETENSORS_CONVERSION": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(HERE.parent),
        **({"HF_TOKEN": token} if token else {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}),
    }
