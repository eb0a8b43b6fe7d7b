"""The peer: the published method as one would write it with torch's own modules and data loader (task A).

The same network, objective, optimiser and batch as `faithful("A")`; the encoder computes all rows in its last layer
too, and a data set draws one episode at a time.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


class Published(nn.Module):
    """`nn.TransformerEncoder` between the published embeddings and head."""

    def __init__(self, d: int = 16, n: int = 32, width: int = 128, heads: int = 4, layers: int = 2, hidden: int = 512):
        super().__init__()
        self.x_proj = nn.Linear(d, width)
        self.y_proj = nn.Linear(1, width)
        self.query_proj = nn.Linear(d, width)
        self.pos = nn.Parameter(0.02 * torch.randn(n + 1, width))
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout=0.0, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor, y: Tensor, query: Tensor, mask: Tensor | None = None) -> Tensor:
        """(batch, n, d), (batch, n), (batch, m, d) -> (batch, m); queries share a position. `mask` is torch's."""
        n, m = x.shape[1], query.shape[1]
        context = self.x_proj(x) + self.y_proj(y.unsqueeze(-1)) + self.pos[:n]
        tokens = torch.cat([context, self.query_proj(query) + self.pos[n]], dim=1)
        return self.head(self.encoder(tokens, mask)[:, -m:]).squeeze(-1)


class Episodes(Dataset):
    """One episode of task A at a time, from torch's global stream, moved to the device one by one as published."""

    def __init__(self, length: int, device: str, d: int = 16, n: int = 32, sigma_k: float = 3.0):
        self.length, self.device, self.d, self.n, self.sigma_k = length, device, d, n, sigma_k

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, _: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mu = torch.randn(self.d)
        mu = mu / mu.norm()
        k = self.sigma_k * torch.randn(self.d)
        y = torch.randint(2, (self.n + 1,)).float()
        x = (2 * y[:, None] - 1) * mu + k + torch.randn(self.n + 1, self.d)
        x, y = x.to(self.device), y.to(self.device)
        return x[:-1], y[:-1], x[-1:], y[-1:]


def training(steps: int, device: str = "cpu", batch: int = 64) -> Iterator[None]:
    """The published loop: yields after each step."""
    model = Published().to(device)
    loader = DataLoader(Episodes(steps * batch, device), batch, drop_last=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-4, total_steps=steps)
    for x, y, query, label in loader:
        loss = F.binary_cross_entropy_with_logits(model(x, y, query), label)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        loss.item()  # the published loop adds it up
        yield
