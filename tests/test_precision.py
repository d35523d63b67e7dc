"""bfloat16 is computed with where there is hardware for it, and 32 bits elsewhere."""

import pytest
import torch

from discern_vqa.nn import precision


@pytest.mark.parametrize("flags", [(True, False), (False, True), (False, False)])
def test_a_processor_without_bfloat16_computes_in_32_bits(monkeypatch, flags):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: flags[0])
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: flags[1])
    assert precision.computed("bf16") == ("bf16" if any(flags) else "fp32")
    assert precision.computed("fp32") == "fp32"


def test_a_gpu_has_bfloat16_whatever_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    assert precision.computed("bf16") == "bf16"
