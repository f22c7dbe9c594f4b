import pytest
import torch

from clipself_mm.hooks import blend_state


def test_by_hand():
    blended = blend_state({'w': torch.tensor([1.0, 4.0])}, {'w': torch.tensor([3.0, 0.0])}, 0.75)
    assert blended['w'].tolist() == [1.5, 3.0]


def test_extra_keys_of_the_teacher_are_dropped_and_order_is_kept():
    student = {'b': torch.ones(1), 'a': torch.ones(1)}
    teacher = {'a': torch.ones(1), 'extra': torch.ones(1), 'b': torch.ones(1)}
    assert list(blend_state(student, teacher, 0.5)) == ['b', 'a']


def test_equal_entries_and_alpha_0_and_1_are_exact():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(1000, generator=generator) for _ in range(2))
    states = {'frozen': teacher, 'w': student}, {'frozen': teacher, 'w': teacher}
    assert torch.equal(blend_state(*states, 0.7)['frozen'], teacher)
    assert torch.equal(blend_state(*states, 1.0)['w'], student)
    assert torch.equal(blend_state(*states, 0.0)['w'], teacher)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_floats_keep_their_dtype(dtype):
    blended = blend_state({'w': torch.tensor([1.0], dtype=dtype)}, {'w': torch.tensor([0.0])}, 0.5)
    assert blended['w'].dtype == dtype
    assert blended['w'].item() == 0.5


def test_integers_and_flags_keep_their_dtype():
    student = {'count': torch.tensor(74), 'flag': torch.tensor([True, False])}
    teacher = {'count': torch.tensor(25), 'flag': torch.tensor([True, True])}
    blended = blend_state(student, teacher, 0.7)
    assert blended['count'].dtype == torch.int64
    assert blended['count'].item() == 59
    assert blended['flag'].tolist() == [True, False]


def test_result_shares_no_memory():
    weight = torch.nn.Parameter(torch.ones(2))
    blended = blend_state({'w': weight}, {'w': weight}, 1.0)
    blended['w'].zero_()
    assert weight.tolist() == [1.0, 1.0]
    assert not blended['w'].requires_grad


def test_state_dict_mismatch_raises():
    with pytest.raises(KeyError, match=r'\b1\b.*\b2\b.*head\.bias'):
        blend_state({'w': torch.ones(1), 'head.bias': torch.ones(1)}, {'w': torch.ones(1)}, 0.5)
    with pytest.raises(ValueError, match=r'\bw\b.*\(2,\).*\(2, 1\)'):
        blend_state({'w': torch.ones(2)}, {'w': torch.ones(2, 1)}, 0.5)
    with pytest.raises(ValueError, match=r'alpha.*\[0, 1\].*\b1\.5\b'):
        blend_state({}, {}, 1.5)
