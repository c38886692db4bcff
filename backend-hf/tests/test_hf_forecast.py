"""What memory weights take, told before they are fetched."""

import pytest
import torch
from hf_device import Hardware
from hf_download import RemoteWeights
from hf_forecast import forecast
from hf_load_options import LoadOptions

LARGE = RemoteWeights(stored_bytes=10 ** 18, parameters=10 ** 18, is_quantized=False)


@pytest.mark.parametrize(('weights', 'options', 'expected'), [
    (RemoteWeights(4000, 1000, False), LoadOptions(), (4000, torch.float32)),
    (LARGE, LoadOptions(), (2 * 10 ** 18, torch.bfloat16)),  # float32 does not fit
    (LARGE, LoadOptions(dtype='float32'), (4 * 10 ** 18, torch.float32)),
    (LARGE, LoadOptions(bits=8), (2 * 10 ** 18, torch.bfloat16)),  # loaded whole, and quantized then
    (LARGE, LoadOptions(device='mps', bits=4), (10 ** 18 // 2, torch.float16)),
    (RemoteWeights(4000, 1000, True), LoadOptions(), (4000, torch.float32)),
])
def test_forecast(weights: RemoteWeights, options: LoadOptions, expected: tuple[int, torch.dtype]) -> None:
    assert forecast(weights, options, Hardware()) == expected
