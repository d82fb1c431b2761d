#!/usr/bin/env python3
"""Computes the polynomial coefficients of the vector math: prints codegen/llvm/math_coeffs.h.

    python tools/python/math_coeffs.py | clang-format --assume-filename=codegen/llvm/math_coeffs.h > codegen/llvm/math_coeffs.h

Method: each polynomial is the minimax approximation of its function under a weight on a dense Chebyshev grid: weighted
least squares in 90-digit arithmetic, then the linear programme of the smallest maximum (Cheney, "Introduction to
Approximation Theory", ch. 2) for what is left. Coefficients are then rounded to the type they are used in, one after
another from the most important (floats): after each rounding the remaining ones are fitted again, to make up for it.
The error printed beside each table is the weighted error of the rounded polynomial, before any rounding of its
evaluation.

Needs mpmath, numpy and scipy; takes half a minute.
"""
import mpmath as m
import numpy as np
from mpmath import mp, mpf
from scipy.optimize import linprog

mp.dps = 90
GRID = 600


def correction(grid, residual, weights, powers):
    """The weighted minimax fit of a small residual: a linear programme, solved in doubles after scaling to 1."""
    scale = max(abs(w * r) for w, r in zip(weights, residual))
    columns = [[float(w * x**p) for x, w in zip(grid, weights)] for p in powers]
    sizes = [max(abs(v) for v in col) for col in columns]
    a = np.array([[v / size for v in col] for col, size in zip(columns, sizes)]).T
    r = np.array([float(w * v / scale) for w, v in zip(weights, residual)])
    one = np.ones((len(grid), 1))
    lp = linprog([0.0] * len(powers) + [1.0], np.block([[a, -one], [-a, -one]]), np.concatenate([r, -r]),
                 bounds=[(None, None)] * len(powers) + [(0, None)], method="highs-ds")
    return [mpf(float(v)) / mpf(size) * scale for v, size in zip(lp.x, sizes)]


def minimax(value, weight, powers, lo, hi):
    """Coefficients for `powers` with the least maximum of weight * |value - polynomial|."""
    grid = chebyshev(GRID, lo, hi)
    values, weights = [value(x) for x in grid], [weight(x) for x in grid]
    n = len(powers)
    gram, right = m.matrix(n, n), m.matrix(n, 1)
    basis = [[w * x**p for x, w in zip(grid, weights)] for p in powers]
    for i in range(n):  # start from least squares
        right[i] = m.fdot(basis[i], [w * v for w, v in zip(weights, values)])
        for j in range(i + 1):
            gram[i, j] = gram[j, i] = m.fdot(basis[i], basis[j])
    c = list(m.lu_solve(gram, right))
    for _ in range(2):
        residual = [v - m.fsum(ck * x**p for ck, p in zip(c, powers)) for x, v in zip(grid, values)]
        c = [x + y for x, y in zip(c, correction(grid, residual, weights, powers))]
    return c


def chebyshev(n, lo, hi):
    """n points, dense at both ends, ends included, ascending."""
    return [(lo + hi) / 2 - (hi - lo) / 2 * m.cos(m.pi * i / (n - 1)) for i in range(n)]


def round_to(x, bits):
    if x == 0:
        return mpf(0)
    e = m.floor(m.log(abs(x), 2)) + 1 - bits
    return m.nint(x / mpf(2) ** e) * mpf(2) ** e


def fit(value, weight, degree, lo, hi, bits):
    """Degree-`degree` coefficients, ascending, each rounded to `bits` bits."""
    lo, hi = mpf(lo), mpf(hi)
    done = []
    if bits == 53:  # far below what these are used for: nothing to make up
        done = [round_to(c, bits) for c in minimax(value, weight, list(range(degree + 1)), lo, hi)]
    for k in range(len(done), degree + 1):
        rest = lambda x: value(x) - sum(c * x**i for i, c in enumerate(done))
        c = minimax(rest, weight, list(range(k, degree + 1)), lo, hi)
        done.append(round_to(c[0], bits))
    rest = lambda x: value(x) - sum(c * x**i for i, c in enumerate(done))
    return done, max(abs(weight(x) * rest(x)) for x in chebyshev(GRID, lo, hi))


def hexfloat(x):
    return float(x).hex().replace("0000000p", "p")


def table(name, comment, value, weight, degree, lo, hi, bits):
    c, worst = fit(value, weight, degree, lo, hi, bits)
    ctype = "float" if bits == 24 else "double"
    suffix = "f" if bits == 24 else ""
    print(f"// {comment}; error 2^{float(m.log(worst, 2)):.1f}")
    print(f"static const {ctype} {name}[] = {{{', '.join(hexfloat(v) + suffix for v in c)}}};")


def even(f, tiny):
    """f as a function of u = x*x, its limit at 0 taken from a small x."""
    return lambda u: f(m.sqrt(u) if u > tiny else m.sqrt(tiny))


