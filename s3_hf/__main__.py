"""`python -m s3_hf` is `s3-hf`."""

from s3_hf.cli import main

main()
