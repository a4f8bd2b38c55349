/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a function must leave as it found it, and may still forget: rounding and traps of floating
 * point; on x86-64 also the flags for alignment checks and direction. Reading takes a few cycles
 * and writing is dear, so they are compared, and written if they differ. Exceptions that have been
 * raised and not trapped stay.
 */
#ifndef FILCHI_CPU_CONTROL_H
#define FILCHI_CPU_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct filchi_cpu_control {
	uint32_t floats; /* mxcsr, or fpcr */
	uint32_t x87;    /* its control word */
};

#if defined(__x86_64__)
#define FILCHI_CPU_RAISED UINT32_C(0x3f) /* in mxcsr */
#define FILCHI_CPU_FLAGS  0x40400ull     /* alignment checks, direction */

static inline struct filchi_cpu_control filchi_cpu_control(void)
{
	uint32_t floats;
	uint16_t x87;

	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(floats), "=m"(x87));
	return (struct filchi_cpu_control){ .floats = floats & ~FILCHI_CPU_RAISED, .x87 = x87 };
}

static inline void filchi_cpu_control_set(struct filchi_cpu_control to)
{
	uint16_t x87 = (uint16_t)to.x87;

	__asm__ volatile("ldmxcsr %0\n\tfnclex\n\tfldcw %1" : : "m"(to.floats), "m"(x87));
}

/*
 * Clears the two flags: a function begins and ends without. Compilers move accesses over the flags,
 * but not over the barrier.
 */
static inline void filchi_cpu_flags_clear(void)
{
	unsigned long long flags = __builtin_ia32_readeflags_u64();

	if (__builtin_expect((flags & FILCHI_CPU_FLAGS) != 0, 0))
		__builtin_ia32_writeeflags_u64(flags & ~FILCHI_CPU_FLAGS);
	__asm__ volatile("" : : : "memory");
}
#elif defined(__aarch64__)
static inline struct filchi_cpu_control filchi_cpu_control(void)
{
	uint64_t floats;

	__asm__ volatile("mrs %0, fpcr" : "=r"(floats));
	return (struct filchi_cpu_control){ .floats = (uint32_t)floats };
}

static inline void filchi_cpu_control_set(struct filchi_cpu_control to)
{
	__asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)to.floats));
}

static inline void filchi_cpu_flags_clear(void)
{
}
#else
static inline struct filchi_cpu_control filchi_cpu_control(void)
{
	return (struct filchi_cpu_control){ .floats = 0 };
}

static inline void filchi_cpu_control_set(struct filchi_cpu_control to)
{
	(void)to;
}

static inline void filchi_cpu_flags_clear(void)
{
}
#endif

static inline void filchi_cpu_control_restore(struct filchi_cpu_control to)
{
	struct filchi_cpu_control now = filchi_cpu_control();

	if (__builtin_expect(now.floats != to.floats || now.x87 != to.x87, 0))
		filchi_cpu_control_set(to);
}

#endif
