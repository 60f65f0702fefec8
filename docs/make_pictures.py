"""Takes the pictures of the documents from real runs of the packaged policies, in a real browser.

    python docs/make_pictures.py [NAME …]

Runs `diabetes` and `prevalence`, and `diabetes` with a column too many in its table, in a home of
its own that is removed afterwards; opens the reports and the pages of Prefect and MLflow in
Chromium without a window; and writes a PNG of a fixed size for each shot below. Needs `chromium` on
the path. Not pixel for pixel the same each time: times, run ids and noise differ.
"""  # noqa: INP001  # documents are no package

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PICTURES: Final = Path(__file__).with_name("pictures")
POLICIES: Final = Path(__file__).parent.parent / "expectations" / "policies"
TUTELA: Final = [sys.executable, "-m", "deployments.cli"]
FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--hide-scrollbars",
)  # fmt: skip
TOO_MUCH: Final = {
    "use: [feature], treatment: {kind: clip, low: 60, high: 160}": (
        "use: [feature, release], treatment: {kind: clip, low: 60, high: 160}"
    ),
    "diabetes: generalize": "diabetes: generalize\n      waist: keep",
}
BUDGET: Final = {"prefect": 60_000}
"""Milliseconds of a page's own time until it is drawn, where the usual eight seconds are few."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: of which run's page, how large, and which part of the page."""

    name: str
    run: str
    page: str = "report"
    width: int = 1184
    height: int = 900
    section: str | None = None
    """The heading of the report's section that alone is shown."""
    left: int = 0
    right: int = 0
    """How much of the page is cut off at either side, where menus are."""


SHOTS: Final = (
    Shot("report", "diabetes", height=1330),
    Shot("refusal", "refused", height=950),
    Shot("missing", "prevalence", height=1350, section="missing", left=44, right=44),
    Shot("budget", "diabetes", height=254, section="budget", left=44, right=44),
    Shot("table", "diabetes", height=470, section="tables", left=44, right=44),
    Shot("prefect", "diabetes", "prefect", 1388, 500, left=260),
    Shot("mlflow", "diabetes", "mlflow", 1240, 1040, left=200, right=325),
)


def main() -> None:
    """Take the named pictures, or all."""
    wanted = set(sys.argv[1:])
    shots = [shot for shot in SHOTS if not wanted or shot.name in wanted]
    with tempfile.TemporaryDirectory(prefix="tutela-pictures-") as folder:
        place = Path(folder)
        os.environ["TUTELA_HOME"] = str(place / "home")
        tell("init")
        runs = {name: run(name, place) for name in dict.fromkeys(shot.run for shot in shots)}
        with serving("prefect"), serving("mlflow"):
            for shot in shots:
                take(shot, address(shot, runs[shot.run], place), place)


def run(name: str, place: Path) -> dict[str, Any]:
    """Run a policy and give what the run came to."""
    policy = str(write_refused(place)) if name == "refused" else name
    found: dict[str, Any] = json.loads(tell("run", policy, "--json"))
    return found


def write_refused(place: Path) -> Path:
    """Write `diabetes` with a number in its table that no class can share."""
    text = (POLICIES / "diabetes.yaml").read_text("utf-8")
    for old, new in TOO_MUCH.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    file = place / "diabetes.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def tell(*words: str) -> str:
    """Call `tutela`; a refusal is no failure here."""
    done = subprocess.run([*TUTELA, *words], stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603  # our own command
    if done.returncode not in {0, 1}:
        raise SystemExit(f"tutela {' '.join(words)} ended with {done.returncode}")
    return done.stdout


@contextlib.contextmanager
def serving(name: str) -> Iterator[None]:
    """Keep the pages of Prefect or MLflow open meanwhile; their address is noted in `SERVED`."""
    with subprocess.Popen([*TUTELA, name], stderr=subprocess.PIPE, text=True) as server:  # noqa: S603  # our own command
        assert server.stderr is not None
        for line in server.stderr:
            if found := re.search(r"pages: (http://\S+)", line):
                SERVED[name] = found[1]
                break
        try:
            yield
        finally:
            server.terminate()


SERVED: Final[dict[str, str]] = {}


def address(shot: Shot, found: dict[str, Any], place: Path) -> str:
    """Give the address of what a shot shows."""
    if shot.page == "report":
        report = Path(found["report"])
        return report.as_uri() if shot.section is None else cut(report, shot.section, place)
    word = {"prefect": "Prefect", "mlflow": "MLflow"}[shot.page]
    url: str = next(link["url"] for link in found["links"] if link["name"].startswith(word))
    return re.sub(r"^http://[^/]+", SERVED[shot.page], url)


def cut(report: Path, section: str, place: Path) -> str:
    """Write a copy of a report that shows one section, and give its address."""
    hidden = f'.page > :not(main), main > :not([aria-labelledby="{section}"]) {{display: none}}'
    text = report.read_text("utf-8").replace("</head>", f"<style>{hidden}</style></head>", 1)
    copy = place / f"{section}.html"
    copy.write_text(text, encoding="utf-8")
    return copy.as_uri()


def take(shot: Shot, url: str, place: Path) -> None:
    """Write a shot's picture: the page as it is drawn, then the part of it that matters."""
    whole, part, page = place / "whole.png", place / "part.png", place / "part.html"
    draw(url, whole, shot.width, shot.height, BUDGET.get(shot.page, 8_000))
    if shot.left or shot.right:
        style = f"margin:0;background:url({whole.name}) -{shot.left}px 0 no-repeat"
        page.write_text(f'<body style="{style}">', encoding="utf-8")
        draw(page.as_uri(), part, shot.width - shot.left - shot.right, shot.height, wait=1_000)
        whole = part
    shutil.copyfile(whole, PICTURES / f"{shot.name}.png")
    print(f"{shot.name}.png", whole.stat().st_size)  # noqa: T201  # a script that tells what it did


def draw(url: str, file: Path, width: int, height: int, wait: int) -> None:
    """Let Chromium draw a page, in a profile of its own."""
    file.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        command = [
            "chromium", *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}",
            f"--virtual-time-budget={wait}", f"--screenshot={file}", url,
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=180)  # noqa: S603  # fixed words


if __name__ == "__main__":
    main()
