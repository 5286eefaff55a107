#!/usr/bin/env python3
"""The deployment of bench/scale.py with a router that has no gateways: all switches are local on every hypervisor.

    flat.py prepare DIR N
    scale.py run DIR N 12 AGENT --reps 5

There are 20 pods on each node and 10 services. The pods of node 1 are spread over the first four namespaces, of which all have pods here before any is plugged in during the run, so that plugging one in
is the same change at any N (work/changes tells how many flows). Uses the servers and helpers of the team's bench/scale.py, whose folder has to be in PYTHONPATH.
"""
import argparse

from ovsdbrpc import Rpc, setv
from scale import Env, prepare, sh

NB = "OVN_Northbound"
NODE, PODS, SERVICES = 1, 20, 10


def flatten(nb):
    """Takes the gateways away, and gives the pods of node 1 other namespaces."""
    nb.transact(NB, [{"op": "update", "table": "Logical_Router_Port", "where": [], "row": {"gateway_chassis": setv([])}}])
    names = [f"pod-{NODE}-{number}" for number in range(2, PODS + 2)]
    where = [[["name", "==", name]] for name in names]
    found = nb.transact(NB, [{"op": "select", "table": "Logical_Switch_Port", "where": one, "columns": ["_uuid", "addresses"]} for one in where])
    pods = [answer["rows"][0] for answer in found]
    address = lambda pod: pod["addresses"].split()[1]
    everywhere = [("Port_Group", "ports", setv(pod["_uuid"] for pod in pods)), ("Address_Set", "addresses", setv(map(address, pods)))]
    operations = [{"op": "mutate", "table": table, "where": [], "mutations": [[column, "delete", all_pods]]} for table, column, all_pods in everywhere]
    for number, pod in enumerate(pods):
        for table, column, name, member in (("Port_Group", "ports", "ns", pod["_uuid"]), ("Address_Set", "addresses", "as", address(pod))):
            group = [["name", "==", f"{name}{number % 4}"]]
            operations.append({"op": "mutate", "table": table, "where": group, "mutations": [[column, "insert", setv([member])]]})
    nb.transact(NB, operations)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["prepare"])
    parser.add_argument("dir")
    parser.add_argument("chassis", type=int)
    given = parser.parse_args()
    prepare(given.dir, given.chassis, PODS, SERVICES)
    env = Env(given.dir)
    try:
        for name in ("nb", "sb"):
            env.db(name, f"{name}.db")
        env.northd()
        flatten(Rpc(f"{given.dir}/nb.sock"))
        sh("ovn-nbctl", f"--db=unix:{given.dir}/nb.sock", "--wait=sb", "sync")
    finally:
        env.stop()
    for name in ("nb", "sb"):
        sh("ovsdb-tool", "compact", f"{given.dir}/{name}.db")


if __name__ == "__main__":
    main()
