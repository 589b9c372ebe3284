"""Endpoints as they are: each behaviour of `tests/llm_server.py`, over HTTP, is answered, or ends in one sentence."""

import asyncio
import logging
import shutil
import ssl
import subprocess
import threading

import pytest

from s3_hf import retrying
from s3_hf.config import LLMConfig, parse_config
from s3_hf.errors import ConfigError, S3Error
from s3_hf.journal import Journal
from s3_hf.keys import without_secrets
from s3_hf.llm import failures
from s3_hf.llm.access import chat_url, models_url, open_pools
from s3_hf.llm.answers import LONGEST_TEXT, ended_at
from s3_hf.llm.dialect import refused_field
from s3_hf.records import Completion
from s3_hf.schema import commented
from tests.llm_server import BEHAVIOURS, Fault, LLMServer, review
from tests.test_llm import fail, generate
from tests.threaded_server import QuietHandler, ThreadedServer

PARAMETERS = {"model", "messages", "stream", "max_tokens", "temperature", "top_p", "stop", "seed"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(retrying, "LONGEST_PAUSE", 0.06)
    monkeypatch.setattr(failures, "LOADING_WAIT", 0.1)


MENDED = {  # behaviour -> the text that is wanted (None: that of the server), requests sent
    "openrouter: rate limit in 200": (None, 2),
    "openrouter: upstream fault in 200": (None, 2),
    "openrouter: fault in the choice": (None, 2),
    "mistral: content in parts": ("Good.", 1),
    "usage null": ("Good film.", 1),
    "transformers: model loading": (None, 2),
    "llama.cpp: model loading": (None, 2),
    "retry-after nan": (None, 2),
    "retry-after negative": (None, 2),
    "retry-after of no date": (None, 2),
    "ratelimit of 5000 digits": (None, 2),
    "retry-after of 5000 digits": (None, 2),
    "answer of one megabyte": ("." * LONGEST_TEXT, 1),
}

LEARNED = {  # behaviour -> fields that are no longer sent, requests of a first start, of which one is answered
    "openai: reasoning model": ({"max_tokens", "temperature", "top_p", "stop"}, 5),
    "mistral: seed forbidden": ({"seed"}, 2),
    "claude gateway: not both": ({"top_p"}, 2),
    "anthropic: extra inputs": ({"seed"}, 2),
    "old gateway: unrecognized argument": ({"seed"}, 2),
    "gemini: unknown name": ({"seed"}, 2),
}

REFUSED = {  # behaviour -> words of the sentence, requests of the one that it is about
    "openrouter: no credit in 200": ("HTTP 402 'Insufficient credits'; there is no credit left", 1),
    "hub router: model not served": ("does not exist there: check llm and llm_model", 1),
    "openai: no credit": ("HTTP 429 'You exceeded your current quota'; there is no credit left", 1),
    "retry after a day": ("HTTP 429 'daily quota' and asks to wait 24 hours; run the same command again then", 1),
    "thinking: budget used up": ("all 10 so far are empty and 10 were cut off at their limit", 10),
    "thinking: unfinished tag": ("set synthesis.thinking_tokens to some 2000 more tokens", 10),
    "everything filtered": ("the endpoint withheld 10 by its content filter", 10),
    "empty answers": ("all 10 so far are empty (finish_reason 'stop')", 10),
    "redirect without a location": ("answered HTTP 307 and redirects to 'nowhere'", 1),
    "deep json": ('answered something else: \'{"choices":[[[', 3),
    "deep json in an error": ("refuses a request: it answered HTTP 400", 1),
    "choices NaN": ("answered something else", 3),
    "number of 5000 digits": ('answered something else: \'{"choices": 999', 3),
    "nine megabytes": ("answered something else: 'more than 8 MB", 3),
    "unknown encoding": ("answered something else: \"content-encoding 'br'\"", 3),
}


def test_every_behaviour_has_a_row():
    assert MENDED.keys() | LEARNED.keys() | REFUSED.keys() == BEHAVIOURS.keys()


@pytest.mark.parametrize("name", MENDED)
def test_what_is_mended(journal, name):
    text, requests = MENDED[name]
    with LLMServer(fault_for=BEHAVIOURS[name]) as server:
        (outcome,), status = generate(journal, server.url, 1)
        assert isinstance(outcome, Completion), outcome
        assert len(server.requests) == requests == status.sent
        assert outcome.text == (review(server.requests[-1].payload) if text is None else text)
    assert bool(status.reason) == (requests > 1)
    assert outcome.usage.requests == requests


@pytest.mark.parametrize("name", LEARNED)
def test_what_is_learned_is_told_once_and_kept(tmp_path, caplog, name):
    gone, requests = LEARNED[name]
    with LLMServer(fault_for=BEHAVIOURS[name]) as server:
        for expected in (requests, 0):
            with Journal(tmp_path / "j.sqlite") as journal:
                before = len(server.requests)
                outcomes, _ = generate(journal, server.url, 1)
                assert len(server.requests) - before == expected
                assert isinstance(outcomes[0], Completion)
        with Journal(tmp_path / "j.sqlite") as journal:  # a resumed run asks in the same form at once
            outcomes, _ = generate(journal, server.url, 20)
        assert all(isinstance(outcome, Completion) for outcome in outcomes)
        assert len(server.requests) == requests + 19
        sent = server.requests[-1].payload
    assert PARAMETERS - sent.keys() == gone
    assert ("max_completion_tokens" in sent) == ("max_tokens" in gone)
    assert [record.getMessage().count("refuses the field") for record in caplog.records] == [1] * len(gone)


def test_requests_under_way_learn_together(journal, caplog):
    with LLMServer(delay=0.05, fault_for=BEHAVIOURS["mistral: seed forbidden"]) as server:
        outcomes, status = generate(journal, server.url, 40, concurrency=16)
        assert len(server.requests) == status.sent <= 40 + 16
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_in_one_sentence(journal, name):
    words, requests = REFUSED[name]
    with LLMServer(fault_for=BEHAVIOURS[name]) as server:
        if requests == 10:
            outcomes, _ = generate(journal, server.url, 30, concurrency=1)
            error = outcomes[-1]
            assert journal.usage().requests == 10
        else:
            error = fail(journal, server.url)
        assert len(server.requests) == requests
    assert isinstance(error, S3Error)
    assert words in str(error)
    assert len(str(error)) < 700


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"error": "This model\'s maximum context length is 4096 tokens, max_tokens is too large"}', None),
        ('{"message": "temperature must be less than or equal to 1"}', None),
        ('{"message": "unknown model, please stop"}', None),
        ('{"error": {"message": "Unexpected role", "param": "messages"}}', None),
        ('{"message": "property \'stop\' is unsupported"}', "stop"),
        ('{"message": "top_p is not supported by this model"}', "top_p"),
        ('{"error": {"param": [], "code": {}}, "detail": [{"loc": []}, 3, {"type": "extra_forbidden"}]}', None),
        ("[" * 100_000, None),
        ("x" * 65_000 + " not supported", None),
    ],
)
def test_which_field_an_error_refuses(body, field):
    assert refused_field(body, ["max_tokens", "temperature", "top_p", "stop", "seed"]) == field


