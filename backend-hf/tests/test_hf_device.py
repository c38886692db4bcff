"""Devices and number formats, for machines of every kind."""

from pathlib import Path

import hf_device
import pytest
import torch
from hf_device import DeviceError, Hardware

PLAIN_CPU = Hardware()
FAST_CPU = Hardware(has_fast_cpu_bf16=True)
OLD_GPU = Hardware(cuda_devices=1)
NEW_GPUS = Hardware(cuda_devices=2, has_cuda_bf16=True)
MAC = Hardware(has_mps=True)
LARGE = 10 ** 9
PLENTY = 2 ** 40


@pytest.mark.parametrize(('option', 'hardware', 'device'), [
    ('auto', PLAIN_CPU, 'cpu'), ('auto', NEW_GPUS, 'cuda'), ('auto', MAC, 'mps'), ('cpu', NEW_GPUS, 'cpu'),
    ('cuda', OLD_GPU, 'cuda'), ('cuda:1', NEW_GPUS, 'cuda:1'), ('mps', MAC, 'mps'),
])
def test_device_is_chosen_by_option_and_machine(option: str, hardware: Hardware, device: str) -> None:
    assert hf_device.choose_device(option, hardware) == device


@pytest.mark.parametrize(('option', 'hardware', 'words'), [
    ('cuda', PLAIN_CPU, '--device cpu or auto'), ('cuda:2', NEW_GPUS, 'has 2 GPU'), ('mps', PLAIN_CPU, 'no Metal GPU'),
    ('gpu', NEW_GPUS, "'gpu' is none of"), ('cuda:x', NEW_GPUS, 'is none of'), ('', PLAIN_CPU, 'is none of'),
])
def test_device_that_is_not_there_is_refused_in_one_line(option: str, hardware: Hardware, words: str) -> None:
    with pytest.raises(DeviceError) as caught:
        hf_device.choose_device(option, hardware)
    assert words in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(('device', 'hardware', 'parameters', 'free', 'dtype'), [
    ('cuda', NEW_GPUS, LARGE, PLENTY, torch.bfloat16), ('cuda:0', OLD_GPU, LARGE, PLENTY, torch.float16),
    ('mps', MAC, LARGE, PLENTY, torch.float16),
    ('cpu', FAST_CPU, 3_000_000, PLENTY, torch.float32), ('cpu', FAST_CPU, LARGE, PLENTY, torch.bfloat16),
    ('cpu', PLAIN_CPU, LARGE, PLENTY, torch.float32), ('cpu', PLAIN_CPU, LARGE, 3 * LARGE, torch.bfloat16),
])
def test_auto_dtype_suits_hardware_and_model(device: str, hardware: Hardware, parameters: int, free: int,
                                             dtype: torch.dtype) -> None:
    assert hf_device.choose_dtype('auto', device, hardware, parameters, free) is dtype


def test_dtype_that_is_named_is_taken() -> None:
    assert hf_device.choose_dtype('float32', 'cuda', NEW_GPUS, LARGE, 0) is torch.float32


@pytest.mark.parametrize('hardware', [PLAIN_CPU, FAST_CPU])
@pytest.mark.parametrize('parameters', [1, LARGE, 100 * LARGE])
@pytest.mark.parametrize('free', [0, LARGE, PLENTY])
def test_float16_is_never_forced_on_a_cpu(hardware: Hardware, parameters: int, free: int) -> None:
    """The original loaded every model as fp16, on a CPU too, where it could not run."""
    assert hf_device.choose_dtype('auto', 'cpu', hardware, parameters, free) is not torch.float16


def test_float16_on_a_cpu_is_refused_when_asked_for() -> None:
    with pytest.raises(DeviceError, match='is for GPUs'):
        hf_device.check_dtype('float16', 'cpu')
    hf_device.check_dtype('float16', 'cuda')
    hf_device.check_dtype('bfloat16', 'cpu')


def test_quantization_on_a_gpu_needs_cuda_and_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match='for CPUs and for CUDA GPUs'):
        hf_device.check_quantization(8, 'mps')
    hf_device.check_quantization(4, 'cpu')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(DeviceError, match='pip install bitsandbytes'):
        hf_device.check_quantization(8, 'cuda')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: object())
    hf_device.check_quantization(8, 'cuda:0')


@pytest.mark.parametrize(('flags', 'is_fast'), [
    ('avx2 avx512f', False), ('avx512f avx512_bf16', True), ('amx_bf16 amx_tile', True), ('asimd bf16', True)])
def test_fast_bfloat16_is_read_from_the_cpus_flags(tmp_path: Path, flags: str, is_fast: bool) -> None:
    (tmp_path / 'cpuinfo').write_text(f'processor: 0\nflags\t: fpu {flags} sse\n')
    assert hf_device._has_fast_cpu_bf16(tmp_path / 'cpuinfo') is is_fast
    assert not hf_device._has_fast_cpu_bf16(tmp_path / 'none')


def test_offload_folder_is_made_or_refused(tmp_path: Path) -> None:
    hf_device.make_offload_dir(tmp_path / 'a' / 'b')
    assert (tmp_path / 'a' / 'b').is_dir()
    (tmp_path / 'file').write_text('')
    with pytest.raises(DeviceError, match='--offload-dir .*file/x cannot be written: Not a directory'):
        hf_device.make_offload_dir(tmp_path / 'file' / 'x')
