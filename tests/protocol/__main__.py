"""Check the protocol's model with Spin: the true one has no error, and each that is broken on purpose has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

MODEL = Path(__file__).with_name("jobs.pml")
BROKEN = {
    "FENCE_BY_ATTEMPT": "a finish is fenced by the number of the attempt, which is given back",
    "FINISH_BY_ID": "a finish is not fenced at all",
    "RESCUE_WITHOUT_RECHECK": "a rescue writes what it saw a moment ago",
    "NO_RESCUE": "nobody rescues",
    "CANCEL_WITHOUT_RECHECK": "a cancel writes what it saw a moment ago",
    "FINISH_FORGETS_REQUEST": "a finish retries a job whose cancellation was requested",
    "RESCUE_FORGETS_REQUEST": "a rescue retries a job whose cancellation was requested",
}


def count_errors(variant: str | None) -> tuple[int, int]:
    """Search all states of the model and return how many errors and how many states it has."""
    with tempfile.TemporaryDirectory() as folder:

        def run(*command: str) -> str:
            done = subprocess.run(command, cwd=folder, text=True, capture_output=True, check=False, timeout=60)
            if done.returncode:
                sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
            return done.stdout

        run("spin", *([f"-D{variant}"] if variant else []), "-a", str(MODEL))
        run("gcc", "-O2", "-DSAFETY", "-DVECTORSZ=2048", "-o", "pan", "pan.c")
        said = run("./pan", "-m1000000")
    if "error: max search depth too small" in said or "out of memory" in said:
        sys.exit(f"the search is not complete:\n{said}")
    errors, states = re.search(r"errors: (\d+)", said), re.search(r"([\d.e+]+) states, stored", said)
    if errors is None or states is None:
        sys.exit(f"cannot read what the search says:\n{said}")
    return int(errors[1]), round(float(states[1]))


def main() -> int:
    """Print a line a variant and return the exit code."""
    missing = [program for program in ("spin", "gcc") if shutil.which(program) is None]
    if missing:
        print(f"expected the programs spin and gcc, missing: {', '.join(missing)}; install them (Debian: spin gcc)")
        return 1
    errors, states = count_errors(None)
    print(f"the protocol: {states:,} states, {errors} errors")
    wrong = ["the protocol has an error"] if errors else []
    for variant, what in BROKEN.items():
        errors, _ = count_errors(variant)
        print(f"  broken on purpose, {what}: {'caught' if errors else 'NOT CAUGHT'}")
        if not errors:
            wrong.append(f"{variant} was not caught")
    print("; ".join(wrong) or "The model holds, and bites.")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
