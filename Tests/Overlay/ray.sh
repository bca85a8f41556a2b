#!/bin/bash
# A Ray cluster whose nodes know each other by overlay addresses alone: a head in one network namespace, a worker in
# another, an agent in each. Needs root, iproute2, python3 and PyPI.
#   ASTERISM_PROGRAMS=.build/release Tests/Overlay/ray.sh
#   ASTERISM_RAY_VENV=FOLDER: a virtual environment that has Ray already
#   UNDERLAY_MTU=1280: a narrower cable
# Exit status: 0 all was observed; 77 Ray cannot be had here; anything else is a fault.
set -u
PROGRAMS=${ASTERISM_PROGRAMS:-.build/release}
PROGRAMS=$(cd "$PROGRAMS" && pwd) || exit 1
ROOT=$(mktemp -d /tmp/asterism-ray-XXXXXX)
HEAD=ray-head-$$ WORKER=ray-worker-$$
log() { printf '%6.1f s  %s\n' "$(awk "BEGIN { print $(date +%s.%N) - $BEGAN }")" "$*"; }
fail() { log "FAILED: $*"; tail -n 15 "$ROOT"/*.log 2>/dev/null; exit 1; }
BEGAN=$(date +%s.%N)

cleanup() {
    # Never `ray stop`: it ends every Ray process of the machine. These namespaces hold ours and no others.
    for signal in TERM KILL; do
        for name in $HEAD $WORKER; do ip netns pids $name 2>/dev/null | xargs -r kill -$signal 2>/dev/null; done
        [ $signal = TERM ] && sleep 1
    done
    ip netns del $HEAD 2>/dev/null
    ip netns del $WORKER 2>/dev/null
    rmdir /tmp/ray 2>/dev/null
    rm -rf "$ROOT"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
VENV=${ASTERISM_RAY_VENV:-}
if [ -z "$VENV" ]; then
    VENV=$ROOT/venv
    if ! { python3 -m venv "$VENV" && "$VENV/bin/pip" install -q 'ray[serve]'; } >"$ROOT/pip.out" 2>&1; then
        echo "ray[serve] cannot be installed: $(tail -n 1 "$ROOT/pip.out")"
        exit 77
    fi
    log "installed: $("$VENV/bin/ray" --version)"
fi

# The underlay: a cable, and no route to anywhere else.
ip netns add $HEAD && ip netns add $WORKER || exit 77
ip link add cable netns $HEAD type veth peer name cable netns $WORKER
ip -n $HEAD addr add 10.99.0.1/24 dev cable
ip -n $WORKER addr add 10.99.0.2/24 dev cable
for name in $HEAD $WORKER; do
    ip -n $name link set lo up
    ip -n $name link set cable mtu ${UNDERLAY_MTU:-1500} up
done

# Ray keeps its sockets and its shared memory in places that two nodes of one machine must not share.
inside() {
    local name=$1
    shift
    mkdir -p "$ROOT/$name/tmp" /tmp/ray
    ip netns exec $name unshare --mount --propagation private sh -c '
        mount --bind "$0/tmp" /tmp/ray && mount -t tmpfs -o size=1g shm /dev/shm && exec "$@"' "$ROOT/$name" "$@"
}

ip netns exec $HEAD "$PROGRAMS/asterism-controller" --data "$ROOT/controller" --listen 10.99.0.1:7900 --http off \
    --socket "$ROOT/c.sock" --name controller >"$ROOT/controller.log" 2>&1 &
for _ in $(seq 100); do
    TOKEN=$("$PROGRAMS/asterism" token create --uses 2 --json --socket "$ROOT/c.sock" 2>/dev/null |
        sed -n 's/.*"token" *: *"\([^"]*\)".*/\1/p')
    [ -n "$TOKEN" ] && break
    sleep 0.1
done
[ -n "$TOKEN" ] || fail "no token"

# Ray shuts nobody out of its ports; the mesh does, for anyone who is of another application.
agent() {
    ip netns exec $1 "$PROGRAMS/asterismd" --data "$ROOT/$1.data" --listen "$2:7950" --socket "$ROOT/$1.sock" \
        --name "$1" --join-token "$TOKEN" --overlay required --overlay-interface overlay --label app=ray \
        --accelerators none >"$ROOT/$1.log" 2>&1 &
    ADDRESS=
    for _ in $(seq 100); do
        ADDRESS=$(ip -n $1 -4 addr show overlay 2>/dev/null | awk '/inet / { split($2, parts, "/"); print parts[1] }')
        [ -n "$ADDRESS" ] && return
        sleep 0.1
    done
    fail "$1 gets no address"
}
agent $HEAD 10.99.0.1
HEAD_ADDRESS=$ADDRESS
agent $WORKER 10.99.0.2
WORKER_ADDRESS=$ADDRESS
# Nothing of Ray's may take the cable: only the agents' and the controller's datagrams do.
for name in $HEAD $WORKER; do
    command -v iptables >/dev/null || break
    ip netns exec $name iptables -A INPUT -i cable ! -p udp -j REJECT
done
log "mesh: head $HEAD_ADDRESS, worker $WORKER_ADDRESS"

export RAY_DISABLE_USAGE_STATS=1 RAY_USAGE_STATS_ENABLED=0 PYTHONUNBUFFERED=1 PATH="$VENV/bin:$PATH"
COMMON=(--block --num-cpus=2 --object-store-memory=300000000 --disable-usage-stats)
inside $HEAD ray start --head "${COMMON[@]}" --node-ip-address=$HEAD_ADDRESS --port=6379 \
    --dashboard-host=$HEAD_ADDRESS >"$ROOT/ray-head.log" 2>&1 &
for _ in $(seq 600); do
    ip netns exec $HEAD bash -c "exec 3<>/dev/tcp/$HEAD_ADDRESS/6379" 2>/dev/null && break
    sleep 0.1
done
log "head answers"
inside $WORKER ray start "${COMMON[@]}" --address=$HEAD_ADDRESS:6379 --node-ip-address=$WORKER_ADDRESS \
    >"$ROOT/ray-worker.log" 2>&1 &

mkdir -p "$ROOT/driver"
cat >"$ROOT/driver/job.py" <<'P'
import hashlib, os, sys, time, urllib.request
import ray
from ray import serve
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On

head, worker = sys.argv[1:3]
began = time.monotonic()
def log(*words): print(f"{time.monotonic() - began:6.1f} s  job:", *words, flush=True)

ray.init(address=f"{head}:6379", _node_ip_address=head, log_to_driver=False)
nodes = {}
while set(nodes) != {head, worker}:
    nodes = {n["NodeManagerAddress"]: n["NodeID"] for n in ray.nodes() if n["Alive"]}
    assert time.monotonic() - began < 120, f"nodes: {nodes}"
    time.sleep(0.1)
log("both nodes are there")

def on(address): return On(nodes[address], soft=False)

@ray.remote(num_cpus=1)
def where(): return ray.util.get_node_ip_address()
for address in (head, worker):
    assert ray.get(where.options(scheduling_strategy=on(address)).remote(), timeout=60) == address
log("a task has run on each node")

@ray.remote(num_cpus=1)
def make(size):
    data = os.urandom(size)
    return ray.put(data), hashlib.sha256(data).hexdigest()
@ray.remote(num_cpus=1)
def digest(references):
    start = time.monotonic()
    data = ray.get(references[0])
    return hashlib.sha256(data).hexdigest(), len(data), time.monotonic() - start
for source, target in ((worker, head), (head, worker)):
    reference, expected = ray.get(make.options(scheduling_strategy=on(source)).remote(100_000_000), timeout=120)
    found, size, elapsed = ray.get(digest.options(scheduling_strategy=on(target)).remote([reference]), timeout=120)
    assert found == expected and size == 100_000_000
    log(f"100 MB from {source} to {target}, the hash is equal: {elapsed:.2f} s")
    del reference

@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 1, "resources": {f"node:{worker}": 0.01}})
class Hello:
    def __call__(self, request): return "hello from " + ray.util.get_node_ip_address()
serve.start(http_options={"host": "0.0.0.0", "port": 8000, "location": "EveryNode"})
serve.run(Hello.bind())
for address in (head, worker):
    with urllib.request.urlopen(f"http://{address}:8000/", timeout=30) as answer:
        assert answer.read().decode() == f"hello from {worker}", address
log("the deployment on the worker answers at both nodes")
serve.shutdown()
P
inside $HEAD timeout 240 python3 "$ROOT/driver/job.py" $HEAD_ADDRESS $WORKER_ADDRESS >"$ROOT/job.log" 2>&1
STATUS=$?
grep 'job:' "$ROOT/job.log"
[ $STATUS = 0 ] || fail "the job ended with $STATUS"
COUNTERS=$("$PROGRAMS/asterism" status --json --socket "$ROOT/$WORKER.sock" | tr -d ' \n' |
    grep -o '"count":[0-9]*,"name":"overlay[^"]*"\|"name":"overlay[^"]*","count":[0-9]*' | grep -v ':0\b' | tr '\n' ' ')
log "worker's agent: $COUNTERS"
log "done"
