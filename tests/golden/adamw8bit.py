"""Makes ../kernels/golden/adamw8bit.safetensors: steps of bitsandbytes' block-wise 8-bit AdamW.

    pip install torch bitsandbytes numpy safetensors
    python tests/golden/adamw8bit.py

bitsandbytes defines the step in PyTorch too, and that is what runs here: its CPU kernel takes the place of a number in the map from a coarse
table, and gives 0 a code that is not 0. What is what is written into the file's metadata.
"""

import pathlib

import bitsandbytes
import bitsandbytes.functional as functional
import torch
from bitsandbytes.backends.triton.kernels_optim import optimizer_update_8bit_blockwise_pytorch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent.parent / "kernels" / "golden"
COUNT, STEPS = 700, 6
NOTE = (
    "Made by tests/golden/adamw8bit.py with torch {}, bitsandbytes {} (optimizer_update_8bit_blockwise_pytorch, 'adam') on `start` with the rows of "
    "`gradients`, betas 0.9 0.999, eps 1e-8, lr 0.01, weight_decay 0.1, gnorm_scale 0.5. values.S, first.S, second.S: after step S (from 1); "
    "first_scales.S, second_scales.S: the largest magnitudes of the blocks of 256."
)


def main():
    random = torch.Generator().manual_seed(9)
    start = torch.randn(COUNT, generator=random)
    sizes = 10 ** torch.empty(COUNT).uniform_(-4, 0, generator=random)
    gradients = torch.randn(STEPS, COUNT, generator=random) * sizes
    gradients[:, 100:110] = 0
    blocks = -(-COUNT // 256)
    maps = [functional.create_dynamic_map(signed=True), functional.create_dynamic_map(signed=False)]
    states = [torch.full((COUNT,), int((m == 0).nonzero()[0]), dtype=torch.uint8) for m in maps]
    scales = [torch.zeros(blocks), torch.zeros(blocks)]
    tensors = {"start": start.clone(), "gradients": gradients}
    values = start
    for step in range(1, STEPS + 1):
        optimizer_update_8bit_blockwise_pytorch(
            values, gradients[step - 1].clone(), states[0], states[1], 0.9, 0.999, 0.0, 0.0, 1e-8, step, 0.01,
            maps[0], maps[1], scales[0], scales[1], 0.1, 0.5, False, optimizer_name="adam",
        )
        for name, tensor in zip(["values", "first", "second", "first_scales", "second_scales"], [values, *states, *scales]):
            tensors[f"{name}.{step}"] = tensor.clone()
    save_file(tensors, OUT / "adamw8bit.safetensors", metadata={"note": NOTE.format(torch.__version__, bitsandbytes.__version__)})
    print({name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()})


if __name__ == "__main__":
    main()
