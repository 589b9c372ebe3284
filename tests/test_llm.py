import asyncio
import email.utils
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from s3_hf import retrying
from s3_hf.config import LLMConfig
from s3_hf.errors import BudgetReached, ConfigError, EndpointError, RequestError, StorageError
from s3_hf.journal import Journal
from s3_hf.llm import Client, balance, client, failures
from s3_hf.llm.access import Address, addresses
from s3_hf.llm.answers import answered, read_models
from s3_hf.llm.balance import Balancer, Endpoint
from s3_hf.llm.failures import FailureKind, classify
from s3_hf.records import Completion, Request, Usage
from tests.llm_server import Fault, LLMServer, review, share_of_first_attempts

ROOT = Path(__file__).parent.parent
BUSY = Fault(429, {"retry-after": "1"}, "slow down")


def ask(number, text="Write a review."):
    return Request(f"r0/seed/{number}", ({"role": "user", "content": text},), 64, 0.9, 0.9, ("\n",), number)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dead_url():
    return f"http://127.0.0.1:{free_port()}"


def generate(journal, urls, count, model=None, observer=None, **settings):
    """The completions (or errors) of `count` requests made at once, and the last status."""

    async def run():
        given = (urls,) if isinstance(urls, str) else tuple(urls)
        async with Client(model, given, LLMConfig(**settings), journal, observer) as llm:
            jobs = (llm.generate(ask(number)) for number in range(count))
            return await asyncio.gather(*jobs, return_exceptions=True), llm.status

    return asyncio.run(run())


def fail(journal, urls, count=1, **settings):
    """The one error that all requests got."""
    outcomes, _ = generate(journal, urls, count, **settings)
    errors = [outcome for outcome in outcomes if not isinstance(outcome, Completion)]
    assert len({str(error) for error in errors}) == 1, outcomes
    return errors[0]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(retrying, "LONGEST_PAUSE", 0.06)


@pytest.fixture
def impatient(monkeypatch):
    """Endpoints count as dead after 0.6 seconds."""
    monkeypatch.setattr(balance, "DEAD_AFTER", 0.6)


def test_asks_once_records_and_replays(journal):
    with LLMServer() as server:
        first, status = generate(journal, server.url, 20)
        again, replay = generate(journal, server.url, 20)
        payloads = [received.payload for received in server.requests]
    assert first == again
    assert len(payloads) == 20
    assert {received.path for received in server.requests} == {"/v1/chat/completions"}
    payload = next(payload for payload in payloads if payload["seed"] == 3)
    assert payload == {"model": "dummy", "stream": False, **ask(3).payload()}
    assert first[3].text == review(payload)
    assert (status.sent, status.finished, status.replayed, status.retries) == (20, 20, 0, 0)
    assert status.usage == journal.usage()
    assert status.usage.prompt_tokens == 20 * 3
    assert status.requests_per_second > 0 < status.tokens_per_second
    assert (replay.sent, replay.replayed, replay.outstanding) == (0, 20, 0)
    assert journal.get("r0/seed/3", ask(3).payload_sha()) == first[3]


def test_an_edited_prompt_or_another_slot_is_asked_anew(journal):
    async def run(url):
        async with Client("m", (url,), LLMConfig(), journal) as llm:
            for request in (ask(1), ask(1, "Write another."), ask(2), ask(1)):
                await llm.generate(request)

    with LLMServer() as server:
        asyncio.run(run(server.url))
        assert len(server.requests) == 3
        assert {received.payload["model"] for received in server.requests} == {"m"}


def test_the_observer_sees_every_completion(journal):
    seen = []
    with LLMServer() as server:
        generate(journal, server.url, 5, observer=seen.append)
    assert [status.finished for status in seen] == [1, 2, 3, 4, 5]


def test_at_most_concurrency_requests_are_outstanding(journal):
    with LLMServer(delay=0.05) as server:
        generate(journal, server.url, 40, concurrency=7)
        assert server.most_outstanding == 7


# --- keys, offline, proxies ---