def test_answers_end_at_stop_texts_that_cannot_be_sent():
    assert ended_at("One.\nTwo.", ("\n",)) == "One."
    assert ended_at("<think>\nhm\n</think>\n\nOne.\nTwo.", ("\n",)) == "<think>\nhm\n</think>One."


def test_settings_add_fields_and_headers(journal, monkeypatch):
    monkeypatch.setenv("AZURE", "0123456789abcdef")
    settings = {
        "headers": {"api-key": "${AZURE}", "X-Title": "s3"},
        "extra_body": {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}},
        "omit": ["seed", "max_tokens"],
    }
    with LLMServer(models=["m"], reply=lambda payload: "my key is 0123456789abcdef") as server:
        outcomes, _ = generate(journal, server.url + "?api-version=1", 1, **settings)
        (request,), (lookup,) = server.requests, server.lookups
    assert request.path == "/v1/chat/completions?api-version=1"
    assert lookup.path == "/v1/models?api-version=1"
    assert request.headers["api-key"] == lookup.headers["api-key"] == "0123456789abcdef"
    assert request.headers["x-title"] == "s3"
    assert "authorization" not in request.headers
    assert request.payload["chat_template_kwargs"] == {"enable_thinking": False}
    assert PARAMETERS - request.payload.keys() == {"seed", "max_tokens"}
    assert outcomes[0].text == "my key is ***"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://h", "/v1"),
        ("http://h/v1/", "/v1"),
        ("http://h/api", "/api/v1"),
        ("http://h/v1beta/openai/", "/v1beta/openai"),
        ("http://h/api/v3", "/api/v3"),
        ("http://h/api/paas/v4/", "/api/paas/v4"),
        ("http://h/v1/acc/gateway/openai", "/v1/acc/gateway/openai"),
        ("http://h/openai/deployments/d/chat/completions", "/openai/deployments/d"),
    ],
)
def test_base_urls(url, path):
    assert chat_url(url) == f"http://h{path}/chat/completions"
    assert chat_url(url + "?a=b") == f"http://h{path}/chat/completions?a=b"
    assert models_url(url) == f"http://h{path}/models"


