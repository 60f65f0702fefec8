"""`Step`: the only way to make a Prefect task here, and the door between vault and function.

A step's function takes a `Desk` and opened data and gives a table, bytes, or the opened data
itself (same content, further stage). The step around it takes and gives references: it opens what
the vault's manifest says has reached the right stage, runs the function inside the airlock, stores
what comes out, and notes digest and seconds. A refusal leaves after the run's finder has looked for
ways out, on the data that only the step has open. Inside a Prefect flow it runs as a Prefect task,
built on first call with the options that keep data out of Prefect; elsewhere it just runs.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import (
    TYPE_CHECKING,
    Generic,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    overload,
)

import pyarrow as pa

from expectations.errors import Refusal, VaultError
from ledgers.vault.stages import MARKERS, DatasetRef, Reached
from ledgers.vault.vault import RunVault
from tasks.airlock.airlock import attempt, run_inside
from tasks.airlock.run import Desk, Run, current_run, prefect_flow_run
from tasks.own_code.vouching import is_vouched

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow.dataset as ds
    from prefect import Task

    from ledgers.evidence import JSON

A = TypeVar("A", bound=Reached)
B = TypeVar("B", bound=Reached)
C = TypeVar("C", bound=Reached)
G = TypeVar("G", bound=Reached)
A_co = TypeVar("A_co", bound=Reached, covariant=True)
A_contra = TypeVar("A_contra", bound=Reached, contravariant=True)
G_co = TypeVar("G_co", bound=Reached, covariant=True)


@dataclass(frozen=True, slots=True)
class Opened(Generic[A_co]):
    """A data set at a known stage, open inside a step."""

    vault: RunVault
    ref: DatasetRef[A_co]
    stage: type[A_co]

    def dataset(self) -> ds.Dataset:
        """Give the rows to be scanned, again and again."""
        return self.vault.load(self.ref, self.stage)

    def table(self, columns: list[str] | None = None) -> pa.Table:
        """Read the named columns, or all."""
        return self.dataset().to_table(columns=columns)

    def frame(self, columns: list[str] | None = None) -> pd.DataFrame:
        """Read the named columns, or all, as pandas."""
        frame: pd.DataFrame = self.table(columns).to_pandas()
        return frame

    def content(self) -> bytes:
        """Read what was stored as bytes."""
        return self.vault.load_bytes(self.ref, self.stage)


def open_at(vault: RunVault, ref: DatasetRef[Reached], needed: type[A]) -> Opened[A]:
    """Open a data set at the stage that its manifest says, which must be of the kind needed.

    Raises `VaultError` when the run did not issue the reference or the stage is another.
    """
    reached = MARKERS[vault.stage_of(ref)]
    if not issubclass(reached, needed):
        raise VaultError(
            f"{ref.uri} has reached the stage '{reached.stage}', and '{needed.__name__}' is "
            "needed: put the step between them into the flow"
        )
    return Opened(vault, cast("DatasetRef[A]", ref), reached)


Output: TypeAlias = "pa.Table | bytes | Opened[Reached] | None"


class TakesMany(Protocol[A_contra]):
    """A step's function that takes any number of data sets."""

    def __call__(self, desk: Desk, /, *data: Opened[A_contra]) -> Output:
        """Do the step's work."""
        ...


class GivenMany(Protocol[A_contra, G_co]):
    """A step that takes any number of references."""

    def __call__(self, *data: DatasetRef[A_contra]) -> DatasetRef[G_co]:
        """Run the step."""
        ...


class Maker(Protocol[G_co]):
    """Turns a step's function into a step; the types hold the order of stages."""

    @overload
    def __call__(self, function: TakesMany[A]) -> GivenMany[A, G_co]: ...
    @overload
    def __call__(self, function: Callable[[Desk], Output]) -> Callable[[], DatasetRef[G_co]]: ...
    @overload
    def __call__(
        self, function: Callable[[Desk, Opened[A]], Output]
    ) -> Callable[[DatasetRef[A]], DatasetRef[G_co]]: ...
    @overload
    def __call__(
        self, function: Callable[[Desk, Opened[A], str], Output]
    ) -> Callable[[DatasetRef[A], str], DatasetRef[G_co]]: ...
    @overload
    def __call__(
        self, function: Callable[[Desk, Opened[A], Opened[B]], Output]
    ) -> Callable[[DatasetRef[A], DatasetRef[B]], DatasetRef[G_co]]: ...
    @overload
    def __call__(
        self, function: Callable[[Desk, Opened[A], Opened[B], Opened[C], str], Output]
    ) -> Callable[[DatasetRef[A], DatasetRef[B], DatasetRef[C], str], DatasetRef[G_co]]: ...


def step(title: str, gives: type[G]) -> Maker[G]:
    """Make a step of a function; `title` is what people read, `gives` the stage it reaches."""

    def make(function: Callable[..., Output]) -> Step[G]:
        return Step(function, title, gives)

    return make  # type: ignore[return-value]  # the overloads say it better than the class can


