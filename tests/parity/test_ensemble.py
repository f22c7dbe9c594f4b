"""The weight ensemble against the release's `student_teacher_ensemble`."""

import pytest
import torch

from clipself_mm.hooks import blend_state
from tests.parity.fixtures import GoldenFile

pytestmark = pytest.mark.parity


def state(golden, owner):
    prefix = f'{owner}.'
    return {
        key.removeprefix(prefix): torch.from_numpy(value)
        for key, value in golden.inputs.items()
        if key.startswith(prefix)
    }


def test_ensemble():
    golden = GoldenFile('ensemble')
    student, teacher = state(golden, 'student'), state(golden, 'teacher')
    # 'alpha0.95.visual.head.weight': the number itself holds a dot.
    alphas = {'.'.join(key.split('.')[:2]) for key in golden.outputs}
    exempt = {}
    for alpha in sorted(alphas):
        blended = blend_state(student, teacher, float(alpha.removeprefix('alpha')))
        recorded = {key for key in golden.outputs if key.startswith(f'{alpha}.')}
        assert {f'{alpha}.{key}' for key in blended} == recorded
        for key, value in blended.items():
            assert value.dtype == student[key].dtype
            if value.is_floating_point():
                golden.check(f'{alpha}.{key}', value)
            else:
                # The release turns integers into floats; ours are the same number, rounded.
                expected = torch.from_numpy(golden.outputs[f'{alpha}.{key}']).round()
                assert torch.equal(value.double(), expected.double())
                exempt[f'{alpha}.{key}'] = 'integer buffers keep their dtype, compared rounded'
    golden.finish(exempt)
