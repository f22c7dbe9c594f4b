"""Configs of released detectors under this package's names: types, arguments, metrics.

Known are what CLIM's configs (mmdet 3) and the model part of the authors' (mmdet 2) say. A type
that is registered nowhere and an argument that the type does not take are errors; all are listed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import mmcv.ops
from mmdet.utils import register_all_modules
from mmengine import registry
from mmengine.config import Config

from clipself_mm.clip import find_source
from clipself_mm.datasets import load_vocabulary
from clipself_mm.hooks.durable_local_backend import DurableLocalBackend

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
BY_VOCABULARY = ('num_classes', 'seen_classes', 'all_classes')
"""Arguments of the box head that its vocabulary answers."""
METRICS = {
    'base_ap50': 'coco/base_ap50',
    'novel_ap50': 'coco/novel_ap50',
    'all_ap50': 'coco/all_ap50',
    'Base/bbox_mAP_50': 'coco/base_ap50',
    'Novel/bbox_mAP_50': 'coco/novel_ap50',
}
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
        FileNotFoundError: There is no such config.
        ValueError: Types or arguments are not known; all are listed, and nothing is written.
    """
    content = Config.fromfile(source, import_custom_modules=False).to_dict()
    content, problems = renamed_config(content, vocabulary, tower)
    if problems:
        raise ValueError(f'{source}: not converted, because\n  ' + '\n  '.join(problems))
    DurableLocalBackend().put_text(Config(content).pretty_text, target)


def renamed_config(
    content: dict, vocabulary: str, tower: str | None = None
) -> tuple[dict, list[str]]:
    """Rename the types, arguments and metrics of a config.

    Args:
        content: The config, merged; left as it is.
        vocabulary: As in `convert_config`.
        tower: As in `convert_config`.

    Returns:
        The new config, and a line for everything that is not known.
    """
    register_all_modules(init_default_scope=False)
    renaming = _Renaming(vocabulary, tower)
    for section in MMDET2:
        if section in content:
            renaming.problems.append(f'{section}: a section of mmdet 2; write what mmdet 3 has')
    sections = {key: value for key, value in content.items() if key not in MMDET2}
    result = {key: renaming.walk(value, key) for key, value in sections.items()}
    result['custom_imports'] = dict(imports=['clipself_mm'], allow_failed_imports=False)
    return result, renaming.problems


class _Renaming:
    """One config on its way.

    Args:
        vocabulary: As in `convert_config`.
        tower: As in `convert_config`.

    Attributes:
        problems: What was not known so far.
    """

    def __init__(self, vocabulary: str, tower: str | None) -> None:
        self.vocabulary = vocabulary
        self.tower = tower
        self.problems: list[str] = []

    def walk(self, node: object, path: str) -> object:
        """Rename everything inside a value of the config."""
        if isinstance(node, list | tuple):
            return type(node)(self.walk(item, f'{path}.{i}') for i, item in enumerate(node))
        if path.endswith('.save_best'):
            return METRICS.get(node, node) if isinstance(node, str) else node
        if not isinstance(node, dict):
            return node
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
        known = accepted_arguments(registry.MODELS.get(new))
        self.problems += [
            f'{path}.{key}: not an argument that is known of {kind}'
            for key in old
            if key not in known
        ]
        return {'type': new, **old}

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
        count, classes = old.get('num_classes'), load_vocabulary(self.vocabulary).classes
        if count not in (None, len(classes)):
            self.problems.append(
                f'{path}.num_classes: {count}, vocabulary {self.vocabulary} lists {len(classes)}'
            )
        for key in BY_VOCABULARY:
            old.pop(key, None)
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
        weights, background = old.pop('class_weight', None), old.pop('bg_weight', None)
        if background is None and isinstance(weights, list | tuple):
            background = weights[-1]
        result = {'loss_cls': {'type': 'CustomCrossEntropyLoss', **old}}
        return result if background is None else {'background_weight': background, **result}


def is_registered(kind: str) -> bool:
    """Whether a type can be built under mmdet's scope, or is an operation of mmcv."""
    places = [
        registry.MODELS,
        registry.TRANSFORMS,
        registry.DATASETS,
        registry.DATA_SAMPLERS,
        registry.METRICS,
        registry.EVALUATOR,
        registry.HOOKS,
        registry.LOOPS,
        registry.OPTIMIZERS,
        registry.OPTIM_WRAPPERS,
        registry.OPTIM_WRAPPER_CONSTRUCTORS,
        registry.PARAM_SCHEDULERS,
        registry.TASK_UTILS,
        registry.MODEL_WRAPPERS,
        registry.WEIGHT_INITIALIZERS,
        registry.LOG_PROCESSORS,
        registry.RUNNERS,
        registry.VISBACKENDS,
        registry.VISUALIZERS,
    ]
    for place in places:
        with place.switch_scope_and_registry('mmdet') as scoped:
            if scoped.get(kind) is not None:
                return True
    return hasattr(mmcv.ops, kind)


def accepted_arguments(module: type) -> set[str]:
    """Names of all arguments that a class and those it inherits from take."""
    names: set[str] = set()
    for ancestor in inspect.getmro(module):
        if '__init__' in vars(ancestor):
            names |= set(inspect.signature(ancestor.__init__).parameters)
    return names - {'self', 'args', 'kwargs'}
