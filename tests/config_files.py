"""The files a detection config reads, in miniature: one image with one box."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch

from clipself_mm.datasets import load_vocabulary

WIDTH, HEIGHT = 60, 40
FILE_NAME = 'train2017/1.jpg'
OWN_VOCABULARY = dict(classes=['mug', 'kettle', 'spoon'], base=['mug', 'kettle'], novel=['spoon'])


def write_own_vocabulary(path):
    """The vocabulary of configs/fvit/own_data_template.py."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(OWN_VOCABULARY))


def write_ade847_names():
    """The names that tools/convert_ade847.py writes, into the current folder."""
    path = Path('data/ADE20K_2021_17_01/ade847.json')
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(dict(classes=[f'thing {number}' for number in range(847)])))


def write_data(dataset):
    """Write annotation file and image of an `OpenVocabCocoDataset` config"""
    root = Path(dataset.data_root)
    vocabulary = load_vocabulary(dataset.vocabulary)
    x, y, w, h = 10, 10, 20, 16
    categories = [
        dict(id=key, name=name, frequency='r' if name in vocabulary.novel else 'f')
        for key, name in enumerate(reversed(vocabulary.classes), start=1)
    ]
    (category,) = [entry['id'] for entry in categories if entry['name'] == first_class(vocabulary)]
    content = dict(
        images=[
            dict(
                id=7,
                file_name=FILE_NAME,
                width=WIDTH,
                height=HEIGHT,
                neg_category_ids=[],
                not_exhaustive_category_ids=[],
            )
        ],
        annotations=[
            dict(
                id=1,
                image_id=7,
                category_id=category,
                bbox=[x, y, w, h],
                area=w * h,
                iscrowd=0,
                segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
            )
        ],
        categories=categories,
    )
    ann_file = root / dataset.ann_file
    ann_file.parent.mkdir(parents=True, exist_ok=True)
    ann_file.write_text(json.dumps(content))
    image = root / dataset.data_prefix.img / FILE_NAME
    image.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(image), np.full((HEIGHT, WIDTH, 3), 128, np.uint8))


def first_class(vocabulary):
    """The class of the box: the first that trains."""
    return (vocabulary.base or vocabulary.classes)[0]


def prediction(dataset):
    """The box of `write_data`, found with its right label, as a metric gets it."""
    vocabulary = load_vocabulary(dataset.vocabulary)
    mask = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    mask[0, 10:26, 10:30] = True
    return dict(
        img_id=7,
        ori_shape=(HEIGHT, WIDTH),
        pred_instances=dict(
            bboxes=torch.tensor([[10.0, 10.0, 30.0, 26.0]]),
            scores=torch.tensor([0.9]),
            labels=torch.tensor([vocabulary.classes.index(first_class(vocabulary))]),
            masks=mask,
        ),
    )
