"""Automations of the home's Prefect server: which events of tutela somebody is told of there.

The webhook's address may hold a token, so Prefect keeps it as a secret of the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from expectations.errors import ServiceError, UsageError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

BLOCK: Final = "tutela"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An automation: its name, the events that it waits for, and what is said of one."""

    name: str
    events: tuple[str, ...]
    subject: str
    body: str


RUN: Final = "Run {{ event.payload.run }} of {{ event.payload.policy }}"
WANTED: Final = (
    Wanted(
        "tutela: a run needs somebody",
        ("tutela.run.refused", "tutela.run.failed", "tutela.run.waiting"),
        "{{ event.payload.policy }}: {{ event.payload.verdict }}",
        RUN + " ended as {{ event.payload.verdict }}"
        "{% if event.payload.check %} by the check {{ event.payload.check }}{% endif %}. "
        "Read on: tutela report {{ event.payload.run }}",
    ),
    Wanted(
        "tutela: something is due",
        ("tutela.consent.stale", "tutela.consent.dropped", "tutela.budget.low", "tutela.key.due"),
        "{{ event.payload.policy }}: {{ event.event }}",
        RUN + " says {{ event.event }}.",
    ),
)


def load(address: str) -> list[str]:
    """Make the block and the automations, or change them; give the automations' names.

    `PREFECT_API_URL` must be set. Raises `UsageError` for what is no webhook's address, and
    `ServiceError` where the server does not take them.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(
            "give the address of a webhook, http(s)://…; for e-mail and chats write "
            "`notify` into the home's settings.toml"
        )
    from httpx import HTTPError
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.client.orchestration import get_client
    from prefect.types import SecretDict

    block = CustomWebhookNotificationBlock(
        name=BLOCK,
        url="{{address}}",
        json_data={"title": "{{subject}}", "message": "{{body}}"},
        secrets=SecretDict({"address": address}),
    )
    try:
        number = cast("UUID", block.save(BLOCK, overwrite=True))
        with get_client(sync_client=True) as client:
            for wanted in WANTED:
                _put(client, _write(wanted, number))
    except HTTPError as error:
        raise ServiceError(f"Prefect's server failed with {type(error).__name__}") from None
    return [wanted.name for wanted in WANTED]


def _write(wanted: Wanted, block: UUID) -> AutomationCore:
    """Give an automation as Prefect takes it: each run is told of once."""
    from prefect.events.actions import SendNotification
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    return AutomationCore(
        name=wanted.name,
        trigger=EventTrigger(
            expect=set(wanted.events), for_each={"prefect.resource.id"},
            posture=Posture.Reactive, threshold=1,
        ),
        actions=[
            SendNotification(block_document_id=block, subject=wanted.subject, body=wanted.body)
        ],
    )  # fmt: skip


def _put(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Make an automation, or change the one of its name."""
    there = client.read_automations_by_name(automation.name)
    if there:
        client.update_automation(there[0].id, automation)
    else:
        client.create_automation(automation)
