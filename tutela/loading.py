"""Loading a model that somebody handed over: what is loaded is verified first, without a home."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from expectations.errors import UsageError

if TYPE_CHECKING:
    from tutela.result import Model


def load_model(
    folder: str | Path,
    digest: str | None = None,
    trusted: Collection[str] = (),
    *,
    receipt: str | Path | None = None,
    key: str | None = None,
) -> Model:
    """Load the model in a folder as MLflow gives it, if its files are those on its list.

    The list, `tutela.json`, is in the folder: it shows a file that was damaged or swapped, not
    somebody who wrote the list anew. Give the `digest` that whoever handed it over told you another
    way, or their `receipt` and public `key`, and the list must be that one too. Only types that
    tutela's own models are made of are made; name others that you trust, as of an own class.
    `ServiceError` for a changed folder, `UsageError` for one without a list, or for other types.

    >>> import tutela
    >>> tutela.load_model("a folder that is not there")
    Traceback (most recent call last):
        ...
    expectations.errors.UsageError: a folder that is not there has no tutela.json: ...
    """
    import skops.io

    from deployments.run.notebook import KNOWN
    from tasks.handover.model_package import read_whole
    from tasks.verifying.receipts import check_receipt

    if (receipt is None) != (key is None):
        raise UsageError("a receipt is read with its sender's key: give both `receipt` and `key`")
    if receipt is not None and key is not None:
        check_receipt(Path(folder), Path(receipt), key)
    content = read_whole(Path(folder), digest)
    asked = skops.io.get_untrusted_types(data=content)
    others = sorted({*asked} - KNOWN - {*trusted})
    if others:
        raise UsageError(
            f"the model in {folder} is made of types that no model of tutela's own kinds has: "
            f"{', '.join(others)}; look at their code, then name them in `trusted`"
        )
    loaded: Model = skops.io.loads(content, trusted=asked)
    return loaded
