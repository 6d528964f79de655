#!/usr/bin/env bash
# MetaSchedule's XGBModel answers at random until it has seen num_warmup_samples candidates, a hundred by default. It
# trains all the same, from the first one on and after every batch, because adaptive_training asks only whether there
# is a fifth more than at the last training: at few samples there always is. A training ends by itself fifty rounds
# after the error stops falling, and on a handful of samples it goes on falling for hundreds of rounds. So a tuning run
# with a few trials for each task spends most of its own CPU time on trees that nobody may ask.
# Expected: nothing is trained before a prediction may use it.
#
# What helps: model.last_train_size = model.num_warmup_samples / 1.2, before the first update.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet apache-tvm==0.27.0.post1 apache-tvm-ffi==0.1.14.post1 numpy==2.4.6 \
  xgboost-cpu==3.2.0 psutil==7.2.2 cloudpickle==3.1.2
cat >"$work/look.py" <<'PY'
import xgboost
from tvm import IRModule, te
from tvm.s_tir import meta_schedule as ms
from tvm.target import Target

size, samples = 64, 8
a, b = (te.placeholder((size, size), name=name) for name in "ab")
k = te.reduce_axis((0, size), name="k")
c = te.compute((size, size), lambda i, j: te.sum(a[i, k] * b[k, j], axis=k), name="c")
module = IRModule({"main": te.create_prim_func([a, b, c])})
target = Target({"kind": "llvm", "num-cores": 2})


def rounds(prepare):
    context = ms.TuneContext(module, target=target, space_generator="post-order-apply", num_threads=1, rand_state=1)
    model = ms.cost_model.XGBModel(num_tuning_cores=1)
    prepare(model)
    candidates = [
        ms.MeasureCandidate(context.generate_design_space()[0], ms.arg_info.ArgInfo.from_entry_func(module))
        for _ in range(samples)
    ]
    trained = 0
    for number, candidate in enumerate(candidates, 1):
        model.update(context, [candidate], [ms.runner.RunnerResult([1e-3 * number], None)])
    if model.booster is not None:
        trained = model.booster.num_boosted_rounds()
    asked = []
    model._predict = lambda xs: asked.append(len(xs))
    model.predict(context, candidates[:1])
    return f"{'trained' if trained else 'not trained'}, {'asked' if asked else 'not asked'}"


print(
    rounds(lambda model: None) + "; with the other size",
    rounds(lambda model: setattr(model, "last_train_size", model.num_warmup_samples / 1.2)),
)
PY
seen=$("$work/env/bin/python" "$work/look.py" 2>"$work/errors" | tail -1) || { tail -5 "$work/errors"; exit 1; }
echo "apache-tvm 0.27.0.post1, xgboost: a cost model with 8 samples, which predicts from 100 on"
echo "expected: not trained, not asked; with the other size not trained, not asked"
echo "seen:     $seen"
[ "$seen" = "trained, not asked; with the other size not trained, not asked" ]
