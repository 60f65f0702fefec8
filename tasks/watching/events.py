"""Events in Prefect, for automations: told at once, so that none is lost as a process ends."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from expectations.errors import ServiceError
from tasks.watching.news import News


def tell(news: Sequence[News]) -> None:
    """Send events to the Prefect server that this process uses; nothing where it uses none.

    Raises `ServiceError` where the server does not take them.
    """
    if not news or not os.environ.get("PREFECT_API_URL"):
        return
    from httpx import HTTPError
    from prefect.client.orchestration import get_client

    at = datetime.now(UTC).isoformat()
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=[write_event(one, at) for one in news])
    except HTTPError as error:
        kind = type(error).__name__
        raise ServiceError(f"Prefect's server took no events ({kind})") from None


def write_event(one: News, at: str) -> dict[str, object]:
    """Give an event as Prefect takes it."""
    return {
        "id": str(uuid4()),
        "occurred": at,
        "event": one.name,
        "resource": {
            "prefect.resource.id": f"tutela.run.{one.run}" if one.run else "tutela.home",
            "prefect.resource.name": one.policy,
            "tutela.policy": one.policy,
        },
        "payload": {"policy": one.policy, "run": one.run, **one.facts},
    }
