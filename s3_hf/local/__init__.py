"""Embedded defaults that need no account and no network: an LLM endpoint, model weights, gold data."""
