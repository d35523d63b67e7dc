"""Which path the scan takes, how one is forced, and what is said when it cannot be taken."""

import importlib
import sys
import types

import pytest
import torch
from _scan import assert_agree, scan_inputs, slow_twin, value_and_gradients

from discern_vqa.errors import ConfigError
from discern_vqa.nn import scan

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def installed(monkeypatch):
    """`installed("triton")`: of the optional packages, these and no others can be imported."""

    def only(*packages: str) -> None:
        monkeypatch.setattr(scan, "_cannot_import", lambda package, module: "" if package in packages else "absent")

    return only


def test_a_processor_takes_the_compiled_path_for_float32_where_it_can(installed):
    installed("llvmlite", "triton", "mamba_ssm")
    assert scan.choose(CPU, torch.float32, 16, 1) == scan.choose(CPU, torch.float32, 16, 609) == "compiled"
    assert scan.choose(CPU, torch.float64, 16, 609) == "stepwise"
    assert scan.choose(CPU, torch.float32, 513, 609) == "stepwise"
    installed()
    assert scan.choose(CPU, torch.float32, 16, 609) == "stepwise"


def test_a_gpu_takes_the_authors_kernel_then_triton_then_plain_torch_by_length(installed):
    installed("llvmlite", "triton", "mamba_ssm")
    assert scan.choose(CUDA, torch.float32, 16, 64) == "mamba_ssm"
    installed("llvmlite", "triton")
    assert scan.choose(CUDA, torch.float32, 16, 64) == "triton"
    assert scan.choose(CUDA, torch.float64, 16, 64) == "stepwise"
    installed("llvmlite")
    assert scan.choose(CUDA, torch.float32, 16, 64) == "stepwise"
    assert scan.choose(CUDA, torch.float32, 16, 128) == "tree"


def test_this_installation_has_the_compiled_path():
    assert scan.choose(CPU, torch.float32, 16, 64) == "compiled"


def test_what_is_exported_is_the_definition():
    class Scan(torch.nn.Module):
        def forward(self, *given):
            return scan.selective_scan(*given)

    given = tuple(tensor.detach() for tensor in scan_inputs(1, 6, 4, 2, dtype=torch.float32))
    exported = torch.export.export(Scan(), given).module()
    other = [tensor.detach() for tensor in scan_inputs(1, 6, 4, 2, dtype=torch.float32, seed=5)]
    torch.testing.assert_close(exported(*other), scan.selective_scan(*other))


def test_the_environment_forces_a_path_and_the_argument_has_the_last_word(monkeypatch):
    taken = []
    for path in ("reference", "stepwise"):
        plain = scan.PLAIN[path]
        monkeypatch.setitem(scan.PLAIN, path, lambda *args, p=path, f=plain: (taken.append(p), f(*args))[1])
    given = scan_inputs(1, 4, 3, 2, dtype=torch.float32)
    monkeypatch.setenv("DISCERN_SCAN", "stepwise")
    scan.selective_scan(*given)
    scan.selective_scan(*given, path="reference")
    assert taken == ["stepwise", "reference"]


def test_a_path_that_does_not_exist_is_refused_with_those_that_do(monkeypatch):
    monkeypatch.setenv("DISCERN_SCAN", "fastest")
    with pytest.raises(ConfigError, match="'fastest'") as caught:
        scan.selective_scan(*scan_inputs(1, 4, 3, 2))
    assert "stepwise" in caught.value.hint


def test_a_path_that_cannot_be_taken_says_why(installed):
    given = scan_inputs(1, 4, 3, 2)
    with pytest.raises(ConfigError, match="'compiled'.* float32, not in float64"):
        scan.selective_scan(*given, path="compiled")
    with pytest.raises(ConfigError, match="'mamba_ssm'.* on cuda, not on cpu"):
        scan.selective_scan(*given, path="mamba_ssm")
    installed()
    with pytest.raises(ConfigError, match="'compiled'.* absent"):
        scan.selective_scan(*(tensor.float() for tensor in given), path="compiled")


def test_a_package_that_is_there_and_does_not_load_is_warned_about_once(monkeypatch, tmp_path):
    (tmp_path / "half_installed.py").write_text("raise OSError('libhalf.so: not found')")
    monkeypatch.syspath_prepend(tmp_path)
    scan._cannot_import.cache_clear()
    with pytest.warns(UserWarning, match="half_installed is installed and does not load.*libhalf"):
        assert "libhalf.so" in scan._cannot_import("half_installed", "half_installed")
    assert "libhalf.so" in scan._cannot_import("half_installed", "half_installed")
    assert scan._cannot_import("nowhere_to_be_found", "nowhere_to_be_found") == "nowhere_to_be_found is not installed"
    scan._cannot_import.cache_clear()


@pytest.mark.parametrize(
    ("name", "shape"),
    [("dt", (2, 5, 4)), ("A", (4, 4)), ("B", (2, 5, 3)), ("C", (1, 5, 4)), ("D", (4,))],
)
def test_shapes_that_do_not_fit_are_named(name, shape):
    given = dict(zip("x dt A B C D".split(), scan_inputs(2, 5, 3, 4), strict=True))
    with pytest.raises(ValueError, match=rf"{name} is .*, not \({shape[0]},"):
        scan.selective_scan(**{**given, name: torch.zeros(shape)})


def test_masks_and_empty_sequences_that_make_no_sense_are_refused():
    given = scan_inputs(2, 5, 3, 4)
    for keep in (torch.ones(2, 5), torch.ones(5, 2, dtype=torch.bool)):
        with pytest.raises(ValueError, match="keep is bool and"):
            scan.selective_scan(*given, keep=keep)
    with pytest.raises(ValueError, match="nothing to scan"):
        scan.selective_scan(*(tensor[:, :0] if tensor.dim() == 3 else tensor for tensor in given))


def test_the_authors_kernel_is_called_with_its_own_layout(monkeypatch):
    """A stand-in with the calling convention of mamba-ssm's `selective_scan_fn`: lengths last, softplus on request."""

    def selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False):
        assert u.shape == delta.shape == (2, 12, 37)
        assert B.shape == C.shape == (2, 6, 37)
        assert all(tensor.stride(-1) == 1 for tensor in (u, delta, B, C))
        assert z is delta_bias is None
        assert not delta_softplus
        moved = [tensor.transpose(1, 2) for tensor in (u, delta, B, C)]
        y = importlib.import_module("discern_vqa.nn.scan.reference").scan(*moved[:2], A, *moved[2:], D)
        return y.transpose(1, 2)

    module = types.ModuleType("selective_scan_interface")
    module.selective_scan_fn = selective_scan_fn
    monkeypatch.setitem(sys.modules, "mamba_ssm.ops.selective_scan_interface", module)
    monkeypatch.setattr(scan, "_obstacle", lambda *_: "")
    given = scan_inputs(2, 37, 12, 6)
    keep = torch.arange(37).expand(2, 37) < 30
    for options in ({}, {"keep": keep, "reverse": True}):
        assert_agree(value_and_gradients(given, path="mamba_ssm", **options), slow_twin(given, **options), 1e-12)
