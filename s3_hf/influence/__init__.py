"""ProGen's score of synthetic rows: how much each row helps the student (Ye et al., Findings of EMNLP 2022).

The influence of a row is the slope of the student's mean reverse cross-entropy (RCE) on synthetic validation rows as
the row's weight in training grows: `-<grad CE(row), H^-1 grad RCE(validation)>`, so **a negative score is helpful**.
Reverse cross-entropy tolerates wrong labels, which synthetic validation rows have.

`full_influence` uses all parameters and approximates H^-1 by the recursion of ProGen's code.
`last_layer_influence` uses the classifier alone, whose Hessian is exact, and needs one forward pass. Both add
`penalty` times the sum of squares of the weights, without biases and layer norms, to every loss.
"""

from s3_hf.influence.full import Recursion, full_influence
from s3_hf.influence.last_layer import LastLayer, last_layer_influence
from s3_hf.influence.rows import (
    AT_ONCE,
    TensorRows,
    helpful_rows,
    reverse_cross_entropy,
    scored_rows,
)

__all__ = [
    "AT_ONCE",
    "LastLayer",
    "Recursion",
    "TensorRows",
    "full_influence",
    "helpful_rows",
    "last_layer_influence",
    "reverse_cross_entropy",
    "scored_rows",
]
