"""The scan of Mamba-2, where all states of a head share one factor: a few matrix products for each chunk.

Dao and Gu 2024, "Transformers are SSMs" (state-space duality). With a number A_h for each head the state of head h is
h_t = a_t h_(t-1) + dt_t x_t B_t^T with a_t = exp(dt_t A_h), so that

    y_t = sum_(s <= t) (C_t . B_s) exp(A_h (dt_(s+1) + ... + dt_t)) dt_s x_s + D_h x_t

Inside a chunk this is a masked matrix product; between chunks the state is handed on. Exponents are sums over the
places between s and t alone and never positive: there is no quotient of cumulative products, which would lose
everything once a product underflows.
"""

import torch
from torch import Tensor


def ssd(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, keep: Tensor | None = None, chunk: int = 64
) -> Tensor:
    """x (B, L, heads, P), dt (B, L, heads) positive, A (heads,) negative, B and C (B, L, S), D (heads,) -> y as x.

    Equals `selective_scan` with E = heads * P, where dt, A and D are repeated P times and A also S times.
    keep (B, L) True = a real place: any other passes the state on unchanged and gives 0. Computed in float32 (float64
    if x is), also under autocast. Gradients by autograd.
    """
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    with torch.autocast(x.device.type, enabled=False):
        given, dt, A, B, C, D = (tensor.to(dtype) for tensor in (x, dt, A, B, C, D))
        if keep is not None:
            given = given.masked_fill(~keep[..., None, None], 0)
            dt, B, C = (tensor.masked_fill(~keep[..., None], 0) for tensor in (dt, B, C))
        y = _chunked(given, dt, A, B, C, D, chunk)
    return (y if keep is None else y.masked_fill(~keep[..., None, None], 0)).to(x.dtype)


def _chunked(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, chunk: int) -> Tensor:
    state = x.new_zeros(x.shape[0], x.shape[2], x.shape[3], B.shape[2])  # (B heads P S)
    y = []
    for here in (slice(first, first + chunk) for first in range(0, x.shape[1], chunk)):
        rate, u = dt[:, here] * A, dt[:, here, :, None] * x[:, here]
        since = rate.cumsum(1)  # exponent from before the chunk to after each place
        inside = torch.einsum("bts,bus->btu", C[:, here], B[:, here])
        y.append(
            torch.einsum("btu,bhtu,buhp->bthp", inside, _decay(rate), u)
            + torch.einsum("bts,bhps,bth->bthp", C[:, here], state, since.exp())
        )
        left = _from_the_end(rate).exp()
        state = since[:, -1, :, None, None].exp() * state + torch.einsum("bus,buhp,buh->bhps", B[:, here], u, left)
    return torch.cat(y, dim=1) + D[:, None] * x


def _decay(rate: Tensor) -> Tensor:
    """rate (B, q, heads) -> (B, heads, q, q): exp(sum of the rates of s + 1 ... t) at [t, s], 0 where s > t.

    Each sum is made of its own terms: differences of cumulative sums would cancel.
    """
    q = rate.shape[1]
    terms = rate.transpose(1, 2)[..., None].expand(-1, -1, -1, q)  # [r, s] = rate_r
    later = torch.ones(q, q, dtype=torch.bool, device=rate.device).tril(-1)  # r > s
    sums = terms.masked_fill(~later, 0).cumsum(-2)
    return sums.exp().masked_fill(~(later | torch.eye(q, dtype=torch.bool, device=rate.device)), 0)


def _from_the_end(rate: Tensor) -> Tensor:
    """(B, q, heads): at s the sum of the rates after s."""
    following = torch.cat([rate[:, 1:], rate.new_zeros(rate[:, :1].shape)], dim=1)
    return following.flip(1).cumsum(1).flip(1)