CHILD = """
import asyncio, sys, tempfile
from pathlib import Path
from s3_hf.config import LLMConfig
from s3_hf.journal import Journal
from s3_hf.llm import Client
from s3_hf.errors import S3Error
from s3_hf.records import Request
async def main(model, url, folder):
    with Journal(Path(folder) / "j.sqlite") as journal:
        async with Client(model or None, (url,) if url else (), LLMConfig(), journal) as llm:
            message = {"role": "user", "content": "Write."}
            print((await llm.generate(Request("s", (message,), 8, 1.0, 1.0, (), 0))).text)
try:
    asyncio.run(main(*sys.argv[1:4]))
except S3Error as error:
    print(type(error).__name__, error)
heavy = {"torch", "datasets", "transformers", "pandas", "numpy"} & set(sys.modules)
print("heavy", sorted(heavy))
"""


def child(tmp_path, model, url, **environment):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, model, url, tempfile.mkdtemp(dir=tmp_path)],
        env={**os.environ, "HF_HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_hub_token_never_reaches_a_url(tmp_path):
    (tmp_path / "token").write_text("hf_savedsecret")  # what `hf auth login` leaves
    with LLMServer() as server:
        child(tmp_path, "", server.url, HF_TOKEN="hf_secretsecret")
        child(tmp_path, "m", server.url + "/v1", HF_TOKEN="")
        assert len(server.requests) == 2
    for received in server.requests:
        assert "authorization" not in received.headers
        assert "hf_s" not in repr(received)


def test_a_url_works_offline_and_nothing_heavy_is_imported(tmp_path):
    with LLMServer() as server:
        out = child(tmp_path, "", server.url, HF_HUB_OFFLINE="1")
        assert len(server.requests) == 1
    assert out.splitlines()[-1] == "heavy []"
    assert out.startswith(review(server.requests[0].payload))


def test_a_model_id_offline_is_one_sentence(tmp_path):
    out = child(tmp_path, "owner/name", "", HF_HUB_OFFLINE="1", HF_TOKEN="hf_secretsecret")
    assert out.startswith(
        "EndpointError the model 'owner/name' should complete chats, but it cannot be asked, because "
        "HF_HUB_OFFLINE is set; unset HF_HUB_OFFLINE, or give the URL of a local endpoint as llm"
    )


def test_a_model_id_without_a_token_is_one_sentence(tmp_path):
    out = child(tmp_path, "owner/name", "", HF_TOKEN="")
    assert out.splitlines()[0] == (
        "EndpointError the model 'owner/name' should complete chats, but it cannot be asked without a token; log in "
        "with `hf auth login`, or set HF_TOKEN to a token that may call Inference Providers; for a model of another "
        "service give its URL as llm and its name as llm_model"
    )


@pytest.mark.parametrize("answer", [(404, b"no such model"), (400, b'{"error": {"code": "model_not_supported"}}')])
def test_a_model_id_of_another_service_is_fatal_with_the_way_to_name_it(answer):
    """As the Hub's router answers `--llm openai/gpt-4o-mini`."""
    (address,) = addresses("openai/gpt-4o-mini", (), LLMConfig())
    failure = classify(answered(answer[0], (), answer[1]), address)
    assert failure.kind is FailureKind.FATAL
    assert failure.advice == (
        "correct llm to a model that Inference Providers serve; for a model of another service give its URL as llm "
        "and its name as llm_model"
    )


def test_a_provider_that_wants_a_key_is_one_sentence(journal):
    async def run():
        async with Client("gpt-4o", (), LLMConfig(provider="openai"), journal) as llm:
            await llm.generate(ask(1))

    with pytest.raises(EndpointError, match=r"an api_key to work with OpenAI API; correct llm or endpoint$"):
        asyncio.run(run())


def test_a_proxy_is_not_used_on_loopback(tmp_path):
    with LLMServer() as server:
        child(tmp_path, "", server.url, HTTP_PROXY=dead_url(), ALL_PROXY=dead_url(), NO_PROXY="")
        assert len(server.requests) == 1


def test_the_named_key_is_sent_and_stays_out_of_errors(journal, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with LLMServer(faults=[Fault(401, {}, '{"error": {"message": "bad key sk-secret"}}')]) as server:
        error = fail(journal, server.url, api_key_env="MY_KEY")
        assert server.requests[0].headers["authorization"] == "Bearer sk-secret"
    assert str(error) == (
        f"the endpoint '{server.url}' should complete chats, but it answered HTTP 401 'bad key ***'; "
        "correct the key in 'MY_KEY' (endpoint.api_key_env)"
    )


def test_settings_that_cannot_work_are_refused(journal, monkeypatch):
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(ConfigError, match="found 'MY_KEY', which is not set; export it"):
        Client("m", (), LLMConfig(api_key_env="MY_KEY"), journal)
    with pytest.raises(ConfigError, match="found neither"):
        Client(None, (), LLMConfig(), journal)
    with pytest.raises(ConfigError, match=r"endpoint.max_cost=5.0 needs prices"):
        Client("m", (), LLMConfig(max_cost=5), journal)


# --- several URLs ---


def test_balances_by_outstanding_requests(journal):
    with LLMServer(delay=0.02) as fast, LLMServer(delay=1) as slow:
        outcomes, _ = generate(journal, (fast.url, slow.url), 100, concurrency=8)
        assert len(fast.requests) > 3 * len(slow.requests) > 0
        assert max(fast.most_outstanding, slow.most_outstanding) <= 8
    assert all(isinstance(outcome, Completion) for outcome in outcomes)


def test_equally_busy_urls_take_turns(journal):
    with LLMServer() as one, LLMServer() as two:
        for number in range(3):
            generate(journal, (one.url, two.url), 2 * number + 2, concurrency=2)
        assert (len(one.requests), len(two.requests)) == (3, 3)


def test_a_dead_url_is_left_out_and_the_other_goes_on(journal, caplog):
    gone = dead_url()
    with LLMServer(delay=0.02) as server:
        outcomes, status = generate(journal, (gone, server.url), 200, concurrency=16)
        assert len(server.requests) == 200
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    assert status.retries < 40
    assert caplog.text.count("is left out and tried again later") == 1


def test_a_url_that_comes_back_is_used_again(journal):
    port = free_port()

    async def run():
        urls = (f"http://127.0.0.1:{port}", server.url)
        async with Client(None, urls, LLMConfig(concurrency=8), journal) as llm:
            await asyncio.gather(*(llm.generate(ask(number)) for number in range(40)))
            with LLMServer(port=port) as back:
                await asyncio.sleep(1)
                await asyncio.gather(*(llm.generate(ask(number)) for number in range(40, 140)))
                return len(back.requests)

    with LLMServer(delay=0.05) as server:
        assert asyncio.run(run()) > 20


# --- which model is asked for ---


@pytest.mark.parametrize("end", ["", "/v1", "/v1/", "/v1/chat/completions"])
def test_the_only_model_served_is_asked_for(journal, monkeypatch, end):
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with LLMServer(models=["qwen/qwen3"]) as server:
        outcomes, _ = generate(journal, server.url + end, 20, api_key_env="MY_KEY")
        generate(journal, server.url + end, 20)  # from the journal
        assert {outcome.model for outcome in outcomes} == {"qwen/qwen3"}
        assert {received.payload["model"] for received in server.requests} == {"qwen/qwen3"}
        (lookup,) = server.lookups
    assert (lookup.path, lookup.headers["authorization"]) == ("/v1/models", "Bearer sk-secret")


@pytest.mark.parametrize("status", [429, 503])
def test_a_list_of_models_that_is_busy_is_asked_for_again(journal, status):
    with LLMServer(models=["qwen/qwen3"]) as server:
        server.lookup_faults = [status]
        outcomes, _ = generate(journal, server.url, 1)
    assert [outcome.model for outcome in outcomes] == ["qwen/qwen3"]
    assert len(server.lookups) == 2


def test_of_several_models_the_journals_own_is_asked_again(journal):
    with LLMServer(models=["a"]) as server:
        generate(journal, server.url, 1)
        server.models = ["b", "a"]
        generate(journal, server.url, 20)
    assert [request.payload["model"] for request in server.requests] == ["a"] * 20


def test_one_of_several_models_must_be_named(journal):
    with LLMServer(models=["a", "b", "b"]) as server:
        error = fail(journal, server.url, 20)
        assert isinstance(error, ConfigError)
        assert str(error) == (
            f"llm_model must name one of the models of the endpoint '{server.url}', found it unset and 'a', 'b'; "
            "choose one with --set llm_model=NAME"
        )
        assert not server.requests
        outcomes, _ = generate(journal, server.url, 20, model="b")
    assert {outcome.model for outcome in outcomes} == {"b"}
    assert "hf_" not in repr(server.lookups)


def test_urls_must_serve_the_same_model(journal):
    with LLMServer(models=["a"]) as one, LLMServer(models=["b"]) as two, LLMServer(models=["a"]) as three:
        assert f"found 'a' at the endpoint '{one.url}', 'b' at" in str(fail(journal, (one.url, two.url), 20))
        assert not one.requests + two.requests
        outcomes, _ = generate(journal, (one.url, three.url, dead_url()), 20)
        assert one.requests
        assert three.requests
    assert {outcome.model for outcome in outcomes} == {"a"}


def test_a_server_that_comes_up_late_is_asked_then(journal):
    port = free_port()

    async def run():
        async with Client(None, (f"http://127.0.0.1:{port}",), LLMConfig(), journal) as llm:
            asked = asyncio.gather(*(llm.generate(ask(number)) for number in range(4)))
            await asyncio.sleep(0.3)
            with LLMServer(port=port, models=["a"]):
                return await asked

    assert {outcome.model for outcome in asyncio.run(run())} == {"a"}


@pytest.mark.parametrize("body", [None, [], {"data": "x"}, {"data": [1, {"id": 2}]}, {"object": "list", "data": []}])
def test_what_is_no_list_of_models(body):
    assert read_models(body) == ()


# --- retries ---


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, {}, "oops"),
        Fault(503),
        Fault(408),
        Fault(429),
        Fault(429, {}, '"a JSON string"'),
        Fault(500, {}, "[1]"),
        Fault(reset=True),
        Fault(hang=5),
        Fault(200, {}, "<html>"),
    ],
)
def test_a_passing_fault_is_tried_again(journal, fault):
    with LLMServer(faults=[fault]) as server:
        outcomes, status = generate(journal, server.url, 1, timeout=0.5)
        assert len(server.requests) == 2
        assert server.requests[1].at - server.requests[0].at > 0.025
    assert isinstance(outcomes[0], Completion)
    assert (status.sent, status.retries, status.usage.requests) == (2, 1, 2)
    assert status.reason


