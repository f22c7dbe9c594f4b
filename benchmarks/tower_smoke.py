"""Which of open_clip's models work as towers: each is built and run with random weights.

    python benchmarks/tower_smoke.py                      # everything open_clip lists
    python benchmarks/tower_smoke.py 'ViT-B-*' 'RN50*'    # what matches a pattern

A tower is run at its native size, where its image embedding is compared with open_clip's own, and
at one size that is not square. Towers above 700 million parameters (`--most`) are built on the meta
device only, and so are those above 150 million that differ from one already run in nothing but the
size of their images or their activation. Prints the table of docs/notes/towers-tried.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
from fnmatch import fnmatch

import open_clip
import torch
import torch.nn.functional as F
from tqdm import tqdm

from clipself_mm.clip import VisionTower, build_tower

MANY_PARAMETERS = 150e6
COLUMNS = ('model', 'adapter', 'dense path', 'params', 'cell', 'sizes', 'dense map', 'result')


def tower_key(model: str, family: bool = False) -> str:
    """What models with the same image tower have in common.

    Args:
        model: Name that open_clip lists.
        family: Whether the size of the images and the activation do not matter.
    """
    config = open_clip.get_model_config(model)
    vision = {key: value for key, value in config['vision_cfg'].items() if key != 'output_tokens'}
    gelu = bool(config.get('quick_gelu')) and isinstance(vision.get('layers'), int)
    if family:
        gelu = None
        vision.pop('image_size')
        vision['timm_model_name'] = re.sub(r'_\d+$', '', vision.get('timm_model_name', ''))
    return json.dumps([config['embed_dim'], gelu, vision], sort_keys=True)


@torch.no_grad()
def run(tower: VisionTower) -> tuple[str, str, str]:
    """Runs one tower at two sizes; gives the sizes, the dense maps' shapes and the result.

    Raises:
        AssertionError: A dense map has the wrong shape or is not unit, or the image embedding is
            not open_clip's.
    """
    tower.eval()
    cells = tower.image_size // tower.patch_size
    grids = [(cells, cells), (max(cells // 2, 1), cells + 1)]
    for grid in grids:
        images = torch.randn(1, 3, *(side * tower.patch_size for side in grid))
        dense = tower.encode_dense(images)
        assert dense.shape == (1, tower.dim, *grid), dense.shape
        torch.testing.assert_close(dense.norm(dim=1), torch.ones(1, *grid))
    sizes = ', '.join('×'.join(str(side * tower.patch_size) for side in grid) for grid in grids)
    shapes = ', '.join('×'.join(map(str, (tower.dim, *grid))) for grid in grids)
    return sizes, shapes, f'ok, {difference_from_open_clip(tower):.0e}'


def difference_from_open_clip(tower: VisionTower) -> float:
    """Largest difference of an image embedding from open_clip's, relative to its largest entry.

    Raises:
        AssertionError: It is above 1e-4.
    """
    images = torch.randn(1, 3, tower.image_size, tower.image_size)
    # A native side that is no whole number of patches: the model ignores the last pixels.
    native = F.pad(
        images, [0, tower.source.config['vision_cfg']['image_size'] % tower.patch_size] * 2
    )
    expected = tower.visual(native)
    expected = expected[0] if isinstance(expected, tuple) else expected
    found = (tower.encode_image(images) - expected).abs().max() / expected.abs().max()
    assert found < 1e-4, f'image embedding differs from open_clip by {found:.1e}'
    return float(found)


def try_model(model: str, most: float, done: dict[str, str]) -> tuple[str, ...]:
    """The table's row but for the name.

    Args:
        model: Name that open_clip lists.
        most: Parameters above which a tower is built on the meta device only.
        done: Maps the keys of towers and families that ran to a model's name; added to.
    """
    try:
        with torch.device('meta'):
            tower = build_tower(model)
    except NotImplementedError as error:
        return *[''] * 6, f'not supported: {str(error).removeprefix(f"{model}: ")}'
    count = sum(parameter.numel() for parameter in tower.parameters())
    what = (type(tower).__name__, tower.dense_path, f'{count / 1e6:.0f} M', str(tower.patch_size))
    twin = done.get(tower_key(model, family=True)) if count > MANY_PARAMETERS else None
    if count > most:
        return *what, '', '', 'built, not run'
    if twin is not None:
        return *what, '', '', f'built, not run (as {twin})'
    torch.manual_seed(0)
    outcome = run(build_tower(model))
    done[tower_key(model)] = done[tower_key(model, family=True)] = model
    return *what, *outcome


def main() -> None:
    """Tries the models, plain names first, and prints one row for all that have one tower."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('patterns', nargs='*', default=['*'], help='names or shell patterns')
    parser.add_argument(
        '--most', type=float, default=700, help='millions of parameters that are still run'
    )
    args = parser.parse_args()
    logging.getLogger('clipself_mm').setLevel(logging.ERROR)
    models = [m for m in open_clip.list_models() if any(fnmatch(m, p) for p in args.patterns)]
    done: dict[str, str] = {}
    rows: dict[str, tuple[str, ...]] = {}
    for model in tqdm(sorted(models, key=len), unit='model'):
        twin = done.get(tower_key(model))
        rows[model] = rows[twin] if twin else try_model(model, args.most * 1e6, done)
    names: dict[tuple[str, ...], list[str]] = {}
    for model in sorted(rows, key=str.lower):
        names.setdefault(rows[model], []).append(model)
    print(f'| {" | ".join(COLUMNS)} |\n{"|---" * len(COLUMNS)}|')
    for row, together in sorted(names.items(), key=lambda item: item[0][0] or '~'):
        print(f'| {", ".join(together)} | {" | ".join(row)} |')


if __name__ == '__main__':
    main()
