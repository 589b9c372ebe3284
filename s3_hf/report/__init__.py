"""One self-contained HTML page about runs: what the student got wrong, what was written for it, and what that did."""

from s3_hf.report.page import check_packages, write_report

__all__ = ["check_packages", "write_report"]
