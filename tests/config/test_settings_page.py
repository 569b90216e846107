"""The page of settings in the docs is the one that the program itself would write."""

import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_settings_page_tells_what_the_program_knows() -> None:
    """No key, default or range on the page differs from those that are checked."""
    script = DOCS / "write_settings.py"

    written = subprocess.run([sys.executable, script, "-"], stdout=subprocess.PIPE, check=True).stdout

    assert written == (DOCS / "settings.md").read_bytes(), f"run: python {script.relative_to(DOCS.parent)}"
