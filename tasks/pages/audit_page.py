"""The page of an audit: what was refused, what left, whose consent counted, what it cost."""

from __future__ import annotations

from collections.abc import Sequence

from tasks.account.audit import Audit
from tasks.pages.report import environment


def render_audit(found: Audit, spent: Sequence[object]) -> str:
    """Write the page as one self-contained HTML file."""
    return environment().get_template("audit.html.j2").render(a=found, spent=spent)
