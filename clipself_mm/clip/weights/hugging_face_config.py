"""Convert the configuration of a CLIP from Hugging Face's to open_clip's and back.

`transformers.CLIPModel` supports only a ViT with class token and a norm before the blocks, and a
causal text tower that pools at the end token. EVA-02, SigLIP and CNNs raise an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_ACTIVATIONS = {'quick_gelu': True, 'gelu': False}
_VISION_KEYS = {'image_size', 'layers', 'width', 'head_width', 'mlp_ratio', 'patch_size'}
_TEXT_KEYS = {'context_length', 'vocab_size', 'width', 'heads', 'layers', 'mlp_ratio'}
_DEFAULTS: dict[str, dict[str, Any]] = {
    'vision': {
        'hidden_act': 'quick_gelu',
        'hidden_size': 768,
        'image_size': 224,
        'intermediate_size': 3072,
        'num_attention_heads': 12,
        'num_hidden_layers': 12,
        'patch_size': 32,
    },
    'text': {
        'hidden_act': 'quick_gelu',
        'hidden_size': 512,
        'intermediate_size': 2048,
        'max_position_embeddings': 77,
        'num_attention_heads': 8,
        'num_hidden_layers': 12,
        'vocab_size': 49408,
    },
}
"""Defaults of `CLIPConfig` for missing keys of a `config.json`: ViT-B/32."""
_OTHER_MODELS = {
    'clip_vision_model': 'an image tower alone; expected the folder of the whole CLIPModel, or '
    "with this file as checkpoint open_clip's name of the model",
    'clip_text_model': 'a text tower alone; expected the folder of the whole CLIPModel',
    'siglip': "SigLIP; expected a CLIPModel. open_clip's form of SigLIP is read: model="
    '"ViT-B-16-SigLIP", checkpoint="webli"',
}
"""What other models of transformers are, by `model_type`, and what is wanted."""
_OTHER_MODELS |= {
    'siglip2': _OTHER_MODELS['siglip'],
    'siglip_vision_model': _OTHER_MODELS['siglip'],
    'siglip_text_model': _OTHER_MODELS['siglip'],
}


class OtherModelError(ValueError):
    """The configuration is that of another model than a `CLIPModel`."""


def config_from_hugging_face(config: Mapping[str, Any]) -> dict[str, Any]:
    """open_clip's `model_cfg` of a `config.json`.

    Raises:
        OtherModelError: The configuration is that of another model.
        ValueError: `CLIPModel` has values that open_clip cannot express.
    """
    kind = config.get('model_type')
    if kind != 'clip':
        found = f'"model_type": {json.dumps(kind)}'
        other = _OTHER_MODELS.get(kind) if isinstance(kind, str) else None
        raise OtherModelError(
            f'{found} is {other}' if other else f'expected "model_type": "clip", found {found}'
        )
    vision, text = (
        _DEFAULTS[part] | dict(config.get(f'{part}_config') or {}) for part in _DEFAULTS
    )
    if vision['hidden_act'] != text['hidden_act'] or vision['hidden_act'] not in _ACTIVATIONS:
        raise ValueError(
            f'expected one activation of {sorted(_ACTIVATIONS)}, found {vision["hidden_act"]!r} '
            f'and {text["hidden_act"]!r}'
        )
    return {
        'embed_dim': config.get('projection_dim', 512),
        'quick_gelu': _ACTIVATIONS[vision['hidden_act']],
        'vision_cfg': {
            'image_size': vision['image_size'],
            'layers': vision['num_hidden_layers'],
            'width': vision['hidden_size'],
            'head_width': vision['hidden_size'] // vision['num_attention_heads'],
            'mlp_ratio': _ratio(vision['intermediate_size'], vision['hidden_size']),
            'patch_size': vision['patch_size'],
        },
        'text_cfg': {
            'context_length': text['max_position_embeddings'],
            'vocab_size': text['vocab_size'],
            'width': text['hidden_size'],
            'heads': text['num_attention_heads'],
            'layers': text['num_hidden_layers'],
            'mlp_ratio': _ratio(text['intermediate_size'], text['hidden_size']),
        },
    }


def config_to_hugging_face(config: Mapping[str, Any]) -> dict[str, Any]:
    """The `config.json` of open_clip's `model_cfg`.

    Raises:
        ValueError: `CLIPModel` does not support the architecture.
    """
    vision, text = dict(config['vision_cfg']), dict(config['text_cfg'])
    foreign = sorted((set(vision) - _VISION_KEYS) | (set(text) - _TEXT_KEYS))
    if foreign or not isinstance(vision.get('layers', 12), int):
        raise ValueError(
            "transformers' CLIPModel cannot express this architecture"
            + (f': {", ".join(foreign)}' if foreign else ' (a CNN)')
        )
    activation = 'quick_gelu' if config.get('quick_gelu', False) else 'gelu'
    width, text_width = vision.get('width', 768), text.get('width', 512)
    return {
        'architectures': ['CLIPModel'],
        'model_type': 'clip',
        'projection_dim': config['embed_dim'],
        'logit_scale_init_value': 2.6592,
        'vision_config': {
            'model_type': 'clip_vision_model',
            'hidden_act': activation,
            'hidden_size': width,
            'image_size': vision.get('image_size', 224),
            'intermediate_size': int(width * vision.get('mlp_ratio', 4.0)),
            'num_attention_heads': width // vision.get('head_width', 64),
            'num_hidden_layers': vision.get('layers', 12),
            'patch_size': vision.get('patch_size', 16),
            'projection_dim': config['embed_dim'],
        },
        'text_config': {
            'model_type': 'clip_text_model',
            'hidden_act': activation,
            'hidden_size': text_width,
            'intermediate_size': int(text_width * text.get('mlp_ratio', 4.0)),
            'max_position_embeddings': text.get('context_length', 77),
            'num_attention_heads': text.get('heads', 8),
            'num_hidden_layers': text.get('layers', 12),
            'projection_dim': config['embed_dim'],
            'vocab_size': text.get('vocab_size', 49408),
            'bos_token_id': 49406,
            'eos_token_id': 49407,
        },
    }


def _ratio(inner: int, width: int) -> float:
    """The ratio with `int(width * ratio) == inner`, as open_clip computes the inner width."""
    ratio = inner / width
    return ratio if int(width * ratio) == inner else math.nextafter(ratio, math.inf)
