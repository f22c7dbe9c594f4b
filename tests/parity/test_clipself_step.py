"""One CLIPSelf step against the reference: features, loss, every gradient, decay groups."""

import pytest
import torch

from clipself_mm.clip import roi_pool
from clipself_mm.losses import CosineDistillLoss
from clipself_mm.optim.no_bias_decay_constructor import split_by_dimension
from tests.parity.fixtures import GoldenFile, fixture_json
from tests.parity.tiny_towers import build_tower, logit_scale, recorded_names

pytestmark = pytest.mark.parity


@pytest.mark.parametrize('kind', ['eva', 'openai'])
def test_clipself_step(kind):
    golden = GoldenFile(f'clipself_step_{kind}', config='clipself_step')
    config = fixture_json('config.json')
    student_file, teacher_file = f'clipself_step_{kind}_student', f'{kind}_tiny_weights'
    recorded_name = recorded_names(student_file)
    images = torch.from_numpy(golden.inputs['images'])
    boxes = torch.from_numpy(golden.inputs['normed_boxes'])
    valid = boxes[..., -1] > 0.5
    boxes_px = [box[keep, :4] * images.shape[-1] for box, keep in zip(boxes, valid, strict=True)]
    crops = torch.from_numpy(golden.inputs['image_crops'])[valid]
    teacher = build_tower(teacher_file, config)
    with torch.no_grad():
        target = teacher.encode_image(crops)
    golden.check('teacher_crop_features', target)
    golden.check('logit_scale', logit_scale(student_file))
    prefix = 'loss_cosine_'
    for case in [key.removeprefix(prefix) for key in golden.outputs if key.startswith(prefix)]:
        unlocked = None if case == 'all' else int(case.removeprefix('last'))
        student = build_tower(student_file, config).train()
        student.unlock_blocks(unlocked)
        pooled = roi_pool(student.encode_dense(images), boxes_px, student.patch_size)
        if case == 'all':
            golden.check('student_roi_features', pooled)
        loss = CosineDistillLoss()(pooled, target)
        loss.backward()
        golden.check(f'loss_cosine_{case}', loss)
        gradients = {
            recorded_name[name]: parameter.grad
            for name, parameter in student.named_parameters()
            if parameter.grad is not None
        }
        _check_gradients(golden, case, gradients)
        _check_names(golden, case, student, recorded_name, set(gradients))
    golden.finish()


def test_activation_checkpointing_leaves_the_gradients_alone():
    config = fixture_json('config.json')
    images = torch.from_numpy(GoldenFile('clipself_step_eva', 'clipself_step').inputs['images'])
    gradients = []
    for checkpointing in (False, True):
        student = build_tower('clipself_step_eva_student', config).train()
        student.unlock_blocks(3)
        student.activation_checkpointing = checkpointing
        student.encode_dense(images)[:, 0].square().sum().backward()
        gradients.append({n: p.grad for n, p in student.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-6, atol=0)


def _check_gradients(golden, case, gradients):
    names = [str(name) for name in golden.outputs[f'grad_names_{case}']]
    norms = torch.stack([gradients[name].norm() for name in names])
    golden.check(f'grad_norms_{case}', norms)
    golden.check(f'grad_global_norm_{case}', norms.norm())
    prefix = 'grad.' if case == 'all' else f'grad_{case}.'
    full = [key for key in golden.outputs if key.startswith(prefix)]
    assert full
    for key in full:
        golden.check(key, gradients[key.removeprefix(prefix)])


def _check_names(golden, case, student, recorded_name, with_gradient):
    """Lists are compared as sets of names, in the recorded order."""
    off_path = {id(p) for p in student.parameters_off_value_path(student.blocks[-1])}
    without = {recorded_name[n] for n, p in student.named_parameters() if id(p) in off_path}
    without |= {'logit_scale'}  # the towers here leave it in the file
    expected = {
        f'grad_names_{case}': with_gradient,
        f'trainable_without_grad_names_{case}': without,
        f'trainable_names_{case}': with_gradient | without,
    }
    if case == 'all':
        groups = ('weight_decay_names_all', 'no_weight_decay_names_all')
        name_of = {id(p): recorded_name[n] for n, p in student.named_parameters()}
        for key, group in zip(groups, split_by_dimension(student), strict=True):
            # What gets no gradient is in no group of ours.
            expected[key] = {name_of[id(p)] for p in group} | (set(golden.outputs[key]) & without)
    for key, names in expected.items():
        recorded = [str(name) for name in golden.outputs[key]]
        assert set(recorded) == names, key
        golden.check(key, [name for name in recorded if name in names])
