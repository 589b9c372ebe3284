"""Rows of any kind: reading them from files, folders and the Hub, and dividing them. Knows no task."""