@pytest.mark.parametrize("after", ["1", lambda: email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=2))])
def test_retry_after_is_honoured(journal, after):
    value = after if isinstance(after, str) else after()
    with LLMServer(faults=[Fault(429, {"Retry-After": value}, "slow")]) as server:
        generate(journal, server.url, 1)
        assert server.requests[1].at - server.requests[0].at > 0.9


def test_retry_after_is_capped_and_never_negative():
    def wait(**headers):
        values = httpx2.Headers({k.replace("_", "-"): v for k, v in headers.items()})
        return retrying.retry_after(values, failures.LONGEST_WAIT)

    past = email.utils.format_datetime(datetime.now(UTC) - timedelta(hours=1))
    assert wait(retry_after="86400") == failures.LONGEST_WAIT
    assert wait(retry_after=past) == wait(retry_after="-1") == wait(retry_after="soon") == wait() == 0
    assert wait(retry_after="1.5") == 1.5
    assert wait(ratelimit='"api";r=0;t=55') == 55


def test_the_slot_is_given_back_while_waiting(journal):
    with LLMServer(faults=[BUSY]) as server:
        generate(journal, server.url, 10, concurrency=1)
        seeds = [received.payload["seed"] for received in server.requests]
    assert seeds == [*range(10), 0]


def test_a_rate_limit_is_no_failure_of_the_request(journal, monkeypatch):
    monkeypatch.setattr(retrying, "LONGEST_PAUSE", 0.01)
    with LLMServer(faults=[Fault(429)] * 12) as server:
        outcomes, _ = generate(journal, server.url, 1, retries=3)
        assert len(server.requests) == 13
    assert isinstance(outcomes[0], Completion)


