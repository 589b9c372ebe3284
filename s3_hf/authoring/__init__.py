"""Writing a recipe from data (`s3-hf tasks new`): infer the task, word its prompts, write the file."""
