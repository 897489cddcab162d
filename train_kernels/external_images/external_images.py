"""Kaggle kernel: what the attached COVID-19 Radiography Database holds, a line per class folder."""

# %%
import os
from pathlib import Path

# %%
# PARAMETERS
DATASET = "covid19-radiography-database"
# END PARAMETERS

# %%
INPUT = Path(os.environ.get("SIIM_KERNEL_INPUT", "/kaggle/input"))

# %%
if __name__ == "__main__":
    found = [path for layout in ("", "datasets/*/") for path in INPUT.glob(f"{layout}{DATASET}")]
    if len(found) != 1:
        raise SystemExit(f"dataset {DATASET} should be mounted once under {INPUT}, it is {len(found)} times: attach it to the kernel")
    for folder in sorted({path.parent for path in found[0].rglob("*.png")}):
        print(f"{folder.relative_to(found[0])}: {len(list(folder.glob('*.png')))} PNG files")
