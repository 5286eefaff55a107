#!/usr/bin/env bash
# Records the cases in this folder from a running OVN: `record.sh CASE FOLDER` starts databases, ovn-northd, and one hypervisor
# (Open vSwitch on a dummy datapath, ovn-controller), builds CASE, waits until it has settled, and leaves in FOLDER what
# testdata/translate/README.md lists. Needs the packages ovn-central, ovn-host and openvswitch-switch of the release to record.
set -euo pipefail
case=$1 folder=$2
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
    ovs-appctl -t "$base/vswitchd.ctl" netdev-dummy/ip4addr br-phys 192.0.2.1/24
    ovs-appctl -t "$base/vswitchd.ctl" ovs/route/add 192.0.2.1/24 br-phys
    ovs-vsctl --db="$OVS_DB" set Open_vSwitch . external-ids:system-id=hv1 external-ids:ovn-remote="$OVN_SB_DB" \
        external-ids:ovn-encap-type=geneve external-ids:ovn-encap-ip=192.0.2.1 external-ids:hostname=hv1.example \
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
key() { ovn-sbctl --bare --columns=tunnel_key find "$1" "$2"; }

start
"$case"
ovn-nbctl --wait=sb sync
# Everything claimed and installed: the acknowledged nb_cfg is that of the Southbound.
ovn-nbctl --no-wait set NB_Global . nb_cfg=1000
await sh -c "ovn-sbctl --bare --columns=nb_cfg find Chassis_Private name=hv1 | grep -qx 1000"
ovn-appctl -t "$base/controller.ctl" recompute
ovn-nbctl --no-wait set NB_Global . nb_cfg=1001
await sh -c "ovn-sbctl --bare --columns=nb_cfg find Chassis_Private name=hv1 | grep -qx 1001"
mkdir -p "$folder"
ovsdb-client -f json dump "$OVN_SB_DB" OVN_Southbound >"$folder/hv1.sb.json"
ovsdb-client -f json dump "$OVS_DB" Open_vSwitch >"$folder/hv1.ovs.json"
ofctl() { ovs-ofctl -O OpenFlow15 --no-names --no-stats "$1" "unix:$base/br-int.mgmt" | grep -v '^OFPST'; }
ofctl dump-flows >"$folder/hv1.flows"
ofctl dump-groups >"$folder/hv1.groups" || true
ofctl dump-meters >"$folder/hv1.meters" || true
echo "$(ovn-controller --version | head -1), $(ovs-vswitchd --version | head -1)"
wc -l "$folder"/*