@pytest.mark.parametrize("fault", [Fault(429), Fault(503, {"Retry-After": "1"}), Fault(408), Fault(500)])
def test_without_retries_nothing_is_tried_again(journal, fault):
    with LLMServer(faults=[fault]) as server:
        outcomes, _ = generate(journal, server.url, 1, retries=0)
        assert len(server.requests) == 1
    assert f"after 1 attempts it answered HTTP {fault.status}" in str(outcomes[0])


def test_no_row_is_lost_under_faults(journal):
    with LLMServer(delay=0.02, fault_for=share_of_first_attempts(0.1, 0.1)) as server:
        outcomes, status = generate(journal, server.url, 300, concurrency=32)
        assert len(server.requests) == 300 + status.retries > 330
    assert {outcome.slot for outcome in outcomes} == {ask(number).slot for number in range(300)}
    assert status.usage.requests == status.sent


def test_one_request_that_always_fails_does_not_stop_the_others(journal, monkeypatch):
    monkeypatch.setattr(retrying, "LONGEST_PAUSE", 0.05)

    def poison(payload, attempt):
        return Fault(500, {}, "cannot") if payload["seed"] == 3 else None

    with LLMServer(delay=0.05, fault_for=poison) as server:
        outcomes, _ = generate(journal, server.url, 60, concurrency=4, retries=2)
    assert str(outcomes.pop(3)).startswith(
        f"the endpoint '{server.url}' should answer a request, but after 3 attempts it answered HTTP 500 'cannot'"
    )
    assert all(isinstance(outcome, Completion) for outcome in outcomes)


