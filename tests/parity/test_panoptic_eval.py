"""Zero-shot region classification from annotation file to accuracies, against the release."""

import pytest
import torch
from mmengine.dataset import pseudo_collate

from clipself_mm.datasets import load_vocabulary
from clipself_mm.distillers import RegionClassifier, RegionPreprocessor
from clipself_mm.distillers.region_classifier import ranked_classes
from tests.parity.fixtures import GoldenFile, fixture_json
from tests.parity.recorded_panoptic import accuracy, dataset_of, write_files
from tests.parity.tiny_towers import build_tower

pytestmark = pytest.mark.parity

RECORDED_ROUTES = {'boxes': 'rois', 'masks': 'maskpool', 'crops': 'crops'}


def test_panoptic_eval(tmp_path):
    golden = GoldenFile('panoptic_eval')
    write_files(golden, tmp_path)
    vocabulary = tmp_path / 'recorded.json'
    classes = load_vocabulary(str(vocabulary)).classes
    vectors = torch.from_numpy(golden.inputs['class_embeddings'])
    torch.save(dict(zip(classes, vectors, strict=True)), tmp_path / 'embeddings.pt')
    classifier = RegionClassifier(str(vocabulary), embeddings=str(tmp_path / 'embeddings.pt'))
    tower = build_tower('eva_tiny_weights', fixture_json('config.json'))
    # The recording was made under a torchvision that antialiases masks.
    dataset = dataset_of(tmp_path, golden.config, antialias=True)
    batch = RegionPreprocessor(image_size=golden.config['det_image_size'])(
        pseudo_collate([dataset[index] for index in range(len(dataset))])
    )
    samples = batch['data_samples']
    with torch.no_grad():
        features = classifier.features(tower, **batch['inputs'], samples=samples)
    labels = torch.cat([sample.regions.labels for sample in samples])
    is_thing = torch.cat([sample.regions.is_thing for sample in samples])
    boxes_src = [sample.regions.boxes_px / sample.scale for sample in samples]
    areas = torch.cat([(box[:, 2:] - box[:, :2]).prod(1) for box in boxes_src])
    golden.check('run.cls_labels', labels)
    golden.check('run.is_thing', is_thing.float())
    golden.check('run.box_sizes', areas)
    for route, recorded in RECORDED_ROUTES.items():
        similarity = classifier.similarity(features[route])
        topk = ranked_classes(similarity, 5)
        golden.check(f'run.similarity_{recorded}', similarity.gather(1, labels[:, None])[:, 0])
        golden.check(f'run.correct_{recorded}', (topk == labels[:, None]).float())
        for kind, counted in (('thing', is_thing), ('stuff', ~is_thing)):
            for k in (1, 5):
                mean = accuracy(topk[counted, :k], labels[counted], half_precision=True)
                golden.check(f'run.{recorded}.{kind}.macc{k}', mean)
    golden.finish(
        exempt={
            name: 'data, compared in test_panoptic_data.py'
            for name in golden.outputs
            if name.startswith('img')
        }
    )
