"""The text side of a CLIP: from class names to the unit embeddings that classify regions."""

from collections.abc import Sequence

import open_clip
import torch
import torch.nn.functional as F
from open_clip.model import _build_text_tower
from torch import Tensor, nn
from tqdm import tqdm

from .checkpoints import load_text, read_state
from .prompts import PROMPT_TEMPLATES, average_prompts, expand_prompts
from .tower_source import find_source

LONG = 20
"""Batches of prompts from which on a bar shows how far they are."""


class TextTower(nn.Module):
    """open_clip's text tower with its tokenizer, frozen.

    Args:
        model: Name or folder, see ``find_source``.
        checkpoint: Weights in any layout that ``read_state`` knows; a folder brings its own.

    Raises:
        ValueError: There is no checkpoint: a random text tower would name classes at random.
    """

    def __init__(self, model: str, checkpoint: str | None = None) -> None:
        super().__init__()
        source = find_source(model, checkpoint)
        if source.checkpoint is None:
            raise ValueError(f'the text tower of {model} needs a checkpoint')
        config = source.config
        self.text = _build_text_tower(
            config['embed_dim'], dict(config['text_cfg']), config.get('quick_gelu', False)
        )
        load_text(self.text, read_state(source.checkpoint), source.checkpoint)
        self.tokenizer = open_clip.get_tokenizer(source.model)
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
    ) -> Tensor:
        """Prompt-averaged embeddings of classes (ViLD's 63 prompts by default).

        Args:
            classes: K names.
            templates: P prompts with ``{}`` for the class and ``{article}`` for a or an.
            batch_size: Prompts a forward pass.

        Returns:
            Unit vectors, shape (K, D).
        """
        prompts = [prompt for name in classes for prompt in expand_prompts(name, templates)]
        device = next(self.parameters()).device
        starts = range(0, len(prompts), batch_size)
        encoded = [
            F.normalize(
                self.encode_text(self.tokenizer(prompts[i : i + batch_size]).to(device)), dim=-1
            )
            for i in tqdm(starts, desc='prompts', disable=len(starts) < LONG)
        ]
        return average_prompts(torch.cat(encoded).unflatten(0, (len(classes), -1)))
