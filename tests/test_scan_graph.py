"""The compiled scan in a graph: to torch.export and torch.compile it is one node, forward and backward."""

import pytest
import torch
from torch import nn

from discern_vqa.nn.scan import selective_scan

pytest.importorskip("llvmlite")
pytest.importorskip("discern_vqa.nn.scan.compiled")
pytestmark = pytest.mark.filterwarnings("ignore:Guards may run slower:RuntimeWarning")  # torch says so of Python 3.13.0


class Scan(nn.Module):
    """A layer whose channels and states fill no whole vector."""

    def __init__(self, path: str | None = None):
        super().__init__()
        draw = torch.Generator().manual_seed(1)
        self.A = nn.Parameter(-torch.rand(40, 6, generator=draw))
        self.D = nn.Parameter(torch.randn(40, generator=draw))
        self.path = path

    def forward(self, x, dt, B, C, keep, reverse=True):
        return 2 * selective_scan(x, dt, self.A, B, C, self.D, keep=keep, reverse=reverse, path=self.path)


def inputs():
    draw = torch.Generator().manual_seed(0)
    x, dt = torch.randn(2, 20, 40, generator=draw), torch.rand(2, 20, 40, generator=draw)
    B, C = (torch.randn(2, 20, 6, generator=draw) for _ in range(2))
    return [tensor.requires_grad_() for tensor in (x, dt, B, C)], torch.arange(20)[None] < torch.tensor([[20], [13]])


def answers(layer, run=None):
    """y, and the gradients of every input and parameter."""
    given, keep = inputs()
    y = (layer if run is None else run)(*given, keep)
    return [y.detach(), *torch.autograd.grad(y.square().sum(), [*given, *layer.parameters()])]


def nodes(graph_module):
    """The scan's nodes in a graph and in all the graphs inside it, and how many nodes compute an exponential."""
    graphs = [part.graph for part in graph_module.modules() if isinstance(part, torch.fx.GraphModule)]
    targets = [str(node.target) for graph in graphs for node in graph.nodes if node.op == "call_function"]
    scans = [target for target in targets if target.startswith("discern.selective_scan")]
    return scans, [target for target in targets if "exp" in target and "expand" not in target]


def test_an_exported_model_has_one_node_and_computes_as_the_reference_implementation():
    given, keep = inputs()
    exported = torch.export.export(Scan(), (*given, keep)).module()
    assert nodes(exported) == (["discern.selective_scan.default"], [])
    torch.testing.assert_close(exported(*given, keep), Scan("reference")(*given, keep), rtol=1e-5, atol=1e-5)
    assert torch.equal(exported(*given, keep), Scan()(*given, keep))


def test_a_compiled_model_has_one_node_forward_and_one_backward():
    graphs = []

    def seen(graph, example):
        graphs.append(graph)
        return make_boxed_func(graph.forward)

    from functorch.compile import make_boxed_func
    from torch._dynamo.backends.common import aot_autograd

    layer = Scan()
    torch._dynamo.reset()
    computed = answers(layer, torch.compile(layer, backend=aot_autograd(fw_compiler=seen), fullgraph=True))
    assert [nodes(graph) for graph in graphs] == [
        (["discern.selective_scan_cpu.default"], []),
        (["discern.selective_scan_cpu_backward.default"], []),
    ]
    assert all(torch.equal(one, other) for one, other in zip(computed, answers(layer), strict=True))
    for one, other in zip(computed, answers(Scan("reference")), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("masked", [True, False])
def test_the_operation_keeps_what_torch_asks_of_one(masked):
    (x, dt, B, C), keep = inputs()
    layer = Scan()
    given = (x, dt, layer.A, B, C, layer.D, keep if masked else None, not masked, True)
    # What the states of chunks that hold only padding are is left open, so whole outputs compare without a mask alone.
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    checks += () if masked else ("test_aot_dispatch_dynamic",)
    torch.library.opcheck(torch.ops.discern.selective_scan_cpu.default, given, test_utils=checks)


def test_a_scan_that_is_not_trained_keeps_no_states():
    (x, dt, B, C), keep = inputs()
    layer = Scan()
    sizes = {
        trains: torch.ops.discern.selective_scan_cpu(x, dt, layer.A, B, C, layer.D, keep, False, trains)[1].shape[1]
        for trains in (True, False)
    }
    assert sizes[False] == 1 < sizes[True]
