"""Runs hostile inputs against a built so8t, and prints a table: case, message, exit code, seconds, peak memory.

    python3 tests/security/table.py SO8T CASES LARGE PROJECT

SO8T is the program; CASES a folder of hostile inputs (`steal.toml`, `o_*.state`, `wasm/`, …), LARGE one of inputs that are made by the script beside
them, PROJECT this project. A case whose input is absent is named and passed over. Standard library only; Linux, for the peak memory.
Every case must end with exit code 0 or 1 within 120 seconds and 4 GiB; the script ends with 1 where one does not.
"""
import os, resource, shutil, socket, subprocess, sys, tempfile, time

if len(sys.argv) != 5:
    sys.exit(__doc__)
SO8T, CASES, LARGE, PROJECT = map(os.path.abspath, sys.argv[1:])
SECONDS, BYTES = 120, 4 << 30
failed = []


def bounded():
    # Address space is no memory: the engine reserves much of it. What is held is read at the end.
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def run(case, arguments, folder, expected=(1,), holds=(), lacks=(), environment=None, before=None):
    """One case; `holds` must stand in its output, `lacks` must not."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("SO8T_")}
    variables.update({"XDG_CONFIG_HOME": folder + "/none", "XDG_CACHE_HOME": folder + "/cache", "NO_COLOR": "1"}, **(environment or {}))
    start = time.monotonic()
    process = subprocess.Popen([SO8T, *arguments], cwd=folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=bounded)
    peak, output, code = 0, b"", None
    os.set_blocking(process.stdout.fileno(), False)
    while code is None:
        code = process.poll()
        try:
            with open(f"/proc/{process.pid}/status") as status:
                peak = max([peak] + [int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM")])
        except OSError:
            pass
        output = output[-(1 << 20):] + (process.stdout.read() or b"")
        if time.monotonic() - start > SECONDS or peak > BYTES:
            process.kill()
            code = process.wait()
        time.sleep(0.01)
    output += process.stdout.read() or b""
    seconds, text = time.monotonic() - start, output.decode(errors="replace")
    lines = [line for line in text.splitlines() if line.startswith("error: ")] or text.splitlines()[-1:] or [""]
    wrong = [f"exit {code}"] if code not in expected else []
    wrong += [f"lacks {part!r}" for part in holds if part not in text] + [f"shows {part!r}" for part in lacks if part in text]
    wrong += ["shows control characters"] if any(c in text for c in "\x1b\x07\x9b\u202e\u2066") else []
    failed.extend(f"{case}: {part}" for part in wrong)
    message = lines[0].replace(folder, "…").replace("|", "\\|")
    print(f"| {case} | {message[:150]} | {code}{' WRONG: ' + '; '.join(wrong) if wrong else ''} | {seconds:.1f} | {peak >> 20} |", flush=True)


def place(*names):
    """A new folder with copies of some cases; the project's path is put into manifests."""
    folder = tempfile.mkdtemp()
    for name in names:
        source = os.path.join(CASES, name)
        if not os.path.exists(source):
            print(f"| {name} | passed over: it is absent | | | |")
            return None
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
        if name.endswith(".toml"):
            text = open(target).read().replace("PROJECT", PROJECT)
            open(target, "w").write(text)
    return folder