# --- errors that asking again does not cure ---


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(401), "set endpoint.api_key_env"),
        (Fault(403, {}, "no"), "answered HTTP 403 'no'; set endpoint.api_key_env"),
        (Fault(402, {}, "pay"), "there is no credit left"),
        (Fault(404, {}, '{"detail": "Not Found"}'), "HTTP 404 'Not Found'; the URL or model does not exist there"),
        (Fault(308, {"location": "https://elsewhere"}), "redirects to 'https://elsewhere'; give the address"),
    ],
)
def test_a_refusal_stops_the_client_at_once(journal, fault, words):
    async def run():
        async with Client(None, (server.url,), LLMConfig(), journal) as llm:
            for number in range(3):
                with pytest.raises(EndpointError, match=re.escape(words)):
                    await llm.generate(ask(number))

    with LLMServer(faults=[fault]) as server:
        asyncio.run(run())
        assert len(server.requests) == 1


def test_a_refused_request_is_not_repeated_and_the_client_goes_on(journal):
    async def run():
        async with Client(None, (server.url,), LLMConfig(), journal) as llm:
            with pytest.raises(EndpointError, match="HTTP 422 'too long") as caught:
                await llm.generate(ask(1))
            assert isinstance(await llm.generate(ask(2)), Completion)
            return str(caught.value)

    with LLMServer(faults=[Fault(422, {}, '{"error": {"message": "too long ' + "x" * 5000 + '"}}')]) as server:
        assert len(asyncio.run(run())) < 400
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "body",
    [
        "<html><body>Welcome</body></html>",
        "",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"error": "no model loaded"}',
        '{"choices": []}',
        '{"choices": null}',
        '{"choices": [null]}',
        '{"choices": "none"}',
        '{"choices": {"a": 1}}',
        '{"choices": [{"text": "completions, not chat"}]}',
        '{"choices": [{"message": {"content": [1]}}]}',
    ],
)
def test_garbage_is_named_after_few_tries(journal, body):
    with LLMServer(fault_for=lambda payload, attempt: Fault(200, {}, body)) as server:
        error = fail(journal, server.url)
        assert len(server.requests) == 3
    assert f"the endpoint '{server.url}' should complete chats, but it answered something else" in str(error)
    assert str(error).endswith("give the URL of an OpenAI-compatible chat-completions endpoint as llm")


def test_odd_answers_that_are_completions(journal):
    bodies = [
        '{"choices": [{"message": {"content": null}, "finish_reason": null}]}',
        '{"choices": [{"message": {"content": "a\\ud800b"}}], "usage": {"prompt_tokens": -1}}',
        '{"choices": [{"message": {"content": "x"}}], "model": "real", "usage": null, "extra": [{"y": 1}]}',
    ]
    with LLMServer(faults=[Fault(200, {}, body) for body in bodies]) as server:
        outcomes, _ = generate(journal, server.url, 3, concurrency=1)
    assert [outcome.text for outcome in outcomes] == ["", "a?b", "x"]
    assert [outcome.usage for outcome in outcomes] == [Usage(1, 4, tokens, 0.0) for tokens in (0, 1, 1)]
    assert outcomes[2].model == "real"


