"""Users, organisations and tokens: whose request it is, and where it may write."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Literal

from hf_localhub.errors import AccountError
from hf_localhub.names import account_fault
from hf_localhub.registry import Registry, new_id, now

Role = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class Account:
    """The account that a token belongs to, with its permissions."""

    name: str
    id: str
    role: str
    orgs: tuple[str, ...]

    def belongs_to(self, owner: str) -> bool:
        """Return whether the namespace is the account's own or one of its organisations'."""
        return owner.lower() in {self.name.lower(), *(org.lower() for org in self.orgs)}

    def may_write(self, owner: str) -> bool:
        """Return whether the token may change repositories in the namespace."""
        return self.role == "write" and self.belongs_to(owner)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def find_account(registry: Registry, token: str) -> Account | None:
    """Return the account that the token belongs to, or None for an unknown token.

    The index selects candidates by the first eight digits of the digest; whole digests are compared in constant time.
    """
    digest = _digest(token)
    match = None
    for row in registry.rows("SELECT digest, account, role FROM tokens WHERE prefix = ?", digest[:8]):
        if hmac.compare_digest(row["digest"], digest):
            match = row
    if match is None:
        return None
    account = registry.rows("SELECT name, id FROM accounts WHERE name = ?", match["account"])[0]
    orgs = registry.rows("SELECT org FROM members WHERE user = ? ORDER BY org", account["name"])
    return Account(account["name"], account["id"], match["role"], tuple(row["org"] for row in orgs))


def add_account(registry: Registry, name: str, *, org: bool, token: str | None, role: Role) -> str:
    """Add the account if it is missing, and return a token for it.

    An organisation with the token of a user takes that user as a member; otherwise it gets a token of its own.

    Raises:
        AccountError: the name cannot be used, or the token belongs to another account.
    """
    fault = account_fault(name)
    if fault:
        raise AccountError(f"the account name {fault}")
    if token is not None and not (token.startswith("hf_") and token.isascii() and len(token) <= 256):
        raise AccountError("a token must start with 'hf_', as clients refuse others")
    holder = find_account(registry, token) if token else None
    with registry.transaction():
        registry.run("INSERT OR IGNORE INTO accounts VALUES (?, ?, ?, ?)", name, new_id(), org, now())
        known = registry.rows("SELECT name, org FROM accounts WHERE name = ?", name)[0]
        if bool(known["org"]) != org:
            raise AccountError(f"{name!r} is already the name of {'an organisation' if known['org'] else 'a user'}")
        if holder is not None and holder.name != known["name"]:
            if not org:
                raise AccountError(f"the token already belongs to {holder.name!r}; give {name!r} another one")
            registry.run("INSERT OR IGNORE INTO members VALUES (?, ?)", known["name"], holder.name)
            return str(token)
        token = token or f"hf_{secrets.token_urlsafe(30).replace('-', 'A').replace('_', 'B')}"
        digest = _digest(token)
        registry.run(
            "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?)", digest[:8], digest, known["name"], role, now()
        )
    return token


def sign(registry: Registry, lifetime: int, *parts: str) -> str:
    """Return a signature of the parts that is valid for `lifetime` seconds."""
    expires = str(int(time.time()) + lifetime)
    return f"{expires}.{_mac(registry, expires, *parts)}"


def is_signed(registry: Registry, signature: str, *parts: str) -> bool:
    """Return whether the signature is one of this Hub, over these parts, and has not expired."""
    expires, _, mac = signature.partition(".")
    right = hmac.compare_digest(mac.encode(), _mac(registry, expires, *parts).encode())
    return right and expires.isdecimal() and int(expires) > time.time()


def _mac(registry: Registry, *parts: str) -> str:
    return hmac.new(registry.secret, "\n".join(parts).encode(), hashlib.sha256).hexdigest()
