"""Notifications by Apprise to the addresses of the settings: a webhook, e-mail, a chat.

An address can hold a password or token anywhere, so no message names more of one than its place in
the settings and its scheme.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from string import Template
from typing import Final, Self
from urllib.parse import quote

from expectations.errors import ServiceError, TutelaError, UsageError
from ledgers.checkpoints import Checkpoint
from ledgers.home.home import Home
from tasks.account.overview import RunRow
from tasks.airlock.airlock import run_inside

LOOK: Final = {"passed": "success", "pending": "warning", "awaiting": "warning"}
"""How a chat shows a verdict; any other as a failure."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: a title, some lines, and how it looks in the words of Apprise."""

    title: str
    body: str
    look: str = "failure"

    @classmethod
    def of(cls, row: RunRow, home: Home) -> Self:
        """Say in a few words what a run came to, then why, and where to read on."""
        by = f" by {row.check}" if row.check and row.verdict == "refused" else ""
        title = f"tutela: {row.policy} {row.verdict}{by}"
        return cls(title, "\n".join(say_lines(row, home)), LOOK.get(row.verdict, "failure"))


def notify(home: Home, message: Message, seal: Callable[[str], str]) -> Iterator[str]:
    """Send a message to every address; give a sentence for each that did not take it."""
    yield from _send_all("notify", home.settings.notify, message, seal)


def post_checkpoint(home: Home, line: bytes, seal: Callable[[str], str]) -> Iterator[str]:
    """Send the newest checkpoint to addresses of `anchors`, whose mails `verify` can read."""
    number = Checkpoint.read(line).number
    message = Message(f"tutela: checkpoint {number}", line.decode("ascii"), "info")
    yield from _send_all("anchors", home.settings.posted_to, message, seal)


def _send_all(
    setting: str, addresses: Sequence[str], message: Message, seal: Callable[[str], str]
) -> Iterator[str]:
    for number, address in enumerate(addresses, start=1):
        try:
            run_inside(setting, partial(send, address, message), seal)
        except TutelaError as error:
            yield f"{setting} {number} ({name_scheme(address)}) was not told: {error}"


def send(address: str, message: Message) -> None:
    """Send a message to one address, with `$NAME` in it taken from the environment."""
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

    quoted = {name: quote(value, safe="") for name, value in os.environ.items()}
    try:
        filled = Template(address).substitute(quoted)
    except KeyError as error:
        raise UsageError(f"set ${error.args[0]} in the environment") from None
    except ValueError:
        raise UsageError("write a $ that is no name as $$") from None
    # Nothing in a message that whoever shows it would load from elsewhere.
    target = Apprise(asset=AppriseAsset(app_id="tutela", image_url_mask="", image_url_logo=""))
    if not target.add(filled):
        raise UsageError("it is not an address that Apprise knows")
    if not target.notify(
        title=message.title, body=message.body, body_format=NotifyFormat.TEXT,
        notify_type=NotifyType(message.look),
    ):  # fmt: skip
        raise ServiceError("it did not take the message; is it reachable, and the login right?")


def name_scheme(address: str) -> str:
    """Give what kind of address it is, and nothing else of it."""
    return address.partition("://")[0]


def say_lines(row: RunRow, home: Home) -> Sequence[str]:
    """Say which run ended how, why if it did not pass, and where to read on."""
    said = {
        "passed": "passed again.",
        "refused": "was refused. Nothing was handed over.",
        "failed": "failed. Nothing was handed over.",
        "pending": "passed its checks and waits for MLflow. Nothing was handed over yet.",
        "awaiting": "passed its checks and waits for approval: tutela approvals. Nothing was "
        "handed over yet.",
    }
    lines = [f"Run {row.run} of {row.policy} {said.get(row.verdict, row.verdict)}"]
    if row.reason and row.verdict != "passed":
        lines.append(f"{row.check}: {row.reason}" if row.check else row.reason)
    report = home.reports / f"{row.run}.html"
    lines.append(f"Report: {report}" if report.is_file() else f"See: tutela report {row.run}")
    return lines