# --- the breaker ---


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_refusing_endpoint_stops_the_run(journal, impatient, concurrency):
    url = dead_url()
    error = fail(journal, url, 200, concurrency=concurrency, retries=1000)
    assert isinstance(error, EndpointError)
    assert f"the endpoint '{url}' should complete chats, but every attempt fails, the last because it" in str(error)
    assert str(error).endswith("every completion so far is kept, and the same command goes on from there")


def test_a_hanging_or_failing_endpoint_stops_the_run(journal, impatient):
    with LLMServer(fault_for=lambda payload, attempt: Fault(hang=60)) as server:
        assert "no answer in time; raise endpoint.timeout" in str(fail(journal, server.url, 20, timeout=0.6))
    with LLMServer(fault_for=lambda payload, attempt: Fault(500, {}, "out of memory")) as server:
        assert "HTTP 500 'out of memory'" in str(fail(journal, server.url, 20))
        assert len(server.requests) < 60


def test_an_endpoint_that_dies_keeps_what_it_gave(journal, impatient):
    with LLMServer(faults=[None] * 10, fault_for=lambda payload, attempt: Fault(reset=True)) as server:
        outcomes, _ = generate(journal, server.url, 30, concurrency=2)
    assert sum(isinstance(outcome, Completion) for outcome in outcomes) == 10
    assert journal.usage().requests == 10


def test_a_dead_endpoint_is_dead_within_a_minute(monkeypatch):
    """The schedule of attempts of the real constants, without waiting for it."""
    monkeypatch.undo()
    address = Address("it")
    endpoint = Endpoint(address)
    failure = failures.Failure(failures.FailureKind.DOWN, "could not be reached")
    now = 1000.0
    for _ in range(100):
        endpoint.failed(failure, now, now)
        if endpoint.dead(now):
            break
        now = max(endpoint.resume_at, now + 0.1)
    assert 30 <= now - 1000 < 45


def test_being_told_to_wait_is_not_dead_unless_it_goes_on(journal, impatient, monkeypatch):
    monkeypatch.setattr(balance, "BUSY_AFTER", 2.0)
    monkeypatch.setattr(client, "BUSY_AFTER", 2.0)
    with LLMServer(faults=[Fault(429, hang=0.1)] * 8) as server:
        outcomes, _ = generate(journal, server.url, 1)
        assert server.requests[-1].at - server.requests[0].at > 0.8
    assert isinstance(outcomes[0], Completion)
    with LLMServer(fault_for=lambda payload, attempt: BUSY) as server:
        started = time.monotonic()
        error = fail(journal, server.url, 30)
        assert time.monotonic() - started > 2
    assert "HTTP 429 'slow down'; lower endpoint.concurrency" in str(error)


def test_a_failed_client_says_the_same_at_once(journal, impatient):
    async def run():
        async with Client(None, (dead_url(),), LLMConfig(), journal) as llm:
            with pytest.raises(EndpointError) as first:
                await llm.generate(ask(1))
            sent = llm.status.sent
            with pytest.raises(EndpointError) as second:
                await llm.generate(ask(2))
            assert llm.status.sent == sent
            assert str(first.value) == str(second.value)

    asyncio.run(run())


# --- limits ---


def test_max_requests_counts_what_is_sent_and_what_is_in_flight_is_kept(journal):
    with LLMServer(delay=0.02, fault_for=share_of_first_attempts(0.2, 0.2)) as server:
        outcomes, status = generate(journal, server.url, 100, concurrency=16, max_requests=30)
        assert len(server.requests) == status.sent == 30
    made = sum(isinstance(outcome, Completion) for outcome in outcomes)
    assert 0 < made < 30
    errors = {str(outcome) for outcome in outcomes if isinstance(outcome, BudgetReached)}
    assert len(errors) == 1
    error = errors.pop()
    assert "the limit max_requests=30 is reached with 30 requests sent" in error
    assert "; the last request that failed answered HTTP " in error
    assert made <= journal.usage().requests <= 30


def test_limits_count_the_whole_history(tmp_path):
    with LLMServer() as server:
        for limit, total in ((5, 5), (5, 5), (8, 8)):
            with Journal(tmp_path / "j.sqlite") as journal:
                generate(journal, server.url, 20, max_requests=limit)
                assert journal.usage().requests == total
        assert len(server.requests) == 8
        with Journal(tmp_path / "j.sqlite") as journal:
            outcomes, _ = generate(journal, server.url, 20)
        assert all(isinstance(outcome, Completion) for outcome in outcomes)
        assert len(server.requests) == 20


