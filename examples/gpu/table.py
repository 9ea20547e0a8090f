"""The table of a results.jsonl that gpu.sh has written: python examples/gpu/table.py results.jsonl"""

import json
import sys


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rows = [json.loads(line) for line in file if line.startswith("{")]

    parity = [row for row in rows if row["part"] == "parity"]
    if parity:
        wrong = [row for row in parity if not row["holds"]]
        print(f"parity: {len(parity) - len(wrong)} of {len(parity)} bodies hold")
        for row in wrong:
            print(f"- {row['name']}: {row['fault']}")
    kernels = [row for row in rows if row["part"] in ("products", "attention")]
    if kernels:
        print("\n| kernel | shape | ms | TFLOP/s |\n|---|---|---|---|")
    for row in kernels:
        if row["part"] == "products":
            name, shape = f"{row['name']}, {row['storage']}", f"{row['m']}×{row['n']}×{row['k']}"
        else:
            name, shape = f"attention {row['name']}", f"{row['rows']} rows, {row['heads']}×{row['head_dim']}"
        print(f"| {name} | {shape} | {row['milliseconds']:.3f} | {row['tflops']:.0f} |")
    train = [row for row in rows if row["part"] in ("train", "peer")]
    if train:
        print("\n| training | base | recompute | optimiser | tokens/s | ms a step | peak GB | MFU |\n|---|---|---|---|---|---|---|---|")
    for row in train:
        who = row.get("peer", "so8t")
        mfu = f"{row['mfu']:.1%}" if "mfu" in row else ""
        print(f"| {who} | {row['base']} | {row['recompute']} | {row.get('optimizer', '')} | {row['tokens_per_second']:.0f} "
              f"| {row['step_milliseconds']:.1f} | {row['peak_memory_bytes'] / 1e9:.2f} | {mfu} |")
    for row in rows:
        if row["part"] == "score":
            print(f"\nscoring, {row['base']}: {row['tokens_per_second']:.0f} tokens/s, "
                  f"{row['prompts_per_second']:.1f} prompts of {row['length']} tokens a second")


if __name__ == "__main__":
    main()
