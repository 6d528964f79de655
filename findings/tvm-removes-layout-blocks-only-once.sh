#!/usr/bin/env bash
# TVM's MetaSchedule marks a weight that a schedule wants to have laid out anew by a block in the kernel, and its pass
# RemoveWeightLayoutRewriteBlock takes the block out before anything is compiled. The pass is not idempotent: with
# skip_tensor_rewrite=True, which MetaSchedule's own builder sets, a second application to its own result fails an
# internal check. ArgInfo.from_entry_func(module, remove_preproc=True), the default, applies it as well: whoever asks
# for the arguments of a module that is ready to be compiled gets the internal error instead of types and shapes. It
# depends on the schedule, so that a module that was not scheduled, or whose schedule left the weight alone, passes.
# Expected: what has no such block is left as it is.
#
# What helps: asking before the pass, or with remove_preproc=False after it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet apache-tvm==0.27.0.post1 apache-tvm-ffi==0.1.14.post1 numpy==2.4.6
cat >"$work/look.py" <<'PY'
from tvm import IRModule, te
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.transform import RemoveWeightLayoutRewriteBlock
from tvm.target import Target

size = 64
a, w = (te.placeholder((size, size), name=name) for name in "aw")
k = te.reduce_axis((0, size), name="k")
c = te.compute(
    (size, size), lambda i, j: te.sum(a[i, k] * w[k, j], axis=k), name="c", attrs={"layout_free_placeholders": [w]}
)
module = IRModule({"main": te.create_prim_func([a, w, c]).with_attr("layout_free_buffers", [1])})
context = ms.TuneContext(module, target=Target({"kind": "llvm", "num-cores": 2}), space_generator="post-order-apply", num_threads=1)
schedule = context.generate_design_space()[0]
rewritten = ms.postproc.RewriteLayout()
rewritten._initialize_with_tune_context(context)
assert rewritten.apply(schedule)
remove = RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)


def outcome(do):
    try:
        do()
    except Exception as error:
        return type(error).__name__
    return "passes"


once = remove(schedule.mod)
print(
    "arguments before", outcome(lambda: ms.arg_info.ArgInfo.from_entry_func(schedule.mod, remove_preproc=True)) + ",",
    "after", outcome(lambda: ms.arg_info.ArgInfo.from_entry_func(once, remove_preproc=True)) + ",",
    "without the pass", outcome(lambda: ms.arg_info.ArgInfo.from_entry_func(once, remove_preproc=False)) + ",",
    "twice", outcome(lambda: remove(once)),
)
PY
seen=$("$work/env/bin/python" "$work/look.py" 2>/dev/null | tail -1)
echo "apache-tvm 0.27.0.post1: a kernel whose layout block was taken out"
echo "expected: arguments before passes, after passes, without the pass passes, twice passes"
echo "seen:     $seen"
[ "$seen" = "arguments before passes, after InternalError, without the pass passes, twice InternalError" ]
