"""What models keep of the people they learned from, and never predict with: taken out.

Numbers of people in the nodes of trees, counts of classes, how many rows or steps were seen, marks
of which person was which: a model predicts bit by bit the same without them. Learning on, drawing
on the importance of features and measuring on what was left out of a bag need them, and no longer
work. What a model predicts with stays, also where it tells of few people: the share of each class
in a leaf, the rate of a label in a class.

Only objects of scikit-learn are changed: what a class of one's own keeps is its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sklearn.base import ClassifierMixin

COUNTS: Final = frozenset({
    "_max_samples", "_n_samples", "_n_samples_bootstrap", "category_count_", "class_count_",
    "feature_all_", "feature_count_", "n_samples_seen_", "t_",
})  # fmt: skip
"""How many people, by class or by label: zeroed, since some models ask how many there are."""
RECORDS: Final = frozenset({
    "_x_scores", "_y_scores", "best_score_", "cv_results_", "estimator_errors_", "inlier_mask_",
    "labeled_iter_", "loss_curve_", "mse_path_", "oob_decision_function_", "oob_improvement_",
    "oob_prediction_", "oob_score_", "oob_scores_", "outliers_", "scores_", "train_score_",
    "transduction_", "validation_score_", "validation_scores_", "x_scores_", "y_scores_",
})  # fmt: skip
"""Who of them was where, and how well the model did on few of them: emptied."""
OF_NODES: Final = ("impurity", "n_node_samples", "weighted_n_node_samples")
"""What `tree_` keeps of each node beside where it leads, and what it predicts."""
OF_BOOSTED_NODES: Final = frozenset({"count", "gain"})


def forget(model: ClassifierMixin) -> None:
    """Take out of a fitted model, and of all that it is made of, what it never predicts with."""
    for part in walk(model, set()):
        kind = type(part).__name__
        if kind == "Tree":
            forget_nodes(part)
        elif kind == "TreePredictor":
            for kept in OF_BOOSTED_NODES & set(part.nodes.dtype.names):  # type: ignore[attr-defined]
                part.nodes[kept] = 0  # type: ignore[attr-defined]
        elif kind == "_BinMapper":
            forget_bins(part)
        there = dict(vars(part)) if hasattr(part, "__dict__") else {}
        for name in COUNTS & there.keys():
            setattr(part, name, zero(there[name]))
        for name in RECORDS & there.keys():
            setattr(part, name, empty(there[name]))


def walk(part: object, seen: set[int]) -> Iterator[object]:
    """Go through the objects of scikit-learn that a model is made of, each once."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, dict):
        inner: object = part.values()
    elif isinstance(part, list | tuple) or (isinstance(part, np.ndarray) and part.dtype == object):
        inner = part
    else:
        inner = vars(part).values() if hasattr(part, "__dict__") else ()
        if type(part).__module__.partition(".")[0] == "sklearn":
            yield part
    for one in list(inner):  # type: ignore[call-overload]
        if not isinstance(one, type | str | int | float | None):
            yield from walk(one, seen)


def forget_nodes(tree: object) -> None:
    """Zero what a tree keeps of its people, and in nodes that lead on what it would predict."""
    for name in OF_NODES:
        getattr(tree, name)[:] = 0
    tree.value[tree.children_left != tree.children_right] = 0  # type: ignore[attr-defined]


def forget_bins(mapper: object) -> None:
    """Empty the bins of numbers, which lie between people's values; trees have their own cuts."""
    kept = zip(mapper.bin_thresholds_, mapper.is_categorical_, strict=True)  # type: ignore[attr-defined]
    mapper.bin_thresholds_ = [bins if labelled else bins[:0] for bins, labelled in kept]  # type: ignore[attr-defined]
    mapper.n_bins_non_missing_ = np.zeros_like(mapper.n_bins_non_missing_)  # type: ignore[attr-defined]


def zero(value: object) -> object:
    """Give zeros in place of numbers, as many and of the same kind."""
    if isinstance(value, list):
        return [zero(one) for one in value]
    if isinstance(value, np.ndarray):
        return np.zeros_like(value)
    return value if value is None else type(value)(0)  # type: ignore[call-arg]


def empty(value: object) -> object:
    """Give nothing in place of something: of its kind, where there is such a nothing."""
    if isinstance(value, np.ndarray):
        return value[:0]
    return type(value)() if isinstance(value, dict | list) else None
