// SPDX-License-Identifier: Apache-2.0
//
// The snippets of docs/cpp.md: tasks in a namespace, lambdas, exceptions, ownership.
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filch/filch.h>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace trees
{
FILCH_TASK(long, leaves, (int, depth))
{
	if (depth == 0)
		return 1;
	FILCH_SPAWN(left, leaves, depth - 1);
	long right = FILCH_CALL(leaves, depth - 1);
	return FILCH_SYNC(left) + right;
}

// What other namespaces call.
long count_leaves(filch_pool *pool, int depth)
{
	long result = -1;

	return FILCH_RUN(pool, &result, leaves, depth) ? -1 : result;
}
} // namespace trees

FILCH_TASK(long, all_leaves, (int, depths))
{
	using namespace trees;
	long sum = 0;

	FILCH_CHILDREN_FOLD(
		kids, leaves, [](long *into, long more) { *into += more; }, &sum);
	for (int depth = 0; depth < depths; depth++)
		FILCH_SPAWN_CHILD(&kids, depth);
	FILCH_SYNC_CHILDREN(&kids);
	return sum;
}

// A task of any callable: it is passed by pointer, since arguments are copied as bytes.
FILCH_VOID_TASK(call, (const std::function<void()> *, f))
{
	(*f)();
}

FILCH_VOID_TASK(both, (const std::function<void()> *, f), (const std::function<void()> *, g))
{
	FILCH_SPAWN(first, call, f);
	FILCH_CALL(call, g);
	FILCH_SYNC(first);
}

// A loop whose body is a lambda with captures, which lives on this frame until the loop has ended.
template <typename Body>
int parallel_for(
	filch_pool *pool, std::size_t begin, std::size_t end, std::size_t grain, Body &&body)
{
	using Type = std::remove_reference_t<Body>;
	auto piece = [](std::size_t b, std::size_t e, void *arg) {
		(*static_cast<Type *>(arg))(b, e);
	};

	return filch_for(pool, begin, end, grain, piece,
		const_cast<void *>(static_cast<const void *>(&body)));
}

// The first exception of a loop's bodies, thrown again in the caller.
struct first_exception {
	std::mutex lock;
	std::exception_ptr what;

	template <typename Body> void guard(Body &&body) noexcept
	{
		try {
			body();
		} catch (...) {
			std::lock_guard<std::mutex> held(lock);
			if (!what)
				what = std::current_exception();
		}
	}
	void rethrow() const
	{
		if (what)
			std::rethrow_exception(what);
	}
};

// A body that is compiled in: an object of the file that can be called.
static constexpr auto twice = [](std::size_t b, std::size_t e, std::vector<int> *v) {
	for (std::size_t i = b; i < e; i++)
		(*v)[i] *= 2;
};
FILCH_FOR_DEFINE(twice_all, std::vector<int>, twice);

struct message {
	std::string text;
	std::size_t length = 0;
};

// A job owns its message: exceptions end here, and become the status.
static int measure(void *arg)
{
	try {
		auto *m = static_cast<message *>(arg);
		m->length = m->text.size();
		return 0;
	} catch (...) {
		return -ENOMEM;
	}
}

static std::size_t length_of(filch_pool *pool, std::string text)
{
	auto m = std::make_unique<message>();
	struct filch_submit how =
		FILCH_SUBMIT_INIT; // with `struct`: the function has that name too
	struct filch_completion done;

	m->text = std::move(text);
	std::int64_t id = filch_submit(pool, measure, m.get(), &how);
	if (id < 0 || filch_wait(pool, id, nullptr, &done) || done.status)
		return 0;
	return m->length; // the job is over: the message is ours again
}

int main()
{
	filch_pool *pool = nullptr;
	std::vector<int> v(1000, 1);
	bool caught = false;
	int a = 0, b = 0;

	if (filch_pool_create(&pool, nullptr))
		return 1;
	bool good = trees::count_leaves(pool, 10) == 1024;
	long all = 0;
	good = good && !FILCH_RUN(pool, &all, all_leaves, 10) && all == 1023;

	std::function<void()> f = [&] { a = 1; }, g = [&] { b = 2; };
	good = good && !FILCH_RUN(pool, nullptr, both, &f, &g) && a + b == 3;

	int factor = 3;
	int error = parallel_for(pool, 0, v.size(), 0, [&](std::size_t begin, std::size_t end) {
		for (std::size_t i = begin; i < end; i++)
			v[i] *= factor;
	});
	good = good && !error && v[999] == 3;
	good = good && !twice_all(pool, 0, v.size(), 0, &v) && v[0] == 6;

	first_exception first;
	error = parallel_for(pool, 0, v.size(), 1, [&](std::size_t begin, std::size_t) {
		first.guard([&] {
			if (begin == 500)
				throw std::runtime_error("item 500");
		});
	});
	try {
		first.rethrow();
	} catch (const std::runtime_error &) {
		caught = true;
	}
	good = good && !error && caught && length_of(pool, "filch") == 5;
	std::printf("tasks, lambdas, exceptions: %s\n", good ? "as expected" : "wrong");
	return filch_pool_destroy(pool) || !good;
}
