"""Text tower of a CLIP: class names and captions to unit embeddings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import open_clip
import torch
import torch.nn.functional as F
from open_clip.model import _build_text_tower
from open_clip.transformer import TextTransformer
from torch import Tensor, nn
from tqdm import tqdm

from .activation import check_activation
from .prompts import (
    PROMPT_TEMPLATES,
    average_names,
    average_prompts,
    check_templates,
    expand_prompts,
)
from .text_warnings import find_cut, warn_of_cut, warn_of_equal
from .weights.checkpoints import load_text, read_checkpoint
from .weights.tower_source import CONFIG_NAME, TowerSource, find_source, invalid_config

_PROGRESS_BAR_FROM = 4
"""Number of batches from which a progress bar is shown."""


class TextTower(nn.Module):
    """open_clip's text tower with its tokenizer, frozen.

    Args:
        model: Name or folder, see ``find_source``. The folder of a CLIP with a Hugging Face
            tokenizer must hold the files of the tokenizer.
        checkpoint: Weights in any layout that ``read_state`` reads; by default those in the folder.

    Raises:
        ValueError: There is no checkpoint (random text embeddings would be useless), or it does
            not match the architecture or the activation.
        ImportError: The tokenizer or the tower needs transformers, which is not installed.
    """

    def __init__(self, model: str, checkpoint: str | None = None) -> None:
        super().__init__()
        source = find_source(model, checkpoint)
        file = source.require_checkpoint()
        if needs_transformers(source):
            _import_transformers(model)
        self.source = source
        with invalid_config(source.config_name):
            self.text = bare_text_tower(source.config)
        weights = read_checkpoint(file)
        check_activation(weights, source, file)
        load_text(self.text, weights.state, file)
        self.tokenizer = build_tokenizer(source)
        self.requires_grad_(False).eval()

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Token ids of shape (T, context) to embeddings of shape (T, D), not normalised."""
        return self.text(tokens)

    @torch.no_grad()
    def embed_classes(
        self,
        classes: Sequence[str],
        templates: Sequence[str] = PROMPT_TEMPLATES,
        batch_size: int = 512,
        synonyms: Mapping[str, Sequence[str]] | None = None,
    ) -> Tensor:
        """Prompt-averaged embeddings of classes (ViLD's 63 prompts by default).

        Each name is averaged over the prompts, then each class over its names. Names whose prompts
        exceed the context, and classes with equal embeddings, are logged as a warning.

        Args:
            classes: K names.
            templates: P prompts with ``{}`` for the class and ``{article}`` for a or an.
            batch_size: Prompts per forward pass.
            synonyms: Other names of classes; entries of other classes are ignored.

        Returns:
            Unit vectors, shape (K, D).
        """
        if not classes:
            raise ValueError(f'there is no class to embed: classes={list(classes)}')
        templates = check_templates(templates)
        of_class = [(name, *(synonyms or {}).get(name, ())) for name in classes]
        names = [name for own in of_class for name in own]
        prompts = [prompt for name in names for prompt in expand_prompts(name, templates)]
        device = next(self.parameters()).device
        starts = range(0, len(prompts), batch_size)
        encoded, cut = [], []
        for start in tqdm(starts, desc='prompts', disable=len(starts) < _PROGRESS_BAR_FROM):
            batch = prompts[start : start + batch_size]
            tokens = self.tokenizer(batch)
            cut += find_cut(self.tokenizer, batch, tokens)
            encoded.append(F.normalize(encode_short(self.text, tokens.to(device)), dim=-1))
        warn_of_cut(names, cut, tokens.shape[1])
        by_name = average_prompts(torch.cat(encoded).unflatten(0, (-1, len(templates))))
        table = average_names(by_name, [len(own) for own in of_class])
        warn_of_equal(classes, table)
        return table


def bare_text_tower(config: Mapping) -> nn.Module:
    """open_clip's text tower with random weights.

    Args:
        config: open_clip's model configuration.
    """
    # The checkpoint has the weights of a Hugging Face tower too: do not download them.
    text_cfg = config['text_cfg'] | dict(hf_model_pretrained=False, output_tokens=False)
    return _build_text_tower(config['embed_dim'], text_cfg, config.get('quick_gelu', False))


