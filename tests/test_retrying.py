import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

from s3_hf import retrying
from s3_hf.retrying import repeat


def status(code, **headers):
    response = httpx2.Response(code, headers=headers, request=httpx2.Request("GET", "http://h"))
    return HfHubHTTPError(str(code), response=response)


def calls(errors, **options):
    """The pauses between the calls of an action that raises these errors in turn, and then returns."""
    pauses, left = [], list(errors)

    def action():
        if left:
            raise left.pop(0)
        return "value"

    assert repeat(action, "it", broken=(httpx2.TransportError,), sleep=pauses.append, **options) == "value"
    return pauses


def test_what_may_pass_is_repeated_after_growing_pauses():
    pauses = calls([status(503), httpx2.ConnectError("refused"), status(429, **{"retry-after": "7"}), status(409)])
    assert len(pauses) == 4
    assert 0.25 <= pauses[0] <= 0.5 <= pauses[1] <= 1
    assert pauses[2] == 7
    assert max(retrying.backoff(failures) for failures in range(1, 99)) <= retrying.LONGEST_PAUSE


@pytest.mark.parametrize("error", [status(400), OfflineModeIsEnabled("offline"), KeyError("x")])
def test_what_does_not_pass_is_raised_at_once(error):
    with pytest.raises(type(error)):
        calls([error])


def test_tries_end_and_patience_is_for_servers_that_answer():
    errors = [status(503)] * retrying.TRIES
    with pytest.raises(HfHubHTTPError):
        calls(errors)
    assert len(calls(errors, patience=1000)) == retrying.TRIES
    with pytest.raises(httpx2.ConnectError):
        calls([httpx2.ConnectError("refused")] * 2, tries=2, patience=1000)
