"""Task recipes: one `datasets` builder per file."""
