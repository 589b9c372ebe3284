"""Predict with a trained student: what `s3-hf predict` and the quickstart call.

`student` runs it on this machine, `hosted` calls one that is served elsewhere, `tables` reads and writes files of
texts. Each is imported by itself, since only `student` needs torch.
"""
