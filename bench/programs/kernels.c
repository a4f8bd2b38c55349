/* SPDX-License-Identifier: Apache-2.0 */
/* See kernels.h. */
#include "programs/kernels.h"

#define B LU_BLOCK

void kernel_product_leaf(double *__restrict__ c, const double *__restrict__ a,
	const double *__restrict__ b, size_t ld)
{
	for (size_t i = 0; i < MATMUL_LEAF; i++)
		for (size_t k = 0; k < MATMUL_LEAF; k++)
			for (size_t j = 0; j < MATMUL_LEAF; j++)
				c[i * ld + j] += a[i * ld + k] * b[k * ld + j];
}

void kernel_sum(struct view to, struct view x, struct view y, double sign, uint32_t n)
{
	for (size_t i = 0; i < n; i++) {
		double *__restrict__ t = to.at + i * to.ld;
		const double *u = x.at + i * x.ld, *v = y.at + i * y.ld;

		for (size_t j = 0; j < n; j++)
			t[j] = u[j] + sign * v[j];
	}
}

void kernel_small_product(struct view c, struct view a, struct view b, uint32_t n)
{
	for (size_t i = 0; i < n; i++) {
		double *__restrict__ row = c.at + i * c.ld;

		for (size_t j = 0; j < n; j++)
			row[j] = 0;
		for (size_t k = 0; k < n; k++) {
			const double factor = a.at[i * a.ld + k], *other = b.at + k * b.ld;

			for (size_t j = 0; j < n; j++)
				row[j] += factor * other[j];
		}
	}
}

void kernel_combine(struct view c, const double *const *m, uint32_t h)
{
	for (size_t i = 0; i < h; i++) {
		double *__restrict__ upper = c.at + i * c.ld, *__restrict__ lower =
								      upper + h * c.ld;

		for (size_t j = 0; j < h; j++) {
			size_t at = i * h + j;

			upper[j] = m[0][at] + m[3][at] - m[4][at] + m[6][at];
			upper[j + h] = m[2][at] + m[4][at];
			lower[j] = m[1][at] + m[3][at];
			lower[j + h] = m[0][at] - m[1][at] + m[2][at] + m[5][at];
		}
	}
}

void kernel_factor_block(double *a)
{
	for (size_t k = 0; k < B; k++)
		for (size_t i = k + 1; i < B; i++) {
			a[i * B + k] /= a[k * B + k];
			for (size_t j = k + 1; j < B; j++)
				a[i * B + j] -= a[i * B + k] * a[k * B + j];
		}
}

void kernel_solve_right(const double *__restrict__ lu, double *__restrict__ b)
{
	for (size_t k = 0; k < B; k++)
		for (size_t i = k + 1; i < B; i++)
			for (size_t j = 0; j < B; j++)
				b[i * B + j] -= lu[i * B + k] * b[k * B + j];
}

void kernel_solve_below(const double *__restrict__ lu, double *__restrict__ b)
{
	for (size_t i = 0; i < B; i++)
		for (size_t k = 0; k < B; k++) {
			b[i * B + k] /= lu[k * B + k];
			for (size_t j = k + 1; j < B; j++)
				b[i * B + j] -= b[i * B + k] * lu[k * B + j];
		}
}

void kernel_update_block(
	double *__restrict__ c, const double *__restrict__ a, const double *__restrict__ b)
{
	for (size_t i = 0; i < B; i++)
		for (size_t k = 0; k < B; k++)
			for (size_t j = 0; j < B; j++)
				c[i * B + j] -= a[i * B + k] * b[k * B + j];
}

void kernel_butterflies(struct complex_number *x, const struct complex_number *roots, size_t half,
	size_t begin, size_t end)
{
	struct complex_number *__restrict__ low = x, *__restrict__ high = x + half;

	for (size_t k = begin; k < end; k++) {
		struct complex_number a = low[k], b = high[k], w = roots[half + k];
		double re = a.re - b.re, im = a.im - b.im;

		low[k].re = a.re + b.re;
		low[k].im = a.im + b.im;
		high[k].re = re * w.re - im * w.im;
		high[k].im = re * w.im + im * w.re;
	}
}

void kernel_transform(struct complex_number *x, const struct complex_number *roots, size_t n)
{
	for (size_t half = n / 2; half; half /= 2)
		for (size_t at = 0; at < n; at += 2 * half)
			kernel_butterflies(x + at, roots, half, 0, half);
}

void kernel_heat_rows(size_t begin, size_t end, void *arg)
{
	const struct step *step = (const struct step *)arg;
	const size_t side = step->side;
	const double share = step->share;

	for (size_t i = begin; i < end; i++) {
		const double *at = step->from + i * side;
		double *__restrict__ to = step->to + i * side;

		for (size_t j = 1; j < side - 1; j++)
			to[j] = at[j] + share * (at[j - side] + at[j - 1] + at[j + 1] +
							at[j + side] - 4 * at[j]);
	}
}
