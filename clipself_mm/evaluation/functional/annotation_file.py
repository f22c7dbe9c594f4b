"""Which annotation file a metric reads."""

from __future__ import annotations

from collections.abc import Mapping


def annotation_file(given: str | None, meta: Mapping | None, reader: str) -> str:
    """The file a metric was given, else that of the data set it judges.

    Args:
        given: The metric's own `ann_file`, or None.
        meta: Metainfo of the data set; `ann_file` is there if it was built with `test_mode=True`.
        reader: Name of the metric, for the error.

    Raises:
        ValueError: Neither names a file.
    """
    path = given or (meta or {}).get('ann_file')
    if not path:
        raise ValueError(
            f'{reader} has no ann_file: give it one in the evaluator. The data set names none '
            f'either ("ann_file" of its metainfo, which OpenVocabCocoDataset and CaptionedRegions '
            'set with test_mode=True)'
        )
    return path
