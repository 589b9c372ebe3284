"""ProGen's score of synthetic rows: how much each one helps the student (Ye et al., Findings of EMNLP 2022).

A row's influence is how fast the student's mean reverse cross-entropy on a synthetic validation set would
rise if the row counted for more in training: `-<grad CE(row), H^-1 grad RCE(validation)>`, so that **negative
is helpful**. Reverse cross-entropy forgives wrong labels, which synthetic validation rows have.

`full_influence` takes all parameters and approximates H^-1 by the recursion of ProGen's code.
`last_layer_influence` takes the classifier alone, whose Hessian is known exactly, and needs one forward pass.
In both every loss holds `penalty` times the sum of squares of the weights, biases and layer norms left out.
"""

from s3_hf.influence.full import Recursion, full_influence
from s3_hf.influence.last_layer import LastLayer, last_layer_influence
from s3_hf.influence.rows import (
    AT_ONCE,
    Encoded,
    helpful_rows,
    reverse_cross_entropy,
    scored_rows,
)

__all__ = [
    "AT_ONCE",
    "Encoded",
    "LastLayer",
    "Recursion",
    "full_influence",
    "helpful_rows",
    "last_layer_influence",
    "reverse_cross_entropy",
    "scored_rows",
]
