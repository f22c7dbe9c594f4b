"""The markdown of a GPU report: a table for each section, the largest kernels, the aims."""

from __future__ import annotations

HIDDEN = ('kernels', 'took', 'error', 'left out')
PERCENT = ('share', 'waiting', 'over the bare step')
AIMS = (
    (
        'distillation step of B/16, share of the bf16 product',
        'Distillation, B/16',
        'share',
        max,
        0.45,
    ),
    (
        'distillation step of B/16, times the reference',
        'Distillation, B/16',
        'x reference',
        max,
        1.3,
    ),
    ('tools/train.py, times the reference with its loader', 'Training', 'x reference', max, 2.0),
    ('tools/train.py, over the bare step', 'Training', 'over the bare step', min, 0.05),
    ('F-ViT prediction, images/s', 'F-ViT prediction, batch 8', 'images/s', max, 40.0),
    ('F-ViT training step, times the reference', 'F-ViT training', 'x reference', max, 1.3),
)
"""What, title of the sections that count, figure, the better of two, aim."""


def markdown(content: dict) -> str:
    """The report of `Report.write` as markdown."""
    lines = [f'# GPU report\n\n{content["seconds"]:.0f} s, `python -m benchmarks.gpu_report`.']
    for section, rows in content['rows'].items():
        lines += ['', f'## {section}', '', *table(rows)]
        for name, row in rows.items():
            lines += kernels(name, row)
    return '\n'.join([*lines, '', *aims(content['rows']), ''])


def table(rows: dict[str, dict]) -> list[str]:
    """Lines of a table; rows without figures come after it, each with its reason."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row if key not in HIDDEN))
    lines = []
    if columns:
        lines += [' | '.join(['| ', *columns]) + ' |', '|---' * (len(columns) + 1) + '|']
    for name, row in rows.items():
        if set(row) - set(HIDDEN):
            cells = [shown(key, row.get(key)) for key in columns]
            lines.append('| ' + ' | '.join([name, *cells]) + ' |')
    left_out = [
        f'- {name}: {row.get("error") or row.get("left out")}'
        for name, row in rows.items()
        if 'error' in row or 'left out' in row
    ]
    return [*lines, *([''] if lines and left_out else []), *left_out]


def shown(key: str, value: object) -> str:
    """A figure as text: shares in percent, other numbers with three digits."""
    if value is None:
        return ''
    if not isinstance(value, float):
        return str(value)
    if key in PERCENT:
        return f'{value:.0%}'
    return f'{value:.0f}' if abs(value) >= 100 else f'{value:.3g}'


def kernels(name: str, row: dict) -> list[str]:
    """The largest kernels of a row, if it was profiled."""
    if not row.get('kernels'):
        return []
    lines = ['', f'{name}, largest kernels:', '', '| ms | share | kernel |', '|---|---|---|']
    return lines + [f'| {ms:.3g} | {share:.0%} | `{key}` |' for key, ms, share in row['kernels']]


def aims(sections: dict[str, dict[str, dict]]) -> list[str]:
    """Lines of the aims, with the best row that counts for each."""
    lines = ['## Aims', '', '|  | aim | found | reached |', '|---|---|---|---|']
    for what, title, key, better, aim in AIMS:
        values = [
            row[key]
            for section, rows in sections.items()
            if title in section
            for name, row in rows.items()
            if name != 'reference' and row.get(key) is not None
        ]
        sign = '>=' if better is max else '<='
        if not values:
            lines.append(f'| {what} | {sign} {shown(key, aim)} |  | not measured |')
            continue
        found = better(values)
        reached = 'yes' if better(found, aim) == found else 'no'
        lines.append(f'| {what} | {sign} {shown(key, aim)} | {shown(key, found)} | {reached} |')
    return lines
