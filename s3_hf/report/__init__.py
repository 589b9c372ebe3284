"""One self-contained HTML page about runs: what the student got wrong, what was written for it, and what that did."""

from s3_hf.report.figures import card_figures
from s3_hf.report.page import check_packages, write_report

__all__ = ["card_figures", "check_packages", "write_report"]
