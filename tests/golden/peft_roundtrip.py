"""Makes ../training/golden/peft_roundtrip.json: the logits that PEFT computes with adapters that so8t wrote.

    pip install torch transformers peft safetensors
    python tests/golden/peft_roundtrip.py [FOLDER]

The adapters lie in FOLDER/MODEL (../training/golden/roundtrip where absent): so8t trained them from the golden model of
that name, and PEFT loads them as they are. Fails where PEFT leaves out or misses a tensor, or an adapter changes nothing.
"""

import hashlib
import json
import pathlib
import sys
import warnings

import peft
import torch
import transformers
from safetensors.torch import load_file

GOLDEN = pathlib.Path(__file__).parent.parent / "training" / "golden"
NOTE = (
    "Made by tests/golden/peft_roundtrip.py with torch {}, transformers {} and peft {} in float32: logits of the model of that name with the "
    "adapter that so8t wrote into roundtrip/, [all tokens of golden.json's sequences end to end, vocabulary], row by row; sha256 is the adapter file's."
)


def logits(model, rows):
    """[tokens of all rows end to end, vocabulary]; every sequence alone."""
    with torch.no_grad():
        return torch.cat([model(torch.tensor([row["tokens"]]), use_cache=False).logits[0] for row in rows])


def main():
    warnings.filterwarnings("error", message=".*adapter.*")
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else GOLDEN / "roundtrip"
    document = {"note": NOTE.format(torch.__version__, transformers.__version__, peft.__version__)}
    for adapter in sorted(path for path in folder.iterdir() if path.is_dir()):
        rows = json.loads((GOLDEN / adapter.name / "golden.json").read_text())["sequences"]
        base = transformers.AutoModelForCausalLM.from_pretrained(
            GOLDEN / adapter.name, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        plain = logits(base, rows)
        model = peft.PeftModel.from_pretrained(base, adapter).eval()
        file = adapter / "adapter_model.safetensors"
        stored = load_file(file)
        loaded = peft.get_peft_model_state_dict(model)
        assert stored.keys() == loaded.keys(), stored.keys() ^ loaded.keys()
        assert all(torch.equal(stored[name].float(), loaded[name].float()) for name in stored)
        adapted = logits(model, rows)
        change = float((adapted - plain).abs().max())
        assert change > 1e-3, "the adapter changes nothing"
        config = model.peft_config["default"]
        print(adapter.name, len(stored), "tensors, r", config.r, "alpha", config.lora_alpha, sorted(config.target_modules), "largest change", change)
        document[adapter.name] = {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "logits": [[round(value, 6) for value in row] for row in adapted.tolist()],
        }
    path = GOLDEN / "peft_roundtrip.json"
    path.write_text(json.dumps(document, separators=(",", ":")).replace("],[", "],\n[") + "\n")
    print(path, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
