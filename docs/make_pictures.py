"""Takes the pictures of the documents from real runs of the packaged policies, in a real browser.

    python docs/make_pictures.py [NAME …]

Runs `diabetes` and `prevalence`, and `diabetes` with a column too many in its table, in a home of
its own that is removed afterwards, and some policies night after night for the page of
all runs; opens the pages, and those of Prefect and MLflow, in Chromium without a window; and writes
a PNG of a fixed size for each shot below. Needs `chromium` on the path, and `websockets`, which
Prefect brings. Not pixel for pixel the same each time: times, run ids and noise differ.
"""  # noqa: INP001  # documents are no package

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from websockets.sync.client import connect
from websockets.sync.connection import Connection

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
NIGHTS: Final = r"""
import sys, tutela
for night in range(10):
    for name in ("registry", "prevalence", "diabetes")[: 2 + (night in (2, 7))]:
        text = open(f"{sys.argv[1]}/{name}.yaml", encoding="utf-8").read()
        share = min(0.85 + 0.012 * night + 0.02 * (night % 3), 1)
        text = text.replace("population:\n", f"population:\n  sample: {share:.3f}\n")
        text = text.replace("recipient: Statistics office", f"recipient: Statistics office {night}")
        if night == 5 and name == "registry":
            text = text.replace("smallest: 1000", "smallest: 90000")
        path = f"{sys.argv[2]}/{name}.yaml"
        open(path, "w", encoding="utf-8").write(text)
        tutela.run(path, progress=False)
"""
"""Policies night after night, as people come and go. A table for one recipient again and again
would soon be refused, so that it is for another each night."""
SETTLED: Final = {"report": 2, "runs": 2, "mlflow": 15, "prefect": 20}
"""Seconds until a page no longer moves."""


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
    Shot("report", "diabetes", height=1640),
    Shot("refusal", "refused", height=950),
    Shot("missing", "prevalence", height=1350, section="missing", left=44, right=44),
    Shot("budget", "diabetes", height=254, section="budget", left=44, right=44),
    Shot("quality", "diabetes", height=1235, section="quality", left=44, right=44),
    Shot("table", "diabetes", height=470, section="tables", left=44, right=44),
    Shot("runs", "nights", "runs", height=1180),
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
                take(shot, address(shot, runs[shot.run], place))


def run(name: str, place: Path) -> dict[str, Any]:
    """Run a policy and give what the run came to; of the nights, nothing."""
    if name == "nights":
        subprocess.run([sys.executable, "-c", NIGHTS, str(POLICIES), str(place)], check=True)  # noqa: S603  # our own
        return {}
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
            if found := re.search(r"pages: (http://[^/\s]+)", line):
                SERVED[name] = found[1]
                break
        try:
            yield
        finally:
            server.terminate()


SERVED: Final[dict[str, str]] = {}


def address(shot: Shot, found: dict[str, Any], place: Path) -> str:
    """Give the address of what a shot shows."""
    if shot.page == "runs":
        return (place / "home" / "index.html").as_uri()
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


def take(shot: Shot, url: str) -> None:
    """Write a shot's picture: the page as it stands once it has settled, and what matters of it."""
    clip = {
        "x": shot.left, "y": 0, "scale": 1, "height": shot.height,
        "width": shot.width - shot.left - shot.right,
    }  # fmt: skip
    with browsing() as page:
        size = {"width": shot.width, "height": shot.height}
        ask(page, "Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)
        ask(page, "Page.navigate", url=url)
        time.sleep(SETTLED[shot.page])
        found = ask(page, "Page.captureScreenshot", format="png", clip=clip)
    picture = b64decode(str(found["data"]))
    (PICTURES / f"{shot.name}.png").write_bytes(picture)
    print(f"{shot.name}.png", len(picture))  # noqa: T201  # a script that tells what it did


@contextlib.contextmanager
def browsing() -> Iterator[Connection]:
    """Open a page of Chromium, in a profile of its own, and give the line to it (DevTools)."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [
            "chromium", *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0",
            "about:blank",
        ]  # fmt: skip
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as browser:  # noqa: S603  # fixed words
            try:
                assert browser.stderr is not None
                heard = (re.search(r"127\.0\.0\.1:\d+", line) for line in browser.stderr)
                place = next(found[0] for found in heard if found)
                with urllib.request.urlopen(f"http://{place}/json") as told:
                    pages = [page for page in json.load(told) if page["type"] == "page"]
                with connect(pages[0]["webSocketDebuggerUrl"], max_size=None, proxy=None) as page:
                    yield page
            finally:
                browser.terminate()


def ask(page: Connection, method: str, **asked: object) -> dict[str, object]:
    """Ask a page for something, and give its answer."""
    page.send(json.dumps({"id": 1, "method": method, "params": asked}))
    while (answer := json.loads(page.recv())).get("id") != 1:
        pass
    result: dict[str, object] = answer["result"]
    return result


if __name__ == "__main__":
    main()
