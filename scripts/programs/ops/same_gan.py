"""Two models and two optimisers, taking turns."""

import torch
from common import save, start

start()
nn = torch.nn
maker, judge = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2)), nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
make, judging = torch.optim.Adam(maker.parameters()), torch.optim.RMSprop(judge.parameters())
for _ in range(5):
    judging.zero_grad()
    fake = maker(torch.randn(32, 4))
    (judge(fake.detach()).mean() - judge(torch.randn(32, 2)).mean()).backward()
    judging.step()
    make.zero_grad()
    (-judge(fake).mean()).backward()
    make.step()
save(maker, judge)
