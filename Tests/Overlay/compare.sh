#!/bin/bash
# Compares overlays between two network namespaces that a cable (veth) joins. All of them run all the time, and are
# measured in turns, so that what the machine does besides falls on each alike. Prints a Markdown table of medians.
#   ASTERISM_PROGRAMS=.build/release Tests/Overlay/compare.sh [-r ROUNDS] [-t SECONDS] [OVERLAY ...]
# Overlays: veth asterism asterism-plain wireguard-go nebula tinc fastd; without names, all that are installed.
# Needs root and iproute2; iperf3 for TCP, ping for times under load, cc for packets of 64 bytes.
set -u
ROUNDS=5 SECONDS_EACH=3
while getopts r:t: option; do
    case $option in
    r) ROUNDS=$OPTARG ;;
    t) SECONDS_EACH=$OPTARG ;;
    *) sed -n '2,7s/^# //p' "$0"; exit 2 ;;
    esac
done
shift $((OPTIND - 1))
[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
PROGRAMS=$(cd "${ASTERISM_PROGRAMS:-.build/release}" 2>/dev/null && pwd)
W=$(mktemp -d /tmp/asterism-compare-XXXXXX)
A=compare-a-$$ B=compare-b-$$
declare -A ADDRESS PIDS
has() { command -v "$1" >/dev/null; }
in_a() { ip netns exec $A "$@"; }
in_b() { ip netns exec $B "$@"; }

cleanup() {
    for signal in TERM KILL; do
        for name in $A $B; do ip netns pids $name 2>/dev/null | xargs -r kill -$signal 2>/dev/null; done
        sleep 0.3
    done
    ip netns del $A 2>/dev/null
    ip netns del $B 2>/dev/null
    rm -rf "$W" /var/run/wireguard/cmp[ab]$$.sock
}
trap cleanup EXIT
trap 'exit 1' INT TERM

for tool in iperf3 ping cc; do has $tool || echo "$tool is missing: its figures are left out" >&2; done
ip netns add $A && ip netns add $B || exit 1
ip link add cable netns $A type veth peer name cable netns $B
ip -n $A addr add 10.99.0.1/24 dev cable
ip -n $B addr add 10.99.0.2/24 dev cable
for name in $A $B; do ip -n $name link set lo up && ip -n $name link set cable up; done

# start OVERLAY SIDE COMMAND...: a daemon, whose time and memory count for the overlay.
start() {
    local overlay=$1 side=$2
    shift 2
    ip netns exec $([ $side = a ] && echo $A || echo $B) "$@" >>"$W/$overlay-$side.log" 2>&1 </dev/null &
    PIDS[$overlay]="${PIDS[$overlay]:-} $!"
}
# address SIDE INTERFACE: the IPv4 address, once it is there.
address() {
    local name=$([ $1 = a ] && echo $A || echo $B) found
    for _ in $(seq 100); do
        found=$(ip -n $name -4 addr show $2 2>/dev/null | awk '/inet / { split($2, parts, "/"); print parts[1] }')
        [ -n "$found" ] && echo "$found" && return
        sleep 0.05
    done
    return 1
}

# asterism OVERLAY PORT NETWORK ARGUMENT...
asterism() {
    local name=$1 port=$2 network=$3 token interface=ast$2
    shift 3
    in_b "$PROGRAMS/asterism-controller" --data "$W/$name-c" --listen 10.99.0.2:$port --http off --name controller \
        --socket "$W/$name-c.sock" --overlay-network $network >"$W/$name-c.log" 2>&1 </dev/null &
    for _ in $(seq 100); do
        token=$("$PROGRAMS/asterism" token create --uses 2 --json --socket "$W/$name-c.sock" 2>/dev/null |
            sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p')
        [ -n "$token" ] && break
        sleep 0.05
    done
    for side in a b; do
        start $name $side "$PROGRAMS/asterismd" --data "$W/$name-$side" --listen 0.0.0.0:$((port + 1)) --name $side \
            --socket "$W/$name-$side.sock" --join-token "$token" --overlay required --overlay-interface $interface \
            --accelerators none "$@"
    done
    address a $interface >/dev/null && ADDRESS[$name]=$(address b $interface)
}
start_veth() { ADDRESS[veth]=10.99.0.2; }
start_asterism() { [ -x "$PROGRAMS/asterismd" ] && asterism asterism 7900 100.96.0.0/16; }
start_asterism-plain() {
    [ -x "$PROGRAMS/asterismd" ] && asterism asterism-plain 7910 100.97.0.0/16 --crypto-accelerate off
}
start_wireguard-go() {
    has wireguard-go && has wg || return
    local side other
    for side in a b; do (umask 077; wg genkey >"$W/wg-$side") && wg pubkey <"$W/wg-$side" >"$W/wg-$side.pub"; done
    for side in a b; do
        local name=$B own=2 to=1
        other=a
        [ $side = a ] && name=$A own=1 to=2 other=b
        LOG_LEVEL=error start wireguard-go $side wireguard-go -f cmp$side$$
        for _ in $(seq 100); do [ -S /var/run/wireguard/cmp$side$$.sock ] && break; sleep 0.05; done
        ip netns exec $name wg set cmp$side$$ listen-port 51820 private-key "$W/wg-$side" \
            peer "$(cat "$W/wg-$other.pub")" allowed-ips 10.101.0.0/24 endpoint 10.99.0.$to:51820
        ip -n $name addr add 10.101.0.$own/24 dev cmp$side$$
        ip -n $name link set cmp$side$$ mtu 1420 up
    done
    ADDRESS[wireguard-go]=10.101.0.2
}
start_nebula() {
    has nebula && has nebula-cert || return
    (cd "$W" && nebula-cert ca -name lab && nebula-cert sign -name na -ip 10.103.0.1/24 &&
        nebula-cert sign -name nb -ip 10.103.0.2/24) >/dev/null || return
    local side to
    for side in a b; do
        to=$([ $side = a ] && echo 2 || echo 1)
        cat >"$W/nebula-$side.yml" <<Y
pki: {ca: $W/ca.crt, cert: $W/n$side.crt, key: $W/n$side.key}
static_host_map: {"10.103.0.$to": ["10.99.0.$to:4242"]}
lighthouse: {am_lighthouse: false, hosts: []}
listen: {host: 0.0.0.0, port: 4242, batch: 64}
cipher: aes
tun: {dev: nebula, mtu: 1420, tx_queue: 500}
logging: {level: error}
firewall: {outbound: [{port: any, proto: any, host: any}], inbound: [{port: any, proto: any, host: any}]}
Y
        start nebula $side nebula -config "$W/nebula-$side.yml"
    done
    ADDRESS[nebula]=10.103.0.2
}
start_tinc() {
    has tincd || return
    local side own
    for side in a b; do
        own=$([ $side = a ] && echo 1 || echo 2)
        mkdir -p "$W/tinc-$side/hosts"
        printf 'Name=%s\nInterface=tinc\nMode=router\n' $side >"$W/tinc-$side/tinc.conf"
        [ $side = a ] && echo ConnectTo=b >>"$W/tinc-$side/tinc.conf"
        printf 'Address=10.99.0.%s\nSubnet=10.104.0.%s/32\n' $own $own >"$W/tinc-$side/hosts/$side"
        printf '#!/bin/sh\nip link set tinc up mtu 1400\nip addr add 10.104.0.%s/24 dev tinc\n' $own \
            >"$W/tinc-$side/tinc-up"
        chmod +x "$W/tinc-$side/tinc-up"
        tincd -c "$W/tinc-$side" -K2048 </dev/null >/dev/null 2>&1
    done
    cp "$W/tinc-a/hosts/a" "$W/tinc-b/hosts/" && cp "$W/tinc-b/hosts/b" "$W/tinc-a/hosts/"
    for side in b a; do start tinc $side tincd -D -c "$W/tinc-$side" --pidfile="$W/tinc-$side.pid"; done
    ADDRESS[tinc]=10.104.0.2
}
start_fastd() {
    has fastd || return
    local side other own to
    for side in a b; do fastd --generate-key >"$W/fastd-$side.key" 2>&1; done
    for side in a b; do
        own=2 to=1 other=a
        [ $side = a ] && own=1 to=2 other=b
        cat >"$W/fastd-$side.conf" <<Y
log level warn; mode tap; interface "fastd"; method "salsa2012+umac"; bind any:10000; mtu 1426;
secret "$(awk '/Secret/ { print $2 }' "$W/fastd-$side.key")";
on up "ip link set up dev fastd; ip addr add 10.105.0.$own/24 dev fastd";
peer "$other" { key "$(awk '/Public/ { print $2 }' "$W/fastd-$other.key")"; remote 10.99.0.$to:10000; }
Y
        start fastd $side fastd -c "$W/fastd-$side.conf"
    done
    ADDRESS[fastd]=10.105.0.2
}

# The far end counts, the near end sends as fast as it is asked to; both by the batch, so that they cost little.
cat >"$W/blast.c" <<'C'
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
enum { batch = 64 };
static char bytes[batch][2048];
static struct iovec pieces[batch];
static struct mmsghdr messages[batch];
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
int main(int count, char **word) {  // blast ADDRESS SECONDS [PACKETS-A-SECOND]
    int s = socket(AF_INET, SOCK_DGRAM, 0), size = 16 << 20;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7777), .sin_addr.s_addr = inet_addr(word[1])};
    setsockopt(s, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    for (int i = 0; i < batch; i++) {
        pieces[i] = (struct iovec){bytes[i], count > 3 ? 64 : 2048};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = pieces + i, .msg_iovlen = 1};
    }
    double begin = now(), length = atof(word[2]);
    long total = 0;
    if (count == 3) {
        struct timeval wait = {.tv_usec = 50000};
        setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        if (bind(s, (void *)&at, sizeof at)) return 1;
        while (now() - begin < length) {
            int got = recvmmsg(s, messages, batch, MSG_WAITFORONE, 0);
            if (got > 0) total += got;
        }
    } else {
        double rate = atof(word[3]), passed;
        if (connect(s, (void *)&at, sizeof at)) return 1;
        while ((passed = now() - begin) < length) {
            long due = passed * rate - total;
            if (due <= 0) { usleep(60); continue; }
            int sent = sendmmsg(s, messages, due > 16 ? 16 : due, 0);
            if (sent > 0) total += sent;
            if (due > 2000) total += due - 2000;
        }
    }
    printf("%ld\n", total);
}
C
has cc && cc -O2 -o "$W/blast" "$W/blast.c"

