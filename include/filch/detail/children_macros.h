/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of children: the part of a task's generator, task_macros.h, that FILCH_CHILDREN needs.
 * Nothing here is API; struct filch_annex is ABI. docs/adr/0028 has the reasons.
 */
#ifndef FILCH_DETAIL_CHILDREN_H
#define FILCH_DETAIL_CHILDREN_H

#include "fast_deque.h"

/*
 * Children in a number known only at run time.
 *
 * FILCH_CHILDREN declares three objects: room for the first frames, the state, and one of the
 * user's name.
 *
 *   - FILCH_SPAWN_CHILD and FILCH_SYNC_CHILDREN are given no name to paste. They find the task's
 *     functions, the fold and the state through the members of the last.
 *   - It is constant and its address goes nowhere. So compilers see what its pointers hold, and
 *     compile the functions in.
 *   - Nothing that is not inlined gets the address of the state, which lives in registers.
 *
 * The state:
 *
 *   next          where the next child goes, its elders below it
 *   end           of the frames that next is in
 *   own           the first frame in the stack frame
 *   annex         that next is in; NULL: it is in the stack frame
 *   carried       what the frame carries after a sync. Compilers divide a body whose parameters'
 *                 addresses are not taken: its first tests then cost no call.
 *   alone         the result of the last child that had no frame and therefore has run
 *
 * A spawn has two parts. The arguments may hold syncs, which move what the frame carries. So a
 * function keeps them in the child's frame, and only then the child is pushed.
 */
#define FILCH_CHILDREN_HERE 16

/*
 * What is called through those pointers. gcc refuses an always_inline function whose call it has
 * not yet resolved when it inlines those, as at -Og.
 */
#if defined(__clang__)
#define FILCH_INLINE_LATE FILCH_INLINE
#else
#define FILCH_INLINE_LATE FILCH_UNUSED static inline
#endif

/*
 * Frames beyond those in the spawner's stack frame, allocated. They are freed when their last child
 * is synced: who has completed a task never touches its frame again.
 */
struct filch_annex {
	struct filch_annex *older; /* NULL: the frames of the stack frame are next */
	void *begin, *end;         /* of its frames */
};

FILCH_EXTERN_C_BEGIN
/*
 * An annex after @older, which may be NULL, for frames of @size bytes. NULL: no memory. Of the
 * library, for what task.h makes. Rarely called, but not FILCH_COLD: gcc would move the loop that
 * spawns to the cold code.
 */
FILCH_API struct filch_annex *filch_annex_new(
	struct filch_annex *older, size_t size, size_t alignment);
/* Frees @annex. Returns the older one. */
FILCH_API FILCH_COLD struct filch_annex *filch_annex_free(struct filch_annex *annex);
FILCH_EXTERN_C_END

/* Owner only: what the running frame carries, or an index above it that may stand for it. */
FILCH_INLINE filch_index filch_carried_here(const struct filch_worker *worker)
{
	filch_index bottom = filch_load_relaxed(&worker->bottom);

	return filch_index_after(worker->floor, bottom) ? worker->floor : bottom;
}

/* Memory for frames, of which nothing is initialised: in C++ an array would call constructors. */
#ifdef __cplusplus
#define FILCH_ROOM(name)                                                                       \
	struct name##_filch_room {                                                             \
		alignas(struct name##_filch) unsigned char bytes[FILCH_CHILDREN_HERE *         \
								 sizeof(struct name##_filch)]; \
	};
#else
#define FILCH_ROOM(name)                                        \
	struct name##_filch_room {                              \
		struct name##_filch frame[FILCH_CHILDREN_HERE]; \
	};
#endif

/*
 * The type of a pointer, or of an array as a pointer; and the look at a fold. In C++ it may be a
 * lambda, which converts, and the compilers' own words name both types.
 */