def main():
    ln2, tiny = m.log(2), mpf(10) ** -30
    print("// Minimax polynomials of the vector math, lowest power first. Made by tools/python/math_coeffs.py: change that, not this.")
    print("#ifndef NNC_CODEGEN_LLVM_MATH_COEFFS_H\n#define NNC_CODEGEN_LLVM_MATH_COEFFS_H\n\n#include <stdint.h>\n")

    h = ln2 / 2 + mpf("1e-4")
    near = lambda x: x if abs(x) > mpf(10) ** -20 else mpf(10) ** -20
    table("exp_q", "exp(r) = 1 + r + r^2 q(r), |r| <= ln(2)/2", lambda x: (m.expm1(near(x)) - near(x)) / near(x) ** 2,
          lambda x: x * x / m.exp(x), 4, -h, h, 24)
    table("expm1_q", "exp(r) - 1 = r + r^2 q(r), |r| <= ln(2)/2", lambda x: (m.expm1(near(x)) - near(x)) / near(x) ** 2,
          lambda x: near(x) ** 2 / abs(m.expm1(near(x))), 5, -h, h, 24)
    table("log_q", "log(1+f) = f - f^2/2 + f^3 q(f), sqrt(1/2) <= 1+f <= sqrt(2)",
          lambda x: (m.log1p(near(x)) - near(x) + near(x) ** 2 / 2) / near(x) ** 3,
          lambda x: abs(near(x) ** 3 / m.log1p(near(x))), 7, m.sqrt(0.5) - 1, m.sqrt(2) - 1, 24)
    table("tanh_q", "tanh(x) = x + x^3 q(x^2), |x| <= 0.62", even(lambda x: (m.tanh(x) - x) / x**3, tiny),
          even(lambda x: x**3 / m.tanh(x), tiny), 4, 0, mpf("0.3844"), 24)
    table("erf_q", "erf(x) = x + x q(x^2), |x| <= 0.9375", even(lambda x: m.erf(x) / x - 1, tiny),
          even(lambda x: x / m.erf(x), tiny), 6, 0, mpf("0.87890625"), 24)
    # 1 - exp(-p(x)): an error d of p is an error exp(-p)*d of the result
    table("erfc_p", "erfc(x) = exp(p(x)), 0.9375 <= x <= 3.95", lambda x: m.log(m.erfc(x)),
          lambda x: m.erfc(x) / m.erf(x), 7, mpf("0.9375"), mpf("3.95"), 24)
    table("atan_q", "atan(x) = x + x^3 q(x^2), |x| <= 1", even(lambda x: (m.atan(x) - x) / x**3, tiny),
          even(lambda x: x**3 / m.atan(x), tiny), 8, 0, 1, 24)

    quarter = (m.pi / 4) ** 2 * mpf("1.001")
    table("sin_q", "sin(r) = r + r^3 q(r^2), |r| <= pi/4", even(lambda x: (m.sin(x) - x) / x**3, tiny),
          even(lambda x: x**3 / m.sin(x), tiny), 4, 0, quarter, 53)
    table("cos_q", "cos(r) = 1 - r^2/2 + r^4 q(r^2), |r| <= pi/4", even(lambda x: (m.cos(x) - 1 + x * x / 2) / x**4, tiny),
          even(lambda x: x**4, tiny), 4, 0, quarter, 53)
    table("log2_q", "log2((1+s)/(1-s)) = s q(s^2), |s| <= 3 - sqrt(8)",
          even(lambda s: 2 * m.atanh(s) / s / ln2, tiny), even(lambda s: s / m.atanh(s), tiny), 7, 0, mpf("0.02950"), 53)
    table("exp2_q", "2^f = q(f), |f| <= 1/2", lambda x: mpf(2) ** x, lambda x: mpf(2) ** -x, 9, mpf("-0.5001"), mpf("0.5001"), 53)

    # erfinv(x) = x p(w), w = -log2(1 - x^2): x from w is sqrt(1 - 2^-w)
    def ratio(w):
        if w < mpf(10) ** -9:
            return m.sqrt(m.pi) / 2
        x = m.sqrt(-m.expm1(-w * ln2))
        return m.erfinv(x) / x

    table("erfinv_near", "erfinv(x) = x q(w - 3.5), w = -log2(1 - x^2) <= 7", lambda t: ratio(t + 3.5),
          lambda t: 1 / ratio(t + 3.5), 11, -3.5, 3.5, 53)
    table("erfinv_far", "erfinv(x) = x q(sqrt(w) - 3.75), 7 <= w <= 23.1", lambda t: ratio((t + 3.75) ** 2),
          lambda t: 1 / ratio((t + 3.75) ** 2), 12, m.sqrt(7) - 3.75, mpf("4.81") - 3.75, 53)

    words = m.floor(2 / m.pi * mpf(2) ** 256)
    print("// The first 256 bits of 2/pi behind the binary point.")
    print("static const uint64_t two_over_pi[] = {" + ", ".join(f"0x{int(words) >> (192 - 64 * i) & (2**64 - 1):016x}u" for i in range(4)) + "};")
    print("\n#endif")


if __name__ == "__main__":
    main()