def test_a_refused_request_counts_towards_the_limit(journal):
    with LLMServer(faults=[Fault(400, {}, "bad")], delay=0.05) as server:
        outcomes, _ = generate(journal, server.url, 10, concurrency=4, max_requests=5)
        assert len(server.requests) == 5
    assert Counter(type(outcome) for outcome in outcomes) == {Completion: 4, RequestError: 1, BudgetReached: 5}


@pytest.mark.parametrize(
    "limit", [{"max_tokens": 160}, {"max_cost": 1.6e-3, "price_prompt": 10.0, "price_completion": 10.0}]
)
def test_tokens_and_cost_stop_the_run(journal, limit):
    with LLMServer(delay=0.02, reply=lambda payload: "x " * 13) as server:  # 3 + 13 tokens each
        outcomes, status = generate(journal, server.url, 50, concurrency=4, **limit)
    made = sum(isinstance(outcome, Completion) for outcome in outcomes)
    assert 10 <= made <= 13
    assert journal.usage().requests == made
    assert status.usage.tokens == 16 * made
    (name, value), *_ = limit.items()
    assert f"the limit {name}={value!r} is reached" in str(outcomes[-1])


def test_a_full_journal_stops_the_client(journal, monkeypatch):
    """The disk itself is filled in test_journal.py."""

    async def full(sha, completion):
        raise StorageError("cannot write: full")

    monkeypatch.setattr(journal, "put", full)
    with LLMServer(delay=0.02) as server:
        outcomes, _ = generate(journal, server.url, 50, concurrency=4)
        assert len(server.requests) <= 8
    assert {str(outcome) for outcome in outcomes} == {"cannot write: full"}


# --- cancelling and killing ---


def test_cancelled_requests_free_their_slots(journal):
    async def run():
        async with Client(None, (server.url,), LLMConfig(concurrency=2), journal) as llm:
            jobs = [asyncio.create_task(llm.generate(ask(number))) for number in range(6)]
            await asyncio.sleep(0.1)
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            assert llm.status.outstanding == 0
            return await asyncio.gather(*(llm.generate(ask(number)) for number in range(6, 12)))

    with LLMServer(delay=0.3) as server:
        assert len(asyncio.run(run())) == 6


def test_a_place_granted_to_a_cancelled_waiter_goes_to_the_next():
    async def run():
        address = Address("it")
        balancer = Balancer((Endpoint(address),), concurrency=1)
        held = await balancer.take()
        waiting, after = (asyncio.create_task(balancer.take()) for _ in range(2))
        await asyncio.sleep(0)
        balancer.give_back(held)
        waiting.cancel()
        assert await asyncio.wait_for(after, 1) is held
        assert balancer.outstanding == 1

    asyncio.run(run())


KILLED = """
import asyncio, sys
from pathlib import Path
from s3_hf.config import LLMConfig
from s3_hf.journal import Journal
from s3_hf.llm import Client
sys.path.insert(0, sys.argv[3])
from tests.test_llm import ask
async def main():
    with Journal(Path(sys.argv[2])) as journal:
        async with Client(None, (sys.argv[1],), LLMConfig(concurrency=8), journal) as llm:
            await asyncio.gather(*(llm.generate(ask(number)) for number in range(200)))
asyncio.run(main())
"""


def test_a_killed_run_repeats_at_most_what_was_in_flight(tmp_path):
    path = tmp_path / "journal.sqlite"
    with LLMServer(delay=0.05) as server:
        run = subprocess.Popen([sys.executable, "-c", KILLED, server.url, str(path), str(ROOT)])
        while len(server.requests) < 90:
            assert run.poll() is None
            time.sleep(0.01)
        run.send_signal(signal.SIGKILL)
        run.wait()
        with Journal(path) as journal:
            assert journal.usage().requests >= 60
            outcomes, _ = generate(journal, server.url, 200, concurrency=8)
        asked = Counter(received.payload["seed"] for received in server.requests)
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    assert sum(asked.values()) - 200 <= 2 * 8  # in flight, and answered but not yet on the disk
    assert len(asked) == 200
