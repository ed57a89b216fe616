"""Adam: torch's own class, to the bit, without torch's compiler."""

import subprocess
import sys

import torch
from torch import Tensor, nn

from kdlib.adam import Adam


def network() -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3, bias=False))
    return made.to(memory_format=torch.channels_last)


def loss(network: nn.Module, step: int) -> Tensor:
    x = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(step))
    return network(x).square().mean()


def test_steps_are_those_of_torch() -> None:
    ours, theirs = network(), network()
    adam, expected = Adam(ours.parameters(), 1e-2), torch.optim.Adam(theirs.parameters(), lr=1e-2, fused=True)
    for step in range(5):
        loss(ours, step).backward()
        adam.step()
        expected.zero_grad()
        loss(theirs, step).backward()
        expected.step()
    for number, (p, q) in enumerate(zip(ours.parameters(), theirs.parameters(), strict=True)):
        assert torch.equal(p, q)
        assert p.grad is None
        assert adam.tensors()[f"{number}.step"] == 5


def test_it_goes_on_from_its_state() -> None:
    whole, parts = network(), network()
    adam = Adam(whole.parameters(), 1e-2)
    first = Adam(parts.parameters(), 1e-2)
    for step in range(4):
        if step == 2:
            second = Adam(parts.parameters(), 1e-2)
            second.load({name: value.contiguous() for name, value in first.tensors().items()})  # as a file has them
            first = second
        for model, optimizer in ((whole, adam), (parts, first)):
            loss(model, step).backward()
            optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(whole.parameters(), parts.parameters(), strict=True))


def test_it_does_not_import_the_compiler() -> None:
    code = (
        "import sys, torch; from kdlib.adam import Adam\n"
        "p = torch.zeros(3, requires_grad=True); p.sum().backward(); Adam([p], 0.1).step()\n"
        "print(bool((p < 0).all()), 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
