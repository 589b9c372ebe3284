"""A task for s3-hf that is found by its entry point."""
