"""TorchScript archives of a CLIP, with what OpenAI's hold."""

import torch
from torch import nn


class Published(nn.Module):
    """A CLIP and the three sizes that OpenAI keeps in buffers."""

    def __init__(self, clip):
        super().__init__()
        for name, module in clip.named_children():
            self.add_module(name, module)
        for name, parameter in clip.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        for name, value in dict(input_resolution=32, context_length=24, vocab_size=49408).items():
            self.register_buffer(name, torch.tensor(value))

    def forward(self, images):
        return self.visual(images)


def script_archive(clip, path, half):
    """Trace a CLIP's image side and save it with all its weights, in half precision or not."""
    with torch.no_grad():
        traced = torch.jit.trace(Published(clip), torch.zeros(1, 3, 32, 32), check_trace=False)
    traced = traced.half() if half else traced
    torch.jit.save(traced, str(path))
