"""Tables as CSV and Parquet files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from s3_hf.files import replacing, write_text
from s3_hf.texts import without_formula


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows to `path` with the suffixes .csv and .parquet; the value of a missing column is empty.

    In the CSV file, no text is a formula of a spreadsheet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: without_formula(value) for name, value in row.items()} for row in rows)
    write_text(path.with_suffix(".csv"), out.getvalue())
    table = pa.table({name: [row.get(name) for row in rows] for name in columns})
    with replacing(path.with_suffix(".parquet")) as temporary:
        pq.write_table(table, temporary)