# --- secrets ---

KEY = "sk-proj-Ab12Cd34Ef56Gh78Ij90"


@pytest.mark.parametrize(
    "settings",
    [
        {"llm": f"http://user:{KEY}@h"},
        {"llm": f"http://h/v1?api_key={KEY}"},
        {"llm": f"ftp://user:{KEY}@h"},
        {"llm": f"http://user:pa/{KEY}@h"},
        {"llm": [f"http://h?token={KEY}", "http://g"]},
        {"endpoint": {"api_key_env": KEY}},
        {"endpoint": {"api_key_env": "hf_" + "Ab1" * 12}},
        {"endpoint": {"headers": {"api-key": KEY}}},
        {"endpoint": {"headers": {"Authorization": f"Bearer {KEY}"}}},
        {"endpoint": {"headers": {"X-Other": KEY}}},
        {"endpoint": {"headers": {"X-Other": f"${{{KEY}}}"}}},
        {"endpoint": {"headers": {"api-key": [KEY]}}},
        {"endpoint": {"headers": {f"{KEY}\n": "x"}}},
        {"endpoint": {"extra_body": {"x": {"y": KEY}}}},
    ],
    ids=str,
)
def test_a_key_in_a_setting_is_refused_and_not_repeated(settings):
    with pytest.raises(ConfigError) as caught:
        parse_config({"task": "imdb", **settings})
    assert KEY not in str(caught.value)
    assert "hf_A" not in str(caught.value)
    assert " is wrong: " in str(caught.value)


def test_names_of_variables_stand_where_keys_would(monkeypatch, journal):
    monkeypatch.setenv("MY_KEY", KEY)
    with LLMServer(faults=[Fault(400, {}, f"no {KEY}")]) as server:
        url = server.url.replace("://", "://me:${MY_KEY}@") + "/v1?key=${MY_KEY}"
        config = parse_config({"task": "imdb", "llm": url, "endpoint": {"headers": {"x-key": "${MY_KEY}"}}})
        assert KEY not in commented(config) + str(config.model_dump())
        error = str(fail(journal, url, **config.endpoint.model_dump()))
        (request,) = server.requests
    assert request.path.endswith(f"?key={KEY}")
    assert request.headers["authorization"].startswith("Basic ")
    assert KEY not in error
    assert "'no ***'" in error


