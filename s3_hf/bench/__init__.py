"""Experiments: a grid of task x arm x student x size x seed, run in one folder, and tables of its scores.

See docs/bench.md for the bench file, and docs/decisions/0005-bench.md for the reasons.
"""

from s3_hf.bench.grid import Cell, cells_of
from s3_hf.bench.measuring import CellResult
from s3_hf.bench.page import write_page
from s3_hf.bench.report import all_lines, write_report
from s3_hf.bench.running import BenchObserver, check_cells, kept_result, run_cells, spent
from s3_hf.bench.spec import Bench, load_bench

__all__ = [
    "Bench",
    "BenchObserver",
    "Cell",
    "CellResult",
    "all_lines",
    "cells_of",
    "check_cells",
    "kept_result",
    "load_bench",
    "run_cells",
    "spent",
    "write_page",
    "write_report",
]
