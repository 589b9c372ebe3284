"""The LLM endpoint: `Client.generate(Request) -> Completion`, journal first, within the limits.

`access`, `answers` and `failures` also serve stations that call models over HTTP without a journal.
"""

from s3_hf.llm.client import Client
from s3_hf.llm.status import ClientStatus

__all__ = ["Client", "ClientStatus"]
