"""Rendered scenes with their ground truth."""

import numpy as np
import torch
from torchvision.ops import box_iou

from clipself_mm.shapes import ShapesOV, render_scene
from clipself_mm.shapes.scene import mask_box


def truth(number):
    """Class name to box (x0, y0, x1, y1) of the objects of a scene; each class is there once."""
    scene = render_scene(1, 5_000_000 + number, ShapesOV().style)
    shown = scene.annotated()
    return {scene.objects[n].name: mask_box(scene.visible_mask(n)) for n in shown}


def iou(one, other):
    one, other = (torch.tensor(np.asarray(box, np.float32))[None] for box in (one, other))
    return box_iou(one, other).item()


def boxes_of_rows(rows):
    """Name to box of the rows of a table, whose names are unique."""
    found = {}
    for name, _, _, *box in rows:
        assert name not in found
        x, y, width, height = map(int, box)
        found[name] = (x, y, x + width, y + height)
    return found


def assert_found(rows, expected):
    """Each expected object has its row, whose box is where it is, and there is no other row."""
    found = boxes_of_rows(rows)
    assert found.keys() == expected.keys()
    for name, box in expected.items():
        assert iou(found[name], box) > 0.5, name