def build_tokenizer(source: TowerSource) -> Callable[[list[str]], Tensor]:
    """The tokenizer of a CLIP: sentences to ids, shape (T, context).

    open_clip finds it by the name or by the configuration of the folder. A folder in transformers'
    layout has no such configuration: it is an OpenAI-style CLIP, with OpenAI's tokenizer.

    Raises:
        ValueError: The vocabulary size of a folder in transformers' layout is not OpenAI's.
    """
    folder = source.model.removeprefix('local-dir:')
    if folder != source.model and not (Path(folder) / CONFIG_NAME).is_file():
        text_cfg = source.config['text_cfg']
        tokenizer = open_clip.SimpleTokenizer(context_length=text_cfg['context_length'])
        if text_cfg['vocab_size'] != tokenizer.vocab_size:
            raise ValueError(
                f"{source.model}: expected the {tokenizer.vocab_size} tokens of OpenAI's CLIP, "
                f'found {text_cfg["vocab_size"]}: another tokenizer'
            )
        return tokenizer
    return open_clip.get_tokenizer(source.model)


def needs_transformers(source: TowerSource) -> bool:
    """Whether the tokenizer or the text tower of a CLIP is one of Hugging Face's."""
    text_cfg = source.config['text_cfg']
    named = text_cfg.get('hf_tokenizer_name') or text_cfg.get('hf_model_name')
    return bool(named) or (':' not in source.model and 'siglip' in source.model.lower())


def _import_transformers(model: str) -> None:
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'the text tower of {model} needs the package transformers: '
            f'pip install clipself_mm[hf] ({error})'
        ) from error


def encode_short(text: TextTransformer, tokens: Tensor) -> Tensor:
    """Embeddings of prompts, computed up to the end token of the longest one.

    In a causal tower that pools at the end token, later tokens have no effect on the result;
    so prompts of 8 to 16 tokens need no context of 77. Other towers run on all tokens.

    Args:
        text: A text tower of open_clip.
        tokens: Token ids, shape (T, context).

    Returns:
        Shape (T, D), not normalised.
    """
    if not _is_causal(text):
        return text(tokens)
    end = tokens.argmax(dim=-1)  # the token at which the tower pools
    length = int(end.max()) + 1
    stream = text.token_embedding(tokens[:, :length]) + text.positional_embedding[:length]
    stream = text.transformer(stream, attn_mask=text.attn_mask[:length, :length])
    pooled = text.ln_final(stream[torch.arange(len(tokens), device=end.device), end])
    projection = text.text_projection
    return projection(pooled) if isinstance(projection, nn.Module) else pooled @ projection


def _is_causal(text: nn.Module) -> bool:
    """Whether a tower is causal and pools at the end token, as OpenAI's, LAION's and EVA's."""
    return (
        getattr(text, 'pool_type', None) == 'argmax'
        and getattr(text, 'attn_mask', None) is not None
        and getattr(text, 'cls_emb', None) is None
        and getattr(text, 'text_projection', None) is not None
    )


class CaptionEncoder:
    """Encodes captions without prompts.

    Not a module: the text tower must not be in the state dict of a model. It is built on first
    use.

    Args:
        text: Arguments of `TextTower`; None raises on first use.
    """

    def __init__(self, text: dict | None) -> None:
        self.text = text

    @cached_property
    def tower(self) -> TextTower:
        """The text tower, frozen; errors as in `TextTower`."""
        if self.text is None:
            raise ValueError(
                'no text tower to encode captions: give the tower a checkpoint, or '
                '`model.text` (a CLIP model and its checkpoint)'
            )
        return TextTower(**self.text)

    @torch.no_grad()
    def encode(self, captions: Sequence[str], device: torch.device | str = 'cpu') -> Tensor:
        """Unit embeddings of T captions, shape (T, D), on ``device``."""
        tower = self.tower.to(device)
        tokens = tower.tokenizer(list(captions)).to(device)
        with torch.autocast(tokens.device.type, enabled=False):
            return F.normalize(tower.encode_text(tokens).float(), dim=-1)
