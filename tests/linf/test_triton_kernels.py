"""The kernels for GPUs: by Triton's interpreter in a process of its own, compiled for Hopper, run where a GPU is."""

import importlib.util
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from asymcert.linf.kernels import backend, lp_distance

CASES = Path(__file__).with_name("triton_interpreted.py")


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", str(CASES), "-n", "0", "-q", "-p", "no:cacheprovider"]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=CASES.parents[2])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION")
@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("_max_kernel", {"with_index": True}),
        ("_bounds_kernel", {}),
        ("_power_kernel", {"even": 0}),
        ("_power_kernel", {"even": 8}),
        ("_gradient_kernel", {"even": 0}),
        ("_gradient_kernel", {"even": 8}),
    ],
)
def test_compiles_for_hopper(name, constants):
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from asymcert.linf.kernels import triton_kernels

    kernel = getattr(triton_kernels, name)
    constants = constants | {"tile": triton_kernels.TILE, "unroll": triton_kernels.UNROLL}
    types = dict.fromkeys(constants, "constexpr") | dict.fromkeys("nmd", "i32") | {"p": "fp32", "power": "fp32"}
    types |= {"index": "*i32"}
    signature = {argument: types.get(argument, "*fp32") for argument in kernel.arg_names}
    target = GPUTarget("cuda", 90, 32)
    source = ASTSource(kernel, signature, constants)
    compiled = triton.compile(source, target=target, options={"num_warps": triton_kernels.WARPS})
    assert ".target sm_90" in compiled.asm["ptx"]
    assert ".local" not in compiled.asm["ptx"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("p", [1.7, 8.0, 23.7, math.inf])
def test_on_a_gpu(p):
    x, w = torch.rand(100, 300, requires_grad=True), torch.randn(130, 300, requires_grad=True)
    there = [value.detach().cuda().requires_grad_() for value in (x, w)]
    assert backend(there[0], p) == "triton"
    here, distant = lp_distance(x, w, p), lp_distance(*there, p)
    torch.testing.assert_close(distant.cpu(), here, rtol=1e-5, atol=0)
    ours, theirs = torch.autograd.grad(distant.sum(), there), torch.autograd.grad(here.sum(), (x, w))
    torch.testing.assert_close([g.cpu() for g in ours], list(theirs), rtol=1e-3, atol=1e-4)
