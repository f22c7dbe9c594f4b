"""A random detection task for three libraries: json content and noisy predictions."""

import copy
import json

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.registry import METRICS
from mmengine.structures import InstanceData
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CLASSES = ('ant', 'bee', 'cow', 'dog', 'eel', 'fox')
NOVEL = ('bee', 'dog')
BASE = ('ant', 'cow', 'eel', 'fox')
META = dict(classes=CLASSES, base_classes=BASE, novel_classes=NOVEL)
IDS = dict(ant=7, bee=30, cow=20, dog=1, eel=5, fox=40)
"""Category ids, neither in the order of the classes nor in that of the json."""
SIZE = 320
ITEMS = ['ap', 'ap50', 'ap75', 'ap_s', 'ap_m', 'ap_l']
ITEMS += ['ar1', 'ar10', 'ar100', 'ar_s', 'ar_m', 'ar_l']
"""In the order of COCOeval's `stats`."""


def categories(names=('cow', 'gnu', 'dog', 'ant', 'fox', 'bee', 'eel')):
    """Categories of the json; the gnu is not a class of the data set."""
    return [dict(id=dict(IDS, gnu=99)[name], name=name) for name in names]


def annotation(image_id, name, box, **more):
    """An annotation whose mask is the upper half of its box (x, y, width, height)."""
    x, y, w, h = box
    half = h // 2
    outline = [x, y, x + w, y, x + w, y + half, x, y + half]
    return dict(
        image_id=image_id,
        category_id=dict(IDS, gnu=99)[name],
        bbox=list(box),
        area=w * half,
        iscrowd=0,
        segmentation=[outline],
        **more,
    )


def content_of(images, annotations, **more):
    """Json content; images is a list of ids, annotations are numbered from 1."""
    return dict(
        dict(
            images=[
                dict(id=key, file_name=f'{key}.jpg', width=SIZE, height=SIZE) for key in images
            ],
            annotations=[dict(entry, id=n) for n, entry in enumerate(annotations, start=1)],
            categories=categories(),
        ),
        **more,
    )


def random_box(random):
    side = np.exp(random.uniform(np.log(10), np.log(250), 2)).round()
    corner = (random.uniform(0, 1, 2) * (SIZE - side)).round()
    return [*corner.tolist(), *side.tolist()]


def random_task(images=8, seed=0):
    """Ground truth without any eel, with a crowd, and detections that are partly right.

    Returns the json content and a dict from image id to a list of (class name, box, score).
    """
    random = np.random.default_rng(seed)
    annotated, found = [], {}
    shown = [name for name in CLASSES if name != 'eel']
    for image in range(1, images + 1):
        found[image] = []
        for _ in range(9):
            name, box = str(random.choice(shown)), random_box(random)
            annotated.append(annotation(image, name, box))
            if random.random() < 0.8:
                noisy = (np.array(box) + random.normal(0, 3, 4)).clip(1, 300).round().tolist()
                label = name if random.random() < 0.8 else str(random.choice(CLASSES))
                found[image].append((label, noisy, float(random.random())))
        found[image].append((str(random.choice(CLASSES)), random_box(random), 0.5))
    annotated.append(annotation(1, 'bee', [10, 10, 200, 200]))
    annotated[-1].update(
        iscrowd=1,
        segmentation=rle.frPyObjects([[10, 10, 210, 10, 210, 210, 10, 210]], SIZE, SIZE)[0],
    )
    annotated[-1]['segmentation']['counts'] = annotated[-1]['segmentation']['counts'].decode()
    found[1].append(('bee', [50, 50, 60, 60], 0.99))
    return content_of(range(1, images + 1), annotated), found


def perfect(content):
    """Detections that repeat the annotations that are no crowd."""
    name_of = {number: name for name, number in IDS.items()}
    found = {image['id']: [] for image in content['images']}
    for entry in content['annotations']:
        if not entry['iscrowd']:
            detection = (name_of[entry['category_id']], entry['bbox'], 0.9)
            found[entry['image_id']].append(detection)
    return found


def box_mask(box):
    """The upper half of a box, shape (SIZE, SIZE)."""
    x, y, w, h = (round(edge) for edge in box)
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y : y + h // 2, x : x + w] = True
    return mask


def sample(image_id, detections, masks=True, classes=CLASSES):
    """Output of a detector for one image."""
    boxes = torch.tensor([box for _, box, _ in detections], dtype=torch.float64).reshape(-1, 4)
    fields = dict(
        bboxes=torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1),
        labels=torch.tensor([classes.index(name) for name, _, _ in detections], dtype=torch.int64),
        scores=torch.tensor([score for *_, score in detections], dtype=torch.float64),
    )
    if masks:
        stacked = [box_mask(box) for _, box, _ in detections]
        fields['masks'] = torch.tensor(np.array(stacked).reshape(-1, SIZE, SIZE))
    element = DetDataSample(metainfo=dict(img_id=image_id, ori_shape=(SIZE, SIZE)))
    element.pred_instances = InstanceData(**fields)
    return element


def samples(found, **more):
    return [sample(image, detections, **more) for image, detections in found.items()]


def evaluator(path, content, meta=META, **config):
    """An evaluator of mmengine with one metric on the content, written to a file."""
    path.write_text(json.dumps(content))
    built = Evaluator([METRICS.build(dict(dict(ann_file=str(path)), **config))])
    built.dataset_meta = meta
    return built


def evaluate(path, content, predicted, **config):
    judge = evaluator(path, content, **config)
    judge.process(predicted)
    return judge.evaluate(len(predicted))


def coco_judge(content, found, kind, names, images=None, max_dets=(1, 10, 100)):
    """COCOeval of pycocotools itself on some of the classes and images, run to the end."""
    truth = COCO()
    truth.dataset = copy.deepcopy(content)
    truth.createIndex()
    entries = []
    for image, detections in found.items():
        for name, box, score in detections:
            entry = dict(image_id=image, category_id=IDS[name], score=score)
            if kind == 'bbox':
                entry['bbox'] = list(box)
            else:
                entry['segmentation'] = rle.encode(np.asfortranarray(box_mask(box), np.uint8))
            entries.append(entry)
    judge = COCOeval(truth, truth.loadRes(entries), kind)
    judge.params.catIds = [IDS[name] for name in names]
    judge.params.imgIds = list(found if images is None else images)
    judge.params.maxDets = list(max_dets)
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge
