"""`python -m hf_localhub` is `hf-localhub`."""

from hf_localhub.cli import main

main()
