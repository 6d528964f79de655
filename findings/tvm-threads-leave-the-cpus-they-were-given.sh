#!/usr/bin/env bash
# A process that was started on one CPU (taskset, numactl, a job scheduler) leaves it with its first parallel TVM
# kernel: the worker is pinned to another CPU, and the mask of the calling thread, which said one CPU, says all of them
# from then on. TVM counts cores from 0 and does not look which of them it was given, so the second thread of every
# process goes to the same CPU. Expected: no thread may run where the process may not.
#
# What helps: calling "runtime.config_threadpool" with mode -2, the number of threads and the allowed CPUs as strings,
# in the thread that will call kernels, before the first of them. (Told of one CPU only, it starts no worker.)
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
[ "$(nproc)" -ge 2 ] || { echo "needs two CPUs"; exit 2; }
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet apache-tvm==0.27.0.post1 apache-tvm-ffi==0.1.14.post1 numpy==2.4.6
cat >"$work/look.py" <<'PY'
import os, sys
import numpy, tvm
from tvm import te

def masks():
    return {thread: sorted(os.sched_getaffinity(int(thread))) for thread in os.listdir("/proc/self/task")}

calling = str(os.getpid())
given = masks()[calling]
if sys.argv[1:] == ["told"]:
    tvm.get_global_func("runtime.config_threadpool")(-2, 2, [str(cpu) for cpu in given])
a = te.placeholder((64,), name="a")
b = te.compute((64,), lambda i: a[i] + 1.0, name="b")
schedule = tvm.s_tir.Schedule(te.create_prim_func([a, b]))
(loop,) = schedule.get_loops(schedule.get_sblock("b"))
schedule.parallel(loop)
kernel = tvm.compile(schedule.mod, target={"kind": "llvm", "num-cores": 2})
known = set(masks())
kernel["main"](tvm.runtime.tensor(numpy.ones(64, "float32")), tvm.runtime.empty((64,), "float32"))
after = masks()
print("given", given, "calling thread", after[calling], "worker", *(after[t] for t in after if t not in known))
PY
run() { TVM_NUM_THREADS=2 taskset -c 0 "$work/env/bin/python" "$work/look.py" "$@" | tail -1; }
left=$(run) told=$(run told)
echo "apache-tvm 0.27.0.post1: CPUs that each thread may use, after one parallel kernel"
echo "expected: given [0] calling thread [0] worker [0]"
echo "seen:     $left"
echo "told:     $told"
everywhere=$(python3 -c 'import os; print(sorted(os.sched_getaffinity(0)))')
[ "$left" = "given [0] calling thread $everywhere worker [1]" ] && [ "$told" = "given [0] calling thread [0] worker" ]
