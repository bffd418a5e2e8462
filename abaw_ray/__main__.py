"""`python -m abaw_ray`."""

from abaw_ray.cli import main

main()
