"""The files of a tuning: table, figures, config snippet, thresholds."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from clipself_mm.evaluation.functional import (
    HIT,
    KINDS,
    ImageErrors,
    confusion_matrix,
    error_costs,
    image_errors,
    reliability_bins,
)
from clipself_mm.io.atomic_write import atomic_write

from .asked_alone import AskedAlone
from .choice import Choice, Protocol
from .figures import draw_confusion, draw_errors, draw_grid, draw_reliability
from .tuning import Measured, Tuning

WARNINGS = {
    Protocol.BASE: ('No box of a novel class chose these settings, but boxes of base classes did.'),
    Protocol.HALF: (
        'Boxes of novel classes, those of every second image, chose these settings: this is not '
        'the published protocol. The numbers are of the other images.'
    ),
    Protocol.ALL: (
        'WARNING: the boxes of novel classes that give these numbers have also chosen the '
        'settings: this is not the published protocol, do not compare the numbers with published '
        'ones.'
    ),
}
_NO_NOVEL = {
    Protocol.HALF: 'The numbers are of images that did not choose.',
    Protocol.BASE: 'The boxes that give these numbers have also chosen the settings.',
}


def write_report(
    tuning: Tuning,
    folder: str | Path,
    protocol: Protocol,
    precision: float,
    score_thr: float,
    choice: Choice,
    seconds: dict[str, float],
    alone: Mapping[str, AskedAlone] | None = None,
) -> str:
    """Measure the current and the chosen settings, and write all files.

    Args:
        tuning: The detector and its proposals.
        folder: Output folder.
        protocol: Which annotations chose.
        precision: Wanted precision of the thresholds.
        score_thr: Least score of the counted errors and of the confusion matrix.
        choice: The chosen settings.
        seconds: Name of a step to its seconds.
        alone: Result of `Tuning.ask_alone`, if that was measured.

    Returns:
        The table, the snippet and the warning, in markdown.
    """
    folder = Path(folder)
    start = time.perf_counter()
    before = tuning.measure(tuning.current, protocol)
    after = tuning.measure(choice.settings, protocol)
    images = list(tuning.scored(protocol))
    truth = [tuning.truth(image) for image in images]
    rows = {'current': before, 'chosen': after}
    bins = {title: reliability_bins(*row.columns()[:2]) for title, row in rows.items()}
    thresholds = tuning.thresholds(after, precision)
    splits = [split for split in tuning.metric.splits if before.metrics[f'{split}_ap50'] >= 0]
    costs = {
        split: error_costs(after.errors, truth, len(tuning.classes), tuning.metric.splits[split])
        for split in splits
    }
    visible = [item.scores >= score_thr for item in after.errors]
    visible_errors = [
        image_errors(boxes[keep], item.scores[keep], item.labels[keep], boxes_of)
        for item, boxes, keep, boxes_of in zip(
            after.errors, after.boxes, visible, truth, strict=True
        )
    ]
    counts = _count_kinds(visible_errors)
    hits = sum(int((item.outcomes == HIT).sum()) for item in visible_errors)
    matrix = confusion_matrix(
        [
            (boxes[keep], item.labels[keep])
            for item, boxes, keep in zip(after.errors, after.boxes, visible, strict=True)
        ],
        truth,
        len(tuning.classes),
    )
    current, best = tuning.current, choice.settings
    options = best.options(current)
    figures = {
        'heat_map': draw_grid(
            choice.grid,
            {'current': (current.alpha, current.beta), 'chosen': (best.alpha, best.beta)},
        ),
        'reliability': draw_reliability(bins),
        'errors': draw_errors(costs, counts, f'number at score {score_thr:g}'),
        'confusion': draw_confusion(
            matrix, tuning.classes, f'{len(images)} images, score {score_thr:g}'
        ),
    }
    for name, figure in figures.items():
        with atomic_write(folder / f'{name}.png') as part:
            figure.savefig(part, format='png', dpi=110)
    seconds = {**seconds, 'measure and draw': time.perf_counter() - start}
    content: dict[str, Any] = dict(
        protocol=protocol.value,
        warning=_warning(protocol, bool(tuning.novel.any())),
        images=len(images),
        settings={title: asdict(row.settings) for title, row in rows.items()},
        metrics={title: row.metrics for title, row in rows.items()},
        calibration_error={title: found.error for title, found in bins.items()},
        cfg_options=options,
        grid=[dict(alpha=a, beta=b, ap50=ap50) for (a, b), ap50 in choice.grid.items()],
        error_costs_ap50=costs,
        error_counts=dict(score_thr=score_thr, hits=hits, **counts),
        confusion=matrix.tolist(),
        classes=list(tuning.classes),
        thresholds=dict(
            precision=precision,
            precision_elsewhere=tuning.precision_elsewhere(after, precision),
            scores=thresholds,
        ),
        asked_alone={title: asdict(found) for title, found in (alone or {}).items()},
        seconds={name: round(value, 1) for name, value in seconds.items()},
    )
    _write(folder / 'tuning.json', json.dumps(content, indent=1))
    _write(folder / 'thresholds.json', json.dumps(thresholds, indent=1))
    text = _markdown(tuning, rows, content)
    _write(folder / 'tuning.md', text)
    return text


def _warning(protocol: Protocol, novel: bool) -> str:
    """What chose the settings; `novel`: whether the vocabulary has novel classes."""
    if novel:
        return WARNINGS[protocol]
    return _NO_NOVEL[Protocol.HALF if protocol is Protocol.HALF else Protocol.BASE]


def _count_kinds(errors: Sequence[ImageErrors]) -> dict[str, int]:
    kinds = np.concatenate([item.kinds for item in errors])
    counts = {kind: int((kinds == number).sum()) for number, kind in enumerate(KINDS)}
    counts['missed'] = sum(len(item.missed) for item in errors)
    return counts


def _write(path: Path, text: str) -> None:
    with atomic_write(path) as part:
        part.write_text(text + '\n', encoding='utf-8')


def _markdown(tuning: Tuning, rows: dict[str, Measured], content: dict[str, Any]) -> str:
    """The table of settings and numbers, the snippet, errors and warnings."""
    splits = list(tuning.metric.splits)
    names = [key for key in asdict(tuning.current) if key != 'max_per_img']
    head = ['', *names, *(f'AP50 {split}' for split in splits), 'calibration error']
    lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    for title, row in rows.items():
        cells = [f'{getattr(row.settings, name):g}' for name in names]
        cells += [_percent(row.metrics[f'{split}_ap50']) for split in splits]
        cells.append(_percent(content['calibration_error'][title]))
        lines.append('| ' + ' | '.join([title, *cells]) + ' |')
    how = {
        'base': 'by AP50 of base classes; beta stays, base classes say nothing about it'
        if 'base' in splits
        else 'by AP50 of all classes, which are those of the training',
        'half': 'by all classes on every second image; the table is of the other images',
        'all': 'by all classes on all images',
    }[content['protocol']]
    text = [
        f'{content["images"]} images, AP50 and calibration error in %. Chosen {how}.',
        '',
        *lines,
        '',
    ]
    text += [content['warning'], '']
    options = content['cfg_options']
    if options:
        flat = ' '.join(f'{key}={value}' for key, value in options.items())
        text += ['For the config:', '', '```python', *_snippet(options), '```', '']
        text += ['or for any tool:', '', f'    --cfg-options {flat}', '']
    else:
        text += ['The current settings are the best of those tried.', '']
    costs, counts = content['error_costs_ap50'], content['error_counts']
    text += [
        f'Kinds of errors: AP50 that each costs, in %; number at score {counts["score_thr"]:g}, '
        f'beside {counts["hits"]} hits.',
        '',
        '| | ' + ' | '.join([*costs, 'number']) + ' |',
        '|---' * (len(costs) + 2) + '|',
        *(
            f'| {kind} | '
            + ' | '.join(
                [*(_percent(values[kind]) for values in costs.values()), str(counts[kind])]
            )
            + ' |'
            for kind in KINDS
        ),
        '',
    ]
    if content['asked_alone']:
        text += _alone_table(content['asked_alone'])
    wanted, scores = content['thresholds']['precision'], content['thresholds']['scores']
    never = [name for name, value in scores.items() if value > 1]
    text += [
        f'thresholds.json: the least score per class at a precision of {wanted:g} (IoU 0.5); '
        f'{len(never)} of {len(scores)} classes do not reach it: {", ".join(never) or "none"}. '
        'Thresholds of every second image have a precision of '
        f'{_percent(content["thresholds"]["precision_elsewhere"])} % on the others.',
        '',
        'Seconds: ' + ', '.join(f'{name} {value}' for name, value in content['seconds'].items()),
    ]
    return '\n'.join(text)


def _alone_table(alone: dict[str, dict[str, Any]]) -> list[str]:
    """Rows of `AskedAlone`."""
    thresholds = list(next(iter(alone.values()))['precision'])
    head = ['', 'AP50', *(f'precision / recall at {value:g}' for value in thresholds)]
    lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    for title, row in alone.items():
        pairs = [
            f'{_percent(row["precision"][value])} / {_percent(row["recall"][value])}'
            for value in thresholds
        ]
        lines.append('| ' + ' | '.join([title, _percent(row['ap50']), *pairs]) + ' |')
    return ['Each novel class asked for alone, current settings, in %:', '', *lines, '']


def _percent(value: float) -> str:
    return f'{100 * value:.1f}' if value >= -0.5 else '-'


def _snippet(options: dict[str, object]) -> list[str]:
    """Nested `dict(...)` of a config, from dotted keys."""
    nested: dict[str, Any] = {}
    for key, value in options.items():
        *parents, last = key.split('.')
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value

    def render(value: object, indent: int) -> str:
        if not isinstance(value, dict):
            return repr(value)
        inner = ' ' * (indent + 4)
        body = ''.join(
            f'{inner}{key}={render(child, indent + 4)},\n' for key, child in value.items()
        )
        return f'dict(\n{body}{" " * indent})'

    return [f'model = {render(nested["model"], 0)}']