class Step(Generic[G]):
    """One step of a flow; see the module."""

    def __init__(self, function: Callable[..., Output], title: str, gives: type[G]) -> None:
        self.function, self.title, self.gives = function, title, gives
        self.__doc__, self.__name__ = function.__doc__, function.__name__
        self.__module__ = function.__module__

    def __call__(self, *data: DatasetRef[Reached] | str) -> DatasetRef[G] | None:
        """Run the step: as a Prefect task inside a flow, by itself elsewhere."""
        if prefect_flow_run() is None:
            return self.execute(*data)
        return self.task.with_options(task_run_name=titled(self.title, data))(*data)

    def execute(self, *data: DatasetRef[Reached] | str) -> DatasetRef[G] | None:
        """Open, run inside the airlock, store, and note; knows no Prefect."""
        run, title = current_run(), titled(self.title, data)
        run.observe(title, "started", 0.0)
        start = time.perf_counter()
        try:
            reached = run_inside(
                self.__name__, lambda: self._work(run, data), run.keys.seal_incident
            )
        except BaseException:
            run.observe(title, "failed", time.perf_counter() - start)
            raise
        seconds = time.perf_counter() - start
        desk, name = Desk(run, self.__name__), ".".join((self.__name__, *names(data)))
        desk.note("duration", name, round(seconds, 3))
        if reached is not None:
            shown = desk.show_digest(reached.digest)
            columns: list[JSON] = [*reached.schema]
            body: dict[str, JSON] = {"stage": str(self.gives.stage), "digest": shown}
            body |= {"columns": columns, "parents": [*name_parents(run, data)]}
            run.made[reached.uri] = name
            desk.note("dataset", name, body, reached.digest)
        run.observe(title, "finished", seconds)
        return reached

    def _work(self, run: Run, data: tuple[DatasetRef[Reached] | str, ...]) -> DatasetRef[G] | None:
        opened = [
            item if isinstance(item, str) else open_at(run.vault, item, needed)
            for item, needed in zip(data, self._needed(len(data)), strict=True)
        ]
        desk = Desk(run, self.__name__)
        try:
            output = self.function(desk, *opened)
        except Refusal as refusal:
            find_ways(desk, refusal)
            raise
        parents = [item for item in data if not isinstance(item, str)]
        match output:
            case None:
                return None
            case Opened(ref=ref):
                return run.vault.promote(ref, self.gives)
            case bytes():
                return run.vault.store_bytes(self.gives, output, parents=parents)
            case _:
                return run.vault.store(self.gives, output, parents=parents)

    def _needed(self, given: int) -> tuple[type[Reached], ...]:
        """Read from the function's annotations which stage each argument must have reached."""
        hints = inspect.get_annotations(self.function, eval_str=True)
        taken = list(inspect.signature(self.function).parameters.values())[1:]
        needed = [(get_args(hints[one.name]) or (Reached,))[0] for one in taken]
        if taken and taken[-1].kind is inspect.Parameter.VAR_POSITIONAL:
            needed = needed[:-1] + needed[-1:] * (given - len(needed) + 1)
        return tuple(needed)

    @cached_property
    def task(self) -> Task[..., DatasetRef[G] | None]:
        """The Prefect task around this step, built on first use."""
        from prefect import Task
        from prefect.cache_policies import NO_CACHE

        def call(*data: DatasetRef[Reached] | str) -> DatasetRef[G] | None:
            return self.execute(*data)

        call.__name__ = call.__qualname__ = self.__name__
        call.__module__, call.__doc__ = self.__module__, self.__doc__
        return Task(
            call,
            name=self.title,
            description=self.__doc__,
            cache_policy=NO_CACHE,
            persist_result=False,
            cache_result_in_memory=False,
            log_prints=False,
            retries=0,
        )


def find_ways(desk: Desk, refusal: Refusal) -> None:
    """Let the run's finder try again what a refusal carries, which is then taken off.

    Whatever goes wrong there leaves the refusal as it was, without further ways. Of a refusal in
    which own code had a part nothing is tried, since its text may be a person's.
    """
    find = desk.run.finder
    if find is not None and refusal.refused is not None and is_vouched(refusal):
        attempt(lambda: find(desk, refusal), desk.run.keys.seal_incident)
    refusal.refused = None


def names(data: Sequence[DatasetRef[Reached] | str]) -> list[str]:
    """Give the names among a step's arguments, such as an outlet's."""
    return [item for item in data if isinstance(item, str)]


def name_parents(run: Run, data: Sequence[DatasetRef[Reached] | str]) -> list[str]:
    """Name the steps that gave a step's data sets, as their own notes are named."""
    return [run.made[one.uri] for one in data if not isinstance(one, str) and one.uri in run.made]


def titled(title: str, data: Sequence[DatasetRef[Reached] | str]) -> str:
    """Give a step's title with the names it was called with."""
    return ": ".join((title, *names(data)))
