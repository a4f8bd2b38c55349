# SPDX-License-Identifier: Apache-2.0
# Manual pages and the static site: target docs. They are made from the headers, the tools' sources and the pages by
# docs/reference/, which takes python3, mandoc and cmark-gfm (docs/adr/0043). With FILCH_BUILD_DOCS they are built with
# everything else, and installed; without it the target is there where the three are.
find_program(FILCH_PYTHON python3)
find_program(FILCH_MANDOC mandoc)
find_program(FILCH_CMARK cmark-gfm)
mark_as_advanced(FILCH_PYTHON FILCH_MANDOC FILCH_CMARK)

set(filch_docs FALSE)
if(FILCH_PYTHON AND FILCH_MANDOC AND FILCH_CMARK)
	set(filch_docs TRUE)
elseif(FILCH_BUILD_DOCS)
	message(FATAL_ERROR "FILCH_BUILD_DOCS needs python3, mandoc and cmark-gfm: apt-get install python3 mandoc cmark-gfm")
endif()
if(NOT filch_docs)
	return()
endif()

set(filch_docs_dir ${CMAKE_CURRENT_BINARY_DIR}/reference)
set(filch_docs_scripts ${CMAKE_CURRENT_SOURCE_DIR}/docs/reference)
file(GLOB_RECURSE filch_docs_from CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/include/filch/*.h
	${CMAKE_CURRENT_SOURCE_DIR}/docs/* ${CMAKE_CURRENT_SOURCE_DIR}/src/tools/filch-*.c ${CMAKE_CURRENT_SOURCE_DIR}/src/*.md)
list(FILTER filch_docs_from EXCLUDE REGEX "__pycache__")
add_custom_command(OUTPUT ${filch_docs_dir}/made
	COMMAND ${FILCH_PYTHON} ${filch_docs_scripts}/man.py ${CMAKE_CURRENT_SOURCE_DIR}
		${CMAKE_CURRENT_BINARY_DIR}/include/filch/version.h ${filch_docs_dir}/man ${PROJECT_VERSION}
	COMMAND ${FILCH_PYTHON} ${filch_docs_scripts}/site.py ${CMAKE_CURRENT_SOURCE_DIR} ${filch_docs_dir}/man
		${filch_docs_dir}/html ${PROJECT_VERSION}
	COMMAND ${CMAKE_COMMAND} -E touch ${filch_docs_dir}/made
	DEPENDS ${filch_docs_from} ${CMAKE_CURRENT_SOURCE_DIR}/README.md ${CMAKE_CURRENT_SOURCE_DIR}/CHANGELOG.md
		${CMAKE_CURRENT_BINARY_DIR}/include/filch/version.h
	COMMENT "Manual pages and the site" VERBATIM)
set(filch_docs_all)
if(FILCH_BUILD_DOCS)
	set(filch_docs_all ALL)
endif()
add_custom_target(docs ${filch_docs_all} DEPENDS ${filch_docs_dir}/made)

if(FILCH_INSTALL AND FILCH_BUILD_DOCS)
	foreach(section IN ITEMS 1 3 7)
		install(DIRECTORY ${filch_docs_dir}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section}
			FILES_MATCHING PATTERN "*.${section}")
	endforeach()
	install(DIRECTORY ${filch_docs_dir}/html DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()
