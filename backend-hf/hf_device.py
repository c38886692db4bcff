"""Where a model goes and in which number format, chosen by what the machine has.

Knows hardware and memory; knows nothing of models but their number of parameters. `detect` is the only function that
looks at the machine, so that everything else can be tested for machines we do not have.
"""

import importlib.util
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from sandle.memory import main_memory

# Below this many parameters float32 is chosen on any CPU: a step is as fast as its overhead, and greedy answers are
# the same on every machine. Above it, one pass over 277 M weights on two Zen 5 cores took 50 / 113 / 122 ms in float32
# and 18 / 19 / 27 ms in bfloat16 at 1 / 4 / 16 rows, so a CPU with bfloat16 instructions uses them. Without them
# bfloat16 is converted for every product and is slower than float32. float16 is never chosen on a CPU: it is fast at
# one row only, and overflows where bfloat16 does not.
FLOAT32_BELOW_PARAMETERS = 50_000_000
HEADROOM = 1.1  # of memory: caches and activations beside the weights

DTYPES = {'bfloat16': torch.bfloat16, 'float16': torch.float16, 'float32': torch.float32}
DEVICE_PATTERN = re.compile(r'auto|cpu|mps|cuda(:\d+)?')


class DeviceError(Exception):
    """An option asks for what this machine does not have. The message is one line with a remedy."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What the machine has."""

    cuda_devices: int = 0
    has_cuda_bf16: bool = False
    has_mps: bool = False
    has_fast_cpu_bf16: bool = False


def detect() -> Hardware:
    """Looks at the machine."""
    cuda_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return Hardware(
        cuda_devices=cuda_devices,
        has_cuda_bf16=cuda_devices > 0 and all(
            torch.cuda.get_device_capability(index) >= (8, 0) for index in range(cuda_devices)),
        has_mps=torch.backends.mps.is_available(),
        has_fast_cpu_bf16=_has_fast_cpu_bf16(Path('/proc/cpuinfo')))


def _has_fast_cpu_bf16(cpuinfo: Path) -> bool:
    """Whether the CPU multiplies bfloat16 by instructions of its own (x86: AVX-512 BF16 or AMX; ARM: BF16)."""
    try:
        words = set(cpuinfo.read_text(encoding='utf-8', errors='replace').split())
    except OSError:  # no Linux
        return False
    return not words.isdisjoint({'avx512_bf16', 'amx_bf16', 'bf16'})


def choose_device(option: str, hardware: Hardware) -> str:
    """Returns cpu, mps, cuda (every GPU there is) or cuda:N for the value of --device. Raises DeviceError."""
    if not DEVICE_PATTERN.fullmatch(option):
        raise DeviceError(f'--device {option!r} is none of auto, cpu, cuda, cuda:N and mps.')
    if option == 'auto':
        return 'cuda' if hardware.cuda_devices else 'mps' if hardware.has_mps else 'cpu'
    if option.startswith('cuda'):
        if not hardware.cuda_devices:
            reason = 'this build of PyTorch is for the CPU' if torch.version.cuda is None else 'no GPU was found'
            raise DeviceError(f'--device {option}: {reason}; use --device cpu or auto.')
        index = int(option.partition(':')[2] or 0)
        if index >= hardware.cuda_devices:
            raise DeviceError(f'--device {option}: this machine has {hardware.cuda_devices} GPU(s), counted from 0.')
    if option == 'mps' and not hardware.has_mps:
        raise DeviceError('--device mps: this machine has no Metal GPU; use --device cpu or auto.')
    return option


def check_quantization(bits: int, device: str) -> None:
    """Raises DeviceError when --load-in-8bit or 4bit cannot work on a device (as `choose_device` returns it)."""
    if device == 'mps':
        raise DeviceError(f'--load-in-{bits}bit is for CPUs and for CUDA GPUs; leave it out.')
    if device.startswith('cuda') and importlib.util.find_spec('bitsandbytes') is None:
        raise DeviceError(f'--load-in-{bits}bit on a GPU needs the package bitsandbytes, which is not installed here: '
                          'pip install bitsandbytes.')


def check_dtype(option: str, device: str) -> None:
    """Raises DeviceError when a value of --dtype is of no use on a device."""
    if option == 'float16' and device == 'cpu':
        raise DeviceError('--dtype float16 is for GPUs; on a CPU use bfloat16, float32 or auto.')


def choose_dtype(option: str, device: str, hardware: Hardware, parameters: int, available_bytes: int) -> torch.dtype:
    """Returns the number format for a model of so many parameters, given the memory that is free for it."""
    if option != 'auto':
        return DTYPES[option]
    if device.startswith('cuda'):
        return torch.bfloat16 if hardware.has_cuda_bf16 else torch.float16
    if device == 'mps':
        return torch.float16
    if parameters < FLOAT32_BELOW_PARAMETERS:
        return torch.float32
    fits_in_float32 = 4 * parameters <= available_bytes
    return torch.bfloat16 if hardware.has_fast_cpu_bf16 or not fits_in_float32 else torch.float32


def available_memory(device: str, hardware: Hardware) -> int:
    """Returns the bytes free for a model: the GPUs' memory where there is one, and the main memory's else."""
    if device == 'cuda':
        return sum(torch.cuda.mem_get_info(index)[0] for index in range(hardware.cuda_devices))
    if device.startswith('cuda'):
        return torch.cuda.mem_get_info(int(device.partition(':')[2]))[0]
    return main_memory()


def roomiest_gpu(hardware: Hardware) -> tuple[str, int]:
    """Returns the GPU with the most free memory, as cuda:N, and the bytes that are free there."""
    free = [torch.cuda.mem_get_info(index)[0] for index in range(hardware.cuda_devices)]
    return f'cuda:{free.index(max(free))}', max(free)


def make_offload_dir(folder: Path) -> None:
    """Makes the folder of --offload-dir if it is not there. Raises DeviceError when it cannot be made or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise DeviceError(f'--offload-dir {folder} cannot be written: {error.strerror}.') from error
