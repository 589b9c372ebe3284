"""Starting a run from Python or the command line: the embedded parts that settings call `local`, and progress."""

from s3_hf.starting.embedded import services
from s3_hf.starting.progress import Progress
from s3_hf.starting.reporting import Page, report_on
from s3_hf.starting.running import run

__all__ = ["Page", "Progress", "report_on", "run", "services"]
