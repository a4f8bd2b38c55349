# SPDX-License-Identifier: Apache-2.0
# What an installation holds: the libraries, the headers, the tools with their completion, the script for gdb, the CMake package, filch.pc.
include(CMakePackageConfigHelpers)

install(TARGETS filch EXPORT filch-targets)
install(TARGETS filch_static EXPORT filch-static-targets)
if(FILCH_BUILD_TOOLS)
	install(TARGETS ${filch_tool_names} RUNTIME)
	# bash looks for a file of the command's name, and the same one is for all of them
	foreach(tool IN LISTS filch_tool_names)
		install(FILES src/tools/completion.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME ${tool})
	endforeach()
endif()
install(FILES src/tools/filch-gdb.py DESTINATION ${CMAKE_INSTALL_DATADIR}/filch)
install(DIRECTORY include/filch TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/include/filch/version.h
	DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/filch)

set(filch_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/filch)
install(EXPORT filch-targets NAMESPACE filch:: DESTINATION ${filch_package_dir})
install(EXPORT filch-static-targets NAMESPACE filch:: DESTINATION ${filch_package_dir})
configure_package_config_file(cmake/filch-config.cmake.in filch-config.cmake
	INSTALL_DESTINATION ${filch_package_dir})
write_basic_package_version_file(filch-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/filch-config.cmake
	${CMAKE_CURRENT_BINARY_DIR}/filch-config-version.cmake DESTINATION ${filch_package_dir})

# The .pc file finds its prefix from where it lies, so that an installation may be moved. Where its
# own directory is absolute, nothing tells it the prefix, and it names the configured one.
set(filch_pc_prefix ${CMAKE_INSTALL_PREFIX})
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
	file(RELATIVE_PATH filch_pc_up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
	string(REGEX REPLACE "/$" "" filch_pc_up ${filch_pc_up})
	set(filch_pc_prefix "\${pcfiledir}/${filch_pc_up}")
endif()
foreach(name IN ITEMS LIBDIR INCLUDEDIR)
	set(filch_pc_${name} "\${prefix}/${CMAKE_INSTALL_${name}}")
	if(IS_ABSOLUTE "${CMAKE_INSTALL_${name}}")
		set(filch_pc_${name} ${CMAKE_INSTALL_${name}})
	endif()
endforeach()
set(filch_pc_definitions)
if(FILCH_DEBUG)
	set(filch_pc_definitions " -DFILCH_DEBUG=${FILCH_DEBUG}")
endif()
configure_file(cmake/filch.pc.in filch.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/filch.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# CMake writes what it installs to install_manifest.txt and leaves removing to us.
if(NOT TARGET uninstall)
	add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -D BUILD=${CMAKE_BINARY_DIR}
		-P ${CMAKE_CURRENT_LIST_DIR}/uninstall.cmake VERBATIM)
endif()