@pytest.mark.parametrize("how", ["key", "header", "url"])
@pytest.mark.parametrize("name", ["HF_TOKEN", "INNOCENT", "AWS_SECRET_ACCESS_KEY"])
def test_the_hub_token_is_never_a_urls_key(monkeypatch, journal, how, name):
    token = "hf_" + "Ab1" * 12
    monkeypatch.setenv(name, "another-secret" if name.startswith("AWS") else token)
    settings = {
        "key": {"api_key_env": name},
        "header": {"headers": {"x-key": f"${{{name}}}"}},
        "url": {},
    }[how]
    with LLMServer() as server:
        url = server.url + (f"?key=${{{name}}}" if how == "url" else "")
        with pytest.raises(ConfigError, match=r"is never sent to 'http://127") as caught:
            generate(journal, url, 1, **settings)
        assert not server.requests + server.lookups
    assert token not in str(caught.value)


def test_hugging_faces_hosts_may_get_the_hub_token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "Ab1" * 12)
    from s3_hf.llm.access import read_key

    assert read_key("HF_TOKEN", "https://x.us-east-1.aws.endpoints.huggingface.cloud")
    for url in ("http://x.huggingface.cloud", "https://huggingface.co.evil.com", "https://evilhuggingface.co"):
        with pytest.raises(ConfigError):
            read_key("HF_TOKEN", url)


def test_no_log_line_shows_a_query(journal, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with LLMServer() as server:
        generate(journal, server.url + "?key=${MY_KEY}", 3, api_key_env="MY_KEY")
    assert "HTTP Request: POST http://127.0.0.1" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@h/v1?x=y#z", "https://h/v1"),
        ("https://h/@cf/meta", "https://h/@cf/meta"),
        ("https://u:p/w@h/v1", "https://…"),
    ],
)
def test_urls_are_shown_without_secrets(url, shown):
    assert without_secrets(url) == shown


# --- TLS and proxies ---


@pytest.fixture
def self_signed(tmp_path):
    """The URL of a TLS server with a certificate of its own, and the file that holds it."""
    file, keys = tmp_path / "cert.pem", tmp_path / "key.pem"
    if (openssl := shutil.which("openssl")) is None:
        pytest.skip("openssl makes the certificate, and is not installed")
    form = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=stub -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([openssl, *form.split(), "-out", file, "-keyout", keys], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, keys)
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    port, ready = [], threading.Event()

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0))
        body = b'{"choices": [{"message": {"content": "secure"}}]}'
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    async def serve():
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        port.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    yield f"https://127.0.0.1:{port[0]}", file
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def test_an_untrusted_certificate_is_told_at_once(journal, self_signed, monkeypatch):
    url, file = self_signed
    error = str(fail(journal, url))
    assert "has a certificate that is not trusted (self-signed certificate); set SSL_CERT_FILE to a file" in error
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    (outcome,), status = generate(journal, url, 1, model="m")
    assert (outcome.text, status.sent) == ("secure", 1)
    monkeypatch.setenv("SSL_CERT_FILE", str(file.with_name("none.pem")))
    with pytest.raises(ConfigError, match="SSL_CERT_FILE and SSL_CERT_DIR must name certificates"):
        generate(journal, url, 1, model="m")


def test_https_asked_of_a_plain_server_is_told_at_once(journal):
    class Plain(QuietHandler):
        """A server of today answers a TLS greeting with HTTP 400."""

    with ThreadedServer(Plain).serving() as server:
        error = str(fail(journal, server.address.replace("http:", "https:")))
    assert "does not speak TLS; write http:// in place of https://" in error


def test_a_proxy_that_cannot_be_used_is_one_sentence(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with pytest.raises(ConfigError, match="a SOCKS proxy needs the package 'socksio'"):
        open_pools(("https://example.com",), 1)
    open_pools(("http://127.0.0.1:1",), 1)
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:9")
    with pytest.raises(ConfigError, match="a proxy must be named by an http"):
        open_pools(("https://example.com",), 1)


def test_a_query_is_no_reason_to_refuse(journal):
    assert LLMConfig(headers={"HTTP-Referer": "https://example.com/app?x=1"}).headers
    assert parse_config({"task": "imdb", "llm": "http://h/v1?api-version=2024-10-21"}).llm_urls
