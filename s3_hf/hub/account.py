"""Who pushes, to which Hub and namespace."""

from __future__ import annotations

from dataclasses import dataclass

from huggingface_hub import HfApi, get_token

from s3_hf.errors import HubError
from s3_hf.hub.transport import hub_errors, persistently
from s3_hf.keys import without_secrets


@dataclass(frozen=True, slots=True)
class Account:
    """The owner of a token, and the namespace that they push to."""

    user: str
    namespace: str


def connected(token: str | None = None, endpoint: str | None = None, version: str | None = None) -> HfApi:
    """Return a client of the Hub at `endpoint`, or HF_ENDPOINT, without sending anything yet.

    `token` None takes HF_TOKEN or the stored login; `version` of s3-hf is sent along with requests.
    """
    return HfApi(endpoint=endpoint, token=token or get_token(), library_name="s3-hf", library_version=version)


def check_access(namespace: str | None = None) -> None:
    """Return if the namespace at HF_ENDPOINT can be pushed to, as far as the Hub shows.

    Raises:
        HubError: it cannot be reached, there is no token that may write, or the namespace is somebody else's.
    """
    api = connected()
    with hub_errors(api):
        account_for(api, namespace)


def account_for(api: HfApi, wanted: str | None, *, foreign: bool = False) -> Account:
    """Return whose token it is and the namespace to push to, checked as far as the Hub shows its rights.

    Args:
        api: the Hub.
        wanted: namespace; None takes the token's owner.
        foreign: the namespace may be somebody else's.

    Raises:
        HubError: there is no token, it may only read, or the namespace is somebody else's.
    """
    hub = without_secrets(api.endpoint)
    if not api.token:
        raise HubError(
            f"a token is needed to publish on {hub}, found none; log in with `hf auth login`, set HF_TOKEN, "
            "or write folders with `s3-hf push --to`"
        )
    account = persistently(api.whoami, api, tries=4)  # fails soon where there is no Hub at all
    role = account.get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise HubError(
            f"a token that may write is needed to publish on {hub}, found one that may only read; make a "
            "write token in your settings there and set HF_TOKEN"
        )
    allowed = [account["name"], *(each["name"] for each in account.get("orgs", []))]
    if wanted is not None and wanted not in allowed and not foreign:
        raise HubError(
            f"the namespace must be yours or your organisation's on {hub}, found {wanted!r}; use one of "
            f"{', '.join(allowed)}"
        )
    return Account(str(account["name"]), wanted or str(account["name"]))
