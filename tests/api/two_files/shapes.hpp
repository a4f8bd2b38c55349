/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks that one C++ file defines and another uses. */
#ifndef SHAPES_HPP
#define SHAPES_HPP

#include <array>
#include <filch/filch.h>
#include <utility>

namespace shapes
{
using span = std::pair<long, long>;
FILCH_TASK_DECL(long, sum_span, (std::pair<long, long>, whole), (long, grain));
FILCH_TASK_DECL(span, widen, (std::array<long, 2>, by), (std::pair<long, long>, old));
FILCH_VOID_TASK_DECL(put, (long *, to), (long, value));
} // namespace shapes

#endif
