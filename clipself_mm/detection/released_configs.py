"""Configs of released detectors under this package's names: types, arguments, metrics.

Known are what CLIM's configs (mmdet 3) and the model part of the authors' (mmdet 2) say. What is
not known, or would mean something else under the vocabulary, is an error; all are listed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from mmdet.utils import register_all_modules
from mmengine import registry
from mmengine.config import Config

from clipself_mm.clip import find_source
from clipself_mm.datasets import load_vocabulary
from clipself_mm.datasets.annotations.coco_json import read_json
from clipself_mm.io.atomic_write import atomic_write
from clipself_mm.losses.open_vocab_ce_loss import UNSEEN

from .fvit_bbox_head import class_weights
from .registered_types import accepted_arguments, is_registered

TYPES = {
    'FViT': 'FViT',
    'FVLM': 'FViT',
    'EvaCLIPViT': 'FViTBackbone',
    'CLIPViT': 'FViTBackbone',
    'CustomRPNHead': 'NormRPNHead',
    'FViTRoIHead': 'FViTRoIHead',
    'FVLMStandardRoIHead': 'FViTRoIHead',
    'FViTBBoxHead': 'FViTBBoxHead',
    'FViTTransferBBoxHead': 'FViTBBoxHead',
    'FVLMConvFCBBoxHead': 'FViTBBoxHead',
    'CustomCrossEntropyLoss': 'OpenVocabCELoss',
}
ARGUMENTS = {'vlm_roi_extractor': 'clip_roi_extractor', 'vlm_temperature': 'clip_temperature'}
EMBEDDINGS = ('class_embed', 'cls_embeddings', 'cls_embeddings_path')
DATASETS = ('CocoDataset', 'LVISV1Dataset')
"""Data sets whose files and arguments `OpenVocabCocoDataset` takes."""
WRAPPERS = ('ConcatDataset', 'RepeatDataset', 'ClassBalancedDataset', 'MultiImageMixDataset')
EVALUATORS = ('OpenVocabCocoMetric', 'OpenVocabLVISMetric')
METRICS = {
    'base_ap50': 'coco/base_ap50',
    'novel_ap50': 'coco/novel_ap50',
    'all_ap50': 'coco/all_ap50',
    'Base/bbox_mAP_50': 'coco/base_ap50',
    'Novel/bbox_mAP_50': 'coco/novel_ap50',
}
OUR_METRICS = re.compile(
    r'(coco/(segm_)?(?P<split>base|novel|all)|lvis/(bbox|segm))_a[pr][a-z0-9_]*'
)
EVA_MODELS = {
    'EVA02-CLIP-B-16': 'EVA02-B-16',
    'EVA02-CLIP-L-14': 'EVA02-L-14',
    'EVA02-CLIP-L-14-336': 'EVA02-L-14-336',
}
WEIGHT_FILES = ('.pt', '.pth', '.bin', '.safetensors')
MMDET2 = ('data', 'optimizer', 'optimizer_config', 'lr_config', 'runner', 'evaluation')
"""Sections that only mmdet 2 has."""


def convert_config(
    source: str | Path, target: str | Path, vocabulary: str, tower: str | None = None
) -> None:
    """Read a released detector's config and write this package's.

    As everywhere in mm, reading a config runs it. The modules it would import are not imported.

    Args:
        source: The config; its `_base_` files are merged into it.
        target: File to write.
        vocabulary: Name or path of the vocabulary its classes are.
        tower: File of the CLIP, needed where the config names none.

    Raises:
        FileNotFoundError: There is no such config or vocabulary.
        ValueError: Something is not known or contradicts the vocabulary; all is listed, and nothing
            is written.
    """
    content = Config.fromfile(source, import_custom_modules=False).to_dict()
    content, problems = renamed_config(content, vocabulary, tower)
    if problems:
        raise ValueError(f'{source}: not converted, because\n  ' + '\n  '.join(problems))
    with atomic_write(target, durable=True) as part:
        part.write_text(Config(content).pretty_text, encoding='utf-8')


def renamed_config(
    content: dict, vocabulary: str, tower: str | None = None
) -> tuple[dict, list[str]]:
    """Rename the types, arguments and metrics of a config.

    Args:
        content: The config, merged; left as it is.
        vocabulary: As in `convert_config`.
        tower: As in `convert_config`.

    Returns:
        The new config, and a line for everything that is not known or contradicts the vocabulary;
        with such lines, the config is not to be used.
    """
    register_all_modules(init_default_scope=False)
    renaming = _Renaming(vocabulary, tower)
    for section in MMDET2:
        if section in content:
            renaming.problems.append(f'{section}: a section of mmdet 2; write what mmdet 3 has')
    sections = {key: value for key, value in content.items() if key not in MMDET2}
    result = {key: renaming.section(key, sections) for key in sections}
    result['custom_imports'] = dict(imports=['clipself_mm'], allow_failed_imports=False)
    return result, renaming.problems


class _Renaming:
    """One config on its way.

    Args:
        vocabulary: As in `convert_config`.
        tower: As in `convert_config`.

    Attributes:
        problems: What was not known, or contradicted the vocabulary, so far.
    """

    def __init__(self, vocabulary: str, tower: str | None) -> None:
        self.vocabulary = vocabulary
        self.words = load_vocabulary(vocabulary)
        self.tower = tower
        self.problems: list[str] = []

    def section(self, key: str, sections: dict) -> object:
        """Rename everything inside one of the sections."""
        value = sections[key]
        if key.endswith('_evaluator') and value:
            return self.evaluator(
                value, key, sections.get(key.replace('_evaluator', '_dataloader'))
            )
        if key.endswith('_dataloader') and value and 'dataset' in value:
            value = {**value, 'dataset': self.data_set(value['dataset'], f'{key}.dataset')}
        return self.walk(value, key)

    def walk(self, node: object, path: str) -> object:
        """Rename everything inside a value of the config."""
        if isinstance(node, list | tuple):
            return type(node)(self.walk(item, f'{path}.{i}') for i, item in enumerate(node))
        if not isinstance(node, dict):
            return node
        if node.get('save_best'):  # mmengine guesses the rule from names, and not from ours
            best = self.metric(node['save_best'], f'{path}.save_best')
            node = {**node, 'save_best': best, 'rule': node.get('rule') or 'greater'}
        kind = node.get('type')
        if kind in TYPES:
            node = self.module(dict(node), path)
        elif isinstance(kind, str) and not is_registered(kind):
            self.problems.append(f'{path}.type: {kind!r} is not known')
        return {key: self.walk(value, f'{path}.{key}') for key, value in node.items()}

    def module(self, old: dict, path: str) -> dict:
        """Rename one module of `TYPES`."""
        kind = old.pop('type')
        new = TYPES[kind]
        old = {ARGUMENTS.get(key, key): value for key, value in old.items()}
        rebuild: Callable[[dict, str, str], dict] | None = {
            'FViT': self.detector,
            'FViTBackbone': self.backbone,
            'FViTBBoxHead': self.box_head,
        }.get(new)
        if rebuild is not None:
            old = rebuild(old, kind, path)
        self.check_arguments(old, registry.MODELS.get(new), kind, path)
        return {'type': new, **old}

    def check_arguments(self, given: dict, module: type, kind: str, path: str) -> None:
        """List the arguments that a type of ours does not take."""
        known = accepted_arguments(module)
        self.problems += [
            f'{path}.{key}: not an argument that is known of {kind}'
            for key in given
            if key not in known
        ]

    def data_set(self, old: object, path: str) -> object:
        """A data set in COCO's or LVIS's format, wrapped or not, gets the vocabulary's labels."""
        if isinstance(old, list | tuple):
            return type(old)(self.data_set(item, f'{path}.{i}') for i, item in enumerate(old))
        if not isinstance(old, dict):
            return old
        old = dict(old)
        kind = str(old.get('type')).removeprefix('mmdet.')
        if kind == 'OpenVocabCocoDataset':
            return old
        if kind in WRAPPERS:
            inner = {key: old[key] for key in ('dataset', 'datasets') if key in old}
            return old | {key: self.data_set(v, f'{path}.{key}') for key, v in inner.items()}
        old.pop('type', None)
        if kind not in DATASETS:
            self.problems.append(
                f"{path}.type: {kind!r}, whose labels are not the vocabulary's; write "
                f'OpenVocabCocoDataset with vocabulary={self.vocabulary!r}, base_only for training'
            )
            return old
        self.check_arguments(old, registry.DATASETS.get('OpenVocabCocoDataset'), kind, path)
        meta = dict(old.pop('metainfo', None) or {})
        self.compare(meta.pop('classes', None), self.words.classes, f'{path}.metainfo.classes')
        new = {'type': 'OpenVocabCocoDataset', 'vocabulary': self.vocabulary}
        if path.startswith('train') and self.words.base:
            new['base_only'] = True
        return new | old | ({'metainfo': meta} if meta else {})

    def evaluator(self, given: object, path: str, loader: dict | None) -> object:
        """One `OpenVocabCocoMetric` counts what a pair of `CocoMetric` does; others are listed."""
        entries = list(given) if isinstance(given, list | tuple) else [given]
        kinds = [str(entry.get('type')).removeprefix('mmdet.') for entry in entries]
        prefixes = [entry.get('prefix') for entry in entries]
        if kinds == ['CocoMetric'] * 2 and set(prefixes) == {'Base', 'Novel'}:
            return self.split_metric(entries, path, loader)
        foreign = [kind for kind in kinds if kind not in EVALUATORS]
        if not foreign:
            return self.walk(given, path)
        self.problems.append(
            f"{path}: {foreign} do not count by the vocabulary's split; write OpenVocabCocoMetric, "
            'or OpenVocabLVISMetric for LVIS, with a json of all classes as ann_file'
        )
        return given

    def split_metric(self, pair: list[dict], path: str, loader: dict | None) -> dict:
        """The metric of both splits; its json is the pair's or, where they differ, the loader's."""
        own = ('type', 'prefix', 'ann_file')
        one, other = ({k: v for k, v in entry.items() if k not in own} for entry in pair)
        if one != other:
            self.problems.append(f'{path}: Base has {one}, Novel {other}; write the same')
        self.check_arguments(one, registry.METRICS.get('OpenVocabCocoMetric'), 'CocoMetric', path)
        if not self.words.base:
            self.problems.append(f'{path}: Base and Novel, but {self.vocabulary} has no split')
        files = {os.path.normpath(entry.get('ann_file') or '') for entry in pair}
        file = pair[0].get('ann_file')
        if len(files) > 1 or not file:
            data = (loader or {}).get('dataset') or {}
            file = os.path.join(data.get('data_root') or '', data.get('ann_file') or '')
            if not data.get('ann_file') or os.path.normpath(file) in files:
                self.problems.append(
                    f'{path}: Base and Novel are counted in {sorted(files)}; write '
                    'OpenVocabCocoMetric with one json of all classes and their boxes as ann_file'
                )
        return {'type': 'OpenVocabCocoMetric', 'ann_file': file, **one}

    def metric(self, old: object, path: str) -> object:
        """The name of one number, or of several, as our metrics give it."""
        if isinstance(old, list | tuple):
            return [self.metric(name, f'{path}.{i}') for i, name in enumerate(old)]
        new = METRICS.get(old, old)
        known = OUR_METRICS.fullmatch(str(new))
        if not known:
            self.problems.append(
                f'{path}: {old!r} is no number of our metrics; write coco/novel_ap50, '
                'lvis/segm_apr, ...'
            )
        elif known['split'] in ('base', 'novel') and not self.words.base:
            self.problems.append(f'{path}: {old!r}, but {self.vocabulary} has no split')
        return new

    def listed(self, given: object, path: str) -> list | None:
        """A list, or the content of the json that is named; None where there is nothing to read."""
        try:
            content = read_json(given) if isinstance(given, str) else given
        except (FileNotFoundError, ValueError) as error:
            self.problems.append(f'{path}: {error}; None leaves it to the vocabulary')
            return None
        if content is None or isinstance(content, list | tuple):
            return content if content is None else list(content)
        self.problems.append(f'{path}: expected a list, got {type(content).__name__}')
        return None

    def compare(
        self, given: object, expected: Sequence[str], path: str, ordered: bool = False
    ) -> None:
        """List where classes that the config gives are not those of the vocabulary."""
        names = self.listed(given, path)
        if names is None:
            return
        odd = sorted(set(map(str, names)) ^ set(expected))
        if odd:
            self.problems.append(
                f'{path}: not the {len(expected)} classes of vocabulary {self.vocabulary}; only '
                f'one of both has {odd[:5]}'
            )
        elif ordered and names != list(expected):
            self.problems.append(
                f'{path}: not in the order of vocabulary {self.vocabulary}; give a vocabulary file '
                'in this order'
            )

    def detector(self, old: dict, kind: str, path: str) -> dict:
        """The empty `pretrained` of mmdet 2 goes."""
        if old.get('pretrained', ...) is None:
            del old['pretrained']
        return old

    def backbone(self, old: dict, kind: str, path: str) -> dict:
        """`model_name`, `pretrained` and `cache_dir` become the tower."""
        name = old.pop('model_name', None)
        pretrained, cache = old.pop('pretrained', None), old.pop('cache_dir', None)
        files = [item for item in (pretrained, cache) if str(item).endswith(WEIGHT_FILES)]
        model = EVA_MODELS.get(name, name)
        if pretrained == 'openai':
            model = f'{str(name).removesuffix("-quickgelu")}-quickgelu'
        checkpoint = self.tower or (files or [None])[0]
        try:
            brought = find_source(str(model)).checkpoint
        except (ValueError, FileNotFoundError) as error:
            self.problems.append(f'{path}.model_name: {error}')
            brought = None
        if checkpoint is None and brought is None:
            self.problems.append(
                f'{path}.pretrained: {pretrained!r} is no file; say where the weights are (--tower)'
            )
        if '-L-' in str(name) and 'out_indices' not in old:
            self.problems.append(f'{path}.out_indices: not given; the default is for 12 blocks')
        return {'tower': dict(type='CLIPTower', model=model, checkpoint=checkpoint), **old}

    def box_head(self, old: dict, kind: str, path: str) -> dict:
        """The vocabulary replaces lists of classes; the classifier gets what is its own."""
        count, classes = old.pop('num_classes', None), self.words.classes
        if count not in (None, len(classes)):
            self.problems.append(
                f'{path}.num_classes: {count}, vocabulary {self.vocabulary} lists {len(classes)}'
            )
        self.compare(old.pop('all_classes', None), classes, f'{path}.all_classes', ordered=True)
        trained = self.words.base or classes
        self.compare(old.pop('seen_classes', None), trained, f'{path}.seen_classes')
        files = [old.pop(key) for key in EMBEDDINGS if key in old]
        fixed = old.pop('fixed_temperature', None)
        learned = [old.pop(key) for key in ('learned_temperature', 'cls_temp') if key in old]
        classifier = dict(
            type='TextClassifier',
            background=self.background(old, kind, path),
            temperature=fixed or (learned or [50.0])[0],
            learn_temperature=not fixed,
        )
        if files:
            classifier['embeddings'] = files[0]
        if kind == 'FViTTransferBBoxHead' and 'alpha' in old:
            old['beta'] = old['alpha']  # one share for all classes
        old |= self.loss(dict(old.pop('loss_cls', {})), path)
        return {'vocabulary': self.vocabulary, 'cls_predictor_cfg': classifier, **old}

    def background(self, old: dict, kind: str, path: str) -> str:
        """The background as `TextClassifier` names it; CLIM's is always learned."""
        learned = old.pop('learn_bg', kind == 'FVLMConvFCBBoxHead')
        given = old.pop('bg_embedding', 'learn')
        if given != 'learn':
            self.problems.append(f"{path}.bg_embedding: {given!r} is not known, only 'learn'")
        return 'learned' if learned else 'text'

    def loss(self, old: dict, path: str) -> dict:
        """The loss without class weights, and the background's weight, which the head takes."""
        kind = old.pop('type', 'CustomCrossEntropyLoss')
        if kind not in ('CrossEntropyLoss', 'CustomCrossEntropyLoss') or old.get('use_sigmoid'):
            self.problems.append(f'{path}.loss_cls: expected a softmax cross entropy, got {kind}')
        weights = self.listed(old.pop('class_weight', None), f'{path}.loss_cls.class_weight')
        background = old.pop('bg_weight', None)
        if weights:
            background = weights[-1] if background is None else background
            self.compare_weights(weights, background, f'{path}.loss_cls.class_weight')
        result = {'loss_cls': {'type': 'CustomCrossEntropyLoss', **old}}
        return result if background is None else {'background_weight': background, **result}

    def compare_weights(self, given: list[float], background: float, path: str) -> None:
        """List where class weights are not those that follow from the vocabulary."""
        ours = class_weights(self.words, background)
        names = [*self.words.classes, 'background']
        if len(given) != len(ours):
            self.problems.append(
                f'{path}: {len(given)} weights, vocabulary {self.vocabulary} and background are '
                f'{len(ours)}'
            )
            return
        odd = [
            f'{name} {weight} instead of {own}'
            for name, weight, own in zip(names, given, ours, strict=True)
            if abs(weight - own) >= UNSEEN
        ]
        if odd:
            self.problems.append(
                f'{path}: does not follow from vocabulary {self.vocabulary}: {", ".join(odd[:5])}; '
                'give the one whose novel classes have 0'
            )
