"""What mm's registries can build, and with which arguments."""

from __future__ import annotations

import inspect

import mmcv.ops
from mmengine import registry


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
    """Names of all arguments that a class takes, by `**kwargs` those of what it inherits from."""
    names: set[str] = set()
    for ancestor in inspect.getmro(module):
        if '__init__' in vars(ancestor):
            names |= set(inspect.signature(ancestor.__init__).parameters)
            if 'kwargs' not in inspect.signature(ancestor.__init__).parameters:
                break
    return names - {'self', 'args', 'kwargs'}
