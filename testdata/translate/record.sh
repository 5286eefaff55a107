#!/usr/bin/env bash
# Records the cases in this folder from a running OVN: `record.sh CASE FOLDER` starts databases, ovn-northd, and one hypervisor
# (Open vSwitch on a dummy datapath, ovn-controller), builds CASE, waits until it has settled, and leaves in FOLDER what
# testdata/translate/README.md lists. Needs the packages ovn-central, ovn-host and openvswitch-switch of the release to record.
set -euo pipefail
case=$1 folder=$2
here=$(cd "$(dirname "$0")" && pwd)
# What the case wants before the hypervisor starts, and which logical flows are kept (all, none, or those of lflows()).
encap_type=geneve encap_ip=192.0.2.1 keep=all
case $case in
    tunnels) encap_type=geneve,vxlan encap_ip=192.0.2.1,192.0.3.1 keep=none ;;
    actions* | matches*) keep=own ;;
esac
base=$(mktemp -d)
export OVS_RUNDIR=$base OVN_RUNDIR=$base OVS_LOGDIR=$base OVN_LOGDIR=$base OVS_DBDIR=$base OVS_SYSCONFDIR=$base OVN_SYSCONFDIR=$base
pids=()
stop() {
    local i
    for ((i = ${#pids[@]} - 1; i >= 0; i--)); do kill "${pids[$i]}" 2>/dev/null || true; done
    wait
    rm -rf "$base"
}
trap stop EXIT
run() { # NAME COMMAND...
    local name=$1
    shift
    "$@" -vconsole:off --log-file="$base/$name.log" --unixctl="$base/$name.ctl" >"$base/$name.out" 2>&1 &
    pids+=($!)
}
await() { # COMMAND...: within 20 s
    local left=400
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "not in time: $*" >&2; exit 1; }
        sleep 0.05
    done
}

start() {
    local db
    for db in nb sb; do
        ovsdb-tool create "$base/$db.db" "/usr/share/ovn/ovn-$db.ovsschema"
        run "ovsdb-$db" ovsdb-server --no-chdir --remote="punix:$base/$db.sock" "$base/$db.db"
        await test -S "$base/$db.sock"
    done
    export OVN_NB_DB=unix:$base/nb.sock OVN_SB_DB=unix:$base/sb.sock
    run northd ovn-northd --ovnnb-db="$OVN_NB_DB" --ovnsb-db="$OVN_SB_DB"
    ovn-nbctl init
    ovn-sbctl init
    ovsdb-tool create "$base/conf.db" /usr/share/openvswitch/vswitch.ovsschema
    run ovsdb ovsdb-server --no-chdir --remote="punix:$base/db.sock" "$base/conf.db"
    await test -S "$base/db.sock"
    export OVS_DB=unix:$base/db.sock
    ovs-vsctl --db="$OVS_DB" --no-wait init
    run vswitchd ovs-vswitchd --no-chdir --enable-dummy=system --disable-system "$OVS_DB"
    ovs-vsctl --db="$OVS_DB" --timeout=20 add-br br-phys
    local ip
    for ip in ${encap_ip//,/ }; do
        ovs-appctl -t "$base/vswitchd.ctl" netdev-dummy/ip4addr br-phys "$ip/24"
        ovs-appctl -t "$base/vswitchd.ctl" ovs/route/add "$ip/24" br-phys
    done
    ovs-vsctl --db="$OVS_DB" set Open_vSwitch . external-ids:system-id=hv1 external-ids:ovn-remote="$OVN_SB_DB" \
        external-ids:ovn-encap-type="$encap_type" external-ids:ovn-encap-ip="$encap_ip" external-ids:hostname=hv1.example \
        external-ids:ovn-bridge-mappings=phys:br-phys
    run controller ovn-controller "$OVS_DB"
    await ovs-vsctl --db="$OVS_DB" br-exists br-int
    await sh -c "ovn-sbctl --bare --columns=name find Chassis name=hv1 | grep -q hv1"
    local n
    for n in 2 3; do
        ovn-sbctl chassis-add "hv$n" geneve "192.0.2.$n"
        ovn-sbctl set Chassis "hv$n" hostname="hv$n.example"
    done
}
vif() { # LPORT
    ovs-vsctl --db="$OVS_DB" --timeout=20 add-port br-int "tap-$1" -- set Interface "tap-$1" external-ids:iface-id="$1"
}

# Two switches and a router, a port here and one on another hypervisor.
switch-router-switch() {
    ovn-nbctl ls-add sw0 -- ls-add sw1 -- lr-add lr0 \
        -- lrp-add lr0 lr0-sw0 00:00:00:00:ff:01 10.0.0.1/24 -- lrp-add lr0 lr0-sw1 00:00:00:00:ff:02 10.0.1.1/24 fd01::1/64 \
        -- lsp-add-router-port sw0 sw0-lr0 lr0-sw0 -- lsp-add-router-port sw1 sw1-lr0 lr0-sw1 \
        -- lsp-add sw0 p1 -- lsp-set-addresses p1 "00:00:00:00:00:01 10.0.0.2" \
        -- lsp-set-port-security p1 "00:00:00:00:00:01 10.0.0.2" \
        -- lsp-add sw1 p2 -- lsp-set-addresses p2 "00:00:00:00:00:02 10.0.1.2 fd01::2"
    vif p1
    ovn-nbctl --wait=sb sync
    ovn-sbctl lsp-bind p2 hv2
}

# Something of nearly everything that has flows: named sets and conjunctions, DHCP, load balancers with hairpin and health
# checks, a gateway group with NAT, a provider network, meters, template variables, sampling, neighbours, FDB, containers.
everything() {
    switch-router-switch
    ovn-nbctl lsp-add sw0 p3 -- lsp-set-addresses p3 "00:00:00:00:00:03 10.0.0.3" unknown \
        -- lsp-set-port-security p3 "00:00:00:00:00:03 10.0.0.3 10.0.0.16/28 fd00::3" \
        -- lsp-add sw0 child p1 42 -- lsp-set-addresses child "00:00:00:00:00:04 10.0.0.4" \
        -- lsp-add sw0 meta -- lsp-set-type meta localport -- lsp-set-addresses meta "00:00:00:00:00:05 10.0.0.5" \
        -- lsp-add sw0 vip -- lsp-set-type vip virtual -- lsp-set-addresses vip "00:00:00:00:00:06 10.0.0.6" \
        -- lsp-set-options vip virtual-ip=10.0.0.6 virtual-parents=p1,p3 \
        -- lsp-add sw1 p4 -- lsp-set-addresses p4 "00:00:00:00:00:07 10.0.1.7" \
        -- lsp-add sw1 both -- lsp-set-addresses both "00:00:00:00:00:08 10.0.1.8" -- lsp-set-options both requested-chassis=hv2,hv1
    # Named sets, conjunctions, a meter.
    ovn-nbctl create Address_Set name=as1 addresses='"10.0.1.2","10.0.1.3","10.0.1.64/26"' >/dev/null
    ovn-nbctl pg-add pg1 p1 p3 p2
    ovn-nbctl meter-add m1 drop 100 pktps 20 -- meter-add m2 drop 3000 kbps
    ovn-nbctl acl-add pg1 to-lport 1001 'outport == @pg1 && ip4.src == $as1 && tcp.dst == {80, 443}' allow-related \
        -- --log --meter=m1 --name=refused acl-add pg1 to-lport 1000 'outport == @pg1 && ip4' drop \
        -- acl-add sw1 from-lport 900 'inport == "p4" && ip4.dst == {10.0.0.2, 10.0.0.3} && udp.dst == {53, 5353}' reject
    # DHCP.
    local dhcp
    dhcp=$(ovn-nbctl create DHCP_Options cidr=10.0.0.0/24 \
        options='"server_id"="10.0.0.1" "server_mac"="00:00:00:00:ff:01" "lease_time"="3600" "router"="10.0.0.1"')
    ovn-nbctl lsp-set-dhcpv4-options p1 "$dhcp"
    # Load balancers.
    ovn-nbctl lb-add lb1 10.0.0.100:80 10.0.0.2:8080,10.0.1.2:8080 tcp -- ls-lb-add sw0 lb1 -- lr-lb-add lr0 lb1 \
        -- lb-add lb2 '[fd01::100]:53' '[fd01::2]:53' udp -- ls-lb-add sw1 lb2 \
        -- set Load_Balancer lb1 options:hairpin_snat_ip=10.0.0.99
    ovn-nbctl --template lb-add lb3 '^vip:^vport' '^backends' tcp -- ls-lb-add sw1 lb3
    ovn-nbctl create Chassis_Template_Var chassis=hv1 variables='vip=10.0.1.200 vport=90 backends="10.0.1.7:90"' >/dev/null
    # A gateway with a provider network behind it.
    ovn-nbctl ls-add public -- lrp-add lr0 lr0-public 00:00:00:00:ff:03 172.16.0.1/24 \
        -- lsp-add-router-port public public-lr0 lr0-public \
        -- lsp-add public ln -- lsp-set-type ln localnet -- lsp-set-addresses ln unknown -- lsp-set-options ln network_name=phys \
        -- lrp-set-gateway-chassis lr0-public hv1 20 -- lrp-set-gateway-chassis lr0-public hv2 10 \
        -- lr-nat-add lr0 snat 172.16.0.1 10.0.0.0/24 \
        -- lr-nat-add lr0 dnat_and_snat 172.16.0.50 10.0.0.2 p1 00:00:00:00:ff:50 \
        -- --ecmp lr-route-add lr0 0.0.0.0/0 172.16.0.254 -- --ecmp lr-route-add lr0 0.0.0.0/0 172.16.0.253 \
        -- static-mac-binding-add lr0-public 172.16.0.254 00:00:00:00:fe:01
    ovn-nbctl lsp-add sw1 out -- lsp-set-type out external -- lsp-set-addresses out "00:00:00:00:00:09 10.0.1.9"
    for port in p3 p4 meta both; do vif "$port"; done
    ovn-sbctl create MAC_Binding logical_port=lr0-sw1 ip=10.0.1.77 mac='"00:00:00:00:00:77"' \
        datapath="$(ovn-sbctl --bare --columns=_uuid find Datapath_Binding external_ids:name=lr0)" >/dev/null
    ovn-nbctl --wait=sb sync
    ovn-sbctl create FDB mac='"00:00:00:00:aa:01"' dp_key="$(key Datapath_Binding external_ids:name=sw0)" \
        port_key="$(key Port_Binding logical_port=p3)" >/dev/null
}

# All that makes physical flows differ: several encapsulations and addresses, a VTEP gateway, other availability zones, a port
# on two hypervisors, network functions behind a provider network, interfaces that are not the port's, sampled drops.
tunnels() {
    switch-router-switch
    local n
    ovn-sbctl -- --id=@a create Encap type=geneve ip=192.0.3.2 chassis_name=hv2 -- --id=@b create Encap type=vxlan ip=192.0.2.2 \
        chassis_name=hv2 -- add Chassis hv2 encaps @a,@b
    ovn-sbctl chassis-add hv4 vxlan 192.0.2.4
    for n in 5 6 7; do
        ovn-sbctl chassis-add "hv$n" "$([ $n = 6 ] && echo vxlan || echo geneve)" "192.0.3.$n"
        ovn-sbctl set Chassis "hv$n" other_config:is-remote=true
    done
    ovn-sbctl chassis-add vtep vxlan 192.0.2.9 -- set Chassis vtep other_config:is-vtep=true
    ovn-nbctl lsp-add sw0 ln -- lsp-set-type ln localnet -- lsp-set-addresses ln unknown -- lsp-set-options ln network_name=phys \
        -- lsp-add sw0 far -- lsp-set-addresses far "00:00:00:00:00:11 10.0.0.11" \
        -- lsp-add sw0 both -- lsp-set-addresses both "00:00:00:00:00:12 10.0.0.12 fd00::12" \
        -- lsp-set-options both requested-chassis=hv2,hv1,hv4 activation-strategy=rarp,garp,na \
        -- lsp-add sw1 gateway -- lsp-set-type gateway vtep -- lsp-set-addresses gateway unknown \
        -- lsp-set-options gateway vtep-physical-switch=vtep vtep-logical-switch=ls0 \
        -- lsp-add sw1 p4 -- lsp-set-addresses p4 "00:00:00:00:00:14 10.0.1.14" unknown \
        -- lsp-add sw1 p5 -- lsp-set-addresses p5 "00:00:00:00:00:15 10.0.1.15" -- lsp-set-options p5 iface-id-ver=right
    ovn-nbctl ls-add sw2 -- set Logical_Switch sw2 other_config:interconn-ts=sw2 -- lrp-add lr0 lr0-sw2 00:00:00:00:ff:04 10.0.2.1/24 \
        -- lsp-add-router-port sw2 sw2-lr0 lr0-sw2 \
        -- lsp-add sw2 zone2 -- lsp-set-type zone2 remote -- lsp-set-addresses zone2 "00:00:00:00:00:16 10.0.2.16"
    for n in 1 2; do
        ovn-nbctl lsp-add sw0 "nf$n" -- set Logical_Switch_Port "nf$n" options:is-nf=true options:nf-linked-port="nf$((3 - n))" \
            options:receive_multicast=false options:lsp_learn_fdb=false -- lsp-set-addresses "nf$n" "00:00:00:00:01:0$n"
        vif "nf$n"
    done
    ovs-vsctl --db="$OVS_DB" -- --id=@br get Bridge br-int -- create Flow_Sample_Collector_Set bridge=@br id=9 >/dev/null
    ovn-nbctl set NB_Global . options:debug_drop_collector_set=9 options:debug_drop_domain_id=3
    for port in p4 p5 both; do vif "$port"; done
    ovn-nbctl --wait=sb sync
    ovn-sbctl lsp-bind far hv3 -- lsp-bind gateway vtep -- lsp-bind zone2 hv6 -- lsp-bind both hv2
    ovn-sbctl set Port_Binding both additional_chassis="$(uuid hv1),$(uuid hv4)"
}
uuid() { ovn-sbctl --bare --columns=_uuid find Chassis name="$1"; }

# Every logical action, and matches of every kind, written into the Southbound by hand: one line `match<tab>actions` each.
actions() {
    switch-router-switch
    ovn-nbctl meter-add m9 drop 10 kbps 5
    ovs-vsctl --db="$OVS_DB" -- --id=@br get Bridge br-int -- create Flow_Sample_Collector_Set bridge=@br id=200 >/dev/null
    lflows "${1:-sw0}" actions.lflows
}
actions-router() { actions lr0; }
matches() {
    switch-router-switch
    ovn-nbctl pg-add pg1 p1 p2
    ovn-nbctl create Address_Set name=as1 addresses='"10.0.0.9","10.0.0.10","10.0.1.0/24"' >/dev/null
    lflows sw0 matches.lflows "$@"
}
matches-acl-ct() { matches tags:acl_ct_translation=true; }
lflows() { # DATAPATH FILE COLUMN=VALUE...
    local datapath match actions priority=5000 file=$here/$2
    ovn-nbctl --wait=sb sync
    datapath=$(ovn-sbctl --bare --columns=_uuid find Datapath_Binding external_ids:name="$1")
    shift 2
    ovn-appctl -t "$base/northd.ctl" exit
    local rows=()
    while IFS=$'\t' read -r match actions; do
        rows+=(-- create Logical_Flow logical_datapath="$datapath" pipeline=ingress table_id=30 priority="$priority"
            match="$(quoted "$match")" actions="$(quoted "$actions")" "$@")
        priority=$((priority + 1))
    done <"$file"
    ovn-sbctl "${rows[@]}" >/dev/null
}
quoted() { printf '"%s"' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')"; }
key() { ovn-sbctl --bare --columns=tunnel_key find "$1" "$2"; }

start
"$case"
# Everything claimed and installed: the acknowledged nb_cfg is that of the Southbound.
settle() { # NB_CFG
    if [ $keep = own ]; then # ovn-northd is not there any more
        ovn-sbctl set SB_Global . nb_cfg="$1"
    else
        ovn-nbctl --wait=sb sync
        ovn-nbctl --no-wait set NB_Global . nb_cfg="$1"
    fi
    await sh -c "ovn-sbctl --bare --columns=nb_cfg find Chassis_Private name=hv1 | grep -qx $1"
}
settle 1000
ovn-appctl -t "$base/controller.ctl" recompute
settle 1001
mkdir -p "$folder"
ovsdb-client -f json dump "$OVN_SB_DB" OVN_Southbound >"$folder/hv1.sb.json"
ovsdb-client -f json dump "$OVS_DB" Open_vSwitch >"$folder/hv1.ovs.json"
ofctl() { ovs-ofctl -O OpenFlow15 --no-names --no-stats "$1" "unix:$base/br-int.mgmt" | grep -v '^OFPST'; }
ofctl dump-flows >"$folder/hv1.flows"
ofctl dump-groups >"$folder/hv1.groups" || true
ofctl dump-meters >"$folder/hv1.meters" || true
# A case that is about a part of the flows keeps the rows and flows of that part.
[ $keep = all ] || python3 - "$folder" $keep <<'PRUNE'
import json, re, sys
folder, keep = sys.argv[1:]
cookies, tables = set(), []
for line in open(f"{folder}/hv1.sb.json"):
    table = json.loads(line)
    if table["caption"].startswith("Logical_Flow table"):
        row = lambda values: dict(zip(table["headings"], values))
        kept = [r for r in table["data"] if keep == "own" and 5000 <= row(r)["priority"] < 6000]
        cookies = {int(row(r)["_uuid"][1][:8], 16) for r in kept}
        table["data"] = kept
    tables.append(json.dumps(table, separators=(",", ":")))
open(f"{folder}/hv1.sb.json", "w").write("\n".join(tables) + "\n")
flows = []
for line in open(f"{folder}/hv1.flows"):
    number = lambda name, otherwise: int((re.search(rf"\b{name}=(\w+)", line) or [0, otherwise])[1], 0)
    table, priority = number("table", "0"), number("priority", "32768")
    of_lflow = 8 <= table <= 41 or 48 <= table <= 63
    conjunction = "actions=conjunction" in line and table == 38 and 5000 <= priority < 6000 and keep == "own"
    if not of_lflow or number("cookie", "0") in cookies or conjunction:
        flows.append(line)
open(f"{folder}/hv1.flows", "w").writelines(flows)
PRUNE
echo "$(ovn-controller --version | head -1), $(ovs-vswitchd --version | head -1)"
wc -l "$folder"/*