def mine(folder):
    """Somebody's files, under names that so8t uses."""
    names = ["adapter/weights.bin", "adapter.mine.tmp/x", "evaluation_mine.json", "SHA256SUMS", "so8t.lock", "so8t.toml", "report.html", "dataset.jsonl"]
    for name in names:
        path = os.path.join(folder, "mine", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        open(path, "w").write("mine\n")
    return {name: open(os.path.join(folder, "mine", name)).read() for name in names}


print("| case | message | exit code | seconds | peak MiB |\n|---|---|---|--:|--:|")

if folder := place("steal.toml", "d.jsonl"):
    run("S1 steal.toml", ["prepare", "steal.toml"], folder, lacks=["abc123"], environment={"SECRET": "abc123"})
    open(folder + "/path.toml", "w").write('[run]\nname="r"\n[[data]]\nname="s"\npath="${SECRET}"\nconverter="jsonl"\nmapper="four-class"\n')
    run("S1 path = ${SECRET}", ["prepare", "path.toml"], folder, lacks=["abc123"], environment={"SECRET": "abc123"})
    open(folder + "/dir.toml", "w").write('[run]\nname="r"\n[[data]]\nname="s"\npath="${DIR}/d.jsonl"\nconverter="jsonl"\nmapper="four-class"\n')
    run("S1 control: ${DIR}/d.jsonl", ["prepare", "dir.toml"], folder, expected=(0,), lacks=[folder + "/d.jsonl"], environment={"DIR": folder})

if folder := place("output_foreign.toml", "d.jsonl"):
    before = mine(folder)
    for command in ("prepare", "run"):
        run(f"S2 {command} output_foreign.toml", [command, "output_foreign.toml"], folder, holds=["mine"])
    after = {name: open(os.path.join(folder, "mine", name)).read() for name in before}
    if before != after:
        failed.append("S2: files of somebody else were changed")
    run("S2 control: another folder", ["prepare", "output_foreign.toml", "--out", "new"], folder, expected=(0,))
    os.symlink("/dev/zero", folder + "/new/zero")
    run("S20 a link to /dev/zero in the run", ["prepare", "output_foreign.toml", "--out", "new"], folder, expected=(0,), holds=["zero"])
    run("S20 verify", ["verify", "new"], folder, expected=(0,))
    os.makedirs(folder + "/none/so8t")
    os.symlink("/nowhere", folder + "/none/so8t/policy.toml")
    run("S22 a policy that is a dangling link", ["prepare", "output_foreign.toml", "--out", "other"], folder, holds=["policy.toml"])

for name, command, expected in [
    ("uneval14", "inspect", (0, 1)), ("s_double", "check", (0, 1)), ("s_doubleuneval", "check", (0, 1)), ("m_lic_rlo", "inspect", (0, 1)), ("m_schema_esc", "inspect", (0, 1)),
]:
    if folder := place(f"wasm/{name}.wasm"):
        run(f"S4, S12, S15 plugin {command} {name}.wasm", ["plugin", command, f"wasm/{name}.wasm"], folder, expected=expected)

if os.path.exists(LARGE + "/custom200k.wasm"):
    run("S11 custom200k.wasm", ["plugin", "inspect", LARGE + "/custom200k.wasm"], tempfile.mkdtemp(), expected=(0, 1))
if os.path.exists(LARGE + "/sources_400.jsonl"):
    run("S9 sources_400.jsonl", ["evaluate", LARGE + "/sources_400.jsonl"], tempfile.mkdtemp(), expected=(0, 1))

if folder := place("met_state20w.toml", "met_count50k.toml", "wasm/og_met.wasm", "d.jsonl", "predictions.jsonl"):
    run("S9 met_state20w.toml", ["evaluate", "predictions.jsonl", "--manifest", "met_state20w.toml", "--shard", "1/2", "--out", "s"], folder)
    run("S9 met_count50k.toml", ["evaluate", "predictions.jsonl", "--manifest", "met_count50k.toml"], folder, expected=(0, 1))

for name in ("o_count1e18", "o_count1e9", "o_rows_lie", "o_state0_ff", "o_failed_esc"):
    if folder := place(f"{name}.state"):
        run(f"S10, S15 merge {name}.state", ["merge", f"{name}.state"], folder)
if folder := place("predictions.jsonl"):
    run("S10 a part of 2^64 - 1", ["evaluate", "predictions.jsonl", "--shard", "1/18446744073709551615", "--out", "s"], folder)
    run("control: predictions.jsonl", ["evaluate", "predictions.jsonl"], folder, expected=(0,))

if folder := place("many_many.toml", "wasm/og_conv.wasm"):
    with open(folder + "/big.bin", "wb") as big:
        big.truncate(64 << 20)
    run("S18 many_many.toml", ["prepare", "many_many.toml"], folder, holds=["records"])

folder = tempfile.mkdtemp()
open(folder + "/x.jsonl", "w").write('{"\\u001b]0;x\\u0007": 1}\n')
run("S15 a key with escapes", ["evaluate", "x.jsonl"], folder)
os.symlink("/dev/zero", folder + "/endless.jsonl")
run("S26 prepare /dev/zero", ["prepare", "/dev/zero"], folder)
run("S26 evaluate a link to /dev/zero", ["evaluate", "endless.jsonl"], folder)

registry = os.path.join(CASES, "registry.py")
if os.path.exists(registry):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    servers = [subprocess.Popen([sys.executable, registry, str(port), PROJECT], stdout=subprocess.PIPE)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        other = free.getsockname()[1]
    servers.append(subprocess.Popen([sys.executable, registry, str(other), PROJECT, f"http://localhost:{port}/token"], stdout=subprocess.DEVNULL))
    time.sleep(1)
    for name, expected in (("ok", (0,)), ("endless-manifest", (1,)), ("endless-401", (1,))):
        run(f"S6 {name}", ["plugin", "pull", f"oci://127.0.0.1:{port}/{name}/x:1"], folder, expected=expected)
    os.makedirs(folder + "/docker")
    open(folder + "/docker/config.json", "w").write('{"auths": {"127.0.0.1:%d": {"auth": "dXNlcjpzZWNyZXQ="}}}' % other)
    run("S24 a realm on another host", ["plugin", "pull", f"oci://127.0.0.1:{other}/ok/x:1"], folder, environment={"DOCKER_CONFIG": folder + "/docker"})
    for server in servers:
        server.kill()
    if b"Basic" in servers[0].stdout.read():
        failed.append("S24: the other host was given credentials")

print("\n" + "\n".join(failed) if failed else "\nall as expected")
sys.exit(bool(failed))
