"""Scores of queries: pooling against loops, fusion by hand, names that match or do not."""

import math

import pytest
import torch

pytest.importorskip('panopticapi')

from clipself_mm.panoptic.query_scores import (
    clip_scores,
    exponents,
    masks_on_tokens,
    match_classes,
    query_scores,
    semantic_labels,
    split_objectness,
)


def pool_by_loops(mask, grid, size, steps=60):
    """Mean of a mask over every token, sampled at the centres of a fine grid."""
    height, width = mask.shape
    table = torch.zeros(grid)
    for row in range(grid[0]):
        for column in range(grid[1]):
            total = 0.0
            for a in range(steps):
                for b in range(steps):
                    y, x = row + (a + 0.5) / steps, column + (b + 0.5) / steps
                    if y < size[0] and x < size[1]:
                        total += mask[int(y / size[0] * height), int(x / size[1] * width)].item()
            table[row, column] = total / steps**2
    return table


@pytest.mark.parametrize(
    ('pixels', 'grid', 'size'),
    [((4, 6), (2, 3), (2.0, 3.0)), ((5, 3), (2, 2), (1.5, 1.2)), ((2, 3), (3, 4), (2.4, 3.2))],
)
def test_masks_are_averaged_over_tokens(pixels, grid, size):
    mask = torch.rand(pixels, generator=torch.Generator().manual_seed(1))
    (found,) = masks_on_tokens(mask[None], grid, size)
    assert found.shape == grid
    torch.testing.assert_close(found, pool_by_loops(mask, grid, size), atol=0.02, rtol=0)
    # All of the mask is somewhere, nothing is in the padding twice.
    torch.testing.assert_close(found.sum(), mask.mean() * size[0] * size[1])


def test_masks_on_tokens_by_hand():
    mask = torch.tensor([[[1.0, 0.0, 1.0]]])  # three pixels over one and a half tokens
    found = masks_on_tokens(mask, (1, 2), (1.0, 1.5))
    torch.testing.assert_close(found, torch.tensor([[[0.5, 0.5]]]))


def test_clip_scores_equal_plain_loops():
    generator = torch.Generator().manual_seed(2)
    dense = torch.nn.functional.normalize(torch.randn(1, 4, 2, 3, generator=generator), dim=1)
    text = torch.nn.functional.normalize(torch.randn(3, 4, generator=generator), dim=1)
    masks = torch.rand(2, 2, 3, generator=generator)
    masks[1] = 0
    found = clip_scores(dense, masks, text, temperature=10.0)
    mean = torch.zeros(4)
    for row in range(2):
        for column in range(3):
            mean += masks[0, row, column] * dense[0, :, row, column]
    expected = [float(mean @ text[k]) / float(mean.norm()) for k in range(3)]
    total = sum(math.exp(10 * value) for value in expected)
    wanted = torch.tensor([math.exp(10 * value) / total for value in expected])
    torch.testing.assert_close(found[0], wanted)
    torch.testing.assert_close(found[1], torch.full((3,), 1 / 3))  # an empty mask says nothing


def test_objectness_by_hand():
    logits = torch.tensor([[math.log(2.0), math.log(1.0), math.log(1.0)]])
    classes, objectness = split_objectness(logits)
    torch.testing.assert_close(classes, torch.tensor([[2 / 3, 1 / 3]]))
    torch.testing.assert_close(objectness, torch.tensor([[0.75]]))


def test_fusion_by_hand():
    predicted = torch.tensor([[0.81, 0.16, 0.0]])  # the third class is unknown to the generator
    clip = torch.tensor([[0.25, 0.5, 0.25]])
    weights = exponents(
        torch.tensor([True, False, False]), torch.tensor([True, True, False]), 0.5, 0.75
    )
    assert weights.tolist() == [0.5, 0.75, 1.0]
    raw = [math.sqrt(0.81 * 0.25), 0.16**0.25 * 0.5**0.75, 0.25]
    found = query_scores(predicted, clip, torch.tensor([[0.8]]), weights, 'fused')
    expected = [0.8 * value / sum(raw) for value in raw]
    torch.testing.assert_close(found, torch.tensor([[*expected, 0.2]]))


def test_single_scores_by_hand():
    predicted, clip = torch.tensor([[0.5, 0.25]]), torch.tensor([[0.1, 0.9]])
    objectness, weights = torch.tensor([[0.5]]), torch.tensor([0.4, 0.8])
    found = query_scores(predicted, clip, objectness, weights, 'clip')
    torch.testing.assert_close(found, torch.tensor([[0.05, 0.45, 0.5]]))
    # A quarter of the object is of classes outside the vocabulary: that counts as no object.
    found = query_scores(predicted, None, objectness, weights, 'pred')
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.125, 0.625]]))
    with pytest.raises(ValueError, match=r"'pred', 'clip'.*'fused'.*'both'"):
        query_scores(predicted, clip, objectness, weights, 'both')


def test_classes_match_by_name_and_by_matches():
    asked, known = ('wall', 'cat', 'bed'), ('cat', 'wall-brick', 'wall-wood', 'dog')
    assert match_classes(asked, known).tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    table = match_classes(asked, known, {'wall': ['wall-brick', 'wall-wood']})
    assert table.tolist() == [[0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    table = match_classes(asked, known, {'bed': ['cat']})  # a list overrules the name
    assert table.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


@pytest.mark.parametrize(
    ('matches', 'message'),
    [
        ({'wall': ['wall-stone']}, r"'wall'.*\['wall-stone'\]"),
        ({'tower': ['cat']}, r"\['tower'\].*'tower'"),
        ({'wall': ['dog'], 'bed': ['dog']}, "'dog'.*'wall'.*'bed'"),
    ],
)
def test_invalid_matches_raise(matches, message):
    with pytest.raises(ValueError, match=message):
        match_classes(('wall', 'cat', 'bed'), ('cat', 'dog'), matches)


def test_semantic_labels_by_hand():
    logit = math.log(3.0)  # sigmoid 0.75 and 0.25
    masks = torch.tensor([[[logit, -logit]], [[-logit, logit]]])
    scores = torch.tensor([[0.6, 0.2], [0.3, 0.4]])
    # Left: 0.45 + 0.075 against 0.15 + 0.1; right: 0.15 + 0.225 against 0.05 + 0.3.
    assert semantic_labels(scores, masks).tolist() == [[0, 0]]
    scores[1] = torch.tensor([0.1, 0.4])  # right: 0.15 + 0.075 against 0.35
    assert semantic_labels(scores, masks).tolist() == [[0, 1]]


def test_semantic_labels_do_not_depend_on_the_chunk_size():
    generator = torch.Generator().manual_seed(3)
    scores, masks = torch.rand(4, 3, generator=generator), torch.randn(4, 5, 7, generator=generator)
    assert torch.equal(semantic_labels(scores, masks, values=1), semantic_labels(scores, masks))
