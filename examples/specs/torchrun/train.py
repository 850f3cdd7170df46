"""What each process of a distributed training knows of itself."""

from __future__ import annotations

import os

rank, size = os.environ["RANK"], os.environ["WORLD_SIZE"]
print(f"process {rank} of {size}, profile {os.environ.get('PROFILE', 'off')}", flush=True)
if rank == "0":
    with open(os.environ["EXP_OUTPUT"], "a", encoding="utf-8") as outputs:  # noqa: PTH123 - as short as can be
        outputs.write(f"processes:={size}\n")
