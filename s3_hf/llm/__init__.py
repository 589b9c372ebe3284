"""The LLM endpoint: `Client.generate(Request) -> Completion`, journal first, within the limits."""

from s3_hf.llm.client import Client, ClientStatus
from s3_hf.llm.served import models_url, names_in, shown

__all__ = ["Client", "ClientStatus", "models_url", "names_in", "shown"]
