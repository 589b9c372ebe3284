"""The notebook runs as it is stored, and results show themselves in it."""

import subprocess
import sys

import nbformat
import pytest

from s3_hf import loop, report_on
from s3_hf.errors import RunDirError
from s3_hf.starting import Page
from s3_hf.store import open_run
from tests.documents import ROOT
from tests.run_maker import add_final, make_full_run
from tests.test_docs import environment  # noqa: F401 - a fixture

NOTEBOOK = ROOT / "examples" / "quickstart.ipynb"
EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
notebook.cells = [cell for cell in notebook.cells if "install" not in cell.metadata.get("tags", [])]
nbclient.NotebookClient(notebook, timeout=None).execute()
nbformat.write(notebook, sys.argv[1])
"""


def test_it_is_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert code[0].metadata["tags"] == ["install"]
    assert "/examples/quickstart.ipynb)" in notebook.cells[0].source


def test_it_runs(environment, spelling_student, tmp_path):  # noqa: F811
    copy = tmp_path / "quickstart.ipynb"
    copy.write_bytes(NOTEBOOK.read_bytes())
    (tmp_path / "tickets.csv").write_bytes((ROOT / "examples" / "tickets.csv").read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, str(copy)],
        cwd=tmp_path,
        env=environment | {"STUDENT": str(spelling_student), "IPYTHONDIR": str(tmp_path / "ipython")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    outputs = [output for cell in nbformat.read(copy, as_version=4).cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    pages = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
    assert "validation  30 rows" in printed
    assert "\tThe machine kept my card." in printed
    assert "/datasets/user/s3-tickets-round1" in printed
    assert "error:" not in printed
    assert any("<table>" in page and "Synthetic rows" in page for page in pages)
    assert any(page.startswith("<iframe srcdoc=") and "The data" in page for page in pages)


def test_results_are_tables_with_escaped_values(tmp_path):
    run = make_full_run(tmp_path / "a <b>run")
    add_final(run)
    run = open_run(run.path)
    shown = run._repr_html_()
    assert "a &lt;b&gt;run" in shown
    assert shown.count("<tr>") == 4
    assert "<td>round 1</td><td>6</td><td>150</td><td>80.0%</td>" in shown
    assert "Synthetic rows add +10.0 points" in shown
    result = loop.RunResult(run.path, run.results(), None, run.final.result(), run.final.outcome())
    assert result._repr_html_() == shown


def test_a_page_is_shown_apart_from_the_notebook(tmp_path):
    (tmp_path / "page.html").write_text('<!doctype html><p title="a">b</p><script>top.location = "x"</script>')
    shown = Page(tmp_path / "page.html")._repr_html_()
    assert shown.startswith('<iframe srcdoc="&lt;!doctype')
    assert 'sandbox="allow-scripts" ' in shown
    assert "<script" not in shown
    with pytest.raises(RunDirError):
        report_on(tmp_path)
