"""Makes ../kernels/golden/bitsandbytes.safetensors: weights that bitsandbytes quantised on the CPU, as bytes and as numbers.

    pip install torch bitsandbytes numpy safetensors
    python tests/golden/bitsandbytes_storage.py

What is what is written into the file's metadata.
"""

import pathlib

import bitsandbytes
import bitsandbytes.functional as functional
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parent.parent / "kernels" / "golden"
NOTE = (
    "Made by tests/golden/bitsandbytes_storage.py with torch {}, bitsandbytes {} on the CPU. signed, unsigned: create_dynamic_map. NAME.weight: "
    "float32; NAME.codes, .absmax, .nested, .offset: quantize_4bit(quant_type nf4, blocksize 64, compress_statistics); NAME.values: dequantize_4bit of it. "
    "row.codes, row.absmax: int8_vectorwise_quant of normal.weight."
)


def weights():
    """Name and matrix: ordinary weights, some outliers, rows shorter than a block, an odd count, and blocks of zeros."""
    random = torch.Generator().manual_seed(5)
    normal = torch.randn(64, 320, generator=random) * 0.02
    outliers = torch.randn(40, 448, generator=random) * 0.05
    outliers[torch.rand(40, 448, generator=random) < 0.002] *= 40
    short = torch.randn(37, 48, generator=random)
    odd = torch.randn(7, 31, generator=random) * 3
    zeros = torch.randn(6, 128, generator=random)
    zeros[2] = 0
    zeros[4, 64:] = 0
    return {"normal": normal, "outliers": outliers, "short": short, "odd": odd, "zeros": zeros}


def main():
    tensors = {"signed": functional.create_dynamic_map(signed=True).clone(), "unsigned": functional.create_dynamic_map(signed=False).clone()}
    for name, weight in weights().items():
        # As one row: the CPU kernel that expands expects rows of whole blocks.
        codes, state = functional.quantize_4bit(weight.reshape(-1), blocksize=64, compress_statistics=True, quant_type="nf4")
        tensors |= {
            f"{name}.weight": weight,
            f"{name}.codes": codes.reshape(-1),
            f"{name}.absmax": state.absmax.reshape(-1),
            f"{name}.nested": state.state2.absmax.reshape(-1),
            f"{name}.offset": state.offset.reshape(1),
            f"{name}.values": functional.dequantize_4bit(codes, state).reshape(weight.shape),
        }
    codes, absmax, _ = functional.int8_vectorwise_quant(weights()["normal"])
    tensors |= {"row.codes": codes, "row.absmax": absmax}
    note = NOTE.format(torch.__version__, bitsandbytes.__version__)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, OUT / "bitsandbytes.safetensors", metadata={"note": note})
    print({name: (tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()})


if __name__ == "__main__":
    main()
