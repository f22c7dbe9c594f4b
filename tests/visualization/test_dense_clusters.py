import argparse
import itertools
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from clipself_mm.visualization import cluster_dense_maps, draw_clusters, draw_dense_clusters
from clipself_mm.visualization.dense_clusters import encode_dense_map
from tests.commands import call

ROOT = Path(__file__).parents[2]


class ColourTower(nn.Module):
    """Dense features are the mean colours of the patches; remembers what it was given."""

    patch_size = 4
    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def encode_dense(self, images):
        self.images = images
        return F.normalize(F.avg_pool2d(images * self.weight, self.patch_size), dim=1)


def test_clusters_depend_on_directions_not_lengths():
    dense = torch.zeros(1, 2, 2, 3)
    dense[0, 0, 0] = torch.tensor([1.0, 9.0, 0.1])
    dense[0, 1, 1] = torch.tensor([5.0, 0.2, 1.0])
    dense[0, :, 1, 2] = torch.tensor([7.0, 0.0])
    [indices] = cluster_dense_maps(dense, 2)
    # The larger cluster is number 0.
    assert indices.tolist() == [[0, 0, 0], [1, 1, 0]]


def test_best_run_is_chosen():
    # The objective of spherical k-means is the sum of the lengths of the clusters' sums.
    noise = torch.randn(8, 3, generator=torch.Generator().manual_seed(3))
    points = F.normalize(torch.eye(3).repeat(3, 1)[:8] + 0.4 * noise, dim=1)

    def objective(assignment):
        indices = torch.tensor(assignment)
        return sum(points[indices == k].sum(0).norm().item() for k in set(assignment))

    best = max(objective(assignment) for assignment in itertools.product(range(3), repeat=8))
    [found] = cluster_dense_maps([points.T.reshape(3, 2, 4)], 3)
    assert objective(tuple(found.flatten().tolist())) == pytest.approx(best, rel=1e-5)


def test_same_seed_gives_the_same_clusters():
    dense = torch.randn(2, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    before = dense.clone()
    first, second = (cluster_dense_maps(dense, 4, seed=1) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert [tuple(indices.shape) for indices in first] == [(6, 7), (6, 7)]
    assert torch.equal(dense, before)


def test_maps_of_different_sizes_are_clustered_separately():
    generator = torch.Generator().manual_seed(0)
    maps = [torch.randn(4, *size, generator=generator) for size in ((3, 5), (6, 2))]
    together = cluster_dense_maps(maps, 3)
    alone = [cluster_dense_maps([dense], 3)[0] for dense in maps]
    assert all(torch.equal(a, b) for a, b in zip(together, alone, strict=True))


def test_small_clusters_are_discarded():
    dense = torch.zeros(2, 1, 10)
    dense[0, 0, :9] = 1
    dense[1, 0, 9] = 1
    [indices] = cluster_dense_maps([dense], 2, min_share=0.2)
    assert indices.tolist() == [[0] * 9 + [-1]]


def test_coinciding_tokens_share_a_cluster():
    [indices] = cluster_dense_maps(torch.ones(1, 3, 2, 2), 3)
    assert indices.unique().numel() == 1


@pytest.mark.parametrize('clusters', [0, 5])
def test_invalid_number_of_clusters_raises(clusters):
    with pytest.raises(ValueError, match=rf'\b4\b.*\b{clusters}\b'):
        cluster_dense_maps(torch.ones(1, 3, 2, 2), clusters)


def test_image_is_resized_to_whole_patches_and_normalised():
    tower = ColourTower().train()
    image = Image.new('RGB', (100, 47), (255, 0, 127))
    dense = encode_dense_map(tower, image, 40)
    # 47 * 0.4 = 18.8 pixels are 4.7 patches: 5.
    assert tuple(tower.images.shape) == (1, 3, 20, 40)
    assert tuple(dense.shape) == (3, 5, 10)
    expected = torch.tensor([2.0, -2.0, (127 / 255 - 0.5) * 4])
    torch.testing.assert_close(tower.images[0, :, 3, 3], expected)
    assert tower.training
    assert not dense.requires_grad


def test_figure_has_images_and_clusters():
    image = Image.new('RGB', (8, 4), (10, 20, 30))
    maps = [torch.tensor([[0, 1], [-1, 0]])]
    panel = np.array(draw_clusters([image], {'original': maps, 'refined': maps}, width=80))
    cells = panel[:, -90:-10]
    assert cells.shape[0] == 3 * 40 + 4 * 10
    assert (cells[10:50] == (10, 20, 30)).all()
    for top in (60, 110):
        quarters = [cells[top : top + 20, :40], cells[top : top + 20, 40:]]
        quarters += [cells[top + 20 : top + 40, :40], cells[top + 20 : top + 40, 40:]]
        colours = [np.unique(quarter.reshape(-1, 3), axis=0) for quarter in quarters]
        assert [len(colour) for colour in colours] == [1, 1, 1, 1]
        assert (colours[0] == colours[3]).all()
        assert (colours[0] != colours[1]).any()
        assert (colours[2] == 236).all()
    # Titles stand to the left of each row.
    assert all((panel[top : top + 40, :-90] < 100).any() for top in (10, 60, 110))


def test_draw_dense_clusters():
    image = Image.new('RGB', (32, 32), 'red')
    image.paste('blue', (0, 16, 32, 32))
    panel = np.array(draw_dense_clusters([image], {'tower': ColourTower()}, 32, clusters=2))
    cell = panel[-234:-10, -234:-10]
    assert (cell[:112] == cell[0, 0]).all()
    assert (cell[112:] == cell[-1, -1]).all()
    assert (cell[0, 0] != cell[-1, -1]).any()


@pytest.mark.slow
def test_tool_draws_one_row_per_checkpoint(tmp_path):
    photo, out = tmp_path / 'photo.png', tmp_path / 'new' / 'dense.png'
    Image.effect_noise((60, 40), 80).save(photo)
    weights = ROOT / 'clipself_mm' / 'shapes' / 'tiny_clip' / 'open_clip_model.safetensors'
    words = ['--model=pkg:clipself_mm.shapes/tiny_clip', '--size=64', f'--out={out}']
    words += ['--checkpoint=original=', f'--checkpoint=same={weights}']
    call([sys.executable, ROOT / 'tools/visualize_dense.py', photo, *words], tmp_path)
    panel = np.array(Image.open(out))
    row = round(224 * 40 / 60) + 10
    assert len(panel) == 3 * row + 10
    original, same = (panel[k * row + 10 : k * row + row, -234:-10] for k in (1, 2))
    # `LABEL=` takes the weights of the model's own folder, here the very same file.
    assert (original == same).all()
    assert len(np.unique(original.reshape(-1, 3), axis=0)) > 2


@pytest.mark.parametrize('text', ['x.pt', '=x.pt'])
def test_checkpoint_without_label_raises(text):
    tool = runpy.run_path(str(ROOT / 'tools' / 'visualize_dense.py'))
    with pytest.raises(argparse.ArgumentTypeError, match='LABEL=PATH'):
        tool['labelled'](text)
