"""Golden values of the reference implementation, and the bookkeeping that no value is forgotten.

A parity test opens a recording with `GoldenFile`, compares what the package computes with
`check`, and ends with `finish`, which fails on every recorded result that was not looked at.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

FIXTURES = Path(
    os.environ.get('CLIPSELF_FIXTURES', Path(__file__).parents[1] / 'data' / 'fixtures')
)


def fixture_json(file_name: str) -> Any:
    """Read a JSON file of the fixture folder."""
    return json.loads((FIXTURES / file_name).read_text(encoding='utf-8'))


def fixture_weights(name: str) -> dict[str, torch.Tensor]:
    """Read `<name>.safetensors` of the fixture folder."""
    return load_file(str(FIXTURES / f'{name}.safetensors'))


class Golden:
    """Recorded results, and which of them were looked at.

    Args:
        name: What messages call the file.
        outputs: The results.

    Attributes:
        outputs: The results. Reading one does not count as a comparison, only `check` does.
    """

    def __init__(self, name: str, outputs: dict[str, np.ndarray]) -> None:
        self.name = name
        self.outputs = outputs
        self.compared: set[str] = set()

    def check(
        self,
        key: str,
        value: Any,
        tolerance: float = 1e-5,
        where: np.ndarray | None = None,
        limit: Any = None,
    ) -> None:
        """Compare a computed value with the recorded one.

        Floats may differ by `tolerance` times the largest magnitude of the recorded array
        (infinities and NaN must stand at the same places); everything else must be equal.

        Args:
            key: Key of the recording, without `out.`.
            value: Array, tensor or number of the recorded shape.
            tolerance: Share of the largest finite magnitude.
            where: Elements to compare, all when None.
            limit: What floats may differ by instead, a number or an array that broadcasts.
        """
        key = key.removeprefix('out.')
        assert key in self.outputs, f'{self.name} has no {key}'
        self.compared.add(key)
        golden = self.outputs[key]
        value = value.detach().cpu().numpy() if torch.is_tensor(value) else np.asarray(value)
        label = f'{self.name} {key}'
        assert where is None or np.any(where), f'{label}: nothing is compared'
        assert value.shape == golden.shape, f'{label}: shape {value.shape}, not {golden.shape}'
        if golden.dtype.kind != 'f':
            selected = slice(None) if where is None else where
            np.testing.assert_array_equal(value[selected], golden[selected], err_msg=label)
            return
        finite = np.isfinite(golden)
        if limit is None:
            limit = tolerance * (np.abs(golden[finite]).max(initial=0) or 1)
        limit = np.broadcast_to(limit, golden.shape)
        where = np.ones(golden.shape, bool) if where is None else where
        np.testing.assert_array_equal(
            value[where & ~finite], golden[where & ~finite], err_msg=label
        )
        selected = where & finite
        difference = np.abs(value[selected].astype(np.float64) - golden[selected])
        # Negated so that a NaN fails.
        assert not difference.size or not np.any(~(difference <= limit[selected])), (
            f'{label}: differs by {difference.max():.3g}, allowed {limit.max():.3g}'
        )

    def finish(self, exempt: dict[str, str] | None = None) -> None:
        """Fail unless every recorded result was compared or is exempted for a stated reason.

        Args:
            exempt: Key (without `out.`) to the reason why it is not compared.
        """
        exempt = {key.removeprefix('out.'): why for key, why in (exempt or {}).items()}
        unknown = sorted(set(exempt) - set(self.outputs))
        assert not unknown, f'{self.name}: exemptions that do not exist: {unknown}'
        unreasoned = sorted(key for key, why in exempt.items() if not why)
        assert not unreasoned, f'{self.name}: exemptions without a reason: {unreasoned}'
        needless = sorted(set(exempt) & self.compared)
        assert not needless, f'{self.name}: exempted yet compared: {needless}'
        forgotten = sorted(set(self.outputs) - self.compared - set(exempt))
        assert not forgotten, f'{self.name}: never compared: {forgotten}'


class GoldenFile(Golden):
    """One recording `<name>.npz` with its section of `config.json`.

    Args:
        name: File name without ending.
        config: Section of `config.json`, the name of the file when None. A file without a
            section has an empty config.

    Attributes:
        config: The section of `config.json`.
        inputs: Arrays `in.*`, keys without the prefix.
        weights: Arrays `w.*`, keys without the prefix.
        meta: Arrays `meta.*`, keys without the prefix.
        outputs: Arrays `out.*`, keys without the prefix.
    """

    def __init__(self, name: str, config: str | None = None) -> None:
        self.config: dict = fixture_json('config.json').get(config or name, {})
        groups: dict[str, dict[str, np.ndarray]] = {'in': {}, 'w': {}, 'meta': {}, 'out': {}}
        with np.load(FIXTURES / f'{name}.npz') as arrays:
            for key in arrays.files:
                group, _, rest = key.partition('.')
                groups[group][rest] = arrays[key]
        super().__init__(f'{name}.npz', groups['out'])
        self.inputs = groups['in']
        self.weights = groups['w']
        self.meta = groups['meta']
