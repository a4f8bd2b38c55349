/* SPDX-License-Identifier: Apache-2.0 */
/* A suite without a single test. */
#include <criterion/criterion.h>

TestSuite(empty);
