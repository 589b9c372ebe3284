"""Read rows from files, folders and the Hub, and divide them; nothing here knows what a task is."""
