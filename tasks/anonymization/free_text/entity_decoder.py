"""The arithmetic of spaCy's entity finder: layers, and the choice of moves for all words at once.

A move opens (B), goes on with (I), closes (L) an entity, is one of a single word (U) or none (O).
The weights are copied from the model; the formulas are those of thinc's `Maxout` and `LayerNorm`
and of spaCy's `parser_model`. What is computed for a word does not depend on other documents but
for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from thinc.api import Model

Floats = NDArray[np.float32]
Places = NDArray[np.int64]


def read_affine(layer: Model[Any, Any]) -> tuple[Floats, Floats]:
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
            *read_affine(upper),
        )

    def decide(self, vectors: Floats, words: Words) -> tuple[Places, Places]:
        """Give the move chosen at each word outside entities, and where what opens there ends.

        The features of a state are its word, the entity's first word and the word before.
        """
        current, opened, before = np.split(vectors @ self.feature_weights, 3, axis=1)
        outside = self._score(current + (self.feature_offsets + self.missing[1:].sum(axis=0)))
        initials = np.array([move[0] for move in self.moves])
        outside[:, np.isin(initials, ["I", "L"]) | (np.array(self.moves) == "U-")] = -np.inf
        outside[np.ix_(words.last, initials == "B")] = -np.inf
        outside[np.ix_(words.blank, np.isin(initials, ["B", "U"]))] = -np.inf
        chosen = outside.argmax(axis=1)
        ends = np.arange(1, len(chosen) + 1)
        inside = np.array([self._partner(move, "I") for move in self.moves])
        closing = np.array([self._partner(move, "L") for move in self.moves])
        starts = np.flatnonzero(initials[chosen] == "B")
        at = starts + 1
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
