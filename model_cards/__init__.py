"""Jinja templates of the dataset and model cards."""
