"""The LLM endpoint: `Client.generate(Request) -> Completion`, journal first, within the limits."""

from s3_hf.llm.client import Client, ClientStatus

__all__ = ["Client", "ClientStatus"]
