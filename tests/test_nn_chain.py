import pytest
import torch
from torch import nn

from denoising_diffusion.nn import (
    Conditional,
    ConditionalChain,
    ConditionalSkipConnection,
    Parallel,
)


class AddConditions(Conditional):
    def forward(self, x, *conditions):
        return x + sum(conditions)


class Double(nn.Module):
    def forward(self, x):
        return 2 * x


def number(value):
    return torch.tensor([float(value)])


def test_conditions_go_to_conditional_layers_only():
    chain = ConditionalChain(Double(), AddConditions(), Double())
    assert chain(number(1), number(10), number(100)) == 2 * (2 + 110)
    assert chain(number(1), number(10)) == 2 * (2 + 10)
    assert chain(number(1)) == 4


def test_a_chain_inside_a_chain_gets_the_conditions():
    inner = ConditionalChain(AddConditions())
    assert ConditionalChain(Double(), inner)(number(3), number(1)) == 7


def test_the_empty_chain_is_the_identity():
    chain = ConditionalChain()
    assert len(chain) == 0
    assert chain(number(5), number(1)) == 5


def test_named_layers_are_submodules():
    first, second = nn.Linear(2, 3), nn.Linear(3, 1)
    chain = ConditionalChain(first=first, second=second)
    assert list(dict(chain.named_children())) == ["first", "second"]
    assert chain["second"] is chain[1] is chain[-1] is second
    assert chain.first is first
    assert list(chain.state_dict())[:2] == ["first.weight", "first.bias"]


def test_slices_keep_layers_and_names():
    chain = ConditionalChain(a=Double(), b=AddConditions(), c=Double())
    part = chain[1:]
    assert isinstance(part, ConditionalChain)
    assert [name for name, _ in part.named_children()] == ["b", "c"]
    assert part[0] is chain["b"]
    assert part(number(1), number(2)) == 6
    positional = ConditionalChain(Double(), AddConditions())[1:]
    assert list(dict(positional.named_children())) == ["1"]


def test_length_iteration_and_a_layer_used_twice():
    layer = Double()
    chain = ConditionalChain(layer, layer)
    assert len(chain) == 2
    assert list(chain) == [layer, layer]
    assert chain(number(1)) == 4


def test_unknown_places():
    chain = ConditionalChain(a=Double())
    with pytest.raises(IndexError):
        chain[1]
    with pytest.raises(KeyError):
        chain["b"]


def test_named_and_positional_layers_do_not_mix():
    with pytest.raises(ValueError, match="got 1 positional and 1 named"):
        ConditionalChain(Double(), a=Double())


@pytest.mark.parametrize("name", ["forward", "training", "parameters", "", "a.b"])
def test_names_that_a_module_cannot_have(name):
    with pytest.raises(ValueError, match=f"name of a layer must be new.*got '{name}'"):
        ConditionalChain(**{name: Double()})


def test_skip_connection_order_and_conditions():
    skip = ConditionalSkipConnection(AddConditions(), lambda h, x: h - 10 * x)
    assert skip(number(1), number(5)) == 6 - 10
    assert ConditionalSkipConnection(Double(), torch.add)(number(1), number(5)) == 3


def test_parallel_sums_one_branch_per_input():
    parallel = Parallel(Double(), nn.Identity(), Double())
    assert parallel(number(1), number(10), number(100)) == 2 + 10 + 200


def test_parallel_refuses_other_numbers_of_inputs():
    with pytest.raises(ValueError, match=r"got 1 inputs .* for 2 branches"):
        Parallel(Double(), Double())(number(1))
    with pytest.raises(ValueError, match="at least one module"):
        Parallel()
