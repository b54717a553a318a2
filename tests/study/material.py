"""What the fuzzer makes mutants of: a study that says everything, and words to put into it."""

import datetime
import re
from typing import Any

from ablate.errors import toml

BELOW = """\
title = "Below"
question = "Why?"
seeds = 2

[base]
augment.transforms = ["crop", "color"]
encoder.name = "resnet8"

[axes]
epochs = [1, 2]
rate = { setting = "optimizer.learning_rate", values = [0.01, 0.1] }

[resources]
gpus_per_node = 1
time = "90min"
"""
RICH = """\
name = "rich"
title = "Everything that a study may say"
question = '''Does it
hold?'''
extends = "below"
seeds = [0, 3]
exclude = ["head == 'none' and temperature > 0.2", { head = "linear", first = ["weak", "strong"] }]

[base]
loss.temperature = 0.5  # replaced by the axis
"evaluate" = { parts = ["cached_linear"] }
augment = { transforms = ["crop", "color"], color = { strength = 0.5 } }

[axes]
epochs = false
rate = [0.01, 0.05]
head = { setting = "head.name", values = ["nonlinear", "linear", "none"], label = "projection head" }
temperature = { setting = "loss.temperature", values = [0.1, 0.5, 1.0] }

[axes.dimension]
setting = "head.output_dimension"
values = [
  16,
  64,
]
when = "head != 'none' and temperature in [0.1, 0.5]"

[axes.first]
setting = "augment.color"
values = { weak = { strength = 0.2 }, strong = { strength = 1.0 } }

[[zip]]
batch_size = [16, 32]
decay = { setting = "optimizer.weight_decay", values = [0.0, 1e-4] }

[[cases]]
name = "untrained"
label = "untrained encoder"
set.epochs = 0

[[cases]]
name = "wide"
label = "twice as wide"
[cases.set.encoder]
width_multiplier = 2

[evaluate]
probe.parts = ["cached_linear"]
nearest = { parts = ["knn"], knn.neighbours = 20 }

[resources]
nodes = 2
memory = "64GB"

[reference]
table = "fig8_projection_head"
label = "Fig. 8"
where = { out_dim = [32, 2048] }
values.head.none = "none"
cases = { wide = { head = "none" } }
cells = "evaluation == 'probe'"
[reference.columns]
rate = false
temperature = false
dimension = "out_dim"
first = false
batch_size = false
decay = false

[[claims]]
id = "D1"
text = "A nonlinear head is better than a linear one."
source = "section 4.2"
kind = "greater"
left = "head == 'nonlinear'"
right = "head == 'linear'"
each = ["temperature", "rate"]
margin = 3.0
required = true

[[claims]]
id = "D1'"
text = "It is the best, or the order is like the paper's."
source = "section 4.2"
kind = "any"
profiles = ["embedded"]
cells = "evaluation == 'probe'"
parts = [
  { kind = "best", is = "head == 'nonlinear'" },
  { kind = "rank_correlation", at_least = 0.5, by = "head", cells = "case != 'untrained'" },
]

[profile.embedded]
base.warmup_epochs = 0.1
axes.temperature = [0.1, 0.2]
seeds = [7]
evaluate.nearest.knn.neighbours = 10
resources = { nodes = 1 }
"""
_WORDS = """
true false True nan inf -inf -1 0 1 2 0.1 1e999 1e-320 007 +1 9223372036854775807 9223372036854775808 0x7f 0b1 1_000
2026-01-01 07:30:00 2026-01-01T07:30:00Z "" '' \"\"\" ''' "\\u0000" "\\ud800" "\\x" '\\' é 温 \u202e \ufeff
\0 \x1b [ ] [[ ]] { } = . , # == != < and or not in ( ) ; : [] {} [[]] [{}] {a=1} [1,2] ["a","b"] {weak=1,strong=2}
name title question extends trainer metric base axes zip cases exclude evaluate seeds resources profile reference
claims id text source kind greater left right each margin parts is along by rivals where columns paper_profile
setting values label when set table value nodes gpus_per_node cpus_per_task memory time embedded small seed epochs head
loss augment evaluation "head.name" "seed" "evaluate" "loss" "augment.transforms.5" "augment.transforms.0" "head"
"below" "rich" "x/y" "../rich" "json:dumps" "no.such:function" "a:b:c" ".:." "temperature" "24h" "1-12:00:00" "soon"
"64GB" 3.5
10000 1000 [1] [0,0] [-1] [1.5] ["crop","crop"] ["knn"]
"""
CONDITIONS = (
    "head == head", "not not head", "head in head", "((((((((head))))))))", "lambda: 1", "head < 3", "1 < 2 < 3",
    "a if b else c", "-'a'", "1 is 1", "f'{head}'", 'head == "none"', "head == 'none'", "temperature < 0.3", "not head",
    "first in ['weak']", "head in 'none'", "temperature == '0.1'", "not " * 100 + "head", "(" * 150, "-" * 150 + "1",
)  # fmt: skip
TOKENS = (*_WORDS.split(), *map(toml, CONDITIONS), "\r", "\t", "\n")
KEYS = re.findall(r'[\w."]+', _WORDS)
VALUES: tuple[Any, ...] = (
    True, False, 0, 1, -1, 2, 3, 7, 10**6, 2**62, 0.0, -0.5, 0.3, 1e308, 5e-324, float("inf"), float("nan"), "", "a",
    "0", "none", "crop", "loss.temperature", "head.name", "epochs", "seed", "evaluate", "evaluate.parts", "augment",
    "data.name", "augment.transforms.0", "augment.transforms.9", "a.b", ".", "x" * 300, "\u202e", "é", "\0", [], [[]],
    {}, [{}], [1, 1.0], [True, 1], ["a", 1], ["crop", "color"], {"a": {}}, {"a": []}, {"0": 1, "1": 2}, {"": 1},
    [1, 2, 3], list(range(60)), [0.1, 0.2], {"setting": "epochs", "values": [1, 2]}, {"name": "none"},
    {"weak": {}, "strong": {"strength": 0.5}}, datetime.date(2026, 1, 1), datetime.time(7, 30),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), *CONDITIONS,
)  # fmt: skip
