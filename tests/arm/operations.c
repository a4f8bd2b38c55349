/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each memory operation as a function of its own, for each type it serves. operations.sh compiles
 * this for ARM and reads the instructions.
 */
#include "base/atomic.h"

#define EACH_TYPE(define)   define(32, uint32_t) define(64, uint64_t) define(ptr, void *)
#define EACH_NUMBER(define) define(32, uint32_t) define(64, uint64_t)

#define LOAD(operation, suffix, type)                     \
	type operation##_##suffix(FILCH_ATOMIC(type) * p) \
	{                                                 \
		return PREFIX(operation)(p);              \
	}
#define STORE(operation, suffix, type)                            \
	void operation##_##suffix(FILCH_ATOMIC(type) * p, type v) \
	{                                                         \
		PREFIX(operation)(p, v);                          \
	}
#define MODIFY(operation, suffix, type)                           \
	type operation##_##suffix(FILCH_ATOMIC(type) * p, type v) \
	{                                                         \
		return PREFIX(operation)(p, v);                   \
	}
#define CAS(operation, suffix, type)                                               \
	bool operation##_##suffix(FILCH_ATOMIC(type) * p, type * expected, type v) \
	{                                                                          \
		return PREFIX(operation)(p, expected, v);                          \
	}
#define PASTE(a, b) a##b

/* those of the inlined path */
#define PREFIX(operation) PASTE(filch_, operation)
#define INLINED(suffix, type)                    \
	LOAD(load_relaxed, suffix, type)         \
	STORE(store_relaxed, suffix, type)       \
	STORE(store_release_light, suffix, type) \
	STORE(store_release_full, suffix, type)
EACH_TYPE(INLINED)
#undef PREFIX

/* those of the library proper */
#define PREFIX(operation) PASTE(filchi_, operation)
#define ANY(suffix, type)                      \
	LOAD(load_acquire, suffix, type)       \
	STORE(store_release, suffix, type)     \
	STORE(store_then_fence, suffix, type)  \
	MODIFY(exchange_acq_rel, suffix, type) \
	MODIFY(exchange_seq_cst, suffix, type) \
	CAS(cas_acq_rel, suffix, type)         \
	CAS(cas_seq_cst, suffix, type)
#define NUMBER(suffix, type)                            \
	LOAD(fence_then_load_acquire, suffix, type)     \
	LOAD(rmw_fence_then_load_acquire, suffix, type) \
	MODIFY(fetch_add_acq_rel, suffix, type)         \
	MODIFY(fetch_add_seq_cst, suffix, type)         \
	MODIFY(fetch_sub_acq_rel, suffix, type)         \
	MODIFY(fetch_sub_seq_cst, suffix, type)
EACH_TYPE(ANY)
EACH_NUMBER(NUMBER)

void pause_here(void)
{
	filchi_pause();
}
