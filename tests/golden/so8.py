"""Makes ../training/golden/so8.safetensors and so8.json: rotation gates in PyTorch on the tiny models with their adapters.

    pip install torch transformers peft safetensors
    python tests/golden/so8.py

Needs the models that training.py wrote. A gate is put around o_proj by hooks, its rotation comes from torch.matrix_exp or
torch.linalg.solve, and every gradient from autograd.
What is what is written into so8.json.
"""

import json
import pathlib

import peft
import torch
import transformers
from safetensors.torch import save_file

GOLDEN = pathlib.Path(__file__).parent.parent / "training" / "golden"
STEPS = 10
LEARNING_RATE, GATE_FACTOR, LAMBDA = 1e-2, 0.5, 0.05
CASES = [
    ("tiny-llama", "before-o_proj", "exponential", [0, 1]),
    ("tiny-llama", "after-o_proj", "exponential", [1]),
    ("tiny-phi3", "before-o_proj", "cayley", [0]),
    ("tiny-phi3", "after-o_proj", "cayley", [0, 1]),
]
NOTE = (
    "Made by tests/golden/so8.py with torch {}, transformers {}, peft {} in float64 (transformers computes norms and rotary tables in float32 even so), "
    "on the golden models with adapter/. Tensors by case number: N.theta.LAYER [blocks, 8, 8]; N.logits as in training.py; N.gradient.NAME: d (loss + penalty) / d "
    "theta (NAME theta.LAYER), and of the low-rank tensors by PEFT's key. loss as in training.py; penalty = lambda * mean((h[t+2] - 2 h[t+1] + h[t])^2) over all sequences, "
    "h the last hidden states after the final norm. steps: torch.optim.AdamW on theta (lr times gate_factor) and the low-rank tensors, lr 1e-2 constant, weight decay 0.01, "
    "clip_grad_norm_ 1.0 over all; losses (without penalty), penalties and gradient_norms belong to the weights before each step."
)


def rotation(theta, kind):
    """[blocks, 8, 8] in SO(8)."""
    skew = theta - theta.transpose(-1, -2)
    if kind == "exponential":
        return torch.matrix_exp(skew)
    one = torch.eye(8, dtype=theta.dtype)
    return torch.linalg.solve(one - skew / 2, one + skew / 2)


def turn(x, theta, kind):
    """x R in every block of the last dimension."""
    blocks = x.unflatten(-1, (-1, 8))
    return torch.einsum("...bi,bij->...bj", blocks, rotation(theta, kind)).flatten(-2)


def gated(name, placement, kind, layers, seed):
    """The model with its adapter and gates, and theta by layer."""
    base = transformers.AutoModelForCausalLM.from_pretrained(GOLDEN / name, dtype=torch.float64, attn_implementation="eager")
    model = peft.PeftModel.from_pretrained(base, GOLDEN / name / "adapter", is_trainable=True, autocast_adapter_dtype=False)
    model = model.to(torch.float64).eval()
    random = torch.Generator().manual_seed(seed)
    thetas = {}
    for layer in layers:
        linear = model.base_model.model.model.layers[layer].self_attn.o_proj
        theta = (0.3 * torch.randn(4, 8, 8, generator=random)).double().requires_grad_()
        thetas[layer] = theta
        if placement == "before-o_proj":
            linear.register_forward_pre_hook(lambda _, inputs, theta=theta: (turn(inputs[0], theta, kind), *inputs[1:]))
        else:
            linear.register_forward_hook(lambda _, inputs, output, theta=theta: turn(output, theta, kind))
    return model, thetas


def objective(model, rows):
    """Logits of all rows, mean loss of their targets, and penalty."""
    logits, total, targets, bends, terms = [], 0.0, 0, 0.0, 0
    for row in rows:
        tokens, start = torch.tensor(row["tokens"]), row["completion_start"]
        out = model(tokens[None], use_cache=False, output_hidden_states=True)
        logits.append(out.logits[0])
        scores = out.logits[0].log_softmax(-1)
        total = total - scores[start - 1 : -1].gather(1, tokens[start:, None]).sum()
        targets += len(tokens) - start
        hidden = out.hidden_states[-1][0]
        bend = hidden[2:] - 2 * hidden[1:-1] + hidden[:-2]
        bends, terms = bends + bend.square().sum(), terms + bend.numel()
    return torch.cat(logits), total / targets, LAMBDA * bends / terms


def case(number, described):
    """Tensors and numbers of one case."""
    name, placement, kind, layers = described
    model, thetas = gated(name, placement, kind, layers, 10 + number)
    rows = json.loads((GOLDEN / name / "golden.json").read_text())["sequences"]
    tensors = {f"{number}.theta.{layer}": theta.detach().float().contiguous() for layer, theta in thetas.items()}
    with torch.no_grad():
        for layer, theta in thetas.items():
            theta.copy_(tensors[f"{number}.theta.{layer}"].double())
    logits, loss, penalty = objective(model, rows)
    (loss + penalty).backward()
    tensors[f"{number}.logits"] = logits.detach().float()
    low_rank = {key.replace(".default.", "."): p for key, p in model.named_parameters() if p.requires_grad}
    for key, parameter in low_rank.items():
        tensors[f"{number}.gradient.{key}"] = parameter.grad.float().contiguous()
    for layer, theta in thetas.items():
        tensors[f"{number}.gradient.theta.{layer}"] = theta.grad.float().contiguous()

    trained = [*low_rank.values(), *thetas.values()]
    groups = [{"params": list(low_rank.values())}, {"params": list(thetas.values()), "lr": LEARNING_RATE * GATE_FACTOR}]
    optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE, weight_decay=0.01)
    steps = {"losses": [], "penalties": [], "gradient_norms": []}
    for _ in range(STEPS):
        optimiser.zero_grad()
        _, step_loss, step_penalty = objective(model, rows)
        (step_loss + step_penalty).backward()
        steps["gradient_norms"].append(float(torch.nn.utils.clip_grad_norm_(trained, 1.0)))
        steps["losses"].append(float(step_loss))
        steps["penalties"].append(float(step_penalty))
        optimiser.step()
    print(described, float(loss), float(penalty), "->", steps["losses"][-1], steps["penalties"][-1])
    document = {"model": name, "placement": placement, "map": kind, "layers": layers, "loss": float(loss), "penalty": float(penalty), "steps": steps}
    return tensors, document


def main():
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    made = [case(number, described) for number, described in enumerate(CASES)]
    save_file({key: value for tensors, _ in made for key, value in tensors.items()}, GOLDEN / "so8.safetensors")
    document = {
        "note": NOTE.format(torch.__version__, transformers.__version__, peft.__version__), "learning_rate": LEARNING_RATE,
        "gate_factor": GATE_FACTOR, "lambda": LAMBDA, "cases": [document for _, document in made],
    }
    (GOLDEN / "so8.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
