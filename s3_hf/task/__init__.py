"""Tasks: `datasets` builders whose config holds label words and prompts.

A recipe is a file with one `TaskBuilder` subclass. `load_task` finds it by its registered name (entry point group
`s3_hf.tasks`) or path. `datasets` caches the gold splits under a key that changes with the recipe and its data.
"""

from s3_hf.task.builder import TaskBuilder
from s3_hf.task.existing import check_existing, existing_examples
from s3_hf.task.finding import ENTRY_POINTS, load_task, task_names, task_of
from s3_hf.task.gold import GoldOptions, Task
from s3_hf.task.recipe import Prompts, TaskConfig, is_skewed

__all__ = [
    "ENTRY_POINTS",
    "GoldOptions",
    "Prompts",
    "Task",
    "TaskBuilder",
    "TaskConfig",
    "check_existing",
    "existing_examples",
    "is_skewed",
    "load_task",
    "task_names",
    "task_of",
]
