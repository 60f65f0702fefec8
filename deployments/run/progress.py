"""Live progress of a run, by default on standard error: one line per step, with its seconds."""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Self, TextIO


class Progress:
    """Tells a person what is happening; plain lines when nobody watches.

    It keeps a copy of the terminal's file descriptor, because inside a step the process's own
    standard error leads nowhere. `out` is a stream to write to instead, as a notebook's is.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._own = out is None
        self._out = out or os.fdopen(os.dup(sys.stderr.fileno()), "w", encoding="utf-8")
        self._live = self._out.isatty()
        self.run_id: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if self._own:
            self._out.close()

    def tell(self, sentence: str) -> None:
        """Say something that takes a while."""
        self._write(f"  … {sentence}", end="\n")

    def step(self, title: str, event: str, seconds: float) -> None:
        """Say that a step started, finished or failed; remember the run that was opened."""
        if event == "opened":
            self.run_id = title
            return
        if event == "told":
            self._write(f"  ! {title}", end="\n")
            return
        if event == "started":
            if self._live:
                self._write(f"  … {title}", end="")
            return
        start = "\r\x1b[K" if self._live else ""
        mark = "✓" if event == "finished" else "✗"
        self._write(f"{start}  {mark} {title:<40}{seconds:6.1f} s", end="\n")

    def _write(self, text: str, end: str) -> None:
        self._out.write(text + end)
        self._out.flush()
