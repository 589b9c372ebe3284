"""Tasks: `datasets` builders whose config carries label words and prompts.

A recipe is one file with one `TaskBuilder` subclass. `load_task` finds it by registered name (entry point
group `s3_hf.tasks`) or path and prepares its gold splits, which `datasets` caches under a key that changes
with the recipe's source.
"""

from s3_hf.task.builder import TaskBuilder
from s3_hf.task.existing import given_examples
from s3_hf.task.finding import ENTRY_POINTS, load_task, task_names, task_of
from s3_hf.task.loaded import GoldOptions, Task
from s3_hf.task.recipe import Prompts, TaskConfig

__all__ = [
    "ENTRY_POINTS",
    "GoldOptions",
    "Prompts",
    "Task",
    "TaskBuilder",
    "TaskConfig",
    "given_examples",
    "load_task",
    "task_names",
    "task_of",
]
