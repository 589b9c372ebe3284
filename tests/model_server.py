"""A server that speaks the JSON of an Inference Endpoint around a real model."""

import json
import threading
from contextlib import contextmanager

from transformers import pipeline

from s3_hf.predicting.student import Student
from tests.threaded_server import QuietHandler, ThreadedServer


@contextmanager
def serving(model, *, answers=False, flat=False, refusals=()):
    """Give a server with `.url`, `.asked` (headers and bodies), for the model in a folder.

    A list for each text is what Inference Providers answer; `flat` answers as the handler of an Inference
    Endpoint does. `answers` serves a model that finds them, for which `transformers` has no pipeline any more.
    `refusals` are statuses that the first requests get, or None for an answer that is not JSON.
    """
    server = ThreadedServer(_Handler)
    server.url = server.address
    server.say = _answering(model) if answers else _classifying(model)
    server.flat, server.refusals, server.asked, server.lock = flat, list(refusals), [], threading.Lock()
    with server.serving():
        yield server


def _classifying(model):
    classify = pipeline("text-classification", model=str(model), device="cpu")

    def say(payload):
        options = {name: value for name, value in (payload.get("parameters") or {}).items() if value is not None}
        return classify(payload["inputs"], **{"top_k": None, **options})

    return say


def _answering(model):
    student = Student(str(model))

    def say(payload):
        question, context = payload["inputs"]["question"], payload["inputs"]["context"]
        (said,) = student.predict([question], [context])
        start = context.find(said.value)
        return {"answer": said.value, "score": said.score, "start": start, "end": start + len(said.value)}

    return say


class _Handler(QuietHandler):
    def do_POST(self):  # noqa: N802 - the name that http.server asks for
        payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.server.lock:
            self.server.asked.append((dict(self.headers), payload))
            refusal = self.server.refusals.pop(0) if self.server.refusals else 200
            if refusal != 200:
                body = {"error": f"refused with {refusal}"} if refusal else "<html>hello</html>"
                return self._answer(refusal or 200, body)
            try:
                found = self.server.say(payload)
            except (ValueError, KeyError, TypeError) as error:
                return self._answer(400, {"error": str(error)})
        return self._answer(200, found if self.server.flat else [found])

    def _answer(self, status, body):
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(content)
