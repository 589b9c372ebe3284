"""Recipes of tasks, one `datasets` builder per file."""
