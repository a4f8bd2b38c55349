# filch_test(): the only way a test enters ctest, so that no test can lack the properties that make a failure seen.
#
# Criterion ends with status 0 where a sanitizer has complained: after a leak, after UBSan's messages, after an empty suite. So
# every entry carries the expressions below, and tests/harness proves that each of them bites. Pools are pinned: two tests at
# once would share cores, so an entry is serial, and Criterion runs its cases one at a time. Scripts that compile, or compare
# what was compiled, use one processor and prove what a neighbour cannot change: those SHARE, and tests/run runs two at once.
#
#   filch_test(NAME [SOURCES] file... [PLAIN] [BARE] [LABELS l...] [TIMEOUT s] [LINK lib...] [ARGS a...] [DEFINITIONS d...])
#
# PLAIN   a driver with main() on tests/support/test.h; runs under TSan, which Criterion cannot. A plain driver that ends without
#         test_finish() is a failure.
# BARE    a main() without even that: drivers that model checkers read. Their exit status counts; they link nothing of ours.
# LINK    default filch_static, whose internals are visible to the linker.
# DEFINITIONS  for this test's own sources; a test that needs another build of the library's sources lists those as well.
#
#   filch_test_directory(PREFIX [PLAIN] [BARE] [same options])   every *.c here as PREFIX.stem. One that includes Criterion is a
#         Criterion test, one with a main() a plain driver; one with neither (it includes another test, to compile it in another
#         way) is what the directory is. A line "labels: a b" in a file's opening comment adds labels, "timeout: 300" sets one.
#
#   filch_check(NAME [SHARES] [LABELS l...] [TIMEOUT s] COMMAND c...)   a script as a test; SHARES: another may run beside it.
#   filch_valgrind(NAME)   the same program once more under valgrind, at a thousandth of its counts, labelled valgrind.

include_guard(GLOBAL)

set(FILCH_TEST_FAIL_EXPRESSIONS
	"SUMMARY: [A-Za-z]+Sanitizer" "runtime error:" "WARNING: ThreadSanitizer" "Tested: 0 " ": 0 passed" "passed, [1-9][0-9]* failed")
set(FILCH_TEST_ENVIRONMENT
	"ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:abort_on_error=0"
	"UBSAN_OPTIONS=print_stacktrace=1"
	"TSAN_OPTIONS=second_deadlock_stack=1:atexit_sleep_ms=50")

if(FILCH_SANITIZE_THREAD)
	message(STATUS "Criterion tests are left out: Criterion and ThreadSanitizer do not work together; the plain drivers run")
else()
	# cr_assert(eq(...)) writes an int into a bit-field of one bit, in the test's own lines.
	add_library(filch_criterion_flags INTERFACE)
	target_compile_options(filch_criterion_flags INTERFACE -Wno-conversion)
	pkg_check_modules(filch_criterion QUIET IMPORTED_TARGET criterion>=2.4)
	if(NOT filch_criterion_FOUND)
		message(FATAL_ERROR "The tests need Criterion: install libcriterion-dev, or configure with -DFILCH_BUILD_TESTS=OFF")
	endif()
endif()

# ThreadSanitizer's memory map may collide with the kernel's address randomisation; where it may be switched off, it is.
set(FILCH_TEST_LAUNCHER)
if(FILCH_SANITIZE_THREAD)
	find_program(FILCH_SETARCH setarch)
	if(FILCH_SETARCH)
		execute_process(COMMAND ${FILCH_SETARCH} -R true RESULT_VARIABLE refused OUTPUT_QUIET ERROR_QUIET)
		if(refused EQUAL 0)
			set(FILCH_TEST_LAUNCHER ${FILCH_SETARCH} -R)
		endif()
	endif()
endif()

# Built for another machine, programs run under the emulator that the toolchain file names. Not set for
# each target alone: CMake heeds that only where the command is the bare target. Scripts that start
# a program of ours inside, and valgrind, run where there is none.
list(APPEND FILCH_TEST_LAUNCHER ${CMAKE_CROSSCOMPILING_EMULATOR})
if(NOT CMAKE_CROSSCOMPILING_EMULATOR)
	find_program(FILCH_VALGRIND valgrind)
endif()

