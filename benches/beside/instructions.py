#!/usr/bin/env python3
"""What a change costs in instructions: the same benches, with the agent under valgrind's callgrind.

    instructions.py scale DIR N LOCAL AGENT [--reps K] [--only OP,OP]
    instructions.py tenants DIR AGENT [--reps K]

CPU time of a change, half a millisecond, is that of cold caches for the most part, and moves by a third from sitting to sitting. Instructions of the program (not of the
kernel on its behalf) tell what is done. The output is that of the bench, where the "ms" of a change are millions of instructions. The folder of the team's bench/scale.py
has to be in PYTHONPATH, valgrind and the servers in PATH. The agent takes about 20 times as long as usual.
"""
import argparse
import glob
import os
import subprocess
import time
from types import SimpleNamespace

import scale
import tenants

PREFIX = "/tmp/instructions"
cpu_time, run_command, start = scale.cpu, scale.sh, subprocess.Popen
counted = 0
# The agent, once it counts.
counting = None


def monitor(pid, *command):
    subprocess.run(["vgdb", f"--pid={pid}", *command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def settle(pid):
    """Until the process has used no CPU for a while."""
    before, end = cpu_time(pid), time.time() + 20
    while time.time() < end:
        time.sleep(0.15)
        now = cpu_time(pid)
        if now - before < 0.002:
            return
        before = now


def cpu(pid):
    """Thousands of millions of instructions so far; of other processes, and before the agent counts, CPU time."""
    global counted
    if pid != counting:
        return cpu_time(pid)
    settle(pid)
    # Each dump starts from zero.
    monitor(pid, "dump")
    for name in glob.glob(f"{PREFIX}.{pid}.*"):
        with open(name, errors="replace") as lines:
            counted += sum(int(line.split()[1]) for line in lines if line.startswith("totals:"))
        os.remove(name)
    return counted / 1e9


def sh(*command, **options):
    """When the agent has settled the benches pause northd: from then on it counts."""
    global counting
    out = run_command(*command, **options)
    if command[0] == "ovn-appctl" and command[-1] == "pause":
        folder = os.path.dirname(command[command.index("-t") + 1])
        # An audit reads all flows.
        database = f"--db=unix:{folder}/ovs.sock"
        run_command("ovs-vsctl", database, "set", "Open_vSwitch", ".", "external_ids:ovn-agent-audit-interval=0")
        with open(f"{folder}/agent.pid") as file:
            pid = int(file.read())
        settle(pid)
        monitor(pid, "instrumentation", "on")
        counting = pid
    return out


def popen(command, *rest, **options):
    if any(word.endswith("/agent.pid") for word in command):
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={PREFIX}.%p", *command]
    return start(command, *rest, **options)


for module in (scale, tenants):
    module.cpu, module.sh = cpu, sh
subprocess.Popen = popen

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    benches = parser.add_subparsers(dest="bench", required=True)
    for bench in ("scale", "tenants"):
        arguments = benches.add_parser(bench)
        arguments.add_argument("dir")
        if bench == "scale":
            arguments.add_argument("n", type=int)
            arguments.add_argument("local", type=int)
            arguments.add_argument("--only")
        arguments.add_argument("agent")
        arguments.add_argument("--reps", type=int, default=5)
    given = parser.parse_args()
    if given.bench == "tenants":
        tenants.run(given.dir, given.agent, given.reps)
    else:
        others = {"monitor_all": False, "agent_args": "", "timeout": 600, "restart": False, "dump": None}
        scale.run(SimpleNamespace(**vars(given), **others))
    for left in glob.glob(f"{PREFIX}.{counting}*"):
        os.remove(left)
