"""Decides as a run of so8t decides, with PyTorch, Transformers and PEFT alone.

    python use_with_peft.py                  reproduces three stored decisions, and says how near it comes
    python use_with_peft.py "a request"      decides on a request

The prompt, the scoring of the labels, the temperature and the thresholds are those of the run. so8t keeps the base's weights as its manifest says, int8
for one, and this program in single precision: probabilities differ a little, and decisions where two labels are all but equal.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

SETTINGS = json.loads(r"""@SETTINGS@""")
HERE = Path(__file__).resolve().parent


def prompt_ids(tokenizer, instruction, text=""):
    """The tokens of the prompt that ends where the answer begins."""
    turn = SETTINGS["turn"].strip()
    pieces = {"{instruction}": instruction.strip(), "{input}": text.strip()}
    marks = sorted(((turn.find(mark), mark) for mark in pieces if mark in turn), reverse=True)
    start, end = marks[-1][0], marks[0][0] + len(marks[0][1])
    request = turn[start:end]
    for at, mark in marks:
        at -= start
        request = request[:at] + pieces[mark] + request[at + len(mark):]
    turn = (turn[:start] + request.strip() + turn[end:]).strip()
    policy = SETTINGS["policy"]
    if policy and SETTINGS["policy_with_request"]:
        messages = [{"role": "user", "content": f"{policy}\n\n{turn}"}]
    elif policy:
        messages = [{"role": "system", "content": policy}, {"role": "user", "content": turn}]
    else:
        messages = [{"role": "user", "content": turn}]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **SETTINGS["variables"])
    return tokenizer(rendered + SETTINGS["lead"], add_special_tokens=False)["input_ids"]


def label_scores(model, prompt):
    """The probability of every label: the product over the points where the labels' tokens part of the share of its own token there."""
    labels = SETTINGS["labels"]
    logarithms = {name: 0.0 for name in labels}
    waiting = [(list(labels), [])]
    while waiting:
        names, prefix = waiting.pop()
        children = {}
        for name in names:
            if len(labels[name]) > len(prefix):
                children.setdefault(labels[name][len(prefix)], []).append(name)
        if len(children) > 1:
            with torch.no_grad():
                logits = model(torch.tensor([prompt + prefix])).logits[0, -1].double()
            shares = torch.log_softmax(logits[list(children)], dim=0).tolist()
            for share, below in zip(shares, children.values()):
                for name in below:
                    logarithms[name] += share
        waiting.extend((below, prefix + [token]) for token, below in children.items() if len(below) > 1)
    return {name: math.exp(logarithm) for name, logarithm in logarithms.items()}


def decide(scores):
    """The decision and the calibrated probabilities."""
    scaled = {name: math.log(max(score, 1.17549435e-38)) / SETTINGS["temperature"] for name, score in scores.items()}
    total = math.log(sum(math.exp(value) for value in scaled.values()))
    thresholds = SETTINGS["thresholds"]
    best = max(scaled, key=lambda name: scaled[name] + thresholds.get(name, 0.0))
    return best, {name: math.exp(value - total) for name, value in scaled.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("request", nargs="?", help="a request to decide on; without one, three stored decisions are reproduced")
    parser.add_argument("--base", default=SETTINGS["base"], help="the base model: a folder or a name on the Hugging Face hub")
    parser.add_argument("--adapter", default=str(HERE / "adapter"), help="the folder of the adapter")
    arguments = parser.parse_args()
    revision = {"revision": SETTINGS["revision"]} if SETTINGS["revision"] and arguments.base == SETTINGS["base"] else {}
    tokenizer = AutoTokenizer.from_pretrained(arguments.base, **revision)
    model = AutoModelForCausalLM.from_pretrained(arguments.base, dtype=torch.float32, **revision)
    model = PeftModel.from_pretrained(model, arguments.adapter).eval()
    if arguments.request is not None:
        decision, probabilities = decide(label_scores(model, prompt_ids(tokenizer, arguments.request)))
        print(json.dumps({"decision": decision, "probabilities": probabilities}, ensure_ascii=False))
        return 0
    wrong = 0
    for stored in SETTINGS["stored"]:
        prompt = prompt_ids(tokenizer, stored["instruction"], stored["input"])
        if prompt != stored["tokens"]:
            print(f"{stored['id']}: the prompt has other tokens than in the run: is `{arguments.base}` the run's base model?")
            wrong += 1
            continue
        scores = label_scores(model, prompt)
        decision, _ = decide(scores)
        nearest = max(abs(scores[name] - score) for name, score in stored["raw"].items())
        same = decision == stored["decision"]
        wrong += not same
        print(f"{stored['id']}: {decision}, in the run {stored['decision']}; probabilities differ by at most {nearest:.4f}")
    print(f"{len(SETTINGS['stored']) - wrong} of {len(SETTINGS['stored'])} decisions are reproduced")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
