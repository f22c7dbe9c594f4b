"""Choice of the annotation file of a metric."""

from __future__ import annotations

from collections.abc import Mapping


def annotation_file(given: str | None, meta: Mapping | None, reader: str) -> str:
    """The metric's `ann_file`, else that of the data set.

    Args:
        given: `ann_file` of the metric, or None.
        meta: Metainfo of the data set; has `ann_file` if it was built with `test_mode=True`.
        reader: Name of the metric, for the error.

    Raises:
        ValueError: Neither is set.
    """
    path = given or (meta or {}).get('ann_file')
    if not path:
        raise ValueError(
            f'{reader} has no ann_file and neither has the metainfo of the data set: set ann_file '
            'in the evaluator, or test_mode=True in the data set'
        )
    return path
