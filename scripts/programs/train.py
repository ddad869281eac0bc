"""A classifier with dropout, Adam and a shuffling loader: writes metrics.jsonl, a checkpoint at step 10 and model.pt."""

import argparse
import json
import os

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int)
parser.add_argument("--late-seed", type=int, help="seeded only after the model was made")
parser.add_argument("--workers", type=int, default=0)
parser.add_argument("--augment", action="store_true", help="noise that every worker draws from the operating system")
parser.add_argument("--hard-exit", action="store_true", help="end without exit handlers, as programs with hanging threads do")
arguments = parser.parse_args()


class Points(Dataset):
    """Points on two rings, the same for everybody."""

    def __len__(self):
        return 640

    def __getitem__(self, index):
        angle, ring = torch.tensor(index * 0.37), index % 2
        point = (1.0 + ring) * torch.stack([torch.sin(angle), torch.cos(angle)])
        if arguments.augment:
            point = point + int.from_bytes(os.urandom(2), "little") / 2**20
        return point, ring


def main():
    if arguments.seed is not None:
        torch.manual_seed(arguments.seed)
    model = nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2))
    if arguments.late_seed is not None:
        torch.manual_seed(arguments.late_seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loader = DataLoader(Points(), batch_size=32, shuffle=True, num_workers=arguments.workers)
    with open("metrics.jsonl", "w", encoding="utf-8") as metrics:
        for step, (points, rings) in enumerate(loader):
            loss = nn.functional.cross_entropy(model(points), rings)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            metrics.write(json.dumps({"step": step, "loss": loss.item()}) + "\n")
            if step == 10:
                torch.save(model.state_dict(), "checkpoint-10.pt")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, "model.pt")
    if arguments.hard_exit:
        os._exit(0)


if __name__ == "__main__":
    main()