# Processor seconds of an overlay's daemons.
processor() {
    local pid
    for pid in ${PIDS[$1]:-}; do cat /proc/$pid/task/*/schedstat 2>/dev/null; done |
        awk '{ sum += $1 } END { printf "%.6f", sum / 1e9 }'
}
note() { [ -n "$3" ] && printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$W/figures"; }
# tcp OVERLAY STREAMS: sets RATE (Gbit/s) and COST (processor seconds a GB).
tcp() {
    local before after received
    before=$(processor $1)
    received=$(in_a iperf3 -c ${ADDRESS[$1]} -t $SECONDS_EACH -P $2 -f k 2>/dev/null | awk '/receiver/ { last = $0 }
        END { n = split(last, word, " "); for (i = 1; i <= n; i++) {
            if (word[i] == "sec") split(word[i - 1], span, "-"); if (word[i] == "Kbits/sec") rate = word[i - 1] }
            if (rate) print rate / 1e6, rate / 8e6 * (span[2] - span[1]) }')
    after=$(processor $1)
    RATE=${received% *} COST=
    [ -n "$received" ] && [ -n "${PIDS[$1]:-}" ] &&
        COST=$(awk "BEGIN { print ($after - $before) / ${received#* } }")
}
packets() {
    local rate best=0 got
    for rate in 50000 150000 400000 800000; do
        in_b "$W/blast" ${ADDRESS[$1]} 1.2 >"$W/got" &
        local sink=$!
        sleep 0.1
        in_a "$W/blast" ${ADDRESS[$1]} 0.8 $rate >/dev/null
        wait $sink
        got=$(cat "$W/got")
        [ "${got:-0}" -gt $best ] && best=$got
    done
    awk "BEGIN { print $best / 0.8 / 1000 }"
}
measure() {
    local overlay=$1 RATE COST
    if has iperf3; then
        tcp $overlay 1
        note $overlay 'TCP, 1 stream, Gbit/s' "$RATE"
        note $overlay 'processor, 1 stream, s/GB' "$COST"
        if has ping; then
            in_a ping -q -i 0.05 -c $((SECONDS_EACH * 16)) ${ADDRESS[$overlay]} >"$W/ping" 2>/dev/null &
            local pinger=$!
        fi
        tcp $overlay 4
        note $overlay 'TCP, 4 streams, Gbit/s' "$RATE"
        note $overlay 'processor, 4 streams, s/GB' "$COST"
        if has ping; then
            wait $pinger
            note $overlay 'ping under 4 streams, ms' "$(awk -F/ '/^rtt/ { print $5 }' "$W/ping")"
        fi
    fi
    [ -x "$W/blast" ] && note $overlay 'UDP of 64 bytes, 1000 packets/s' "$(packets $overlay)"
}

LIST=()
for overlay in ${*:-veth asterism asterism-plain wireguard-go nebula tinc fastd}; do
    if ! start_$overlay; then echo "$overlay is missing or does not start" >&2; continue; fi
    for _ in $(seq 100); do in_a ping -c 1 -W 0.2 -q ${ADDRESS[$overlay]} >/dev/null 2>&1 && break; sleep 0.05; done
    if in_a ping -c 1 -W 1 -q ${ADDRESS[$overlay]} >/dev/null 2>&1; then LIST+=($overlay); else
        echo "$overlay carries nothing:" >&2
        tail -n 5 "$W/$overlay"-*.log >&2
    fi
done
has iperf3 && { in_b iperf3 -s >/dev/null 2>&1 & sleep 0.3; }
for round in $(seq $ROUNDS); do
    for overlay in "${LIST[@]}"; do measure $overlay; done
    echo "round $round of $ROUNDS" >&2
done
for overlay in "${LIST[@]}"; do
    for pid in ${PIDS[$overlay]:-}; do
        note $overlay 'resident at peak, MB' "$(awk '/VmHWM/ { print $2 / 1024 }' /proc/$pid/status)"
    done
done

awk -F'\t' -v list="${LIST[*]}" '
    { values[$1, $2] = values[$1, $2] " " $3; if (!($2 in seen)) { seen[$2] = 1; rows[++count] = $2 } }
    function median(text,   part, n, i, j, t) {
        n = split(text, part, " ")
        for (i = 2; i <= n; i++) for (j = i; j > 1 && part[j - 1] + 0 > part[j] + 0; j--) {
            t = part[j]; part[j] = part[j - 1]; part[j - 1] = t }
        return n == 0 ? "" : n % 2 ? part[(n + 1) / 2] + 0 : (part[n / 2] + part[n / 2 + 1]) / 2
    }
    function cell(value) { return value == "" ? "-" : value >= 100 ? sprintf("%.0f", value) : sprintf("%.2f", value) }
    END {
        many = split(list, names, " "); head = "| |"; rule = "|---|"
        for (k = 1; k <= many; k++) { head = head " " names[k] " |"; rule = rule "---|" }
        print head; print rule
        for (r = 1; r <= count; r++) {
            line = "| " rows[r] " |"
            for (k = 1; k <= many; k++) line = line " " cell(median(values[names[k], rows[r]])) " |"
            print line
        }
        split("wireguard-go veth", bases, " ")
        for (b = 1; b <= 2; b++) for (r = 1; r <= count; r++) {
            base = median(values[bases[b], rows[r]])
            if (base == "" || base == 0) continue
            line = "| " rows[r] ", to " bases[b] " = 1 |"
            for (k = 1; k <= many; k++) {
                value = median(values[names[k], rows[r]])
                line = line " " (value == "" ? "-" : cell(value / base)) " |"
            }
            print line
        }
    }' "$W/figures"
