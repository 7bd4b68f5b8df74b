"""Expected output in files: compared to the letter, rewritten only when asked, and then the run fails.

A missing file is a failure too, so that a new case is looked at before it counts.
"""

from pathlib import Path

UPDATE = "run again with --update-cases and look at the difference"


class Golden:
    """Called with a path below the test's own folder and the text that belongs there."""

    def __init__(self, folder: Path, *, update: bool) -> None:
        self._folder = folder
        self._update = update
        self.rewritten: list[str] = []

    def __call__(self, path: str, text: str) -> None:
        file = self._folder / path
        expected = file.read_text(encoding="utf-8") if file.exists() else None
        if expected != text and self._update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            self.rewritten.append(path)
            return
        assert expected is not None, f"no file {file}; {UPDATE}"
        assert text == expected, f"differs from {file}; {UPDATE}"
