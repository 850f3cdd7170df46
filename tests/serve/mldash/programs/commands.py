"""Runs commands of `ml-dash`, given as a JSON list of lists, and prints the exit code behind each output."""

import json
import sys

from ml_dash.cli import main

for argv in json.loads(sys.argv[1]):
    code = main(argv)
    print(f"\n== {argv[0]}: {code}", flush=True)