# What does not depend on how the library was compiled is tested once, in the release configuration.
set(FILCH_TEST_ONCE FALSE)
if(NOT FILCH_SANITIZE AND NOT FILCH_ATOMICS_C11 AND CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release")
	set(FILCH_TEST_ONCE TRUE)
endif()

function(filch_test_properties name timeout labels environment)
	set_tests_properties(${name} PROPERTIES
		FAIL_REGULAR_EXPRESSION "${FILCH_TEST_FAIL_EXPRESSIONS}"
		SKIP_RETURN_CODE 77
		RUN_SERIAL ON
		TIMEOUT "${timeout}"
		LABELS "${labels}"
		ENVIRONMENT "${FILCH_TEST_ENVIRONMENT};${environment}")
endfunction()

function(filch_test name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "PLAIN;BARE" "TIMEOUT" "SOURCES;LABELS;LINK;ARGS;DEFINITIONS")
	if(FILCH_SANITIZE_THREAD AND NOT arg_PLAIN AND NOT arg_BARE)
		return()
	endif()
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 180)
	endif()
	if(CMAKE_CROSSCOMPILING_EMULATOR)
		math(EXPR arg_TIMEOUT "5 * ${arg_TIMEOUT}") # an emulator is slow
	endif()
	if(NOT DEFINED arg_LINK)
		set(arg_LINK)
		if(TARGET filch_static AND NOT arg_BARE)
			set(arg_LINK filch_static)
		endif()
	endif()
	set(target test.${name})
	add_executable(${target} ${arg_SOURCES} ${arg_UNPARSED_ARGUMENTS})
	set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name})
	target_compile_definitions(${target} PRIVATE ${arg_DEFINITIONS} FILCH_TEST_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
	if(DEFINED filch_BINARY_DIR)
		target_include_directories(${target} PRIVATE ${filch_include_dirs} ${filch_SOURCE_DIR}/src)
		target_include_directories(${target} SYSTEM PRIVATE ${filch_ck_INCLUDE_DIRS})
		target_compile_options(${target} PRIVATE ${filch_ck_CFLAGS_OTHER})
	endif()
	target_link_libraries(${target} PRIVATE ${arg_LINK} filch_flags Threads::Threads ${CMAKE_DL_LIBS} m)
	if(arg_BARE)
		add_test(NAME ${name} COMMAND ${FILCH_TEST_LAUNCHER} $<TARGET_FILE:${target}> ${arg_ARGS})
	elseif(arg_PLAIN)
		target_link_libraries(${target} PRIVATE filch_test_support)
		add_test(NAME ${name} COMMAND ${FILCH_TEST_LAUNCHER} $<TARGET_FILE:${target}> ${arg_ARGS})
	else()
		target_link_libraries(${target} PRIVATE filch_criterion_flags filch_test_support_criterion PkgConfig::filch_criterion)
		math(EXPR case_timeout "${arg_TIMEOUT} - 5")
		if(case_timeout LESS 1)
			set(case_timeout ${arg_TIMEOUT})
		endif()
		add_test(NAME ${name} COMMAND ${FILCH_TEST_LAUNCHER} $<TARGET_FILE:${target}> --jobs 1 --timeout ${case_timeout}
			${arg_ARGS})
	endif()
	string(REGEX REPLACE "\\..*" "" kind ${name})
	filch_test_properties(${name} ${arg_TIMEOUT} "${kind};${arg_LABELS}" "")
endfunction()

function(filch_test_directory prefix)
	cmake_parse_arguments(PARSE_ARGV 1 arg "PLAIN;BARE" "" "")
	file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
	foreach(source IN LISTS sources)
		get_filename_component(stem ${source} NAME_WE)
		file(STRINGS ${source} criterion REGEX "#[ \t]*include[ \t]*<criterion/" LIMIT_COUNT 1)
		file(STRINGS ${source} main REGEX "^int main\\(" LIMIT_COUNT 1)
		file(STRINGS ${source} labels REGEX "^ \\* labels: " LIMIT_COUNT 1)
		file(STRINGS ${source} timeout REGEX "^ \\* timeout: [0-9]+$" LIMIT_COUNT 1)
		set(options ${arg_UNPARSED_ARGUMENTS})
		if(arg_BARE)
			list(APPEND options BARE)
		elseif(main OR (arg_PLAIN AND NOT criterion))
			list(APPEND options PLAIN)
		endif()
		if(labels)
			string(REGEX REPLACE "^ \\* labels: " "" labels "${labels}")
			string(REPLACE " " ";" labels "${labels}")
			list(APPEND options LABELS ${labels})
		endif()
		if(timeout)
			string(REGEX REPLACE "[^0-9]" "" timeout "${timeout}")
			list(APPEND options TIMEOUT ${timeout})
		endif()
		filch_test(${prefix}.${stem} ${source} ${options})
	endforeach()
endfunction()

function(filch_check name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "SHARES" "TIMEOUT" "LABELS;COMMAND")
	if(NOT arg_TIMEOUT)
		set(arg_TIMEOUT 300)
	endif()
	add_test(NAME ${name} COMMAND ${arg_COMMAND})
	string(REGEX REPLACE "\\..*" "" kind ${name})
	filch_test_properties(${name} ${arg_TIMEOUT} "${kind};${arg_LABELS}" "")
	if(arg_SHARES)
		set_tests_properties(${name} PROPERTIES RUN_SERIAL OFF)
	endif()
endfunction()

function(filch_valgrind name)
	if(NOT TARGET test.${name} OR NOT FILCH_VALGRIND OR FILCH_SANITIZE)
		return()
	endif()
	add_test(NAME valgrind.${name} COMMAND ${FILCH_VALGRIND} -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect,possible
		--errors-for-leak-kinds=definite,indirect,possible --fair-sched=yes $<TARGET_FILE:test.${name}>)
	filch_test_properties(valgrind.${name} 300 "valgrind" "FILCH_TEST_SCALE=0.001")
endfunction()
