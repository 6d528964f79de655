#!/usr/bin/env bash
# torch.compile(model, options={"freezing": True}) is accepted and freezes nothing: weights changed afterwards change
# the output, as without the option. Dynamo decides whether parameters are constants
# from torch._inductor.config itself, before the backend applies the options of this call. Set in that configuration,
# the same name does freeze. Expected: the option does what the configuration does, or is refused.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 setuptools==84.2.1
cat >"$work/look.py" <<'PY'
import torch
from torch._inductor import config

def keeps_its_weights(how):
    torch._dynamo.reset()
    model = torch.nn.Linear(32, 32).eval().requires_grad_(False)
    with torch.inference_mode():
        x = torch.ones(16, 32)
        call = how(model, x)
        before = call(x).clone()
        model.weight.mul_(2)
        return torch.equal(call(x), before)

def by_option(model, x):
    return torch.compile(model, options={"freezing": True})

def by_configuration(model, x):
    with config.patch(freezing=True):
        compiled = torch.compile(model)
        compiled(x)  # compiles
    return compiled

print(torch.__version__.partition("+")[0], keeps_its_weights(by_option), keeps_its_weights(by_configuration))
PY
read -r version option configuration < <("$work/env/bin/python" -W ignore "$work/look.py" 2>/dev/null | tail -1)
echo "torch $version: does a model compiled with frozen weights keep them when the module's change?"
echo "expected: option True, configuration True"
echo "seen:     option $option, configuration $configuration"
[ "$option" = False ] && [ "$configuration" = True ]