#ifdef __cplusplus
#define FILCH_POINTER(p)                   __typeof__(+(p))
#define FILCH_FOLD_LOOK(folds, name, f, p) FILCH_STATIC_ASSERT(folds, FILCH_SAY_FOLD)
#else
#define FILCH_POINTER(p) __typeof__((void)0, (p))
#define FILCH_FOLD_LOOK(folds, name, f, p)                                              \
	FILCH_STATIC_ASSERT(__builtin_types_compatible_p(__typeof__((void)0, (f)),      \
				    void (*)(FILCH_POINTER(p), name##_filch_folded)) && \
				    (folds),                                            \
		FILCH_SAY_FOLD)
#endif

#define FILCH_CHILDREN_GENERATE(V, R, name, k, ...)                                               \
	FILCH_ROOM(name)                                                                          \
	enum { name##_filch_folds = FILCH_##V##_IS_FOLDED };                                      \
	typedef FILCH_##V##_FOLDED(R) name##_filch_folded;                                        \
	struct name##_filch_kids {                                                                \
		struct name##_filch *next, *end, *own;                                            \
		struct filch_annex *annex;                                                        \
		filch_index carried;                                                              \
		name##_filch_folded alone;                                                        \
	};                                                                                        \
	FILCH_INLINE struct name##_filch *name##_filch_at(struct name##_filch_room *filch_room_)  \
	{                                                                                         \
		return (struct name##_filch *)(void *)filch_room_;                                \
	}                                                                                         \
	FILCH_INLINE int name##_filch_no_kids(                                                    \
		struct name##_filch_kids *filch_kids_, struct name##_filch_room *filch_room_)     \
	{                                                                                         \
		filch_kids_->next = filch_kids_->own = name##_filch_at(filch_room_);              \
		filch_kids_->end = filch_kids_->own + FILCH_CHILDREN_HERE;                        \
		filch_kids_->annex = NULL;                                                        \
		return 0;                                                                         \
	}                                                                                         \
	FILCH_INLINE_LATE void name##_filch_drop(FILCH_UNUSED const int *filch_into_,             \
		FILCH_UNUSED name##_filch_folded filch_result_)                                   \
	{                                                                                         \
	}                                                                                         \
	FILCH_COLD FILCH_UNUSED static name##_filch_folded name##_filch_alone(                    \
		struct filch_worker *filch_worker_ FILCH_EACH(k, FILCH_PAIR_PARAM, __VA_ARGS__))  \
	{                                                                                         \
		FILCH_##V##_FOLD(name##_filch_body(filch_worker_,                                 \
			filch_carried_here(filch_worker_)                                         \
				FILCH_EACH(k, FILCH_PAIR_GIVE, __VA_ARGS__)));                    \
	}                                                                                         \
	/* Whether the child has a frame; without one it has run. */                              \
	FILCH_INLINE_LATE bool name##_filch_keep_child(struct filch_worker *filch_worker_,        \
		struct name##_filch_kids *filch_kids_ FILCH_EACH(                                 \
			k, FILCH_PAIR_PARAM, __VA_ARGS__))                                        \
	{                                                                                         \
		FILCH_CHECK_HERE(filch_worker_, filch_carried_here(filch_worker_), name);         \
		if (FILCH_UNLIKELY(filch_kids_->next == filch_kids_->end)) {                      \
			struct filch_annex *filch_annex_ = filch_annex_new(filch_kids_->annex,    \
				sizeof(struct name##_filch), __alignof__(struct name##_filch));   \
			if (!filch_annex_) {                                                      \
				filch_kids_->alone = name##_filch_alone(filch_worker_ FILCH_EACH( \
					k, FILCH_PAIR_GIVE, __VA_ARGS__));                        \
				return false;                                                     \
			}                                                                         \
			filch_kids_->annex = filch_annex_;                                        \
			filch_kids_->next = (struct name##_filch *)filch_annex_->begin;           \
			filch_kids_->end = (struct name##_filch *)filch_annex_->end;              \
		}                                                                                 \
		struct name##_filch *filch_frame_ = filch_kids_->next++;                          \
		FILCH_KEEP(name, k, __VA_ARGS__)                                                  \
		return true;                                                                      \
	}                                                                                         \
	/* Whether a child is left to sync: the one below `next`. */                              \
	FILCH_INLINE_LATE bool name##_filch_has_kids(                                             \
		struct name##_filch_kids *filch_kids_, struct name##_filch_room *filch_room_)     \
	{                                                                                         \
		if (filch_kids_->next == name##_filch_at(filch_room_))                            \
			return false;                                                             \
		if (FILCH_UNLIKELY(filch_kids_->annex) &&                                         \
			filch_kids_->next == (struct name##_filch *)filch_kids_->annex->begin) {  \
			filch_kids_->annex = filch_annex_free(filch_kids_->annex);                \
			filch_kids_->end =                                                        \
				filch_kids_->annex                                                \
					? (struct name##_filch *)filch_kids_->annex->end          \
					: name##_filch_at(filch_room_) + FILCH_CHILDREN_HERE;     \
			filch_kids_->next = filch_kids_->end;                                     \
		}                                                                                 \
		return true;                                                                      \
	}                                                                                         \
	FILCH_INLINE_LATE name##_filch_folded name##_filch_sync_child(                            \
		struct filch_worker *filch_worker_, filch_index filch_carried_,                   \
		struct name##_filch_kids *filch_kids_)                                            \
	{                                                                                         \
		filch_kids_->carried = filch_carried_;                                            \
		FILCH_##V##_FOLD(name##_filch_sync(                                               \
			filch_worker_, &filch_kids_->carried, --filch_kids_->next));              \
	}                                                                                         \
	FILCH_VERIFY_KIDS_DEFINE(name)

/* Of debug builds: a set leaves its block empty. */
#if FILCH_DEBUG >= 1
#define FILCH_SAY_KIDS \
	"children left their block without FILCH_SYNC_CHILDREN: sync them on every path"
#define FILCH_VERIFY_KIDS(name) __attribute__((cleanup(name##_filch_verify_kids)))
#define FILCH_VERIFY_KIDS_DEFINE(name)                            \
	FILCH_UNUSED static inline void name##_filch_verify_kids( \
		struct name##_filch_kids *filch_kids_)            \
	{                                                         \
		if (filch_kids_->next != filch_kids_->own)        \
			filch_misuse(FILCH_SAY_KIDS, #name);      \
	}
#else
#define FILCH_VERIFY_KIDS(name)
#define FILCH_VERIFY_KIDS_DEFINE(name)
#endif

#endif
