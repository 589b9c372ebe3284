"""Publishing a run: one dataset and one model repository per round, as folders or on a Hub.

The only package that writes to a Hub. `write_folders` makes the repositories as folders, which
`load_dataset` and `from_pretrained` read as they are; `push_run` commits the same folders, and `preview_push`
tells what it would change.
"""

from s3_hf.hub.folders import Published, PushOptions, write_folders
from s3_hf.hub.names import dataset_name, model_name
from s3_hf.hub.preview import Preview, preview_push
from s3_hf.hub.push import check_access, push_run

__all__ = [
    "Preview",
    "Published",
    "PushOptions",
    "check_access",
    "dataset_name",
    "model_name",
    "preview_push",
    "push_run",
    "write_folders",
]
