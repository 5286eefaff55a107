#!/usr/bin/env python3
"""What a change costs on another topology than that of bench/scale.py: tenants with a router each and most datapaths not local.

    tenants.py prepare DIR CHASSIS
    tenants.py run DIR AGENT [--reps N]

For every four chassis there is a tenant: a router with a gateway port on a provider network that all share (three gateway chassis, SNAT, a floating IP), three switches with four VMs each,
spread over the chassis, and a port group with ACLs over an address set. The agent under test is hv1: nine VMs of the first three tenants, and a gateway of the first.
Uses the servers and helpers of the team's bench/scale.py, whose folder has to be in PYTHONPATH. Prints one JSON object: CPU of the agent for each change, in ms, medians.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import time

import gen_nb
from ovsdbrpc import Rpc, mapv, named, setv
from scale import OVSSCHEMA, SCHEMA, AckWatch, Env, cpu, rss, sh

NB, SB = "OVN_Northbound", "OVN_Southbound"
LOCAL_TENANTS = 3


def tenants(chassis):
    return max(4, chassis // 4)


def home(chassis, t, s, v):
    """The number of the chassis that VM v on switch s of tenant t is on."""
    if t < LOCAL_TENANTS:
        return 1 if v < 2 else 2 + (t * 12 + s * 4 + v) % (chassis - 1)
    return 1 + (t * 7 + s * 5 + v * 11) % chassis


def mac(t, s, v):
    return f"0a:{t >> 8:02x}:{t & 255:02x}:{s:02x}:00:{v:02x}"


def subnet(t, s):
    return f"10.{t & 255}.{s + 4 * (t >> 8)}"


def insert(table, row, name=None):
    return {"op": "insert", "table": table, "row": row, **({"uuid-name": name} if name else {})}


def router_port(switch_port, router_port_name):
    options = mapv({"router-port": router_port_name})
    return {"name": switch_port, "type": "router", "addresses": "router", "options": options}


def tenant(t, chassis, public):
    """The Northbound rows of one tenant."""
    ops, ports, vms = [], [], []
    for s in range(3):
        name, net = f"r{t}-s{s}", subnet(t, s)
        ops.append(insert("Logical_Router_Port", {"name": name, "mac": mac(t, s, 1), "networks": f"{net}.1/24"}, f"r{s}"))
        ops.append(insert("Logical_Switch_Port", router_port(f"s{s}-r{t}", name), f"s{s}"))
        for v in range(4):
            address = f"{mac(t, s, v + 10)} {net}.{v + 10}"
            row = {"name": f"vm-{t}-{s}-{v}", "addresses": address, "port_security": address}
            ops.append(insert("Logical_Switch_Port", row, f"v{s}{v}"))
            vms.append(named(f"v{s}{v}"))
        ops.append(insert("Logical_Switch", {"name": f"sw{t}-{s}", "ports": setv([named(f"s{s}")] + vms[-4:])}))
        ports.append(named(f"r{s}"))
    gateways = (1, 5, 9) if t == 0 else [2 + (t * 3 + k * 17) % (chassis - 1) for k in range(3)]
    for k, number in enumerate(gateways):
        row = {"name": f"gw{t}-{k}", "chassis_name": f"hv{number}", "priority": 10 - k}
        ops.append(insert("Gateway_Chassis", row, f"g{k}"))
    outside = f"{t >> 8}.{t & 255}"
    row = {"name": f"gw{t}", "mac": mac(t, 9, 1), "networks": f"172.18.{outside}/8", "gateway_chassis": setv(named(f"g{k}") for k in range(3))}
    ops.append(insert("Logical_Router_Port", row, "gw"))
    ops.append(insert("NAT", {"type": "snat", "external_ip": f"172.18.{outside}", "logical_ip": f"10.{t & 255}.0.0/16"}, "n1"))
    row = {"type": "dnat_and_snat", "external_ip": f"172.19.{outside}", "logical_ip": f"{subnet(t, 0)}.10", "logical_port": f"vm-{t}-0-0", "external_mac": mac(t, 8, 1)}
    ops.append(insert("NAT", row, "n2"))
    ops.append(insert("Logical_Router", {"name": f"lr{t}", "ports": setv(ports + [named("gw")]), "nat": setv([named("n1"), named("n2")])}))
    ops.append(insert("Logical_Switch_Port", router_port(f"pub-r{t}", f"gw{t}"), "pp"))
    ops.append({"op": "mutate", "table": "Logical_Switch", "where": [["_uuid", "==", public]], "mutations": [["ports", "insert", named("pp")]]})
    rules = [(1000, f"outport == @pg{t} && ip", "drop"), (1001, f"outport == @pg{t} && ip4.src == $as{t}", "allow-related"),
             (1001, f"outport == @pg{t} && ip4 && tcp.dst == {{22, 80, 443}}", "allow-related")]
    for k, (priority, match, action) in enumerate(rules):
        ops.append(insert("ACL", {"priority": priority, "direction": "to-lport", "match": match, "action": action}, f"a{k}"))
    ops.append(insert("Port_Group", {"name": f"pg{t}", "ports": setv(vms), "acls": setv(named(f"a{k}") for k in range(3))}))
    ops.append(insert("Address_Set", {"name": f"as{t}", "addresses": setv(f"{subnet(t, s)}.{v + 10}" for s in range(3) for v in range(4))}))
    return ops


def prepare(folder, chassis):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    env = Env(folder)
    for name in ("nb", "sb"):
        env.db(name, f"{name}.db", f"{SCHEMA}/ovn-{name}.ovsschema")
    env.northd()
    nb, sync = Rpc(f"{folder}/nb.sock"), ["ovn-nbctl", f"--db=unix:{folder}/nb.sock", "--wait=sb", "sync"]
    localnet = {"name": "ln", "type": "localnet", "addresses": "unknown", "options": mapv({"network_name": "phys"})}
    nb.transact(NB, [insert("Logical_Switch", {"name": "public", "ports": named("l")}), insert("Logical_Switch_Port", localnet, "l")])
    public = nb.transact(NB, [{"op": "select", "table": "Logical_Switch", "where": [], "columns": ["_uuid"]}])[0]["rows"][0]["_uuid"]
    for t in range(tenants(chassis)):
        nb.transact(NB, tenant(t, chassis, public))
    sh(*sync)
    gen_nb.sb(f"{folder}/sb.sock", chassis, 0)
    sb = Rpc(f"{folder}/sb.sock")
    rows = sb.transact(SB, [{"op": "select", "table": "Chassis", "where": [], "columns": ["_uuid", "name"]}])[0]["rows"]
    known = {row["name"]: row["_uuid"] for row in rows}
    for t in range(tenants(chassis)):
        places = [(f"vm-{t}-{s}-{v}", home(chassis, t, s, v)) for s in range(3) for v in range(4)]
        sb.transact(SB, [{"op": "update", "table": "Port_Binding", "where": [["logical_port", "==", port]], "row": {"chassis": known[f"hv{at}"], "up": True}}
                         for port, at in places if at > 1])
    sh(*sync)
    env.stop()
    for name in ("nb", "sb"):
        sh("ovsdb-tool", "compact", f"{folder}/{name}.db")


def changes(sb):
    """The single changes: name and operations of the k-th."""
    select = lambda table: sb.transact(SB, [{"op": "select", "table": table, "where": []}])[0]["rows"]
    datapaths = {dict(row["external_ids"][1]).get("name"): row for row in select("Datapath_Binding")}
    chassis = {row["name"]: row["_uuid"] for row in select("Chassis")}
    encap = lambda k: {"type": "geneve", "ip": f"172.20.0.{k + 1}", "chassis_name": f"new{k}"}
    move = lambda t: lambda k: [{"op": "update", "table": "Port_Binding", "where": [["logical_port", "==", f"vm-{t}-{k % 3}-3"]], "row": {"chassis": chassis[f"hv{20 + k}"]}}]
    # hv5 is a gateway of several tenants, in an order that differs from run to run; which tenant's it is decides how much there is to do.
    groups = sorted(select("HA_Chassis_Group"), key=lambda row: row["name"])
    hv5 = [row["_uuid"] for row in select("HA_Chassis") if row["chassis"] == chassis["hv5"]]
    members = lambda group: group["ha_chassis"][1] if group["ha_chassis"][0] == "set" else [group["ha_chassis"]]
    member = next(member for group in groups for member in members(group) if member in hv5)
    flow = lambda k: {"logical_datapath": datapaths["sw0-0"]["_uuid"], "pipeline": "ingress", "table_id": 8, "priority": 1500 + k,
                      "match": f"ip4 && ip4.src == 198.51.100.{k} && tcp.dst == {{80, 443}}", "actions": "next;", "external_ids": mapv({"stage-name": "bench"})}
    neighbour = lambda k: {"logical_port": "gw0", "ip": f"172.18.99.{k + 1}", "mac": mac(0, 7, k), "datapath": datapaths["lr0"]["_uuid"]}
    return {
        "idle_nb_cfg": lambda k: [],
        "chassis_add": lambda k: [insert("Encap", encap(k), "e"), insert("Chassis", {"name": f"new{k}", "hostname": f"new{k}", "encaps": named("e")})],
        "chassis_del": lambda k: [{"op": "delete", "table": "Chassis", "where": [["name", "==", f"new{k}"]]}],
        "port_move_on_local_datapath": move(0),
        "port_move_elsewhere": move(3),
        "addrset_add_1": lambda k: [{"op": "mutate", "table": "Address_Set", "where": [["name", "==", f"as{k % 2}"]], "mutations": [["addresses", "insert", f"192.0.2.{k + 1}"]]}],
        "mac_binding_add": lambda k: [insert("MAC_Binding", neighbour(k))],
        "fdb_add": lambda k: [insert("FDB", {"mac": mac(0, 6, k), "dp_key": datapaths["public"]["tunnel_key"], "port_key": 1})],
        "lflow_add": lambda k: [insert("Logical_Flow", flow(k))],
        "lflow_del": lambda k: [{"op": "delete", "table": "Logical_Flow", "where": [["priority", "==", 1500 + k], ["logical_datapath", "==", datapaths["sw0-0"]["_uuid"]]]}],
        "gateway_priority": lambda k: [{"op": "update", "table": "HA_Chassis", "where": [["_uuid", "==", member]], "row": {"priority": 20 + k}}],
    }


def plug(env, port):
    t, s, v = port
    env.vsctl("--", "add-port", "br-int", f"v{t}{s}{v}", "--", "set", "interface", f"v{t}{s}{v}", f"external-ids:iface-id=vm-{t}-{s}-{v}", "type=dummy")


def measure(env, folder, pid, watch, reps, spare):
    median = lambda times: round(statistics.median(times) * 1e3, 2)
    sb, out = Rpc(f"{folder}/sb.sock"), {}
    for name, operations in changes(sb).items():
        times = []
        for k in range(reps):
            before, target = cpu(pid), watch.sb + 1
            sb.transact(SB, operations(k) + [{"op": "update", "table": "SB_Global", "where": [], "row": {"nb_cfg": target}}])
            if not watch.wait(target, 30):
                raise SystemExit(f"{name}: not acknowledged")
            time.sleep(0.15)
            times.append(cpu(pid) - before)
        out[name] = median(times)
    for name, act in (("local_port_bind", lambda port: plug(env, port)), ("local_port_unbind", lambda port: env.vsctl("del-port", "v%d%d%d" % port))):
        times = []
        for port in spare[:reps]:
            before = cpu(pid)
            act(port)
            time.sleep(1.5)
            times.append(cpu(pid) - before)
        out[name] = median(times)
    return out


def run(source, agent, reps):
    folder = f"{source}/run"
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    for name in ("nb", "sb"):
        shutil.copy(f"{source}/{name}.db", folder)
    env, process = Env(folder), None
    try:
        for name in ("nb", "sb"):
            env.db(name, f"{name}.db")
        env.db("ovs", "conf.db", OVSSCHEMA)
        env.vswitchd()
        env.northd()
        sh("ovn-nbctl", f"--db=unix:{folder}/nb.sock", "--wait=sb", "sync")
        settings = {"system-id": "hv1", "ovn-remote": f"unix:{folder}/sb.sock", "ovn-encap-type": "geneve", "ovn-encap-ip": "172.16.0.1", "ovn-monitor-all": "false",
                    "ovn-bridge-mappings": "phys:br-phys", "ovn-remote-probe-interval": "180000"}
        bridges = [word for name in ("br-int", "br-phys") for word in ("--", "add-br", name, "--", "set", "bridge", name, "datapath_type=dummy", "fail-mode=secure")]
        env.vsctl(*bridges, "--", "set", "open", ".", *(f"external-ids:{key}={value}" for key, value in settings.items()))
        ports = [(t, s, v) for t in range(LOCAL_TENANTS) for s in range(3) for v in range(2)]
        for port in ports[::2]:
            plug(env, port)
        watch = AckWatch(f"{folder}/sb.sock")
        command = [agent, f"unix:{folder}/ovs.sock", f"--pidfile={folder}/agent.pid", f"--log-file={folder}/agent.log", "-vconsole:off"]
        process = subprocess.Popen(command, env=dict(os.environ, OVS_RUNDIR=folder, OVN_RUNDIR=folder))
        if not watch.wait(max(watch.sb, 1), 100):
            raise SystemExit("the agent never became ready")
        time.sleep(4)
        result = {"agent": agent, "start_cpu_s": round(cpu(process.pid), 3), "rss_mb": rss(process.pid)}
        flows = sh("ovs-ofctl", "-O", "OpenFlow15", "dump-aggregate", f"unix:{folder}/br-int.mgmt")
        result["flows"] = int(flows.split("flow_count=")[1].split()[0])
        sh("ovn-appctl", "-t", f"{folder}/northd.ctl", "pause")
        result["cpu_ms"] = measure(env, folder, process.pid, watch, reps, ports[1::2])
        print(json.dumps(result, indent=1))
    finally:
        if process:
            process.terminate()
            process.wait(20)
        env.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    arguments = commands.add_parser("prepare")
    arguments.add_argument("dir")
    arguments.add_argument("chassis", type=int)
    arguments = commands.add_parser("run")
    arguments.add_argument("dir")
    arguments.add_argument("agent")
    arguments.add_argument("--reps", type=int, default=7)
    given = parser.parse_args()
    prepare(given.dir, given.chassis) if given.command == "prepare" else run(given.dir, given.agent, given.reps)
