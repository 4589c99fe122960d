"""`make bench` writes one page of what the scripts in benchmarks/ print, and loses nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import run as driver

ROOT = Path(__file__).parent.parent

GOOD = '"""What is good.\n\nMore."""\nimport sys\nprint("| a |\\n", sys.argv[1:])\n'
FAILING = '"""What fails."""\nprint("half")\nraise SystemExit(3)\n'
ABSENT = '"""What is absent."""\nfrom _page import skip\nskip("no such thing")\n'


@pytest.fixture
def page(tmp_path, monkeypatch) -> Path:
    """Where the page of three scripts, which measure nothing, is to be written."""
    for name, text in {"good": GOOD, "failing": FAILING, "absent": ABSENT}.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "_page.py").write_text((ROOT / "benchmarks" / "_page.py").read_text())
    monkeypatch.setattr(driver, "FOLDER", tmp_path)
    parts = [
        driver.Part("failing", "Fails", "", ""),
        driver.Part("good", "Good", "--plot x.png", "--fast"),
        driver.Part("absent", "Absent", "", ""),
    ]
    monkeypatch.setattr(driver, "PARTS", parts)
    return tmp_path / "docs" / "page.md"


def test_every_script_is_a_part():
    scripts = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")} - {"run"}
    assert {part.name for part in driver.PARTS} == scripts
    assert all(part.about for part in driver.PARTS)


def test_page_has_what_was_measured_although_a_part_failed(page):
    assert driver.main(["--page", str(page)]) == 1
    top, failed, good, absent = page.read_text().split("\n## ")
    assert top == f"{driver._introduction()}\n"
    assert driver._machine() in top
    assert failed == "Fails\n\nWhat fails.\n\nhalf\n\n**Failed**, with exit code 3.\n"
    assert good == (
        "Good\n\nWhat is good.\n\n| a |\n "
        f"['--plot', '{page.parent}/images/x.png', '--markdown']\n\n"
        "![Good](images/x.png)\n\n`benchmarks/good.py`, 0 seconds.\n"
    )
    assert absent == "Absent\n\nWhat is absent.\n\nNot measured here: no such thing.\n"


def test_part_that_runs_again_leaves_the_other_sections(page, monkeypatch):
    assert driver.main(["--page", str(page)]) == 1
    before = page.read_text()
    assert driver.main(["--page", str(page), "--only", "absent"]) == 0
    assert page.read_text() == before

    monkeypatch.setattr(driver, "_machine", lambda: "another machine")
    assert driver.main(["--page", str(page), "--only", "good", "--quick"]) == 0
    old, new = before.split("\n## "), page.read_text().split("\n## ")
    assert [old[0], old[1], old[3]] == [new[0], new[1], new[3]]
    assert "['--fast', '--markdown']" in new[2]
    assert new[2].endswith(
        "0 seconds. With another machine. By `--quick`: it shows that it runs, the numbers mean "
        "nothing.\n"
    )


def test_part_alone_makes_a_page(page):
    assert driver.main(["--page", str(page), "--only", "good"]) == 0
    assert page.read_text().count("\n## ") == 1


def test_table_for_a_page():
    report = pytest.importorskip("_report")  # wants what examples and benchmarks do

    def row(what: str, against: str, theirs: float | None, **other: object) -> object:
        common = {"unit": "call", "ours": 1500.0, "faster": True, "spread": None, "lost": None}
        nothing = {"ratio": None, "target": None, "met": None, "theirs_lost": None, "note": ""}
        values = {**common, **nothing, **other}
        return report.Row(what=what, against=against, theirs=theirs, **values)

    rows = [
        row("x", "torch", 3000.0, ratio=2.0, target=1.5, met=True, lost=0.0, theirs_lost=0.125),
        row("x", "other", None, note="not installed"),
        row("y", "torch", 2e9, ratio=0.5, target=2.0, met=False),
    ]
    assert report.markdown(rows).splitlines() == [
        "| what | ours | against | theirs | ours is | target | lost, ours / theirs |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| x | 1.50 us | torch | 3.00 us | 2.00x speed | ≥ 1.5x | 0 / 12.5% |",
        "|  |  | other | not installed |  |  |  |",
        "| y | 1.50 us | torch | 2.00 s | 0.50x speed | ≥ 2x, missed |  |",
    ]


@pytest.mark.timeout(240)
def test_scripts_print_what_the_page_wants(tmp_path):
    pytest.importorskip("_report")
    page = tmp_path / "page.md"
    command = [sys.executable, ROOT / "benchmarks" / "run.py", "--quick", "--page", page]
    done = subprocess.run(
        [*command, "--only", "usual_ways", "locks", "gpu"],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    usual, locks, gpu = page.read_text().split("\n## ")[1:]
    assert "\n| `counter += 1` | 0 (0.00%) | " in usual
    assert "\n| AtomicBool.is_set() | " in locks
    assert "![Locks and flags](images/locks.png)" in locks
    assert (tmp_path / "images" / "locks.png").stat().st_size
    assert "seconds." in gpu or "Not measured here: " in gpu
