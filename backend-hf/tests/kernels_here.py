"""Whether this machine has the kernels: without a C++ compiler their tests say loudly that they did not run."""

import hf_kernels
import pytest


def _why_not() -> str:
    try:
        hf_kernels.load()
    except hf_kernels.KernelsError as error:
        return str(error)
    return ''


WHY_NOT = _why_not()
# Not a failure: Sandle runs without a compiler, only slower.
NEEDS_KERNELS = pytest.mark.skipif(bool(WHY_NOT), reason=f'NO KERNELS HERE ({WHY_NOT}): they are NOT tested')
