# Compiler flags of our own targets, in one place: the library, its tests, its tools, its benchmarks and the self-test of the
# test harness all include this file, so that what the self-test proves about a sanitizer build is true of the others as well.
#
# Reads FILCH_SANITIZE, FILCH_NATIVE, FILCH_WERROR, FILCH_ATOMICS_C11 and FILCH_DEBUG. Defines the interface library
# filch_flags (warnings, internal definitions) and sets FILCH_SANITIZE_THREAD when ThreadSanitizer is on.
# Sanitizers apply to the whole directory: a program built with a sanitized library needs its runtime.

include_guard(GLOBAL)

set(FILCH_SANITIZE_THREAD FALSE)
if(FILCH_SANITIZE)
	if(NOT FILCH_SANITIZE MATCHES "^(address,undefined|address|undefined|thread)$")
		message(FATAL_ERROR "FILCH_SANITIZE is \"${FILCH_SANITIZE}\": it may be empty, address,undefined or thread")
	endif()
	if(FILCH_SANITIZE STREQUAL "thread")
		set(FILCH_SANITIZE_THREAD TRUE)
	endif()
	add_compile_options(-fsanitize=${FILCH_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
	add_link_options(-fsanitize=${FILCH_SANITIZE} -fno-sanitize-recover=all)
endif()

if(FILCH_NATIVE)
	add_compile_options(-march=native)
endif()

add_library(filch_flags INTERFACE)
target_compile_options(filch_flags INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
	$<$<BOOL:${FILCH_WERROR}>:-Werror>
	$<$<COMPILE_LANGUAGE:C>:-Wstrict-prototypes>)
if(FILCH_ATOMICS_C11)
	target_compile_definitions(filch_flags INTERFACE FILCH_ATOMICS_C11)
endif()
