"""One self-contained HTML page about runs: what the student got wrong, what was written for it, and what that did."""

from s3_hf.report.figures import card_figures
from s3_hf.report.page import check_packages, write_report
from s3_hf.report.public import public_page
from s3_hf.report.tables import Section, write_tables

__all__ = ["Section", "card_figures", "check_packages", "public_page", "write_report", "write_tables"]
