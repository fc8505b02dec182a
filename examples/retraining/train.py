"""Train a model on a training set: `python train.py SET NAME` writes NAME.py.

The model is the share of returns at each tenth of the price: small enough to be read.
"""

import sys
from pathlib import Path

import pyarrow.dataset as ds

BINS = 10
MODEL = '''"""The share of returns at each tenth of the price."""

SHARES = {shares}


def score(frame):
    return frame["price"].map(lambda price: SHARES[min(int(price * {bins}), {last})])
'''


def main(folder: Path, name: str) -> None:
    """Write the model that the set teaches."""
    rows = ds.dataset(folder / "data").to_table(columns=["price", "label"]).to_pylist()
    counts, returns = [0] * BINS, [0] * BINS
    for row in rows:
        place = min(int(row["price"] * BINS), BINS - 1)
        counts[place] += 1
        returns[place] += bool(row["label"])
    shares = [round((back + 1) / (count + 2), 3) for back, count in zip(returns, counts, strict=True)]
    Path(f"{name}.py").write_text(MODEL.format(shares=shares, bins=BINS, last=BINS - 1))
    print(f"{name}: learned from {len(rows):,} offers; {shares}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
