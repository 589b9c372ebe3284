"""Publishing a run: one dataset and one model repository per round, as folders or on a Hub.

The only package that writes to a Hub. `write_folders` writes the repositories as folders, which
`load_dataset` and `from_pretrained` read as they are; `push_run` commits the same folders, and `preview_push`
returns what it would change.
"""

from s3_hf.hub.account import check_access
from s3_hf.hub.facts import public_facts
from s3_hf.hub.folders import Published, write_folders
from s3_hf.hub.names import Repository
from s3_hf.hub.preview import PushPreview, preview_push
from s3_hf.hub.push import check_push, push_run
from s3_hf.hub.repositories import Figures, PushOptions, no_figures
from s3_hf.hub.withholding import Withheld

__all__ = [
    "Figures",
    "Published",
    "PushOptions",
    "PushPreview",
    "Repository",
    "Withheld",
    "check_access",
    "check_push",
    "no_figures",
    "preview_push",
    "public_facts",
    "push_run",
    "write_folders",
]
